#include "tests/exercises/checker/plain_layers.h"

#include "tests/support/reference.h"
#include "tests/support/reference_layers.h"
#include "tests/support/zeroed.h"

#include <math.h>
#include <string.h>

static double *doubles(size_t count)
{
    return zeroed(count, sizeof(double));
}

static size_t rows_of(PlainSizes sizes)
{
    return sizes.batch * sizes.seq;
}

size_t plain_count(PlainSizes sizes)
{
    return rows_of(sizes) * sizes.config->d_model;
}

void plain_add(double *sum, const double *term, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum[i] += term[i];
}

/* ---- forward ---- */

void plain_norm(double *y, const double *x, const double *gain, PlainSizes sizes)
{
    reference_rmsnorm(y, x, gain, rows_of(sizes), sizes.config->d_model, (double)sizes.config->norm_eps);
}

static ReferenceAttention attention_of(PlainSizes sizes)
{
    const TransformerLMConfig *config = sizes.config;
    return (ReferenceAttention){.batch = sizes.batch,
                                .seq = sizes.seq,
                                .d_model = config->d_model,
                                .heads = config->num_heads,
                                .theta = config->position == POSITION_ROPE ? (double)config->rope_theta : 0};
}

static int32_t position_of(size_t row, PlainSizes sizes)
{
    const size_t t = row % sizes.seq;
    return sizes.positions ? sizes.positions[t] : (int32_t)t;
}

void plain_attend(double *y, const double *x, double *const weights[], PlainSizes sizes)
{
    int32_t *positions = zeroed(rows_of(sizes), sizeof *positions);
    for (size_t row = 0; row < rows_of(sizes); row++)
        positions[row] = position_of(row, sizes);
    reference_mha(y, x, weights[Q_PROJ], weights[K_PROJ], weights[V_PROJ], weights[OUTPUT_PROJ], positions,
                  attention_of(sizes));
    free(positions);
}

void plain_feed(double *y, const double *x, double *const weights[], PlainSizes sizes)
{
    reference_feed_forward(y, x, weights[W1], weights[W2], weights[W3], rows_of(sizes), sizes.config->d_model,
                           sizes.config->d_ff);
}

const char *const plain_layer_names[LAYER_WEIGHTS] = {
    [Q_PROJ] = "attn.q_proj.weight",
    [K_PROJ] = "attn.k_proj.weight",
    [V_PROJ] = "attn.v_proj.weight",
    [OUTPUT_PROJ] = "attn.output_proj.weight",
    [LN1] = "ln1.weight",
    [LN2] = "ln2.weight",
    [W1] = "ffn.w1.weight",
    [W3] = "ffn.w3.weight",
    [W2] = "ffn.w2.weight",
};

void plain_block(double *y, const double *x, double *const weights[], PlainSizes sizes)
{
    double *values[LAYER_WEIGHTS];
    memcpy(values, weights, sizeof values);
    const ReferenceWeights named = {LAYER_WEIGHTS, plain_layer_names, values};
    reference_block(y, x, &named, "", sizes.batch, sizes.seq, sizes.config);
}

/* ---- backward ---- */

void plain_linear_backward(double *grad_x, double *grad_weight, const double *grad_y, const double *x,
                           const double *weight, size_t rows, size_t d_in, size_t d_out)
{
    for (size_t row = 0; row < rows; row++)
        for (size_t o = 0; o < d_out; o++)
            for (size_t i = 0; i < d_in; i++) {
                if (grad_x)
                    grad_x[row * d_in + i] += grad_y[row * d_out + o] * weight[o * d_in + i];
                if (grad_weight)
                    grad_weight[o * d_in + i] += grad_y[row * d_out + o] * x[row * d_in + i];
            }
}

void plain_norm_backward(double *grad_x, double *grad_gain, const double *grad_y, const double *x, const double *of,
                         const double *gain, PlainSizes sizes)
{
    const size_t n = sizes.config->d_model;
    for (size_t row = 0; row < rows_of(sizes); row++) {
        const double *g = grad_y + row * n, *in = x + row * n;
        const double square = reference_dot(of + row * n, of + row * n, n) / (double)n;
        const double r = sqrt(square + (double)sizes.config->norm_eps);
        double sum = 0; /* of grad_y gain x */
        for (size_t i = 0; i < n; i++)
            sum += g[i] * gain[i] * in[i];
        for (size_t i = 0; i < n; i++) {
            if (grad_gain)
                grad_gain[i] += g[i] * in[i] / r;
            grad_x[row * n + i] += g[i] * gain[i] / r - in[i] * sum / ((double)n * r * r * r);
        }
    }
}

