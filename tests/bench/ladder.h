/**
 * @file
 * @brief The steps from the triple loop to the library's matrix product that are written in vectors.
 *
 * - C = A B, all three row by row in memory. m is a multiple of 8, n of 32: other sizes are the library's business.
 * - A step differs from the one before by one idea; docs/performance.md tells why each is faster, and by how much.
 */
#ifndef CS336_TESTS_LADDER_H
#define CS336_TESTS_LADDER_H

#include <stddef.h>

/** @brief Blocks of B, DEPTH by COLUMNS numbers, that the loops without tiles stay with for all rows of A. */
enum { CACHED_DEPTH = 64, CACHED_COLUMNS = 512 };

/** @brief c (m, n) = a (m, k) b (k, n); @p work has room for both factors and LADDER_BLOCK floats a thread. */
typedef void LadderStep(float *c, const float *a, const float *b, size_t m, size_t n, size_t k, float *work);

/** @brief Of the step with blocks for every cache: steps of k, rows of A, and their product. */
enum { LADDER_DEPTH = 256, LADDER_ROWS = 256, LADDER_BLOCK = LADDER_DEPTH * LADDER_ROWS };

typedef struct {
    LadderStep *vectors, *tile, *panels, *blocks;
} LadderTable;

/** @brief The table of the instruction set in use. */
const LadderTable *ladder_vectors(void);

/** @brief The same source for each instruction set. */
extern const LadderTable ladder_portable, ladder_avx2, ladder_avx512;

#endif
