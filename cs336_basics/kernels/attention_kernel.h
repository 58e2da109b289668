/* The kernels of attention.h, compiled once for each instruction set: see vector.h. */
#ifndef CS336_KERNELS_ATTENTION_KERNEL_H
#define CS336_KERNELS_ATTENTION_KERNEL_H

#include "kernels/attention.h"
#include "kernels/vector.h"

#include <stdalign.h>

/*
 * A register tile is ATTENTION_TILE_ROWS x PANEL floats, which stay in vector registers during a product: 8 x 2 vectors
 * of the 32 registers of AVX-512 and NEON, 4 x 2 of 16 registers elsewhere. The other registers hold the operands.
 */
enum {
    ATTENTION_TILE_ROWS = VECTOR_REGISTERS == 32 ? 8 : 4, /* rows of a register tile */
    PANEL = 2 * VECTOR_FLOATS,                            /* columns of a register tile, and of a panel */
    SOFTMAX_COLUMNS = ATTENTION_TILE_ROWS > (int)VECTOR_FLOATS ? ATTENTION_TILE_ROWS : (int)VECTOR_FLOATS
};
_Static_assert(ATTENTION_TALLEST_TILE % (int)ATTENTION_TILE_ROWS == 0, "packed rows would end inside a register tile");

#include "kernels/attention_query_kernel.h"

typedef Vector RegisterTile[ATTENTION_TILE_ROWS][2];

static void KERNEL(attention_without_tiles)(void)
{
}

/* ---- packing ---- */

/*
 * Packing comes twice: as it is, and rounded to bfloat16. `rounded` is a constant in each caller, so that the compiler
 * drops the branches.
 */
VECTOR_INLINE Vector round_if(const int rounded, Vector v)
{
    return rounded ? vector_round_bf16(v) : v;
}

/*
 * Reads squares of VECTOR_FLOATS x VECTOR_FLOATS numbers and transposes them in registers. Rounding comes before the
 * scale: the forward pass scales the queries and the backward pass the keys, and both must get the same scores.
 */
VECTOR_INLINE void pack_attention_columns(const int rounded, PackedColumns columns, const float *source,
                                          ptrdiff_t stride, size_t count)
{
    const size_t depth = columns.depth, padded = (count + PANEL - 1) / PANEL * PANEL;
    for (size_t first = 0; first < padded; first += VECTOR_FLOATS)
        for (size_t i = 0; i < depth; i += VECTOR_FLOATS) {
            /* A row for each token, scaled; zeros beyond the last token. */
            Vector square[VECTOR_FLOATS];
            VECTOR_UNROLL
            for (size_t lane = 0; lane < VECTOR_FLOATS; lane++) {
                square[lane] = (Vector){0};
                if (first + lane < count)
                    square[lane] = columns.scale *
                                   round_if(rounded, vector_load_first(source + (ptrdiff_t)(first + lane) * stride + i,
                                                                       depth - i));
            }
            /* Transposed, a row for each element of the depth. */
            vector_transpose(square);
            float *panel = columns.data + first / PANEL * PANEL * attention_width(depth) + i * PANEL + first % PANEL;
            VECTOR_UNROLL
            for (size_t row = 0; row < VECTOR_FLOATS; row++)
                if (i + row < depth)
                    vector_store(panel + row * PANEL, square[row]);
        }
}

/*
 * Looks for infinities and NaN while it copies: x * 0 is NaN for these, and 0 or -0 for all other numbers. The bits of
 * all these products are collected with |. The result has NaN's bits in some lane if any x was not finite. A finite
 * number may round to an infinity, so it looks at what it stores.
 */
