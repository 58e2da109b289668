/**
 * @file
 * @brief Rotary position embedding (handout section 3.4.3, problem rope).
 *
 * - Numbers 2k and 2k + 1 of a row form a point that is rotated by position * theta^(-2k / d_k).
 * - The dot product of a rotated query and a rotated key then depends on the distance of their positions.
 * - The backward pass rotates by the opposite angle.
 * @see Su et al., RoFormer, 2021.
 */
#ifndef CS336_NN_ROPE_H
#define CS336_NN_ROPE_H

#include "core/api.h"
#include "core/arena.h"
#include "core/status.h"
#include "core/tensor.h"

CS336_API_BEGIN

/** @brief Precomputed tables of the angles. They are not learned. */
typedef struct {
    Tensor cosine; /**< (max_seq_len, d_k / 2) */
    Tensor sine;   /**< (max_seq_len, d_k / 2) */
} RoPE;

/**
 * @brief Takes the tables from @p arena and, unless it only measures, fills them. Angles are computed in double.
 * @param[out] rope         tables
 * @param      arena        owns the tables
 * @param[in]  theta        base of the angles, 1e4 in the course
 * @param[in]  d_k          numbers of a row, even
 * @param[in]  max_seq_len  positions are 0 .. max_seq_len - 1
 * @retval CS336_ESHAPE  d_k is odd
 * @retval CS336_ERANGE  theta is not positive
 * @retval CS336_ENOMEM  the arena is full
 * @see Problem rope; test_rope
 */
CS336_MUST_CHECK Status rope_bind(RoPE *rope, Arena *arena, float theta, size_t d_k, size_t max_seq_len);

/**
 * @brief Rotates the pairs of each row by angles that grow with its position.
 * @param[out] y          (..., seq, d_k), overwritten; may be x itself
 * @param[in]  x          (..., seq, d_k)
 * @param[in]  positions  (..., seq), broadcast over the leading dimensions of x; data NULL: 0 .. seq - 1
 * @param[in]  rope       tables
 * @retval CS336_ESHAPE  d_k differs from the tables', positions do not broadcast, or rows are not contiguous
 * @retval CS336_ERANGE  a position is negative or not below max_seq_len
 * @see Problem rope; test_rope
 */
CS336_MUST_CHECK Status rope_forward(Tensor y, Tensor x, TokenTensor positions, const RoPE *rope);

/**
 * @brief Computes the gradient of rope_forward(): rotates by the opposite angles.
 * @param[out] grad_x  (..., seq, d_k), overwritten; may be grad_y itself
 * @param[in]  grad_y  (..., seq, d_k)
 * @param[in]  positions, rope  as the forward pass had them
 * @retval CS336_ESHAPE, CS336_ERANGE  as rope_forward()
 * @see test_rope_gradients
 */
CS336_MUST_CHECK Status rope_backward(Tensor grad_x, Tensor grad_y, TokenTensor positions, const RoPE *rope);

CS336_API_END

#endif
