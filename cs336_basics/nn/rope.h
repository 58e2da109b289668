/**
 * @file
 * @brief Rotary position embedding (handout section 3.5.3, problem rope).
 *
 * - Numbers 2k and 2k + 1 of a row form a point that is rotated by position * theta^(-2k / d_k).
 * - Rotation by the opposite angle undoes it, and is its backward pass.
 * @see Su et al., RoFormer, 2021.
 */
#ifndef CS336_NN_ROPE_H
#define CS336_NN_ROPE_H

#include "core/arena.h"
#include "core/status.h"
#include "core/tensor.h"

/** @brief Precomputed tables: no parameters, nothing to learn. */
typedef struct {
    Tensor cosine; /**< (max_seq_len, d_k / 2) */
    Tensor sine;   /**< (max_seq_len, d_k / 2) */
} RoPE;

/**
 * @brief Carves the tables from @p arena and, unless it only measures, fills them, computing in double.
 * @retval CS336_ESHAPE  d_k is odd
 * @retval CS336_ERANGE  theta is not positive
 * @retval CS336_ENOMEM  the arena is full
 */
CS336_MUST_CHECK Status rope_bind(RoPE *rope, Arena *arena, float theta, size_t d_k, size_t max_seq_len);

/**
 * @brief Rotates each row by its position.
 * @param[out] y          (..., seq, d_k), overwritten; may be x itself
 * @param[in]  x          (..., seq, d_k)
 * @param[in]  positions  (..., seq), broadcast over the leading dimensions of x; data NULL: 0 .. seq - 1
 * @param[in]  rope       tables
 * @retval CS336_ESHAPE  d_k differs from the tables', positions do not broadcast
 * @retval CS336_ERANGE  a position is negative or not below max_seq_len
 */
CS336_MUST_CHECK Status rope_forward(Tensor y, Tensor x, TokenTensor positions, const RoPE *rope);

/** @brief Rotates the gradient back: grad_x overwritten, may be grad_y itself. */
CS336_MUST_CHECK Status rope_backward(Tensor grad_x, Tensor grad_y, TokenTensor positions, const RoPE *rope);

#endif
