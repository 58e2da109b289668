/**
 * @file
 * @brief Loops over rows of floats: the parts that softmax, log-sum-exp, cross-entropy, SiLU and the norms share.
 *
 * - One thread each: callers share out rows. No restrictions on alignment; n may be 0.
 * - y may be x itself, but must not overlap it otherwise.
 * - Sums are taken in an order that depends only on n and the instruction set (isa_in_use()).
 * - NaN and infinities go the way of IEEE arithmetic, in every function.
 */
#ifndef CS336_KERNELS_VECMATH_H
#define CS336_KERNELS_VECMATH_H

#include <stddef.h>

/** @brief \f$ y_i = e^{x_i} \f$ to 2 units in the last place; 0 for -inf, inf above 88.73, NaN for NaN. */
void vec_exp(float *y, const float *x, size_t n);

/**
 * @brief \f$ y_i = e^{x_i - shift} \f$, and the sum of the y. With shift the greatest x: softmax but for the division.
 * @param[out] y  n numbers, or NULL where only the sum is wanted (log-sum-exp)
 */
float vec_exp_shifted(float *y, const float *x, float shift, size_t n);

/** @brief \f$ y_i = 1 / (1 + e^{-x_i}) \f$; SiLU is x times this. */
void vec_sigmoid(float *y, const float *x, size_t n);

/** @brief \f$ \sum_i x_i \f$ */
float vec_sum(const float *x, size_t n);

/** @brief The greatest x; NaN is passed over (exponentials of the row bring it up again), -inf when n is 0. */
float vec_max(const float *x, size_t n);

/** @brief \f$ \sum_i x_i y_i \f$ */
float vec_dot(const float *x, const float *y, size_t n);

/** @brief \f$ y_i = a\, x_i \f$ */
void vec_scale(float *y, float a, const float *x, size_t n);

/** @brief \f$ y_i = y_i + a\, x_i \f$ */
void vec_axpy(float *y, float a, const float *x, size_t n);

#endif
