/**
 * @file
 * @brief Tokens, which may be any bytes, as text: in GPT-2's alphabet, as JSON strings, and for terminals.
 */
#ifndef CS336_TOKENIZER_FILES_TOKEN_TEXT_H
#define CS336_TOKENIZER_FILES_TOKEN_TEXT_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/buffers.h"
#include "tokenizer/unicode.h"

CS336_API_BEGIN

/** @brief Appends a token in GPT-2's alphabet (tokenizer/byte_alphabet.h), as UTF-8. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status token_spell(ByteList *text, ByteString token);

/**
 * @brief Appends the bytes that a text in GPT-2's alphabet stands for.
 * @param[out] wrong  the first character that stands for no byte; its status says whether it is UTF-8
 * @retval CS336_EFORMAT  there is such a character. No message is recorded: the caller knows the file and the line
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status token_unspell(ByteList *token, ByteString text, Utf8Character *wrong);

/**
 * @brief Appends valid UTF-8 as a JSON string, quotes included. Characters that a terminal would obey are written as
 * `\uXXXX`, which JSON readers turn back into them.
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status token_quote(ByteList *json, ByteString text);

/** @brief The beginning of a token, as it may be printed. */
typedef struct {
    char text[64]; /**< ends in a zero byte */
    size_t bytes;  /**< how many bytes of the token it shows; the same call for the rest shows more */
} ShownToken;

/** @brief Returns the text of a token for terminals and pages, made safe as core/printable.h describes. */
ShownToken token_printable(ByteString token);

/**
 * @brief The same for messages, which put the text between quotes: `"` becomes `\"` and a backslash `\\`, so that the
 * text ends at the quote, and a `\xNN` always stands for a byte.
 */
ShownToken token_shown(ByteString token);

CS336_API_END

#endif
