/**
 * @file
 * @brief Tells by the first bytes of a file that it holds no token ids: compressed ids, int64 numbers, a text, a
 * header.
 *
 * Any bytes are ids of some vocabulary, so a training on compressed ids would run and learn noise. Real ids may begin
 * like a compressed file by chance, though, and are never refused for that: see token_form_check().
 */
#ifndef CS336_DATA_TOKEN_FORM_H
#define CS336_DATA_TOKEN_FORM_H

#include "core/api.h"
#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/**
 * @brief Refuses a file that holds no raw ids. Call it for a file without a sidecar, which says that it holds ids.
 *
 * - A header of llm.c: its first 8 bytes.
 * - Compressed ids: the first bytes of a known format (core/text_form.h), and one of these: the format is known by five
 *   bytes or more; the file is named like it; the sample decompresses without an error; a number of the sample is no
 *   id of the vocabulary.
 * - int64 numbers, at least 32 of them: the upper half of each is 0, at most half of the lower halves are 0, and at
 * least half of them differ from the one before.
 * - A text: all of the sample is UTF-8 without control characters, and it has at least 256 bytes, of at least 16 kinds;
 *   or a number of it is no id of the vocabulary. Ids of real texts are mostly small: their upper bytes are control
 *   characters.
 * @param[in] sample      the first bytes of the file, at most 16 KiB are looked at
 * @param[in] bytes       length of the sample
 * @param[in] vocab_size  ids are below it
 * @param[in] path        the file, or TEXT_STANDARD_INPUT, for messages
 * @retval CS336_EFORMAT  it is one of these; the message says which, and the command that makes ids of it
 * @retval CS336_ENOMEM
 * @see test_compressed_ids_are_refused, test_ids_that_begin_like_gzip_are_read, test_a_text_is_no_file_of_ids,
 * test_int64_numbers_are_no_file_of_ids
 */
CS336_MUST_CHECK Status token_form_check(const uint8_t *sample, size_t bytes, size_t vocab_size, const char *path);

CS336_INTERNAL_END

#endif
