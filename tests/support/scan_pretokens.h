/**
 * @file
 * @brief Scans a text in chunks, each at another address, and compares where its pre-tokens end.
 */
#ifndef CS336_TESTS_SUPPORT_SCAN_PRETOKENS_H
#define CS336_TESTS_SUPPORT_SCAN_PRETOKENS_H

#include "tokenizer/pattern.h"

#include <stddef.h>
#include <stdint.h>

/** @brief Returns a copy in an allocation of exactly its size, so that AddressSanitizer reports a read behind its end.
 */
uint8_t *exact_copy(const uint8_t *bytes, size_t length);

/**
 * @brief Scans a text of at most LINE_BYTES in chunks of @p chunk_bytes with little room for results, and asserts where
 * the pre-tokens end.
 * @param what, number  name the text in messages
 */
void assert_scan(PretokenPattern pattern, const uint8_t *text, size_t length, size_t chunk_bytes,
                 const size_t *expected, size_t count, const char *what, size_t number);

#endif
