/* The functions of vecmath.h for one instruction set: see vector.h. */
#ifndef CS336_KERNELS_VECMATH_KERNEL_H
#define CS336_KERNELS_VECMATH_KERNEL_H

#include "kernels/vecmath_table.h"
#include "kernels/vector.h"

/*
 * Reductions keep four vectors of partial sums, so that additions need not wait for one another; vector number i of x
 * goes to partial sum i mod 4, and the rest of x, padded with what changes nothing, to the first.
 */
enum { VECMATH_SUMS = 4, VECMATH_STEP = VECMATH_SUMS * VECTOR_FLOATS };

static float KERNEL(sum)(const float *x, size_t n)
{
    Vector sum[VECMATH_SUMS] = {{0}};
    size_t i = 0;
    for (; i + VECMATH_STEP <= n; i += VECMATH_STEP)
        VECTOR_UNROLL
    for (size_t u = 0; u < VECMATH_SUMS; u++)
        sum[u] += vector_load(x + i + u * VECTOR_FLOATS);
    for (; i < n; i += VECTOR_FLOATS)
        sum[0] += vector_load_first(x + i, n - i);
    return vector_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

static float KERNEL(dot)(const float *x, const float *y, size_t n)
{
    Vector sum[VECMATH_SUMS] = {{0}};
    size_t i = 0;
    for (; i + VECMATH_STEP <= n; i += VECMATH_STEP)
        VECTOR_UNROLL
    for (size_t u = 0; u < VECMATH_SUMS; u++)
        sum[u] += vector_load(x + i + u * VECTOR_FLOATS) * vector_load(y + i + u * VECTOR_FLOATS);
    for (; i < n; i += VECTOR_FLOATS)
        sum[0] += vector_load_first(x + i, n - i) * vector_load_first(y + i, n - i);
    return vector_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

static float KERNEL(max)(const float *x, size_t n)
{
    const Vector lowest = vector_fill(-INFINITY);
    Vector max[VECMATH_SUMS] = {lowest, lowest, lowest, lowest};
    size_t i = 0;
    for (; i + VECMATH_STEP <= n; i += VECMATH_STEP)
        VECTOR_UNROLL
    for (size_t u = 0; u < VECMATH_SUMS; u++)
        max[u] = vector_max(vector_load(x + i + u * VECTOR_FLOATS), max[u]);
    for (; i < n; i += VECTOR_FLOATS)
        max[0] = vector_max(vector_pad(vector_load_first(x + i, n - i), n - i, -INFINITY), max[0]);
    return vector_largest(vector_max(vector_max(max[0], max[1]), vector_max(max[2], max[3])));
}

static float KERNEL(exp_shifted)(float *y, const float *x, float shift, size_t n)
{
    Vector even = {0}, odd = {0};
    size_t i = 0;
    for (; i + 2 * VECTOR_FLOATS <= n; i += 2 * VECTOR_FLOATS) {
        const Vector first = vector_exp(vector_load(x + i) - shift);
        const Vector second = vector_exp(vector_load(x + i + VECTOR_FLOATS) - shift);
        if (y) {
            vector_store(y + i, first);
            vector_store(y + i + VECTOR_FLOATS, second);
        }
        even += first;
        odd += second;
    }
    for (; i < n; i += VECTOR_FLOATS) {
        const Vector e = vector_exp(vector_load_first(x + i, n - i) - shift);
        if (y)
            vector_store_first(y + i, e, n - i);
        even += vector_pad(e, n - i, 0);
    }
    return vector_sum(even + odd);
}

/* y = f(x), one vector after the other. */
#define VECMATH_MAP(name, expression)                            \
    static void KERNEL(name)(float *y, const float *x, size_t n) \
    {                                                            \
        size_t i = 0;                                            \
        for (; i + VECTOR_FLOATS <= n; i += VECTOR_FLOATS) {     \
            const Vector v = vector_load(x + i);                 \
            vector_store(y + i, expression);                     \
        }                                                        \
        if (i < n) {                                             \
            const Vector v = vector_load_first(x + i, n - i);    \
            vector_store_first(y + i, expression, n - i);        \
        }                                                        \
    }

VECMATH_MAP(exp, vector_exp(v))
VECMATH_MAP(sigmoid, 1.0f / (1.0f + vector_exp(-v)))
#undef VECMATH_MAP

static void KERNEL(scale)(float *y, float a, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + VECTOR_FLOATS <= n; i += VECTOR_FLOATS)
        vector_store(y + i, a * vector_load(x + i));
    if (i < n)
        vector_store_first(y + i, a * vector_load_first(x + i, n - i), n - i);
}

static void KERNEL(axpy)(float *y, float a, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + VECTOR_FLOATS <= n; i += VECTOR_FLOATS)
        vector_store(y + i, a * vector_load(x + i) + vector_load(y + i));
    if (i < n)
        vector_store_first(y + i, a * vector_load_first(x + i, n - i) + vector_load_first(y + i, n - i), n - i);
}

const VecmathTable KERNEL(vecmath) = {
    .exp = KERNEL(exp),
    .exp_shifted = KERNEL(exp_shifted),
    .sigmoid = KERNEL(sigmoid),
    .sum = KERNEL(sum),
    .max = KERNEL(max),
    .dot = KERNEL(dot),
    .scale = KERNEL(scale),
    .axpy = KERNEL(axpy),
};

#endif
