/* The functions of attention_tile.h for one instruction set: see vector.h. */
#ifndef CS336_KERNELS_ATTENTION_KERNEL_H
#define CS336_KERNELS_ATTENTION_KERNEL_H

#include "kernels/attention_few_kernel.h"
#include "kernels/attention_table.h"
#include "kernels/vector.h"

#include <string.h>

/* A register tile is TILE_SUMS x TILE_BLOCK floats: with 32 vector registers 8 x 2 of them are sums, with 16 registers
 * 4 x 2. */
enum { TILE_SUMS = VECTOR_FLOATS == 16 ? 8 : 4, TILE_BLOCK = 2 * VECTOR_FLOATS };
_Static_assert(ATTENTION_TERMS % (int)TILE_SUMS == 0, "packed rows end in the middle of a register tile");

typedef struct {
    size_t begin, end;
} TileRange;

static size_t tile_smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static TileRange tile_clip(ptrdiff_t begin, ptrdiff_t end, size_t extent)
{
    const ptrdiff_t low = begin > 0 ? begin : 0, high = end < (ptrdiff_t)extent ? end : (ptrdiff_t)extent;
    return low < high ? (TileRange){(size_t)low, (size_t)high} : (TileRange){0, 0};
}

/* The rows that any of `count` neighbouring columns sees, and the columns that see any of `count` rows. */
static TileRange tile_rows_seen(const AttentionTile *tile, size_t column, size_t count)
{
    const ptrdiff_t c = (ptrdiff_t)column;
    return tile_clip(c + tile->first, c + (ptrdiff_t)count + tile->last, tile->rows);
}

static TileRange tile_columns_seeing(const AttentionTile *tile, size_t row, size_t count)
{
    const ptrdiff_t r = (ptrdiff_t)row;
    return tile_clip(r - tile->last, r + (ptrdiff_t)count - tile->first, tile->columns);
}

/* The register tiles that cover a range of rows. */
static TileRange tile_whole_sums(TileRange range)
{
    return (TileRange){range.begin / TILE_SUMS * TILE_SUMS, (range.end + TILE_SUMS - 1) / TILE_SUMS * TILE_SUMS};
}

/* Where the panel of a column begins in scores. */
static size_t tile_panel(size_t column)
{
    return column / TILE_BLOCK * TILE_BLOCK * ATTENTION_ROWS;
}

/* Squares of the panel are transposed in registers. */
static void KERNEL(attention_pack_columns)(float *panels, const float *from, ptrdiff_t stride, size_t count,
                                           size_t depth, float scale)
{
    for (size_t first = 0; first < (count + TILE_BLOCK - 1) / TILE_BLOCK * TILE_BLOCK; first += VECTOR_FLOATS)
        for (size_t i = 0; i < depth; i += VECTOR_FLOATS) {
            Vector square[VECTOR_FLOATS];
            VECTOR_UNROLL
            for (size_t lane = 0; lane < VECTOR_FLOATS; lane++) {
                square[lane] = (Vector){0};
                if (first + lane < count)
                    square[lane] = scale * vector_load_first(from + (ptrdiff_t)(first + lane) * stride + i, depth - i);
            }
            vector_transpose(square);
            float *to = panels + first / TILE_BLOCK * TILE_BLOCK * depth + i * TILE_BLOCK + first % TILE_BLOCK;
            VECTOR_UNROLL
            for (size_t row = 0; row < VECTOR_FLOATS; row++)
                if (i + row < depth)
                    vector_store(to + row * TILE_BLOCK, square[row]);
        }
}

/* x * 0 is a NaN for infinities and NaNs, and a zero for all else. */
static bool KERNEL(attention_pack_rows)(float *rows, const float *from, ptrdiff_t stride, size_t count, size_t depth)
{
    const size_t width = attention_width(depth);
    IntVector infected = {0};
    for (size_t row = 0; row < count; row++, rows += width, from += stride) {
        size_t i = 0;
        for (; i + VECTOR_FLOATS <= depth; i += VECTOR_FLOATS) {
            const Vector v = vector_load(from + i);
            vector_store(rows + i, v);
            infected |= vector_bits(v * 0);
        }
        for (; i < width; i += VECTOR_FLOATS) {
            const Vector v = i < depth ? vector_load_first(from + i, depth - i) : (Vector){0};
            vector_store(rows + i, v);
            infected |= vector_bits(v * 0);
        }
    }
    memset(rows, 0, ((count + ATTENTION_TERMS - 1) / ATTENTION_TERMS * ATTENTION_TERMS - count) * width * sizeof *rows);
    return vector_sum(vector_from_bits(infected)) == 0;
}

