/**
 * @file
 * @brief What BPE training makes and a tokenizer is made of: tokens by id, and merges in their order of creation.
 *
 * - Ids are 0 to vocab_size - 1 without holes.
 * - A zeroed model is empty and ready. It owns its bytes; a token's ByteString is valid until the model changes.
 */
#ifndef CS336_TOKENIZER_BPE_MODEL_H
#define CS336_TOKENIZER_BPE_MODEL_H

#include "core/status.h"
#include "tokenizer/buffers.h"

#include <stddef.h>
#include <stdint.h>

enum { BYTE_VALUES = 256 };

/** @brief left's bytes followed by right's are merged's bytes. */
typedef struct {
    int32_t left, right, merged;
} BPEMerge;

typedef struct {
    size_t vocab_size, merge_count;
    BPEMerge *merges; /**< in order of creation */
    ByteList bytes;   /**< of all tokens, one after the other */
    size_t *ends;     /**< of each token in bytes */
    size_t token_capacity, merge_capacity;
} BPEModel;

/** @brief The bytes of a token; @p id must be below vocab_size. */
ByteString bpe_model_token(const BPEModel *model, int32_t id);

/** @brief Adds a token; its id is the old vocab_size. @retval CS336_ERANGE, CS336_ENOMEM  no more than INT32_MAX fit */
CS336_MUST_CHECK Status bpe_model_add_token(BPEModel *model, ByteString token);

/** @brief Adds a merge of tokens that are there. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status bpe_model_add_merge(BPEModel *model, BPEMerge merge);

/** @brief Adds the token that joins two others, and the merge that makes it. @retval CS336_ERANGE, CS336_ENOMEM  as
 * these */
CS336_MUST_CHECK Status bpe_model_merge(BPEModel *model, int32_t left, int32_t right);

/** @brief Adds those tokens that are not there yet, in the given order. @retval CS336_ERANGE, CS336_ENOMEM  as
 * bpe_model_add_token() */
CS336_MUST_CHECK Status bpe_model_add_absent(BPEModel *model, const ByteString *tokens, size_t count);

/** @brief A copy that shares nothing with the original. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status bpe_model_copy(BPEModel *copy, const BPEModel *model);

void bpe_model_deinit(BPEModel *model);

/** @brief A hash of two ids next to each other. */
static inline uint64_t token_pair_hash(int32_t left, int32_t right)
{
    uint64_t z = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 32)) * 0xD6E8FEB86659FD93U;
    return z ^ (z >> 32);
}

/** @brief Finds ids by bytes. */
typedef struct {
    const BPEModel *model;
    int32_t *slots; /**< id by hash, -1: free */
    size_t mask;
} TokenIndex;

/** @brief An index of a model, which must not change as long as the index is used. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status token_index_init(TokenIndex *index, const BPEModel *model);

/** @brief The lowest id with these bytes, or -1. */
int32_t token_index_find(const TokenIndex *index, ByteString token);

void token_index_deinit(TokenIndex *index);

#endif
