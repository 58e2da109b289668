/**
 * @file
 * @brief A plain reference for training and encoding: byte-pair encoding exactly as the handout describes it.
 *
 * Tokens are byte strings; all pairs are counted again before each merge; merges are applied one after the other.
 */
#ifndef CS336_TESTS_SUPPORT_PLAIN_BPE_H
#define CS336_TESTS_SUPPORT_PLAIN_BPE_H

#include "tokenizer/buffers.h"

#include <stddef.h>

/** @brief Merges by rank; the byte strings are views of the text. */
typedef struct {
    ByteString *left, *right;
    size_t merge_count;
} PlainBPE;

/** @brief Learns at most @p merges merges. plain_pretokens() splits the text. */
PlainBPE plain_bpe_train(ByteString text, const ByteString *special, size_t special_count, size_t merges);
void plain_bpe_free(PlainBPE *plain);

/**
 * @brief Encodes one pre-token.
 * @param[out] tokens  room for one token for each byte, in order; views of @p word
 * @return how many
 */
size_t plain_bpe_apply(ByteString *tokens, ByteString word, const ByteString *left, const ByteString *right,
                       size_t merge_count);

#endif
