/*
 * The training loop and its mistakes. The answers are a training run in double precision, from the first batch to the
 * last weight: the model and its gradients are those of plain_model.h, which the cases of transformer_lm_loss compare
 * with central differences of the reference. From the library it takes the random numbers only.
 */
#include "tests/exercises/training.h"

#include "tests/exercises/checker/exercise.h"
#include "tests/exercises/checker/trial_model.h"
#include "tests/support/reference.h"

#include <math.h>
#include <string.h>

enum {
    CLEARED_BEFORE_THE_UPDATE = 1,
    GRADIENTS_NEVER_CLEARED,
    WITHOUT_CLIPPING,
    CONSTANT_RATE,
    RATE_OF_THE_STEP_BEFORE,
    EVERY_STEP_IS_THE_FIRST,
    LOSS_AFTER_THE_UPDATE,
    ONE_BATCH_FOR_ALL,
    NEVER_UPDATED,
    INPUTS_AS_TARGETS,
};

static const Mistake MISTAKES[] = {
    {CLEARED_BEFORE_THE_UPDATE, "cleared_before_the_update",
     "a training loop that clears the gradients between the backward pass and the update"},
    {GRADIENTS_NEVER_CLEARED, "gradients_never_cleared", "a training loop that never clears the gradients"},
    {WITHOUT_CLIPPING, "without_clipping",
     "a training loop that does not clip the gradients, or clips them only after the update"},
    {CONSTANT_RATE, "constant_rate", "a training loop whose learning rate is always the largest"},
    {RATE_OF_THE_STEP_BEFORE, "rate_of_the_step_before", "a training loop that takes the learning rate of step t - 1"},
    {EVERY_STEP_IS_THE_FIRST, "every_step_is_the_first",
     "a training loop that gives AdamW the step number 1 in every step"},
    {LOSS_AFTER_THE_UPDATE, "loss_after_the_update",
     "a training loop that measures the loss of a batch after the update"},
    {ONE_BATCH_FOR_ALL, "one_batch_for_all", "a training loop that draws one batch and trains on it in every step"},
    {NEVER_UPDATED, "never_updated", "a training loop that never updates the weights: adamw_step() does"},
    {INPUTS_AS_TARGETS, "targets_are_the_inputs", "a training loop that gives the inputs as targets"},
    {0},
};

enum { MOST_STEPS = 8, BATCH_TOKENS = 64 /* room for a batch */, TRAINING_SEED = 7 };

/* One run: what train_together() is given. */
typedef struct {
    TransformerLMConfig model;
    TrainTogetherConfig config;
    const int32_t *ids; /* the training data */
    size_t id_count;
    TrialModel *m;
} Problem;

/* ---- the run in double ---- */

typedef struct {
    size_t count;                /* of the weights */
    size_t sizes[MODEL_WEIGHTS]; /* numbers of each; 0: the model has no such weight */
    double *values[MODEL_WEIGHTS], *grads[MODEL_WEIGHTS], *first[MODEL_WEIGHTS], *second[MODEL_WEIGHTS];
    int32_t inputs[BATCH_TOKENS], targets[BATCH_TOKENS];
} PlainRun;

static PlainRun *plain_run(Trial *t, const Problem *p)
{
    PlainRun *run = trial_memory(t, sizeof *run);
    run->count = model_weights(&p->model);
    for (size_t i = 0; i < run->count; i++) {
        run->sizes[i] = p->m->names[i] ? tensor_count(p->m->values[i]) : 0;
        double *memory = run->sizes[i] ? trial_memory(t, 4 * run->sizes[i] * sizeof *memory) : NULL;
        if (!memory)
            continue;
        memcpy(memory, p->m->weights[i], run->sizes[i] * sizeof *memory);
        run->values[i] = memory, run->grads[i] = memory + run->sizes[i];
        run->first[i] = memory + 2 * run->sizes[i], run->second[i] = memory + 3 * run->sizes[i];
    }
    return run;
}

static void draw_batch(PlainRun *run, const Problem *p, Rng *rng)
{
    const size_t context = p->model.context_length;
    for (size_t row = 0; row < p->config.batch_size; row++) {
        const size_t start = (size_t)rng_below(rng, p->id_count - context);
        for (size_t i = 0; i < context; i++) {
            run->inputs[row * context + i] = p->ids[start + i];
            run->targets[row * context + i] = p->ids[start + i + 1];
        }
    }
}

