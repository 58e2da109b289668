#include "tests/support/reference.h"

#include "tests/support/allclose.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

static double *doubles(size_t count)
{
    double *block = malloc((count ? count : 1) * sizeof *block);
    ck_assert_ptr_nonnull(block);
    return block;
}

void central_difference(double *gradient, double *x, size_t count, double step, ReferenceLoss *loss, void *context)
{
    for (size_t i = 0; i < count; i++) {
        const double value = x[i];
        x[i] = value + step;
        const double above = loss(context);
        x[i] = value - step;
        const double below = loss(context);
        x[i] = value;
        gradient[i] = (above - below) / (2 * step);
    }
}

void assert_gradient(const char *what, const float *actual, double *x, size_t count, ReferenceLoss *loss, void *context,
                     double rtol, double atol)
{
    double *expected = doubles(count);
    central_difference(expected, x, count, 1e-5, loss, context);
    assert_allclose_double(what, actual, expected, count, rtol, atol);
    free(expected);
}

double reference_dot(const double *a, const double *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

void reference_widen(double *to, Tensor from)
{
    const size_t columns = tensor_extent(from, -1);
    for (size_t row = 0; row < tensor_rows(from); row++)
        for (size_t i = 0; i < columns; i++)
            *to++ = (double)tensor_row(from, row)[(ptrdiff_t)i * from.stride[from.rank - 1]];
}

/* Writes exp(x_j - max x) and returns their sum; *max is where the sum is to be read from. */
static double exponentials(double *y, double *max, const double *x, size_t n, size_t step)
{
    *max = -INFINITY;
    for (size_t j = 0; j < n; j++)
        *max = fmax(*max, x[j * step]);
    double sum = 0;
    for (size_t j = 0; j < n; j++)
        sum += y[j * step] = exp(x[j * step] - *max);
    return sum;
}

void reference_softmax(double *y, const double *x, size_t outer, size_t n, size_t inner)
{
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < inner; i++) {
            double max, *out = y + o * n * inner + i;
            const double sum = exponentials(out, &max, x + o * n * inner + i, n, inner);
            for (size_t j = 0; j < n; j++)
                out[j * inner] /= sum;
        }
}

void reference_log_sum_exp(double *log_sum_exp, const double *x, size_t rows, size_t n)
{
    double *exponential = doubles(n);
    for (size_t row = 0; row < rows; row++) {
        double max;
        const double sum = exponentials(exponential, &max, x + row * n, n, 1);
        log_sum_exp[row] = max + log(sum);
    }
    free(exponential);
}

void reference_silu(double *y, const double *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = x[i] / (1 + exp(-x[i]));
}

double reference_cross_entropy(const double *logits, const int32_t *targets, size_t rows, size_t vocab)
{
    double *log_sum_exp = doubles(rows), sum = 0;
    reference_log_sum_exp(log_sum_exp, logits, rows, vocab);
    for (size_t row = 0; row < rows; row++)
        sum += log_sum_exp[row] - logits[row * vocab + (size_t)targets[row]];
    free(log_sum_exp);
    return sum / (double)rows;
}

/* One query: its scores, their softmax, and the values weighted by it. */
static void attend(double *output, double *log_sum_exp, double *probability, const double *query, const double *key,
                   const double *value, const bool *visible, AttentionSizes sizes)
{
    double max;
    for (size_t j = 0; j < sizes.keys; j++)
        probability[j] =
            visible[j] ? reference_dot(query, key + j * sizes.d_k, sizes.d_k) / sqrt((double)sizes.d_k) : -INFINITY;
    for (size_t c = 0; c < sizes.d_v; c++)
        output[c] = 0;
    bool any = false;
    for (size_t j = 0; j < sizes.keys; j++)
        any = any || visible[j];
    const double sum = any ? exponentials(probability, &max, probability, sizes.keys, 1) : 0;
    if (log_sum_exp)
        *log_sum_exp = any ? max + log(sum) : -INFINITY;
    for (size_t j = 0; j < sizes.keys; j++)
        for (size_t c = 0; visible[j] && c < sizes.d_v; c++)
            output[c] += probability[j] / sum * value[j * sizes.d_v + c];
}

void reference_attention(double *output, double *log_sum_exp, const double *query, const double *key,
                         const double *value, const bool *visible, AttentionSizes sizes)
{
    double *probability = doubles(sizes.keys);
    for (size_t b = 0; b < sizes.batch; b++)
        for (size_t i = 0; i < sizes.queries; i++) {
            const size_t row = b * sizes.queries + i;
            attend(output + row * sizes.d_v, log_sum_exp ? log_sum_exp + row : NULL, probability,
                   query + row * sizes.d_k, key + b * sizes.keys * sizes.d_k, value + b * sizes.keys * sizes.d_v,
                   visible + row * sizes.keys, sizes);
        }
    free(probability);
}

void reference_causal(bool *visible, AttentionSizes sizes)
{
    for (size_t b = 0; b < sizes.batch; b++)
        for (size_t i = 0; i < sizes.queries; i++)
            for (size_t j = 0; j < sizes.keys; j++)
                *visible++ = j + sizes.queries <= i + sizes.keys;
}
