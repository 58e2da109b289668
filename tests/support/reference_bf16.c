#include "tests/support/reference_bf16.h"

#include "tests/support/allclose.h"
#include "tests/support/bfloat16.h"
#include "tests/support/check.h"
#include "tests/support/zeroed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_AT_A_TIME = 128 }; /* the maximum that exponentials are relative to is that of the keys up to here */

static const double UNIT = 0x1p-24; /* the largest relative error of one float32 operation */

static double *doubles(size_t count)
{
    return zeroed(count, sizeof(double));
}

static double *rounded(const double *x, size_t count)
{
    double *y = doubles(count);
    for (size_t i = 0; i < count; i++)
        y[i] = bfloat16_of((float)x[i]);
    return y;
}

/* Returns how far bfloat16_of() moves if x changes by at most `error`. */
static double rounding_moves(double x, double error)
{
    const double at = bfloat16_of((float)x);
    return fmax(fabs(bfloat16_of((float)(x + error)) - at), fabs(bfloat16_of((float)(x - error)) - at));
}

/* Adds weight x to a sum, for a weight that may be off by `moves`. */
static void add(Bounded sum, size_t i, double weight, double moves, double x, size_t terms)
{
    sum.expected[i] += weight * x;
    sum.bound[i] += (moves + fabs(weight) * (double)(terms + 8) * UNIT) * fabs(x);
}

/* One head: its rounded inputs and its results. */
typedef struct {
    const double *q, *k, *v, *grad_output, *given_output;
    const bool *visible;
    Bounded output, log_sum_exp, grad_query, grad_key, grad_value;
    double *score, *error; /* (keys) scaled scores of one query, and how far float32 may be off */
    double scale;
} Head;

static void scores(const Head *h, size_t i, AttentionSizes s)
{
    for (size_t j = 0; j < s.keys; j++) {
        double sum = 0, size = 0;
        for (size_t d = 0; d < s.d_k; d++) {
            sum += h->q[i * s.d_k + d] * h->k[j * s.d_k + d];
            size += fabs(h->q[i * s.d_k + d] * h->k[j * s.d_k + d]);
        }
        h->score[j] = h->scale * sum;
        h->error[j] = h->scale * size * (double)(s.d_k + 8) * UNIT;
    }
}

static void forward(const Head *h, size_t i, AttentionSizes s)
{
    const bool *visible = h->visible + i * s.keys;
    double maximum = -INFINITY, sum = 0, worst = 0;
    const Bounded output = {h->output.expected + i * s.d_v, h->output.bound + i * s.d_v};
    scores(h, i, s);
    for (size_t first = 0; first < s.keys; first += KEYS_AT_A_TIME) {
        const size_t end = first + KEYS_AT_A_TIME < s.keys ? first + KEYS_AT_A_TIME : s.keys;
        const double old = maximum;
        for (size_t j = first; j < end; j++)
            if (visible[j]) {
                maximum = fmax(maximum, h->score[j]);
                worst = fmax(worst, h->error[j]);
            }
        const double rescale = old == -INFINITY ? 0 : exp(old - maximum);
        sum *= rescale;
        for (size_t d = 0; d < s.d_v; d++) {
            output.expected[d] *= rescale;
            output.bound[d] *= rescale;
        }
        for (size_t j = first; j < end; j++) {
            if (!visible[j])
                continue;
            const double difference = h->score[j] - maximum, p = exp(difference);
            const double error = p * (h->error[j] + worst + (8 - difference) * UNIT);
            const double weight = bfloat16_of((float)p), moves = rounding_moves(p, error);
            sum += p;
            for (size_t d = 0; d < s.d_v; d++)
                add(output, d, weight, moves, h->v[j * s.d_v + d], s.keys);
        }
    }
    h->log_sum_exp.expected[i] = maximum + log(sum);
    h->log_sum_exp.bound[i] = 2 * worst + (fabs(maximum) + (double)s.keys) * UNIT + 1e-6;
    for (size_t d = 0; d < s.d_v; d++) {
        output.expected[d] = sum > 0 ? output.expected[d] / sum : 0;
        output.bound[d] = sum > 0 ? output.bound[d] / sum + fabs(output.expected[d]) * (2 * worst + 1e-6) : 0;
    }
}

