/* The steps of ladder.h for one instruction set. kernels/vector.h has the vectors. */
#ifndef CS336_TESTS_LADDER_STEPS_H
#define CS336_TESTS_LADDER_STEPS_H

#include "core/parallel.h"
#include "kernels/vector.h"
#include "tests/bench/ladder.h"

#include <string.h>

#if VECTOR_FLOATS == 16 || defined(__aarch64__)
enum { TILE_ROWS = 8 }; /* rows of a register tile, which takes 16 of 32 registers */
#else
enum { TILE_ROWS = 4 }; /* 8 of 16 registers */
#endif
enum { TILE_COLUMNS = 2 * VECTOR_FLOATS, DEPTH = LADDER_DEPTH, BLOCK_ROWS = LADDER_ROWS };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The loops with blocks, now with vectors: VECTOR_FLOATS numbers of C at a time. */
static void KERNEL(vectors)(float *c, const float *a, const float *b, size_t m, size_t n, size_t k, float *work)
{
    (void)work;
    memset(c, 0, m * n * sizeof *c);
    for (size_t l0 = 0; l0 < k; l0 += CACHED_DEPTH)
        for (size_t j0 = 0; j0 < n; j0 += CACHED_COLUMNS)
            for (size_t i = 0; i < m; i++)
                for (size_t l = l0; l < smaller(l0 + CACHED_DEPTH, k); l++)
                    for (size_t j = j0; j < smaller(j0 + CACHED_COLUMNS, n); j += VECTOR_FLOATS)
                        vector_store(c + i * n + j,
                                     vector_load(c + i * n + j) + a[i * k + l] * vector_load(b + l * n + j));
}

/*
 * Computes one register tile of C += A B. Row i of A begins at a + i * a_row, and its next number is a_step further.
 * The next row of B is b_step further.
 */
VECTOR_INLINE void add_tile(float *c, size_t c_row, const float *a, size_t a_row, size_t a_step, const float *b,
                            size_t b_step, size_t k)
{
    Vector sum[TILE_ROWS][2] = {{{0}}};
    for (size_t l = 0; l < k; l++) {
        const Vector left = vector_load(b + l * b_step), right = vector_load(b + l * b_step + VECTOR_FLOATS);
        VECTOR_UNROLL
        for (size_t i = 0; i < TILE_ROWS; i++) {
            const float factor = a[i * a_row + l * a_step];
            sum[i][0] += factor * left;
            sum[i][1] += factor * right;
        }
    }
    VECTOR_UNROLL
    for (size_t i = 0; i < TILE_ROWS; i++) {
        float *row = c + i * c_row;
        vector_store(row, vector_load(row) + sum[i][0]);
        vector_store(row + VECTOR_FLOATS, vector_load(row + VECTOR_FLOATS) + sum[i][1]);
    }
}

/* A register tile of C stays in registers for DEPTH steps of k, in which C is neither read nor written. */
static void KERNEL(tile)(float *c, const float *a, const float *b, size_t m, size_t n, size_t k, float *work)
{
    (void)work;
    memset(c, 0, m * n * sizeof *c);
    for (size_t l = 0; l < k; l += DEPTH)
        for (size_t j = 0; j < n; j += TILE_COLUMNS)
            for (size_t i = 0; i < m; i += TILE_ROWS)
                add_tile(c + i * n + j, n, a + i * k + l, k, 1, b + l * n + j, n, smaller(DEPTH, k - l));
}

/* Packs TILE_COLUMNS columns of B, one step of k after the other. pack_a() does the same for TILE_ROWS rows of A. */
static void pack_b(float *panel, const float *b, size_t n, size_t k)
{
    for (size_t l = 0; l < k; l++, panel += TILE_COLUMNS)
        memcpy(panel, b + l * n, TILE_COLUMNS * sizeof *panel);
}

static void pack_a(float *panel, const float *a, size_t row, size_t k)
{
    for (size_t l = 0; l < k; l++)
        for (size_t i = 0; i < TILE_ROWS; i++)
            *panel++ = a[i * row + l];
}

static void multiply_panels(float *c, size_t c_row, const float *a_panels, const float *b_panels, size_t m, size_t n,
                            size_t k)
{
    for (size_t j = 0; j < n; j += TILE_COLUMNS)
        for (size_t i = 0; i < m; i += TILE_ROWS)
            add_tile(c + i * c_row + j, c_row, a_panels + i * k, 1, TILE_ROWS, b_panels + j * k, TILE_COLUMNS, k);
}

/* Packs both factors first, in the order in which the register tiles read them. */
static void KERNEL(panels)(float *c, const float *a, const float *b, size_t m, size_t n, size_t k, float *work)
{
    float *a_panels = work, *b_panels = work + m * k;
    for (size_t i = 0; i < m; i += TILE_ROWS)
        pack_a(a_panels + i * k, a + i * k, k, k);
    for (size_t j = 0; j < n; j += TILE_COLUMNS)
        pack_b(b_panels + j * k, b + j, n, k);
    memset(c, 0, m * n * sizeof *c);
    multiply_panels(c, n, a_panels, b_panels, m, n, k);
}

/*
 * Takes DEPTH steps of k at a time. A panel of B then stays in L1, a block of A (BLOCK_ROWS rows) in L2, and the packed
 * block of B in L3. The threads divide the rows.
 */
static void KERNEL(blocks)(float *c, const float *a, const float *b, size_t m, size_t n, size_t k, float *work)
{
    float *b_panels = work, *a_panels = work + n * DEPTH;
#pragma omp parallel num_threads(parallel_threads())
    {
        float *own_panels = a_panels + (size_t)parallel_thread() * BLOCK_ROWS * DEPTH;
        for (size_t l = 0; l < k; l += DEPTH) {
            const size_t steps = smaller(DEPTH, k - l);
#pragma omp for
            for (size_t j = 0; j < n; j += TILE_COLUMNS)
                pack_b(b_panels + j * steps, b + l * n + j, n, steps);
#pragma omp for
            for (size_t i = 0; i < m; i += BLOCK_ROWS) {
                const size_t rows = smaller(BLOCK_ROWS, m - i);
                for (size_t row = 0; row < rows; row += TILE_ROWS)
                    pack_a(own_panels + row * steps, a + (i + row) * k + l, k, steps);
                if (l == 0)
                    memset(c + i * n, 0, rows * n * sizeof *c);
                multiply_panels(c + i * n, n, own_panels, b_panels, rows, n, steps);
            }
        }
    }
}

const LadderTable KERNEL(ladder) = {
    .vectors = KERNEL(vectors), .tile = KERNEL(tile), .panels = KERNEL(panels), .blocks = KERNEL(blocks)};

#endif
