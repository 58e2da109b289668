/* The language model's logits and mistakes. */
#include "nn/transformer_lm.h"

#include "tests/exercises/checker/exercise.h"
#include "tests/exercises/checker/trial_model.h"
#include "tests/support/reference.h"
#include "tests/support/reference_layers.h"

#include <math.h>
#include <string.h>

enum {
    ONE_LAYER_TOO_FEW = 1,
    FIRST_LAYER_EVERY_TIME,
    LAYERS_IN_REVERSE,
    WITHOUT_FINAL_NORM,
    NORM_AFTER_EVERY_LAYER,
    TIED_HEAD,
    SOFTMAX_AT_THE_END,
    POSITIONS_IGNORED,
    EMBEDDINGS_SCALED,
};

static const Mistake MISTAKES[] = {
    {ONE_LAYER_TOO_FEW, "one_layer_too_few", "a model whose last layer does not run, or whose output is not read"},
    {FIRST_LAYER_EVERY_TIME, "first_layer_every_time", "a model that runs its first layer in place of each layer"},
    {LAYERS_IN_REVERSE, "layers_in_reverse", "a model that runs its layers from the last to the first"},
    {WITHOUT_FINAL_NORM, "without_final_norm", "a model without the final norm"},
    {NORM_AFTER_EVERY_LAYER, "norm_after_every_layer", "a model that applies the final norm after every layer"},
    {TIED_HEAD, "tied_head", "a model that multiplies by the embeddings in place of lm_head"},
    {SOFTMAX_AT_THE_END, "softmax_at_the_end", "a model that returns probabilities: the softmax of the logits"},
    {POSITIONS_IGNORED, "positions_ignored", "a model that passes no RoPE tables to its layers"},
    {EMBEDDINGS_SCALED, "embeddings_scaled",
     "a model that multiplies the embeddings by sqrt(d_model), as the first Transformer did"},
    {0},
};

/* x = layer_i(x) for each layer. `y` has room for a result. */
static void wrong_layers(double *x, double *y, double *const weights[], PlainSizes sizes, int mistake)
{
    const TransformerLMConfig *config = sizes.config;
    TransformerLMConfig in_layer = *config;
    if (mistake == POSITIONS_IGNORED)
        in_layer.position = POSITION_NONE;
    const size_t layers = config->num_layers - (mistake == ONE_LAYER_TOO_FEW);
    for (size_t k = 0; k < layers; k++) {
        const size_t i = mistake == LAYERS_IN_REVERSE ? layers - 1 - k : mistake == FIRST_LAYER_EVERY_TIME ? 0 : k;
        plain_block(y, x, weights + layer_weights(i), (PlainSizes){sizes.batch, sizes.seq, &in_layer, NULL});
        memcpy(x, y, plain_count(sizes) * sizeof *x);
        if (mistake == NORM_AFTER_EVERY_LAYER)
            plain_norm(x, x, weights[ln_final(config)], sizes);
    }
}

static void wrong_model(Trial *t, double *logits, double *const weights[], const int32_t *ids, PlainSizes sizes)
{
    const TransformerLMConfig *config = sizes.config;
    const size_t rows = sizes.batch * sizes.seq, d = config->d_model, count = plain_count(sizes);
    double *x = trial_memory(t, count * sizeof *x), *y = trial_memory(t, count * sizeof *y);
    for (size_t row = 0; row < rows; row++)
        memcpy(x + row * d, weights[EMBEDDINGS] + (size_t)ids[row] * d, d * sizeof *x);
    for (size_t i = 0; i < count && t->mistake == EMBEDDINGS_SCALED; i++)
        x[i] *= sqrt((double)d);
    wrong_layers(x, y, weights, sizes, t->mistake);
    if (t->mistake != WITHOUT_FINAL_NORM && t->mistake != NORM_AFTER_EVERY_LAYER)
        plain_norm(x, x, weights[ln_final(config)], sizes);
    reference_linear(logits, x, weights[t->mistake == TIED_HEAD ? EMBEDDINGS : lm_head(config)], rows, d,
                     config->vocab_size);
    if (t->mistake == SOFTMAX_AT_THE_END)
        reference_softmax(logits, logits, rows, config->vocab_size, 1);
}

