/**
 * @file
 * @brief A plain reference for merging one pre-token: it looks for the merge with the lowest rank, the leftmost of
 * equal ones, and applies it, until no two neighbours are a merge.
 *
 * plain_bpe_apply() goes through the merges instead, each over the whole pre-token. Both give the same tokens if each
 * merge comes after those that make its parts. This one defines the ids of models for which that is not so.
 */
#ifndef CS336_TESTS_SUPPORT_PLAIN_MERGE_H
#define CS336_TESTS_SUPPORT_PLAIN_MERGE_H

#include "tokenizer/bpe_model.h"

/**
 * @brief Merges a pre-token whose bytes have the ids that they have in the model, those of its first one-byte tokens.
 * @param[out] ids  room for one id for each byte
 * @return how many
 */
size_t plain_merge(int32_t *ids, const BPEModel *model, ByteString word);

#endif
