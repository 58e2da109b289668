/**
 * @file
 * @brief A BPE model as vocab.json and merges.txt, in the form of GPT-2's files.
 *
 * - vocab.json: one object, `"token": id` for each token, ids 0 to n - 1 in any order.
 * - merges.txt: one merge a line in order of creation, the two tokens with a blank between them. A first line that
 *   begins with "#version:" is passed over, and so are empty lines; of a model without merges it is all.
 * - Tokens, also special ones, are spelled in GPT-2's byte alphabet (tokenizer/byte_alphabet.h).
 * - Messages are "path:line: what is wrong".
 */
#ifndef CS336_TOKENIZER_FILES_BPE_FILES_H
#define CS336_TOKENIZER_FILES_BPE_FILES_H

#include "core/status.h"
#include "tokenizer/bpe_model.h"

/**
 * @brief Reads a model.
 * @param[out] model  empty on failure; bpe_model_deinit() it
 * @retval CS336_EIO      a file cannot be read
 * @retval CS336_EFORMAT  vocab.json is not JSON, a token or an id is not valid, comes twice or is missing; a line of
 *                        merges.txt is not two tokens whose joint is a token too, or comes twice
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status bpe_model_read(BPEModel *model, const char *vocab_path, const char *merges_path);

/** @brief Writes a model; each file is replaced at once. @retval CS336_EIO, CS336_ENOMEM */
CS336_MUST_CHECK Status bpe_model_write(const BPEModel *model, const char *vocab_path, const char *merges_path);

#endif