VECTOR_INLINE void pack_attention_rows(const int rounded, PackedRows *rows, const float *source, ptrdiff_t stride,
                                       size_t count)
{
    const size_t depth = rows->depth, width = attention_width(depth);
    const size_t padded = (count + ATTENTION_TALLEST_TILE - 1) / ATTENTION_TALLEST_TILE * ATTENTION_TALLEST_TILE;
    float *destination = rows->data;
    IntVector product_bits = {0};
    for (size_t row = 0; row < count; row++, destination += width, source += stride) {
        size_t i = 0;
        for (; i + VECTOR_FLOATS <= depth; i += VECTOR_FLOATS) {
            const Vector v = round_if(rounded, vector_load(source + i));
            vector_store(destination + i, v);
            product_bits |= vector_bits(v * 0);
        }
        /* The end of the row, and zeros up to the width. */
        for (; i < width; i += VECTOR_FLOATS) {
            const Vector v = i < depth ? round_if(rounded, vector_load_first(source + i, depth - i)) : (Vector){0};
            vector_store(destination + i, v);
            product_bits |= vector_bits(v * 0);
        }
    }
    /* Rows of zeros up to the end of a register tile. */
    memset(destination, 0, (padded - count) * width * sizeof *destination);
    rows->finite = vector_sum(vector_from_bits(product_bits)) == 0;
}

static void KERNEL(attention_pack_columns)(PackedColumns columns, const float *source, ptrdiff_t stride, size_t count)
{
    pack_attention_columns(0, columns, source, stride, count);
}

static void KERNEL(attention_bf16_pack_columns)(PackedColumns columns, const float *source, ptrdiff_t stride,
                                                size_t count)
{
    pack_attention_columns(1, columns, source, stride, count);
}

static void KERNEL(attention_pack_rows)(PackedRows *rows, const float *source, ptrdiff_t stride, size_t count)
{
    pack_attention_rows(0, rows, source, stride, count);
}

static void KERNEL(attention_bf16_pack_rows)(PackedRows *rows, const float *source, ptrdiff_t stride, size_t count)
{
    pack_attention_rows(1, rows, source, stride, count);
}

/* ---- the micro-kernel ---- */

/* tile(s, j) += factor b(j) for one row s of the tile and a row of b in two vectors. */
VECTOR_INLINE void tile_add_to_row(RegisterTile tile, size_t s, float factor, Vector b0, Vector b1)
{
    const Vector factors = vector_fill(factor);
    tile[s][0] += factors * b0;
    tile[s][1] += factors * b1;
}

/*
 * tile(s, j) += sum over k < depth of a(s, k) b(k, j). Row s of a begins at a + s * a_row, and its next number is
 * a_next floats further; row k of b begins at b + k * b_row. Each number of the tile is summed in the order of k.
 */
VECTOR_INLINE void tile_multiply_add(RegisterTile tile, const float *a, size_t a_row, size_t a_next, const float *b,
                                     size_t b_row, size_t depth)
{
#if defined(VECTOR_NEON)
    /* Load several numbers of a at once (see Factors): four of each row, or those of all rows, if they are contiguous.
     */
    for (; a_next == 1 && depth >= VECTOR_FLOATS; depth -= VECTOR_FLOATS, a += VECTOR_FLOATS) {
        Factors row[ATTENTION_TILE_ROWS];
        VECTOR_UNROLL
        for (size_t s = 0; s < ATTENTION_TILE_ROWS; s++)
            row[s] = factors_load(a + s * a_row, VECTOR_FLOATS);
        VECTOR_UNROLL
        for (size_t k = 0; k < VECTOR_FLOATS; k++, b += b_row) {
            const Vector b0 = vector_load(b), b1 = vector_load(b + VECTOR_FLOATS);
            VECTOR_UNROLL
            for (size_t s = 0; s < ATTENTION_TILE_ROWS; s++)
                tile_add_to_row(tile, s, factor_of(&row[s], k), b0, b1);
        }
    }
    for (; a_row == 1 && depth > 0; depth--, a += a_next, b += b_row) {
        const Factors column = factors_load(a, ATTENTION_TILE_ROWS);
        const Vector b0 = vector_load(b), b1 = vector_load(b + VECTOR_FLOATS);
        VECTOR_UNROLL
        for (size_t s = 0; s < ATTENTION_TILE_ROWS; s++)
            tile_add_to_row(tile, s, factor_of(&column, s), b0, b1);
    }
#endif
    for (size_t k = 0; k < depth; k++, a += a_next, b += b_row) {
        const Vector b0 = vector_load(b), b1 = vector_load(b + VECTOR_FLOATS);
        VECTOR_UNROLL
        for (size_t s = 0; s < ATTENTION_TILE_ROWS; s++)
            tile_add_to_row(tile, s, a[s * a_row], b0, b1);
    }
}

