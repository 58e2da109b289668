/*
 * Attention with tiles, compiled for the matrix unit and for its twin: see tile.h and attention.h. Its products
 * multiply bfloat16 numbers; the mask and the softmax are those of attention_softmax_kernel.h.
 *
 * - A score block has one panel of 32 columns. Its products take 32 rows or columns at once: 2 x 2 tiles of sums, from
 *   two tiles of each side, so that each tile that is loaded serves two multiplications. All three kinds of products
 * are calls of multiply_tiles():
 *
 *       scores          (rows, depth) times (depth, 32 columns)    steps along the depth
 *       add_to_columns  (32 columns, rows) times (rows, depth)     steps along the rows
 *       add_to_rows     (rows, 32 columns) times (32 columns, depth)
 *
 * - Packed columns are tiles of pairs along the depth. Packed rows are groups of 32 rows: tiles along the depth, as the
 *   left side of the scores, then tiles of pairs across the rows, as the right side of a sum. Sums are rows of floats.
 * - Weights are packed just before their product. In add_to_columns they are transposed, 16 x 16 pairs in registers.
 * - What the products read and nobody sees is 0: weights outside the band, and all beyond the last row or column.
 * - The instructions take denormals for 0. A weight that is 0 after rounding is left out where rows are not finite.
 */
#ifndef CS336_KERNELS_ATTENTION_TILE_KERNEL_H
#define CS336_KERNELS_ATTENTION_TILE_KERNEL_H

#include "kernels/attention.h"
#include "kernels/matmul_tile_pack_kernel.h"

enum {
    PANEL = 2 * TILE_SIDE,               /* columns of a panel of scores */
    ATTENTION_TILE_ROWS = 2 * TILE_SIDE, /* rows of scores that a product computes at once */
    SOFTMAX_COLUMNS = VECTOR_FLOATS,     /* the rows that these columns do not see are set to 0 */
    STEP_FLOATS = 2 * TILE_FLOATS        /* floats of two tiles: what a step of a product reads of each side */
};
_Static_assert((int)PANEL == (int)SCORE_BLOCK_COLUMNS && (int)PANEL == (int)ATTENTION_WIDEST_PANEL,
               "a score block has one panel, and packed rows whole steps");
_Static_assert((int)PANEL == (int)TILE_DEPTH, "the columns of a panel are one step");

#include "kernels/attention_softmax_kernel.h"

static void KERNEL(attention_bf16_begin)(void)
{
    Tiles tiles;
    tile_configure(&tiles);
}

static void KERNEL(attention_bf16_end)(void)
{
    Tiles tiles;
    tile_release(&tiles);
}

/* ---- packing ---- */

/* Returns the tiles along the depth of the group of 32 rows that begins at `row`. */
static float *tiles_along(PackedRows rows, size_t row)
{
    return rows.data + row * attention_width(rows.depth);
}

/* Returns its tiles across the rows: for each 32 numbers of the depth, a step of a sum over the rows. */
static float *tiles_across(PackedRows rows, size_t row)
{
    return tiles_along(rows, row) + PANEL * attention_width(rows.depth) / 2;
}

static size_t what_is_left(size_t count, size_t first)
{
    return count > first ? count - first : 0;
}

/*
 * Packs a matrix (count, depth) of at most 32 rows, step after step along the depth. Rows up to 32, and numbers up to a
 * whole step, are 0.
 */
static void pack_steps(const PanelKind kind, float *tiles, ConstMatrix source, size_t count, size_t depth)
{
    for (size_t l = 0; l < depth; l += TILE_DEPTH)
        for (size_t i = 0; i < PANEL; i += TILE_SIDE, tiles += TILE_FLOATS) {
            const ConstMatrix square = {source.data + (ptrdiff_t)i * source.row_stride +
                                            (ptrdiff_t)l * source.column_stride,
                                        source.row_stride, source.column_stride};
            pack_tile(1, kind, tiles, square, what_is_left(count, i), depth - l, NULL);
        }
}

static void KERNEL(attention_bf16_pack_columns)(PackedColumns columns, const float *source, ptrdiff_t stride,
                                                size_t count)
{
    for (size_t first = 0; first < count; first += PANEL)
        pack_steps(PANEL_OF_B, packed_columns_from(columns, first).data,
                   (ConstMatrix){source + (ptrdiff_t)first * stride, stride, 1}, smaller_size(PANEL, count - first),
                   columns.depth);
}

