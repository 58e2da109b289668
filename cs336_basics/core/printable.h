/**
 * @file
 * @brief Makes text from elsewhere safe to print: names of files, arguments, metadata, tokens, environment variables.
 *
 * - A terminal obeys control characters: a file name with an escape sequence can move the cursor, change the title of
 *   the window or hide the rest of a message. So each byte of a control character, of a character that changes the
 *   direction of text, and of malformed UTF-8 becomes `\xNN`. All other characters stay as they are.
 * - status_record() applies this to every message of the library. The program passes its own messages through
 *   status_record() too, and calls printable() for names in its reports.
 */
#ifndef CS336_CORE_PRINTABLE_H
#define CS336_CORE_PRINTABLE_H

#include "core/api.h"
#include "core/utf8.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

/** @brief True if a terminal shows the character, and does not obey it. */
bool printable_character(Utf8Character character);

/**
 * @brief Writes as many characters of a text as fit, made safe, and a zero byte.
 * @param[out] safe      room for @p capacity bytes, at least 1
 * @param[in]  text      any bytes; @p length of them
 * @return how many bytes of @p text were taken; less than @p length if the rest did not fit
 */
size_t printable_prefix(char *safe, size_t capacity, const char *text, size_t length);

enum { PRINTABLE_BYTES = 512 /**< of a safe text and its zero byte */ };

/** @brief A safe text. */
typedef struct {
    char text[PRINTABLE_BYTES]; /**< ends in a zero byte */
} PrintableText;

/** @brief Returns a text made safe. If it is too long, " ... " replaces its middle: a path may have
 * 4096 bytes, and the reason stands behind it. */
PrintableText printable_bytes(const char *text, size_t length);

/** @brief printable_bytes() of a C string. */
PrintableText printable(const char *text);

CS336_INTERNAL_END

#endif
