#include "tests/exercises/checker/trial_model.h"

#include "tests/support/hash_weights.h"
#include "tests/support/reference.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 64, SEED = 336 };

static const double GRADIENT_SIGMA = 0.1; /* of the random numbers to which gradients are added */

/* The view in a layer, and the shape of a weight. Returns the rank, 0 if the configuration has no such weight. */
static int in_layer(Tensor **view, const char **name, size_t shape[2], TransformerBlock *layer, size_t weight,
                    const TransformerLMConfig *config)
{
    Tensor *const views[LAYER_WEIGHTS] = {
        [Q_PROJ] = &layer->attn.q_proj.weight,
        [K_PROJ] = &layer->attn.k_proj.weight,
        [V_PROJ] = &layer->attn.v_proj.weight,
        [OUTPUT_PROJ] = &layer->attn.output_proj.weight,
        [LN1] = &layer->ln1.weight,
        [LN2] = &layer->ln2.weight,
        [W1] = &layer->ffn.w1.weight,
        [W3] = &layer->ffn.w3.weight,
        [W2] = &layer->ffn.w2.weight,
    };
    static const char *const NAMES[LAYER_WEIGHTS] = {
        [Q_PROJ] = "attn.q_proj",
        [K_PROJ] = "attn.k_proj",
        [V_PROJ] = "attn.v_proj",
        [OUTPUT_PROJ] = "attn.output_proj",
        [LN1] = "ln1",
        [LN2] = "ln2",
        [W1] = "ffn.w1",
        [W3] = "ffn.w3",
        [W2] = "ffn.w2",
    };
    const bool gain = weight == LN1 || weight == LN2;
    *view = views[weight];
    *name = NAMES[weight];
    shape[0] = weight == W1 || weight == W3 ? config->d_ff : config->d_model;
    shape[1] = weight == W2 ? config->d_ff : config->d_model;
    if ((gain && config->norm == NORM_NONE) || (weight == W3 && config->ffn == FFN_SILU))
        return 0;
    return gain ? 1 : 2;
}

/* The same for weight i of a whole model. */
static int in_model(Tensor **view, char name[NAME_BYTES], size_t shape[2], TransformerLM *lm, size_t i,
                    const TransformerLMConfig *config)
{
    shape[0] = config->vocab_size, shape[1] = config->d_model;
    if (i == EMBEDDINGS) {
        *view = &lm->token_embeddings.weight;
        snprintf(name, NAME_BYTES, "token_embeddings");
        return 2;
    }
    if (i == lm_head(config)) {
        *view = &lm->lm_head.weight;
        snprintf(name, NAME_BYTES, "lm_head");
        return 2;
    }
    if (i == ln_final(config)) {
        *view = &lm->ln_final.weight;
        snprintf(name, NAME_BYTES, "ln_final");
        shape[0] = config->d_model;
        return config->norm == NORM_NONE ? 0 : 1;
    }
    const size_t layer = (i - layer_weights(0)) / LAYER_WEIGHTS;
    const char *short_name;
    const int rank =
        in_layer(view, &short_name, shape, &lm->layers[layer], (i - layer_weights(0)) % LAYER_WEIGHTS, config);
    snprintf(name, NAME_BYTES, "layers[%zu].%s", layer, short_name);
    return rank;
}

/* Tables as rope_bind() makes them. */
static RoPE rope_tables(Trial *t, const TransformerLMConfig *config)
{
    const size_t pairs = config->d_model / config->num_heads / 2;
    const RoPE rope = {trial_tensor(t, config->context_length, pairs), trial_tensor(t, config->context_length, pairs)};
    for (size_t i = 0; i < config->context_length * pairs; i++) {
        const double turn = pow((double)config->rope_theta, -(double)(i % pairs) / (double)pairs);
        rope.cosine.data[i] = (float)cos((double)(i / pairs) * turn);
        rope.sine.data[i] = (float)sin((double)(i / pairs) * turn);
    }
    return rope;
}

static TransformerLM without_weights(TransformerBlock *layers, const TransformerLMConfig *config)
{
    TransformerLM lm = {.config = *config, .layers = layers, .ln_final.eps = config->norm_eps};
    for (size_t i = 0; i < config->num_layers; i++) {
        layers[i].norm = config->norm;
        layers[i].attn.num_heads = config->num_heads;
        layers[i].ln1.eps = layers[i].ln2.eps = config->norm_eps;
    }
    return lm;
}

/* The name is the array's; a layer alone has no "layers[0]." in front. */
static const char *keep_name(Trial *t, const char *before, const char *name, bool layer_only)
{
    const char *dot = layer_only ? strchr(name, '.') : NULL;
    const size_t size = NAME_BYTES + strlen(before);
    char *kept = trial_memory(t, size);
    snprintf(kept, size, "%s%s", before, dot ? dot + 1 : name);
    return kept;
}