/* True if no bfloat16 number in these tiles has the exponent of infinities and NaN. */
static bool tiles_are_finite(const float *tiles, size_t floats)
{
    IntVector found = {0};
    for (size_t i = 0; i < floats; i += VECTOR_FLOATS) {
        const IntVector bits = vector_bits(vector_load(tiles + i));
        found |= ((bits & 0x7f800000) == 0x7f800000) | ((bits & 0x7f80) == 0x7f80);
    }
    bool any = false;
    for (size_t lane = 0; lane < VECTOR_FLOATS; lane++)
        any |= found[lane] != 0;
    return !any;
}

static void KERNEL(attention_bf16_pack_rows)(PackedRows *rows, const float *source, ptrdiff_t stride, size_t count)
{
    const size_t depth = rows->depth, width = attention_width(depth);
    rows->finite = true;
    for (size_t first = 0; first < count; first += PANEL, source += PANEL * stride) {
        const size_t n = smaller_size(PANEL, count - first);
        if (rows->products & ROWS_IN_SCORES)
            pack_steps(PANEL_OF_A, tiles_along(*rows, first), (ConstMatrix){source, stride, 1}, n, depth);
        if (!(rows->products & ROWS_IN_SUMS))
            continue;
        float *tiles = tiles_across(*rows, first);
        for (size_t i = 0; i < depth; i += PANEL)
            pack_steps(PANEL_OF_B, tiles + i / PANEL * STEP_FLOATS, (ConstMatrix){source + i, 1, stride},
                       smaller_size(PANEL, depth - i), n);
        rows->finite &= tiles_are_finite(tiles, PANEL * width / 2);
    }
}

/* ---- products ---- */

/*
 * multiply_tiles(): c = a b, or c += a b if `add`, for 32 x 32 numbers of c, whose rows are c_row floats apart. Each of
 * the steps along the sum reads two tiles of each side; those of the next step are a_step or b_step floats further.
 */
#if defined(TILE_UNIT) || !defined(VECTOR_BF16)

VECTOR_INLINE void multiply_tiles(const bool add, float *c, size_t c_row, const float *a, size_t a_step, const float *b,
                                  size_t b_step, size_t steps)
{
    float *const quarters[] = {c, c + TILE_SIDE, c + TILE_SIDE * c_row, c + TILE_SIDE * c_row + TILE_SIDE};
    const size_t row_bytes = c_row * sizeof *c;
    Tiles tiles;
    if (add) {
        tile_load(&tiles, 0, quarters[0], row_bytes);
        tile_load(&tiles, 1, quarters[1], row_bytes);
        tile_load(&tiles, 2, quarters[2], row_bytes);
        tile_load(&tiles, 3, quarters[3], row_bytes);
    } else {
        tile_zero(&tiles, 0);
        tile_zero(&tiles, 1);
        tile_zero(&tiles, 2);
        tile_zero(&tiles, 3);
    }
    for (size_t step = 0; step < steps; step++, a += a_step, b += b_step) {
        tile_load(&tiles, 4, a, TILE_ROW_BYTES);
        tile_load(&tiles, 5, a + TILE_FLOATS, TILE_ROW_BYTES);
        tile_load(&tiles, 6, b, TILE_ROW_BYTES);
        tile_load(&tiles, 7, b + TILE_FLOATS, TILE_ROW_BYTES);
        tile_multiply_add(&tiles, 0, 4, 6);
        tile_multiply_add(&tiles, 1, 4, 7);
        tile_multiply_add(&tiles, 2, 5, 6);
        tile_multiply_add(&tiles, 3, 5, 7);
    }
    tile_store(&tiles, 0, quarters[0], row_bytes);
    tile_store(&tiles, 1, quarters[1], row_bytes);
    tile_store(&tiles, 2, quarters[2], row_bytes);
    tile_store(&tiles, 3, quarters[3], row_bytes);
}

#else

/* The same for eight rows of c: 16 vectors of sums, which stay in registers. A row of a tile is one vector. */
enum { PAIR_ROWS = 8 };
VECTOR_INLINE void multiply_pairs(const bool add, float *c, size_t c_row, const float *a, size_t a_step, const float *b,
                                  size_t b_step, size_t steps)
{
    Vector sum[PAIR_ROWS][2];
    VECTOR_UNROLL
    for (size_t i = 0; i < PAIR_ROWS; i++) {
        sum[i][0] = add ? vector_load(c + i * c_row) : (Vector){0};
        sum[i][1] = add ? vector_load(c + i * c_row + VECTOR_FLOATS) : (Vector){0};
    }
    for (size_t step = 0; step < steps; step++, a += a_step, b += b_step)
        for (size_t pair = 0; pair < TILE_SIDE; pair++) {
            const Vector b0 = vector_load(b + pair * TILE_SIDE), b1 = vector_load(b + TILE_FLOATS + pair * TILE_SIDE);
            VECTOR_UNROLL
            for (size_t i = 0; i < PAIR_ROWS; i++) {
                sum[i][0] = vector_pair_multiply_add(a[i * TILE_SIDE + pair], b0, sum[i][0]);
                sum[i][1] = vector_pair_multiply_add(a[i * TILE_SIDE + pair], b1, sum[i][1]);
            }
        }
    VECTOR_UNROLL
    for (size_t i = 0; i < PAIR_ROWS; i++) {
        vector_store(c + i * c_row, sum[i][0]);
        vector_store(c + i * c_row + VECTOR_FLOATS, sum[i][1]);
    }
}

