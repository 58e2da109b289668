/**
 * @file
 * @brief Linear maps without bias (handout section 3.3.2, problem linear).
 */
#ifndef CS336_NN_LINEAR_H
#define CS336_NN_LINEAR_H

#include "core/status.h"
#include "core/tensor.h"

/**
 * @brief In what matrix products multiply. Activations, sums and master weights are always float32; with bf16 a product
 * rounds both operands to bfloat16 first, forward and backward: matmul_bf16().
 */
typedef enum { DTYPE_FLOAT32, DTYPE_BF16 } DType;

/** @brief Parameters of one map; a second one of the same type holds their gradients. */
typedef struct {
    Tensor weight; /**< (d_out, d_in) */
    DType dtype;   /**< of all three products: y, grad_x and the weight's gradient */
} Linear;

/**
 * @brief Linear map without bias on the last dimension.
 * \f[ y = W x \f]
 * @param[out] y       (..., d_out), overwritten; must not overlap x or the weight
 * @param[in]  x       (..., d_in)
 * @param[in]  linear  weight (d_out, d_in)
 * @retval CS336_ESHAPE  last dimension of x is not d_in, or leading dimensions differ
 * @retval CS336_ENOMEM  the workspace could not grow
 * @see Problem linear; test_linear
 */
CS336_MUST_CHECK Status linear_forward(Tensor y, Tensor x, const Linear *linear);

/**
 * @brief Gradients of linear_forward().
 * @param[out]    grad_x  (..., d_in), overwritten; data NULL skips it
 * @param[in,out] grad    grad->weight (d_out, d_in), added to; data NULL skips it
 * @param[in]     grad_y  (..., d_out)
 * @param[in]     x       (..., d_in), the forward pass's input
 * @param[in]     linear  weight (d_out, d_in)
 * @retval CS336_ESHAPE  extents differ
 * @retval CS336_ENOMEM  the workspace could not grow
 * @see test_linear_gradients
 */
CS336_MUST_CHECK Status linear_backward(Tensor grad_x, Linear *grad, Tensor grad_y, Tensor x, const Linear *linear);

/**
 * @brief linear_backward(), but grad_x is added to: for an input that several maps read.
 * @retval CS336_ESHAPE, CS336_ENOMEM  as linear_backward()
 * @see test_swiglu_gradients
 */
CS336_MUST_CHECK Status linear_backward_add(Tensor grad_x, Linear *grad, Tensor grad_y, Tensor x, const Linear *linear);

/**
 * @brief The map whose rows are those of several, when their weights follow one another in memory.
 *
 * One product then computes all of them, its outputs side by side. Gradients that are all missing join to a missing
 * one.
 * @param[out] joined  weight (sum of d_out, d_in), a view
 * @param[in]  parts   maps of the same d_in and dtype
 * @param[in]  count   at least 1
 * @return false when they do not lie so
 * @see test_linear_join_needs_neighbours
 */
bool linear_join(Linear *joined, const Linear *const *parts, size_t count);

#endif