static TrialModel *make(Trial *t, const TransformerLMConfig *config, TrialRole role, const float *const *numbers,
                        bool layer_only)
{
    TrialModel *m = trial_memory(t, sizeof *m);
    m->lm = without_weights(m->layers, config);
    m->grad = without_weights(m->layers + MODEL_LAYERS, config);
    m->lm.rope = config->position == POSITION_ROPE ? rope_tables(t, config) : (RoPE){0};
    const size_t first = layer_only ? layer_weights(0) : EMBEDDINGS;
    const size_t end = layer_only ? layer_weights(1) : model_weights(config);
    for (size_t i = first; i < end; i++) {
        Tensor *view;
        char name[NAME_BYTES];
        size_t shape[2];
        const int rank = in_model(&view, name, shape, &m->lm, i, config);
        if (rank == 0)
            continue;
        m->names[i] = keep_name(t, "", name, layer_only);
        m->names[i] = keep_name(t, "", name, layer_only);
        m->shown[i] = !numbers || numbers[i - first];
        const Tensor plain = trial_tensor_of(t, rank, shape);
        if (!numbers)
            hash_weights(plain, name, SEED);
        const float *given = numbers ? numbers[i - first] : plain.data;
        m->values[i] = !m->shown[i]            ? plain
                       : role == TRIAL_CHANGED ? trial_changed_of(t, m->names[i], given, rank, shape)
                                               : trial_input_of(t, m->names[i], given, rank, shape);
        m->weights[i] = trial_memory(t, tensor_count(plain) * sizeof *m->weights[i]);
        reference_widen(m->weights[i], m->values[i]);
        *view = m->values[i];
    }
    return m;
}

TrialModel *trial_model(Trial *t, const TransformerLMConfig *config, TrialRole role, const float *const *numbers)
{
    return make(t, config, role, numbers, false);
}

TrialModel *trial_layer(Trial *t, const TransformerLMConfig *config, const float *const *numbers)
{
    return make(t, config, TRIAL_INPUT, numbers, true);
}

TrialModel *trial_toy_layer(Trial *t)
{
    static const float ONES[] = {1, 1}, IDENTITY[] = {1, 0, 0, 1}, HALF[] = {0.5F, 0, 0, 0.5F};
    static const float PLUS_MINUS[] = {1, 0, 0, 1, -1, 0, 0, -1}, MINUS_PLUS[] = {-1, 0, 1, 0, 0, -1, 0, 1};
    static const float *const NUMBERS[LAYER_WEIGHTS] = {
        [V_PROJ] = IDENTITY, [OUTPUT_PROJ] = HALF, [LN1] = ONES, [LN2] = ONES, [W1] = PLUS_MINUS, [W2] = MINUS_PLUS};
    const TransformerLMConfig config = {.num_layers = 1,
                                        .d_model = 2,
                                        .num_heads = 1,
                                        .d_ff = 4,
                                        .norm_eps = 1e-5F,
                                        .position = POSITION_NONE,
                                        .ffn = FFN_SILU};
    return trial_layer(t, &config, NUMBERS);
}

TrialModel *trial_toy_model(Trial *t, TrialRole role, const float *head)
{
    static const float TABLE[] = {3, 4, 4, -3, 0, 2}, ONES[] = {1, 1};
    const TransformerLMConfig config = {.vocab_size = 3,
                                        .context_length = 3,
                                        .num_layers = 1,
                                        .d_model = 2,
                                        .num_heads = 1,
                                        .d_ff = 1,
                                        .norm_eps = 1e-5F,
                                        .position = POSITION_NONE,
                                        .ffn = FFN_SILU};
    const float *numbers[MODEL_WEIGHTS] = {[EMBEDDINGS] = TABLE};
    numbers[ln_final(&config)] = ONES;
    numbers[lm_head(&config)] = head;
    return trial_model(t, &config, role, numbers);
}

TransformerLMConfig trial_small_config(NormPlacement norm, size_t num_layers)
{
    return (TransformerLMConfig){.vocab_size = 7,
                                 .context_length = 12,
                                 .d_model = 8,
                                 .num_layers = num_layers,
                                 .num_heads = 2,
                                 .d_ff = 12,
                                 .rope_theta = 1e4F,
                                 .norm_eps = 1e-5F,
                                 .norm = norm};
}

TransformerLMConfig trial_course_config(void)
{
    return (TransformerLMConfig){.vocab_size = 100,
                                 .context_length = 16,
                                 .d_model = 64,
                                 .num_layers = 3,
                                 .num_heads = 4,
                                 .d_ff = 128,
                                 .rope_theta = 1e4F,
                                 .norm_eps = 1e-5F};
}

void trial_gradients(Trial *t, TrialModel *m, TrialGradients gradients)
{
    for (size_t i = 0; i < MODEL_WEIGHTS; i++) {
        const Tensor value = m->values[i];
        if (!m->names[i])
            continue;
        Tensor *view;
        char name[NAME_BYTES];
        size_t shape[2];
        in_model(&view, name, shape, &m->grad, i, &m->grad.config);
        const char *grad_name = keep_name(t, "grad ", m->names[i], false);
        m->compared[i] = m->shown[i] && gradients != GRADIENTS_HIDDEN;
        if (!m->compared[i])
            m->grads[i] = trial_tensor_of(t, value.rank, value.shape);
        else if (gradients == GRADIENTS_ZERO)
            m->grads[i] = trial_changed_of(t, grad_name, NULL, value.rank, value.shape);
        else
            m->grads[i] = trial_changed_random_of(t, grad_name, GRADIENT_SIGMA, value.rank, value.shape);
        *view = m->grads[i];
    }
}

double **trial_gradient_answers(Trial *t, const TrialModel *m)
{
    double **answers = trial_memory(t, MODEL_WEIGHTS * sizeof *answers);
    for (size_t i = 0; i < MODEL_WEIGHTS; i++) {
        if (!m->compared[i])
            continue;
        answers[i] = trial_answer(t, m->grads[i]);
        memcpy(answers[i], trial_doubles(t, m->grads[i]), tensor_count(m->grads[i]) * sizeof **answers);
    }
    return answers;
}
