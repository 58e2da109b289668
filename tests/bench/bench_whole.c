/*
 * Times what a run does besides its steps, for a model of GPT-2's size: 162 million parameters, 3.7 GB of memory, and
 * checkpoints of 1.9 GB. Beside it stands what the machine needs for the same bytes without our code.
 */
#define _XOPEN_SOURCE 700
#include "core/file.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "kernels/normal.h"
#include "tests/bench/bench.h"
#include "tests/bench/work.h"
#include "train/trainer_checkpoint.h"
#include "train/training_run.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    STEPS = 4,           /* of the run whose parts are timed */
    TEXT_TOKENS = 20000, /* of its training text */
    MEBIBYTE = 1 << 20
};

static const TrainerConfig gpt2 = {.model = {.vocab_size = 50257,
                                             .context_length = 1024,
                                             .d_model = 768,
                                             .num_layers = 12,
                                             .num_heads = 12,
                                             .d_ff = 2048,
                                             .rope_theta = 1e4F,
                                             .norm_eps = 1e-5F},
                                   .batch_size = 2,
                                   .steps = STEPS,
                                   .schedule = {.max_lr = 1e-4, .min_lr = 1e-5, .decay_steps = STEPS},
                                   .adamw = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1},
                                   .max_grad_norm = 1,
                                   .log_every = 1};

/* One trainer at a time, and what its times are compared with. */
typedef struct {
    int32_t *text;
    TokenFile tokens;
    Trainer trainer;
    size_t parameters;
    BenchDirectory directory;
    char checkpoint[256], other[256]; /* paths in the directory: the checkpoint, and the file of the same size */
    float *numbers;                   /* as many as parameters */
} Whole;

static double result(Status s, double start)
{
    const double seconds = bench_now() - start;
    return s ? bench_failed("%s", status_message()) : seconds;
}

/* ---- the start ---- */

/* What happens in `cs336 train` before its first step. The memory is fresh each time. */
static double start_run(void *context)
{
    Whole *whole = context;
    trainer_deinit(&whole->trainer);
    const double start = bench_now();
    return result(trainer_init(&whole->trainer, &gpt2, &whole->tokens, NULL), start);
}

/* Writes to each page of fresh memory, as much as the weights need, by all threads. */
static double touch_memory(void *context)
{
    enum { PAGE = 4096 };
    const Whole *whole = context;
    const size_t bytes = whole->parameters * sizeof(float);
    const double start = bench_now();
    unsigned char *memory = memory_allocate_zeroed(bytes, 1);
    if (!memory)
        return bench_failed("no memory for %zu bytes", bytes);
    memory_ask_for_huge_pages(memory);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < bytes; i += PAGE)
        *(volatile unsigned char *)(memory + i) = 1;
    const double seconds = bench_now() - start;
    memory_release(memory);
    return seconds;
}

static double draw_weights(void *context)
{
    const Whole *whole = context;
    Rng rng = rng_seeded(1);
    const double start = bench_now();
    normal_truncated(&rng, whole->numbers, whole->parameters, 0.02, 3);
    return bench_now() - start;
}

static double draw_one_by_one(void *context)
{
    const Whole *whole = context;
    Rng rng = rng_seeded(1);
    const double start = bench_now();
    rng_truncated_normal(&rng, whole->numbers, whole->parameters, 0.02, 3);
    return bench_now() - start;
}

/* ---- saving and loading ---- */

static double save(void *context)
{
    Whole *whole = context;
    const double start = bench_now();
    return result(trainer_save(&whole->trainer, whole->checkpoint), start);
}

/*
 * Writes the same weights and moments straight from memory, waits until the disk has them, and replaces the file of the
 * turn before.
 */
static double write_file(void *context)
{
    const Whole *whole = context;
    const size_t bytes = 3 * whole->parameters * sizeof(float);
    char temporary[sizeof whole->other + sizeof ".tmp"];
    snprintf(temporary, sizeof temporary, "%s.tmp", whole->other);
    const double start = bench_now();
    const int file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    bool written = file >= 0;
    for (size_t done = 0; written && done < bytes; done += MEBIBYTE) {
        const size_t left = bytes - done, count = left < MEBIBYTE ? left : MEBIBYTE;
        written = write(file, whole->trainer.memory.base + done, count) == (ssize_t)count;
    }
    written = written && fsync(file) == 0 && rename(temporary, whole->other) == 0;
    if (file >= 0)
        close(file);
    return written ? bench_now() - start : bench_failed("%s: cannot write", whole->other);
}

static double load(void *context)
{
    Whole *whole = context;
    const double start = bench_now();
    return result(trainer_restore(&whole->trainer, whole->checkpoint), start);
}

