/**
 * @file
 * @brief The arithmetic of one score block of attention, and of one query alone.
 *
 * A score block is the rectangle of scores between some queries and some keys. Vectors run across its columns, and its
 * rows are read one after the other:
 *
 *              columns    rows       so that
 *     forward  queries    keys       each lane keeps the maximum and the sum of one query
 *     backward keys       queries    the gradients of the columns' keys and values stay in the cache
 *
 * - Scores are stored in panels as wide as a register tile. In a panel, the scores of one row are adjacent.
 * - The columns' tokens are packed as PackedColumns for the product that makes scores. The rows' tokens, and all sums,
 *   are PackedRows.
 * - Both are padded with zeros to whole register tiles, so that products need no code for remainders.
 * - A probability of 0 is exact: what a token does not see cannot reach it, not even an infinity or a NaN.
 *
 * The bfloat16 kernels round both operands of each product, to the nearest, ties to even: Q, K, V and the gradient of
 * the output when they are packed, probabilities and gradients of scores when a product reads them. Sums, the softmax
 * and the factor 1 / sqrt(d_k) are float32.
 */
#ifndef CS336_KERNELS_ATTENTION_H
#define CS336_KERNELS_ATTENTION_H

#include "core/api.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

enum {
    SCORE_BLOCK_COLUMNS = 32,    /**< columns at most: the widest panel */
    SCORE_BLOCK_ROWS = 128,      /**< rows at most: 128 x 32 scores are 16 KiB, which stay in the L1 cache */
    ATTENTION_WIDEST_PANEL = 32, /**< floats, two AVX-512 vectors; packed rows are padded to a multiple */
    ATTENTION_TALLEST_TILE = 8   /**< rows, of AVX-512's register tile; the number of packed rows is padded to it */
};

/** @brief The extents of a score block. A score counts if it lies in the diagonal band and the mask is true there. */
typedef struct {
    size_t rows,          /**< at most SCORE_BLOCK_ROWS */
        columns;          /**< at most SCORE_BLOCK_COLUMNS */
    ptrdiff_t band_first, /**< column c sees the rows from c + band_first, which may be negative, */
        band_last;        /**< to c + band_last, which may be beyond the last row */
    const bool *mask;     /**< element (0, 0) of the mask; NULL: all true */
    ptrdiff_t row_stride, /**< of the mask, in booleans */
        column_stride;    /**< likewise */
} ScoreBlock;

/** @brief A distance beyond any diagonal: the band has no limit on that side. */
#define SCORE_BLOCK_UNLIMITED (PTRDIFF_MAX / 4)

/** @brief The products that read packed rows: kernels with tiles pack rows for each in another order. */
typedef enum {
    ROWS_IN_SCORES = 1,                           /**< their dot products with columns */
    ROWS_IN_SUMS = 2,                             /**< their weighted sums */
    ROWS_IN_BOTH = ROWS_IN_SCORES | ROWS_IN_SUMS, /**< both, one after the other */
} RowProducts;

/**
 * @brief Copies of rows of Q, K, V or of a gradient, or sums of such rows. Row r of sums is at data + r *
 * attention_width(depth), and with float32 so is every row; tiles have an order of their own.
 */
typedef struct {
    float *data;          /**< in a thread's workspace */
    size_t depth;         /**< numbers in a row: d_k or d_v */
    RowProducts products; /**< what reads the rows; of no meaning for sums */
    bool finite;          /**< pack_rows() packed no infinity and no NaN */
} PackedRows;

/**
 * @brief Transposed copies of rows of Q, K or V, in panels: element 0 of all tokens of a panel, then element 1, ...
 * The panel whose first column is c begins at data + c * attention_width(depth).
 */
typedef struct {
    float *data;  /**< in a thread's workspace; panels as wide as a register tile */
    size_t depth; /**< numbers in a column: d_k or d_v */
    float scale;  /**< factor of all dot products with these columns, 1 / sqrt(d_k) or 1 */
} PackedColumns;

/**
 * @brief One query, and the keys and values that it reads where they lie in the caller's tensors.
 *
 * A query alone reads each key once. To pack the keys first would read and write all of them for one dot product each.
 */
typedef struct {
    const float *query;    /**< (d_k) */
    const float *key,      /**< (keys, d_k); rows are contiguous */
        *value;            /**< (keys, d_v); rows are contiguous */
    ptrdiff_t key_stride,  /**< floats from one row to the next */
        value_stride;      /**< likewise */
    size_t keys,           /**< how many the query sees, from the first on */
        d_k,               /**< numbers in a query or a key */
        d_v;               /**< numbers in a value or an output */
    float scale;           /**< 1 / sqrt(d_k) */
    const bool *mask;      /**< (keys) false: the query does not see this key; NULL: all true */
    ptrdiff_t mask_stride; /**< booleans from one key to the next */
} AttentionQuery;

/** @brief Returns the floats from one packed row to the next: depth, padded to ATTENTION_WIDEST_PANEL. */
size_t attention_width(size_t depth);

/** @brief Returns the packed rows from @p row on. */
PackedRows packed_rows_from(PackedRows rows, size_t row);

/** @brief Returns the packed columns from @p column on, which must begin a panel. */
PackedColumns packed_columns_from(PackedColumns columns, size_t column);

/** @brief True if the band or the mask hides all scores of the block. */
bool score_block_is_hidden(const ScoreBlock *block);