static void clear_gradients(PlainRun *run)
{
    for (size_t i = 0; i < run->count; i++)
        if (run->grads[i])
            memset(run->grads[i], 0, run->sizes[i] * sizeof(double));
}

static void clip(PlainRun *run, double max_norm)
{
    double squares = 0;
    for (size_t i = 0; i < run->count; i++)
        squares += reference_dot(run->grads[i], run->grads[i], run->sizes[i]);
    const double norm = sqrt(squares);
    for (size_t i = 0; i < run->count; i++)
        for (size_t j = 0; j < run->sizes[i] && norm > max_norm; j++)
            run->grads[i][j] *= max_norm / (norm + 1e-6);
}

static double rate(const CosineSchedule *s, double t)
{
    const double warmup = (double)s->warmup_steps, end = (double)s->decay_steps;
    if (t < warmup)
        return t / warmup * s->max_lr;
    if (t > end)
        return s->min_lr;
    return s->min_lr + (1 + cos((t - warmup) / (end - warmup) * acos(-1))) / 2 * (s->max_lr - s->min_lr);
}

static void update(PlainRun *run, const AdamWConfig *c, double lr, double t)
{
    for (size_t i = 0; i < run->count; i++)
        for (size_t j = 0; j < run->sizes[i]; j++) {
            const double g = run->grads[i][j];
            double *value = &run->values[i][j], *m = &run->first[i][j], *v = &run->second[i][j];
            *m = c->beta1 * *m + (1 - c->beta1) * g;
            *v = c->beta2 * *v + (1 - c->beta2) * g * g;
            *value -= lr * c->weight_decay * *value;
            *value -= lr / (1 - pow(c->beta1, t)) * *m / (sqrt(*v / (1 - pow(c->beta2, t))) + c->eps);
        }
}

static void train(PlainRun *run, double *losses, const Problem *p, int mistake)
{
    const TrainTogetherConfig *c = &p->config;
    const PlainSizes sizes = {c->batch_size, p->model.context_length, &p->model, NULL};
    const LossMistake in_loss = mistake == INPUTS_AS_TARGETS ? TARGETS_ARE_THE_INPUTS : NO_MISTAKE;
    Rng rng = rng_seeded(TRAINING_SEED);
    for (size_t step = 1; step <= c->steps; step++) {
        const double t = (double)step;
        if (step == 1 || mistake != ONE_BATCH_FOR_ALL)
            draw_batch(run, p, &rng);
        if (mistake != GRADIENTS_NEVER_CLEARED)
            clear_gradients(run);
        losses[step - 1] = plain_loss(run->grads, run->values, run->inputs, run->targets, sizes, in_loss);
        if (mistake != WITHOUT_CLIPPING)
            clip(run, c->max_grad_norm);
        if (mistake == CLEARED_BEFORE_THE_UPDATE)
            clear_gradients(run);
        const double lr = mistake == CONSTANT_RATE             ? c->schedule.max_lr
                          : mistake == RATE_OF_THE_STEP_BEFORE ? rate(&c->schedule, t - 1)
                                                               : rate(&c->schedule, t);
        if (mistake != NEVER_UPDATED)
            update(run, &c->adamw, lr, mistake == EVERY_STEP_IS_THE_FIRST ? 1 : t);
        if (mistake == LOSS_AFTER_THE_UPDATE)
            losses[step - 1] = plain_loss(NULL, run->values, run->inputs, run->targets, sizes, NO_MISTAKE);
    }
}

/* ---- the call ---- */

/* The list of the trial's weights, with gradients and moments of zeros. */
static ParameterList list_parameters(Trial *t, TrialModel *m)
{
    ParameterList list = {trial_memory(t, MODEL_WEIGHTS * sizeof *list.items), 0};
    for (size_t i = 0; i < MODEL_WEIGHTS; i++) {
        const Tensor value = m->values[i];
        if (!m->names[i])
            continue;
        list.items[list.count++] = (Parameter){.name = m->names[i],
                                               .value = value,
                                               .grad = m->grads[i],
                                               .first_moment = trial_tensor_of(t, value.rank, value.shape),
                                               .second_moment = trial_tensor_of(t, value.rank, value.shape)};
    }
    return list;
}

