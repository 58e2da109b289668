/* Training from scratch with train_together(), the loop of the plain functions. */
#define _POSIX_C_SOURCE 200809L
#include "core/memory.h"
#include "tests/exercises/story/calls.h"
#include "tests/exercises/story/story.h"
#include "tests/exercises/training.h"
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
        .keep_gradients = true,
    };
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

/* The steps that are done. The training loop does not know of this, so it is a variable of the file. */
static struct {
    bool reference; /* the losses are written to the file, else they are compared with those of the file */
    FILE *losses;
    size_t step, steps;
    size_t minutes;      /* after which training stops, so that slow loops do not take longer */
    bool stopped;        /* this time has passed */
    double start;        /* seconds */
    double largest;      /* difference of two losses */
    size_t largest_step; /* where it is */
    size_t parted;       /* the first step at which the losses differ by more than PARTED, or 0 */
} progress;

static const double PARTED = 0.02; /* nats; training amplifies the differences of rounding, to about 1e-6 here */

static void report(double loss, double reference_loss)
{
    const size_t step = progress.step, steps = progress.steps, between = steps / REPORTS ? steps / REPORTS : 1;
    const double difference = fabs(loss - reference_loss);
    if (difference > progress.largest) {
        progress.largest = difference;
        progress.largest_step = step;
    }
    if (!progress.parted && difference > PARTED)
        progress.parted = step;
    if (step == TIMED_STEPS)
        printf("%zu steps will take about %.0f s.\n\n%6s %12s %16s\n", steps,
               (seconds() - progress.start) / (TIMED_STEPS - 1) * (double)steps, "step", "your loss",
               "the reference's");
    if (step == steps || (step > TIMED_STEPS && step % between == 0))
        printf("%6zu %12.4f %16.4f\n", step, loss, reference_loss);
    fflush(stdout);
}

/* Each step of the training loop calls this function in place of transformer_lm_loss(): story.mk renames the call. */
Status followed_transformer_lm_loss(float *loss, TransformerLM *grad, const TransformerLM *lm, TokenTensor ids,
                                    TokenTensor targets, const GradientObserver *observer, Arena *scratch);

Status followed_transformer_lm_loss(float *loss, TransformerLM *grad, const TransformerLM *lm, TokenTensor ids,
                                    TokenTensor targets, const GradientObserver *observer, Arena *scratch)
{
    double reference_loss;
    if (!progress.reference && seconds() - progress.start > 60 * (double)progress.minutes)
        progress.stopped = true;
    if (progress.stopped)
        return status_fail(CS336_EINTERRUPTED, "%zu minutes have passed", progress.minutes);
    Status s = transformer_lm_loss(loss, grad, lm, ids, targets, observer, scratch);
    if (s)
        return s;
    if (!isfinite(*loss))
        return status_fail(CS336_ERANGE, "step %zu: the loss is %g, expected a number", progress.step + 1,
                           (double)*loss);
    /* The first step also waits for memory, so it is not timed. */
    if (progress.step++ == 0)
        progress.start = seconds();
    if (progress.reference)
        fprintf(progress.losses, "%.7g\n", (double)*loss);
    else if (fscanf(progress.losses, "%lf", &reference_loss) == 1)
        report((double)*loss, reference_loss);
    return CS336_OK;
}

/* Trains by train_together(). The library's Trainer gives the memory, the initial weights and the generator.
 * It keeps the gradients, so that transformer_lm_loss() can add to them. */
static Status train(Trainer *t)
{
    const TrainTogetherMemory memory = {.lm = &t->lm,
                                        .grad = &t->grad,
                                        .parameters = t->parameters,
                                        .inputs = t->inputs,
                                        .targets = t->targets,
                                        .scratch = &t->scratch};
    const TrainTogetherConfig config = {.steps = t->config.steps,
                                        .batch_size = t->config.batch_size,
                                        .schedule = t->config.schedule,
                                        .adamw = t->config.adamw,
                                        .max_grad_norm = t->config.max_grad_norm};
    float *losses = memory_allocate_zeroed(config.steps, sizeof *losses);
    if (!losses)
        return status_fail(CS336_ENOMEM, "no memory for %zu losses", config.steps);
    progress.start = seconds();
    const Status s = train_together(losses, &memory, t->train, &config, &t->batches);
    memory_release(losses);
    if (progress.stopped)
        return CS336_OK;
    if (!s && progress.step != progress.steps)
        return status_fail(CS336_ERANGE, "train_together: transformer_lm_loss() was called %zu times, expected %zu",
                           progress.step, progress.steps);
    return s;
}

static void print_verdict(void)
{
    if (progress.stopped)
        printf("Training ended after %zu of %zu steps, at its time limit. MINUTES=%zu gives it more time than %zu.\n",
               progress.step, progress.steps, 5 * progress.minutes, progress.minutes);
    if (progress.parted)
        printf("\nThe losses part at step %zu, and differ by up to %.4f at step %zu.\n", progress.parted,
               progress.largest, progress.largest_step);
    else
        printf("\nThe losses agree: they differ by at most %.1e in %zu steps, at step %zu.\n", progress.largest,
               progress.step, progress.largest_step);
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
    progress.reference = reference;
    progress.steps = settings->steps;
    progress.minutes = settings->minutes;
    Status s = open_losses(&progress.losses, settings, reference);
    if (!s)
        s = token_file_open(&data, path_in(settings, "train.bin"), vocab_size);
    if (!s)
        s = trainer_init(&trainer, &config, &data, NULL);
    if (!s && !reference)
        printf("A model of %zu parameters, a batch of %d windows of %d tokens in each step.\n",
               transformer_lm_parameter_count(&config.model), BATCH_SIZE, CONTEXT_LENGTH);
    if (!s)
        s = train(&trainer);
    if (progress.losses)
        fclose(progress.losses);
    if (!s && !reference)
        print_verdict();
    if (!s)
        s = tell(settings, text, &trainer, reference);
    trainer_deinit(&trainer);
    token_file_close(&data);
    return s;
}
