/*
 * Attention of one query, as in text generation: see AttentionQuery in attention.h. Vectors run along the rows of keys
 * and values, and every row is read once, where it lies.
 */
#ifndef CS336_KERNELS_ATTENTION_QUERY_KERNEL_H
#define CS336_KERNELS_ATTENTION_QUERY_KERNEL_H

#include "kernels/attention.h"
#include "kernels/attention_softmax_kernel.h"
#include "kernels/vecmath_kernel.h"

#include <string.h>

/* Loads the first n lanes of an operand, rounded to bfloat16 if `rounded`, which is a constant in each caller. */
VECTOR_INLINE Vector load_operand(const int rounded, const float *x, size_t n)
{
    const Vector v = vector_load_first(x, n);
    return rounded ? vector_round_bf16(v) : v;
}

/*
 * Computes the scaled scores of `count` keys, VECTOR_FLOATS at a time. Each key's dot product with the query keeps one
 * vector of partial sums, square[lane]. The scores become the lanes of one vector. A masked key gets -inf.
 */
VECTOR_INLINE void query_scores(const int rounded, float *score, const AttentionQuery *q, size_t first, size_t count)
{
    for (size_t row = 0; row < count; row += VECTOR_FLOATS) {
        Vector square[VECTOR_FLOATS];
        VECTOR_UNROLL
        for (size_t lane = 0; lane < VECTOR_FLOATS; lane++) {
            /* Lanes beyond the last row compute it again; their scores are never read. */
            const ptrdiff_t index = (ptrdiff_t)(first + smaller_size(row + lane, count - 1));
            const float *key = q->key + index * q->key_stride;
            __builtin_prefetch(q->value + index * q->value_stride); /* add_values() reads it soon */
            size_t i = 0;
            square[lane] = (Vector){0};
            for (; i + VECTOR_FLOATS <= q->d_k; i += VECTOR_FLOATS)
                square[lane] +=
                    load_operand(rounded, key + i, VECTOR_FLOATS) * load_operand(rounded, q->query + i, VECTOR_FLOATS);
            if (i < q->d_k)
                square[lane] +=
                    load_operand(rounded, key + i, q->d_k - i) * load_operand(rounded, q->query + i, q->d_k - i);
        }
        /* Transposed, the partial sums of one key are in one lane of all vectors. Add the vectors, half to half. */
        vector_transpose(square);
        VECTOR_UNROLL
        for (size_t half = VECTOR_FLOATS / 2; half > 0; half /= 2) {
            VECTOR_UNROLL
            for (size_t i = 0; i < half; i++)
                square[i] += square[i + half];
        }
        vector_store(score + row, q->scale * square[0]);
    }
    for (size_t row = 0; q->mask && row < count; row++)
        if (!q->mask[(ptrdiff_t)(first + row) * q->mask_stride])
            score[row] = -INFINITY;
}

/*
 * Independent sums. A multiply-add takes 4 cycles, and the CPU can start 2 in each cycle, so 8 of them are needed to
 * keep it busy; a single sum would wait 4 cycles for each.
 */
enum { QUERY_SUMS = 8 };
_Static_assert((int)SCORE_BLOCK_ROWS % (int)QUERY_SUMS == 0, "weights beyond the last row would not fit the block");

/*
 * Returns the first n lanes of old + sum of p(row) value(row), where partial sum s adds the rows s, s + 8, s + 16, ...
 * Weights beyond the last row are 0, up to a multiple of 8; there the last row is read again. n is VECTOR_FLOATS, as a
 * constant to the compiler, or the end of a row.
 */
