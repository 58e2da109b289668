/**
 * @file
 * @brief Applying merges to one pre-token: the earliest merge that fits first, from left to right, until none fits.
 *
 * Time is n log n for a pre-token of n bytes, so that an endless one is slow but never hangs.
 */
#ifndef CS336_TOKENIZER_BPE_MERGE_H
#define CS336_TOKENIZER_BPE_MERGE_H

#include "core/status.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/buffers.h"

#include <stddef.h>
#include <stdint.h>

typedef struct {
    int32_t left, right;
    int32_t rank; /**< place of the merge in the order of creation, -1: a free slot */
    int32_t merged;
} MergeSlot;

/** @brief Merges by pair, and the tokens of the single bytes. Nothing in it changes: threads may share it. */
typedef struct {
    MergeSlot *slots;
    size_t mask;
    int32_t byte_ids[BYTE_VALUES];
} MergeTable;

/**
 * @brief Prepares the merges of a model.
 * @param index  of the same model
 * @retval CS336_ERANGE  a byte has no token, or a merge's tokens are not in the vocabulary or do not make up its result
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status merge_table_init(MergeTable *table, const BPEModel *model, const TokenIndex *index);

/** @brief Appends the tokens of one pre-token of at least 1 byte. @retval CS336_ENOMEM  ids are as before */
CS336_MUST_CHECK Status merge_table_apply(const MergeTable *table, TokenList *ids, ByteString word);

void merge_table_deinit(MergeTable *table);

#endif