void plain_feed_backward(double *grad_x, double *const grads[], const double *grad_y, const double *x,
                         const double *told, double *const weights[], PlainSizes sizes)
{
    const size_t rows = rows_of(sizes), d = sizes.config->d_model, d_ff = sizes.config->d_ff, count = rows * d_ff;
    double *up = doubles(count), *gate = doubles(count), *hidden = doubles(count), *grad_hidden = doubles(count);
    reference_linear(up, x, weights[W1], rows, d, d_ff);
    if (weights[W3])
        reference_linear(gate, x, weights[W3], rows, d, d_ff);
    reference_silu(hidden, up, count);
    for (size_t i = 0; i < count; i++)
        hidden[i] *= weights[W3] ? gate[i] : 1;
    plain_linear_backward(grad_hidden, grads[W2], grad_y, hidden, weights[W2], rows, d_ff, d);
    /* hidden = silu(up) gate; silu'(u) = s (1 + u (1 - s)) with s = sigmoid(u). */
    for (size_t i = 0; i < count; i++) {
        const double s = 1 / (1 + exp(-up[i])), silu = up[i] * s, slope = s * (1 + up[i] * (1 - s));
        const double by_gate = weights[W3] ? gate[i] : 1;
        up[i] = grad_hidden[i] * slope * by_gate; /* up and gate hold their gradients now */
        gate[i] = grad_hidden[i] * silu;
    }
    plain_linear_backward(grad_x, grads[W1], up, told, weights[W1], rows, d, d_ff);
    if (weights[W3])
        plain_linear_backward(grad_x, grads[W3], gate, told, weights[W3], rows, d, d_ff);
    free(up), free(gate), free(hidden), free(grad_hidden);
}

/* Copies (batch, seq, heads, d_k) to (batch, heads, seq, d_k), or back if join is true. */
static void exchange_heads(double *destination, const double *source, PlainSizes sizes, bool join)
{
    const size_t heads = sizes.config->num_heads, d_k = sizes.config->d_model / heads;
    for (size_t row = 0; row < rows_of(sizes); row++)
        for (size_t h = 0; h < heads; h++) {
            const size_t b = row / sizes.seq, t = row % sizes.seq;
            const size_t joined = (row * heads + h) * d_k, split = ((b * heads + h) * sizes.seq + t) * d_k;
            memcpy(destination + (join ? joined : split), source + (join ? split : joined), d_k * sizeof *source);
        }
}

/* Rotates (batch, heads, seq, d_k) by RoPE: forward by the sign 1, backward by -1. */
static void rotate(double *heads, PlainSizes sizes, int sign)
{
    const TransformerLMConfig *config = sizes.config;
    const size_t d_k = config->d_model / config->num_heads;
    if (config->position != POSITION_ROPE)
        return;
    for (size_t row = 0; row < rows_of(sizes) * config->num_heads; row++) {
        const int32_t position = sign * position_of(row, sizes);
        reference_rope(heads + row * d_k, heads + row * d_k, &position, 1, d_k, (double)config->rope_theta);
    }
}

/* Query, key and value, and in the backward pass their gradients: (batch, heads, seq, d_k) each. */
enum { QUERY, KEY, VALUE, PROJECTIONS };

static void project(double *const heads[PROJECTIONS], const double *x, double *const weights[], PlainSizes sizes)
{
    const size_t d = sizes.config->d_model;
    double *joined = doubles(plain_count(sizes));
    for (int i = 0; i < PROJECTIONS; i++) {
        reference_linear(joined, x, weights[Q_PROJ + i], rows_of(sizes), d, d);
        exchange_heads(heads[i], joined, sizes, false);
        if (i != VALUE)
            rotate(heads[i], sizes, 1);
    }
    free(joined);
}

