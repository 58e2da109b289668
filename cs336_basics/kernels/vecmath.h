/**
 * @file
 * @brief Loops over rows of floats: what softmax, cross-entropy, SwiGLU, RMSNorm, RoPE and AdamW do to one row.
 *
 * @code
 * const VecmathKernels *vec = vecmath(); // once, before the loop
 * for (size_t row = 0; row < rows; row++)
 *     vec->scale(y + row * n, 2, x + row * n, n);
 * @endcode
 *
 * - Each kernel runs on the calling thread: callers share out the rows. Pointers need no alignment; n may be 0.
 * - An output may be one of the inputs, but must not overlap it otherwise.
 * - The order of a sum depends only on n and the instruction set (isa_in_use()).
 * - NaN and infinities follow IEEE arithmetic in every kernel.
 */
#ifndef CS336_KERNELS_VECMATH_H
#define CS336_KERNELS_VECMATH_H

#include "core/api.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

/** @brief The scalars of one AdamW step: computed in double, applied in float32, as PyTorch does. */
typedef struct {
    float grad_factor;       /**< clipping multiplies each gradient by this; 1 for none */
    float decay;             /**< 1 - lr * weight_decay */
    float rate1;             /**< 1 - beta1 */
    float beta2,             /**< decay of the second moment */
        rate2;               /**< 1 - beta2 */
    float step_size;         /**< lr / (1 - beta1^t) */
    float second_correction; /**< sqrt(1 - beta2^t) */
    float eps;               /**< added to the square root */
    bool clear;              /**< true: overwrite the gradient with 0 after use */
} AdamWScalars;

/** @brief The kernels of one instruction set. */
typedef struct {
    /** @brief Returns the greatest x, or -inf when n is 0. NaN is skipped: the row's exponentials pass it on. */
    float (*max)(const float *x, size_t n);

    /** @brief Returns \f$ \sum_i x_i y_i \f$. */
    float (*dot)(const float *x, const float *y, size_t n);

    /** @brief \f$ y_i = a\, x_i \f$ */
    void (*scale)(float *y, float a, const float *x, size_t n);

    /** @brief \f$ y_i = y_i + a\, x_i \f$ */
    void (*axpy)(float *y, float a, const float *x, size_t n);

    /** @brief \f$ y_i = a\, x_i f_i \f$ */
    void (*scale_each)(float *y, float a, const float *x, const float *factor, size_t n);

    /**
     * @brief Computes \f$ y_i = e^{x_i - shift} \f$ to 2 units in the last place and returns the sum of the y.
     *
     * With the greatest x as shift, this is softmax but for the division. e^x is 0 for -inf, inf above 88.73.
     * @param[out] y  n numbers, or NULL where only the sum is wanted (log-sum-exp)
     */
    float (*exp_shifted)(float *y, const float *x, float shift, size_t n);

    /** @brief \f$ h_i = \mathrm{SiLU}(u_i)\, g_i \f$, or only \f$ \mathrm{SiLU}(u_i) \f$ when @p gate is NULL. */
    void (*swiglu)(float *hidden, const float *up, const float *gate, size_t n);

    /**
     * @brief Computes the gradients of swiglu(), and h once more for the next layer's gradient.
     * @param[out] grad_up, grad_gate  overwritten; grad_gate is not touched when @p gate is NULL
     * @param[out] hidden              h; NULL: not wanted
     * @param[in]  grad_hidden, up, gate  n numbers each; an output may be one of them
     */
    void (*swiglu_backward)(float *grad_up, float *grad_gate, float *hidden, const float *grad_hidden, const float *up,
                            const float *gate, size_t n);

    /**
     * @brief Computes the gradients of one row of rmsnorm_forward(); nn/rmsnorm.c derives them.
     * @param[in,out] grad_x     overwritten, or added to when @p add is true; NULL: not wanted; may be grad_y itself
     * @param[in,out] grad_gain  added to; NULL: not wanted
     */
    void (*rmsnorm_backward)(float *grad_x, bool add, float *grad_gain, const float *grad_y, const float *x,
                             const float *gain, float inverse_rms, size_t n);

    /**
     * @brief Rotates each pair (a, b) of a row to (a cos - b sin, a sin + b cos).
     * @param[out] y             @p rows rows of 2 * pairs numbers, @p y_stride floats from one row to the next
     * @param[in]  x             as many rows, @p x_stride floats from one to the next
     * @param[in]  cosine, sine  one number for each pair, the same for all rows
     * @param[in]  direction     1, or -1 for the opposite angle
     */
    void (*rotate)(float *y, ptrdiff_t y_stride, const float *x, ptrdiff_t x_stride, size_t rows, const float *cosine,
                   const float *sine, float direction, size_t pairs);

    /** @brief Updates @p n numbers and their moments in place: one step of adamw_step(). */
    void (*adamw)(float *value, float *first, float *second, float *grad, const AdamWScalars *c, size_t n);
} VecmathKernels;

/** @brief Returns the kernels of the instruction set in use. Fetch them once, before a loop. */
const VecmathKernels *vecmath(void);

/** @brief The tables behind vecmath(), which kernels/vecmath_kernel.h defines. */
extern const VecmathKernels vecmath_portable, /**< 4 floats at a time, on any CPU */
    vecmath_avx2,                             /**< 8 floats at a time */
    vecmath_avx512;                           /**< 16 floats at a time */

CS336_INTERNAL_END

#endif
