#include "tests/support/reference.h"

#include "tests/support/allclose.h"
#include "tests/support/zeroed.h"

#include <math.h>
#include <stdlib.h>

static double *doubles(size_t count)
{
    return zeroed(count, sizeof(double));
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

void assert_gradient(const char *what, Tensor actual, double *x, ReferenceLoss *loss, void *context, double rtol,
                     double atol)
{
    double *expected = doubles(tensor_count(actual));
    central_difference(expected, x, tensor_count(actual), 1e-5, loss, context);
    assert_allclose_wide(what, actual, expected, rtol, atol);
    free(expected);
}

double reference_dot(const double *a, const double *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

void reference_widen(double *destination, Tensor source)
{
    const size_t columns = tensor_extent(source, -1);
    for (size_t row = 0; row < tensor_rows(source); row++)
        for (size_t i = 0; i < columns; i++)
            *destination++ = (double)tensor_row(source, row)[(ptrdiff_t)i * source.stride[source.rank - 1]];
}

/* Writes exp(x_j - max x) for n numbers that are step apart, and their maximum. Returns the sum of the exponentials. */
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

/* Writes the probabilities of one query, 0 for keys that it does not see. Returns the log-sum-exp. */
static double probabilities(double *probability, const double *query, const double *key, const bool *visible,
                            AttentionSizes sizes)
{
    bool any = false;
    for (size_t j = 0; j < sizes.keys; j++) {
        probability[j] =
            visible[j] ? reference_dot(query, key + j * sizes.d_k, sizes.d_k) / sqrt((double)sizes.d_k) : -INFINITY;
        any = any || visible[j];
    }
    double max = -INFINITY;
    const double sum = any ? exponentials(probability, &max, probability, sizes.keys, 1) : 0;
    for (size_t j = 0; j < sizes.keys; j++)
        probability[j] = visible[j] ? probability[j] / sum : 0;
    return any ? max + log(sum) : -INFINITY;
}

/* sum += factor term */
static void add_scaled(double *sum, double factor, const double *term, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum[i] += factor * term[i];
}

static void clear(double *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = 0;
}

void reference_attention(double *output, double *log_sum_exp, const double *query, const double *key,
                         const double *value, const bool *visible, AttentionSizes sizes)
{
    double *probability = doubles(sizes.keys);
    clear(output, sizes.batch * sizes.queries * sizes.d_v);
    for (size_t row = 0; row < sizes.batch * sizes.queries; row++) {
        const size_t keys = row / sizes.queries * sizes.keys;
        const bool *sees = visible + row * sizes.keys;
        const double l = probabilities(probability, query + row * sizes.d_k, key + keys * sizes.d_k, sees, sizes);
        if (log_sum_exp)
            log_sum_exp[row] = l;
        for (size_t j = 0; j < sizes.keys; j++)
            if (sees[j])
                add_scaled(output + row * sizes.d_v, probability[j], value + (keys + j) * sizes.d_v, sizes.d_v);
    }
    free(probability);
}

void reference_attention_backward(AttentionReference a, AttentionSizes sizes)
{
    double *p = doubles(sizes.keys), *grad_p = doubles(sizes.keys);
    const double scale = 1 / sqrt((double)sizes.d_k);
    clear(a.grad_query, sizes.batch * sizes.queries * sizes.d_k);
    clear(a.grad_key, sizes.batch * sizes.keys * sizes.d_k);
    clear(a.grad_value, sizes.batch * sizes.keys * sizes.d_v);
    for (size_t row = 0; row < sizes.batch * sizes.queries; row++) {
        /* One query: its probabilities p again, as in the forward pass. */
        const size_t keys = row / sizes.queries * sizes.keys;
        const bool *sees = a.visible + row * sizes.keys;
        const double *query = a.query + row * sizes.d_k, *grad_output = a.grad_output + row * sizes.d_v;
        probabilities(p, query, a.key + keys * sizes.d_k, sees, sizes);
        /* grad_p = V grad_output; the backward pass of softmax subtracts its mean under p. */
        double mean = 0;
        for (size_t j = 0; j < sizes.keys; j++) {
            grad_p[j] = sees[j] ? reference_dot(grad_output, a.value + (keys + j) * sizes.d_v, sizes.d_v) : 0;
            mean += p[j] * grad_p[j];
        }
        /* From the gradient of each score to those of its query, key and value. */
        for (size_t j = 0; j < sizes.keys; j++) {
            if (!sees[j])
                continue;
            const double grad_score = p[j] * (grad_p[j] - mean) * scale;
            add_scaled(a.grad_value + (keys + j) * sizes.d_v, p[j], grad_output, sizes.d_v);
            add_scaled(a.grad_query + row * sizes.d_k, grad_score, a.key + (keys + j) * sizes.d_k, sizes.d_k);
            add_scaled(a.grad_key + (keys + j) * sizes.d_k, grad_score, query, sizes.d_k);
        }
    }
    free(p);
    free(grad_p);
}

void reference_causal(bool *visible, AttentionSizes sizes)
{
    for (size_t b = 0; b < sizes.batch; b++)
        for (size_t i = 0; i < sizes.queries; i++)
            for (size_t j = 0; j < sizes.keys; j++)
                *visible++ = j + sizes.queries <= i + sizes.keys;
}
