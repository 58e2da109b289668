/*
 * What the attention kernels of an instruction set do beside products, compiled once for each: see attention.h. The
 * file that includes this one says in enumerators what its products compute at once:
 *
 *     PANEL                  columns of a panel of scores, a multiple of VECTOR_FLOATS
 *     ATTENTION_TILE_ROWS    rows of scores
 *     SOFTMAX_COLUMNS        columns for which add_to_columns() reads the same rows, a multiple of VECTOR_FLOATS: the
 *                            softmax computes all of these, and e^-inf = 0 where a column does not see the row
 */
#ifndef CS336_KERNELS_ATTENTION_SOFTMAX_KERNEL_H
#define CS336_KERNELS_ATTENTION_SOFTMAX_KERNEL_H

#include "kernels/attention.h"
#include "kernels/vector.h"

#include <string.h>

static size_t smaller_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- which scores count ---- */

/** @brief The indices begin ... end - 1; none if begin equals end. */
typedef struct {
    size_t begin, /**< the first index */
        end;      /**< the index after the last */
} Range;

/* Returns the intersection of begin ... end - 1 and 0 ... extent - 1. */
static Range clip_range(ptrdiff_t begin, ptrdiff_t end, size_t extent)
{
    const ptrdiff_t low = begin > 0 ? begin : 0, high = end < (ptrdiff_t)extent ? end : (ptrdiff_t)extent;
    return low < high ? (Range){(size_t)low, (size_t)high} : (Range){0, 0};
}

/* Returns the rows from the first to the last that any of `count` neighbouring columns sees. */
static Range rows_seen(const ScoreBlock *block, size_t column, size_t count)
{
    const ptrdiff_t c = (ptrdiff_t)column;
    return clip_range(c + block->band_first, c + (ptrdiff_t)count + block->band_last, block->rows);
}

/* Returns the rows of all register tiles that hold a row of the range. */
static Range whole_tiles(Range rows)
{
    return (Range){rows.begin / ATTENTION_TILE_ROWS * ATTENTION_TILE_ROWS,
                   (rows.end + ATTENTION_TILE_ROWS - 1) / ATTENTION_TILE_ROWS * ATTENTION_TILE_ROWS};
}

/* Returns the index of the first score of a column's panel. */
static size_t panel_start(size_t column)
{
    return column / PANEL * PANEL * SCORE_BLOCK_ROWS;
}

/* ---- sums, and delta ---- */

static void KERNEL(attention_pack_sums)(PackedRows sums, const float *source, ptrdiff_t stride, size_t count)
{
    const size_t depth = sums.depth, width = attention_width(depth);
    const size_t padded = (count + ATTENTION_TALLEST_TILE - 1) / ATTENTION_TALLEST_TILE * ATTENTION_TALLEST_TILE;
    float *destination = sums.data;
    for (size_t row = 0; row < count; row++, destination += width, source += stride)
        for (size_t i = 0; i < width; i += VECTOR_FLOATS)
            vector_store(destination + i, i < depth ? vector_load_first(source + i, depth - i) : (Vector){0});
    memset(destination, 0, (padded - count) * width * sizeof *destination);
}

static void KERNEL(attention_unpack_sums)(float *destination, ptrdiff_t stride, PackedRows sums, const float *factor,
                                          size_t count)
{
    const size_t depth = sums.depth, width = attention_width(depth);
    const float *source = sums.data;
    for (size_t row = 0; row < count; row++, source += width, destination += stride) {
        const float scale = factor ? factor[row] : 1;
        for (size_t i = 0; i < depth; i += VECTOR_FLOATS)
            vector_store_first(destination + i, scale * vector_load(source + i), depth - i);
    }
}

static float KERNEL(attention_bf16_delta)(const float *output, const float *grad_output, size_t d_v)
{
    Vector sum = {0};
    for (size_t i = 0; i < d_v; i += VECTOR_FLOATS)
        sum += vector_load_first(output + i, d_v - i) * vector_round_bf16(vector_load_first(grad_output + i, d_v - i));
    return vector_sum(sum);
}

/* ---- the mask ---- */

/*
 * True if all these columns see all these rows: the first column sees down to the last row, and the last column up to
 * the first row.
 */
