/* The micro-kernels behind matmul.h, one table for each instruction set. */
#ifndef CS336_KERNELS_MATMUL_TABLE_H
#define CS336_KERNELS_MATMUL_TABLE_H

#include "kernels/matmul.h"

/*
 * A panel is a strip of a matrix, rewritten so that the micro-kernel reads memory strictly in order: panel p of A holds
 * rows p * tile_rows to p * tile_rows + tile_rows - 1, column after column; one of B tile_columns columns, row after
 * row. Places beyond the matrix are zero. Each 32-bit word of a panel holds word_steps numbers of k: one of float32,
 * perhaps rounded to bfloat16, or two of bfloat16. The last panel of a block may be written PANEL_OVERRUN floats too
 * far.
 */
enum { PANEL_OVERRUN = 16 };

typedef struct {
    size_t tile_rows, tile_columns; /* of the piece of C that is kept in registers */
    size_t word_steps;

    /* Panels of a, (m, k), and of b given as its transpose, (n, k); one panel after the other. */
    void (*pack_a)(float *panels, ConstMatrix a, size_t m, size_t k);
    void (*pack_b)(float *panels, ConstMatrix b_transposed, size_t n, size_t k);

    /* c = alpha a b + beta c from panels of so many words for each row and column. */
    void (*multiply)(Matrix c, const float *a_panels, const float *b_panels, size_t m, size_t n, size_t words,
                     float alpha, float beta);

    /* In float32 only. c = alpha a b^T + beta c for a few rows of a, straight from memory: the rows of a, (m, k), and
       of b, (n, k), are contiguous. */
    void (*dot_rows)(Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k, float alpha, float beta);

    /* In float32 only. y = alpha a x + beta y. The columns of a are contiguous, and m is at most MATVEC_COLUMNS. */
    void (*add_columns)(float *y, ptrdiff_t y_stride, ConstMatrix a, const float *x, ptrdiff_t x_stride, size_t m,
                        size_t k, float alpha, float beta);
} MatmulTable;

enum { MATVEC_COLUMNS = 2048 };

extern const MatmulTable matmul_portable, matmul_avx2, matmul_avx512;
extern const MatmulTable matmul_bf16_portable, matmul_bf16_avx2, matmul_bf16_avx512, matmul_bf16_avx512_bf16;

#endif
