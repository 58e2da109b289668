/* The functions behind vecmath.h, one table for each instruction set. */
#ifndef CS336_KERNELS_VECMATH_TABLE_H
#define CS336_KERNELS_VECMATH_TABLE_H

#include "kernels/vecmath.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    void (*exp)(float *y, const float *x, size_t n);
    float (*exp_shifted)(float *y, const float *x, float shift, size_t n);
    void (*sigmoid)(float *y, const float *x, size_t n);
    float (*sum)(const float *x, size_t n);
    float (*max)(const float *x, size_t n);
    float (*dot)(const float *x, const float *y, size_t n);
    void (*scale)(float *y, float a, const float *x, size_t n);
    void (*axpy)(float *y, float a, const float *x, size_t n);
    void (*swiglu)(float *hidden, const float *up, const float *gate, size_t n);
    void (*swiglu_backward)(float *up, float *gate, float *hidden, size_t n);
    void (*scale_each)(float *y, float a, const float *x, const float *factor, size_t n);
    void (*rmsnorm_backward)(float *grad_x, bool add, float *grad_gain, const float *grad_y, const float *x,
                             const float *gain, float inverse_rms, size_t n);
    void (*rotate)(float *y, ptrdiff_t y_step, const float *x, ptrdiff_t x_step, size_t rows, const float *cosine,
                   const float *sine, float direction, size_t pairs);
    void (*adamw)(float *value, float *first, float *second, float *grad, const AdamWScalars *c, size_t n);
} VecmathTable;

extern const VecmathTable vecmath_portable, vecmath_avx2, vecmath_avx512;

#endif