VECTOR_INLINE void multiply_tiles(const bool add, float *c, size_t c_row, const float *a, size_t a_step, const float *b,
                                  size_t b_step, size_t steps)
{
    for (size_t row = 0; row < PANEL; row += PAIR_ROWS)
        multiply_pairs(add, c + row * c_row, c_row, a + row * TILE_SIDE, a_step, b, b_step, steps);
}

#endif

/* Returns the rows, in whole groups of 32, that any column of the block sees. */
static Range groups_seen(const ScoreBlock *block)
{
    return whole_tiles(rows_seen(block, 0, PANEL));
}

/* score(row, column) = rows(row) . columns(column), not scaled yet */
static void multiply_rows_by_columns(float *score, PackedRows rows, PackedColumns columns, const ScoreBlock *block)
{
    const Range groups = groups_seen(block);
    for (size_t row = groups.begin; row < groups.end; row += PANEL)
        multiply_tiles(false, score + row * PANEL, PANEL, tiles_along(rows, row), STEP_FLOATS, columns.data,
                       STEP_FLOATS, attention_width(rows.depth) / TILE_DEPTH);
}

static void KERNEL(attention_bf16_scores)(float *score, PackedRows rows, PackedColumns columns, const ScoreBlock *block)
{
    const Range groups = groups_seen(block);
    multiply_rows_by_columns(score, rows, columns, block);
    for (size_t i = groups.begin * PANEL; i < groups.end * PANEL; i += VECTOR_FLOATS)
        vector_store(score + i, columns.scale * vector_load(score + i));
}

/*
 * Sets what the products would read of `count` neighbouring columns, but no column sees, to 0: the rows of the groups
 * that are not among the seen ones.
 */
VECTOR_INLINE void clear_unseen(float *score, size_t column, size_t count, Range groups, Range seen)
{
    for (size_t row = groups.begin; row < groups.end; row++)
        if (row < seen.begin || row >= seen.end)
            memset(score + row * PANEL + column, 0, count * sizeof *score);
}

static void KERNEL(attention_bf16_softmax)(float *score, float *maximum, float *sum, float *rescale,
                                           const ScoreBlock *block)
{
    KERNEL(attention_softmax)(score, maximum, sum, rescale, block);
    for (size_t column = 0; column < PANEL; column += VECTOR_FLOATS)
        clear_unseen(score, column, VECTOR_FLOATS, groups_seen(block), rows_seen(block, column, VECTOR_FLOATS));
}

/* p = e^(s - log_sum_exp) */
static void KERNEL(attention_bf16_probabilities)(float *p, PackedRows rows, PackedColumns columns,
                                                 const float *log_sum_exp, const ScoreBlock *block)
{
    const Range seen = rows_seen(block, 0, PANEL);
    multiply_rows_by_columns(p, rows, columns, block);
    for (size_t row = seen.begin; row < seen.end; row++)
        for (size_t c = 0; c < PANEL; c += VECTOR_FLOATS) {
            float *const score = p + row * PANEL + c;
            vector_store(score, vector_exp(columns.scale * vector_load(score) - log_sum_exp[row]));
        }
    clear_unseen(p, 0, PANEL, groups_seen(block), seen);
}

/* ds = scale p (dp - delta), and 0 where p is 0, as in attention_kernel.h; also 0 beyond the last column */
static void KERNEL(attention_bf16_score_gradients)(float *grad, PackedRows rows, PackedColumns columns, const float *p,
                                                   const float *delta, float scale, const ScoreBlock *block)
{
    const Range seen = rows_seen(block, 0, PANEL);
    multiply_rows_by_columns(grad, rows, columns, block);
    for (size_t row = seen.begin; row < seen.end; row++)
        for (size_t c = 0; c < PANEL; c += VECTOR_FLOATS) {
            const size_t i = row * PANEL + c;
            const Vector weight = vector_load_first(p + i, what_is_left(block->columns, c));
            const Vector gradient = scale * weight * (columns.scale * vector_load(grad + i) - delta[row]);
            vector_store(grad + i, vector_select(weight == 0, (Vector){0}, gradient));
        }
    clear_unseen(grad, 0, PANEL, groups_seen(block), seen);
}

