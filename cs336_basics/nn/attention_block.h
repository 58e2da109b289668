/**
 * @file
 * @brief The operands of attention in a thread's workspace: packed from the caller's tensors, stored back when done.
 *
 * Each pass keeps one block and streams the other side past it:
 *
 *              kept         streamed, SCORE_BLOCK_ROWS at a time
 *     forward  QueryBlock   keys and values
 *     backward KeyBlock     queries, the gradients of their outputs, and the sums for their own gradients
 *
 * A block is bound to memory, started, loaded with one group of streamed tokens after the other, and stored.
 */
#ifndef CS336_NN_ATTENTION_BLOCK_H
#define CS336_NN_ATTENTION_BLOCK_H

#include "core/api.h"
#include "nn/attention_plan.h"

CS336_INTERNAL_BEGIN

/** @brief Some queries of a head, and what their outputs need. Shapes count ATTENTION_BLOCK_TOKENS tokens. */
typedef struct {
    size_t head, first, count; /**< the queries first ... first + count - 1 of this head */
    PackedColumns query;       /**< (tokens, d_k), multiplied by the scale */
    PackedRows output;         /**< (tokens, d_v), not yet divided by the sum */
    float *maximum, *sum;      /**< (tokens) of the online softmax */
    PackedRows key, value;     /**< (SCORE_BLOCK_ROWS, ...) */
    float *score;              /**< (SCORE_BLOCK_ROWS, SCORE_BLOCK_COLUMNS) in panels; then probabilities */
    float *rescale;            /**< (SCORE_BLOCK_COLUMNS) */
} QueryBlock;

/** @brief Places the arrays of the block in @p memory, or only measures if that is NULL. @return bytes it takes */
size_t query_block_bind(QueryBlock *block, const AttentionPlan *plan, void *memory);

/** @brief Packs the queries from @p first on; they have seen no key yet. */
void query_block_start(QueryBlock *block, const AttentionPlan *plan, size_t head, size_t first);

/** @brief Packs the keys and values from @p key on. */
void query_block_load_keys(QueryBlock *block, const AttentionPlan *plan, size_t key);

/** @brief Writes output = O / l and log_sum_exp = m + log l; where nothing was seen, these are 0 and -inf. */
void query_block_store(QueryBlock *block, const AttentionPlan *plan);

/** @brief Some keys of a head with their values, and their gradients. Shapes count ATTENTION_BLOCK_TOKENS tokens. */
typedef struct {
    size_t head, first, count;       /**< the keys first ... first + count - 1 of this head */
    PackedColumns key_columns;       /**< (tokens, d_k), multiplied by the scale: for the scores */
    PackedColumns value_columns;     /**< (tokens, d_v): for the gradients of the scores */
    PackedRows key;                  /**< (tokens, d_k): for the gradients of the queries */
    PackedRows grad_key, grad_value; /**< (tokens, ...) sums so far */
    size_t query_row, query_count;   /**< the loaded queries: rows of the query tensor */
    PackedRows query, grad_output;   /**< (SCORE_BLOCK_ROWS, ...) */
    PackedRows grad_query;           /**< (SCORE_BLOCK_ROWS, d_k) sums so far */
    float *log_sum_exp, *delta;      /**< (SCORE_BLOCK_ROWS) */
    float *probability, *grad_score; /**< (SCORE_BLOCK_ROWS, SCORE_BLOCK_COLUMNS) in panels */
} KeyBlock;

/** @brief Places the arrays of the block, as query_block_bind() does. @return bytes it takes */
size_t key_block_bind(KeyBlock *block, const AttentionPlan *plan, void *memory);

/**
 * @brief Packs the keys and values from @p first on, with the sums of their gradients.
 * @param[in] fresh  true: no query has added to these sums yet, they are 0
 */
void key_block_start(KeyBlock *block, const AttentionPlan *plan, size_t head, size_t first, bool fresh);

/**
 * @brief Packs @p count queries from @p query on, with the sums of their gradients.
 *
 * For the first keys of a head these sums are 0, and it computes grad.delta, which later keys read.
 */
void key_block_load_queries(KeyBlock *block, const AttentionPlan *plan, size_t query, size_t count);

/** @brief Writes the sums of the loaded queries' gradients back. */
void key_block_store_queries(const KeyBlock *block, const AttentionPlan *plan);

/** @brief Writes the sums of the keys' and values' gradients back. */
void key_block_store(const KeyBlock *block, const AttentionPlan *plan);

/** @brief Sets every row of a gradient to 0, if it is wanted. */
void attention_clear_gradient(Tensor grad);

CS336_INTERNAL_END

#endif
