/**
 * @file
 * @brief Causal multi-head self-attention (handout section 3.4.5, problem multihead_self_attention).
 *
 * - Three linear maps give query, key and value. Each head is a view of d_k of their columns; no head is copied.
 * - RoPE rotates query and key in place.
 * - scaled_dot_product_attention_forward() computes the outputs of all heads, and a linear map mixes them. If the dtype
 *   of q_proj is DTYPE_BF16, scaled_dot_product_attention_bf16_forward() does, and its backward pass; with every other
 *   dtype attention is float32.
 */
#ifndef CS336_NN_MHA_H
#define CS336_NN_MHA_H

#include "core/api.h"
#include "core/arena.h"
#include "core/status.h"
#include "core/tensor.h"
#include "nn/linear.h"
#include "nn/rope.h"

CS336_API_BEGIN

/**
 * @brief Parameters; a second one of the same type holds their gradients. The first d_k rows of q_proj, k_proj and
 * v_proj belong to head 0, the next to head 1, and so on.
 */
typedef struct {
    size_t num_heads;   /**< divides d_model; d_k = d_v = d_model / num_heads */
    Linear q_proj;      /**< (d_model, d_model) */
    Linear k_proj;      /**< (d_model, d_model) */
    Linear v_proj;      /**< (d_model, d_model) */
    Linear output_proj; /**< (d_model, d_model) */
} MultiHeadSelfAttention;

/** @brief What the forward pass keeps for the backward pass. */
typedef struct {
    Tensor query,       /**< (..., seq, d_model), heads side by side, already rotated */
        key,            /**< (..., seq, d_model), likewise */
        value;          /**< (..., seq, d_model), heads side by side; values are not rotated */
    Tensor attended;    /**< (..., seq, d_model), the heads' outputs side by side, before output_proj */
    Tensor log_sum_exp; /**< (..., heads, seq, 1) */
} MultiHeadSelfAttentionSaved;

/** @brief Keys and values of the tokens seen so far, for decoding: (..., heads, capacity, d_k) each. */
typedef struct {
    Tensor key;    /**< rotated keys */
    Tensor value;  /**< values */
    size_t length; /**< tokens seen: the rows in use of the capacity */
} KeyValueCache;

/**
 * @brief Takes @p saved from the arena, for an input of the shape of @p x.
 * @retval CS336_ESHAPE  num_heads does not divide d_model, or x has no dimension seq
 * @retval CS336_ENOMEM  the arena is full
 * @see test_mha_takes_exactly_its_scratch
 */
CS336_MUST_CHECK Status mha_bind_saved(MultiHeadSelfAttentionSaved *saved, Arena *arena, Tensor x, size_t num_heads);

/** @brief Returns the bytes of scratch that any of the passes needs, for an input of the shape of @p x. */
size_t mha_scratch(Tensor x, size_t num_heads);

/**
 * @brief Computes causal self-attention with several heads: each token attends to itself and those before it.
 * \f[ y = W_O\, \mathrm{concat}_h\, \mathrm{SDPA}(\mathrm{RoPE}(Q_h), \mathrm{RoPE}(K_h), V_h) \f]
 * @param[out] y          (..., seq, d_model), overwritten; must not overlap x
 * @param[out] saved      for the backward pass; NULL when only inferring
 * @param[in]  x          (..., seq, d_model)
 * @param[in]  mha        weights
 * @param[in]  rope       tables for d_k; NULL for attention without positions
 * @param[in]  positions  (..., seq), as for rope_forward() with the head axis left out; data NULL: 0 .. seq - 1
 * @param[in]  scratch    mha_scratch() bytes
 * @retval CS336_ESHAPE  num_heads does not divide d_model, or an extent differs
 * @retval CS336_ERANGE  a position outside the tables
 * @retval CS336_ENOMEM  scratch is too small, or the workspace could not grow
 * @see Problem multihead_self_attention; test_multihead_self_attention, test_multihead_self_attention_with_rope
 */
CS336_MUST_CHECK Status mha_forward(Tensor y, MultiHeadSelfAttentionSaved *saved, Tensor x,
                                    const MultiHeadSelfAttention *mha, const RoPE *rope, TokenTensor positions,
                                    Arena *scratch);

/**
 * @brief Computes the gradients of mha_forward().
 * @param[out]    grad_x   (..., seq, d_model), overwritten; data NULL skips it
 * @param[in,out] grad     gradients of the weights, added to; one whose data is NULL is skipped
 * @param[in]     grad_y   (..., seq, d_model)
 * @param[in]     saved    as the forward pass wrote it
 * @param[in]     x, mha, rope, positions  as the forward pass read them
 * @param[in]     scratch  mha_scratch() bytes
 * @retval CS336_ESHAPE, CS336_ERANGE, CS336_ENOMEM  as mha_forward()
 * @see test_mha_gradients, test_mha_with_rope_gradients
 */
CS336_MUST_CHECK Status mha_backward(Tensor grad_x, MultiHeadSelfAttention *grad, Tensor grad_y,
                                     const MultiHeadSelfAttentionSaved *saved, Tensor x,
                                     const MultiHeadSelfAttention *mha, const RoPE *rope, TokenTensor positions,
                                     Arena *scratch);

/**
 * @brief Does what mha_forward() does, for tokens that follow those in the cache. Their keys and values are appended.
 * @param[out]    y        (..., seq, d_model), overwritten; must not overlap x
 * @param[in,out] cache    length grows by seq, and stays on failure; positions are length, length + 1, ...
 * @param[in]     x        (..., seq, d_model)
 * @param[in]     mha      weights
 * @param[in]     rope     tables for d_k; NULL for attention without positions
 * @param[in]     scratch  mha_scratch() bytes
 * @retval CS336_ESHAPE  the cache has another shape or too little room, or as mha_forward()
 * @retval CS336_ERANGE  a position outside the tables
 * @retval CS336_ENOMEM  scratch is too small, or the workspace could not grow
 * @see test_mha_decode_equals_forward
 */
CS336_MUST_CHECK Status mha_decode(Tensor y, KeyValueCache *cache, Tensor x, const MultiHeadSelfAttention *mha,
                                   const RoPE *rope, Arena *scratch);

/**
 * @brief Does what mha_decode() does for one token of each of several sequences of different lengths, with one product
 * for the projections of all. Row i of y has the same bits as mha_decode() gives for that sequence alone, as long as
 * there are at most 16 rows of x: test_decode_each_equals_one_by_one.
 * @param[out]    y        (sequences, 1, d_model), overwritten; must not overlap x
 * @param[in,out] caches   caches[i][layer], of shape (1, heads, capacity, d_k), belongs to x[i]: its keys and values
 * are appended. Its length stays: the caller adds 1 when all layers have seen the tokens
 * @param[in]     layer    index of this layer
 * @param[in]     x        (sequences, 1, d_model)
 * @param[in]     mha, rope, scratch  as mha_decode()
 * @retval CS336_ESHAPE, CS336_ERANGE, CS336_ENOMEM  as mha_decode()
 */
CS336_MUST_CHECK Status mha_decode_each(Tensor y, KeyValueCache *const *caches, size_t layer, Tensor x,
                                        const MultiHeadSelfAttention *mha, const RoPE *rope, Arena *scratch);

CS336_API_END

#endif
