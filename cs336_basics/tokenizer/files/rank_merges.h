/**
 * @file
 * @brief Finds the merges of a vocabulary that has only ranks, as tiktoken's files do.
 *
 * tiktoken has no list of merges: it joins two neighbours if the vocabulary has a token with their bytes, the one with
 * the lowest rank first, and the rank is the id. That is byte-pair encoding with one merge for each token: whatever
 * stands around a token, its own bytes are joined in one order as long as nothing is joined across its borders. So the
 * last two parts of a token are always the same two, and joining its bytes alone finds them.
 * @see tiktoken's `_educational.py` and `byte_pair_merge()`
 */
#ifndef CS336_TOKENIZER_FILES_RANK_MERGES_H
#define CS336_TOKENIZER_FILES_RANK_MERGES_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/bpe_model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/**
 * @brief Bytes of the longest token of which the parts are searched. The search compares all pairs after each join:
 * O(n^2). The longest token of cl100k_base has 128 bytes.
 */
enum { RANK_LONGEST_TOKEN = 4096 };

/** @brief A vocabulary and the memory to join tokens in. The model is the caller's; the rest is owned. */
typedef struct {
    const BPEModel *model; /**< must not change */
    TokenIndex index;      /**< of its tokens */
    bool *special;         /**< by id: true if the token is a special token alone */
    size_t *begins;        /**< where the parts of a token begin, and the token's end behind them */
    int32_t *joined;       /**< (parts - 1) the token that a part and its neighbour join to; INT32_MAX: none */
} RankMerges;

/**
 * @brief Prepares the search.
 * @param where  the beginning of the message if a token is too long
 * @retval CS336_EFORMAT  a token is longer than RANK_LONGEST_TOKEN
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status rank_merges_init(RankMerges *ranks, const BPEModel *model, const char *where);

/**
 * @brief Finds the last two parts of a token of at least two bytes. The model has a token for each byte.
 * @return false if joining stops at three parts or more: then only a pre-token that is this token becomes it
 */
bool rank_merges_find(RankMerges *ranks, int32_t id, BPEMerge *merge);

/** @brief Frees the memory; a zeroed struct is fine. */
void rank_merges_deinit(RankMerges *ranks);

CS336_INTERNAL_END

#endif
