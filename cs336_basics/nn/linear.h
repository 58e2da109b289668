/**
 * @file
 * @brief Linear maps without bias (handout section 3.3.2, problem linear).
 */
#ifndef CS336_NN_LINEAR_H
#define CS336_NN_LINEAR_H

#include "core/api.h"
#include "core/status.h"
#include "core/tensor.h"

CS336_API_BEGIN

/**
 * @brief The number format in which matrix products multiply. Activations, sums and master weights are always float32.
 * With bf16 a product first rounds both operands to bfloat16, forward and backward: matmul_bf16(). With bf16x3 it takes
 * each operand as the sum of two bfloat16 numbers, and adds three products of these: matmul_bf16x3(). The products
 * inside attention follow bf16 as well, and are float32 with the others (nn/mha.h).
 */
typedef enum { DTYPE_FLOAT32, DTYPE_BF16, DTYPE_BF16X3 } DType;

/** @brief Parameters; a second one of the same type holds their gradients. */
typedef struct {
    Tensor weight; /**< (d_out, d_in) */
    DType dtype;   /**< of all three products: y, grad_x and the weight's gradient */
} Linear;

/**
 * @brief Applies a linear map without bias to the last dimension.
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
 * @brief Computes the gradients of linear_forward().
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
 * @brief Does what linear_backward() does, but adds to grad_x: for an input that other functions read, too.
 * @retval CS336_ESHAPE, CS336_ENOMEM  as linear_backward()
 * @see test_swiglu_gradients
 */
CS336_MUST_CHECK Status linear_backward_add(Tensor grad_x, Linear *grad, Tensor grad_y, Tensor x, const Linear *linear);

/**
 * @brief Applies several maps to the same input: y_i = W_i x.
 *
 * One product computes all of them if their weights follow one another in memory, and their outputs are side by side in
 * each row, as views of one wider tensor. Else each map has a product of its own.
 * @param[out] ys     count outputs (..., d_out_i), overwritten; must not overlap x or the weights
 * @param[in]  x      (..., d_in)
 * @param[in]  maps   count maps, weights (d_out_i, d_in)
 * @param[in]  count  at least 1
 * @retval CS336_ESHAPE, CS336_ENOMEM  as linear_forward()
 * @see test_linear_maps_of_one_input_are_those_of_each
 */
CS336_MUST_CHECK Status linear_forward_all(const Tensor *ys, Tensor x, const Linear *const *maps, size_t count);

/**
 * @brief Computes the gradients of linear_forward_all().
 * @param[out]    grad_x   (..., d_in), overwritten by the sum over all maps; data NULL skips it
 * @param[in,out] grads    count gradients (d_out_i, d_in), added to; one whose data is NULL is skipped
 * @param[in]     grad_ys  count gradients (..., d_out_i)
 * @param[in]     x, maps, count  as the forward pass read them
 * @retval CS336_ESHAPE, CS336_ENOMEM  as linear_backward()
 * @see test_linear_maps_of_one_input_are_those_of_each
 */
CS336_MUST_CHECK Status linear_backward_all(Tensor grad_x, Linear *const *grads, const Tensor *grad_ys, Tensor x,
                                            const Linear *const *maps, size_t count);

/**
 * @brief Joins maps whose weights follow one another in memory into one map with the rows of all: a view, no copy.
 *
 * Gradients that are all missing join to a missing one.
 * @param[out] joined  weight (sum of d_out, d_in)
 * @param[in]  maps    maps of the same input
 * @param[in]  count   at least 1
 * @return false if a weight does not begin where the one before it ends, or d_in or dtype differ
 * @see test_linear_join_needs_neighbours
 */
bool linear_join(Linear *joined, const Linear *const *maps, size_t count);

CS336_API_END

#endif
