/**
 * @file
 * @brief Applying merges to one pre-token: the earliest merge that fits first, from left to right, until none fits.
 *
 * Short pre-tokens look at all pairs after each merge, which for a few pairs is fastest; longer ones keep their pairs
 * in a heap, n log n for n bytes.
 */
#ifndef CS336_TOKENIZER_ENCODE_BPE_MERGE_H
#define CS336_TOKENIZER_ENCODE_BPE_MERGE_H

#include "core/status.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/buffers.h"

#include <stddef.h>
#include <stdint.h>

typedef struct {
    int32_t left, right;
    int32_t rank; /**< place of the merge in the order of creation, NO_RANK: a free slot */
} MergeSlot;

/** @brief Merges by pair, and the tokens of the single bytes. Nothing in it changes: threads may share it. */
typedef struct {
    MergeSlot *slots; /**< open addressing */
    size_t mask;
    uint64_t *filter; /**< bit by hash: this pair may be in slots. Most pairs are no merge, and few bits say so */
    size_t filter_mask;
    int32_t *merged; /**< by rank: the token that a merge makes */
    int32_t byte_ids[BYTE_VALUES];
    int32_t (*byte_ranks)[BYTE_VALUES]; /**< ranks of the pairs of single bytes, which every pre-token asks for first */
} MergeTable;

/** @brief What merging works in. A zeroed one is empty. */
typedef struct {
    int32_t *ids; /**< of the latest pre-token */
    size_t capacity;
    void *block;
} MergeScratch;

/**
 * @brief Prepares the merges of a model.
 * @param index  of the same model
 * @retval CS336_ERANGE  a byte has no token, or a merge's tokens are not in the vocabulary or do not make up its result
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status merge_table_init(MergeTable *table, const BPEModel *model, const TokenIndex *index);
void merge_table_deinit(MergeTable *table);

/** @brief Makes room for pre-tokens of up to @p length bytes; what scratch held is lost. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status merge_scratch_reserve(MergeScratch *scratch, size_t length);
void merge_scratch_deinit(MergeScratch *scratch);

/**
 * @brief Finds the tokens of one pre-token of at least 1 byte.
 * @param scratch  with room for it; the tokens are in scratch->ids
 * @return how many tokens
 */
size_t merge_table_apply(const MergeTable *table, MergeScratch *scratch, const uint8_t *word, size_t length);

#endif
