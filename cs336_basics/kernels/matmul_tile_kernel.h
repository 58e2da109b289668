/*
 * The matrix product with tiles, compiled for the matrix unit and for its twin: see tile.h and matmul.h. Panels are
 * packed by matmul_tile_pack_kernel.h.
 *
 * - A product of bfloat16 numbers is what the unit does: matmul_bf16().
 * - A product of float32 numbers is a sum of products of their parts. With a = a1 + a2 + a3, b = b1 + b2 + b3:
 *
 *       a b = a1 b1 + (a1 b2 + a2 b1) + (a1 b3 + a2 b2 + a3 b1) + (a2 b3 + a3 b2) + a3 b3
 *
 *   Each part is at most 2^-8 of the one before it. The first six products are computed: what is left out is at most
 *   2^-23 of a b and nearly always below 2^-25, the usual rounding of a float32 product (docs/performance.md). With two
 *   parts the first three products are computed.
 * - The register tile is 32 x 32, four tiles of sums, from two tiles of A and two of B. So a tile that is loaded serves
 *   two multiplications, and a part stays in its register for the next product. Six products take 16 loads and 24
 *   multiplications.
 * - The five small products of all steps are added first, and then a1 b1 of all steps. If each step added all six,
 *   every step would round six times in the unit of the large sum instead of once, and the error would exceed that of
 *   FMA.
 * - The sums of a register tile go through memory: there they are scaled back, and added to C.
 */
#ifndef CS336_KERNELS_MATMUL_TILE_KERNEL_H
#define CS336_KERNELS_MATMUL_TILE_KERNEL_H

#include "kernels/matmul_tile_pack_kernel.h"
#include "kernels/matvec_kernel.h"

enum { SUMS = PANEL_ROWS * PANEL_ROWS, SUMS_ROW_BYTES = PANEL_ROWS * 4 };

/* ---- the tile kernel: tiles 0 to 3 are sums, 4 and 5 are of A, 6 and 7 of B ---- */

/* Adds the products with a part of A and the part of B that the registers hold. a is that part of the step. */
VECTOR_INLINE void add_with_a(Tiles *tiles, const float *a)
{
    tile_load(tiles, 4, a, TILE_ROW_BYTES);
    tile_multiply_add(tiles, 0, 4, 6);
    tile_multiply_add(tiles, 1, 4, 7);
    tile_load(tiles, 5, a + TILE_FLOATS, TILE_ROW_BYTES);
    tile_multiply_add(tiles, 2, 5, 6);
    tile_multiply_add(tiles, 3, 5, 7);
}

/* The same with a part of B and the part of A that the registers hold. */
VECTOR_INLINE void add_with_b(Tiles *tiles, const float *b)
{
    tile_load(tiles, 6, b, TILE_ROW_BYTES);
    tile_multiply_add(tiles, 0, 4, 6);
    tile_multiply_add(tiles, 2, 5, 6);
    tile_load(tiles, 7, b + TILE_FLOATS, TILE_ROW_BYTES);
    tile_multiply_add(tiles, 1, 4, 7);
    tile_multiply_add(tiles, 3, 5, 7);
}

/* The same with a part of both. */
VECTOR_INLINE void add_with_both(Tiles *tiles, const float *a, const float *b)
{
    tile_load(tiles, 6, b, TILE_ROW_BYTES);
    tile_load(tiles, 7, b + TILE_FLOATS, TILE_ROW_BYTES);
    add_with_a(tiles, a);
}

/* Computes the sums of a register tile, 32 rows of 32, from two panels of parts. */
VECTOR_INLINE void sum_tiles(const int parts, Tiles *tiles, float *sums, const float *a, const float *b, size_t steps)
{
    enum { PART = 2 * TILE_FLOATS }; /* floats from one part to the next */
    tile_zero(tiles, 0);
    tile_zero(tiles, 1);
    tile_zero(tiles, 2);
    tile_zero(tiles, 3);
    /* The small products of three parts: their sums are about 2^-8 of the large ones, and so are their roundings. */
    for (size_t step = 0; step < steps && parts == 3; step++) {
        const float *const a_step = a + step * 3 * PART, *const b_step = b + step * 3 * PART;
        add_with_both(tiles, a_step + 2 * PART, b_step); /* a3 b1 */
        add_with_a(tiles, a_step + PART);                /* a2 b1 */
        add_with_b(tiles, b_step + PART);                /* a2 b2 */
        add_with_a(tiles, a_step);                       /* a1 b2 */
        add_with_b(tiles, b_step + 2 * PART);            /* a1 b3 */
    }
    /* The large products, and the small ones of two parts. */
    for (size_t step = 0; step < steps; step++, a += parts * PART, b += parts * PART) {
        if (parts == 2) {
            add_with_both(tiles, a + PART, b); /* a2 b1 */
            add_with_a(tiles, a);              /* a1 b1 */
            add_with_b(tiles, b + PART);       /* a1 b2 */
        } else {
            add_with_both(tiles, a, b); /* a1 b1 */
        }
    }
    tile_store(tiles, 0, sums, SUMS_ROW_BYTES);
    tile_store(tiles, 1, sums + TILE_SIDE, SUMS_ROW_BYTES);
    tile_store(tiles, 2, sums + TILE_SIDE * PANEL_ROWS, SUMS_ROW_BYTES);
    tile_store(tiles, 3, sums + TILE_SIDE * PANEL_ROWS + TILE_SIDE, SUMS_ROW_BYTES);
}

