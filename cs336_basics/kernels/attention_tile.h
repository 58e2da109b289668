/**
 * @file
 * @brief The arithmetic of one tile of attention.
 *
 * A tile is the part of the score matrix between at most ATTENTION_COLUMNS tokens of one side, held in vector lanes,
 * and at most ATTENTION_ROWS tokens of the other, streamed past them:
 *
 *              columns    rows       so that
 *     forward  queries    keys       the maximum and the sum over the keys run down the lanes
 *     backward keys       queries    the gradients of keys and values stay in the tile
 *
 * - Scores lie in panels of one register block of columns: inside a panel the columns of a row are neighbours.
 * - Packed columns are transposed panels in the same order; packed rows are dense, attention_width() floats apart.
 * - Columns are zero up to the next whole panel, rows up to a multiple of ATTENTION_TERMS: products need no remainders.
 * - A probability of 0 is exact: what a token does not see cannot reach it, not even an infinity or a NaN.
 */
#ifndef CS336_KERNELS_ATTENTION_TILE_H
#define CS336_KERNELS_ATTENTION_TILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ATTENTION_COLUMNS = 32, /**< multiple of ATTENTION_BLOCK */
    ATTENTION_ROWS = 128,   /**< multiple of ATTENTION_BLOCK */
    ATTENTION_FEW = 4,      /**< columns of a tile that is computed one by one */
    ATTENTION_BLOCK = 32,   /**< multiple of every instruction set's register block */
    ATTENTION_TERMS = 8     /**< rows of a sum that products take at once, at most */
};

/** @brief Extent of one tile and which of its scores count: those in a diagonal band, and where the mask is true. */
typedef struct {
    size_t rows, columns;
    ptrdiff_t first, last; /**< column c sees rows c + first ... c + last */
    const bool *where;     /**< (row, column) at where[row * row_step + column * column_step]; NULL: all */
    ptrdiff_t row_step, column_step;
    bool few; /**< in the forward pass: at most ATTENTION_FEW columns, packed and computed one by one */
} AttentionTile;

/** @brief Further than any diagonal: no limit on that side of the band. */
#define ATTENTION_UNLIMITED (PTRDIFF_MAX / 4)

/** @brief Floats between packed rows of @p depth numbers. */
size_t attention_width(size_t depth);

/** @brief Copies @p count rows into transposed panels, times @p scale: (depth, columns). */
void attention_pack_columns(float *panels, const float *from, ptrdiff_t stride, size_t count, size_t depth,
                            float scale);

/** @brief Copies @p count rows, densely. @return whether all numbers are finite */
bool attention_pack_rows(float *rows, const float *from, ptrdiff_t stride, size_t count, size_t depth);

/** @brief Copies packed rows back, row i times factor[i]; @p factor NULL: 1. */
void attention_unpack_rows(float *to, ptrdiff_t stride, const float *rows, const float *factor, size_t count,
                           size_t depth);

/** @brief Whether the band or the mask hides all scores of the tile. */
bool attention_sees_nothing(const AttentionTile *tile);

/** @brief score(row, column) = rows(row) . columns(column), where the band asks for it. */
void attention_scores(float *score, const float *rows, const float *columns, size_t depth, const AttentionTile *tile);

/** @brief Writes @p hidden wherever a row is not seen. */
void attention_hide(float *score, float hidden, const AttentionTile *tile);

/**
 * @brief One step of the online softmax of every column.
 * \f[ m' = \max(m, \max_r s_r), \quad p_r = e^{s_r - m'}, \quad f = e^{m - m'}, \quad l' = f\,l + \sum_r p_r \f]
 * @param[in,out] score    scores, overwritten by p
 * @param[in,out] maximum  (columns) m, -inf at the start
 * @param[in,out] sum      (columns) l
 * @param[out]    shrink   (columns) f, the factor for all that was accumulated under the old maximum
 */
void attention_softmax(float *score, float *maximum, float *sum, float *shrink, const AttentionTile *tile);

/**
 * @brief out(column) = shrink(column) out(column) + sum over rows of p(row, column) rows(row)
 * @param[in,out] out     (columns, attention_width(depth))
 * @param[in]     shrink  (columns); NULL: 1
 * @param[in]     finite  what attention_pack_rows() said of @p rows; if not, terms with p = 0 are left out
 */
void attention_add_to_columns(float *out, const float *shrink, const float *p, const float *rows, size_t depth,
                              bool finite, const AttentionTile *tile);

/** @brief out(row) += sum over columns of p(row, column) columns(column), where @p columns are packed as rows. */
void attention_add_to_rows(float *out, const float *p, const float *columns, size_t depth, bool finite,
                           const AttentionTile *tile);

/** @brief p(row, column) = exp(rows(row) . columns(column) - log_sum_exp(row)), where the band asks for it. */
void attention_probabilities(float *p, const float *rows, const float *columns, size_t depth, const float *log_sum_exp,
                             const AttentionTile *tile);

/** @brief grad(row, column) = scale p (rows(row) . columns(column) - delta(row)), and 0 where p is 0. */
void attention_score_gradients(float *grad, const float *rows, const float *columns, size_t depth, const float *p,
                               const float *delta, float scale, const AttentionTile *tile);

#endif
