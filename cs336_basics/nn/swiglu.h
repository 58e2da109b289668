/**
 * @file
 * @brief The position-wise feed-forward network (handout section 3.4.2, problem positionwise_feedforward).
 *
 * Two forms share one type: SwiGLU, and for the ablation SiLU without a gate, which has no w3.
 * @see Shazeer, GLU Variants Improve Transformer, 2020.
 */
#ifndef CS336_NN_SWIGLU_H
#define CS336_NN_SWIGLU_H

#include "core/arena.h"
#include "core/status.h"
#include "core/tensor.h"
#include "nn/linear.h"

/** @brief Parameters; a second one of the same type holds their gradients. */
typedef struct {
    Linear w1; /**< (d_ff, d_model) */
    Linear w2; /**< (d_model, d_ff) */
    Linear w3; /**< (d_ff, d_model), the gate's factor; weight.data NULL for the SiLU form */
} FeedForward;

/** @brief What the forward pass keeps for the backward pass; (..., d_ff) each. */
typedef struct {
    Tensor up;     /**< w1 x */
    Tensor gate;   /**< w3 x, beside up in one buffer; data NULL for the SiLU form */
    Tensor hidden; /**< silu(up), times gate when there is one */
} FeedForwardSaved;

/** @brief Carves @p saved for an input of the shape of @p x. @retval CS336_ENOMEM  the arena is full */
CS336_MUST_CHECK Status feed_forward_bind_saved(FeedForwardSaved *saved, Arena *arena, Tensor x,
                                                const FeedForward *ffn);

/** @brief Bytes of scratch that the passes take for an input of the shape of @p x. */
size_t feed_forward_scratch(Tensor x, const FeedForward *ffn);

/**
 * @brief SwiGLU, or SiLU feed-forward when w3 is absent.
 * \f[ y = W_2 \left( \mathrm{SiLU}(W_1 x) \odot W_3 x \right) \qquad\text{or}\qquad y = W_2\, \mathrm{SiLU}(W_1 x) \f]
 * @param[out] y        (..., d_model), overwritten; must not overlap x
 * @param[out] saved    for the backward pass; NULL when only inferring
 * @param[in]  x        (..., d_model)
 * @param[in]  ffn      weights
 * @param[in]  scratch  feed_forward_scratch() bytes
 * @retval CS336_ESHAPE  an extent differs
 * @retval CS336_ENOMEM  scratch is too small, or the workspace could not grow
 * @see test_swiglu
 */
CS336_MUST_CHECK Status feed_forward_forward(Tensor y, FeedForwardSaved *saved, Tensor x, const FeedForward *ffn,
                                             Arena *scratch);

/** @brief Gradients of feed_forward_forward(): grad_x (data NULL skips it) overwritten, grad's weights added to. */
CS336_MUST_CHECK Status feed_forward_backward(Tensor grad_x, FeedForward *grad, Tensor grad_y,
                                              const FeedForwardSaved *saved, Tensor x, const FeedForward *ffn,
                                              Arena *scratch);

#endif
