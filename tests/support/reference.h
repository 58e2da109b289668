/**
 * @file
 * @brief Textbook forward passes in double precision, independent of the library, and numerical differentiation.
 *
 * - Arrays are contiguous and row-major; outputs come first, as in the library.
 * - Nothing here is fast or blocked: each function is its formula, in one or two loops.
 * - Gradients are tested by comparing the library's backward pass with central differences of these functions.
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
 * @param      x         each number is changed and restored; @p loss reads them through its context
 * @param      step      h; its error is of the order of h^2, and rounding adds about 1e-16 / h
 */
void central_difference(double *gradient, double *x, size_t count, double step, ReferenceLoss *loss, void *context);

/** @brief Fails the test unless @p actual is close to the central difference of @p loss with respect to @p x. */
void assert_gradient(const char *what, Tensor actual, double *x, ReferenceLoss *loss, void *context, double rtol,
                     double atol);

/** @brief sum_i a_i b_i. As a loss of a, its gradient is b, which is what the backward pass then receives. */
double reference_dot(const double *a, const double *b, size_t count);

/** @brief Converts the numbers of a view to double, in row-major order. */
void reference_widen(double *destination, Tensor source);

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
 * @param[out] output       (batch, queries, d_v); zeros for a query that sees no key
 * @param[out] log_sum_exp  (batch, queries), -inf for a query that sees no key; may be NULL
 * @param[in]  visible      (batch, queries, keys), true = attend; keys and values that no query sees are not read
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
