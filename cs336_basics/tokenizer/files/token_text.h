/**
 * @file
 * @brief Tokens, which are any bytes, as text: for files in GPT-2's alphabet, for JSON, and for people to read.
 */
#ifndef CS336_TOKENIZER_FILES_TOKEN_TEXT_H
#define CS336_TOKENIZER_FILES_TOKEN_TEXT_H

#include "core/status.h"
#include "tokenizer/buffers.h"
#include "tokenizer/unicode.h"

/** @brief Appends a token in GPT-2's alphabet (tokenizer/byte_alphabet.h), as UTF-8. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status token_spell(ByteList *text, ByteString token);

/**
 * @brief Appends the bytes that a text in GPT-2's alphabet stands for.
 * @param[out] wrong  the first character that stands for no byte, its status says whether it is UTF-8 at all
 * @retval CS336_EFORMAT  there is such a character; no message is recorded, the caller knows the place
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status token_unspell(ByteList *token, ByteString text, Utf8Character *wrong);

/** @brief Appends valid UTF-8 as a JSON string, quotes included. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status token_quote(ByteList *json, ByteString text);

/** @brief The beginning of a token as a terminal can take it. */
typedef struct {
    char text[64]; /**< ends in a zero byte */
    size_t bytes;  /**< of the token that it shows; token_shown() of the rest shows more */
} ShownToken;

/**
 * @brief Shows a token: what a terminal would obey (control characters, marks of direction) and what is not UTF-8 as
 * `\xNN` for each byte.
 */
ShownToken token_shown(ByteString token);

#endif
