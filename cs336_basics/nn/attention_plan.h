/**
 * @file
 * @brief The bookkeeping of scaled_dot_product_attention_forward() and its backward pass: checked shapes, which keys a
 * tile of queries sees, and the tiles' way from the caller's views into a thread's workspace and back.
 */
#ifndef CS336_NN_ATTENTION_PLAN_H
#define CS336_NN_ATTENTION_PLAN_H

#include "kernels/attention_tile.h"
#include "nn/functional.h"

/** @brief Most tokens that one thread keeps at a time while those of the other side stream past them. */
enum { ATTENTION_SPAN = 256 };

/** @brief One call: its inputs, whose shapes agree, and its sizes. "Head" stands for all leading dimensions together.
 */
typedef struct {
    Tensor output, query, key, value;
    AttentionKind kind;
    MaskTensor where; /**< broadcast to (..., q, k); data NULL unless kind is ATTEND_WHERE */
    size_t heads, queries, keys, d_k, d_v;
    size_t span; /**< tokens that a thread keeps, whole tiles: fewer where that gives each thread something to do */
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

/** @brief Sets every row of a gradient to zero, if there is one. */
void attention_clear(Tensor grad);

/** @brief Whether it is worth waking other threads. */
bool attention_is_large(const AttentionPlan *plan);

/** @brief How many parts of @p most tokens cover @p extent, and the extent of the part that begins at @p from. */
size_t attention_parts(size_t extent, size_t most);
size_t attention_part(size_t from, size_t extent, size_t most);

/** @brief Keys that one of the first @p queries queries may see: none follow the last of them. */
size_t attention_keys_seen(const AttentionPlan *plan, size_t queries);

/** @brief The first query of the first span that may see key @p key; that of key 0 is the first of all. */
size_t attention_first_block(const AttentionPlan *plan, size_t key);

/** @brief The scores of one head between the queries from @p query and the keys from @p key on: queries in columns. */
AttentionTile attention_tile_of_queries(const AttentionPlan *plan, size_t head, size_t query, size_t key);

/** @brief The same with keys in columns. */
AttentionTile attention_tile_of_keys(const AttentionPlan *plan, size_t head, size_t query, size_t key);

/** @brief What a thread holds while it computes the output of a span of queries: 220 KB at d_k = d_v = 64. */
typedef struct {
    float *query;         /**< (d_k, ATTENTION_SPAN) scaled, in panels */
    float *output;        /**< (ATTENTION_SPAN, d_v), not yet divided by the sum */
    float *maximum, *sum; /**< (ATTENTION_SPAN) */
    float *key, *value;   /**< (ATTENTION_ROWS, ...) */
    float *score;         /**< (ATTENTION_ROWS, ATTENTION_COLUMNS) in panels; then probabilities */
    float *shrink;        /**< (ATTENTION_COLUMNS) */
    bool value_finite;
} AttentionQuerySpan;

/** @brief Carves the span from @p memory, or from nothing if that is NULL. @return bytes it takes */
size_t attention_bind_query_span(AttentionQuerySpan *span, void *memory, const AttentionPlan *plan);

/** @brief Packs @p count queries from row @p row of all heads; nothing is seen so far. */
void attention_start_queries(AttentionQuerySpan *span, const AttentionPlan *plan, size_t row, size_t count);

/** @brief Packs @p count keys and values from row @p row of all heads. */
void attention_load_keys(AttentionQuerySpan *span, const AttentionPlan *plan, size_t row, size_t count);

/** @brief output = O / l and log_sum_exp = m + log l. Where nothing was seen O and l are 0 and m is -inf. */
void attention_store_output(Tensor output, Tensor log_sum_exp, AttentionQuerySpan *span, size_t row, size_t count);

/** @brief What a thread holds while it adds to the gradients of a span of keys: 450 KB at d_k = d_v = 64. */
typedef struct {
    float *key_columns, *value_columns; /**< (d, ATTENTION_SPAN) in panels; the keys scaled */
    float *key;                         /**< (ATTENTION_SPAN, d_k) */
    float *grad_key, *grad_value;       /**< (ATTENTION_SPAN, ...) sums so far */
    float *query, *grad_output;         /**< (ATTENTION_ROWS, ...) */
    float *grad_query;                  /**< (ATTENTION_ROWS, d_k) sums so far */
    float *p, *grad_score;              /**< (ATTENTION_ROWS, ATTENTION_COLUMNS) in panels */
    float *log_sum_exp, *delta;         /**< (ATTENTION_ROWS) */
    bool key_finite, query_finite, grad_finite;
} AttentionKeySpan;

/** @brief As attention_bind_query_span(). */
size_t attention_bind_key_span(AttentionKeySpan *span, void *memory, const AttentionPlan *plan);

/**
 * @brief Packs @p count keys and values from row @p row of all heads, with the sums of their gradients.
 * @param[in] first  no query has added to those sums yet
 */
void attention_start_keys(AttentionKeySpan *span, const AttentionPlan *plan, const AttentionGradients *grad, size_t row,
                          size_t count, bool first);

/**
 * @brief Packs @p count queries from row @p row of all heads with what belongs to them.
 * @param[in] first  no key has added to their gradients yet, and grad->delta is still to be computed
 */
void attention_load_queries(AttentionKeySpan *span, const AttentionPlan *plan, const AttentionGradients *grad,
                            size_t row, size_t count, bool first);

/** @brief Puts the sums of the gradients of @p count queries back. */
void attention_store_query_gradients(const AttentionGradients *grad, const AttentionKeySpan *span, size_t row,
                                     size_t count);

/** @brief Puts the sums of the gradients of @p count keys and values back. */
void attention_store_key_gradients(const AttentionGradients *grad, const AttentionKeySpan *span, size_t row,
                                   size_t count);

#endif
