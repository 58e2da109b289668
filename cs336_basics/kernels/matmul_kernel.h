/*
 * Packing and the micro-kernel of the matrix product, compiled once for each instruction set: see vector.h and
 * matmul.h.
 *
 * - Panels are made of groups of 32 bits. A group is one float32 number, perhaps rounded to bfloat16. With bfloat16
 *   instructions it is a pair of bfloat16 numbers, neighbours along k: GROUP_DEPTH is 2, and a panel has half as many
 *   groups. Only the code below "groups" knows which.
 * - The micro-kernel keeps a register tile of C, TILE_ROWS rows of TILE_VECTORS vectors, for all of k. For each k it
 *   loads TILE_VECTORS vectors of B and multiplies them by TILE_ROWS numbers of A. The more rows, the fewer loads for
 *   each FMA, so the tile is as tall as the registers allow.
 * - Every element of C is summed over k in the same order, with the same instructions, wherever in a register tile it
 *   is. So the results do not depend on how C is cut.
 */
#ifndef CS336_KERNELS_MATMUL_KERNEL_H
#define CS336_KERNELS_MATMUL_KERNEL_H

#include "kernels/matmul.h"
#include "kernels/vector.h"
#if !defined(VECTOR_BF16)
#include "kernels/matvec_kernel.h"
#endif

#include <stdalign.h>

/* Registers: the sums, TILE_ROWS x 2, two vectors of B, and one or two for a number of A. */
#if VECTOR_FLOATS == 16
enum { TILE_ROWS = 14 }; /* AVX-512: 28 of 32 registers hold sums */
#elif VECTOR_FLOATS == 8
enum { TILE_ROWS = 6 }; /* AVX2: 12 of 16 */
#elif defined(VECTOR_NEON)
enum { TILE_ROWS = 12 }; /* NEON: 24 of 32; its fastest CPUs begin 4 FMAs a cycle, each of 4 cycles: 16 sums at least */
#else
enum { TILE_ROWS = 4 }; /* SSE2, without fused multiply-add: 8 of 16, as products need registers, too */
#endif
enum { TILE_VECTORS = 2, TILE_COLUMNS = TILE_VECTORS * VECTOR_FLOATS }; /* the width of the register tile */
#if defined(VECTOR_BF16)
enum { GROUP_DEPTH = 2 };
#else
enum { GROUP_DEPTH = 1 };
#endif

/* ---- groups ---- */

/* How many bfloat16 numbers a float32 number is rounded to the sum of: 0 leaves it as it is. */
VECTOR_INLINE Vector rounded_to(const int parts, Vector v)
{
    return parts == 1 ? vector_round_bf16(v) : parts == 2 ? vector_round_bf16x2(v) : v;
}

/* Returns the groups of n numbers that are neighbours along k; groups beyond are 0. */
VECTOR_INLINE Vector groups_along(const int parts, const float *x, size_t n)
{
#if defined(VECTOR_BF16)
    (void)parts;
    if (n >= 2 * VECTOR_FLOATS)
        return vector_pair_neighbours(vector_load(x), vector_load(x + VECTOR_FLOATS));
    const Vector second = n > VECTOR_FLOATS ? vector_load_first(x + VECTOR_FLOATS, n - VECTOR_FLOATS) : (Vector){0};
    return vector_pair_neighbours(vector_load_first(x, n), second);
#else
    const Vector v = n >= VECTOR_FLOATS ? vector_load(x) : vector_load_first(x, n);
    return rounded_to(parts, v);
#endif
}

/*
 * Returns one group for each of n neighbouring rows or columns. Each has `depth` more numbers along k, `next` floats
 * apart, of which a group takes the first GROUP_DEPTH.
 */
VECTOR_INLINE Vector groups_across(const int parts, const float *x, ptrdiff_t next, size_t n, size_t depth)
{
    const Vector v = n >= VECTOR_FLOATS ? vector_load(x) : vector_load_first(x, n);
#if defined(VECTOR_BF16)
    (void)parts;
    Vector second = {0};
    if (depth >= 2)
        second = n >= VECTOR_FLOATS ? vector_load(x + next) : vector_load_first(x + next, n);
    return vector_pair_lanes(v, second);
#else
    (void)next, (void)depth;
    return rounded_to(parts, v);
#endif
}

