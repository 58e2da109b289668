/*
 * Packing for the matrix product with tiles (matmul_tile_kernel.h), compiled for the unit and for its twin: see tile.h,
 * vector.h and matmul.h.
 *
 * A panel has 32 rows of A, or 32 columns of B, and as many numbers along k as the block has. One step is 32 x 32
 * numbers: two tiles of 16 rows. Each number is split into PARTS bfloat16 numbers:
 *
 *     x = x1 + x2 + x3,    x1 = bf16(x),    x2 = bf16(x - x1),    x3 = bf16(x - x1 - x2)
 *
 * The differences are exact. A bfloat16 number has 8 significant bits, so three parts hold all 24 of a float32 number,
 * and two of them 16. The panel in memory is tile after tile, 1 KiB each:
 *
 *     for each step:  x1 of rows 0-15, x1 of rows 16-31, x2 of rows 0-15, ..., x3 of rows 16-31
 *     behind them:    one float for each row, its exponent n
 *
 * Scaling. Parts and products that are denormal count as 0 in the unit, and a number near the largest float32 rounds to
 * an infinite x1. Both cannot happen near 1. So each row is multiplied by 2^n, which is exact, so that its largest
 * number is in [2^54, 2^55). The multiplication of panels undoes it. n is at most 115, enough for a row of denormals.
 *
 * Panels of numbers. A row of which one number is infinite or NaN, or less than about 2^-102 of the largest, cannot be
 * split well. Then the panel holds float32 numbers instead of parts, and the multiplication computes with these. The
 * exponents of such a panel are infinite. With PARTS == 1 nothing is scaled: rounding to bfloat16 is the definition of
 * matmul_bf16(), and infinities need no second part.
 */
#ifndef CS336_KERNELS_MATMUL_TILE_PACK_KERNEL_H
#define CS336_KERNELS_MATMUL_TILE_PACK_KERNEL_H

#include "kernels/matmul.h"
#include "kernels/tile.h"
#include "kernels/vector.h"

#include <stdalign.h>
#include <stdbool.h>

enum {
    PANEL_ROWS = 2 * TILE_SIDE,                 /* rows of a panel of A, columns of a panel of B */
    ROW_VECTORS = TILE_SIDE / VECTOR_FLOATS,    /* vectors in a row of a tile */
    PANEL_VECTORS = PANEL_ROWS / VECTOR_FLOATS, /* vectors in a row of both tiles */
    LARGEST_EXPONENT = 54,                      /* rows are scaled so that their largest number is in [2^54, 2^55) */
    MOST_SCALING = 115,                         /* the largest n */
};
#define LEAST_SCALED 0x1p-48f /* numbers of a row that is split, except 0, are at least this after scaling */

/* The two kinds of panels. Tiles of B hold pairs along k of each column, so they are transposed beside those of A. */
typedef enum { PANEL_OF_A, PANEL_OF_B } PanelKind;

/* Returns the floats of a panel up to its exponents, and with them. */
VECTOR_INLINE size_t panel_part_floats(const int parts, size_t steps)
{
    return steps * (size_t)parts * PANEL_ROWS * TILE_SIDE;
}
VECTOR_INLINE size_t panel_floats(const int parts, size_t steps)
{
    return panel_part_floats(parts, steps) + (parts > 1 ? PANEL_ROWS : 0);
}

/* ---- parts ---- */

#if !defined(VECTOR_BF16)
/* Rounds to bfloat16 as the instruction does: a denormal is 0 before it is rounded. */
VECTOR_INLINE BitVector rounded_without_denormals(Vector v)
{
    const IntVector is_normal = (vector_bits(v) & 0x7f800000) != 0;
    return (BitVector)vector_round_bf16(vector_select(is_normal, v, (Vector){0}));
}
#endif

/* Rounds a and b to bfloat16. Lane i gets a[i], in its lower half, and b[i]. */
VECTOR_INLINE Vector pair_lanes(Vector a, Vector b)
{
#if defined(VECTOR_BF16)
    return vector_pair_lanes(a, b);
#else
    return (Vector)(rounded_without_denormals(a) >> 16 | rounded_without_denormals(b));
#endif
}

