/**
 * @file
 * @brief Reads and writes a BPE model as vocab.json and merges.txt, in the format of GPT-2's files.
 *
 * - vocab.json is one object with `"token": id` for each token; the ids are 0 to n - 1 in any order.
 * - merges.txt has one merge in each line, by rank: its two tokens with a blank between them. Empty lines are skipped,
 *   and so is a first line that begins with "#version:". A model without merges has only this line.
 * - Ordinary tokens are spelled in GPT-2's byte alphabet (tokenizer/byte_alphabet.h). Special tokens stand verbatim
 *   where that is possible, and are read in both forms (files/special_text.h).
 * - Messages have the form "path:line: what is wrong".
 */
#ifndef CS336_TOKENIZER_FILES_BPE_FILES_H
#define CS336_TOKENIZER_FILES_BPE_FILES_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/bpe_model.h"

CS336_API_BEGIN

/**
 * @brief Reads a model.
 * @param[out] model           empty on failure; free it with bpe_model_deinit()
 * @param[in]  special_tokens  BPEModel.specials says which entry each of them has; those without one are left out
 * @retval CS336_EIO      a file cannot be read
 * @retval CS336_EFORMAT  vocab.json is not JSON, or has an invalid, repeated or missing token or id; or a line of
 *                        merges.txt is not two tokens that join to a third, or is repeated
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status bpe_model_read(BPEModel *model, const char *vocab_path, const char *merges_path,
                                       const ByteString *special_tokens, size_t special_count);

/**
 * @brief Writes a model. Each file is replaced in one step. A kill between the two steps leaves no merges, which
 * bpe_model_read() reports, rather than old merges beside a new vocabulary.
 * @retval CS336_ERANGE  a special token and an ordinary token are the same printed ASCII text, and have two ids; an id
 *                       has no token; or the model is decode_only
 * @retval CS336_EIO     a file cannot be written, or both have the same path
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status bpe_model_write(const BPEModel *model, const char *vocab_path, const char *merges_path);

CS336_API_END

#endif
