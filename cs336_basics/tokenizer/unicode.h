/**
 * @file
 * @brief UTF-8 one character at a time, and the character classes that pre-tokenization asks for.
 *
 * - Malformed UTF-8 is not an error: it is cut into the pieces that Python's `errors="replace"` turns into one
 *   U+FFFD each.
 * - Such a piece is a character of class UNICODE_OTHER, as U+FFFD is.
 * - Classes are those of Unicode 16.0, as in tiktoken.
 * @see The Unicode Standard 16.0, section 3.9, "U+FFFD Substitution of Maximal Subparts".
 */
#ifndef CS336_TOKENIZER_UNICODE_H
#define CS336_TOKENIZER_UNICODE_H

#include <stddef.h>
#include <stdint.h>

enum { UNICODE_REPLACEMENT = 0xFFFD };

/** @brief What GPT-2's pattern tells apart: `\p{L}`, `\p{N}`, `\s` and all the rest. */
typedef enum { UNICODE_LETTER, UNICODE_NUMBER, UNICODE_SPACE, UNICODE_OTHER } UnicodeClass;
enum { UNICODE_CLASS_COUNT = 4 };

/**
 * @brief The class of a code point.
 * White space is the property White_Space (25 code points), not Python's str.isspace(), which adds U+001C to U+001F.
 */
UnicodeClass unicode_class(uint32_t code_point);

typedef enum {
    UTF8_VALID,     /**< a character */
    UTF8_MALFORMED, /**< bytes that begin no character: one U+FFFD */
    UTF8_TRUNCATED  /**< the text ends inside a character: one U+FFFD, unless more bytes follow */
} Utf8Status;

typedef struct {
    uint32_t code_point; /**< UNICODE_REPLACEMENT when not valid */
    unsigned length;     /**< bytes, 1 to 4 */
    Utf8Status status;
} Utf8Character;

/** @brief The character at the start of @p text. @param length  bytes in text, at least 1 */
Utf8Character utf8_decode(const uint8_t *text, size_t length);

typedef struct {
    UnicodeClass class;
    unsigned length; /**< bytes, 1 to 4 */
} Utf8Class;

/** @brief The class of the character at the start of @p text, and where the next one is, as utf8_decode() cuts. */
Utf8Class utf8_class(const uint8_t *text, size_t length);

/** @brief Bytes of U+FFFD in UTF-8. */
extern const uint8_t utf8_replacement[3];

#endif
