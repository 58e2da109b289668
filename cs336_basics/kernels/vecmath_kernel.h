/* The functions of vecmath.h for one instruction set: see vector.h. */
#ifndef CS336_KERNELS_VECMATH_KERNEL_H
#define CS336_KERNELS_VECMATH_KERNEL_H

#include "kernels/vecmath_table.h"
#include "kernels/vector.h"

#include <float.h>

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

VECTOR_INLINE Vector KERNEL(logistic)(Vector x)
{
    return 1.0f / (1.0f + vector_exp(-x));
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
VECMATH_MAP(sigmoid, KERNEL(logistic)(v))
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

/* ---- rows of layers ---- */

static void KERNEL(swiglu)(float *hidden, const float *up, const float *gate, size_t n)
{
    for (size_t i = 0; i < n; i += VECTOR_FLOATS) {
        const Vector u = vector_load_first(up + i, n - i), silu = u * KERNEL(logistic)(u);
        vector_store_first(hidden + i, gate ? silu * vector_load_first(gate + i, n - i) : silu, n - i);
    }
}

/* silu(u) = u p with p = sigmoid(u) and p' = p (1 - p), so silu'(u) = p + u p (1 - p) = p + silu(u) (1 - p). */
static void KERNEL(swiglu_backward)(float *up, float *gate, float *hidden, size_t n)
{
    for (size_t i = 0; i < n; i += VECTOR_FLOATS) {
        const Vector u = vector_load_first(up + i, n - i), grad = vector_load_first(hidden + i, n - i);
        const Vector p = KERNEL(logistic)(u), silu = u * p;
        Vector factor = grad, h = silu;
        if (gate) {
            const Vector g = vector_load_first(gate + i, n - i);
            vector_store_first(gate + i, grad * silu, n - i);
            factor = grad * g;
            h = silu * g;
        }
        vector_store_first(up + i, factor * (p + silu * (1.0f - p)), n - i);
        vector_store_first(hidden + i, h, n - i);
    }
}

static void KERNEL(scale_each)(float *y, float a, const float *x, const float *factor, size_t n)
{
    for (size_t i = 0; i < n; i += VECTOR_FLOATS)
        vector_store_first(y + i, a * vector_load_first(x + i, n - i) * vector_load_first(factor + i, n - i), n - i);
}

static void KERNEL(rmsnorm_backward)(float *grad_x, bool add, float *grad_gain, const float *grad_y, const float *x,
                                     const float *gain, float inverse_rms, size_t n)
{
    Vector sum = {0};
    for (size_t i = 0; i < n; i += VECTOR_FLOATS) {
        const Vector product = vector_load_first(grad_y + i, n - i) * vector_load_first(x + i, n - i);
        if (grad_gain)
            vector_store_first(grad_gain + i, vector_load_first(grad_gain + i, n - i) + inverse_rms * product, n - i);
        sum += product * vector_load_first(gain + i, n - i);
    }
    if (!grad_x)
        return;
    const float shift = inverse_rms * inverse_rms * inverse_rms * vector_sum(sum) / (float)n;
    for (size_t i = 0; i < n; i += VECTOR_FLOATS) {
        const Vector h = vector_load_first(grad_y + i, n - i) * vector_load_first(gain + i, n - i);
        const Vector to_x = inverse_rms * h - shift * vector_load_first(x + i, n - i);
        vector_store_first(grad_x + i, add ? vector_load_first(grad_x + i, n - i) + to_x : to_x, n - i);
    }
}

/* Each number of a table twice, and numbers with signs in turn: what goes with pairs. */
#define VECMATH_TWICE(j, s) ((j) / 2)
#define VECMATH_IN_TURN(j, s) ((j) % 2 ? VECTOR_FLOATS + (j) : (j))
static void KERNEL(rotate)(float *y, ptrdiff_t y_step, const float *x, ptrdiff_t x_step, size_t rows,
                           const float *cosine, const float *sine, float direction, size_t pairs)
{
    const Vector signs = VECTOR_SHUFFLE(vector_fill(-direction), vector_fill(direction), VECMATH_IN_TURN, 0);
    for (size_t k = 0; k < pairs; k += VECTOR_FLOATS / 2) {
        const size_t n = pairs - k < VECTOR_FLOATS / 2 ? pairs - k : VECTOR_FLOATS / 2;
        Vector c = vector_load_first(cosine + k, n), s = vector_load_first(sine + k, n);
        c = VECTOR_SHUFFLE(c, c, VECMATH_TWICE, 0);
        s = VECTOR_SHUFFLE(s, s, VECMATH_TWICE, 0) * signs;
        const float *from = x + 2 * k;
        float *to = y + 2 * k;
        for (size_t row = 0; row < rows; row++, from += x_step, to += y_step) {
            const Vector v = vector_load_first(from, 2 * n);
            vector_store_first(to, v * c + VECTOR_SHUFFLE(v, v, VECTOR_PARTNER, 1) * s, 2 * n);
        }
    }
}

/*
 * A first moment without fresh gradient, such as that of a rare token's embedding, decays into the subnormal numbers,
 * sticks there and makes every later step many times slower; it moves nothing any more and becomes 0.
 */
static void KERNEL(adamw)(float *value, float *first, float *second, float *grad, const AdamWScalars *c, size_t n)
{
    const IntVector all_but_sign = vector_bits((Vector){0}) + INT32_MAX;
    for (size_t i = 0; i < n; i += VECTOR_FLOATS) {
        const Vector g = c->grad_factor * vector_load_first(grad + i, n - i);
        const Vector old = vector_load_first(first + i, n - i), m = old + (g - old) * c->rate1;
        const Vector v = c->beta2 * vector_load_first(second + i, n - i) + c->rate2 * g * g;
        const Vector denominator = vector_sqrt(v) / c->second_correction + c->eps;
        const Vector decayed = c->decay * vector_load_first(value + i, n - i);
        const Vector size = vector_from_bits(vector_bits(m) & all_but_sign);
        vector_store_first(value + i, decayed - c->step_size * m / denominator, n - i);
        vector_store_first(first + i, vector_select(size < FLT_MIN, (Vector){0}, m), n - i);
        vector_store_first(second + i, v, n - i);
        if (c->clear)
            vector_store_first(grad + i, (Vector){0}, n - i);
    }
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
    .swiglu = KERNEL(swiglu),
    .swiglu_backward = KERNEL(swiglu_backward),
    .scale_each = KERNEL(scale_each),
    .rmsnorm_backward = KERNEL(rmsnorm_backward),
    .rotate = KERNEL(rotate),
    .adamw = KERNEL(adamw),
};

#endif
