/**
 * @file
 * @brief Any bytes made into UTF-8 that a terminal or a JSON file can take, as Python's `errors="replace"` does it.
 *
 * A token may end inside a character, so the bytes come in pieces: up to three of them wait for the rest.
 */
#ifndef CS336_TOKENIZER_ENCODE_UTF8_REPLACE_H
#define CS336_TOKENIZER_ENCODE_UTF8_REPLACE_H

#include "core/status.h"
#include "tokenizer/buffers.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** @brief The beginning of a character; a zeroed one holds nothing. */
typedef struct {
    uint8_t held[4];
    size_t held_count;
} Utf8Replacer;

/**
 * @brief Appends @p bytes to @p text, each malformed piece as one U+FFFD.
 * @param ended  whether these are the last bytes; a held beginning is then malformed too
 * @retval CS336_ENOMEM  text and replacer are as before
 */
CS336_MUST_CHECK Status utf8_replace(Utf8Replacer *replacer, ByteList *text, const uint8_t *bytes, size_t length,
                                     bool ended);

#endif
