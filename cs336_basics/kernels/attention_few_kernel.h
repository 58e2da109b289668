/*
 * Tiles of few columns: vectors run along the rows instead of across the columns, most of which would be empty. Score
 * (row, column) lies at column * ATTENTION_ROWS + row, and columns are packed as rows.
 */
#ifndef CS336_KERNELS_ATTENTION_FEW_KERNEL_H
#define CS336_KERNELS_ATTENTION_FEW_KERNEL_H

#include "kernels/attention_tile.h"
#include "kernels/vecmath_kernel.h"

/* One dot product in each lane: the products of VECTOR_FLOATS rows, transposed, are added vector by vector. */
static void few_scores(float *score, const float *rows, const float *columns, size_t depth, const AttentionTile *tile)
{
    const size_t width = attention_width(depth), last = tile->rows - 1;
    for (size_t column = 0; column < tile->columns; column++, columns += width, score += ATTENTION_ROWS)
        for (size_t row = 0; row <= last; row += VECTOR_FLOATS) {
            Vector square[VECTOR_FLOATS];
            VECTOR_UNROLL
            for (size_t lane = 0; lane < VECTOR_FLOATS; lane++) {
                const float *from = rows + (row + lane < last ? row + lane : last) * width;
                square[lane] = (Vector){0};
                for (size_t i = 0; i < depth; i += VECTOR_FLOATS)
                    square[lane] += vector_load(from + i) * vector_load(columns + i);
            }
            vector_transpose(square);
            VECTOR_UNROLL
            for (size_t half = VECTOR_FLOATS / 2; half > 0; half /= 2)
                VECTOR_UNROLL
            for (size_t i = 0; i < half; i++)
                square[i] += square[i + half];
            vector_store(score + row, square[0]);
        }
}

static void few_hide(float *score, float hidden, const AttentionTile *tile)
{
    const ptrdiff_t columns = (ptrdiff_t)tile->columns, rows = (ptrdiff_t)tile->rows;
    if (!tile->where && tile->first + columns <= 1 && tile->last + 1 >= rows)
        return;
    for (ptrdiff_t column = 0; column < columns; column++, score += ATTENTION_ROWS)
        for (ptrdiff_t row = 0; row < rows; row++)
            if (row < column + tile->first || row > column + tile->last ||
                (tile->where && !tile->where[row * tile->row_step + column * tile->column_step]))
                score[row] = hidden;
}

static void few_softmax(float *score, float *maximum, float *sum, float *shrink, const AttentionTile *tile)
{
    for (size_t column = 0; column < tile->columns; column++, score += ATTENTION_ROWS) {
        const float old = maximum[column], greatest = KERNEL(max)(score, tile->rows);
        const float max = greatest > old ? greatest : old, reference = max == -INFINITY ? 0 : max;
        const float total = KERNEL(exp_shifted)(score, score, reference, tile->rows);
        for (size_t row = tile->rows; row < ATTENTION_ROWS; row++)
            score[row] = 0;
        maximum[column] = max;
        shrink[column] = vector_exp(vector_fill(old - reference))[0];
        sum[column] = sum[column] * shrink[column] + total;
    }
}

/* out += sum over k of a(k) b(k), leaving out the terms with a(k) = 0, whatever b holds there. */
static void tile_add_nonzero_terms(float *out, const float *a, size_t a_next, const float *b, size_t b_next,
                                   size_t terms, size_t depth)
{
    for (size_t k = 0; k < terms; k++, a += a_next, b += b_next)
        if (*a != 0)
            for (size_t i = 0; i < depth; i++)
                out[i] += *a * b[i];
}

/* Partial sum s has the rows s, s + ATTENTION_TERMS, ...: additions need not wait for one another. */
static void few_add_to_columns(float *out, const float *shrink, const float *p, const float *rows, size_t depth,
                               bool finite, const AttentionTile *tile)
{
    const size_t width = attention_width(depth);
    for (size_t column = 0; column < tile->columns; column++, p += ATTENTION_ROWS, out += width) {
        for (size_t i = 0; i < width; i += VECTOR_FLOATS) {
            Vector sum[ATTENTION_TERMS] = {shrink[column] * vector_load(out + i)};
            for (size_t row = 0; row < tile->rows && finite; row += ATTENTION_TERMS)
                VECTOR_UNROLL
            for (size_t s = 0; s < ATTENTION_TERMS; s++)
                sum[s] += p[row + s] * vector_load(rows + (row + s) * width + i);
            vector_store(out + i, ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7])));
        }
        if (!finite)
            tile_add_nonzero_terms(out, p, 1, rows, width, tile->rows, depth);
    }
}

#endif