static void KERNEL(attention_unpack_rows)(float *to, ptrdiff_t stride, const float *rows, const float *factor,
                                          size_t count, size_t depth)
{
    const size_t width = attention_width(depth);
    for (size_t row = 0; row < count; row++, rows += width, to += stride) {
        const float scale = factor ? factor[row] : 1;
        for (size_t i = 0; i < depth; i += VECTOR_FLOATS)
            vector_store_first(to + i, scale * vector_load(rows + i), depth - i);
    }
}

/*
 * The one product of this file: TILE_SUMS x TILE_BLOCK sums, all in registers, of `depth` terms a(s, k) b(k, 0 ..
 * TILE_BLOCK - 1).
 */
VECTOR_INLINE void tile_multiply_add(Vector sum[TILE_SUMS][2], const float *a, size_t a_step, size_t a_next,
                                     const float *b, size_t b_next, size_t depth)
{
    for (size_t k = 0; k < depth; k++, a += a_next, b += b_next) {
        const Vector b0 = vector_load(b), b1 = vector_load(b + VECTOR_FLOATS);
        VECTOR_UNROLL
        for (size_t s = 0; s < TILE_SUMS; s++) {
            const Vector factor = vector_fill(a[s * a_step]);
            sum[s][0] += factor * b0;
            sum[s][1] += factor * b1;
        }
    }
}

VECTOR_INLINE void tile_load_sums(Vector sum[TILE_SUMS][2], const float *from, size_t step)
{
    VECTOR_UNROLL
    for (size_t s = 0; s < TILE_SUMS; s++) {
        sum[s][0] = vector_load(from + s * step);
        sum[s][1] = vector_load(from + s * step + VECTOR_FLOATS);
    }
}

VECTOR_INLINE void tile_store_sums(float *to, size_t step, Vector sum[TILE_SUMS][2])
{
    VECTOR_UNROLL
    for (size_t s = 0; s < TILE_SUMS; s++) {
        vector_store(to + s * step, sum[s][0]);
        vector_store(to + s * step + VECTOR_FLOATS, sum[s][1]);
    }
}

/* p = e^(s - log_sum_exp) */
VECTOR_INLINE void tile_probabilities(Vector sum[TILE_SUMS][2], const float *log_sum_exp)
{
    VECTOR_UNROLL
    for (size_t s = 0; s < TILE_SUMS; s++) {
        sum[s][0] = vector_exp(sum[s][0] - log_sum_exp[s]);
        sum[s][1] = vector_exp(sum[s][1] - log_sum_exp[s]);
    }
}

/* ds = scale p (dp - delta) */
VECTOR_INLINE void tile_gradients(Vector sum[TILE_SUMS][2], const float *p, const float *delta, float scale)
{
    VECTOR_UNROLL
    for (size_t s = 0; s < TILE_SUMS; s++)
        VECTOR_UNROLL
    for (size_t half = 0; half < 2; half++) {
        const Vector weight = vector_load(p + s * TILE_BLOCK + half * VECTOR_FLOATS);
        const Vector gradient = scale * weight * (sum[s][half] - delta[s]);
        sum[s][half] = vector_select(weight == 0, (Vector){0}, gradient);
    }
}

/* What becomes of products while they are in registers. */
typedef enum { TILE_SCORES, TILE_PROBABILITIES, TILE_GRADIENTS } TileResult;

VECTOR_INLINE void tile_products(TileResult result, float *to, const float *rows, const float *columns, size_t depth,
                                 const AttentionTile *tile, const float *row_number, const float *p, float scale)
{
    const size_t width = attention_width(depth);
    for (size_t column = 0; column < tile->columns; column += TILE_BLOCK) {
        const TileRange seen = tile_whole_sums(tile_rows_seen(tile, column, TILE_BLOCK));
        for (size_t row = seen.begin; row < seen.end; row += TILE_SUMS) {
            const size_t at = tile_panel(column) + row * TILE_BLOCK;
            Vector sum[TILE_SUMS][2];
            VECTOR_UNROLL
            for (size_t s = 0; s < TILE_SUMS; s++)
                sum[s][0] = sum[s][1] = (Vector){0};
            tile_multiply_add(sum, rows + row * width, width, 1, columns + column * depth, TILE_BLOCK, depth);
            if (result == TILE_PROBABILITIES)
                tile_probabilities(sum, row_number + row);
            if (result == TILE_GRADIENTS)
                tile_gradients(sum, p + at, row_number + row, scale);
            tile_store_sums(to + at, TILE_BLOCK, sum);
        }
    }
}

