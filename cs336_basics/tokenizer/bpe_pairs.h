/**
 * @file
 * @brief The pairs of neighbouring tokens in a training corpus: how often each occurs, in which words, and which one is
 * to be merged next.
 *
 * - A pair gains occurrences only in the step that makes the younger of its tokens; from then on it only loses some.
 *   So each pair is in the heap once, and a count there can only be too high: it is corrected when it comes to the top.
 * - A pair's list of words may hold words that have lost it since.
 */
#ifndef CS336_TOKENIZER_BPE_PAIRS_H
#define CS336_TOKENIZER_BPE_PAIRS_H

#include "core/status.h"
#include "tokenizer/bpe_model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NO_VISIT UINT32_MAX

typedef struct {
    int32_t left, right;
    uint64_t count;       /**< occurrences in the corpus */
    uint32_t first, last; /**< of its visits, NO_VISIT: none */
} Pair;

/** @brief A word that has the pair; visits of a pair are a list. */
typedef struct {
    uint32_t word, next;
} Visit;

typedef struct {
    uint64_t count; /**< the pair's count when it was last looked at */
    uint32_t pair;
} Candidate;

/** @brief A zeroed one is empty and ready. */
typedef struct {
    const BPEModel *model; /**< the bytes of the tokens, which settle ties */
    Pair *pairs;
    size_t pair_count, pair_capacity;
    uint32_t *slots; /**< pair + 1 by hash, 0: free */
    size_t slot_count;
    Visit *visits;
    size_t visit_count, visit_capacity;
    Candidate *heap;
    size_t heap_count, heap_capacity;
} BPEPairs;

/** @brief Notes @p count occurrences of a pair in a word. Words come in ascending order. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status bpe_pairs_gain(BPEPairs *pairs, int32_t left, int32_t right, uint32_t word, uint64_t count);

/** @brief Takes back @p count occurrences of a pair that has gained them. */
void bpe_pairs_lose(BPEPairs *pairs, int32_t left, int32_t right, uint64_t count);

/** @brief Lets the pairs from number @p first on, whose gains are complete, compete. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status bpe_pairs_enter(BPEPairs *pairs, size_t first);

/**
 * @brief Takes the most frequent pair out of the competition.
 * Of equally frequent pairs it is the greater one: first the left tokens' bytes decide, then the right ones'.
 * @param[out] best  number of the pair
 * @return false when no pair occurs
 */
bool bpe_pairs_pop(BPEPairs *pairs, uint32_t *best);

void bpe_pairs_deinit(BPEPairs *pairs);

#endif
