/* The kernels of vecmath.h, compiled once for each instruction set: see vector.h. */
#ifndef CS336_KERNELS_VECMATH_KERNEL_H
#define CS336_KERNELS_VECMATH_KERNEL_H

#include "kernels/vecmath.h"
#include "kernels/vector.h"

#include <float.h>

/*
 * A fused multiply-add has a latency of 4 cycles. With a single sum, each would wait for the one before. So reductions
 * keep four independent vectors of partial results: vector number i of x goes to partial result i mod 4. If fewer than
 * four vectors are left at the end, all of these go to the first partial result.
 */
enum {
    VECMATH_SUMS = 4,                            /* partial results: FMA latency in cycles, at one FMA a cycle */
    VECMATH_STEP = VECMATH_SUMS * VECTOR_FLOATS, /* floats that one iteration reads */
};

static float KERNEL(dot)(const float *x, const float *y, size_t n)
{
    Vector sum[VECMATH_SUMS] = {{0}};
    size_t i = 0;
    for (; i + VECMATH_STEP <= n; i += VECMATH_STEP) {
        VECTOR_UNROLL
        for (size_t u = 0; u < VECMATH_SUMS; u++)
            sum[u] += vector_load(x + i + u * VECTOR_FLOATS) * vector_load(y + i + u * VECTOR_FLOATS);
    }
    for (; i < n; i += VECTOR_FLOATS)
        sum[0] += vector_load_first(x + i, n - i) * vector_load_first(y + i, n - i);
    return vector_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

static float KERNEL(max)(const float *x, size_t n)
{
    const Vector lowest = vector_fill(-INFINITY);
    Vector max[VECMATH_SUMS] = {lowest, lowest, lowest, lowest};
    size_t i = 0;
    for (; i + VECMATH_STEP <= n; i += VECMATH_STEP) {
        VECTOR_UNROLL
        for (size_t u = 0; u < VECMATH_SUMS; u++)
            max[u] = vector_max(vector_load(x + i + u * VECTOR_FLOATS), max[u]);
    }
    for (; i < n; i += VECTOR_FLOATS)
        max[0] = vector_max(vector_pad(vector_load_first(x + i, n - i), n - i, -INFINITY), max[0]);
    return vector_largest(vector_max(vector_max(max[0], max[1]), vector_max(max[2], max[3])));
}

/*
 * Two vectors at a time, with a sum for each: an exponential is a chain of about 12 operations that wait for one
 * another, and the two chains fill each other's waiting time.
 */
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
    /* The rest. The lanes beyond n must not count in the sum. */
    for (; i < n; i += VECTOR_FLOATS) {
        const Vector e = vector_exp(vector_load_first(x + i, n - i) - shift);
        if (y)
            vector_store_first(y + i, e, n - i);
        even += vector_pad(e, n - i, 0);
    }
    return vector_sum(even + odd);
}

/* Returns the sigmoid, 1 / (1 + e^-x). */
VECTOR_INLINE Vector KERNEL(sigmoid)(Vector x)
{
    return 1.0f / (1.0f + vector_exp(-x));
}

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
        const Vector u = vector_load_first(up + i, n - i), silu = u * KERNEL(sigmoid)(u);
        vector_store_first(hidden + i, gate ? silu * vector_load_first(gate + i, n - i) : silu, n - i);
    }
}

/*
 * silu(u) = u p with p = sigmoid(u) and p' = p (1 - p), so silu'(u) = p + u p (1 - p) = p + silu(u) (1 - p).
 * All inputs of a vector are loaded before its outputs are stored, so an output may be an input.
 */