/* Returns number i of the depth of row k of a group, from its tiles across. */
static float number_across(const float *tiles, size_t k, size_t i)
{
    uint32_t pair;
    memcpy(&pair, tiles + i / TILE_SIDE * TILE_FLOATS + k / 2 * TILE_SIDE + i % TILE_SIDE, sizeof pair);
    return tile_float(k % 2 ? pair & 0xffff0000u : pair << 16);
}

/*
 * sum += sum over k in the range of p(k) rows(k), leaving out the terms whose weight is 0, whatever the row holds. The
 * weights are p_next floats apart.
 */
static void add_nonzero_terms(float *sum, const float *p, size_t p_next, PackedRows rows, Range range)
{
    for (size_t k = range.begin; k < range.end; k++) {
        const float weight = vector_round_bf16(vector_fill(p[k * p_next]))[0];
        const float *tiles = tiles_across(rows, k / PANEL * PANEL);
        for (size_t i = 0; weight != 0 && i < rows.depth; i++)
            sum[i] += weight * number_across(tiles, k % PANEL, i);
    }
}

static void KERNEL(attention_bf16_add_to_columns)(float *sum, const float *rescale, const float *p, PackedRows rows,
                                                  const ScoreBlock *block)
{
    const size_t width = attention_width(rows.depth);
    const Range groups = groups_seen(block);
    alignas(64) float weights[SCORE_BLOCK_ROWS * PANEL / 2];
    /* sum = rescale sum */
    for (size_t c = 0; rescale && c < block->columns; c++)
        for (size_t i = 0; i < width; i += VECTOR_FLOATS)
            vector_store(sum + c * width + i, rescale[c] * vector_load(sum + c * width + i));
    if (!rows.finite) {
        for (size_t c = 0; c < block->columns; c++)
            add_nonzero_terms(sum + c * width, p + c, PANEL, rows, groups);
        return;
    }
    /* sum += P^T rows; a row of P^T is a column of the panel */
    pack_steps(PANEL_OF_A, weights, (ConstMatrix){p + groups.begin * PANEL, 1, PANEL}, PANEL,
               groups.end - groups.begin);
    for (size_t i = 0; i < width; i += PANEL)
        multiply_tiles(true, sum + i, width, weights, STEP_FLOATS,
                       tiles_across(rows, groups.begin) + i / PANEL * STEP_FLOATS, PANEL * width,
                       (groups.end - groups.begin) / PANEL);
}

static void KERNEL(attention_bf16_add_to_rows)(float *sum, const float *p, PackedRows columns, const ScoreBlock *block)
{
    const size_t width = attention_width(columns.depth);
    const Range groups = groups_seen(block);
    alignas(64) float weights[STEP_FLOATS];
    if (!columns.finite) {
        for (size_t row = groups.begin; row < groups.end; row++)
            add_nonzero_terms(sum + row * width, p + row * PANEL, 1, columns, (Range){0, block->columns});
        return;
    }
    /* sum += P columns */
    for (size_t row = groups.begin; row < groups.end; row += PANEL) {
        pack_steps(PANEL_OF_A, weights, (ConstMatrix){p + row * PANEL, PANEL, 1}, PANEL, PANEL);
        for (size_t i = 0; i < width; i += PANEL)
            multiply_tiles(true, sum + row * width + i, width, weights, STEP_FLOATS,
                           tiles_across(columns, 0) + i / PANEL * STEP_FLOATS, STEP_FLOATS, 1);
    }
}

const AttentionKernels KERNEL(attention_bf16) = {
    .begin = KERNEL(attention_bf16_begin),
    .end = KERNEL(attention_bf16_end),
    .pack_columns = KERNEL(attention_bf16_pack_columns),
    .pack_rows = KERNEL(attention_bf16_pack_rows),
    .pack_sums = KERNEL(attention_pack_sums),
    .unpack_sums = KERNEL(attention_unpack_sums),
    .delta = KERNEL(attention_bf16_delta),
    .scores = KERNEL(attention_bf16_scores),
    .hide = KERNEL(attention_hide),
    .softmax = KERNEL(attention_bf16_softmax),
    .add_to_columns = KERNEL(attention_bf16_add_to_columns),
    .add_to_rows = KERNEL(attention_bf16_add_to_rows),
    .probabilities = KERNEL(attention_bf16_probabilities),
    .score_gradients = KERNEL(attention_bf16_score_gradients),
    .attend = WITHOUT_TILES(attention_bf16_attend),
};

#endif
