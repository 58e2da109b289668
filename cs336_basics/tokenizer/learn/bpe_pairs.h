/**
 * @file
 * @brief The pairs of neighbouring tokens in a training corpus: how often each occurs, at which positions, and which
 * one is merged next.
 *
 * - All occurrences of a pair appear together: when pairs are collected from the corpus, or in the merge that makes the
 *   younger of its two tokens. Later the pair only loses occurrences. So its positions are written once, and the lost
 *   ones are recognised when the pair is merged.
 * - The heap is lazy: each pair is in it once, with the count that it had, which can only be too high. bpe_pairs_pop()
 *   corrects the count when the pair comes to the top.
 * - Positions are stored in slabs of 1 MiB that never move.
 */
#ifndef CS336_TOKENIZER_LEARN_BPE_PAIRS_H
#define CS336_TOKENIZER_LEARN_BPE_PAIRS_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/bpe_model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/** @brief What bpe_pairs_find() returns for a pair that is not there; the numbers of pairs are smaller. */
#define NO_PAIR UINT32_MAX

/** @brief Two neighbouring tokens, and where they occur. */
typedef struct {
    int32_t left,            /**< id of the first token */
        right;               /**< id of the second */
    uint64_t count;          /**< occurrences in the corpus */
    uint32_t *positions;     /**< where it occurred when it appeared, ascending */
    uint32_t position_count; /**< length of positions, where occurrences that the pair has lost stay */
} Pair;

/** @brief A slot of the index. It holds the tokens, so that most lookups need not follow the number to the pair. */
typedef struct {
    int32_t left,    /**< id of the pair's first token */
        right;       /**< id of its second */
    uint32_t number; /**< of the pair, plus 1; 0: a free slot */
} PairSlot;

/** @brief An entry of the heap. */
typedef struct {
    uint64_t count; /**< the pair's count when the entry was made or corrected */
    uint32_t pair;  /**< its number */
} PairCandidate;

/** @brief 1 MiB of positions of many pairs, or more for one pair that needs more. */
typedef struct PositionSlab PositionSlab;

/** @brief All pairs of a corpus. Zeroed, except for a model, it is empty and ready. */
typedef struct {
    const BPEModel *model; /**< the bytes of the tokens, which decide between equal counts */
    Pair *pairs;           /**< by number */
    size_t pair_count,     /**< numbers are below it */
        pair_capacity;     /**< pairs that there is room for */
    PairSlot *slots;       /**< hash table from tokens to numbers, with open addressing */
    size_t slot_count;     /**< a power of two; 0 before the first pair */
    PositionSlab *slabs;   /**< a linked list, the slab that is being filled first */
    PairCandidate *heap;   /**< a binary heap with the best candidate at index 0 */
    size_t heap_count,     /**< candidates in the heap */
        heap_capacity;     /**< candidates that there is room for */
} BPEPairs;

/** @brief Returns the slot of a pair, or the free slot where it belongs. There must be slots. */
static inline PairSlot *bpe_pairs_slot(const BPEPairs *pairs, int32_t left, int32_t right)
{
    for (size_t i = (size_t)token_pair_hash(left, right);; i++) {
        PairSlot *slot = &pairs->slots[i & (pairs->slot_count - 1)];
        if ((slot->left == left && slot->right == right) || slot->number == 0)
            return slot;
    }
}

/** @brief Returns the number of a pair, or NO_PAIR. */
static inline uint32_t bpe_pairs_find(const BPEPairs *pairs, int32_t left, int32_t right)
{
    return pairs->slot_count ? bpe_pairs_slot(pairs, left, right)->number - 1 : NO_PAIR;
}

/** @brief Adds a pair that is not there yet, with count 0. It has no positions and is not in the heap. @retval
 * CS336_ENOMEM */
CS336_MUST_CHECK Status bpe_pairs_add(BPEPairs *pairs, int32_t left, int32_t right, uint32_t *number);

/**
 * @brief Puts a pair into the heap with its count, and makes room for its positions, which the caller writes.
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status bpe_pairs_enter(BPEPairs *pairs, uint32_t number, uint32_t position_count);

/** @brief Removes the pairs with a lower count, before any pair has entered the heap. Numbers change. */
void bpe_pairs_keep(BPEPairs *pairs, uint64_t least_count);

/**
 * @brief Takes the most frequent pair out of the heap.
 * Of equally frequent pairs it takes the greater one: the bytes of the left tokens are compared first, then those of
 * the right ones.
 * @param[out] best  number of the pair
 * @return false if no pair occurs at least @p least_count times
 */
bool bpe_pairs_pop(BPEPairs *pairs, uint64_t least_count, uint32_t *best);

/** @brief Removes all pairs and frees their memory. */
void bpe_pairs_clear(BPEPairs *pairs);

CS336_INTERNAL_END

#endif
