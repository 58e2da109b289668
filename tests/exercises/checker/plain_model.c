#include "tests/exercises/checker/plain_model.h"

#include "tests/support/reference.h"
#include "tests/support/reference_layers.h"
#include "tests/support/zeroed.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static double *doubles(size_t count)
{
    return zeroed(count, sizeof(double));
}

size_t layer_weights(size_t layer)
{
    return EMBEDDINGS + 1 + layer * LAYER_WEIGHTS;
}

size_t ln_final(const TransformerLMConfig *config)
{
    return layer_weights(config->num_layers);
}

size_t lm_head(const TransformerLMConfig *config)
{
    return ln_final(config) + 1;
}

size_t model_weights(const TransformerLMConfig *config)
{
    return lm_head(config) + 1;
}

/* ---- forward ---- */

/* What the backward pass reads: x[i] is the input of layer i, x[num_layers] the output of the last. */
typedef struct {
    size_t rows, d, vocab, count, layers;
    double *x[MODEL_LAYERS + 1], *normed, *logits, *grad_x;
} Passes;

static Passes passes_of(PlainSizes sizes)
{
    Passes p = {.rows = sizes.batch * sizes.seq,
                .d = sizes.config->d_model,
                .vocab = sizes.config->vocab_size,
                .count = plain_count(sizes),
                .layers = sizes.config->num_layers};
    for (size_t i = 0; i <= p.layers; i++)
        p.x[i] = doubles(p.count);
    p.normed = doubles(p.count);
    p.grad_x = doubles(p.count);
    p.logits = doubles(p.rows * p.vocab);
    return p;
}

static void free_passes(Passes *p)
{
    for (size_t i = 0; i <= p->layers; i++)
        free(p->x[i]);
    free(p->normed), free(p->grad_x), free(p->logits);
}

static void forward(Passes *p, double *const weights[], const int32_t *ids, PlainSizes sizes)
{
    for (size_t row = 0; row < p->rows; row++)
        memcpy(p->x[0] + row * p->d, weights[EMBEDDINGS] + (size_t)ids[row] * p->d, p->d * sizeof(double));
    for (size_t i = 0; i < p->layers; i++)
        plain_block(p->x[i + 1], p->x[i], weights + layer_weights(i), sizes);
    const double *gain = weights[ln_final(sizes.config)];
    memcpy(p->normed, p->x[p->layers], p->count * sizeof(double));
    if (gain)
        plain_norm(p->normed, p->x[p->layers], gain, sizes);
    reference_linear(p->logits, p->normed, weights[lm_head(sizes.config)], p->rows, p->d, p->vocab);
}

void plain_logits(double *logits, double *const weights[], const int32_t *ids, PlainSizes sizes)
{
    char text[MODEL_WEIGHTS][64];
    const char *names[MODEL_WEIGHTS];
    double *values[MODEL_WEIGHTS];
    const size_t count = model_weights(sizes.config);
    for (size_t i = 0; i < count; i++) {
        if (i == EMBEDDINGS)
            snprintf(text[i], sizeof text[i], "token_embeddings.weight");
        else if (i < ln_final(sizes.config))
            snprintf(text[i], sizeof text[i], "layers.%zu.%s", (i - 1) / LAYER_WEIGHTS,
                     plain_layer_names[(i - 1) % LAYER_WEIGHTS]);
        else
            snprintf(text[i], sizeof text[i], i == lm_head(sizes.config) ? "lm_head.weight" : "ln_final.weight");
        names[i] = text[i];
        values[i] = weights[i];
    }
    const ReferenceWeights named = {count, names, values};
    reference_transformer_lm(logits, ids, &named, sizes.batch, sizes.seq, sizes.config);
}

/* ---- backward ---- */

/* The logits are overwritten by their gradient: (softmax - one at the target) / rows. */
static void cross_entropy_backward_in_place(Passes *p, const int32_t *targets)
{
    reference_softmax(p->logits, p->logits, p->rows, p->vocab, 1);
    for (size_t row = 0; row < p->rows; row++)
        p->logits[row * p->vocab + (size_t)targets[row]] -= 1;
    for (size_t i = 0; i < p->rows * p->vocab; i++)
        p->logits[i] /= (double)p->rows;
}

static void layers_backward(double *const grads[], Passes *p, double *const weights[], PlainSizes sizes,
                            LossMistake mistake)
{
    for (size_t k = 0; k < p->layers; k++) {
        const size_t i = mistake == LAYERS_FROM_FIRST_TO_LAST ? k : p->layers - 1 - k;
        const double *told = mistake == LAYERS_READ_THEIR_OUTPUT ? p->x[i + 1] : p->x[i];
        if (i > 0 || mistake != FIRST_LAYER_LEFT_OUT)
            plain_block_backward(p->grad_x, grads + layer_weights(i), p->x[i], told, weights + layer_weights(i), sizes);
    }
}

static void backward(double *const grads[], Passes *p, double *const weights[], const int32_t *ids,
                     const int32_t *targets, PlainSizes sizes, LossMistake mistake)
{
    const size_t norm = ln_final(sizes.config), head = lm_head(sizes.config);
    const double *last = p->x[p->layers];
    cross_entropy_backward_in_place(p, targets);
    plain_linear_backward(p->grad_x, grads[head], p->logits, mistake == HEAD_READS_BEFORE_THE_NORM ? last : p->normed,
                          weights[head], p->rows, p->d, p->vocab);
    if (weights[norm] && mistake != FINAL_NORM_LEFT_OUT) {
        double *grad_normed = doubles(p->count);
        memcpy(grad_normed, p->grad_x, p->count * sizeof *grad_normed);
        memset(p->grad_x, 0, p->count * sizeof *p->grad_x);
        plain_norm_backward(p->grad_x, grads[norm], grad_normed, last, last, weights[norm], sizes);
        free(grad_normed);
    }
    layers_backward(grads, p, weights, sizes, mistake);
    if (mistake == EMBEDDINGS_LEFT_OUT || !grads[EMBEDDINGS])
        return;
    const int32_t *rows = mistake == EMBEDDINGS_OF_THE_TARGETS ? targets : ids;
    for (size_t row = 0; row < p->rows; row++)
        plain_add(grads[EMBEDDINGS] + (size_t)rows[row] * p->d, p->grad_x + row * p->d, p->d);
}

double plain_loss(double *const grads[], double *const weights[], const int32_t *ids, const int32_t *targets,
                  PlainSizes sizes, LossMistake mistake)
{
    Passes p = passes_of(sizes);
    if (mistake == TARGETS_ARE_THE_INPUTS)
        targets = ids;
    forward(&p, weights, ids, sizes);
    const double loss = reference_cross_entropy(p.logits, targets, p.rows, p.vocab);
    if (grads)
        backward(grads, &p, weights, ids, targets, sizes, mistake);
    free_passes(&p);
    return loss;
}
