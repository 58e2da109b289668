/*
 * Products of a few rows with a large matrix. The matrix is read once and not packed: each of its numbers serves so few
 * multiply-adds that memory bandwidth is the limit, and packing would read and write memory again. See vector.h and
 * matmul.h.
 */
#ifndef CS336_KERNELS_MATVEC_KERNEL_H
#define CS336_KERNELS_MATVEC_KERNEL_H

#include "kernels/matmul.h"
#include "kernels/vector.h"

#include <stdalign.h>
#include <string.h>

/* ---- the rows of the matrix are contiguous ---- */

/*
 * Rows of the matrix that are read together. Each is a stream of its own to the hardware prefetchers, which load
 * several streams faster than one. Four independent sums also hide the latency of the multiply-add.
 */
enum { DOT_STREAMS = 4 };

/*
 * How far ahead, in numbers, several rows prefetch each stream: 2 KiB. While the CPU multiplies several rows, it looks
 * less far ahead in the streams by itself than for one row (measured: 16 rows take 13 % less time with it).
 */
enum { DOT_PREFETCH = 512 };

/* Rows of the other factor that meet the streams together, in DOT_FEW x DOT_STREAMS vectors of sums. */
#if VECTOR_FLOATS == 16 || defined(VECTOR_NEON)
enum { DOT_FEW = 6 }; /* 24 of 32 registers */
#else
enum { DOT_FEW = 2 }; /* 8 of 16 registers */
#endif

/*
 * Returns the sums of the lanes of four vectors: lane i < 4 is that of v[i]. It adds neighbouring lanes, then
 * neighbouring pairs, then the quarters of the vector.
 */
VECTOR_INLINE Vector four_sums(const Vector v[4])
{
    const Vector low = VECTOR_SHUFFLE(v[0], v[1], VECTOR_UPPER, 1) + VECTOR_SHUFFLE(v[0], v[1], VECTOR_LOWER, 1);
    const Vector high = VECTOR_SHUFFLE(v[2], v[3], VECTOR_UPPER, 1) + VECTOR_SHUFFLE(v[2], v[3], VECTOR_LOWER, 1);
    Vector sum = VECTOR_SHUFFLE(low, high, VECTOR_UPPER, 2) + VECTOR_SHUFFLE(low, high, VECTOR_LOWER, 2);
#if VECTOR_FLOATS >= 8
    sum += VECTOR_SHUFFLE(sum, sum, VECTOR_PARTNER, 4);
#endif
#if VECTOR_FLOATS >= 16
    sum += VECTOR_SHUFFLE(sum, sum, VECTOR_PARTNER, 8);
#endif
    return sum;
}

/* products[i][u] = alpha (row i of a) . (stream u). few is a constant to the compiler, so the sums are registers. */
VECTOR_INLINE void dot_streams(const size_t few, float products[DOT_FEW][VECTOR_FLOATS], ConstMatrix a,
                               const float *const stream[DOT_STREAMS], size_t k, float alpha)
{
    Vector sum[DOT_FEW][DOT_STREAMS] = {{{0}}};
    size_t j = 0;
    /* One step along k: a vector of each stream, times a vector of each row of a. */
#define DOT_STEP(load)                                                   \
    {                                                                    \
        Vector b[DOT_STREAMS];                                           \
        VECTOR_UNROLL                                                    \
        for (size_t u = 0; u < DOT_STREAMS; u++)                         \
            b[u] = load(stream[u]);                                      \
        VECTOR_UNROLL                                                    \
        for (size_t i = 0; i < few; i++) {                               \
            const Vector x = load(a.data + (ptrdiff_t)i * a.row_stride); \
            VECTOR_UNROLL                                                \
            for (size_t u = 0; u < DOT_STREAMS; u++)                     \
                sum[i][u] += x * b[u];                                   \
        }                                                                \
    }
#define DOT_WHOLE(row) vector_load((row) + j)
#define DOT_REST(row) vector_load_first((row) + j, k - j)
    for (; j + VECTOR_FLOATS <= k; j += VECTOR_FLOATS) {
        VECTOR_UNROLL
        for (size_t u = 0; u < DOT_STREAMS && few > 1; u++)
            __builtin_prefetch(stream[u] + j + DOT_PREFETCH);
        DOT_STEP(DOT_WHOLE)
    }
    if (j < k)
        DOT_STEP(DOT_REST)
#undef DOT_REST
#undef DOT_WHOLE
#undef DOT_STEP
    /* Add up the lanes: products[i][u] is lane u. */
    VECTOR_UNROLL
    for (size_t i = 0; i < few; i++)
        vector_store(products[i], alpha * four_sums(sum[i]));
}