static void KERNEL(attention_scores)(float *score, const float *rows, const float *columns, size_t depth,
                                     const AttentionTile *tile)
{
    if (tile->few)
        few_scores(score, rows, columns, depth, tile);
    else
        tile_products(TILE_SCORES, score, rows, columns, depth, tile, NULL, NULL, 1);
}

static void KERNEL(attention_probabilities)(float *p, const float *rows, const float *columns, size_t depth,
                                            const float *log_sum_exp, const AttentionTile *tile)
{
    tile_products(TILE_PROBABILITIES, p, rows, columns, depth, tile, log_sum_exp, NULL, 1);
}

static void KERNEL(attention_score_gradients)(float *grad, const float *rows, const float *columns, size_t depth,
                                              const float *p, const float *delta, float scale,
                                              const AttentionTile *tile)
{
    tile_products(TILE_GRADIENTS, grad, rows, columns, depth, tile, delta, p, scale);
}

/* Whether the band leaves nothing to hide in these rows and columns. */
static bool tile_all_seen(const AttentionTile *tile, TileRange rows, TileRange columns)
{
    return !tile->where && (ptrdiff_t)rows.end <= (ptrdiff_t)columns.begin + tile->last + 1 &&
           (ptrdiff_t)rows.begin + 1 >= (ptrdiff_t)columns.end + tile->first;
}

/* One row of a panel by its mask: without branches, which a mask's values would mispredict. */
static void tile_hide_where(float *at, float hidden, TileRange sees, ptrdiff_t step, const bool *where)
{
    int32_t seen[TILE_BLOCK] = {0};
    for (size_t c = sees.begin; c < sees.end; c++)
        seen[c] = -(int32_t)where[(ptrdiff_t)c * step];
    for (size_t lane = 0; lane < TILE_BLOCK; lane += VECTOR_FLOATS) {
        IntVector condition;
        memcpy(&condition, seen + lane, sizeof condition);
        vector_store(at + lane, vector_select(condition, vector_load(at + lane), vector_fill(hidden)));
    }
}

static void KERNEL(attention_hide)(float *score, float hidden, const AttentionTile *tile)
{
    if (tile->few) {
        few_hide(score, hidden, tile);
        return;
    }
    for (size_t first = 0; first < tile->columns; first += TILE_BLOCK) {
        TileRange rows = tile_whole_sums(tile_rows_seen(tile, first, TILE_BLOCK));
        rows.end = tile_smaller(rows.end, tile->rows);
        const size_t columns = tile_smaller(TILE_BLOCK, tile->columns - first);
        if (tile_all_seen(tile, rows, (TileRange){first, first + columns}))
            continue;
        for (size_t row = rows.begin; row < rows.end; row++) {
            float *at = score + tile_panel(first) + row * TILE_BLOCK;
            const ptrdiff_t shift = (ptrdiff_t)row - (ptrdiff_t)first;
            const TileRange sees = tile_clip(shift - tile->last, shift - tile->first + 1, columns);
            for (size_t c = 0; c < sees.begin; c++)
                at[c] = hidden;
            for (size_t c = sees.end; c < columns; c++)
                at[c] = hidden;
            if (tile->where)
                tile_hide_where(at, hidden, sees, tile->column_step,
                                tile->where + (ptrdiff_t)row * tile->row_step + (ptrdiff_t)first * tile->column_step);
        }
    }
}