VECTOR_INLINE void tile_load(RegisterTile tile, const float *source, size_t row_stride)
{
    VECTOR_UNROLL
    for (size_t s = 0; s < ATTENTION_TILE_ROWS; s++) {
        tile[s][0] = vector_load(source + s * row_stride);
        tile[s][1] = vector_load(source + s * row_stride + VECTOR_FLOATS);
    }
}

VECTOR_INLINE void tile_store(float *destination, size_t row_stride, RegisterTile tile)
{
    VECTOR_UNROLL
    for (size_t s = 0; s < ATTENTION_TILE_ROWS; s++) {
        vector_store(destination + s * row_stride, tile[s][0]);
        vector_store(destination + s * row_stride + VECTOR_FLOATS, tile[s][1]);
    }
}

/* ---- rows(row) . columns(column) ---- */

/** @brief What multiply_rows_by_columns() computes from a register tile of dot products before it stores it. */
typedef struct {
    enum { STORE_SCORES, STORE_PROBABILITIES, STORE_GRADIENTS } result; /**< STORE_SCORES stores them unchanged */
    const float *row_number; /**< (rows) log_sum_exp for probabilities, delta for gradients */
    const float *p;          /**< for gradients: the probabilities, where the gradients will be in their panels */
    float scale;             /**< for gradients: 1 / sqrt(d_k) */
} Epilogue;

/* p = e^(s - log_sum_exp) */
VECTOR_INLINE void tile_probabilities(RegisterTile tile, const float *log_sum_exp)
{
    VECTOR_UNROLL
    for (size_t s = 0; s < ATTENTION_TILE_ROWS; s++) {
        tile[s][0] = vector_exp(tile[s][0] - log_sum_exp[s]);
        tile[s][1] = vector_exp(tile[s][1] - log_sum_exp[s]);
    }
}

/* ds = scale p (dp - delta) */
VECTOR_INLINE void tile_gradients(RegisterTile tile, const float *p, const float *delta, float scale)
{
    VECTOR_UNROLL
    for (size_t s = 0; s < ATTENTION_TILE_ROWS; s++) {
        VECTOR_UNROLL
        for (size_t half = 0; half < 2; half++) {
            /* Where p is 0, dp may be infinite or NaN: the gradient there is 0 all the same. */
            const Vector weight = vector_load(p + s * PANEL + half * VECTOR_FLOATS);
            const Vector gradient = scale * weight * (tile[s][half] - delta[s]);
            tile[s][half] = vector_select(weight == 0, (Vector){0}, gradient);
        }
    }
}

/*
 * Computes the register tiles that the band touches. epilogue.result is a constant in each caller, and this function is
 * inlined: the compiler drops the branches that are not taken.
 */
VECTOR_INLINE void multiply_rows_by_columns(float *score, PackedRows rows, PackedColumns columns,
                                            const ScoreBlock *block, const Epilogue epilogue)
{
    const size_t depth = rows.depth, width = attention_width(depth);
    for (size_t column = 0; column < block->columns; column += PANEL) {
        const Range seen = whole_tiles(rows_seen(block, column, PANEL));
        for (size_t row = seen.begin; row < seen.end; row += ATTENTION_TILE_ROWS) {
            /* A register tile of dot products, from zero. */
            const size_t index = panel_start(column) + row * PANEL;
            RegisterTile tile;
            VECTOR_UNROLL
            for (size_t s = 0; s < ATTENTION_TILE_ROWS; s++)
                tile[s][0] = tile[s][1] = (Vector){0};
            tile_multiply_add(tile, rows.data + row * width, width, 1, columns.data + column * width, PANEL, depth);
            /* The epilogue, while the tile is in registers. */
            if (epilogue.result == STORE_PROBABILITIES)
                tile_probabilities(tile, epilogue.row_number + row);
            if (epilogue.result == STORE_GRADIENTS)
                tile_gradients(tile, epilogue.p + index, epilogue.row_number + row, epilogue.scale);
            tile_store(score + index, PANEL, tile);
        }
    }
}

