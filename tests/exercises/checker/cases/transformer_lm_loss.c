/* The training loss and all gradients of the model, and mistakes. */
#include "nn/transformer_lm.h"

#include "tests/exercises/checker/exercise.h"
#include "tests/exercises/checker/trial_model.h"
#include "tests/support/reference.h"

#include <string.h>

/* The others are those of plain_model.h. */
enum { GRADIENTS_OVERWRITTEN = EMBEDDINGS_OF_THE_TARGETS + 1 };

static const Mistake MISTAKES[] = {
    {TARGETS_ARE_THE_INPUTS, "targets_are_the_inputs", "a loss whose targets are the inputs"},
    {HEAD_READS_BEFORE_THE_NORM, "head_reads_before_the_norm",
     "a backward pass that gives lm_head the output of the last layer as its input, in place of the norm's output"},
    {FINAL_NORM_LEFT_OUT, "final_norm_left_out", "a backward pass that leaves the final norm out"},
    {LAYERS_FROM_FIRST_TO_LAST, "layers_from_first_to_last",
     "a backward pass that takes the layers in the order of the forward pass"},
    {FIRST_LAYER_LEFT_OUT, "first_layer_left_out", "a backward pass whose loop ends before layer 0"},
    {LAYERS_READ_THEIR_OUTPUT, "layers_read_their_output",
     "a backward pass that gives each layer its output x_{i+1} in place of its input x_i"},
    {EMBEDDINGS_LEFT_OUT, "embeddings_left_out", "a backward pass that ends before the embeddings"},
    {EMBEDDINGS_OF_THE_TARGETS, "embeddings_of_the_targets",
     "a backward pass that adds the gradient of the embeddings to the rows of the targets"},
    {GRADIENTS_OVERWRITTEN, "gradients_overwritten",
     "a backward pass that clears the gradients first; it must add to those of its caller"},
    {0},
};

/* One call. */
typedef struct {
    TransformerLMConfig config;
    TokenTensor ids, targets;
    TrialModel *m;
    bool without_grad; /* only the loss is asked for */
} Problem;

static PlainSizes sizes_of(const Problem *p)
{
    return (PlainSizes){p->ids.shape[0], p->ids.shape[1], &p->config, NULL};
}

static void call(Trial *t, const Problem *p, const GradientObserver *observer, float *result)
{
    const TokenTensor ids = p->ids, targets = p->targets;
    const TransformerLM *lm = &p->m->lm;
    TransformerLM *grad = p->without_grad ? NULL : &p->m->grad;
    Arena *scratch = trial_scratch(t);
    float loss = 0;
    /* As much as the learner's other function asks for, if that is written. */
    if (trial_calls(t)) {
        const size_t bytes = transformer_lm_loss_scratch(lm, ids.shape[0], ids.shape[1], grad != NULL);
        scratch->capacity = bytes < scratch->capacity ? bytes : scratch->capacity;
    }
    TRIAL_CALL(t, transformer_lm_loss(&loss, grad, lm, ids, targets, observer, scratch));
    *result = loss;
}

static void answer(Trial *t, const Problem *p, float loss)
{
    double **grads = p->without_grad ? NULL : trial_gradient_answers(t, p->m);
    for (size_t i = 0; grads && i < MODEL_WEIGHTS; i++)
        if (grads[i] && t->mistake == GRADIENTS_OVERWRITTEN)
            memset(grads[i], 0, tensor_count(p->m->grads[i]) * sizeof *grads[i]);
    const LossMistake mistake = t->mistake == GRADIENTS_OVERWRITTEN ? NO_MISTAKE : (LossMistake)t->mistake;
    trial_number(t, "loss", (double)loss,
                 plain_loss(grads, p->m->weights, p->ids.data, p->targets.data, sizes_of(p), mistake));
}

/* ---- cases ---- */

/* The weights of the layer are zeros, so it passes x on, and its gradients are zeros. */
static void by_hand(Trial *t)
{
    static const float HEAD[] = {1, 0, 0, 1, 1, 1};
    static const int32_t IDS[] = {0, 1}, TARGETS[] = {1, 2};
    Problem p = {.without_grad = false};
    p.ids = trial_ids(t, "ids", IDS, 1, 2);
    p.targets = trial_ids(t, "targets", TARGETS, 1, 2);
    p.m = trial_toy_model(t, TRIAL_INPUT, HEAD);
    p.config = p.m->lm.config;
    trial_gradients(t, p.m, GRADIENTS_ZERO);
    float loss;
    call(t, &p, NULL, &loss);
    answer(t, &p, loss);
}

