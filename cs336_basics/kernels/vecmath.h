/**
 * @file
 * @brief Loops over rows of floats: the parts that softmax, log-sum-exp, cross-entropy, SiLU and the norms share, and
 * what a layer does to its rows between the matrix products.
 *
 * - One thread each: callers share out rows. No restrictions on alignment; n may be 0.
 * - y may be x itself, but must not overlap it otherwise.
 * - Sums are taken in an order that depends only on n and the instruction set (isa_in_use()).
 * - NaN and infinities go the way of IEEE arithmetic, in every function.
 */
#ifndef CS336_KERNELS_VECMATH_H
#define CS336_KERNELS_VECMATH_H

#include <stdbool.h>
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

/** @brief \f$ y_i = a\, x_i f_i \f$ */
void vec_scale_each(float *y, float a, const float *x, const float *factor, size_t n);

/** @brief \f$ h_i = \mathrm{SiLU}(u_i)\, g_i \f$; without the last factor when @p gate is NULL. */
void vec_swiglu(float *hidden, const float *up, const float *gate, size_t n);

/**
 * @brief Gradients of vec_swiglu(), in place: what backward needs of the forward is computed once more on the way.
 * @param[in,out] up      u; becomes its gradient
 * @param[in,out] gate    g; becomes its gradient; NULL when there is none
 * @param[in,out] hidden  the gradient of h; becomes h
 */
void vec_swiglu_backward(float *up, float *gate, float *hidden, size_t n);

/**
 * @brief Gradients of one row of rmsnorm_forward(), where they are derived.
 * @param[in,out] grad_x     overwritten, or added to when @p add is true; NULL skips it; may be grad_y itself
 * @param[in,out] grad_gain  added to; NULL skips it
 */
void vec_rmsnorm_backward(float *grad_x, bool add, float *grad_gain, const float *grad_y, const float *x,
                          const float *gain, float inverse_rms, size_t n);

/**
 * @brief Rotates pairs (a, b) of each row to (a cos - b sin, a sin + b cos); by the opposite angle for direction -1.
 * @param[out] y       @p rows rows of 2 * pairs numbers, @p y_step floats apart
 * @param[in]  x       rows @p x_step floats apart
 * @param[in]  cosine, sine  one number for each pair, the same for all rows
 */
void vec_rotate(float *y, ptrdiff_t y_step, const float *x, ptrdiff_t x_step, size_t rows, const float *cosine,
                const float *sine, float direction, size_t pairs);

/** @brief A step's scalars: computed in double, applied in float32, as PyTorch does. */
typedef struct {
    float grad_factor;       /**< of clipping; 1 for none */
    float decay;             /**< 1 - lr * weight_decay */
    float rate1;             /**< 1 - beta1 */
    float beta2, rate2;      /**< beta2, 1 - beta2 */
    float step_size;         /**< lr / (1 - beta1^t) */
    float second_correction; /**< sqrt(1 - beta2^t) */
    float eps;               /**< added to the square root */
    bool clear;              /**< leave 0 in place of the gradient */
} AdamWScalars;

/** @brief One step of adamw_step() for @p n numbers, in place. */
void vec_adamw(float *value, float *first, float *second, float *grad, const AdamWScalars *c, size_t n);

#endif