/* Returns sum + a b for the group a and each group in b. */
VECTOR_INLINE Vector group_multiply_add(float a, Vector b, Vector sum)
{
#if defined(VECTOR_BF16)
    return vector_pair_multiply_add(a, b, sum);
#else
    return sum + a * b;
#endif
}

/* ---- packing ---- */

/*
 * Packing writes panel[group * width + i], the group of row i of the source, for i < n, and 0 for n <= i < width. It
 * stores whole vectors. Where the width is less than a vector, a store writes beyond its row of the panel, and the next
 * row's store overwrites that.
 */
_Static_assert((int)TILE_ROWS <= (int)VECTOR_FLOATS || TILE_ROWS % VECTOR_FLOATS == 0, "stores would collide");
_Static_assert(VECTOR_FLOATS <= PANEL_OVERRUN, "stores would leave the memory of the panels");

/* Packs contiguous rows: squares are transposed in registers, and the rows of the next panel are prefetched. */
VECTOR_INLINE void pack_rows(const int parts, const size_t width, float *panel, const float *source, ptrdiff_t row,
                             size_t n, size_t k)
{
    enum { SQUARE_DEPTH = VECTOR_FLOATS * GROUP_DEPTH };
    for (size_t first = 0; first < width; first += VECTOR_FLOATS)
        for (size_t l = 0; l < k; l += SQUARE_DEPTH) {
            /* Load a square: a vector of groups for each row, zeros beyond the last row. */
            const size_t depth = k - l < SQUARE_DEPTH ? k - l : SQUARE_DEPTH;
            Vector square[VECTOR_FLOATS];
            VECTOR_UNROLL
            for (size_t i = 0; i < VECTOR_FLOATS; i++) {
                const float *numbers = source + (ptrdiff_t)(first + i) * row + l;
                square[i] = (Vector){0};
                if (first + i < n) {
                    square[i] = groups_along(parts, numbers, depth == SQUARE_DEPTH ? SQUARE_DEPTH : depth);
                    VECTOR_UNROLL
                    for (size_t j = 0; j < GROUP_DEPTH; j++)
                        __builtin_prefetch(numbers + (ptrdiff_t)width * row + j * VECTOR_FLOATS, 0, 2);
                }
            }
            vector_transpose(square);
            /* Store a vector for each step along k. The common case, a full square, has a loop without conditions. */
            float *destination = panel + l / GROUP_DEPTH * width + first;
            const size_t groups = (depth + GROUP_DEPTH - 1) / GROUP_DEPTH;
            if (groups == VECTOR_FLOATS) {
                VECTOR_UNROLL
                for (size_t i = 0; i < VECTOR_FLOATS; i++)
                    vector_store(destination + i * width, square[i]);
            } else {
                VECTOR_UNROLL
                for (size_t i = 0; i < VECTOR_FLOATS; i++)
                    if (i < groups)
                        vector_store(destination + i * width, square[i]);
            }
        }
}

/* Packs contiguous columns: a copy. The numbers of the next panel are prefetched. */
VECTOR_INLINE void pack_columns(const int parts, const size_t width, float *panel, const float *source,
                                ptrdiff_t column, size_t n, size_t k)
{
    for (size_t l = 0; l < k; l += GROUP_DEPTH, source += GROUP_DEPTH * column, panel += width) {
        VECTOR_UNROLL
        for (size_t first = 0; first < width; first += VECTOR_FLOATS) {
            const size_t left = n > first ? n - first : 0;
            vector_store(panel + first, groups_across(parts, source + first, column,
                                                      left >= VECTOR_FLOATS ? VECTOR_FLOATS : left, k - l));
            VECTOR_UNROLL
            for (size_t j = 0; j < GROUP_DEPTH; j++)
                __builtin_prefetch(source + (ptrdiff_t)j * column + width + first, 0, 2);
        }
    }
}

/* Packs a matrix of any strides, group by group. */
VECTOR_INLINE void pack_strided(const int parts, const size_t width, float *panel, ConstMatrix source, size_t n,
                                size_t k)
{
    for (size_t l = 0; l < k; l += GROUP_DEPTH, panel += width)
        for (size_t i = 0; i < width; i++) {
            const float *numbers = source.data + (ptrdiff_t)i * source.row_stride + (ptrdiff_t)l * source.column_stride;
            panel[i] = i < n ? groups_across(parts, numbers, source.column_stride, 1, k - l)[0] : 0;
        }
}

