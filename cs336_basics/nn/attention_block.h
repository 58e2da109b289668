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
 * A pass binds the block to memory, starts it, loads the streamed tokens SCORE_BLOCK_ROWS at a time, and stores the
 * block. One thread does all that: starting the block begins its use of the kernels (AttentionKernels.begin), and
 * storing ends it. "Sums so far" are the terms of a sum that have been added up to now.
 */
#ifndef CS336_NN_ATTENTION_BLOCK_H
#define CS336_NN_ATTENTION_BLOCK_H

#include "core/api.h"
#include "nn/attention_plan.h"

CS336_INTERNAL_BEGIN

/** @brief Some queries of a head, and what their outputs need. Shapes count ATTENTION_BLOCK_TOKENS tokens. */
typedef struct {
    size_t head,         /**< which of the plan's heads */
        first,           /**< index of the first query in the head */
        count;           /**< queries of the block, at most the plan's block_tokens */
    PackedColumns query; /**< (tokens, d_k), multiplied by the scale */
    PackedRows output;   /**< (tokens, d_v), not yet divided by the sum */
    float *maximum,      /**< (tokens) m of the online softmax: see functional.c */
        *sum;            /**< (tokens) Z of the online softmax */
    PackedRows key,      /**< (SCORE_BLOCK_ROWS, d_k) the loaded keys */
        value;           /**< (SCORE_BLOCK_ROWS, d_v) their values */
    float *score;        /**< (SCORE_BLOCK_ROWS, SCORE_BLOCK_COLUMNS) in panels; then probabilities */
    float *rescale;      /**< (SCORE_BLOCK_COLUMNS) f of the online softmax */
} QueryBlock;

/** @brief Binds the arrays of the block to @p memory; NULL: only measures. @return the bytes that they take */
size_t query_block_bind(QueryBlock *block, const AttentionPlan *plan, void *memory);

/** @brief Packs the queries from @p first on, and sets their sums for queries that have seen no key yet. */
void query_block_start(QueryBlock *block, const AttentionPlan *plan, size_t head, size_t first);

/** @brief Packs the keys and values from @p key on. */
void query_block_load_keys(QueryBlock *block, const AttentionPlan *plan, size_t key);

/** @brief Writes output = O / Z and log_sum_exp = m + log Z; for a query that saw no key, these are 0 and -inf. */
void query_block_store(QueryBlock *block, const AttentionPlan *plan);

/** @brief Some keys of a head with their values, and their gradients. Shapes count ATTENTION_BLOCK_TOKENS tokens. */
typedef struct {
    size_t head,                 /**< which of the plan's heads */
        first,                   /**< index of the first key in the head */
        count;                   /**< keys of the block, at most the plan's block_tokens */
    PackedColumns key_columns;   /**< (tokens, d_k), multiplied by the scale: for the scores */
    PackedColumns value_columns; /**< (tokens, d_v): for the gradients of the scores */
    PackedRows key;              /**< (tokens, d_k): for the gradients of the queries */
    PackedRows grad_key,         /**< (tokens, d_k) sums so far */
        grad_value;              /**< (tokens, d_v) sums so far */
    size_t query_row,            /**< row of the first loaded query in the query tensor, over all heads */
        query_count;             /**< loaded queries, at most SCORE_BLOCK_ROWS */
    PackedRows query,            /**< (SCORE_BLOCK_ROWS, d_k) the loaded queries */
        grad_output;             /**< (SCORE_BLOCK_ROWS, d_v) the gradients of their outputs */
    PackedRows grad_query;       /**< (SCORE_BLOCK_ROWS, d_k) sums so far */
    float *log_sum_exp,          /**< (SCORE_BLOCK_ROWS) of the loaded queries' scores */
        *delta;                  /**< (SCORE_BLOCK_ROWS) output . grad_output of the loaded queries */
    float *probability,          /**< (SCORE_BLOCK_ROWS, SCORE_BLOCK_COLUMNS) in panels */
        *grad_score;             /**< the same shape, in panels */
} KeyBlock;

/** @brief Binds the arrays of the block, as query_block_bind() does. @return the bytes that they take */
size_t key_block_bind(KeyBlock *block, const AttentionPlan *plan, void *memory);

/**
 * @brief Packs the keys and values from @p first on, with the sums of their gradients.
 * @param[in] fresh  true: no query has added to these sums yet, so they begin at 0; false: reads them from the
 * gradients
 */
void key_block_start(KeyBlock *block, const AttentionPlan *plan, size_t head, size_t first, bool fresh);

/**
 * @brief Packs @p count queries from @p query on, with the sums of their gradients.
 *
 * With the first keys of a head these sums begin at 0, and grad.delta is computed, which is read with the later keys.
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