/* Adds what the pair of query i and key j contributes to the three gradients. */
static void backward_pair(const Head *h, size_t i, size_t j, double delta, double delta_size, AttentionSizes s)
{
    const double *grad_output = h->grad_output + i * s.d_v, *v = h->v + j * s.d_v;
    const double log_error = h->log_sum_exp.bound[i] + (8 + fabs(h->score[j])) * UNIT;
    const double p = exp(h->score[j] - h->log_sum_exp.expected[i]), p_error = p * (h->error[j] + log_error);
    double dp = 0, size = delta_size;
    for (size_t d = 0; d < s.d_v; d++) {
        dp += grad_output[d] * v[d];
        size += fabs(grad_output[d] * v[d]);
    }
    const double ds = h->scale * p * (dp - delta);
    const double ds_error =
        h->scale * (p_error * fabs(dp - delta) + p * size * (double)(s.d_v + 8) * UNIT) + fabs(ds) * 4 * UNIT;
    const double p_weight = bfloat16_of((float)p), p_moves = rounding_moves(p, p_error);
    for (size_t d = 0; d < s.d_v; d++)
        add(h->grad_value, j * s.d_v + d, p_weight, p_moves, grad_output[d], s.queries);
    const double weight = bfloat16_of((float)ds), moves = rounding_moves(ds, ds_error);
    for (size_t d = 0; d < s.d_k; d++) {
        add(h->grad_query, i * s.d_k + d, weight, moves, h->k[j * s.d_k + d], s.keys);
        add(h->grad_key, j * s.d_k + d, weight, moves, h->q[i * s.d_k + d], s.queries);
    }
}

static void backward(const Head *h, size_t i, AttentionSizes s)
{
    double delta = 0, size = 0;
    for (size_t d = 0; d < s.d_v; d++) {
        const double term = h->grad_output[i * s.d_v + d] * h->given_output[i * s.d_v + d];
        delta += term;
        size += fabs(term);
    }
    for (size_t j = 0; j < s.keys; j++)
        if (h->visible[i * s.keys + j])
            backward_pair(h, i, j, delta, size, s);
}

static Bounded part(Bounded whole, size_t offset, size_t count)
{
    const Bounded p = {whole.expected + offset, whole.bound + offset};
    memset(p.expected, 0, count * sizeof *p.expected);
    memset(p.bound, 0, count * sizeof *p.bound);
    return p;
}

void reference_attention_bf16(const AttentionBf16 *a, AttentionSizes s)
{
    double *q = rounded(a->query, s.batch * s.queries * s.d_k), *k = rounded(a->key, s.batch * s.keys * s.d_k);
    double *v = rounded(a->value, s.batch * s.keys * s.d_v);
    double *grad_output = rounded(a->grad_output, s.batch * s.queries * s.d_v);
    double *score = doubles(s.keys), *error = doubles(s.keys);
    for (size_t b = 0; b < s.batch; b++) {
        const size_t queries = b * s.queries, keys = b * s.keys;
        const Head head = {.q = q + queries * s.d_k,
                           .k = k + keys * s.d_k,
                           .v = v + keys * s.d_v,
                           .grad_output = grad_output + queries * s.d_v,
                           .given_output = a->given_output + queries * s.d_v,
                           .visible = a->visible + queries * s.keys,
                           .output = part(a->output, queries * s.d_v, s.queries * s.d_v),
                           .log_sum_exp = part(a->log_sum_exp, queries, s.queries),
                           .grad_query = part(a->grad_query, queries * s.d_k, s.queries * s.d_k),
                           .grad_key = part(a->grad_key, keys * s.d_k, s.keys * s.d_k),
                           .grad_value = part(a->grad_value, keys * s.d_v, s.keys * s.d_v),
                           .score = score,
                           .error = error,
                           .scale = 1 / sqrt((double)s.d_k)};
        for (size_t i = 0; i < s.queries; i++) {
            forward(&head, i, s);
            backward(&head, i, s);
        }
    }
    double *all[] = {q, k, v, grad_output, score, error};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

void assert_bounded(const char *what, Tensor actual, Bounded reference)
{
    const size_t columns = tensor_extent(actual, -1);
    for (size_t row = 0; row < tensor_rows(actual); row++)
        for (size_t i = 0; i < columns; i++) {
            const double x = (double)tensor_row(actual, row)[i];
            const double expected = reference.expected[row * columns + i], bound = reference.bound[row * columns + i];
            ck_assert_msg(x == expected || fabs(x - expected) <= bound,
                          "%s: row %zu, column %zu is %.9g, expected %.9g within %.2g", what, row, i, x, expected,
                          bound);
        }
}
