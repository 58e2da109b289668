/**
 * @file
 * @brief A plain reference for the scanner: it tries the alternatives of GPT-2's pattern in turn, character by
 * character.
 */
#ifndef CS336_TESTS_SUPPORT_PLAIN_PRETOKENS_H
#define CS336_TESTS_SUPPORT_PLAIN_PRETOKENS_H

#include "tokenizer/buffers.h"

#include <stddef.h>

/** @brief Finds where the pre-tokens of a text end. @param[out] ends  room for one end for each byte @return how many
 */
size_t plain_pretokens(size_t *ends, ByteString text);

#endif