static void KERNEL(attention_scores)(float *score, PackedRows rows, PackedColumns columns, const ScoreBlock *block)
{
    multiply_rows_by_columns(score, rows, columns, block, (Epilogue){.result = STORE_SCORES});
}

static void KERNEL(attention_probabilities)(float *p, PackedRows rows, PackedColumns columns, const float *log_sum_exp,
                                            const ScoreBlock *block)
{
    multiply_rows_by_columns(p, rows, columns, block,
                             (Epilogue){.result = STORE_PROBABILITIES, .row_number = log_sum_exp});
}

static void KERNEL(attention_score_gradients)(float *grad, PackedRows rows, PackedColumns columns, const float *p,
                                              const float *delta, float scale, const ScoreBlock *block)
{
    multiply_rows_by_columns(grad, rows, columns, block,
                             (Epilogue){.result = STORE_GRADIENTS, .row_number = delta, .p = p, .scale = scale});
}

/* ---- weighted sums ---- */

/* sum += sum over k of a(k) b(k), leaving out the terms with a(k) = 0, whatever b(k) holds. */
static void add_nonzero_terms(float *sum, const float *a, size_t a_next, const float *b, size_t b_next, size_t terms,
                              size_t depth)
{
    for (size_t k = 0; k < terms; k++, a += a_next, b += b_next)
        if (*a != 0)
            for (size_t i = 0; i < depth; i++)
                sum[i] += *a * b[i];
}

static void KERNEL(attention_add_to_columns)(float *sum, const float *rescale, const float *p, PackedRows rows,
                                             const ScoreBlock *block)
{
    const size_t depth = rows.depth, width = attention_width(depth);
    for (size_t column = 0; column < block->columns; column += ATTENTION_TILE_ROWS) {
        /* The weights of a column are PANEL floats apart: the micro-kernel reads the panel as the transpose of P. */
        const Range seen = rows_seen(block, column, ATTENTION_TILE_ROWS);
        const float *weight = p + panel_start(column) + seen.begin * PANEL + column % PANEL;
        const float *source = rows.data + seen.begin * width;
        for (size_t i = 0; i < depth; i += PANEL) {
            RegisterTile tile;
            tile_load(tile, sum + column * width + i, width);
            /* tile = rescale sum + P^T rows */
            if (rescale) {
                VECTOR_UNROLL
                for (size_t s = 0; s < ATTENTION_TILE_ROWS; s++) {
                    const Vector factor = vector_fill(rescale[column + s]);
                    tile[s][0] *= factor;
                    tile[s][1] *= factor;
                }
            }
            if (rows.finite)
                tile_multiply_add(tile, weight, 1, PANEL, source + i, width, seen.end - seen.begin);
            tile_store(sum + column * width + i, width, tile);
        }
        /* With infinities or NaN among the rows, only terms with p != 0 may be added. */
        for (size_t s = 0; s < ATTENTION_TILE_ROWS && !rows.finite; s++)
            add_nonzero_terms(sum + (column + s) * width, weight + s, PANEL, source, width, seen.end - seen.begin,
                              depth);
    }
}

/* Returns the columns from the first to the last that see any of `count` neighbouring rows. */
static Range columns_seeing(const ScoreBlock *block, size_t row, size_t count)
{
    const ptrdiff_t r = (ptrdiff_t)row;
    return clip_range(r - block->band_last, r + (ptrdiff_t)count - block->band_first, block->columns);
}

