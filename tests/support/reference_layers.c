#include "tests/support/reference_layers.h"

#include "tests/support/reference.h"
#include "tests/support/zeroed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double *doubles(size_t count)
{
    return zeroed(count, sizeof(double));
}

void reference_linear(double *y, const double *x, const double *weight, size_t rows, size_t d_in, size_t d_out)
{
    for (size_t row = 0; row < rows; row++)
        for (size_t o = 0; o < d_out; o++)
            y[row * d_out + o] = reference_dot(weight + o * d_in, x + row * d_in, d_in);
}

void reference_rmsnorm(double *y, const double *x, const double *gain, size_t rows, size_t n, double eps)
{
    for (size_t row = 0; row < rows; row++) {
        const double *in = x + row * n;
        const double rms = sqrt(reference_dot(in, in, n) / (double)n + eps);
        for (size_t i = 0; i < n; i++)
            y[row * n + i] = in[i] / rms * gain[i];
    }
}

void reference_rope(double *y, const double *x, const int32_t *positions, size_t rows, size_t d_k, double theta)
{
    for (size_t row = 0; row < rows; row++)
        for (size_t k = 0; k < d_k / 2; k++) {
            const double angle = positions[row] / pow(theta, 2 * (double)k / (double)d_k);
            const double a = x[row * d_k + 2 * k], b = x[row * d_k + 2 * k + 1];
            y[row * d_k + 2 * k] = a * cos(angle) - b * sin(angle);
            y[row * d_k + 2 * k + 1] = a * sin(angle) + b * cos(angle);
        }
}

void reference_feed_forward(double *y, const double *x, const double *w1, const double *w2, const double *w3,
                            size_t rows, size_t d_model, size_t d_ff)
{
    double *hidden = doubles(rows * d_ff), *gate = doubles(rows * d_ff);
    reference_linear(hidden, x, w1, rows, d_model, d_ff);
    reference_silu(hidden, hidden, rows * d_ff);
    if (w3) {
        reference_linear(gate, x, w3, rows, d_model, d_ff);
        for (size_t i = 0; i < rows * d_ff; i++)
            hidden[i] *= gate[i];
    }
    reference_linear(y, hidden, w2, rows, d_ff, d_model);
    free(hidden);
    free(gate);
}

/* Transposes (batch, seq, heads, d_k) to (batch, heads, seq, d_k), or back if join is true. */
static void transpose_heads(double *destination, const double *source, ReferenceAttention sizes, bool join)
{
    const size_t d_k = sizes.d_model / sizes.heads;
    for (size_t b = 0; b < sizes.batch; b++)
        for (size_t t = 0; t < sizes.seq; t++)
            for (size_t h = 0; h < sizes.heads; h++)
                for (size_t i = 0; i < d_k; i++) {
                    const size_t joined = ((b * sizes.seq + t) * sizes.heads + h) * d_k + i;
                    const size_t split = ((b * sizes.heads + h) * sizes.seq + t) * d_k + i;
                    destination[join ? joined : split] = source[join ? split : joined];
                }
}

static void project_heads(double *heads, const double *x, const double *weight, ReferenceAttention sizes)
{
    const size_t rows = sizes.batch * sizes.seq;
    double *joined = doubles(rows * sizes.d_model);
    reference_linear(joined, x, weight, rows, sizes.d_model, sizes.d_model);
    transpose_heads(heads, joined, sizes, false);
    free(joined);
}

static void rotate_heads(double *heads, const int32_t *positions, ReferenceAttention sizes)
{
    const size_t d_k = sizes.d_model / sizes.heads, rows = sizes.batch * sizes.heads * sizes.seq;
    for (size_t row = 0; row < rows; row++) {
        const size_t b = row / (sizes.heads * sizes.seq), t = row % sizes.seq;
        const int32_t position = positions ? positions[b * sizes.seq + t] : (int32_t)t;
        reference_rope(heads + row * d_k, heads + row * d_k, &position, 1, d_k, sizes.theta);
    }
}

