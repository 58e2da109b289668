/* Training from scratch with the plain functions: schedule, batch, loss and gradients, clipping, AdamW. */
#define _POSIX_C_SOURCE 200809L
#include "data/batch.h"
#include "optim/clip.h"
#include "tests/exercises/story/calls.h"
#include "tests/exercises/story/story.h"
#include "train/trainer.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    CONTEXT_LENGTH = 64,
    BATCH_SIZE = 8,
    REPORTS = 10,    /* lines with a loss */
    TIMED_STEPS = 3, /* from whose time that of all steps is told */
    SECONDS = 120,   /* after which training stops, so that slow loops do not take longer */
};

static TrainerConfig configuration(size_t vocab_size, size_t steps)
{
    return (TrainerConfig){
        .model = {.vocab_size = vocab_size,
                  .context_length = CONTEXT_LENGTH,
                  .d_model = 32,
                  .num_layers = 1,
                  .num_heads = 2,
                  .d_ff = 96,
                  .rope_theta = 10000,
                  .norm_eps = 1e-5F},
        .batch_size = BATCH_SIZE,
        .steps = steps,
        .schedule = {.max_lr = 2e-2, .min_lr = 2e-3, .warmup_steps = steps / 20, .decay_steps = steps},
        .adamw = {.beta1 = 0.9, .beta2 = 0.98, .eps = 1e-8, .weight_decay = 0.1},
        .max_grad_norm = 1,
        .seed = 1,
        .log_every = 1,
    };
}

/* One step of training. The library's trainer_step() runs fused functions instead of the last three. */
static Status step_plainly(Trainer *t, float *loss)
{
    const size_t batch = t->config.batch_size, context = t->config.model.context_length, step = t->step + 1;
    AdamWConfig adamw = t->config.adamw;
    adamw.lr = cosine_schedule_lr(&t->config.schedule, step);
    Status s = get_batch(t->inputs, t->targets, t->train, batch, context, "cpu", &t->batches);
    if (!s)
        s = transformer_lm_loss(loss, &t->grad, &t->lm, tokens(t->inputs, batch, context),
                                tokens(t->targets, batch, context), NULL, &t->scratch);
    if (!s && !isfinite(*loss))
        s = status_fail(CS336_ERANGE, "step %zu: the loss is %g, expected a number", step, (double)*loss);
    if (!s)
        s = clip_gradients(NULL, t->parameters, t->config.max_grad_norm);
    if (!s)
        s = adamw_step(t->parameters, step, &adamw);
    if (!s)
        t->step = step;
    parameters_zero_grad(t->parameters);
    return s;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The file of the reference's losses has one line for each step. */
static Status open_losses(FILE **file, const Settings *settings, bool reference)
{
    const char *path = path_in(settings, "losses.txt");
    *file = fopen(path, reference ? "w" : "r");
    return *file ? CS336_OK : status_fail(CS336_EIO, "%s: cannot open: %s", path, strerror(errno));
}

/* What is told about the steps of the learner's functions, beside the reference's losses. */
typedef struct {
    double start, largest;       /* seconds; largest difference of the losses */
    size_t largest_step, parted; /* steps; parted: the first at which the losses differ by more than PARTED, or 0 */
} Progress;

static const double PARTED = 0.02; /* nats; the differences of rounding stay below, though training amplifies them */

static void report(Progress *p, size_t step, size_t steps, double loss, double reference_loss)
{
    const double difference = fabs(loss - reference_loss);
    if (difference > p->largest) {
        p->largest = difference;
        p->largest_step = step;
    }
    if (!p->parted && difference > PARTED)
        p->parted = step;
    if (step == TIMED_STEPS && steps > TIMED_STEPS)
        printf("%zu steps will take about %.0f s.\n\n%6s %12s %16s\n", steps,
               (seconds() - p->start) / TIMED_STEPS * (double)steps, "step", "your loss", "the reference's");
    if (step == steps || (step > TIMED_STEPS && step % (steps / REPORTS ? steps / REPORTS : 1) == 0))
        printf("%6zu %12.4f %16.4f\n", step, loss, reference_loss);
    fflush(stdout);
}

static Status train(Trainer *trainer, Progress *p, FILE *losses, bool reference)
{
    const size_t steps = trainer->config.steps;
    Status s = CS336_OK;
    *p = (Progress){.start = seconds(), .largest = -1};
    while (!s && trainer->step < steps && (reference || seconds() - p->start < SECONDS)) {
        float loss;
        double reference_loss;
        s = step_plainly(trainer, &loss);
        if (!s && reference)
            fprintf(losses, "%.7g\n", (double)loss);
        else if (!s && fscanf(losses, "%lf", &reference_loss) != 1)
            s = status_fail(CS336_EFORMAT, "losses.txt ends after %zu lines", trainer->step - 1);
        else if (!s)
            report(p, trainer->step, steps, (double)loss, reference_loss);
    }
    return s;
}

static void print_verdict(const Progress *p, size_t step, size_t steps)
{
    if (step < steps)
        printf("Training stopped after %zu of %zu steps: %d s have passed.\n", step, steps, SECONDS);
    if (p->parted)
        printf("\nThe losses part at step %zu, and differ by up to %.4f at step %zu.\n", p->parted, p->largest,
               p->largest_step);
    else
        printf("\nThe losses agree: they differ by at most %.1e in %zu steps, at step %zu.\n", p->largest, step,
               p->largest_step);
}

static Status tell(const Settings *settings, const Text *text, const Trainer *trainer, bool reference)
{
    Story story = {0}, theirs = {0};
    if (!reference)
        printf("\n== The story of your model\n");
    Status s = write_story(&story, &trainer->lm, text, settings);
    if (!s && reference)
        s = save_story(&story, path_in(settings, "trained.story"));
    else if (!s)
        s = load_story(&theirs, path_in(settings, "trained.story"));
    if (!s && !reference) {
        printf("\n== The story of the reference's model\n");
        print_story(&theirs, text, settings);
    }
    free_story(&story);
    free_story(&theirs);
    return s;
}

Status train_and_tell(const Settings *settings, const Text *text, bool reference)
{
    const size_t vocab_size = tokenizer_vocab_size(text->tokenizer);
    const TrainerConfig config = configuration(vocab_size, settings->steps);
    TokenFile data = {0};
    Trainer trainer = {0};
    Progress progress = {0};
    FILE *losses = NULL;
    Status s = open_losses(&losses, settings, reference);
    if (!s)
        s = token_file_open(&data, path_in(settings, "train.bin"), vocab_size);
    if (!s)
        s = trainer_init(&trainer, &config, &data, NULL);
    if (!s && !reference)
        printf("A model of %zu parameters, a batch of %d windows of %d tokens in each step.\n",
               transformer_lm_parameter_count(&config.model), BATCH_SIZE, CONTEXT_LENGTH);
    if (!s)
        s = train(&trainer, &progress, losses, reference);
    if (losses)
        fclose(losses);
    if (!s && !reference)
        print_verdict(&progress, trainer.step, settings->steps);
    if (!s)
        s = tell(settings, text, &trainer, reference);
    trainer_deinit(&trainer);
    token_file_close(&data);
    return s;
}
