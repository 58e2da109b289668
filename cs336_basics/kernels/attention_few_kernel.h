/*
 * Score blocks of few queries, as in text generation. Vectors run along the keys, because across the queries most lanes
 * would be empty. Score (row, column) is at column * SCORE_BLOCK_ROWS + row, and the queries are packed as rows.
 */
#ifndef CS336_KERNELS_ATTENTION_FEW_KERNEL_H
#define CS336_KERNELS_ATTENTION_FEW_KERNEL_H

#include "kernels/attention.h"
#include "kernels/vecmath_kernel.h"

/*
 * Computes the scores of VECTOR_FLOATS keys at a time. Each key's dot product with the query keeps one vector of
 * partial sums, square[lane]. The scores become the lanes of one vector.
 */
static void few_scores(float *score, PackedRows rows, PackedColumns columns, const ScoreBlock *block)
{
    const size_t width = attention_width(rows.depth), last = block->rows - 1, depth = rows.depth;
    const float *query = columns.data;
    for (size_t column = 0; column < block->columns; column++, query += width, score += SCORE_BLOCK_ROWS)
        for (size_t row = 0; row <= last; row += VECTOR_FLOATS) {
            Vector square[VECTOR_FLOATS];
            VECTOR_UNROLL
            for (size_t lane = 0; lane < VECTOR_FLOATS; lane++) {
                /* Lanes beyond the last row compute it again; their scores are never read. */
                const float *key = rows.data + (row + lane < last ? row + lane : last) * width;
                square[lane] = (Vector){0};
                for (size_t i = 0; i < depth; i += VECTOR_FLOATS)
                    square[lane] += vector_load(key + i) * vector_load(query + i);
            }
            /* Transposed, the partial sums of one key are in one lane of all vectors. Add the vectors, half to half. */
            vector_transpose(square);
            VECTOR_UNROLL
            for (size_t half = VECTOR_FLOATS / 2; half > 0; half /= 2) {
                VECTOR_UNROLL
                for (size_t i = 0; i < half; i++)
                    square[i] += square[i + half];
            }
            vector_store(score + row, square[0]);
        }
}

static void few_hide(float *score, float hidden, const ScoreBlock *block)
{
    const ptrdiff_t columns = (ptrdiff_t)block->columns, rows = (ptrdiff_t)block->rows;
    if (!block->mask && block->band_first + columns <= 1 && block->band_last + 1 >= rows)
        return;
    for (ptrdiff_t column = 0; column < columns; column++, score += SCORE_BLOCK_ROWS)
        for (ptrdiff_t row = 0; row < rows; row++)
            if (row < column + block->band_first || row > column + block->band_last ||
                (block->mask && !block->mask[row * block->row_stride + column * block->column_stride]))
                score[row] = hidden;
}

static void few_softmax(float *score, float *maximum, float *sum, float *rescale, const ScoreBlock *block)
{
    for (size_t column = 0; column < block->columns; column++, score += SCORE_BLOCK_ROWS) {
        /* As attention_softmax: the reference is the maximum, or 0 for a query that has seen nothing. */
        const float old = maximum[column], greatest = KERNEL(max)(score, block->rows);
        const float max = greatest > old ? greatest : old, reference = max == -INFINITY ? 0 : max;
        const float total = KERNEL(exp_shifted)(score, score, reference, block->rows);
        /* The product that follows reads the rows eight at a time: those beyond the block get weight 0. */
        for (size_t row = block->rows; row < SCORE_BLOCK_ROWS; row++)
            score[row] = 0;
        maximum[column] = max;
        rescale[column] = vector_exp(vector_fill(old - reference))[0];
        sum[column] = sum[column] * rescale[column] + total;
    }
}

/* sum += sum over k of a(k) b(k), leaving out the terms with a(k) = 0, whatever b(k) holds. */
static void add_nonzero_terms(float *sum, const float *a, size_t a_next, const float *b, size_t b_next, size_t terms,
                              size_t depth)
{
    for (size_t k = 0; k < terms; k++, a += a_next, b += b_next)
        if (*a != 0)
            for (size_t i = 0; i < depth; i++)
                sum[i] += *a * b[i];
}

/*
 * Independent sums. A multiply-add takes 4 cycles, and the CPU can start 2 in each cycle, so 8 of them are needed to
 * keep it busy; a single sum would wait 4 cycles for each.
 */
enum { FEW_SUMS = 8 };
_Static_assert((int)ATTENTION_TALLEST_TILE % (int)FEW_SUMS == 0, "packed rows would end between the sums");

/* sum = rescale sum + P V, where partial sum s adds the rows s, s + 8, s + 16, ... of V. */
static void few_add_to_columns(float *sum, const float *rescale, const float *p, PackedRows rows,
                               const ScoreBlock *block)
{
    const size_t width = attention_width(rows.depth), row_count = block->rows;
    for (size_t column = 0; column < block->columns; column++, p += SCORE_BLOCK_ROWS, sum += width) {
        for (size_t i = 0; i < width; i += VECTOR_FLOATS) {
            Vector partial[FEW_SUMS] = {rescale[column] * vector_load(sum + i)};
            for (size_t row = 0; row < row_count && rows.finite; row += FEW_SUMS) {
                VECTOR_UNROLL
                for (size_t s = 0; s < FEW_SUMS; s++)
                    partial[s] += p[row + s] * vector_load(rows.data + (row + s) * width + i);
            }
            vector_store(sum + i, ((partial[0] + partial[1]) + (partial[2] + partial[3])) +
                                      ((partial[4] + partial[5]) + (partial[6] + partial[7])));
        }
        if (!rows.finite)
            add_nonzero_terms(sum, p, 1, rows.data, width, row_count, rows.depth);
    }
}

#endif
