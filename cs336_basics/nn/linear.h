/**
 * @file
 * @brief Linear maps without bias (handout section 3.3.2, problem linear).
 */
#ifndef CS336_NN_LINEAR_H
#define CS336_NN_LINEAR_H

#include "core/status.h"
#include "core/tensor.h"

/** @brief Parameters of one map; a second one of the same type holds their gradients. */
typedef struct {
    Tensor weight; /**< (d_out, d_in) */
} Linear;

/**
 * @brief Linear map without bias on the last dimension.
 * \f[ y = W x \f]
 * @param[out] y       (..., d_out), overwritten; must not overlap x or the weight
 * @param[in]  x       (..., d_in)
 * @param[in]  linear  weight (d_out, d_in)
 * @retval CS336_ESHAPE  last dimension of x is not d_in, or leading dimensions differ
 * @retval CS336_ENOMEM  the workspace could not grow
 * @see linear_backward(); test_linear
 */
CS336_MUST_CHECK Status linear_forward(Tensor y, Tensor x, const Linear *linear);

/**
 * @brief Gradients of linear_forward().
 * @param[out]    grad_x  (..., d_in), overwritten; data NULL skips it
 * @param[in,out] grad    grad->weight (d_out, d_in), added to; data NULL skips it
 * @param[in]     grad_y  (..., d_out)
 * @param[in]     x       (..., d_in), the forward pass's input
 * @param[in]     linear  weight (d_out, d_in)
 */
CS336_MUST_CHECK Status linear_backward(Tensor grad_x, Linear *grad, Tensor grad_y, Tensor x, const Linear *linear);

#endif