static void KERNEL(swiglu_backward)(float *grad_up, float *grad_gate, float *hidden, const float *grad_hidden,
                                    const float *up, const float *gate, size_t n)
{
    for (size_t i = 0; i < n; i += VECTOR_FLOATS) {
        const Vector u = vector_load_first(up + i, n - i), grad = vector_load_first(grad_hidden + i, n - i);
        const Vector p = KERNEL(sigmoid)(u), silu = u * p;
        /* h = silu(u) g: the gradient of g is grad silu(u), that of silu(u) is grad g. */
        Vector grad_silu = grad, h = silu;
        if (gate) {
            const Vector g = vector_load_first(gate + i, n - i);
            vector_store_first(grad_gate + i, grad * silu, n - i);
            grad_silu = grad * g;
            h = silu * g;
        }
        /* grad_up = grad_silu silu'(u) */
        vector_store_first(grad_up + i, grad_silu * (p + silu * (1.0f - p)), n - i);
        if (hidden)
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
    /* In one pass: sum = sum_j h_j x_j with h = grad_y gain, and grad_gain += s grad_y x with s = inverse_rms. */
    Vector sum = {0};
    for (size_t i = 0; i < n; i += VECTOR_FLOATS) {
        const Vector product = vector_load_first(grad_y + i, n - i) * vector_load_first(x + i, n - i);
        if (grad_gain)
            vector_store_first(grad_gain + i, vector_load_first(grad_gain + i, n - i) + inverse_rms * product, n - i);
        sum += product * vector_load_first(gain + i, n - i);
    }
    if (!grad_x)
        return;
    /* grad_x = s h - x shift with shift = (s^3 / n) sum */
    const float shift = inverse_rms * inverse_rms * inverse_rms * vector_sum(sum) / (float)n;
    for (size_t i = 0; i < n; i += VECTOR_FLOATS) {
        const Vector h = vector_load_first(grad_y + i, n - i) * vector_load_first(gain + i, n - i);
        const Vector gradient = inverse_rms * h - shift * vector_load_first(x + i, n - i);
        vector_store_first(grad_x + i, add ? vector_load_first(grad_x + i, n - i) + gradient : gradient, n - i);
    }
}

/* Shuffles for pairs: lanes (0, 0, 1, 1, 2, 2, ...) of one vector; the even lanes of one and the odd of another. */
#define VECMATH_TWICE(j, s) ((j) / 2)
#define VECMATH_ALTERNATE(j, s) ((j) % 2 ? VECTOR_FLOATS + (j) : (j))
static void KERNEL(rotate)(float *y, ptrdiff_t y_stride, const float *x, ptrdiff_t x_stride, size_t rows,
                           const float *cosine, const float *sine, float direction, size_t pairs)
{
    const Vector signs = VECTOR_SHUFFLE(vector_fill(-direction), vector_fill(direction), VECMATH_ALTERNATE, 0);
    for (size_t k = 0; k < pairs; k += VECTOR_FLOATS / 2) {
        /* One vector of pairs at a time: (c0, c0, c1, c1, ...) and (-s0, s0, -s1, s1, ...). */
        const size_t n = pairs - k < VECTOR_FLOATS / 2 ? pairs - k : VECTOR_FLOATS / 2;
        Vector c = vector_load_first(cosine + k, n), s = vector_load_first(sine + k, n);
        c = VECTOR_SHUFFLE(c, c, VECMATH_TWICE, 0);
        s = VECTOR_SHUFFLE(s, s, VECMATH_TWICE, 0) * signs;
        /* (a, b) (c, c) + (b, a) (-s, s) = (a c - b s, b c + a s), for every row. */
        const float *source = x + 2 * k;
        float *destination = y + 2 * k;
        for (size_t row = 0; row < rows; row++, source += x_stride, destination += y_stride) {
            const Vector v = vector_load_first(source, 2 * n);
            vector_store_first(destination, v * c + VECTOR_SHUFFLE(v, v, VECTOR_PARTNER, 1) * s, 2 * n);
        }
    }
}

/*
 * The first moment of a parameter without gradient, such as the embedding of a rare token, decays into the subnormal
 * numbers and stays there. Arithmetic on subnormals takes a hundred cycles or more. Such a moment no longer moves the
 * value, so it is set to 0.
 */
static void KERNEL(adamw)(float *value, float *first, float *second, float *grad, const AdamWScalars *scalars, size_t n)
{
    const AdamWScalars c = *scalars; /* a copy: the stores below cannot change it, so it stays in registers */
    const IntVector all_but_sign = vector_bits((Vector){0}) + INT32_MAX;
    for (size_t i = 0; i < n; i += VECTOR_FLOATS) {
        const Vector g = c.grad_factor * vector_load_first(grad + i, n - i);
        /* m = m + (g - m) (1 - beta1),  v = beta2 v + (1 - beta2) g^2 */
        const Vector old = vector_load_first(first + i, n - i), m = old + (g - old) * c.rate1;
        const Vector v = c.beta2 * vector_load_first(second + i, n - i) + c.rate2 * g * g;
        /* value = decay value - step_size m / (sqrt(v) / correction + eps) */
        const Vector denominator = vector_sqrt(v) / c.second_correction + c.eps;
        const Vector decayed = c.decay * vector_load_first(value + i, n - i);
        const Vector magnitude = vector_from_bits(vector_bits(m) & all_but_sign);
        vector_store_first(value + i, decayed - c.step_size * m / denominator, n - i);
        vector_store_first(first + i, vector_select(magnitude < FLT_MIN, (Vector){0}, m), n - i);
        vector_store_first(second + i, v, n - i);
        if (c.clear)
            vector_store_first(grad + i, (Vector){0}, n - i);
    }
}

const VecmathKernels KERNEL(vecmath) = {
    .exp_shifted = KERNEL(exp_shifted),
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
