/**
 * @file
 * @brief Reads the tokens of a tokenizer.bin of llama2.c, such as tok512.bin, for decoding only.
 *
 * - The file begins with the length of its longest token, an int32. For each token follow a float32, the score, an
 *   int32, the length, and the bytes. The number of tokens is not in the file: it is read to its end.
 * - Token 0 is `<unk>`. Token 1, LLAMA2C_BOS, stands before each text. Token 2 stands after it.
 * - A token `<0x0A>` is the byte 0A. SentencePiece encodes a character that has no token by such bytes.
 * - Text is merged by the scores, in which SentencePiece differs from the merges of BPE, and a blank is put before it.
 *   That is not built here. So BPEModel.decode_only is set, and whatever encodes refuses the model.
 * @see https://github.com/karpathy/llama2.c: tokenizer.py writes the file, decode() in run.c reads it
 */
#ifndef CS336_TOKENIZER_FILES_LLAMA2C_TOKENIZER_H
#define CS336_TOKENIZER_FILES_LLAMA2C_TOKENIZER_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/buffers.h"

#include <stdbool.h>

CS336_API_BEGIN

/** @brief The id of the token before each text. run.c ends a text when it is drawn. */
enum { LLAMA2C_BOS = 1 };

/** @brief True if the bytes of a file begin with the numbers of such a tokenizer and of its first token. */
bool llama2c_tokenizer_begins(ByteString bytes);

/**
 * @brief Reads the tokens.
 * @param[out] model  decode_only; empty on failure; free it with bpe_model_deinit()
 * @param[in]  bytes  of the file
 * @param[in]  path   of the file, for messages
 * @retval CS336_EFORMAT  cut short, damaged, or not such a file
 * @retval CS336_ENOMEM
 * @see test_llama2c_tokens_are_read
 */
CS336_MUST_CHECK Status llama2c_tokenizer_read(BPEModel *model, ByteString bytes, const char *path);

CS336_API_END

#endif
