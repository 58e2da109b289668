/**
 * @file
 * @brief The layers backward in double precision: the chain rule, in the plainest loops. The forward passes are those
 * of tests/support/reference_layers.h.
 *
 * Every function adds to its gradients. A gradient that is NULL is not wanted. Some functions take an input twice: `x`,
 * which the forward pass read, and `told`, which the backward pass is told. They are the same array unless a mistake is
 * computed.
 */
#ifndef CS336_TESTS_EXERCISES_CHECKER_PLAIN_LAYERS_H
#define CS336_TESTS_EXERCISES_CHECKER_PLAIN_LAYERS_H

#include "nn/transformer_lm.h"

#include <stddef.h>
#include <stdint.h>

/** @brief The weights of a layer, in the order of transformer_lm_parameters(). */
enum { Q_PROJ, K_PROJ, V_PROJ, OUTPUT_PROJ, LN1, LN2, W1, W3, W2, LAYER_WEIGHTS };

/** @brief Their names in a state dict, without the layer's prefix. */
extern const char *const plain_layer_names[LAYER_WEIGHTS];

/** @brief Sizes of a layer and of its input (batch, seq, d_model). rope_theta 0: no rotation. */
typedef struct {
    size_t batch, seq;
    const TransformerLMConfig *config;
    const int32_t *positions; /**< (seq), the same for each sequence; NULL: 0, 1, 2, ... */
} PlainSizes;

/** @brief Returns the numbers of an input: batch * seq * d_model. */
size_t plain_count(PlainSizes sizes);

/** @brief sum += term */
void plain_add(double *sum, const double *term, size_t count);

/** @name Forward, by the reference
 * @{
 */
void plain_norm(double *y, const double *x, const double *gain, PlainSizes sizes);
void plain_attend(double *y, const double *x, double *const weights[], PlainSizes sizes);
void plain_feed(double *y, const double *x, double *const weights[], PlainSizes sizes);
/** @} */

/** @brief y = W x: grad_x += W^T grad_y, grad_weight += grad_y^T x. */
void plain_linear_backward(double *grad_x, double *grad_weight, const double *grad_y, const double *x,
                           const double *weight, size_t rows, size_t d_in, size_t d_out);

/** @brief y = x / r * gain, where r is the root mean square of the rows of @p of, which is x unless it is a mistake. */
void plain_norm_backward(double *grad_x, double *grad_gain, const double *grad_y, const double *x, const double *of,
                         const double *gain, PlainSizes sizes);

/** @brief y = W2 (silu(W1 x) * W3 x), or W2 silu(W1 x) if there is no W3. @p grads as @p weights, which are a layer's
 */
void plain_feed_backward(double *grad_x, double *const grads[], const double *grad_y, const double *x,
                         const double *told, double *const weights[], PlainSizes sizes);

/** @brief Causal self-attention. @p grads as @p weights, which are a layer's */
void plain_attend_backward(double *grad_x, double *const grads[], const double *grad_y, const double *x,
                           const double *told, double *const weights[], PlainSizes sizes);

/** @brief A layer, by reference_block(), which knows the positions 0, 1, 2, ... only. */
void plain_block(double *y, const double *x, double *const weights[], PlainSizes sizes);

/** @brief A whole layer. @param[in,out] grad  the gradient of its output, overwritten by that of its input */
void plain_block_backward(double *grad, double *const grads[], const double *x, const double *told,
                          double *const weights[], PlainSizes sizes);

#endif
