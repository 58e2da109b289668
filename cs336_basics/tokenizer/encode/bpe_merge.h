/**
 * @file
 * @brief Applies merges to one pre-token: always the pair with the lowest rank, the leftmost of equal ones, until no
 * pair is a merge.
 *
 * In a pre-token of up to 64 bytes all pairs are compared after each merge: O(n^2) for n bytes, but fastest for a few
 * pairs. A longer one keeps its pairs in a heap: O(n log n).
 */
#ifndef CS336_TOKENIZER_ENCODE_BPE_MERGE_H
#define CS336_TOKENIZER_ENCODE_BPE_MERGE_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/buffers.h"

#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/** @brief The rank of a pair that is no merge: higher than all ranks. */
enum { MERGE_NO_RANK = INT32_MAX };

/** @brief An entry of the hash table of merges. */
typedef struct {
    int32_t left, /**< id of the first token of the pair; -1 in a free slot */
        right;    /**< id of the second */
    int32_t rank; /**< when the merge was learned; MERGE_NO_RANK: a free slot */
} MergeSlot;

/** @brief Finds merges by their pairs, and the tokens of single bytes. It never changes, so threads may share it. */
typedef struct {
    MergeSlot *slots; /**< open addressing */
    size_t slot_mask; /**< number of slots - 1, a power of two minus 1 */
    uint64_t *filter; /**< a Bloom filter: a bit that is not set says that a pair is no merge, as most pairs are not */
    size_t filter_mask;                 /**< number of its bits - 1 */
    int32_t *merged;                    /**< by rank: the token that a merge makes */
    int32_t byte_ids[BYTE_VALUES];      /**< by byte: the token that is this byte alone */
    int32_t (*byte_ranks)[BYTE_VALUES]; /**< ranks of the pairs of single bytes: each pre-token begins with these */
} MergeTable;

/** @brief The memory that merging works in. Zeroed, it is empty. */
typedef struct {
    int32_t *ids;    /**< the tokens of the latest pre-token */
    size_t capacity; /**< bytes of the longest pre-token */
    void *memory;    /**< of heap, links and ids */
} MergeScratch;

/**
 * @brief Makes the table of a model's merges.
 * @param index  of the same model
 * @retval CS336_ERANGE  a byte has no token, or a merge has tokens that are not in the vocabulary or do not join to its
 * result
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status merge_table_init(MergeTable *table, const BPEModel *model, const TokenIndex *index);

/** @brief Frees the table; a zeroed one is fine. */
void merge_table_deinit(MergeTable *table);

/** @brief Returns the rank of a pair of tokens, or MERGE_NO_RANK if it is no merge. */
int32_t merge_table_rank(const MergeTable *table, int32_t left, int32_t right);

/** @brief Makes room for pre-tokens of up to @p length bytes; scratch->ids are lost. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status merge_scratch_reserve(MergeScratch *scratch, size_t length);

/** @brief Frees the memory and leaves an empty scratch, which may be used again. */
void merge_scratch_deinit(MergeScratch *scratch);

/**
 * @brief Encodes one pre-token of at least 1 byte.
 * @param scratch  with room for @p length bytes; receives the tokens in scratch->ids
 * @return the number of tokens
 */
size_t merge_table_apply(const MergeTable *table, MergeScratch *scratch, const uint8_t *word, size_t length);

CS336_INTERNAL_END

#endif
