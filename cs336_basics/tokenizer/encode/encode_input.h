/**
 * @file
 * @brief Encodes a text of any form that input_texts.h reads: a compressed file, JSON Lines, a pipe.
 */
#ifndef CS336_TOKENIZER_ENCODE_ENCODE_INPUT_H
#define CS336_TOKENIZER_ENCODE_ENCODE_INPUT_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/encode/encode_file.h"
#include "tokenizer/input_texts.h"

CS336_API_BEGIN

/**
 * @brief Encodes a text with all threads. A file of plain text is read by all of them, a stream by one at a time.
 * @param[in] text  of input_texts_begin(); a stream is read to its end. The ending of its documents is encoded as the
 *                  tokenizer says, so it should be a special token
 * @param     sink  receives the ids in order; one thread at a time calls it
 * @retval CS336_EIO, CS336_EFORMAT  the text cannot be read; the message says why, and in JSON Lines in which line
 * @retval others                    as encode_text()
 */
CS336_MUST_CHECK Status encode_input(const Tokenizer *tokenizer, const InputText *text, TokenSink *sink, void *context,
                                     const EncodeConfig *config);

CS336_API_END

#endif