static void KERNEL(attention_add_to_rows)(float *sum, const float *p, PackedRows columns, const ScoreBlock *block)
{
    const size_t depth = columns.depth, width = attention_width(depth);
    for (size_t first = 0; first < block->columns; first += PANEL)
        for (size_t row = 0; row < block->rows; row += ATTENTION_TILE_ROWS) {
            /* The columns of this panel that see any of the tile's rows. */
            const Range seeing = columns_seeing(block, row, ATTENTION_TILE_ROWS);
            const size_t begin = seeing.begin > first ? seeing.begin : first;
            const size_t end = smaller_size(seeing.end, first + PANEL);
            if (begin >= end)
                continue;
            const float *weight = p + panel_start(first) + row * PANEL + begin % PANEL;
            const float *source = columns.data + begin * width;
            /* sum += P columns, or term by term where the columns are not finite */
            for (size_t i = 0; i < depth && columns.finite; i += PANEL) {
                RegisterTile tile;
                tile_load(tile, sum + row * width + i, width);
                tile_multiply_add(tile, weight, PANEL, 1, source + i, width, end - begin);
                tile_store(sum + row * width + i, width, tile);
            }
            for (size_t s = 0; s < ATTENTION_TILE_ROWS && !columns.finite; s++)
                add_nonzero_terms(sum + (row + s) * width, weight + s * PANEL, 1, source, width, end - begin, depth);
        }
}

/* ---- bfloat16: the same products of a rounded copy of the weights ---- */

static void round_weights(float *rounded, const float *p, const ScoreBlock *block)
{
    for (size_t first = 0; first < block->columns; first += PANEL) {
        const Range seen = whole_tiles(rows_seen(block, first, PANEL));
        for (size_t i = panel_start(first) + seen.begin * PANEL; i < panel_start(first) + seen.end * PANEL;
             i += VECTOR_FLOATS)
            vector_store(rounded + i, vector_round_bf16(vector_load(p + i)));
    }
}

static void KERNEL(attention_bf16_add_to_columns)(float *sum, const float *rescale, const float *p, PackedRows rows,
                                                  const ScoreBlock *block)
{
    alignas(64) float rounded[SCORE_BLOCK_ROWS * SCORE_BLOCK_COLUMNS];
    round_weights(rounded, p, block);
    KERNEL(attention_add_to_columns)(sum, rescale, rounded, rows, block);
}

static void KERNEL(attention_bf16_add_to_rows)(float *sum, const float *p, PackedRows columns, const ScoreBlock *block)
{
    alignas(64) float rounded[SCORE_BLOCK_ROWS * SCORE_BLOCK_COLUMNS];
    round_weights(rounded, p, block);
    KERNEL(attention_add_to_rows)(sum, rounded, columns, block);
}

const AttentionKernels KERNEL(attention) = {
    .begin = KERNEL(attention_without_tiles),
    .end = KERNEL(attention_without_tiles),
    .pack_columns = KERNEL(attention_pack_columns),
    .pack_rows = KERNEL(attention_pack_rows),
    .pack_sums = KERNEL(attention_pack_sums),
    .unpack_sums = KERNEL(attention_unpack_sums),
    .delta = KERNEL(dot),
    .scores = KERNEL(attention_scores),
    .hide = KERNEL(attention_hide),
    .softmax = KERNEL(attention_softmax),
    .add_to_columns = KERNEL(attention_add_to_columns),
    .add_to_rows = KERNEL(attention_add_to_rows),
    .probabilities = KERNEL(attention_probabilities),
    .score_gradients = KERNEL(attention_score_gradients),
    .attend = KERNEL(attention_attend),
};

const AttentionKernels KERNEL(attention_bf16) = {
    .begin = KERNEL(attention_without_tiles),
    .end = KERNEL(attention_without_tiles),
    .pack_columns = KERNEL(attention_bf16_pack_columns),
    .pack_rows = KERNEL(attention_bf16_pack_rows),
    .pack_sums = KERNEL(attention_pack_sums),
    .unpack_sums = KERNEL(attention_unpack_sums),
    .delta = KERNEL(attention_bf16_delta),
    .scores = KERNEL(attention_scores),
    .hide = KERNEL(attention_hide),
    .softmax = KERNEL(attention_softmax),
    .add_to_columns = KERNEL(attention_bf16_add_to_columns),
    .add_to_rows = KERNEL(attention_bf16_add_to_rows),
    .probabilities = KERNEL(attention_probabilities),
    .score_gradients = KERNEL(attention_score_gradients),
    .attend = KERNEL(attention_bf16_attend),
};

#endif
