/**
 * @file
 * @brief Tells by the first bytes of a file that it is no safetensors file, and what it is in place of one.
 *
 * Weights come in many formats, and a file of each is tried as a checkpoint some day. A safetensors file begins with
 * the length of its header, so other files would be read as one with an absurd length. So core/safetensors.c asks here
 * first.
 */
#ifndef CS336_CORE_WEIGHT_FORM_H
#define CS336_CORE_WEIGHT_FORM_H

#include "core/api.h"
#include "core/file.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

enum {
    WEIGHT_FORM_BYTES = 512,            /**< first bytes of a file that tell its form, or all of a shorter file */
    WEIGHT_FORM_MAX_HEADER = 100000000, /**< bytes of a header: the limit of safetensors' reference implementation */
    LLAMA2C_LATER_VERSIONS = 0x616B3432 /**< the first int32 of llama2.c's later versions; as a dim, 1.6 billion */
};

/**
 * @brief True if the bytes can be the beginning of a model of llama2.c: seven int32 that can be its sizes, or the mark
 * of a later version of its format. No text begins so, and no safetensors file.
 */
bool weight_form_is_llama2c(const uint8_t *start, size_t length);

/**
 * @brief Checks that an open file begins like a safetensors file: with a length of at most WEIGHT_FORM_MAX_HEADER, and
 * the header's brace. The length is not compared with the file.
 * @retval CS336_EFORMAT  it does not. The message names the format if it is one of these: a model or a tokenizer of
 *                        llama2.c, GGUF, torch.save()'s, HDF5, .npy, JSON, or what core/text_form.h knows; and it says
 *                        how to make weights that can be read, if there is a way
 * @retval CS336_EIO      it cannot be read
 * @see test_files_of_torch_are_named, test_files_of_other_kinds_are_named
 */
CS336_MUST_CHECK Status weight_form_check(const FileReader *file);

CS336_INTERNAL_END

#endif