VECTOR_INLINE Vector weighted_sum(const int rounded, Vector old, const float *p, const float *value, ptrdiff_t stride,
                                  size_t count, size_t n)
{
    Vector partial[QUERY_SUMS] = {old};
    size_t row = 0;
    for (; row + QUERY_SUMS <= count; row += QUERY_SUMS) {
        VECTOR_UNROLL
        for (size_t s = 0; s < QUERY_SUMS; s++)
            partial[s] += p[row + s] * load_operand(rounded, value + (ptrdiff_t)(row + s) * stride, n);
    }
    if (row < count) {
        VECTOR_UNROLL
        for (size_t s = 0; s < QUERY_SUMS; s++)
            partial[s] +=
                p[row + s] * load_operand(rounded, value + (ptrdiff_t)smaller_size(row + s, count - 1) * stride, n);
    }
    return ((partial[0] + partial[1]) + (partial[2] + partial[3])) +
           ((partial[4] + partial[5]) + (partial[6] + partial[7]));
}

/* output = rescale output + P V for `count` rows of V. */
VECTOR_INLINE void add_values(const int rounded, float *output, float rescale, const float *p, const AttentionQuery *q,
                              size_t first, size_t count)
{
    for (size_t i = 0; i < q->d_v; i += VECTOR_FLOATS) {
        const size_t n = smaller_size(VECTOR_FLOATS, q->d_v - i);
        const float *value = q->value + (ptrdiff_t)first * q->value_stride + i;
        const Vector old = rescale * vector_load_first(output + i, n);
        Vector sum = n == VECTOR_FLOATS ? weighted_sum(rounded, old, p, value, q->value_stride, count, VECTOR_FLOATS)
                                        : weighted_sum(rounded, old, p, value, q->value_stride, count, n);
        /* x * 0 is NaN for infinities and NaN. If there are any, add again without the rows whose weight is 0. */
        if (vector_sum(sum * 0) != 0) {
            sum = old;
            for (size_t row = 0; row < count; row++)
                if (p[row] != 0)
                    sum += p[row] * load_operand(rounded, value + (ptrdiff_t)row * q->value_stride, n);
        }
        vector_store_first(output + i, sum, n);
    }
}

/* The online softmax of functional.c, for one query: m is maximum, Z is sum, O is output. */
VECTOR_INLINE void attend(const int rounded, float *output, float *log_sum_exp, const AttentionQuery *q)
{
    float score[SCORE_BLOCK_ROWS], maximum = -INFINITY, sum = 0;
    memset(output, 0, q->d_v * sizeof *output);
    for (size_t first = 0; first < q->keys; first += SCORE_BLOCK_ROWS) {
        const size_t count = smaller_size(SCORE_BLOCK_ROWS, q->keys - first);
        query_scores(rounded, score, q, first, count);
        /* As in attention_softmax: the reference is the maximum, or 0 for a query that has seen nothing. */
        const float greatest = KERNEL(max)(score, count), old = maximum;
        maximum = greatest > old ? greatest : old;
        const float reference = maximum == -INFINITY ? 0 : maximum;
        const float total = KERNEL(exp_shifted)(score, score, reference, count);
        const float rescale = vector_exp(vector_fill(old - reference))[0];
        sum = sum * rescale + total;
        for (size_t row = count; row % QUERY_SUMS != 0; row++)
            score[row] = 0;
        /* The probabilities are an operand of P V. Their sum is not rounded. */
        for (size_t row = 0; rounded && row < count; row += VECTOR_FLOATS)
            vector_store(score + row, vector_round_bf16(vector_load(score + row)));
        add_values(rounded, output, rescale, score, q, first, count);
    }
    /* log_sum_exp = m + log Z and O / Z; if Z = 0, these are -inf and 0. */
    if (log_sum_exp)
        *log_sum_exp = maximum + logf(sum);
    KERNEL(scale)(output, sum == 0 ? 0 : 1 / sum, output, q->d_v);
}

static void KERNEL(attention_attend)(float *output, float *log_sum_exp, const AttentionQuery *q)
{
    attend(0, output, log_sum_exp, q);
}

void KERNEL(attention_bf16_attend)(float *output, float *log_sum_exp, const AttentionQuery *q)
{
    attend(1, output, log_sum_exp, q);
}

#endif
