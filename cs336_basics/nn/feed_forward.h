/**
 * @file
 * @brief The position-wise feed-forward network (handout section 3.4.2, problem positionwise_feedforward).
 *
 * Two forms share one type: SwiGLU, and SiLU without a gate for the ablation, which has no w3.
 * @see Shazeer, GLU Variants Improve Transformer, 2020.
 */
#ifndef CS336_NN_FEED_FORWARD_H
#define CS336_NN_FEED_FORWARD_H

#include "core/api.h"
#include "core/arena.h"
#include "core/status.h"
#include "core/tensor.h"
#include "nn/linear.h"

CS336_API_BEGIN

/** @brief Parameters; a second one of the same type holds their gradients. */
typedef struct {
    Linear w1; /**< (d_ff, d_model) */
    Linear w2; /**< (d_model, d_ff) */
    Linear w3; /**< (d_ff, d_model), makes the gate; weight.data NULL for the SiLU form */
} FeedForward;

/**
 * @brief What the forward pass keeps for the backward pass, (..., d_ff) each. silu(up) * gate is not kept: the backward
 * pass computes it again, which takes less time than writing it to memory and reading it.
 */
typedef struct {
    Tensor up;   /**< w1 x */
    Tensor gate; /**< w3 x, beside up in each row; data NULL for the SiLU form */
} FeedForwardSaved;

/**
 * @brief Takes @p saved from the arena, for an input of the shape of @p x.
 * @retval CS336_ENOMEM  the arena is full
 * @see test_feed_forward_inference_takes_exactly_its_scratch
 */
CS336_MUST_CHECK Status feed_forward_bind_saved(FeedForwardSaved *saved, Arena *arena, Tensor x,
                                                const FeedForward *ffn);

/**
 * @brief Returns the bytes of scratch for an input of the shape of @p x.
 * @param[in] saving  false: for a forward pass without @p saved; true: for one with it, and for the backward pass
 */
size_t feed_forward_scratch(Tensor x, const FeedForward *ffn, bool saving);

/**
 * @brief Computes the SwiGLU network, or the SiLU network if w3 is absent.
 * \f[ y = W_2 \left( \mathrm{SiLU}(W_1 x) \odot W_3 x \right) \qquad\text{or}\qquad y = W_2\, \mathrm{SiLU}(W_1 x) \f]
 * @param[out] y        (..., d_model), overwritten; must not overlap x
 * @param[out] saved    for the backward pass; NULL when only inferring
 * @param[in]  x        (..., d_model)
 * @param[in]  ffn      weights
 * @param[in]  scratch  feed_forward_scratch() bytes
 * @retval CS336_ESHAPE  an extent differs: of x and y, or among the weights
 * @retval CS336_ENOMEM  scratch is too small, or the workspace could not grow
 * @see Problem positionwise_feedforward, swiglu_ablation; test_swiglu, test_silu_feed_forward_gradients
 */
CS336_MUST_CHECK Status feed_forward_forward(Tensor y, FeedForwardSaved *saved, Tensor x, const FeedForward *ffn,
                                             Arena *scratch);

/**
 * @brief Computes the gradients of feed_forward_forward().
 * @param[out]    grad_x   (..., d_model), overwritten; data NULL skips it
 * @param[in,out] grad     gradients of the weights, added to; one whose data is NULL is skipped
 * @param[in]     grad_y   (..., d_model)
 * @param[in,out] saved    as the forward pass wrote it; their gradients overwrite up and gate
 * @param[in]     x, ffn   as the forward pass read them
 * @param[in]     scratch  feed_forward_scratch() bytes
 * @retval CS336_ESHAPE, CS336_ENOMEM  as feed_forward_forward()
 * @see test_swiglu_gradients, test_silu_feed_forward_gradients
 */
CS336_MUST_CHECK Status feed_forward_backward(Tensor grad_x, FeedForward *grad, Tensor grad_y, FeedForwardSaved *saved,
                                              Tensor x, const FeedForward *ffn, Arena *scratch);

CS336_API_END

#endif