/* ---- panels of numbers ---- */

/*
 * Returns number l along k of row i (of A, or column of B), in one step of a panel. `scaled_back` is 2^-n, and infinite
 * for a panel of numbers. The sum of the parts is exact.
 */
VECTOR_INLINE float number_of(const int parts, const PanelKind kind, const float *step, size_t i, size_t l,
                              float scaled_back)
{
    if (isinf(scaled_back))
        return step[kind == PANEL_OF_A ? i * TILE_DEPTH + l : l * PANEL_ROWS + i];
    const size_t row = kind == PANEL_OF_A ? i % TILE_SIDE : l / 2, pair = kind == PANEL_OF_A ? l / 2 : i % TILE_SIDE;
    const float *tile = step + i / TILE_SIDE * TILE_FLOATS + row * TILE_SIDE + pair;
    float x = 0;
    for (int part = parts - 1; part >= 0; part--) {
        uint32_t bits;
        memcpy(&bits, tile + part * 2 * TILE_FLOATS, sizeof bits);
        x += tile_float(l % 2 ? bits & 0xffff0000u : bits << 16);
    }
    return x * scaled_back;
}

/*
 * Computes the sums of a register tile from the numbers of two panels, of which one or both are panels of numbers. It
 * adds in double precision, so that these sums are no worse than fused multiply-adds where the CPU has none.
 */
VECTOR_INLINE void sum_numbers(const int parts, float *sums, const float *a, const float *b, const float *a_back,
                               const float *b_back, size_t steps)
{
    double exact[SUMS] = {0};
    for (size_t l = 0; l < steps * TILE_DEPTH; l++) {
        const size_t step = panel_part_floats(parts, l / TILE_DEPTH), in_step = l % TILE_DEPTH;
        double b_row[PANEL_ROWS];
        for (size_t j = 0; j < PANEL_ROWS; j++)
            b_row[j] = (double)number_of(parts, PANEL_OF_B, b + step, j, in_step, b_back[j]);
        for (size_t i = 0; i < PANEL_ROWS; i++) {
            const double factor = (double)number_of(parts, PANEL_OF_A, a + step, i, in_step, a_back[i]);
            for (size_t j = 0; j < PANEL_ROWS; j++)
                exact[i * PANEL_ROWS + j] += factor * b_row[j];
        }
    }
    for (size_t i = 0; i < SUMS; i++)
        sums[i] = (float)exact[i];
}

/* ---- the product ---- */

/* Writes 2^-n of each row, or infinities for a panel of numbers. */
VECTOR_INLINE void scales_back(float *back, const float *exponents)
{
    for (size_t i = 0; i < PANEL_ROWS; i++)
        back[i] = isinf(exponents[0]) ? INFINITY : tile_float((uint32_t)(127 - (int)exponents[i]) << 23);
}

/*
 * c = alpha sums + beta c for the first `columns` numbers of a row. The sums are multiplied by 2^n first: n is that of
 * the row, and of each column if there are any (column_n is not NULL).
 */
VECTOR_INLINE void finish_row(float *c, const float *sums, size_t columns, float row_n, const float *column_n,
                              float alpha, float beta)
{
    VECTOR_UNROLL
    for (size_t v = 0; v < PANEL_VECTORS; v++) {
        const size_t first = v * VECTOR_FLOATS, left = columns > first ? columns - first : 0;
        Vector sum = vector_load(sums + first);
        if (column_n)
            sum = vector_scale_by_power(sum, -(row_n + vector_load(column_n + first)));
        const Vector product = alpha * sum;
        vector_store_first(
            c + first,
            beta == 0 ? product : vector_multiply_add(vector_fill(beta), vector_load_first(c + first, left), product),
            left);
    }
}

