/**
 * @file
 * @brief Textbook forwards in double precision, independent of the product, and what differentiates them.
 *
 * - Arrays are contiguous and row-major; outputs come first, as in the product.
 * - Nothing here is fast, tiled or clever: it is what the formula says, in one or two loops.
 * - A gradient is tested by comparing the product's backward pass with central differences of these functions.
 */
#ifndef CS336_TESTS_SUPPORT_REFERENCE_H
#define CS336_TESTS_SUPPORT_REFERENCE_H

#include "core/tensor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** @brief A number computed from arrays that @p context points to, such as sum(grad_y * forward(x)). */
typedef double ReferenceLoss(void *context);

/**
 * @brief Central difference (f(x + h) - f(x - h)) / 2h of @p loss for each of the @p count numbers at @p x.
 * @param[out] gradient  count numbers
 * @param      x         changed and put back, one at a time; @p loss reads them through its context
 * @param      step      h; its error is of the order of h^2, and rounding adds about 1e-16 / h
 */
void central_difference(double *gradient, double *x, size_t count, double step, ReferenceLoss *loss, void *context);

/** @brief Fails the test unless @p actual is close to the central difference of @p loss with respect to @p x. */
void assert_gradient(const char *what, const float *actual, double *x, size_t count, ReferenceLoss *loss, void *context,
                     double rtol, double atol);

/** @brief sum_i a_i b_i: the usual loss, with b the gradient that the backward pass is given. */
double reference_dot(const double *a, const double *b, size_t count);

/** @brief The numbers of a view, in row-major order, as double. */
void reference_widen(double *to, Tensor from);

/** @brief Softmax over the middle one of three dimensions (outer, n, inner). */
void reference_softmax(double *y, const double *x, size_t outer, size_t n, size_t inner);

/** @brief log sum_j exp(x_j) of each of @p rows rows of n numbers. */
void reference_log_sum_exp(double *log_sum_exp, const double *x, size_t rows, size_t n);

/** @brief x / (1 + exp(-x)) */
void reference_silu(double *y, const double *x, size_t count);

/** @brief Mean of -log softmax(logits)[target] over the rows. */
double reference_cross_entropy(const double *logits, const int32_t *targets, size_t rows, size_t vocab);

/** @brief Sizes of one attention problem: @p batch stands for all leading dimensions together. */
typedef struct {
    size_t batch, queries, keys, d_k, d_v;
} AttentionSizes;

/**
 * @brief softmax(Q K^T / sqrt(d_k)) V with all scores in memory.
 * @param[out] output       (batch, queries, d_v); zeros where nothing is seen
 * @param[out] log_sum_exp  (batch, queries), -inf where nothing is seen; NULL skips it
 * @param[in]  visible      (batch, queries, keys), true = attend; what is not visible is not read
 */
void reference_attention(double *output, double *log_sum_exp, const double *query, const double *key,
                         const double *value, const bool *visible, AttentionSizes sizes);

/** @brief Arrays of one attention problem and its gradients, in the shapes that reference_attention() names. */
typedef struct {
    double *grad_query, *grad_key, *grad_value; /**< overwritten */
    const double *grad_output, *query, *key, *value;
    const bool *visible;
} AttentionReference;

/** @brief Gradients of reference_attention() by the chain rule, with all probabilities of a query in memory. */
void reference_attention_backward(AttentionReference arrays, AttentionSizes sizes);

/** @brief visible[b][i][j] of ATTEND_CAUSAL: query i of n sees keys 0 .. i + m - n. */
void reference_causal(bool *visible, AttentionSizes sizes);

#endif