static bool nothing_is_hidden(const ScoreBlock *block, Range rows, Range columns)
{
    return !block->mask && (ptrdiff_t)rows.end <= (ptrdiff_t)columns.begin + block->band_last + 1 &&
           (ptrdiff_t)rows.begin + 1 >= (ptrdiff_t)columns.end + block->band_first;
}

/*
 * Hides one row of a panel where the mask says so. It selects without branches: the processor could not predict the
 * values of a mask, and each wrong prediction costs about 15 cycles.
 */
static void hide_where_masked(float *score, float hidden, Range columns, ptrdiff_t stride, const bool *mask)
{
    int32_t seen[PANEL] = {0};
    for (size_t c = columns.begin; c < columns.end; c++)
        seen[c] = -(int32_t)mask[(ptrdiff_t)c * stride];
    for (size_t lane = 0; lane < PANEL; lane += VECTOR_FLOATS) {
        IntVector condition;
        memcpy(&condition, seen + lane, sizeof condition);
        vector_store(score + lane, vector_select(condition, vector_load(score + lane), vector_fill(hidden)));
    }
}

static void KERNEL(attention_hide)(float *score, float hidden, const ScoreBlock *block)
{
    for (size_t first = 0; first < block->columns; first += PANEL) {
        /* The products wrote whole register tiles, and so also scores outside the band: hide these, too. */
        Range rows = whole_tiles(rows_seen(block, first, PANEL));
        rows.end = smaller_size(rows.end, block->rows);
        const size_t columns = smaller_size(PANEL, block->columns - first);
        if (nothing_is_hidden(block, rows, (Range){first, first + columns}))
            continue;
        for (size_t row = rows.begin; row < rows.end; row++) {
            float *panel_row = score + panel_start(first) + row * PANEL;
            /* The band hides this row from all columns first + c but those with c in this range. */
            const ptrdiff_t shift = (ptrdiff_t)row - (ptrdiff_t)first;
            const Range in_band = clip_range(shift - block->band_last, shift - block->band_first + 1, columns);
            for (size_t c = 0; c < in_band.begin; c++)
                panel_row[c] = hidden;
            for (size_t c = in_band.end; c < columns; c++)
                panel_row[c] = hidden;
            /* In the band the mask decides. */
            if (block->mask)
                hide_where_masked(panel_row, hidden, in_band, block->column_stride,
                                  block->mask + (ptrdiff_t)row * block->row_stride +
                                      (ptrdiff_t)first * block->column_stride);
        }
    }
}

/* ---- softmax ---- */

static void KERNEL(attention_softmax)(float *score, float *maximum, float *sum, float *rescale, const ScoreBlock *block)
{
    const size_t padded = (block->columns + SOFTMAX_COLUMNS - 1) / SOFTMAX_COLUMNS * SOFTMAX_COLUMNS;
    for (size_t column = 0; column < padded; column += VECTOR_FLOATS) {
        const Range seen = rows_seen(block, column / SOFTMAX_COLUMNS * SOFTMAX_COLUMNS, SOFTMAX_COLUMNS);
        float *scores = score + panel_start(column) + column % PANEL;
        /* m': the greatest score of each column so far, one column in each lane. */
        const Vector old = vector_load(maximum + column);
        Vector max = old, total = (Vector){0};
        for (size_t row = seen.begin; row < seen.end; row++)
            max = vector_max(vector_load(scores + row * PANEL), max);
        /* A column that has seen nothing subtracts 0: exp(-inf - 0) is 0, but exp(-inf + inf) would be NaN. */
        const Vector reference = vector_select(max == vector_fill(-INFINITY), (Vector){0}, max);
        /* p = e^(s - m') and their sum */
        for (size_t row = seen.begin; row < seen.end; row++) {
            const Vector p = vector_exp(vector_load(scores + row * PANEL) - reference);
            vector_store(scores + row * PANEL, p);
            total += p;
        }
        /* f = e^(m - m') and Z' = f Z + sum p: the old sum Z was relative to the old maximum m. */
        const Vector factor = vector_exp(old - reference);
        vector_store(maximum + column, max);
        vector_store(rescale + column, factor);
        vector_store(sum + column, vector_load(sum + column) * factor + total);
    }
}

#endif
