/**
 * @file
 * @brief Decodes UTF-8 one character at a time, and knows the character classes of GPT-2's pattern.
 *
 * - Malformed UTF-8 is not an error. It is cut as Python's `errors="replace"` cuts it, which writes one U+FFFD for each
 *   malformed sequence.
 * - Each malformed sequence counts as a character of class UNICODE_OTHER, as U+FFFD does.
 * - Classes are those of Unicode 16.0, as in tiktoken.
 * @see The Unicode Standard 16.0, section 3.9, "U+FFFD Substitution of Maximal Subparts".
 */
#ifndef CS336_TOKENIZER_UNICODE_H
#define CS336_TOKENIZER_UNICODE_H

#include "core/api.h"

#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

enum { UNICODE_REPLACEMENT = 0xFFFD /**< the code point that stands for a malformed sequence */ };

/** @brief The classes of GPT-2's pattern: `\p{L}`, `\p{N}`, `\s` and all other characters. */
typedef enum { UNICODE_LETTER, UNICODE_NUMBER, UNICODE_SPACE, UNICODE_OTHER } UnicodeClass;
enum { UNICODE_CLASS_COUNT = 4 /**< values of UnicodeClass */ };

/**
 * @brief Returns the class of a code point.
 * White space is the property White_Space (25 code points), not Python's str.isspace(), which adds U+001C to U+001F.
 */
UnicodeClass unicode_class(uint32_t code_point);

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

/** @brief The class of the character at the start of a text, and where the next one begins. */
typedef struct {
    UnicodeClass unicode_class; /**< UNICODE_OTHER for a malformed sequence */
    unsigned length;            /**< bytes, 1 to 4 */
} Utf8Class;

/** @brief Returns the class and length of the character at the start of @p text; faster than utf8_decode(). */
Utf8Class utf8_class(const uint8_t *text, size_t length);

/** @brief Bytes of U+FFFD in UTF-8. */
extern const uint8_t utf8_replacement[3];

CS336_INTERNAL_END

#endif
