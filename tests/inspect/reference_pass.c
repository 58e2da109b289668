#include "tests/inspect/reference_pass.h"

#include "tests/support/reference.h"
#include "tests/support/sample.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    ReferencePass *pass;
    const TransformerLMConfig *config;
    const ReferenceWeights *weights;
    char prefix[32]; /* of the layer's weights */
    size_t batch, seq, layer;
    double *x, *normed, *branch; /* (batch, seq, d_model) */
} Run;

static double *get(const Run *r, const char *name)
{
    return reference_weight(r->weights, r->prefix, name);
}

static void measure(Run *r, const double *output, size_t count)
{
    r->pass->rms[r->pass->count++] = sqrt(reference_dot(output, output, count) / (double)count);
}

static size_t rows_of(const Run *r)
{
    return r->batch * r->seq;
}

/* y = x / rms(x) * gain; y may be x. */
static void norm(Run *r, double *y, const double *x, const char *gain)
{
    reference_rmsnorm(y, x, get(r, gain), rows_of(r), r->config->d_model, (double)r->config->norm_eps);
    measure(r, y, rows_of(r) * r->config->d_model);
}

static void add(Run *r)
{
    const size_t count = rows_of(r) * r->config->d_model;
    for (size_t i = 0; i < count; i++)
        r->x[i] += r->branch[i];
    measure(r, r->x, count);
}

static void rotate(Run *r, double *x)
{
    const size_t d = r->config->d_model, d_k = d / r->config->num_heads;
    for (size_t row = 0; row < rows_of(r); row++)
        for (size_t i = 0; i < d; i += d_k) {
            const int32_t position = (int32_t)(row % r->seq);
            reference_rope(x + row * d + i, x + row * d + i, &position, 1, d_k, (double)r->config->rope_theta);
        }
    measure(r, x, rows_of(r) * d);
}

/* One head of one sequence: its weights, and their sum of the values. Rows of q, k and v are d numbers apart. */
static void attend(double *weights, double *attended, const double *q, const double *k, const double *v, size_t seq,
                   size_t d, size_t d_k)
{
    for (size_t i = 0; i < seq; i++) {
        double *w = weights + i * seq;
        for (size_t j = 0; j < seq; j++)
            w[j] = j <= i ? reference_dot(q + i * d, k + j * d, d_k) / sqrt((double)d_k) : -INFINITY;
        reference_softmax(w, w, 1, seq, 1);
        for (size_t n = 0; n < d_k; n++) {
            attended[i * d + n] = 0;
            for (size_t j = 0; j <= i; j++)
                attended[i * d + n] += w[j] * v[j * d + n];
        }
    }
}

static void attention(Run *r, const double *x)
{
    static const char *const names[] = {"attn.q_proj.weight", "attn.k_proj.weight", "attn.v_proj.weight"};
    const size_t d = r->config->d_model, heads = r->config->num_heads, d_k = d / heads, count = rows_of(r) * d;
    double *qkv[3], *attended = sample_doubles(count);
    for (size_t i = 0; i < 3; i++) {
        qkv[i] = sample_doubles(count);
        reference_linear(qkv[i], x, get(r, names[i]), rows_of(r), d, d);
        measure(r, qkv[i], count);
    }
    if (r->config->position == POSITION_ROPE) {
        rotate(r, qkv[0]);
        rotate(r, qkv[1]);
    }
    for (size_t b = 0; b < r->batch; b++)
        for (size_t h = 0; h < heads; h++) {
            const size_t at = b * r->seq * d + h * d_k;
            attend(r->pass->weights + ((r->layer * r->batch + b) * heads + h) * r->seq * r->seq, attended + at,
                   qkv[0] + at, qkv[1] + at, qkv[2] + at, r->seq, d, d_k);
        }
    measure(r, attended, count);
    reference_linear(r->branch, attended, get(r, "attn.output_proj.weight"), rows_of(r), d, d);
    measure(r, r->branch, count);
}

static void feed_forward(Run *r, const double *x)
{
    const size_t d = r->config->d_model, d_ff = r->config->d_ff, count = rows_of(r) * d_ff;
    double *up = sample_doubles(count), *gate = sample_doubles(count);
    reference_linear(up, x, get(r, "ffn.w1.weight"), rows_of(r), d, d_ff);
    measure(r, up, count);
    if (r->config->ffn == FFN_SWIGLU) {
        reference_linear(gate, x, get(r, "ffn.w3.weight"), rows_of(r), d, d_ff);
        measure(r, gate, count);
    }
    reference_silu(up, up, count);
    for (size_t i = 0; r->config->ffn == FFN_SWIGLU && i < count; i++)
        up[i] *= gate[i];
    measure(r, up, count);
    reference_linear(r->branch, up, get(r, "ffn.w2.weight"), rows_of(r), d_ff, d);
    measure(r, r->branch, rows_of(r) * d);
}

static void block(Run *r)
{
    const bool pre = r->config->norm == NORM_PRE, post = r->config->norm == NORM_POST;
    if (pre)
        norm(r, r->normed, r->x, "ln1.weight");
    attention(r, pre ? r->normed : r->x);
    add(r);
    if (post)
        norm(r, r->x, r->x, "ln1.weight");
    if (pre)
        norm(r, r->normed, r->x, "ln2.weight");
    feed_forward(r, pre ? r->normed : r->x);
    add(r);
    if (post)
        norm(r, r->x, r->x, "ln2.weight");
}

void reference_pass(ReferencePass *pass, const ReferenceWeights *weights, const TransformerLMConfig *config,
                    const int32_t *ids, size_t batch, size_t seq)
{
    const size_t rows = batch * seq, d = config->d_model;
    Run r = {.pass = pass, .config = config, .weights = weights, .batch = batch, .seq = seq};
    r.x = sample_doubles(rows * d);
    r.normed = sample_doubles(rows * d);
    r.branch = sample_doubles(rows * d);
    *pass = (ReferencePass){.weights = sample_doubles(config->num_layers * batch * config->num_heads * seq * seq),
                            .logits = sample_doubles(rows * config->vocab_size)};
    const double *table = reference_weight(weights, "", "token_embeddings.weight");
    for (size_t row = 0; row < rows; row++)
        memcpy(r.x + row * d, table + (size_t)ids[row] * d, d * sizeof *r.x);
    measure(&r, r.x, rows * d);
    for (r.layer = 0; r.layer < config->num_layers; r.layer++) {
        snprintf(r.prefix, sizeof r.prefix, "layers.%zu.", r.layer);
        block(&r);
    }
    r.prefix[0] = 0;
    if (config->norm != NORM_NONE)
        norm(&r, r.x, r.x, "ln_final.weight");
    reference_linear(pass->logits, r.x, config->tie_embeddings ? table : get(&r, "lm_head.weight"), rows, d,
                     config->vocab_size);
    measure(&r, pass->logits, rows * config->vocab_size);
}
