/**
 * @file
 * @brief What scaled_dot_product_attention_forward() and its backward pass share: checked shapes, and which keys a tile
 * of queries sees.
 */
#ifndef CS336_NN_ATTENTION_PLAN_H
#define CS336_NN_ATTENTION_PLAN_H

#include "kernels/attention_tile.h"
#include "nn/functional.h"

/** @brief One call: its inputs, whose shapes agree, and its sizes. "Head" stands for all leading dimensions together.
 */
typedef struct {
    Tensor query, key, value;
    AttentionKind kind;
    MaskTensor where; /**< broadcast to (..., q, k); data NULL unless kind is ATTEND_WHERE */
    size_t heads, queries, keys, d_k, d_v;
    float scale; /**< 1 / sqrt(d_k) */
} AttentionPlan;

/** @brief Checks the inputs and outputs that both passes have. @retval CS336_ESHAPE  as the passes document */
CS336_MUST_CHECK Status attention_plan(AttentionPlan *plan, const char *function, Tensor output, Tensor log_sum_exp,
                                       Tensor query, Tensor key, Tensor value, AttentionMask mask);

/** @brief Checks that an array may be written where @p like is read: same shape, rows contiguous, none repeated. */
CS336_MUST_CHECK Status attention_check_gradient(const char *function, const char *name, Tensor grad, Tensor like);

/** @brief Keys that one of the first @p queries queries may see: none follow the last of them. */
size_t attention_keys_seen(const AttentionPlan *plan, size_t queries);

/** @brief Queries that come before any that may see key @p key. */
size_t attention_queries_blind(const AttentionPlan *plan, size_t key);

/** @brief The scores of one head between the queries from @p query and the keys from @p key on: queries in columns. */
AttentionTile attention_tile_of_queries(const AttentionPlan *plan, size_t head, size_t query, size_t key);

/** @brief The same with keys in columns. */
AttentionTile attention_tile_of_keys(const AttentionPlan *plan, size_t head, size_t query, size_t key);

#endif