/** @brief The kernels of one instruction set and one kind of numbers: float32, or rounded to bfloat16. */
typedef struct {
    /**
     * @brief Begins what a thread does with the other kernels, but for attend(): the matrix unit is configured in each
     * thread. Kernels without tiles do nothing here.
     */
    void (*begin)(void);

    /** @brief Ends it. */
    void (*end)(void);

    /** @brief Copies @p count rows, @p stride floats apart, into transposed panels, multiplied by columns.scale. */
    void (*pack_columns)(PackedColumns columns, const float *source, ptrdiff_t stride, size_t count);

    /** @brief Copies @p count rows of an operand, @p stride floats apart, and sets rows->finite. */
    void (*pack_rows)(PackedRows *rows, const float *source, ptrdiff_t stride, size_t count);

    /** @brief Copies @p count rows of sums so far, @p stride floats apart. They are never rounded. */
    void (*pack_sums)(PackedRows sums, const float *source, ptrdiff_t stride, size_t count);

    /** @brief Copies packed sums back, row i times factor[i]; @p factor NULL stands for 1. */
    void (*unpack_sums)(float *destination, ptrdiff_t stride, PackedRows sums, const float *factor, size_t count);

    /** @brief Returns output . grad_output of a query: delta. Rounds only the gradient, as pack_rows() does. */
    float (*delta)(const float *output, const float *grad_output, size_t d_v);

    /** @brief score(row, column) = rows(row) . columns(column), at least in the band. */
    void (*scores)(float *score, PackedRows rows, PackedColumns columns, const ScoreBlock *block);

    /** @brief Overwrites the scores that do not count with @p hidden. */
    void (*hide)(float *score, float hidden, const ScoreBlock *block);

    /**
     * @brief Takes one step of the online softmax of every column.
     * \f[ m' = \max(m, \max_r s_r), \quad p_r = e^{s_r - m'}, \quad f = e^{m - m'}, \quad Z' = f Z + \sum_r p_r \f]
     * @param[in,out] score    s, overwritten by p
     * @param[in,out] maximum  (columns) m, -inf before the first block
     * @param[in,out] sum      (columns) Z, 0 before the first block
     * @param[out]    rescale  (columns) f, the factor for all that was summed under the old maximum
     */
    void (*softmax)(float *score, float *maximum, float *sum, float *rescale, const ScoreBlock *block);

    /**
     * @brief sum(column) = rescale(column) sum(column) + sum over the rows of p(row, column) rows(row)
     * @param[in,out] sum      packed rows of the depth of @p rows, one for each column
     * @param[in]     rescale  (columns); NULL stands for 1
     * @param[in]     rows     if not finite, terms with p = 0 are left out: 0 times an infinity would be NaN
     */
    void (*add_to_columns)(float *sum, const float *rescale, const float *p, PackedRows rows, const ScoreBlock *block);

    /** @brief sum(row) += sum over the columns of p(row, column) columns(column), which are packed as rows. */
    void (*add_to_rows)(float *sum, const float *p, PackedRows columns, const ScoreBlock *block);

    /** @brief p(row, column) = exp(rows(row) . columns(column) - log_sum_exp(row)), at least in the band. */
    void (*probabilities)(float *p, PackedRows rows, PackedColumns columns, const float *log_sum_exp,
                          const ScoreBlock *block);

    /** @brief grad(row, column) = scale p (rows(row) . columns(column) - delta(row)), and 0 where p is 0. */
    void (*score_gradients)(float *grad, PackedRows rows, PackedColumns columns, const float *p, const float *delta,
                            float scale, const ScoreBlock *block);

    /**
     * @brief Computes the attention of one query, without packing.
     * @param[out] output       (d_v), 0 if the query sees no key
     * @param[out] log_sum_exp  of the scaled scores, -inf if the query sees no key; NULL: not wanted
     */
    void (*attend)(float *output, float *log_sum_exp, const AttentionQuery *query);
} AttentionKernels;

/** @brief Returns the float32 kernels of the instruction set in use. */
const AttentionKernels *attention_kernels(void);

/** @brief Returns the bfloat16 kernels of the instruction set in use. */
const AttentionKernels *attention_bf16_kernels(void);

/** @brief The tables behind these functions, which kernels/attention_kernel.h defines. */
extern const AttentionKernels attention_portable,      /**< 4 floats at a time, on any CPU */
    attention_avx2,                                    /**< 8 floats at a time */
    attention_avx512;                                  /**< 16 floats at a time */
extern const AttentionKernels attention_bf16_portable, /**< bfloat16, emulated in float32, 4 at a time */
    attention_bf16_avx2,                               /**< likewise, 8 at a time */
    attention_bf16_avx512,                             /**< likewise, 16 at a time */
    attention_bf16_avx512_bf16,                        /**< bfloat16, 16 pairs at a time, with BF16 instructions */
    attention_bf16_amx,                                /**< bfloat16, with tiles: kernels/attention_tile_kernel.h */
    attention_bf16_amx_emulated;                       /**< likewise, with the twin of the matrix unit */

/** @brief The same attend() serves kernels with tiles: one query has nothing that a tile could reuse. */
void attention_bf16_attend_portable(float *output, float *log_sum_exp, const AttentionQuery *query);
/** @brief The same with AVX2. */
void attention_bf16_attend_avx2(float *output, float *log_sum_exp, const AttentionQuery *query);
/** @brief The same with AVX-512. */
void attention_bf16_attend_avx512(float *output, float *log_sum_exp, const AttentionQuery *query);

CS336_INTERNAL_END

#endif