void reference_mha(double *y, const double *x, const double *q, const double *k, const double *v, const double *output,
                   const int32_t *positions, ReferenceAttention sizes)
{
    const size_t count = sizes.batch * sizes.seq * sizes.d_model, d_k = sizes.d_model / sizes.heads;
    double *query = doubles(count), *key = doubles(count), *value = doubles(count), *attended = doubles(count);
    bool *visible = zeroed(sizes.batch * sizes.heads * sizes.seq * sizes.seq, sizeof *visible);
    project_heads(query, x, q, sizes);
    project_heads(key, x, k, sizes);
    project_heads(value, x, v, sizes);
    if (sizes.theta > 0) {
        rotate_heads(query, positions, sizes);
        rotate_heads(key, positions, sizes);
    }
    const AttentionSizes heads = {sizes.batch * sizes.heads, sizes.seq, sizes.seq, d_k, d_k};
    reference_causal(visible, heads);
    reference_attention(attended, NULL, query, key, value, visible, heads);
    transpose_heads(value, attended, sizes, true);
    reference_linear(y, value, output, sizes.batch * sizes.seq, sizes.d_model, sizes.d_model);
    free(query), free(key), free(value), free(attended), free(visible);
}

double *reference_weight(const ReferenceWeights *weights, const char *prefix, const char *name)
{
    char full[96];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    for (size_t i = 0; i < weights->count; i++)
        if (strcmp(weights->names[i], full) == 0)
            return weights->values[i];
    return NULL;
}

static void add(double *sum, const double *term, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum[i] += term[i];
}

void reference_block(double *y, const double *x, const ReferenceWeights *weights, const char *prefix, size_t batch,
                     size_t seq, const TransformerLMConfig *config)
{
#define WEIGHT(name) reference_weight(weights, prefix, name)
    const size_t rows = batch * seq, d = config->d_model, count = rows * d;
    const double eps = (double)config->norm_eps, theta = (double)config->rope_theta;
    const ReferenceAttention sizes = {batch, seq, d, config->num_heads, config->position == POSITION_ROPE ? theta : 0};
    const double *q = WEIGHT("attn.q_proj.weight"), *k = WEIGHT("attn.k_proj.weight"),
                 *v = WEIGHT("attn.v_proj.weight"), *output = WEIGHT("attn.output_proj.weight");
    const double *w1 = WEIGHT("ffn.w1.weight"), *w2 = WEIGHT("ffn.w2.weight"), *w3 = WEIGHT("ffn.w3.weight");
    const double *gain1 = WEIGHT("ln1.weight"), *gain2 = WEIGHT("ln2.weight");
    double *z = doubles(count), *normed = doubles(count);
    /* z is the output of the attention sub-layer, y that of the feed-forward sub-layer. */
    switch (config->norm) {
    case NORM_PRE:
        reference_rmsnorm(normed, x, gain1, rows, d, eps);
        reference_mha(z, normed, q, k, v, output, NULL, sizes);
        add(z, x, count);
        reference_rmsnorm(normed, z, gain2, rows, d, eps);
        reference_feed_forward(y, normed, w1, w2, w3, rows, d, config->d_ff);
        add(y, z, count);
        break;
    case NORM_POST:
        reference_mha(normed, x, q, k, v, output, NULL, sizes);
        add(normed, x, count);
        reference_rmsnorm(z, normed, gain1, rows, d, eps);
        reference_feed_forward(normed, z, w1, w2, w3, rows, d, config->d_ff);
        add(normed, z, count);
        reference_rmsnorm(y, normed, gain2, rows, d, eps);
        break;
    case NORM_NONE:
        reference_mha(z, x, q, k, v, output, NULL, sizes);
        add(z, x, count);
        reference_feed_forward(y, z, w1, w2, w3, rows, d, config->d_ff);
        add(y, z, count);
        break;
    }
    free(z);
    free(normed);
#undef WEIGHT
}

void reference_transformer_lm(double *logits, const int32_t *ids, const ReferenceWeights *weights, size_t batch,
                              size_t seq, const TransformerLMConfig *config)
{
    const size_t rows = batch * seq, d = config->d_model;
    double *x = doubles(rows * d), *y = doubles(rows * d);
    const double *table = reference_weight(weights, "", "token_embeddings.weight");
    for (size_t row = 0; row < rows; row++)
        memcpy(x + row * d, table + (size_t)ids[row] * d, d * sizeof *x);
    for (size_t layer = 0; layer < config->num_layers; layer++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "layers.%zu.", layer);
        reference_block(y, x, weights, prefix, batch, seq, config);
        memcpy(x, y, rows * d * sizeof *x);
    }
    const double *gain = reference_weight(weights, "", "ln_final.weight");
    if (gain)
        reference_rmsnorm(x, x, gain, rows, d, (double)config->norm_eps);
    const double *head = config->tie_embeddings ? table : reference_weight(weights, "", "lm_head.weight");
    reference_linear(logits, x, head, rows, d, config->vocab_size);
    free(x);
    free(y);
}
