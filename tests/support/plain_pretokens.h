/**
 * @file
 * @brief A plain reference for the scanner: it tries the alternatives of GPT-2's pattern in turn, character by
 * character.
 */
#ifndef CS336_TESTS_SUPPORT_PLAIN_PRETOKENS_H
#define CS336_TESTS_SUPPORT_PLAIN_PRETOKENS_H

#include "tests/adapters.h"
#include "tokenizer/buffers.h"

#include <stddef.h>

/** @brief Finds where the pre-tokens of a text end. @param[out] ends  room for one end for each byte @return how many
 */
size_t plain_pretokens(size_t *ends, ByteString text);

/**
 * @brief Splits a text as run_pretokenize() does: special tokens first, of those that begin at a byte the longest.
 * @param[out] ranges  room for one range for each byte
 * @return how many
 */
size_t plain_split(TextRange *ranges, ByteString text, const ByteString *special, size_t special_count);

#endif
