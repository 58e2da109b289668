/**
 * @file
 * @brief The character classes of the patterns (tokenizer/pattern.h): letters, numbers, white space and all others.
 *
 * - Classes are those of Unicode 16.0, as in tiktoken.
 * - Each malformed sequence of UTF-8 (core/utf8.h) counts as a character of class UNICODE_OTHER, as U+FFFD does.
 */
#ifndef CS336_TOKENIZER_UNICODE_H
#define CS336_TOKENIZER_UNICODE_H

#include "core/api.h"
#include "core/utf8.h"

#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/** @brief The classes of the patterns: `\p{L}`, `\p{N}`, `\s` and all other characters. */
typedef enum { UNICODE_LETTER, UNICODE_NUMBER, UNICODE_SPACE, UNICODE_OTHER } UnicodeClass;
enum { UNICODE_CLASS_COUNT = 4 /**< values of UnicodeClass */ };

/**
 * @brief Returns the class of a code point.
 * White space is the property White_Space (25 code points), not Python's str.isspace(), which adds U+001C to U+001F.
 */
UnicodeClass unicode_class(uint32_t code_point);

/** @brief The class of the character at the start of a text, and where the next one begins. */
typedef struct {
    UnicodeClass unicode_class; /**< UNICODE_OTHER for a malformed sequence */
    unsigned length;            /**< bytes, 1 to 4 */
} Utf8Class;

/** @brief Returns the class and length of the character at the start of @p text; faster than utf8_decode(). */
Utf8Class utf8_class(const uint8_t *text, size_t length);

CS336_INTERNAL_END

#endif
