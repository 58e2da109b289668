/**
 * @file
 * @brief The bookkeeping of scaled_dot_product_attention_forward() and its backward pass: checked shapes, which keys a
 * tile of queries sees, and the tiles' way from the caller's views into a thread's workspace and back.
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

/** @brief The views of one backward pass beside those of the plan. */
typedef struct {
    Tensor query, key, value;   /**< gradients to write; data NULL: nobody wants them */
    Tensor output, log_sum_exp; /**< gradient to start from; what the forward pass kept */
    float *delta;               /**< (heads * queries) output . grad_output of each row */
} AttentionGradients;

/** @brief Checks what only the backward pass has; @p output is the forward pass's. @retval CS336_ESHAPE */
CS336_MUST_CHECK Status attention_check_gradients(const AttentionPlan *plan, const char *function,
                                                  const AttentionGradients *grad, Tensor output);

/** @brief Computes grad->delta. */
void attention_delta(const AttentionPlan *plan, const AttentionGradients *grad, Tensor output);

/** @brief Sets every row of a gradient to zero, if there is one. */
void attention_clear(Tensor grad);

/** @brief How many parts of @p most tokens cover @p extent, and the extent of the part that begins at @p from. */
size_t attention_parts(size_t extent, size_t most);
size_t attention_part(size_t from, size_t extent, size_t most);

/** @brief Keys that one of the first @p queries queries may see: none follow the last of them. */
size_t attention_keys_seen(const AttentionPlan *plan, size_t queries);

/** @brief Queries that come before any that may see key @p key. */
size_t attention_queries_blind(const AttentionPlan *plan, size_t key);

/** @brief The scores of one head between the queries from @p query and the keys from @p key on: queries in columns. */
AttentionTile attention_tile_of_queries(const AttentionPlan *plan, size_t head, size_t query, size_t key);

/** @brief The same with keys in columns. */
AttentionTile attention_tile_of_keys(const AttentionPlan *plan, size_t head, size_t query, size_t key);

/** @brief What a thread holds while it computes the output of a tile of queries: 130 KB at d_k = d_v = 64. */
typedef struct {
    float *query;                  /**< (d_k, ATTENTION_COLUMNS) scaled, in panels */
    float *key, *value;            /**< (ATTENTION_ROWS, ...) */
    float *score;                  /**< (ATTENTION_ROWS, ATTENTION_COLUMNS) in panels; then probabilities */
    float *output;                 /**< (ATTENTION_COLUMNS, d_v), not yet divided by the sum */
    float *maximum, *sum, *shrink; /**< (ATTENTION_COLUMNS) */
} AttentionForwardTile;

/** @brief Carves the tile from @p memory, or from nothing if that is NULL. @return bytes it takes */
size_t attention_bind_forward_tile(AttentionForwardTile *tile, void *memory, const AttentionPlan *plan);

/** @brief Packs @p count queries from row @p row of all heads; nothing is seen so far. */
void attention_start_queries(AttentionForwardTile *tile, const AttentionPlan *plan, size_t row, size_t count);

/** @brief Packs @p count keys and values from row @p row of all heads. @return whether all values are finite */
bool attention_load_keys(AttentionForwardTile *tile, const AttentionPlan *plan, size_t row, size_t count);

/** @brief output = O / l and log_sum_exp = m + log l. Where nothing was seen O and l are 0 and m is -inf. */
void attention_store_output(Tensor output, Tensor log_sum_exp, const AttentionForwardTile *tile, size_t row,
                            size_t count);

/** @brief What a thread holds while it adds to the gradients of a tile of keys: 270 KB at d_k = d_v = 64. */
typedef struct {
    float *key_columns, *value_columns; /**< (d, ATTENTION_COLUMNS) in panels; the keys scaled */
    float *key;                         /**< (ATTENTION_COLUMNS, d_k) */
    float *grad_key, *grad_value;       /**< (ATTENTION_COLUMNS, ...) sums so far */
    float *query, *grad_output;         /**< (ATTENTION_ROWS, ...) */
    float *grad_query;                  /**< (ATTENTION_ROWS, d_k) what this tile adds */
    float *p, *grad_score;              /**< (ATTENTION_ROWS, ATTENTION_COLUMNS) in panels */
    float *log_sum_exp, *delta;         /**< (ATTENTION_ROWS) */
    bool key_finite, query_finite, grad_finite;
} AttentionBackwardTile;

/** @brief As attention_bind_forward_tile(). */
size_t attention_bind_backward_tile(AttentionBackwardTile *tile, void *memory, const AttentionPlan *plan);

/** @brief Packs @p count keys and values from row @p row of all heads, with the sums of their gradients so far. */
void attention_start_keys(AttentionBackwardTile *tile, const AttentionPlan *plan, const AttentionGradients *grad,
                          size_t row, size_t count);

/** @brief Packs @p count queries from row @p row of all heads with what belongs to them; grad_query becomes 0. */
void attention_load_queries(AttentionBackwardTile *tile, const AttentionPlan *plan, const AttentionGradients *grad,
                            size_t row, size_t count);

/** @brief Adds the tile's part to the gradients of @p count queries. */
void attention_store_query_gradients(const AttentionGradients *grad, const AttentionBackwardTile *tile, size_t row,
                                     size_t count);

/** @brief Puts the sums of the gradients of @p count keys and values back. */
void attention_store_key_gradients(const AttentionGradients *grad, const AttentionBackwardTile *tile, size_t row,
                                   size_t count);

#endif