/* Reads the checkpoint into memory that has been used before, as large as one array, by one thread. */
static double read_file(void *context)
{
    const Whole *whole = context;
    FileReader reader;
    const double start = bench_now();
    Status s = file_open(&reader, whole->checkpoint);
    const size_t room = whole->parameters * sizeof(float);
    for (size_t done = 0; !s && done < reader.size; done += room) {
        const size_t left = reader.size - done;
        s = file_read_at(&reader, whole->numbers, left < room ? left : room, done);
    }
    const double seconds = result(s, start);
    file_close(&reader);
    return seconds;
}

/* ---- a whole run ---- */

typedef struct {
    double first, best, sum; /* seconds of the steps */
} Steps;

static void count_step(void *context, const RunLogEntry *entry, bool logged)
{
    Steps *steps = context;
    const double tokens = (double)(gpt2.batch_size * gpt2.model.context_length);
    const double seconds = tokens / entry->tokens_per_second;
    (void)logged;
    steps->first = entry->step == 1 ? seconds : steps->first;
    steps->best = entry->step == 1 ? INFINITY : fmin(steps->best, seconds);
    steps->sum += seconds;
}

/* Runs from the start to the checkpoint after the last step. Returns the seconds that are not steps, over all. */
static double not_training(void *context)
{
    Whole *whole = context;
    Steps steps = {0};
    RunLogEntry last;
    const TrainerObserver observer = {.step = count_step, .context = &steps};
    const double start = bench_now();
    if (isnan(start_run(whole)))
        return NAN;
    const double started = bench_now();
    const Status s = trainer_run(&whole->trainer, whole->directory.path, RUN_OVERWRITE, &observer, &last);
    const double seconds = result(s, start);
    printf("# a run of %d steps: %.2f s before the first, %.2f s in the first, %.2f s in the best of the others, %.2f "
           "s in "
           "all\n",
           STEPS, started - start, steps.first, steps.best, seconds);
    return (seconds - steps.sum) / seconds;
}

void bench_whole(void)
{
    static const char *const names[] = {"whole start", "whole start: initial weights", "whole save 1.9 GB",
                                        "whole load 1.9 GB", "whole run of 4 steps, not training"};
    bool selected = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        selected |= bench_selected(names[i]);
    if (!selected)
        return;
    Whole whole = {.text = memory_allocate(TEXT_TOKENS * sizeof *whole.text),
                   .parameters = transformer_lm_parameter_count(&gpt2.model),
                   .directory = bench_make_directory()};
    whole.numbers = bench_numbers(whole.parameters);
    if (!whole.text)
        bench_require(status_fail(CS336_ENOMEM, "no memory for %d tokens", TEXT_TOKENS));
    Rng rng = rng_seeded(1);
    for (size_t i = 0; i < TEXT_TOKENS; i++)
        whole.text[i] = (int32_t)rng_below(&rng, gpt2.model.vocab_size);
    whole.tokens = token_file_view(whole.text, TEXT_TOKENS, gpt2.model.vocab_size);
    snprintf(whole.checkpoint, sizeof whole.checkpoint, "%s/checkpoint.safetensors", whole.directory.path);
    snprintf(whole.other, sizeof whole.other, "%s/other", whole.directory.path);
    bench_row(&(BenchRow){.name = names[0],
                          BENCH_MILLISECONDS,
                          .ours = {.run = start_run, .context = &whole},
                          .peers = {{"fresh memory", touch_memory, &whole}}});
    bench_row(&(BenchRow){.name = names[1],
                          BENCH_MILLISECONDS,
                          .ours = {.run = draw_weights, .context = &whole},
                          .peers = {{"one at a time", draw_one_by_one, &whole}}});
    if (!whole.trainer.memory.base)
        bench_require(trainer_init(&whole.trainer, &gpt2, &whole.tokens, NULL));
    bench_row(&(BenchRow){.name = names[2],
                          BENCH_MILLISECONDS,
                          .ours = {.run = save, .context = &whole},
                          .peers = {{"the disk", write_file, &whole}}});
    unlink(whole.other);
    if (bench_selected(names[3]) && access(whole.checkpoint, R_OK) != 0)
        bench_require(trainer_save(&whole.trainer, whole.checkpoint));
    bench_row(&(BenchRow){.name = names[3],
                          BENCH_MILLISECONDS,
                          .ours = {.run = load, .context = &whole},
                          .peers = {{"the page cache", read_file, &whole}}});
    bench_row(&(BenchRow){
        .name = names[4], .unit = "%", .scale = 100, .ours = {.run = not_training, .context = &whole}, .rounds = 1});
    trainer_deinit(&whole.trainer);
    memory_release(whole.text);
    memory_release(whole.numbers);
    bench_remove_directory(&whole.directory);
}
