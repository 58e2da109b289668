/**
 * @file
 * @brief One layer: attention and feed-forward, each with a norm and a residual (handout section 3.5, problem
 * transformer_block).
 *
 * Pre-norm is the course's layer; post-norm and no norm are its ablations. norm1 and norm2 have the weights ln1 and
 * ln2:
 * - pre:  z = x + MHA(norm1(x)),  y = z + FFN(norm2(z))
 * - post: z = norm1(x + MHA(x)),  y = norm2(z + FFN(z))
 * - none: z = x + MHA(x),         y = z + FFN(z)
 */
#ifndef CS336_NN_TRANSFORMER_BLOCK_H
#define CS336_NN_TRANSFORMER_BLOCK_H

#include "core/api.h"
#include "core/arena.h"
#include "core/status.h"
#include "core/tensor.h"
#include "nn/feed_forward.h"
#include "nn/mha.h"
#include "nn/rmsnorm.h"

CS336_API_BEGIN

/** @brief Where a layer has its norms. The formulas are at the top of this file. */
typedef enum {
    NORM_PRE,  /**< before attention and before the feed-forward network; the residual is not normalised */
    NORM_POST, /**< after each residual addition, as in Vaswani et al., 2017 */
    NORM_NONE  /**< no RMSNorm: ln1, ln2 and the model's ln_final do not exist */
} NormPlacement;

/** @brief Parameters; a second one of the same type holds their gradients. */
typedef struct {
    NormPlacement norm;          /**< where ln1 and ln2 are applied */
    MultiHeadSelfAttention attn; /**< the attention, MHA */
    RMSNorm ln1,                 /**< (d_model) norm1; weight.data NULL when norm is NORM_NONE */
        ln2;                     /**< (d_model) norm2, likewise */
    FeedForward ffn;             /**< the feed-forward network, FFN */
} TransformerBlock;

/**
 * @brief What the forward pass keeps for the backward pass. The outputs of norms are not kept: the backward pass
 * computes them again from their inputs.
 */
typedef struct {
    MultiHeadSelfAttentionSaved attn; /**< what attention keeps */
    FeedForwardSaved ffn;             /**< what the feed-forward network keeps */
    Tensor sum1; /**< (..., d_model), x + the output of attention; its norm is z with a post-norm, else it is z */
    Tensor sum2; /**< (..., d_model), post-norm only: z + the output of the feed-forward network, before the norm */
    Tensor inverse_rms1; /**< (..., 1) */
    Tensor inverse_rms2; /**< (..., 1) */
} TransformerBlockSaved;

/**
 * @brief Takes @p saved from the arena, for an input of the shape of @p x.
 * @retval CS336_ESHAPE  as mha_bind_saved()
 * @retval CS336_ENOMEM  the arena is full
 * @see test_block_takes_exactly_its_scratch
 */
CS336_MUST_CHECK Status transformer_block_bind_saved(TransformerBlockSaved *saved, Arena *arena, Tensor x,
                                                     const TransformerBlock *block);

/**
 * @brief Returns the bytes of scratch for an input of the shape of @p x.
 * @param[in] saving  false: for a forward pass without @p saved; true: for one with it, and for the backward pass
 */
size_t transformer_block_scratch(Tensor x, const TransformerBlock *block, bool saving);

/**
 * @brief Returns the bytes of scratch that a forward pass with @p saved takes: no more than
 * transformer_block_scratch().
 * @see test_block_takes_exactly_its_scratch
 */
size_t transformer_block_saving_scratch(Tensor x, const TransformerBlock *block);

/**
 * @brief Computes one Transformer layer.
 * @param[out] y          (..., seq, d_model), overwritten; must not overlap x
 * @param[out] saved      for the backward pass; NULL when only inferring
 * @param[in]  x          (..., seq, d_model)
 * @param[in]  block      weights
 * @param[in]  rope       tables for d_k; NULL for no position embedding
 * @param[in]  positions  as for mha_forward()
 * @param[in]  scratch    transformer_block_scratch() bytes, saving or not
 * @retval CS336_ESHAPE, CS336_ERANGE, CS336_ENOMEM  as mha_forward(), feed_forward_forward() and rmsnorm_forward()
 * @see Problem transformer_block, layer_norm_ablation, pre_norm_ablation; test_transformer_block
 */
CS336_MUST_CHECK Status transformer_block_forward(Tensor y, TransformerBlockSaved *saved, Tensor x,
                                                  const TransformerBlock *block, const RoPE *rope,
                                                  TokenTensor positions, Arena *scratch);

/**
 * @brief Computes the gradients of transformer_block_forward().
 * @param[out]    grad_x   (..., seq, d_model), overwritten; may be grad_y itself
 * @param[in,out] grad     gradients of the weights, added to; one whose data is NULL is skipped
 * @param[in]     grad_y   (..., seq, d_model)
 * @param[in,out] saved    as the forward pass wrote it; used up
 * @param[in]     x, block, rope, positions  as the forward pass read them
 * @param[in]     scratch  transformer_block_scratch() bytes, saving
 * @retval CS336_ESHAPE, CS336_ERANGE, CS336_ENOMEM  as mha_forward(), feed_forward_forward() and rmsnorm_forward()
 * @see test_block_gradients_pre_norm, test_block_gradients_post_norm, test_block_gradients_no_norm
 */
CS336_MUST_CHECK Status transformer_block_backward(Tensor grad_x, TransformerBlock *grad, Tensor grad_y,
                                                   TransformerBlockSaved *saved, Tensor x,
                                                   const TransformerBlock *block, const RoPE *rope,
                                                   TokenTensor positions, Arena *scratch);

/**
 * @brief Does what transformer_block_forward() does, for tokens that follow those in the cache: see mha_decode().
 * @retval CS336_ESHAPE, CS336_ERANGE, CS336_ENOMEM  as mha_forward(), feed_forward_forward() and rmsnorm_forward()
 * @see test_block_decode_equals_forward
 */
CS336_MUST_CHECK Status transformer_block_decode(Tensor y, KeyValueCache *cache, Tensor x,
                                                 const TransformerBlock *block, const RoPE *rope, Arena *scratch);

/**
 * @brief Does what transformer_block_decode() does, for sequences of different lengths: see mha_decode_each().
 * @retval CS336_ESHAPE, CS336_ERANGE, CS336_ENOMEM  as transformer_block_decode()
 * @see test_decode_each_equals_one_by_one
 */
CS336_MUST_CHECK Status transformer_block_decode_each(Tensor y, KeyValueCache *const *caches, size_t layer, Tensor x,
                                                      const TransformerBlock *block, const RoPE *rope, Arena *scratch);

CS336_API_END

#endif
