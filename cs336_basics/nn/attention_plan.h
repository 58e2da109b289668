/**
 * @file
 * @brief The plan of one call of scaled dot-product attention: checked shapes, blocks, and which keys each block sees.
 *
 * - functional.c is the algorithm. It takes sizes and masks from this file, packed operands from attention_block.h, and
 *   the arithmetic from kernels/attention.h.
 * - A query block is consecutive queries of one head: one thread keeps them while the keys stream past. In the backward
 *   pass, a key block is kept while queries stream past. A score block is the rectangle of scores that one call of a
 *   kernel computes: 128 streamed tokens and 32 of the kept ones.
 * - All leading dimensions of a tensor together count as heads: (batch, heads, q, d_k) has batch x heads of them.
 */
#ifndef CS336_NN_ATTENTION_PLAN_H
#define CS336_NN_ATTENTION_PLAN_H

#include "core/api.h"
#include "core/parallel.h"
#include "kernels/attention.h"
#include "nn/functional.h"

CS336_INTERNAL_BEGIN

/**
 * @brief Tokens of a query block or key block, at most. The longer the block, the less often the streamed tokens are
 * packed. With 256 tokens and d_k = d_v = 64 the workspace of a thread (220 KB, backward 450 KB) still fits an L2
 * cache.
 */
enum { ATTENTION_BLOCK_TOKENS = 256 };

/**
 * @brief Queries of a head up to which each is computed alone, from keys and values where they lie. A score block has a
 * lane for each query: across so few, 12 of the 16 lanes of AVX-512 would be empty.
 */
enum { ATTENTION_FEW_QUERIES = 4 };

/** @brief The tensors that only the backward pass has. */
typedef struct {
    Tensor output; /**< (..., q, d_v) the gradient to start from */
    Tensor query,  /**< (..., q, d_k) to write; data NULL: not wanted */
        key,       /**< (..., k, d_k) likewise */
        value;     /**< (..., k, d_v) likewise */
    float *delta;  /**< (heads * queries) output . grad_output of each query */
} AttentionGradients;

/** @brief All about one call. The caller sets the fields down to grad, attention_plan() the others. */
typedef struct {
    Tensor output;           /**< (..., q, d_v) */
    Tensor log_sum_exp;      /**< (..., q, 1); data NULL when only inferring */
    Tensor query,            /**< (..., q, d_k) */
        key,                 /**< (..., k, d_k) */
        value;               /**< (..., k, d_v) */
    AttentionMask mask;      /**< attention_plan() broadcasts mask.where to (..., q, k) */
    bool bf16;               /**< products round their operands to bfloat16 */
    AttentionGradients grad; /**< backward pass only */

    size_t heads,                    /**< product of the leading extents, such as batch times heads */
        queries,                     /**< q, the queries of each head */
        keys,                        /**< k, the keys of each head */
        d_k,                         /**< numbers in a query or a key */
        d_v;                         /**< numbers in a value or an output */
    size_t block_tokens;             /**< ATTENTION_BLOCK_TOKENS, or fewer where that gives every thread some blocks */
    float scale;                     /**< 1 / sqrt(d_k) */
    const AttentionKernels *kernels; /**< of the instruction set in use, float32 or bfloat16 */
    const ParallelWorkspace *workspace; /**< set by the pass, after parallel_reserve() */
} AttentionPlan;

/**
 * @brief Checks the tensors and the mask that both passes have, and computes the sizes.
 * @param[in] function  the caller, for messages
 * @retval CS336_ESHAPE  as the passes document
 */
CS336_MUST_CHECK Status attention_plan(AttentionPlan *plan, const char *function);

/** @brief Checks what only the backward pass has, after attention_plan(). @retval CS336_ESHAPE */
CS336_MUST_CHECK Status attention_plan_gradients(const AttentionPlan *plan, const char *function);

/** @brief Returns the number of threads that are worth starting for this call: all, or 1 for a small one. */
int attention_threads(const AttentionPlan *plan);

/** @brief Returns the same for queries that are computed alone, and see @p keys keys in sum over queries and heads. */
int attention_few_threads(size_t keys, size_t d_k, size_t d_v);

/** @brief Returns how many blocks of @p block tokens cover @p extent tokens. */
size_t block_count(size_t extent, size_t block);

/** @brief Returns the tokens of the block that begins at @p first: @p block, or what is left of @p extent. */
size_t block_extent(size_t first, size_t extent, size_t block);

/** @brief Returns how many keys the first @p queries queries may see: none of them sees a later key. */
size_t attention_keys_seen(const AttentionPlan *plan, size_t queries);

/**
 * @brief Returns the first query of the first query block that may see key @p key.
 *
 * For key 0 it is query 0, even if that query sees nothing: the key block that begins with key 0 meets all queries, so
 * that each query's gradient is written.
 */
size_t attention_first_query(const AttentionPlan *plan, size_t key);

/** @brief Returns one query of a head with the keys that it sees, for AttentionKernels.attend. */
AttentionQuery attention_query(const AttentionPlan *plan, size_t head, size_t query);

/** @brief Returns the score block that begins at @p query and @p key of a head, queries in columns. */
ScoreBlock attention_forward_scores(const AttentionPlan *plan, size_t head, size_t query, size_t key);

/** @brief Returns the score block that begins at @p query and @p key of a head, keys in columns. */
ScoreBlock attention_backward_scores(const AttentionPlan *plan, size_t head, size_t query, size_t key);

CS336_INTERNAL_END

#endif