/* Stores the parts of a and b as pairs. The tiles of a part are behind the two tiles of the part before it. */
VECTOR_INLINE void split_lanes(const int parts, float *tile, Vector a, Vector b)
{
    VECTOR_UNROLL
    for (int part = 0; part < parts; part++) {
        const Vector pairs = pair_lanes(a, b);
        vector_store(tile + part * 2 * TILE_FLOATS, pairs);
        a -= (Vector)((BitVector)pairs << 16);
        b -= (Vector)((BitVector)pairs & 0xffff0000u);
    }
}

/* Transposes the 16 x 16 pairs of a tile. */
VECTOR_INLINE void transpose_tile(float *tile)
{
    for (size_t i = 0; i < TILE_SIDE; i += VECTOR_FLOATS) {
        for (size_t j = i; j < TILE_SIDE; j += VECTOR_FLOATS) {
            /* Exchange two squares, or transpose one on the diagonal. */
            Vector right[VECTOR_FLOATS], left[VECTOR_FLOATS];
            VECTOR_UNROLL
            for (size_t u = 0; u < VECTOR_FLOATS; u++) {
                right[u] = vector_load(tile + (i + u) * TILE_SIDE + j);
                left[u] = vector_load(tile + (j + u) * TILE_SIDE + i);
            }
            vector_transpose(right);
            if (i != j)
                vector_transpose(left);
            VECTOR_UNROLL
            for (size_t u = 0; u < VECTOR_FLOATS; u++) {
                vector_store(tile + (j + u) * TILE_SIDE + i, right[u]);
                if (i != j)
                    vector_store(tile + (i + u) * TILE_SIDE + j, left[u]);
            }
        }
    }
}

VECTOR_INLINE void transpose_parts(const int parts, float *tile)
{
    for (int part = 0; part < parts; part++)
        transpose_tile(tile + part * 2 * TILE_FLOATS);
}

/* ---- a tile of each part ---- */

#define LANE_EVEN(j, s) (2 * (j) + (s))

/* Packs 16 rows of 32 numbers that are contiguous along k, `row` floats apart. */
VECTOR_INLINE void tile_along(const int parts, const PanelKind kind, float *tile, const float *x, ptrdiff_t row,
                              const float *scale)
{
    for (size_t i = 0; i < TILE_SIDE; i++) {
        VECTOR_UNROLL
        for (size_t v = 0; v < ROW_VECTORS; v++) {
            const float *numbers = x + (ptrdiff_t)i * row + 2 * v * VECTOR_FLOATS;
            Vector a = vector_load(numbers), b = vector_load(numbers + VECTOR_FLOATS);
            if (parts > 1)
                a *= scale[i], b *= scale[i];
            split_lanes(parts, tile + i * TILE_SIDE + v * VECTOR_FLOATS, VECTOR_SHUFFLE(a, b, LANE_EVEN, 0),
                        VECTOR_SHUFFLE(a, b, LANE_EVEN, 1));
        }
    }
    if (kind == PANEL_OF_B)
        transpose_parts(parts, tile);
}

/* Packs 32 steps along k of 16 rows that are neighbours in memory; the steps are `next` floats apart. */
VECTOR_INLINE void tile_across(const int parts, const PanelKind kind, float *tile, const float *x, ptrdiff_t next,
                               const float *scale)
{
    for (size_t i = 0; i < TILE_SIDE; i++, x += 2 * next) {
        VECTOR_UNROLL
        for (size_t v = 0; v < ROW_VECTORS; v++) {
            Vector a = vector_load(x + v * VECTOR_FLOATS), b = vector_load(x + next + v * VECTOR_FLOATS);
            if (parts > 1) {
                const Vector by = vector_load(scale + v * VECTOR_FLOATS);
                a *= by, b *= by;
            }
            split_lanes(parts, tile + i * TILE_SIDE + v * VECTOR_FLOATS, a, b);
        }
    }
    if (kind == PANEL_OF_A)
        transpose_parts(parts, tile);
}