static Problem random_problem(Trial *t, NormPlacement norm, size_t layers, size_t batch, size_t seq)
{
    Problem p = {.config = trial_small_config(norm, layers)};
    const uint32_t vocab = (uint32_t)p.config.vocab_size;
    p.ids = trial_random_ids(t, "ids", vocab, batch, seq);
    p.targets = trial_random_ids(t, "targets", vocab, batch, seq);
    p.m = trial_model(t, &p.config, TRIAL_INPUT, NULL);
    return p;
}

static void try_model(Trial *t, NormPlacement norm, size_t layers, size_t batch, size_t seq)
{
    Problem p = random_problem(t, norm, layers, batch, seq);
    trial_gradients(t, p.m, GRADIENTS_RANDOM);
    float loss;
    call(t, &p, NULL, &loss);
    answer(t, &p, loss);
}

static void two_layers(Trial *t)
{
    try_model(t, NORM_PRE, 2, 2, 5);
}

static void three_layers(Trial *t)
{
    try_model(t, NORM_PRE, 3, 1, 4);
}

static void one_token(Trial *t)
{
    try_model(t, NORM_PRE, 1, 1, 1);
}

static void post_norm(Trial *t)
{
    try_model(t, NORM_POST, 2, 2, 5);
}

static void no_norm(Trial *t)
{
    try_model(t, NORM_NONE, 2, 2, 5);
}

static void loss_alone(Trial *t)
{
    Problem p = random_problem(t, NORM_PRE, 2, 2, 5);
    p.without_grad = true;
    float loss;
    call(t, &p, NULL, &loss);
    answer(t, &p, loss);
}

/* ---- differences of the reference ---- */

typedef struct {
    const Problem *problem;
    double *logits;
} LossOfReference;

static double loss_of_reference(void *context)
{
    const LossOfReference *l = context;
    const Problem *p = l->problem;
    const PlainSizes sizes = sizes_of(p);
    plain_logits(l->logits, p->m->weights, p->ids.data, sizes);
    return reference_cross_entropy(l->logits, p->targets.data, sizes.batch * sizes.seq, p->config.vocab_size);
}

/* The right gradients are central differences of the reference, and do not depend on any chain rule. */
static void central_differences(Trial *t)
{
    const double STEP = 1e-4;
    Problem p = random_problem(t, NORM_PRE, 2, 1, 4);
    trial_gradients(t, p.m, GRADIENTS_ZERO);
    float loss;
    call(t, &p, NULL, &loss);
    answer(t, &p, loss);
    if (t->mistake || t->calls)
        return;
    LossOfReference context = {&p, trial_memory(t, 4 * p.config.vocab_size * sizeof(double))};
    double **grads = trial_gradient_answers(t, p.m);
    for (size_t i = 0; i < MODEL_WEIGHTS; i++)
        if (grads[i])
            central_difference(grads[i], p.m->weights[i], tensor_count(p.m->values[i]), STEP, loss_of_reference,
                               &context);
}

/* ---- the observer ---- */

typedef struct {
    const TrialModel *m;
    double order[MODEL_WEIGHTS];
    size_t count;
} Order;

static void note(void *context, Tensor grad)
{
    Order *o = context;
    for (size_t i = 0; i < MODEL_WEIGHTS && o->count < MODEL_WEIGHTS; i++)
        if (o->m->grads[i].data && o->m->grads[i].data == grad.data)
            o->order[o->count++] = (double)i;
}

static void observer_is_called(Trial *t)
{
    Problem p = random_problem(t, NORM_PRE, 2, 1, 4);
    trial_gradients(t, p.m, GRADIENTS_ZERO);
    Order yours = {.m = p.m};
    const GradientObserver observer = {.ready = note, .context = &yours};
    float loss;
    call(t, &p, &observer, &loss);
    answer(t, &p, loss);
    double right[MODEL_WEIGHTS];
    const size_t count = model_weights(&p.config);
    for (size_t i = 0; i < count; i++)
        right[i] = (double)(count - 1 - i);
    trial_list(t, "order of the gradients", yours.order, yours.count, right, count);
}

static const Case CASES[] = {
    CASE("two tokens; the weights of the layer are zeros, so it passes x on", by_hand),
    CASE("two layers, gradients that are added to", two_layers),
    CASE("three layers", three_layers),
    CASE("central differences of the loss", central_differences),
    CASE("a single token", one_token),
    CASE("the loss alone: grad is NULL", loss_alone),
    {.what = "post-norm, an ablation", .run = post_norm, .optional = true},
    {.what = "no norms, an ablation", .run = no_norm, .optional = true},
    {.what = "the observer, from the last parameter to the first", .run = observer_is_called, .optional = true},
    {0},
};

const Exercise exercise_transformer_lm_loss = {"transformer_lm_loss", .rtol = 1e-4, .atol = 1e-5, .cases = CASES,
                                               .mistakes = MISTAKES};
