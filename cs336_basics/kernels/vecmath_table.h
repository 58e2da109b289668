/* The functions behind vecmath.h, one table for each instruction set. */
#ifndef CS336_KERNELS_VECMATH_TABLE_H
#define CS336_KERNELS_VECMATH_TABLE_H

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
} VecmathTable;

extern const VecmathTable vecmath_portable, vecmath_avx2, vecmath_avx512;

#endif