/* Calls dot_streams() compiled for this number of rows. */
static void KERNEL(dot_few)(float products[DOT_FEW][VECTOR_FLOATS], ConstMatrix a, size_t few,
                            const float *const stream[DOT_STREAMS], size_t k, float alpha)
{
    switch (few) {
#define FEW(m)                                                                      \
    case m:                                                                         \
        dot_streams((m) <= DOT_FEW ? (m) : DOT_FEW, products, a, stream, k, alpha); \
        break;
        FEW(1)
        FEW(2)
        FEW(3)
        FEW(4)
        FEW(5)
        FEW(6)
#undef FEW
    }
}

/* Stream u reads the rows of b from u * stream_rows on; the last stream may have fewer. */
static void KERNEL(dot_rows)(Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k, float alpha,
                             float beta)
{
    const size_t stream_rows = (n + DOT_STREAMS - 1) / DOT_STREAMS;
    for (size_t row = 0; row < stream_rows; row++) {
        /* A stream that has ended reads the first one's row again; its products are not stored. */
        const float *stream[DOT_STREAMS];
        for (size_t u = 0; u < DOT_STREAMS; u++)
            stream[u] = b.data + (ptrdiff_t)(row + u * stream_rows < n ? row + u * stream_rows : row) * b.row_stride;
        for (size_t first = 0, few; first < m; first += few) {
            alignas(64) float products[DOT_FEW][VECTOR_FLOATS];
            /* The next rows of a, at most DOT_FEW, times the rows of all streams. */
            const ConstMatrix some = {a.data + (ptrdiff_t)first * a.row_stride, a.row_stride, 1};
            few = m - first < DOT_FEW ? m - first : DOT_FEW;
            KERNEL(dot_few)(products, some, few, stream, k, alpha);
            /* c = products + beta c, for the streams that have not ended */
            for (size_t i = 0; i < few; i++)
                for (size_t u = 0; u < DOT_STREAMS && row + u * stream_rows < n; u++) {
                    float *element = c.data + (ptrdiff_t)(first + i) * c.row_stride +
                                     (ptrdiff_t)(row + u * stream_rows) * c.column_stride;
                    *element = beta == 0 ? products[i][u] : products[i][u] + beta * *element;
                }
        }
    }
}

/* ---- one row, and the columns of the matrix are contiguous ---- */

enum { COLUMNS_AT_ONCE = 8 }; /* columns: each load and store of a sum then serves 8 multiply-adds */

/* sum += the next `count` columns times their numbers of x. count is a constant to the compiler. */
VECTOR_INLINE void add_columns_to(float *sum, const size_t count, const float *a, ptrdiff_t column, const float *x,
                                  ptrdiff_t x_stride, size_t m)
{
    const float *source[COLUMNS_AT_ONCE];
    float factor[COLUMNS_AT_ONCE];
    /* The columns, and the numbers of x that they are multiplied by. */
    VECTOR_UNROLL
    for (size_t u = 0; u < count; u++) {
        source[u] = a + (ptrdiff_t)u * column;
        factor[u] = x[(ptrdiff_t)u * x_stride];
    }
    /* Whole vectors of sums, then the rest. */
    size_t i = 0;
    for (; i + VECTOR_FLOATS <= m; i += VECTOR_FLOATS) {
        Vector s = vector_load(sum + i);
        VECTOR_UNROLL
        for (size_t u = 0; u < count; u++)
            s += factor[u] * vector_load(source[u] + i);
        vector_store(sum + i, s);
    }
    if (i < m) {
        Vector s = vector_load(sum + i);
        VECTOR_UNROLL
        for (size_t u = 0; u < count; u++)
            s += factor[u] * vector_load_first(source[u] + i, m - i);
        vector_store(sum + i, s);
    }
}

static void KERNEL(add_columns)(float *y, ptrdiff_t y_stride, ConstMatrix a, const float *x, ptrdiff_t x_stride,
                                size_t m, size_t k, float alpha, float beta)
{
    alignas(64) float sum[MATVEC_COLUMNS];
    /* Add all columns, eight at a time and then one by one. */
    memset(sum, 0, (m + VECTOR_FLOATS - 1) / VECTOR_FLOATS * sizeof(Vector));
    size_t j = 0;
    for (; j + COLUMNS_AT_ONCE <= k; j += COLUMNS_AT_ONCE)
        add_columns_to(sum, COLUMNS_AT_ONCE, a.data + (ptrdiff_t)j * a.column_stride, a.column_stride,
                       x + (ptrdiff_t)j * x_stride, x_stride, m);
    for (; j < k; j++)
        add_columns_to(sum, 1, a.data + (ptrdiff_t)j * a.column_stride, a.column_stride, x + (ptrdiff_t)j * x_stride,
                       x_stride, m);
    /* y = alpha sum + beta y */
    for (size_t i = 0; i < m; i++, y += y_stride)
        *y = beta == 0 ? alpha * sum[i] : alpha * sum[i] + beta * *y;
}

#endif
