/**
 * @file
 * @brief Makes valid UTF-8 of any bytes, for terminals and JSON files, as Python's `errors="replace"` does.
 *
 * A token may end inside a character. So the bytes may come in chunks, and up to three of them wait for the rest of
 * their character.
 */
#ifndef CS336_TOKENIZER_ENCODE_UTF8_REPLACE_H
#define CS336_TOKENIZER_ENCODE_UTF8_REPLACE_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/buffers.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_API_BEGIN

/** @brief Holds the first bytes of a character; zeroed, it is empty. */
typedef struct {
    uint8_t held[4];   /**< the first held_count are the beginning of a character */
    size_t held_count; /**< 0 to 3 */
} Utf8Replacer;

/**
 * @brief Appends @p bytes to @p text, with one U+FFFD for each malformed sequence.
 * @param ended  true if these are the last bytes; held bytes are then malformed too
 * @retval CS336_ENOMEM  text and replacer are unchanged
 */
CS336_MUST_CHECK Status utf8_replace(Utf8Replacer *replacer, ByteList *text, const uint8_t *bytes, size_t length,
                                     bool ended);

CS336_API_END

#endif
