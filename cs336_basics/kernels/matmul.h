/**
 * @file
 * @brief The matrix product: every linear map, forward and backward, ends here.
 *
 * - Matrices have any strides, so a transpose costs nothing: NN, NT and TN products differ in the strides alone.
 * - Blocked and packed after Goto and van de Geijn: the threads share a packed block of B, each packs a block of A for
 *   itself, and a micro-kernel keeps a register tile of C.
 * - Threads share out C in chunks, never the sum over k: the result does not depend on their number.
 * - The instruction set is chosen when the program runs; CS336_ISA overrides it (isa_in_use()).
 * @see Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008.
 */
#ifndef CS336_KERNELS_MATMUL_H
#define CS336_KERNELS_MATMUL_H

#include "core/api.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

/** @brief A matrix in memory: element (i, j) is data[i * row_stride + j * column_stride]. */
typedef struct {
    float *data;          /**< element (0, 0) */
    ptrdiff_t row_stride, /**< floats from one row to the next */
        column_stride;    /**< floats from one column to the next */
} Matrix;

/** @brief A matrix that is only read. */
typedef struct {
    const float *data;    /**< element (0, 0) */
    ptrdiff_t row_stride, /**< floats from one row to the next */
        column_stride;    /**< floats from one column to the next */
} ConstMatrix;

/** @brief Reserves the workspace that matmul() borrows. Call it before, outside parallel loops. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status matmul_reserve(void);

/**
 * @brief Rows of A, at most, with which a B of contiguous columns is not packed: packing would cost as much as the
 * product, because a number of B serves only 16 FMAs.
 */
enum { MATMUL_FEW_ROWS = 16 };

/**
 * @brief Returns the bytes of the shared workspace that matmul() writes for C of n columns and sums of k terms, 8 MB at
 * most, if it packs B. Only what is written takes memory, so a small model takes less than is reserved.
 */
size_t matmul_workspace_bytes(size_t n, size_t k);

/**
 * @brief Computes the general matrix product.
 * \f[ C = \alpha\, A B + \beta\, C \f]
 *
 * With AMX, sums of at least four terms are computed by tiles: each float32 number is split into three bfloat16
 * numbers, and six of their products are added. The error is about that of fused multiply-adds, or less
 * (docs/performance.md). Infinities and NaN go where float32 arithmetic puts them, and denormals count
 * (matmul_tile_pack_kernel.h).
 * @param[in,out] c  (m, n), not read when beta is 0; must not overlap a or b
 * @param[in]     a  (m, k)
 * @param[in]     b  (k, n)
 */
void matmul(Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k, float alpha, float beta);

/**
 * @brief Computes the same product of a and b rounded to bfloat16 (to the nearest, ties to even). Sums are float32.
 *
 * Numbers are rounded while blocks are packed. With AVX512_BF16, one instruction multiplies two neighbours of k and
 * adds both products to the sum; with AMX, one multiplies tiles. Both take denormals, here and in the result, for 0.
 * Elsewhere the float32 kernels emulate it: the product of two bfloat16 numbers is exact in float32, so only the order
 * of additions differs.
 */
void matmul_bf16(Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k, float alpha, float beta);

/** @brief True if matmul_bf16() is emulated, and so no faster than matmul(). */
bool matmul_bf16_is_emulated(void);

/**
 * @brief Computes the product with a and b as sums of two bfloat16 numbers each, which hold 16 bits of 24.
 *
 * With AMX it adds three products of tiles, half of those of matmul(). The error is at most 3 2^-16 of each |a b|, and
 * far less in long sums. Without AMX the float32 kernels emulate it: they round a number to the sum of two bfloat16
 * numbers while blocks are packed. Products of a few rows or columns are those of matmul(), everywhere.
 */
void matmul_bf16x3(Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k, float alpha, float beta);

/** @brief True if matmul_bf16x3() is emulated, and so no faster than matmul(). */
bool matmul_bf16x3_is_emulated(void);