/*
 * Packs `count` rows, `width` of them in each panel. parts and width are constants in each caller, so that the inner
 * loops unroll.
 */
VECTOR_INLINE void pack(const int parts, const size_t width, float *panels, ConstMatrix source, size_t count, size_t k)
{
    const size_t groups = (k + GROUP_DEPTH - 1) / GROUP_DEPTH;
    for (size_t first = 0; first < count; first += width, panels += width * groups) {
        const size_t n = count - first < width ? count - first : width;
        if (source.column_stride == 1)
            pack_rows(parts, width, panels, source.data, source.row_stride, n, k);
        else if (source.row_stride == 1)
            pack_columns(parts, width, panels, source.data, source.column_stride, n, k);
        else
            pack_strided(parts, width, panels, source, n, k);
        source.data += (ptrdiff_t)width * source.row_stride;
    }
}

#define PACKERS(product, parts)                                                                       \
    static void KERNEL(product##_pack_a)(float *panels, ConstMatrix a, size_t m, size_t k)            \
    {                                                                                                 \
        pack(parts, TILE_ROWS, panels, a, m, k);                                                      \
    }                                                                                                 \
    static void KERNEL(product##_pack_b)(float *panels, ConstMatrix b_transposed, size_t n, size_t k) \
    {                                                                                                 \
        pack(parts, TILE_COLUMNS, panels, b_transposed, n, k);                                        \
    }
#if !defined(VECTOR_BF16)
PACKERS(matmul, 0)
PACKERS(matmul_bf16x3, 2)
#endif
PACKERS(matmul_bf16, 1)

/* ---- the micro-kernel ---- */

/*
 * C = alpha A B + beta C for the first `rows` rows of one register tile. rows is a constant to the compiler, so that
 * all loops over it unroll and the sums are registers.
 */
VECTOR_INLINE void micro_kernel_of(const size_t rows, float *c, ptrdiff_t c_row, const float *a, const float *b,
                                   size_t k, float alpha, float beta)
{
    /* Clear the sums, and prefetch C, which is needed at the end. */
    Vector sum[TILE_ROWS][TILE_VECTORS];
    VECTOR_UNROLL
    for (size_t i = 0; i < rows; i++) {
        VECTOR_UNROLL
        for (size_t v = 0; v < TILE_VECTORS; v++) {
            sum[i][v] = (Vector){0};
            __builtin_prefetch(c + (ptrdiff_t)i * c_row + v * VECTOR_FLOATS, 1);
        }
    }
    /* A column of A, TILE_ROWS groups, times a row of B, TILE_VECTORS vectors. */
    for (size_t l = 0; l < k; l++, a += TILE_ROWS, b += TILE_COLUMNS) {
        Vector b_row[TILE_VECTORS];
        VECTOR_UNROLL
        for (size_t v = 0; v < TILE_VECTORS; v++)
            b_row[v] = vector_load(b + v * VECTOR_FLOATS);
        const Factors a_column = factors_load(a, TILE_ROWS);
        VECTOR_UNROLL
        for (size_t i = 0; i < rows; i++) {
            VECTOR_UNROLL
            for (size_t v = 0; v < TILE_VECTORS; v++)
                sum[i][v] = group_multiply_add(factor_of(&a_column, i), b_row[v], sum[i][v]);
        }
    }
    /* C = alpha sum + beta C */
    VECTOR_UNROLL
    for (size_t i = 0; i < rows; i++, c += c_row) {
        VECTOR_UNROLL
        for (size_t v = 0; v < TILE_VECTORS; v++) {
            float *element = c + v * VECTOR_FLOATS;
            const Vector product = alpha * sum[i][v];
            vector_store(element,
                         beta == 0 ? product : vector_multiply_add(vector_fill(beta), vector_load(element), product));
        }
    }
}

/* Calls the micro-kernel that was compiled for this number of rows. */
static void KERNEL(micro_kernel)(float *c, ptrdiff_t c_row, const float *a, const float *b, size_t rows, size_t k,
                                 float alpha, float beta)
{
    switch (rows) {
#define ROWS(n)                                                                              \
    case n:                                                                                  \
        micro_kernel_of((n) <= TILE_ROWS ? (n) : TILE_ROWS, c, c_row, a, b, k, alpha, beta); \
        break;
        ROWS(1)
        ROWS(2)
        ROWS(3)
        ROWS(4)
        ROWS(5)
        ROWS(6)
        ROWS(7)
        ROWS(8)
        ROWS(9)
        ROWS(10)
        ROWS(11)
        ROWS(12)
        ROWS(13)
        ROWS(14)
#undef ROWS
    }
}

/*
 * Computes a register tile in a buffer, for the edge of C, where there are fewer columns, and for a C whose columns are
 * not adjacent in memory.
 */
static void KERNEL(multiply_in_buffer)(Matrix c, const float *a, const float *b, size_t rows, size_t columns, size_t k,
                                       float alpha, float beta)
{
    /* Copy C into the buffer, compute there, and copy back. */
    alignas(64) float buffer[TILE_ROWS * TILE_COLUMNS] = {0};
    if (beta != 0)
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < columns; j++)
                buffer[i * TILE_COLUMNS + j] = c.data[(ptrdiff_t)i * c.row_stride + (ptrdiff_t)j * c.column_stride];
    KERNEL(micro_kernel)(buffer, TILE_COLUMNS, a, b, rows, k, alpha, beta);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            c.data[(ptrdiff_t)i * c.row_stride + (ptrdiff_t)j * c.column_stride] = buffer[i * TILE_COLUMNS + j];
}

/*
 * Computes one register tile of C after the other. A panel of B stays in the L1 and L2 caches while the inner loop
 * reads all panels of A.
 */
static void KERNEL(multiply)(Matrix c, const float *a_panels, const float *b_panels, size_t m, size_t n, size_t k,
                             float alpha, float beta)
{
    for (size_t j = 0; j < n; j += TILE_COLUMNS) {
        const size_t columns = n - j < TILE_COLUMNS ? n - j : TILE_COLUMNS;
        for (size_t i = 0; i < m; i += TILE_ROWS) {
            const size_t rows = m - i < TILE_ROWS ? m - i : TILE_ROWS;
            const Matrix tile = {c.data + (ptrdiff_t)i * c.row_stride + (ptrdiff_t)j * c.column_stride, c.row_stride,
                                 c.column_stride};
            if (columns == TILE_COLUMNS && c.column_stride == 1)
                KERNEL(micro_kernel)(tile.data, c.row_stride, a_panels + i * k, b_panels + j * k, rows, k, alpha, beta);
            else
                KERNEL(multiply_in_buffer)(tile, a_panels + i * k, b_panels + j * k, rows, columns, k, alpha, beta);
        }
    }
}

#if !defined(VECTOR_BF16)

const MatmulKernels KERNEL(matmul) = {
    .tile_rows = TILE_ROWS,
    .tile_columns = TILE_COLUMNS,
    .step_depth = GROUP_DEPTH,
    .step_floats = 1,
    .pack_a = KERNEL(matmul_pack_a),
    .pack_b = KERNEL(matmul_pack_b),
    .multiply = KERNEL(multiply),
    .dot_rows = KERNEL(dot_rows),
    .add_columns = KERNEL(add_columns),
};

const MatmulKernels KERNEL(matmul_bf16x3) = {
    .tile_rows = TILE_ROWS,
    .tile_columns = TILE_COLUMNS,
    .step_depth = GROUP_DEPTH,
    .step_floats = 1,
    .pack_a = KERNEL(matmul_bf16x3_pack_a),
    .pack_b = KERNEL(matmul_bf16x3_pack_b),
    .multiply = KERNEL(multiply),
    .dot_rows = KERNEL(dot_rows),
    .add_columns = KERNEL(add_columns),
};

#endif

const MatmulKernels KERNEL(matmul_bf16) = {
    .tile_rows = TILE_ROWS,
    .tile_columns = TILE_COLUMNS,
    .step_depth = GROUP_DEPTH,
    .step_floats = 1,
    .pack_a = KERNEL(matmul_bf16_pack_a),
    .pack_b = KERNEL(matmul_bf16_pack_b),
    .multiply = KERNEL(multiply),
};

#endif
