/**
 * @file
 * @brief Says which tokens may stand side by side, without merging any text. This is what encodes a long pre-token from
 * left to right (long_pretoken.h).
 *
 * **Canonical tokens.** A token is canonical if its bytes, encoded alone, give this one token. Only canonical tokens
 * occur in the ids of a text: up to the moment when a token of the result is complete, merges have changed its bytes as
 * if they were alone, because the next merge of a part is the lowest merge of that part in whatever text it stands.
 *
 * **Pairs decide.** Two canonical tokens are compatible if their bytes, encoded together, give these two tokens.
 * Tokens t1 t2 ... tn are the encoding of their bytes if and only if each of them is canonical and each is compatible
 * with the next one.
 * - Suppose that in the whole text some merge crosses a border between two of the tokens, ti and ti+1, and take the
 *   first such merge. Before it, the bytes of ti and those of ti+1 have gone through exactly the steps that they go
 *   through in the text of these two alone: each step was the lowest of the whole text, so it was the lowest of the
 *   two. Then the text of the two alone contains that merge too, and the two are not compatible.
 * - The other way round, if t1 ... tn is the encoding, no merge has crossed a border, and the same argument says that
 *   none crosses it in the text of two neighbours alone.
 *
 * **Spines.** Whether l and r are compatible depends on the tokens beside the border alone. While l is made from its
 * bytes, the token that ends at the border is first l's last byte, then grows whenever a merge takes it as its right
 * part, until it is l. On the other side it is first r's first byte, until it is r:
 *
 *     l = "unlike"   un|like   lik|e                   beside the border:  e, like, unlike
 *     r = "ly"       l|y                               on the other side:  l, ly
 *
 * A merge of rank p of the two tokens beside the border comes if p is lower than the rank at which the left one grows,
 * and not higher than the rank at which the right one grows (of equal ranks the leftmost merge comes first: one inside
 * l before one across the border before one inside r). If none comes until both are complete, l and r are compatible.
 * So the time is the number of steps in which the two tokens grow; their length does not matter. A cache makes it
 * shorter: the question about l and r contains the one about l and r's left part, and that was often asked a few bytes
 * earlier.
 *
 * **Models in order.** This needs that the merges of any text come in the order of their ranks. They do if each
 * canonical token is made of parts that merges of lower ranks have made: what a merge makes possible then has a higher
 * rank than that merge. All models that were learned are like this. One that was put together otherwise may not be;
 * TokenPairs.in_order says so, and then token_pairs_fit() must not be called.
 */
#ifndef CS336_TOKENIZER_ENCODE_TOKEN_PAIRS_H
#define CS336_TOKENIZER_ENCODE_TOKEN_PAIRS_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/encode/bpe_merge.h"

#include <stdbool.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/** @brief Values of TokenParts.rank that are no rank. Both are lower than all ranks. */
enum {
    RANK_OF_BYTE = -1,      /**< the token is a byte: it is there before the first merge */
    RANK_NOT_CANONICAL = -2 /**< the token never occurs in the ids of a text */
};

/** @brief How a token is made. */
typedef struct {
    int32_t left,   /**< id of the left part; only of a token that a merge makes */
        right;      /**< id of the right part */
    int32_t rank;   /**< of the one merge that makes it when its bytes are encoded, or one of the values above */
    int32_t length; /**< bytes */
} TokenParts;

/** @brief What is known about two tokens: one of the first two, and with PAIR_CROSSED perhaps one of the others. */
enum {
    PAIR_FITS = 1,      /**< they are compatible */
    PAIR_CROSSED = 2,   /**< they are not: a merge crosses the border */
    PAIR_LEFT_PART = 4, /**< and it comes before the left token is complete */
    PAIR_RIGHT_PART = 8 /**< and it comes before the right token is complete */
};

/** @brief An entry of the cache of answers. */
typedef struct {
    int32_t left,   /**< the left token */
        right;      /**< the right token */
    int32_t answer; /**< 0: a free entry */
} PairAnswer;

/** @brief Slots of a cache of answers, as a power of two: 8192 of them take 96 KiB. */
enum { PAIR_ANSWERS_LOG2 = 13 };

/** @brief Which tokens are canonical, and how each is made. It never changes, so threads may share it. */
typedef struct {
    const MergeTable *merges; /**< the caller's */
    TokenParts *parts;        /**< by id */
    bool in_order; /**< no canonical token has a part that only a later merge makes; if false, parts are incomplete */
} TokenPairs;

/**
 * @brief Finds the canonical tokens of a model, merge by merge.
 * @param merges  of the same model; must outlive the pairs
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status token_pairs_init(TokenPairs *pairs, const BPEModel *model, const MergeTable *merges);

/** @brief Frees the parts; a zeroed struct is fine. */
void token_pairs_deinit(TokenPairs *pairs);

/** @brief Returns the slot for two tokens: the cache is direct-mapped. */
static inline PairAnswer *pair_answer_slot(PairAnswer *cache, int32_t left, int32_t right)
{
    const uint64_t key = (uint64_t)left << 32 | (uint64_t)right;
    return &cache[key * UINT64_C(0x9E3779B97F4A7C15) >> (64 - PAIR_ANSWERS_LOG2)];
}

/** @brief token_pairs_fit() for tokens that are not in the cache; enters them. */
bool token_pairs_fit_uncached(const TokenPairs *pairs, PairAnswer *cache, int32_t left, int32_t right);

/**
 * @brief True if two canonical tokens of a model in order are compatible.
 * @param cache  1 << PAIR_ANSWERS_LOG2 slots, zeroed at first, of one thread and one model
 */
static inline bool token_pairs_fit(const TokenPairs *pairs, PairAnswer *cache, int32_t left, int32_t right)
{
    const PairAnswer *slot = pair_answer_slot(cache, left, right);
    if (slot->left == left && slot->right == right && slot->answer)
        return slot->answer == PAIR_FITS;
    return token_pairs_fit_uncached(pairs, cache, left, right);
}

CS336_INTERNAL_END

#endif
