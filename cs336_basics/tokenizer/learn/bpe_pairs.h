/**
 * @file
 * @brief The pairs of neighbouring tokens in a training corpus: how often each occurs, where, and which one is to be
 * merged next.
 *
 * - All occurrences of a pair come into being together: when the pairs are collected from the corpus, or in the merge
 *   that makes the younger of its tokens. From then on it only loses some. So its places are written once, and those
 *   that it has lost are found out when it is merged.
 * - For the same reason each pair is in the heap once, and a count there can only be too high: it is corrected when it
 *   comes to the top.
 * - Places of all pairs lie in large blocks that never move.
 */
#ifndef CS336_TOKENIZER_LEARN_BPE_PAIRS_H
#define CS336_TOKENIZER_LEARN_BPE_PAIRS_H

#include "core/status.h"
#include "tokenizer/bpe_model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NO_PAIR UINT32_MAX

typedef struct {
    int32_t left, right;
    uint64_t count;   /**< occurrences in the corpus */
    uint32_t *places; /**< where it occurred when it came up, ascending */
    uint32_t place_count;
} Pair;

/** @brief An entry of the hash index, with the tokens: most questions need not look at the pair itself. */
typedef struct {
    int32_t left, right;
    uint32_t number; /**< of the pair, plus 1; 0: free */
} PairSlot;

typedef struct {
    uint64_t count; /**< the pair's count when it was last looked at */
    uint32_t pair;
} Candidate;

typedef struct PlaceBlock PlaceBlock;

/** @brief A zeroed one with a model is empty and ready. */
typedef struct {
    const BPEModel *model; /**< the bytes of the tokens, which settle ties */
    Pair *pairs;
    size_t pair_count, pair_capacity;
    PairSlot *slots;
    size_t slot_count;
    PlaceBlock *blocks;
    Candidate *heap; /**< the best candidate is on top */
    size_t heap_count, heap_capacity;
} BPEPairs;

/** @brief The slot of a pair, or the free one where it belongs; there must be slots. */
static inline PairSlot *bpe_pairs_slot(const BPEPairs *pairs, int32_t left, int32_t right)
{
    for (size_t at = (size_t)token_pair_hash(left, right);; at++) {
        PairSlot *slot = &pairs->slots[at & (pairs->slot_count - 1)];
        if ((slot->left == left && slot->right == right) || slot->number == 0)
            return slot;
    }
}

/** @brief The number of a pair, or NO_PAIR. */
static inline uint32_t bpe_pairs_find(const BPEPairs *pairs, int32_t left, int32_t right)
{
    return pairs->slot_count ? bpe_pairs_slot(pairs, left, right)->number - 1 : NO_PAIR;
}

/** @brief Adds a pair that is not there; it has no count, no places, and does not compete. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status bpe_pairs_add(BPEPairs *pairs, int32_t left, int32_t right, uint32_t *number);

/**
 * @brief Lets a pair compete by its count, and makes room for its places, which the caller writes.
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status bpe_pairs_enter(BPEPairs *pairs, uint32_t number, uint32_t place_count);

/** @brief Removes the pairs below a count, none of which has entered; numbers change. */
void bpe_pairs_keep(BPEPairs *pairs, uint64_t least_count);

/**
 * @brief Takes the most frequent pair out of the competition.
 * Of equally frequent pairs it is the greater one: first the left tokens' bytes decide, then the right ones'.
 * @param[out] best  number of the pair
 * @return false when none occurs @p least_count times
 */
bool bpe_pairs_pop(BPEPairs *pairs, uint64_t least_count, uint32_t *best);

/** @brief Removes all pairs, and gives all memory back. */
void bpe_pairs_clear(BPEPairs *pairs);

#endif
