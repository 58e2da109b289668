/**
 * @file
 * @brief The matrix product: every linear map, forward and backward, ends here.
 *
 * - Any strides, so transposing costs nothing: NN, NT and TN products differ in the strides alone.
 * - Blocked and packed after Goto and van de Geijn: a block of B in the shared workspace, one of A for each thread, and
 *   a micro-kernel that keeps a piece of C in registers.
 * - Threads share out pieces of C, never the sum over k: the result does not depend on their number.
 * - The instruction set is chosen when the program runs; CS336_ISA=avx512_bf16|avx512|avx2|portable overrides it.
 * @see Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008.
 */
#ifndef CS336_KERNELS_MATMUL_H
#define CS336_KERNELS_MATMUL_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

/** @brief A matrix in memory: element (i, j) stands at data[i * row_stride + j * column_stride]. */
typedef struct {
    float *data;
    ptrdiff_t row_stride, column_stride;
} Matrix;

/** @brief A matrix that is only read. */
typedef struct {
    const float *data;
    ptrdiff_t row_stride, column_stride;
} ConstMatrix;

/** @brief Reserves the workspace that matmul() borrows. Call it before, outside parallel loops. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status matmul_reserve(void);

/**
 * @brief General matrix product.
 * \f[ C = \alpha\, A B + \beta\, C \f]
 * @param[in,out] c  (m, n), not read when beta is 0; must not overlap a or b
 * @param[in]     a  (m, k)
 * @param[in]     b  (k, n)
 */
void matmul(Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k, float alpha, float beta);

/**
 * @brief The same product of a and b rounded to bfloat16 (to the nearest, of two to the even one); sums are float32.
 *
 * Rounding happens while blocks are packed. With AVX512_BF16 numbers are multiplied two by two, in one instruction that
 * adds two neighbours of k to the sum at once and takes denormals, here and in the result, for 0. Elsewhere it is
 * emulated by the float32 kernels: each product of two bfloat16 numbers is exact, so only the order of sums differs.
 */
void matmul_bf16(Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k, float alpha, float beta);

/** @brief Whether matmul_bf16() is emulated, and so no faster than matmul(). */
bool matmul_bf16_is_emulated(void);

/** @brief matmul() for @p batch matrices, each @p c_step, @p a_step, @p b_step floats after the one before. */
void matmul_batched(Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k, float alpha, float beta,
                    size_t batch, ptrdiff_t c_step, ptrdiff_t a_step, ptrdiff_t b_step);

#endif