static void answer(Trial *t, Tensor logits, const TrialModel *m, const int32_t *ids, size_t batch, size_t seq)
{
    const PlainSizes sizes = {batch, seq, &m->lm.config, NULL};
    if (t->mistake == 0 || m->lm.config.norm != NORM_PRE)
        plain_logits(trial_answer(t, logits), m->weights, ids, sizes);
    else
        wrong_model(t, trial_answer(t, logits), m->weights, ids, sizes);
}

/* ---- cases ---- */

static void by_hand(Trial *t)
{
    static const float HEAD[] = {1, 0, 0, 1, 1, 1};
    static const int32_t IDS[] = {0, 1, 2};
    const TokenTensor ids = trial_ids(t, "ids", IDS, 1, 3);
    const TrialModel *m = trial_toy_model(t, TRIAL_INPUT, HEAD);
    const TransformerLM *lm = &m->lm;
    const Tensor logits = trial_output(t, "logits", 1, 3, 3);
    Arena *scratch = trial_scratch(t);
    TRIAL_CALL(t, transformer_lm_forward(logits, lm, ids, scratch));
    answer(t, logits, m, IDS, 1, 3);
}

/* Logits and ids have the leading dimension batch, or none if it is 0. */
static void try_model(Trial *t, TransformerLMConfig config, size_t batch, size_t seq)
{
    const uint32_t vocab = (uint32_t)config.vocab_size;
    const TokenTensor ids =
        batch ? trial_random_ids(t, "ids", vocab, batch, seq) : trial_random_ids(t, "ids", vocab, seq);
    const Tensor logits = batch ? trial_output(t, "logits", batch, seq, config.vocab_size)
                                : trial_output(t, "logits", seq, config.vocab_size);
    t->gap = 0;
    const TrialModel *m = trial_model(t, &config, TRIAL_INPUT, NULL);
    const TransformerLM *lm = &m->lm;
    Arena *scratch = trial_scratch(t);
    TRIAL_CALL(t, transformer_lm_forward(logits, lm, ids, scratch));
    answer(t, logits, m, ids.data, batch ? batch : 1, seq);
}

static void course_sizes(Trial *t)
{
    try_model(t, trial_course_config(), 4, 12);
}

static void two_layers(Trial *t)
{
    try_model(t, trial_small_config(NORM_PRE, 2), 2, 12);
}

static void one_layer(Trial *t)
{
    try_model(t, trial_small_config(NORM_PRE, 1), 1, 3);
}

static void one_token(Trial *t)
{
    try_model(t, trial_small_config(NORM_PRE, 2), 2, 1);
}

static void one_sequence(Trial *t)
{
    try_model(t, trial_small_config(NORM_PRE, 2), 0, 5);
}

static void strides(Trial *t)
{
    t->gap = 3;
    try_model(t, trial_small_config(NORM_PRE, 2), 2, 3);
}

static void post_norm(Trial *t)
{
    TransformerLMConfig config = trial_small_config(NORM_PRE, 2);
    config.norm = NORM_POST;
    try_model(t, config, 2, 6);
}

static void no_norm(Trial *t)
{
    TransformerLMConfig config = trial_small_config(NORM_PRE, 2);
    config.norm = NORM_NONE;
    try_model(t, config, 2, 6);
}

static void no_positions(Trial *t)
{
    TransformerLMConfig config = trial_small_config(NORM_PRE, 2);
    config.position = POSITION_NONE;
    try_model(t, config, 2, 6);
}

static const Case CASES[] = {
    CASE("three tokens; the weights of the layer are zeros, so it passes x on", by_hand),
    CASE("the sizes of the course's test, a vocabulary of 100", course_sizes),
    CASE("two layers, as many tokens as the context has", two_layers),
    CASE("one layer, a short sequence", one_layer),
    CASE("a single token", one_token),
    CASE("ids (seq), without a batch", one_sequence),
    CASE("rows of logits that do not follow each other in memory", strides),
    {.what = "post-norm, an ablation", .run = post_norm, .optional = true},
    {.what = "no norms, an ablation", .run = no_norm, .optional = true},
    {.what = "no position embeddings, an ablation", .run = no_positions, .optional = true},
    {0},
};

const Exercise exercise_transformer_lm = {"transformer_lm", .rtol = 1e-4, .atol = 1e-5, .cases = CASES,
                                          .mistakes = MISTAKES};
