/**
 * @file
 * @brief Attention whose products round their operands to bfloat16, in double precision, and how far float32 may be
 * off.
 *
 * A float32 result differs a little from the double one, and where it is about the middle between two bfloat16 numbers,
 * it may round to the other neighbour. So each result comes with a bound of its own: the sum of what the float32
 * arithmetic may add, and of the roundings that it may decide otherwise. Most results have none of these, and a bound
 * far below the error of bfloat16.
 */
#ifndef CS336_TESTS_SUPPORT_REFERENCE_BF16_H
#define CS336_TESTS_SUPPORT_REFERENCE_BF16_H

#include "tests/support/reference.h"

/** @brief Numbers that are expected, and the distance within which each must be. */
typedef struct {
    double *expected, *bound;
} Bounded;

/** @brief Arrays of one problem, in the shapes of reference_attention(). Inputs are not rounded yet. */
typedef struct {
    Bounded output, log_sum_exp, grad_query, grad_key, grad_value; /**< overwritten */
    const double *query, *key, *value, *grad_output;
    const double *given_output; /**< (batch, queries, d_v) the output that the backward pass is given */
    const bool *visible;
} AttentionBf16;

/** @brief Computes the results of scaled_dot_product_attention_bf16_forward() and its backward pass. */
void reference_attention_bf16(const AttentionBf16 *arrays, AttentionSizes sizes);

/** @brief Fails the test unless each number of @p actual is within its bound. */
void assert_bounded(const char *what, Tensor actual, Bounded reference);

#endif