/* Finishes `rows` x `columns` numbers of C. Where C's columns are not adjacent, each row goes through a buffer. */
VECTOR_INLINE void finish(Matrix c, const float *sums, size_t rows, size_t columns, const float *row_n,
                          const float *column_n, float alpha, float beta)
{
    for (size_t i = 0; i < rows; i++, c.data += c.row_stride, sums += PANEL_ROWS) {
        const float n = column_n ? row_n[i] : 0;
        if (c.column_stride == 1) {
            finish_row(c.data, sums, columns, n, column_n, alpha, beta);
            continue;
        }
        alignas(64) float row[PANEL_ROWS];
        for (size_t j = 0; j < columns && beta != 0; j++)
            row[j] = c.data[(ptrdiff_t)j * c.column_stride];
        finish_row(row, sums, columns, n, column_n, alpha, beta);
        for (size_t j = 0; j < columns; j++)
            c.data[(ptrdiff_t)j * c.column_stride] = row[j];
    }
}

/* Computes the sums of one register tile. True if its panels are scaled, so that the sums are to be scaled back. */
VECTOR_INLINE bool sum_panels(const int parts, Tiles *tiles, float *sums, const float *a, const float *b, size_t steps)
{
    const float *a_n = a + panel_part_floats(parts, steps), *b_n = b + panel_part_floats(parts, steps);
    if (parts > 1 && (isinf(a_n[0]) || isinf(b_n[0]))) {
        float a_back[PANEL_ROWS], b_back[PANEL_ROWS];
        scales_back(a_back, a_n);
        scales_back(b_back, b_n);
        sum_numbers(parts, sums, a, b, a_back, b_back, steps);
        return false;
    }
    sum_tiles(parts, tiles, sums, a, b, steps);
    return parts > 1;
}

/* c = alpha a b + beta c, one register tile after the other, as the kernels with vectors do it. */
VECTOR_INLINE void multiply_panels(const int parts, Matrix c, const float *a_panels, const float *b_panels, size_t m,
                                   size_t n, size_t steps, float alpha, float beta)
{
    const size_t floats = panel_floats(parts, steps), exponents = panel_part_floats(parts, steps);
    const float *b = b_panels;
    Tiles tiles;
    tile_configure(&tiles);
    for (size_t j = 0; j < n; j += PANEL_ROWS, b += floats) {
        const float *a = a_panels;
        for (size_t i = 0; i < m; i += PANEL_ROWS, a += floats) {
            alignas(64) float sums[SUMS];
            const bool scaled = sum_panels(parts, &tiles, sums, a, b, steps);
            const Matrix tile = {c.data + (ptrdiff_t)i * c.row_stride + (ptrdiff_t)j * c.column_stride, c.row_stride,
                                 c.column_stride};
            finish(tile, sums, m - i < PANEL_ROWS ? m - i : PANEL_ROWS, n - j < PANEL_ROWS ? n - j : PANEL_ROWS,
                   a + exponents, scaled ? b + exponents : NULL, alpha, beta);
        }
    }
    tile_release(&tiles);
}

/* Defines the table of a product and its functions. Few rows are not packed: there a float32 product is as fast. */
#define TILE_PRODUCT(product, parts, few_rows, one_row)                                                                \
    static void KERNEL(product##_pack_a)(float *panels, ConstMatrix a, size_t m, size_t k)                             \
    {                                                                                                                  \
        pack_panels(parts, PANEL_OF_A, panels, a, m, k);                                                               \
    }                                                                                                                  \
    static void KERNEL(product##_pack_b)(float *panels, ConstMatrix b_transposed, size_t n, size_t k)                  \
    {                                                                                                                  \
        pack_panels(parts, PANEL_OF_B, panels, b_transposed, n, k);                                                    \
    }                                                                                                                  \
    static void KERNEL(product##_multiply)(Matrix c, const float *a_panels, const float *b_panels, size_t m, size_t n, \
                                           size_t steps, float alpha, float beta)                                      \
    {                                                                                                                  \
        multiply_panels(parts, c, a_panels, b_panels, m, n, steps, alpha, beta);                                       \
    }                                                                                                                  \
    const MatmulKernels KERNEL(product) = {                                                                            \
        .tile_rows = PANEL_ROWS,                                                                                       \
        .tile_columns = PANEL_ROWS,                                                                                    \
        .step_depth = TILE_DEPTH,                                                                                      \
        .step_floats = (parts)*TILE_SIDE,                                                                              \
        .extra_floats = (parts) > 1,                                                                                   \
        .pack_a = KERNEL(product##_pack_a),                                                                            \
        .pack_b = KERNEL(product##_pack_b),                                                                            \
        .multiply = KERNEL(product##_multiply),                                                                        \
        .dot_rows = few_rows,                                                                                          \
        .add_columns = one_row,                                                                                        \
    };

TILE_PRODUCT(matmul, 3, KERNEL(dot_rows), KERNEL(add_columns))
TILE_PRODUCT(matmul_bf16, 1, NULL, NULL)
TILE_PRODUCT(matmul_bf16x3, 2, KERNEL(dot_rows), KERNEL(add_columns))

#endif