/* Packs a square of 16 rows and 32 numbers along k, of which n and depth are there; the others are 0. */
VECTOR_INLINE void pack_tile(const int parts, const PanelKind kind, float *tile, ConstMatrix source, size_t n,
                             size_t depth, const float *scale)
{
    if (n >= TILE_SIDE && depth >= TILE_DEPTH && source.column_stride == 1) {
        tile_along(parts, kind, tile, source.data, source.row_stride, scale);
    } else if (n >= TILE_SIDE && depth >= TILE_DEPTH && source.row_stride == 1) {
        tile_across(parts, kind, tile, source.data, source.column_stride, scale);
    } else {
        alignas(64) float square[TILE_SIDE * TILE_DEPTH] = {0};
        for (size_t i = 0; i < n && i < TILE_SIDE; i++)
            for (size_t l = 0; l < depth && l < TILE_DEPTH; l++)
                square[i * TILE_DEPTH + l] =
                    source.data[(ptrdiff_t)i * source.row_stride + (ptrdiff_t)l * source.column_stride];
        tile_along(parts, kind, tile, square, TILE_DEPTH, scale);
    }
}

/* ---- the scaling of rows ---- */

/** @brief The magnitudes of rows, as bits without sign: these order like the numbers, and NaN comes last. */
typedef struct {
    uint32_t most[PANEL_ROWS], /**< of the largest number of each row */
        least[PANEL_ROWS];     /**< of the smallest except 0, less 1: a 0 becomes the largest unsigned integer */
} Magnitudes;

VECTOR_INLINE BitVector bits_max(BitVector a, BitVector b)
{
#if defined(VECTOR_AVX512)
    return (BitVector)_mm512_max_epu32((__m512i)a, (__m512i)b);
#else
    const BitVector greater = (BitVector)(a > b);
    return (a & greater) | (b & ~greater);
#endif
}

VECTOR_INLINE BitVector magnitude_bits(Vector v)
{
    return (BitVector)v & 0x7fffffffu;
}

/* most = max(most, |v|); least = min(least, |v| - 1) by way of complements, which turn a minimum into a maximum. */
VECTOR_INLINE void note_magnitudes(BitVector *most, BitVector *least_complement, Vector v)
{
    const BitVector bits = magnitude_bits(v);
    *most = bits_max(*most, bits);
    *least_complement = bits_max(*least_complement, ~(bits - 1));
}

VECTOR_INLINE uint32_t largest_lane(BitVector v)
{
    uint32_t largest = 0;
    for (size_t i = 0; i < VECTOR_FLOATS; i++)
        largest = v[i] > largest ? v[i] : largest;
    return largest;
}

/* Measures n rows along k. */
VECTOR_INLINE void magnitudes_along(Magnitudes *m, const float *x, ptrdiff_t row, size_t n, size_t depth)
{
    for (size_t i = 0; i < n; i++, x += row) {
        BitVector most = {0}, least_complement = {0};
        size_t l = 0;
        for (; l + VECTOR_FLOATS <= depth; l += VECTOR_FLOATS)
            note_magnitudes(&most, &least_complement, vector_load(x + l));
        if (l < depth)
            note_magnitudes(&most, &least_complement, vector_load_first(x + l, depth - l));
        m->most[i] = largest_lane(most);
        m->least[i] = ~largest_lane(least_complement);
    }
}

/* Measures n rows that are neighbours in memory, all 32 at each step along k. */
VECTOR_INLINE void magnitudes_across(Magnitudes *m, const float *x, ptrdiff_t next, size_t n, size_t depth)
{
    BitVector most[PANEL_VECTORS] = {{0}}, least_complement[PANEL_VECTORS] = {{0}};
    for (size_t l = 0; l < depth; l++, x += next) {
        VECTOR_UNROLL
        for (size_t v = 0; v < PANEL_VECTORS; v++) {
            const size_t first = v * VECTOR_FLOATS, left = n > first ? n - first : 0;
            note_magnitudes(&most[v], &least_complement[v], vector_load_first(x + first, left));
        }
    }
    for (size_t i = 0; i < PANEL_ROWS; i++) {
        m->most[i] = most[i / VECTOR_FLOATS][i % VECTOR_FLOATS];
        m->least[i] = ~least_complement[i / VECTOR_FLOATS][i % VECTOR_FLOATS];
    }
}

VECTOR_INLINE void magnitudes_strided(Magnitudes *m, ConstMatrix source, size_t n, size_t depth)
{
    for (size_t i = 0; i < n; i++)
        for (size_t l = 0; l < depth; l++) {
            float x = source.data[(ptrdiff_t)i * source.row_stride + (ptrdiff_t)l * source.column_stride];
            const uint32_t bits = magnitude_bits(vector_fill(x))[0];
            m->most[i] = bits > m->most[i] ? bits : m->most[i];
            m->least[i] = bits - 1 < m->least[i] ? bits - 1 : m->least[i];
        }
}

