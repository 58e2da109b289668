/**
 * @file
 * @brief A BPE model as tokenizer.json, the one file of Hugging Face's `tokenizers` and `transformers`.
 *
 * - It says what vocab.json and merges.txt leave open: the pre-tokenizer (GPT-2's pattern, nothing put before the
 * text), the decoder, and the special tokens, so that the file alone gives the same ids.
 * - Special tokens stand there as they are, all other tokens in GPT-2's alphabet (tokenizer/byte_alphabet.h).
 * @see https://huggingface.co/docs/tokenizers
 */
#ifndef CS336_TOKENIZER_FILES_TOKENIZER_JSON_H
#define CS336_TOKENIZER_FILES_TOKENIZER_JSON_H

#include "core/file.h"
#include "core/status.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/buffers.h"

#include <stddef.h>

/**
 * @brief Writes a model and its special tokens.
 * @param writer          where to; the caller commits or abandons it
 * @param model           as bpe_train() or bpe_model_read() leave it
 * @param special_tokens  those that the vocabulary does not hold get the ids after it, as in tokenizer_create()
 * @param special_count   how many
 * @retval CS336_ERANGE  a special token is empty, is not UTF-8, or shares its text with another token: a single byte, a
 *                       part of a merge, or one whose spelling it is
 * @retval CS336_EIO, CS336_ENOMEM
 */
CS336_MUST_CHECK Status tokenizer_json_write(FileWriter *writer, const BPEModel *model,
                                             const ByteString *special_tokens, size_t special_count);

#endif