/**
 * @name Kernels of one instruction set, for matmul.c alone
 *
 * A panel is a strip of a matrix, copied so that the micro-kernel reads memory strictly in order. Panel p of A holds
 * the rows p * tile_rows to p * tile_rows + tile_rows - 1, column after column; a panel of B holds tile_columns
 * columns, row after row. Rows and columns beyond the matrix are 0. Panels are packed in steps along k. A step takes
 * step_depth numbers of each row (of A, or column of B), and needs step_floats floats for them:
 *
 * - with vectors, a group of 32 bits: one float32 number (perhaps rounded to bfloat16), or two bfloat16 numbers;
 * - with tiles, 32 numbers as bfloat16, in one, two or three parts (matmul_tile_kernel.h).
 * @{
 */
enum {
    PANEL_OVERRUN = 16,    /**< floats that packing may write beyond the last panel: it stores whole vectors */
    MATVEC_COLUMNS = 2048, /**< outputs of one add_columns() call at most: 8 KiB of sums, which stay in the L1 cache */
};

/** @brief The kernels for one instruction set and one kind of numbers: float32, or rounded to bfloat16. */
typedef struct {
    size_t tile_rows,  /**< rows of the register tile, and of a panel of A */
        tile_columns;  /**< columns of the register tile, and of a panel of B */
    size_t step_depth, /**< numbers along k that a step takes: 1, 2 or 32 */
        step_floats,   /**< floats of a panel that hold a step of one row or column */
        extra_floats;  /**< floats of a panel for each row or column, beside those of its steps */

    /** @brief Packs a, (m, k), one panel after the other. */
    void (*pack_a)(float *panels, ConstMatrix a, size_t m, size_t k);

    /** @brief Packs b, (k, n), one panel after the other. It is given as its transpose, (n, k). */
    void (*pack_b)(float *panels, ConstMatrix b_transposed, size_t n, size_t k);

    /** @brief Computes c = alpha a b + beta c from packed panels. A row of a or column of b has @p steps steps. */
    void (*multiply)(Matrix c, const float *a_panels, const float *b_panels, size_t m, size_t n, size_t steps,
                     float alpha, float beta);

    /**
     * @brief Computes c = alpha a b^T + beta c for a few rows of a, without packing. The rows of a, (m, k), and of b,
     * (n, k), are contiguous. NULL for bfloat16.
     */
    void (*dot_rows)(Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k, float alpha, float beta);

    /**
     * @brief Computes y = alpha a x + beta y without packing. The columns of a, (m, k), are contiguous; m is at most
     * MATVEC_COLUMNS. NULL for bfloat16.
     */
    void (*add_columns)(float *y, ptrdiff_t y_stride, ConstMatrix a, const float *x, ptrdiff_t x_stride, size_t m,
                        size_t k, float alpha, float beta);
} MatmulKernels;

/** @brief The tables that kernels/matmul_kernel.h and, for AMX, kernels/matmul_tile_kernel.h define. */
extern const MatmulKernels matmul_portable,        /**< float32, 4 at a time, on any CPU */
    matmul_avx2,                                   /**< float32, 8 at a time */
    matmul_avx512,                                 /**< float32, 16 at a time */
    matmul_amx,                                    /**< float32 in three parts, with tiles */
    matmul_amx_emulated;                           /**< likewise, with the twin of the unit */
extern const MatmulKernels matmul_bf16_portable,   /**< bfloat16, emulated in float32, 4 at a time */
    matmul_bf16_avx2,                              /**< likewise, 8 at a time */
    matmul_bf16_avx512,                            /**< likewise, 16 at a time */
    matmul_bf16_avx512_bf16,                       /**< bfloat16, 16 pairs at a time, with BF16 instructions */
    matmul_bf16_amx,                               /**< bfloat16, with tiles */
    matmul_bf16_amx_emulated;                      /**< likewise, with the twin of the unit */
extern const MatmulKernels matmul_bf16x3_portable, /**< two parts, emulated in float32, 4 at a time */
    matmul_bf16x3_avx2,                            /**< likewise, 8 at a time */
    matmul_bf16x3_avx512,                          /**< likewise, 16 at a time */
    matmul_bf16x3_amx,                             /**< two parts, with tiles */
    matmul_bf16x3_amx_emulated;                    /**< likewise, with the twin of the unit */
/** @} */

CS336_INTERNAL_END

#endif