/*
 * Chooses the exponent n of each row, and its power of two. False if a row has a number that is infinite or NaN, or one
 * that is too small beside the largest.
 */
VECTOR_INLINE bool choose_scaling(float *exponents, float *scale, const Magnitudes *m)
{
    bool all = true;
    for (size_t i = 0; i < PANEL_ROWS; i++) {
        const int largest = (int)(m->most[i] >> 23) - 127;
        int n = LARGEST_EXPONENT - largest;
        n = m->most[i] == 0 ? 0 : n > MOST_SCALING ? MOST_SCALING : n;
        exponents[i] = (float)n;
        scale[i] = tile_float((uint32_t)(n + 127) << 23);
        all &= m->most[i] < 0x7f800000 && (m->most[i] == 0 || tile_float(m->least[i] + 1) * scale[i] >= LEAST_SCALED);
    }
    return all;
}

/* ---- panels ---- */

/* Fills a panel of numbers: 32 rows of 32 numbers for each step of A, and 32 steps along k of 32 columns for B. */
VECTOR_INLINE void pack_numbers(const int parts, const PanelKind kind, float *panel, ConstMatrix source, size_t n,
                                size_t depth)
{
    for (size_t first = 0; first < depth; first += TILE_DEPTH, panel += panel_part_floats(parts, 1))
        for (size_t i = 0; i < PANEL_ROWS; i++)
            for (size_t l = 0; l < TILE_DEPTH; l++) {
                float x = 0;
                if (i < n && first + l < depth)
                    x = source.data[(ptrdiff_t)i * source.row_stride + (ptrdiff_t)(first + l) * source.column_stride];
                if (parts == 2)
                    x = vector_round_bf16x2(vector_fill(x))[0];
                panel[kind == PANEL_OF_A ? i * TILE_DEPTH + l : l * PANEL_ROWS + i] = x;
            }
}

/* Packs n <= 32 rows. */
VECTOR_INLINE void pack_panel(const int parts, const PanelKind kind, float *panel, ConstMatrix source, size_t n,
                              size_t depth)
{
    const size_t steps = (depth + TILE_DEPTH - 1) / TILE_DEPTH;
    alignas(64) float scale[PANEL_ROWS];
    if (parts > 1) {
        float *exponents = panel + panel_part_floats(parts, steps);
        Magnitudes m = {{0}, {0}};
        memset(m.least, 0xff, sizeof m.least);
        if (source.column_stride == 1)
            magnitudes_along(&m, source.data, source.row_stride, n, depth);
        else if (source.row_stride == 1)
            magnitudes_across(&m, source.data, source.column_stride, n, depth);
        else
            magnitudes_strided(&m, source, n, depth);
        if (!choose_scaling(exponents, scale, &m)) {
            exponents[0] = INFINITY;
            pack_numbers(parts, kind, panel, source, n, depth);
            return;
        }
    }
    for (size_t step = 0; step < steps; step++, panel += panel_part_floats(parts, 1))
        for (size_t first = 0; first < PANEL_ROWS; first += TILE_SIDE) {
            const ConstMatrix square = {source.data + (ptrdiff_t)first * source.row_stride +
                                            (ptrdiff_t)(step * TILE_DEPTH) * source.column_stride,
                                        source.row_stride, source.column_stride};
            pack_tile(parts, kind, panel + first / TILE_SIDE * TILE_FLOATS, square, n > first ? n - first : 0,
                      depth - step * TILE_DEPTH, scale + first);
        }
}

/* Packs `count` rows, 32 in each panel. parts and kind are constants in each caller. */
VECTOR_INLINE void pack_panels(const int parts, const PanelKind kind, float *panels, ConstMatrix source, size_t count,
                               size_t depth)
{
    const size_t floats = panel_floats(parts, (depth + TILE_DEPTH - 1) / TILE_DEPTH);
    for (size_t first = 0; first < count; first += PANEL_ROWS, panels += floats) {
        const size_t n = count - first < PANEL_ROWS ? count - first : PANEL_ROWS;
        pack_panel(parts, kind, panels, source, n, depth);
        source.data += PANEL_ROWS * source.row_stride;
    }
}

#endif
