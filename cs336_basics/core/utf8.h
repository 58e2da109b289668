/**
 * @file
 * @brief Decodes UTF-8 one character at a time.
 *
 * Malformed UTF-8 is not an error. It is cut as Python's `errors="replace"` cuts it, which writes one U+FFFD for each
 * malformed sequence.
 * @see The Unicode Standard 16.0, section 3.9, "U+FFFD Substitution of Maximal Subparts".
 */
#ifndef CS336_CORE_UTF8_H
#define CS336_CORE_UTF8_H

#include "core/api.h"

#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

enum { UNICODE_REPLACEMENT = 0xFFFD /**< the code point that stands for a malformed sequence */ };

/** @brief Bytes of U+FFFD in UTF-8. */
extern const uint8_t utf8_replacement[3];

/** @brief What utf8_decode() found at the start of a text. */
typedef enum {
    UTF8_VALID,     /**< a character */
    UTF8_MALFORMED, /**< a malformed sequence: one U+FFFD */
    UTF8_TRUNCATED  /**< the text ends inside a character: one U+FFFD, unless more bytes follow */
} Utf8Status;

/** @brief A character, or a malformed sequence, at the start of a text. */
typedef struct {
    uint32_t code_point; /**< UNICODE_REPLACEMENT when not valid */
    unsigned length;     /**< bytes, 1 to 4 */
    Utf8Status status;   /**< says whether it is a character */
} Utf8Character;

/** @brief Decodes the character at the start of @p text. @param length  bytes in text, at least 1 */
Utf8Character utf8_decode(const uint8_t *text, size_t length);

/**
 * @brief Names the byte order mark (BOM) at the start of a text, or returns NULL if there is none. Some editors write
 * one; it would be taken for the first character of the text.
 * @param text  may be NULL if @p length is 0
 */
const char *utf8_byte_order_mark(const uint8_t *text, size_t length);

CS336_INTERNAL_END

#endif
