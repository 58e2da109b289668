/**
 * @file
 * @brief A plain reference for the scanners: a small backtracking matcher of regular expressions.
 *
 * Each alternative of a pattern is a list of repeated character sets. They are tried in order, and each repetition is
 * first as long as it can be, as in Python's `regex`.
 */
#ifndef CS336_TESTS_SUPPORT_PLAIN_PATTERN_H
#define CS336_TESTS_SUPPORT_PLAIN_PATTERN_H

#include "tokenizer/buffers.h"
#include "tokenizer/pattern.h"

#include <stddef.h>

/**
 * @brief Finds where the pre-tokens of a text end.
 * @param[out] ends  room for one end for each byte
 * @return how many
 */
size_t plain_pattern_pretokens(size_t *ends, ByteString text, PretokenPattern pattern);

#endif
