/**
 * @file
 * @brief The vectorised steps between the triple loop and the library's matrix product.
 *
 * - C = A B, all three row-major. m is a multiple of 8 and n of 32; only the library takes other sizes.
 * - Each step adds one idea to the step before. docs/performance.md explains why it is faster, and by how much.
 */
#ifndef CS336_TESTS_LADDER_H
#define CS336_TESTS_LADDER_H

#include <stddef.h>

/** @brief Rows and columns of the blocks of B in the steps without register tiles: 128 KiB, which stay in L2. */
enum { CACHED_DEPTH = 64, CACHED_COLUMNS = 512 };

/** @brief Computes c (m, n) = a (m, k) b (k, n). @p work has room for both factors and LADDER_BLOCK floats a thread. */
typedef void LadderStep(float *c, const float *a, const float *b, size_t m, size_t n, size_t k, float *work);

/** @brief Blocks of A in the last step: 256 steps of k and 256 rows, 256 KiB, which stay in L2. */
enum { LADDER_DEPTH = 256, LADDER_ROWS = 256, LADDER_BLOCK = LADDER_DEPTH * LADDER_ROWS };

typedef struct {
    LadderStep *vectors, *tile, *panels, *blocks;
} LadderTable;

/** @brief Returns the steps for the instruction set in use. */
const LadderTable *ladder_vectors(void);

/** @brief The steps for each instruction set, compiled from ladder_steps.h. */
extern const LadderTable ladder_portable, ladder_avx2, ladder_avx512;

#endif
