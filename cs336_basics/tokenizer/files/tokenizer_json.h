/**
 * @file
 * @brief Reads and writes a BPE model as tokenizer.json, the single file of Hugging Face's `tokenizers` and
 * `transformers`.
 *
 * - Besides the tokens and merges of vocab.json and merges.txt it has the pre-tokenizer (the pattern, without a blank
 * before the text), the decoder and the special tokens. So the file alone gives the same ids.
 * - Special tokens are written as they are, all other tokens in GPT-2's alphabet (tokenizer/byte_alphabet.h). Hugging
 *   Face gives a special token the id of the entry with its text, even if that stands for other bytes. So a special
 *   token such as `é`, which is how byte E9 is written, cannot have an id of its own there and is refused.
 * @see https://huggingface.co/docs/tokenizers
 */
#ifndef CS336_TOKENIZER_FILES_TOKENIZER_JSON_H
#define CS336_TOKENIZER_FILES_TOKENIZER_JSON_H

#include "core/api.h"
#include "core/file.h"
#include "core/status.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/buffers.h"

#include <stddef.h>

CS336_API_BEGIN

/**
 * @brief Reads a model. Its added tokens, special or not, become special tokens: all of them are found in text before
 * it is split. Ids that no token has become holes.
 * @param[out] model           empty on failure; free it with bpe_model_deinit()
 * @param[in]  text            of the file
 * @param[in]  path            of the file, for messages
 * @param[in]  special_tokens  further ones; as for bpe_model_read()
 * @retval CS336_EFORMAT  not a tokenizer.json, damaged, or asking for what cs336 does not do
 *                        (tokenizer_json_settings.h)
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status tokenizer_json_read(BPEModel *model, ByteString text, const char *path,
                                            const ByteString *special_tokens, size_t special_count);

/**
 * @brief Writes a model and its special tokens, except those that a vocabulary has without naming them
 * (SPECIAL_UNNAMED).
 * @param writer          the file; the caller commits or abandons it
 * @param model           from bpe_train(), bpe_model_read() or tokenizer_file_read()
 * @param special_tokens  further ones. Those that the vocabulary does not have get the ids after it, as in
 *                        tokenizer_create()
 * @param special_count   number of special tokens
 * @retval CS336_ERANGE  a special token is empty or not UTF-8, or Hugging Face's libraries would not give it our id:
 *                       another token is written as its text is; or the model is decode_only
 * @retval CS336_EIO, CS336_ENOMEM
 */
CS336_MUST_CHECK Status tokenizer_json_write(FileWriter *writer, const BPEModel *model,
                                             const ByteString *special_tokens, size_t special_count);

/**
 * @brief Finds the special tokens that no tokenizer.json can hold, whatever is learned; for use before training.
 * @retval CS336_ERANGE  a special token is empty or not UTF-8, or is what a byte is written as in GPT-2's alphabet,
 * such as `é` or `Ġ`
 */
CS336_MUST_CHECK Status tokenizer_json_check(const ByteString *special_tokens, size_t special_count);

CS336_API_END

#endif
