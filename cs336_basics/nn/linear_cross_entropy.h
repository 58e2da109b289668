/**
 * @file
 * @brief The last linear map and the cross-entropy of its outputs, by chunks of rows.
 *
 * The logits, one number for each token and each entry of the vocabulary, are by far the largest tensor of a model.
 * Here the logits of only one chunk of rows exist at a time: they are computed, overwritten by their own gradient, and
 * passed to the backward pass of the linear map before the next chunk overwrites them.
 */
#ifndef CS336_NN_LINEAR_CROSS_ENTROPY_H
#define CS336_NN_LINEAR_CROSS_ENTROPY_H

#include "core/api.h"
#include "core/arena.h"
#include "core/status.h"
#include "core/tensor.h"
#include "nn/linear.h"

CS336_API_BEGIN

/** @brief Returns the bytes of scratch for an input of the shape of @p x: the logits of one chunk. */
size_t linear_cross_entropy_scratch(Tensor x, const Linear *linear);

/**
 * @brief Computes cross_entropy_forward() of linear_forward(), and the gradients of both.
 * \f[ L = \frac1N \sum_n \left( \log \sum_j e^{z_{nj}} - z_{n, t_n} \right), \qquad z_n = W x_n \f]
 * @param[out]    loss     mean over all rows, summed in double
 * @param[out]    grad_x   (..., d_in), overwritten; must not overlap x; data NULL skips it
 * @param[in,out] grad     grad->weight (d_out, d_in), added to; NULL, or data NULL, skips it
 * @param[in]     x        (..., d_in), contiguous, at least one row
 * @param[in]     targets  (...), each below d_out
 * @param[in]     linear   weight (d_out, d_in)
 * @param[in]     scratch  linear_cross_entropy_scratch() bytes
 * @retval CS336_ESHAPE  extents differ, there is no row, or x or grad_x is not contiguous
 * @retval CS336_ERANGE  a target is not below d_out; nothing was written
 * @retval CS336_ENOMEM  scratch is too small, or the workspace could not grow
 * @see Handout section 4.1, problem cross_entropy; test_linear_cross_entropy_equals_linear_and_cross_entropy
 */
CS336_MUST_CHECK Status linear_cross_entropy(float *loss, Tensor grad_x, Linear *grad, Tensor x, TokenTensor targets,
                                             const Linear *linear, Arena *scratch);

/**
 * @brief Computes the loss of each row on its own, as cross_entropy_forward() of linear_forward() for that row.
 * \f[ L_n = \log \sum_j e^{z_{nj}} - z_{n, t_n}, \qquad z_n = W x_n \f]
 * @param[out] losses   (..., 1), overwritten, nats
 * @param[in]  x        (..., d_in), contiguous, at least one row
 * @param[in]  targets  (...), each below d_out
 * @param[in]  linear   weight (d_out, d_in)
 * @param[in]  scratch  linear_cross_entropy_scratch() bytes
 * @retval CS336_ESHAPE, CS336_ERANGE, CS336_ENOMEM  as linear_cross_entropy()
 * @see test_linear_cross_entropy_rows_are_those_of_the_reference
 */
CS336_MUST_CHECK Status linear_cross_entropy_rows(Tensor losses, Tensor x, TokenTensor targets, const Linear *linear,
                                                  Arena *scratch);

CS336_API_END

#endif