void plain_attend_backward(double *grad_x, double *const grads[], const double *grad_y, const double *x,
                           const double *told, double *const weights[], PlainSizes sizes)
{
    const size_t count = plain_count(sizes), d = sizes.config->d_model, heads = sizes.config->num_heads;
    const AttentionSizes n = {sizes.batch * heads, sizes.seq, sizes.seq, d / heads, d / heads};
    double *p[PROJECTIONS], *grad_p[PROJECTIONS];
    double *attended = doubles(count), *joined = doubles(count), *grad_attended = doubles(count);
    bool *visible = zeroed(n.batch * n.queries * n.keys, sizeof *visible);
    for (int i = 0; i < PROJECTIONS; i++)
        p[i] = doubles(count), grad_p[i] = doubles(count);

    /* y = W_O attended */
    reference_causal(visible, n);
    project(p, x, weights, sizes);
    reference_attention(attended, NULL, p[QUERY], p[KEY], p[VALUE], visible, n);
    exchange_heads(joined, attended, sizes, true);
    plain_linear_backward(grad_attended, grads[OUTPUT_PROJ], grad_y, joined, weights[OUTPUT_PROJ], rows_of(sizes), d,
                          d);

    /* attended = attention(query, key, value) */
    exchange_heads(joined, grad_attended, sizes, false);
    reference_attention_backward((AttentionReference){.grad_query = grad_p[QUERY],
                                                      .grad_key = grad_p[KEY],
                                                      .grad_value = grad_p[VALUE],
                                                      .grad_output = joined,
                                                      .query = p[QUERY],
                                                      .key = p[KEY],
                                                      .value = p[VALUE],
                                                      .visible = visible},
                                 n);

    /* query = rope(W_Q x), key = rope(W_K x), value = W_V x */
    for (int i = 0; i < PROJECTIONS; i++) {
        if (i != VALUE)
            rotate(grad_p[i], sizes, -1);
        exchange_heads(joined, grad_p[i], sizes, true);
        plain_linear_backward(grad_x, grads[Q_PROJ + i], joined, told, weights[Q_PROJ + i], rows_of(sizes), d, d);
        free(p[i]), free(grad_p[i]);
    }
    free(attended), free(joined), free(grad_attended), free(visible);
}

/* ---- the layer ---- */

/* y = z + FFN(norm2(z)), z = x + MHA(norm1(x)) */
static void pre_norm_backward(double *grad, double *const grads[], const double *x, const double *told,
                              double *const weights[], PlainSizes sizes)
{
    const size_t count = plain_count(sizes);
    double *normed1 = doubles(count), *told1 = doubles(count), *z = doubles(count), *normed2 = doubles(count);
    double *grad_normed = doubles(count);
    plain_norm(normed1, x, weights[LN1], sizes);
    plain_norm(told1, told, weights[LN1], sizes);
    plain_attend(z, normed1, weights, sizes);
    plain_add(z, x, count);
    plain_norm(normed2, z, weights[LN2], sizes);

    plain_feed_backward(grad_normed, grads, grad, normed2, normed2, weights, sizes);
    plain_norm_backward(grad, grads[LN2], grad_normed, z, z, weights[LN2], sizes);
    memset(grad_normed, 0, count * sizeof *grad_normed);
    plain_attend_backward(grad_normed, grads, grad, normed1, told1, weights, sizes);
    plain_norm_backward(grad, grads[LN1], grad_normed, told, x, weights[LN1], sizes);
    free(normed1), free(told1), free(z), free(normed2), free(grad_normed);
}

/* y = norm2(sum2), sum2 = z + FFN(z), z = norm1(sum1), sum1 = x + MHA(x); or the same without norms. */
static void post_norm_or_none_backward(double *grad, double *const grads[], const double *x, const double *told,
                                       double *const weights[], PlainSizes sizes)
{
    const size_t count = plain_count(sizes), bytes = count * sizeof(double);
    const bool post = sizes.config->norm == NORM_POST;
    double *sum1 = doubles(count), *z = doubles(count), *sum2 = doubles(count), *grad_sum = doubles(count);
    plain_attend(sum1, x, weights, sizes);
    plain_add(sum1, x, count);
    memcpy(z, sum1, bytes);
    if (post)
        plain_norm(z, sum1, weights[LN1], sizes);
    plain_feed(sum2, z, weights, sizes);
    plain_add(sum2, z, count);

    if (post) {
        plain_norm_backward(grad_sum, grads[LN2], grad, sum2, sum2, weights[LN2], sizes);
        memcpy(grad, grad_sum, bytes);
    }
    memcpy(grad_sum, grad, bytes);
    plain_feed_backward(grad, grads, grad_sum, z, z, weights, sizes);
    if (post) {
        memset(grad_sum, 0, bytes);
        plain_norm_backward(grad_sum, grads[LN1], grad, sum1, sum1, weights[LN1], sizes);
        memcpy(grad, grad_sum, bytes);
    }
    memcpy(grad_sum, grad, bytes);
    plain_attend_backward(grad, grads, grad_sum, x, told, weights, sizes);
    free(sum1), free(z), free(sum2), free(grad_sum);
}

void plain_block_backward(double *grad, double *const grads[], const double *x, const double *told,
                          double *const weights[], PlainSizes sizes)
{
    if (sizes.config->norm == NORM_PRE)
        pre_norm_backward(grad, grads, x, told, weights, sizes);
    else
        post_norm_or_none_backward(grad, grads, x, told, weights, sizes);
}
