/**
 * @file
 * @brief GPT-2's pattern, one alternative after the other at each place, character by character.
 */
#ifndef CS336_TESTS_SUPPORT_PLAIN_PRETOKENS_H
#define CS336_TESTS_SUPPORT_PLAIN_PRETOKENS_H

#include "tokenizer/buffers.h"

#include <stddef.h>

/** @brief Where the pre-tokens of a text end. @param[out] ends  room for one a byte @return how many */
size_t plain_pretokens(size_t *ends, ByteString text);

#endif