static void KERNEL(attention_softmax)(float *score, float *maximum, float *sum, float *shrink,
                                      const AttentionTile *tile)
{
    if (tile->few) {
        few_softmax(score, maximum, sum, shrink, tile);
        return;
    }
    for (size_t column = 0; column < tile->columns; column += VECTOR_FLOATS) {
        const TileRange seen = tile_rows_seen(tile, column, VECTOR_FLOATS);
        float *first = score + tile_panel(column) + column % TILE_BLOCK;
        const Vector old = vector_load(maximum + column);
        Vector max = old, total = (Vector){0};
        for (size_t row = seen.begin; row < seen.end; row++)
            max = vector_max(vector_load(first + row * TILE_BLOCK), max);
        /* While nothing is seen any finite number serves: exp(-inf - 0) is 0, exp(-inf + inf) would be NaN. */
        const Vector reference = vector_select(max == vector_fill(-INFINITY), (Vector){0}, max);
        for (size_t row = seen.begin; row < seen.end; row++) {
            const Vector p = vector_exp(vector_load(first + row * TILE_BLOCK) - reference);
            vector_store(first + row * TILE_BLOCK, p);
            total += p;
        }
        const Vector factor = vector_exp(old - reference);
        vector_store(maximum + column, max);
        vector_store(shrink + column, factor);
        vector_store(sum + column, vector_load(sum + column) * factor + total);
    }
}

static void KERNEL(attention_add_to_columns)(float *out, const float *shrink, const float *p, const float *rows,
                                             size_t depth, bool finite, const AttentionTile *tile)
{
    const size_t width = attention_width(depth);
    if (tile->few) {
        few_add_to_columns(out, shrink, p, rows, depth, finite, tile);
        return;
    }
    for (size_t column = 0; column < tile->columns; column += TILE_SUMS) {
        const TileRange seen = tile_rows_seen(tile, column, TILE_SUMS);
        const float *weight = p + tile_panel(column) + seen.begin * TILE_BLOCK + column % TILE_BLOCK;
        for (size_t i = 0; i < depth; i += TILE_BLOCK) {
            float *to = out + column * width + i;
            Vector sum[TILE_SUMS][2];
            tile_load_sums(sum, to, width);
            if (shrink)
                VECTOR_UNROLL
            for (size_t s = 0; s < TILE_SUMS; s++) {
                const Vector factor = vector_fill(shrink[column + s]);
                sum[s][0] *= factor;
                sum[s][1] *= factor;
            }
            if (finite)
                tile_multiply_add(sum, weight, 1, TILE_BLOCK, rows + seen.begin * width + i, width,
                                  seen.end - seen.begin);
            tile_store_sums(to, width, sum);
        }
        for (size_t s = 0; s < TILE_SUMS && !finite; s++)
            tile_add_nonzero_terms(out + (column + s) * width, weight + s, TILE_BLOCK, rows + seen.begin * width, width,
                                   seen.end - seen.begin, depth);
    }
}

static void KERNEL(attention_add_to_rows)(float *out, const float *p, const float *columns, size_t depth, bool finite,
                                          const AttentionTile *tile)
{
    const size_t width = attention_width(depth);
    for (size_t first = 0; first < tile->columns; first += TILE_BLOCK)
        for (size_t row = 0; row < tile->rows; row += TILE_SUMS) {
            const TileRange seeing = tile_columns_seeing(tile, row, TILE_SUMS);
            const size_t begin = seeing.begin > first ? seeing.begin : first;
            const size_t end = tile_smaller(seeing.end, first + TILE_BLOCK);
            if (begin >= end)
                continue;
            const float *weight = p + tile_panel(first) + row * TILE_BLOCK + begin % TILE_BLOCK;
            const float *from = columns + begin * width;
            for (size_t i = 0; i < depth && finite; i += TILE_BLOCK) {
                float *to = out + row * width + i;
                Vector sum[TILE_SUMS][2];
                tile_load_sums(sum, to, width);
                tile_multiply_add(sum, weight, TILE_BLOCK, 1, from + i, width, end - begin);
                tile_store_sums(to, width, sum);
            }
            for (size_t s = 0; s < TILE_SUMS && !finite; s++)
                tile_add_nonzero_terms(out + (row + s) * width, weight + s * TILE_BLOCK, 1, from, width, end - begin,
                                       depth);
        }
}

const AttentionTable KERNEL(attention) = {
    .pack_columns = KERNEL(attention_pack_columns),
    .pack_rows = KERNEL(attention_pack_rows),
    .unpack_rows = KERNEL(attention_unpack_rows),
    .scores = KERNEL(attention_scores),
    .hide = KERNEL(attention_hide),
    .softmax = KERNEL(attention_softmax),
    .add_to_columns = KERNEL(attention_add_to_columns),
    .add_to_rows = KERNEL(attention_add_to_rows),
    .probabilities = KERNEL(attention_probabilities),
    .score_gradients = KERNEL(attention_score_gradients),
};

#endif