/* Trains, and compares the losses and, if asked, all weights; else those of lm_head only. */
static void call(Trial *t, const Problem *p, bool all_weights)
{
    float *losses = trial_memory(t, MOST_STEPS * sizeof *losses);
    int32_t *inputs = trial_memory(t, p->config.batch_size * p->model.context_length * sizeof *inputs);
    int32_t *targets = trial_memory(t, p->config.batch_size * p->model.context_length * sizeof *targets);
    const TrainTogetherMemory memory = {&p->m->lm, &p->m->grad, list_parameters(t, p->m),
                                        inputs,    targets,     trial_scratch(t)};
    const TrainTogetherConfig config = p->config;
    const TokenFile data = token_file_view(p->ids, p->id_count, p->model.vocab_size);
    Rng rng = rng_seeded(TRAINING_SEED);
    TRIAL_CALL(t, train_together(losses, &memory, &data, &config, &rng));

    double yours[MOST_STEPS], right[MOST_STEPS] = {0};
    PlainRun *run = plain_run(t, p);
    train(run, right, p, t->mistake);
    for (size_t i = 0; i < p->config.steps; i++)
        yours[i] = (double)losses[i];
    trial_list(t, "losses", yours, p->config.steps, right, p->config.steps);
    for (size_t i = 0; i < run->count; i++)
        if (run->sizes[i] && (all_weights || i == lm_head(&p->model)))
            memcpy(trial_answer(t, p->m->values[i]), run->values[i], run->sizes[i] * sizeof(double));
}

/* ---- cases ---- */

/*
 * lm_head is zero, so the loss is ln 3, and only lm_head has a gradient: the first step of AdamW moves each of its
 * numbers by the learning rate. The weights of the layer are zeros, and stay zeros.
 */
static void by_hand(Trial *t)
{
    static const float ZEROS[6] = {0};
    static const int32_t IDS[] = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0};
    Problem p = {.config = {.steps = 1,
                            .batch_size = 1,
                            .schedule = {0.1, 0.1, 0, 1},
                            .adamw = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8},
                            .max_grad_norm = 1},
                 .ids = IDS,
                 .id_count = sizeof IDS / sizeof *IDS};
    trial_ids(t, "data", IDS, p.id_count);
    p.m = trial_toy_model(t, TRIAL_CHANGED, ZEROS);
    p.model = p.m->lm.config;
    trial_gradients(t, p.m, GRADIENTS_HIDDEN);
    call(t, &p, false);
}

enum { DATA_IDS = 60 };

static void small_run(Trial *t, double max_grad_norm, CosineSchedule schedule, size_t steps, double weight_decay)
{
    /* With a large eps, rounding errors of gradients that are almost 0 do not grow to whole updates. */
    Problem p = {.model = trial_small_config(NORM_PRE, 2),
                 .config = {.steps = steps,
                            .batch_size = 3,
                            .schedule = schedule,
                            .adamw = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-2, .weight_decay = weight_decay},
                            .max_grad_norm = max_grad_norm},
                 .id_count = DATA_IDS};
    p.ids = trial_random_ids(t, "data", (uint32_t)p.model.vocab_size, DATA_IDS).data;
    p.m = trial_model(t, &p.model, TRIAL_CHANGED, NULL);
    trial_gradients(t, p.m, GRADIENTS_HIDDEN);
    call(t, &p, true);
}

static void many_things(Trial *t)
{
    small_run(t, 0.5, (CosineSchedule){0.03, 0.003, 2, 5}, 6, 0.5);
}

static void gradients_below_the_norm(Trial *t)
{
    small_run(t, 1e9, (CosineSchedule){0.03, 0.003, 0, 4}, 4, 0);
}

static void one_step(Trial *t)
{
    small_run(t, 0.5, (CosineSchedule){0.03, 0.003, 0, 4}, 1, 0.1);
}

static void no_step(Trial *t)
{
    small_run(t, 0.5, (CosineSchedule){0.03, 0.003, 0, 4}, 0, 0.1);
}

static const Case CASES[] = {
    CASE("one step at the rate 0.1: the loss is ln 3, and each number of lm_head moves by 0.1", by_hand),
    CASE("six steps with warm-up, decay and clipping", many_things),
    CASE("gradients that are not clipped", gradients_below_the_norm),
    CASE("a single step", one_step),
    CASE("no step: nothing changes", no_step),
    {0},
};

const Exercise exercise_training_together = {"training_together", .rtol = 1e-4, .atol = 1e-5, .cases = CASES,
                                             .mistakes = MISTAKES};
