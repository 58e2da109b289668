#define _POSIX_C_SOURCE 200809L
#include "accounting/memory.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "cli/work.h"
#include "core/parallel.h"
#include "data/token_file.h"
#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "train/training_run.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

typedef struct {
    const char *train, *val, *out;
    ModelOptions model;
    size_t batch_size, steps, stop_at, decay_steps, warmup_steps, seed, threads;
    size_t log_every, val_every, val_batches, checkpoint_every, keep;
    double lr, min_lr, beta1, beta2, eps, weight_decay, max_grad_norm, loss_floor;
    int dtype; /**< as DType */
    bool resume, overwrite;
} TrainOptions;

enum { NOT_GIVEN = -1 };

static int parse(TrainOptions *o, int argc, char **argv)
{
    const Option options[] = {
        OPTION_HEADING("Files"),
        OPTION_TEXT("train", &o->train, "FILE", OPTION_REQUIRED, "tokens to learn from, from cs336 encode"),
        OPTION_TEXT("val", &o->val, "FILE", OPTION_UNSHOWN, "tokens to measure the validation loss on"),
        OPTION_TEXT("out", &o->out, "DIR", OPTION_REQUIRED, "log.jsonl, checkpoint.safetensors, config.json"),
        OPTION_FLAG("resume", &o->resume, "go on from the checkpoint in DIR"),
        OPTION_FLAG("overwrite", &o->overwrite, "delete the run that DIR holds, and begin anew"),
        MODEL_OPTION_LINES(o->model),
        OPTION_HEADING("Run"),
        OPTION_SIZE("batch-size", &o->batch_size, "N", 1, "sequences a step"),
        OPTION_SIZE("steps", &o->steps, "N", 1, "length of the run"),
        OPTION_SIZE_UNSHOWN("stop-at", &o->stop_at, "N", 1, "pause after this step, to --resume (default --steps)"),
        OPTION_CHOICE("dtype", &o->dtype, dtype_names, "float32|bf16",
                      "in what matrix products multiply; sums and weights stay float32"),
        OPTION_SEED(&o->seed, "of weights, batches and validation windows"),
        OPTION_THREADS(&o->threads),
        OPTION_HEADING("Optimizer"),
        OPTION_NUMBER("lr", &o->lr, "X", 0, 1e6, "largest learning rate"),
        OPTION_NUMBER_UNSHOWN("min-lr", &o->min_lr, "X", 0, 1e6, "learning rate at the end (default a tenth of --lr)"),
        OPTION_SIZE_UNSHOWN("warmup-steps", &o->warmup_steps, "N", 0,
                            "steps of rising learning rate (default a twentieth of --steps)"),
        OPTION_SIZE_UNSHOWN("decay-steps", &o->decay_steps, "N", 1,
                            "step at which --min-lr is reached (default --steps)"),
        OPTION_NUMBER("beta1", &o->beta1, "X", 0, 1, "decay of AdamW's first moment"),
        OPTION_NUMBER("beta2", &o->beta2, "X", 0, 1, "decay of AdamW's second moment"),
        OPTION_NUMBER("eps", &o->eps, "X", 0, 1, "AdamW's epsilon"),
        OPTION_NUMBER("weight-decay", &o->weight_decay, "X", 0, 1e6, "AdamW's weight decay"),
        OPTION_NUMBER("max-grad-norm", &o->max_grad_norm, "X", 0, 1e30, "norm to clip gradients to; 0: no clipping"),
        OPTION_HEADING("Reports"),
        OPTION_SIZE("log-every", &o->log_every, "N", 1, "steps between lines of the log"),
        OPTION_SIZE("val-every", &o->val_every, "N", 0, "steps between validations; 0: at the end only"),
        OPTION_SIZE("val-batches", &o->val_batches, "N", 1, "batches of a validation, always the same"),
        OPTION_SIZE("checkpoint-every", &o->checkpoint_every, "N", 0, "steps between checkpoints; 0: at the end only"),
        OPTION_SIZE_UNSHOWN("keep", &o->keep, "N", 1,
                            "checkpoints that stay: the newest, and those before it as checkpoint-step-N.safetensors "
                            "(default 2, or as the resumed run has it)"),
        OPTION_NUMBER_UNSHOWN("loss-floor", &o->loss_floor, "X", 0, 1e3,
                              "entropy of the data in nats per token, to compare the loss with"),
    };
    const OptionTable table =
        OPTION_TABLE("train", "Trains a Transformer language model on a file of tokens.", options);
    const int done = options_parse(&table, argc, argv);
    if (done == OPTIONS_PARSED && o->resume && o->overwrite)
        return options_bad_usage(&table, "--resume keeps the run in DIR, --overwrite deletes it: give one of them");
    return done;
}

static RunStart start_of(const TrainOptions *o)
{
    return o->resume ? RUN_RESUME : o->overwrite ? RUN_OVERWRITE : RUN_NEW;
}

static TrainerConfig config_of(const TrainOptions *o)
{
    const size_t decay_steps = o->decay_steps ? o->decay_steps : o->steps;
    const size_t warmup = o->steps / 20 < decay_steps ? o->steps / 20 : decay_steps;
    TransformerLMConfig model = model_options_config(&o->model);
    model.dtype = (DType)o->dtype;
    return (TrainerConfig){
        .model = model,
        .batch_size = o->batch_size,
        .steps = o->steps,
        .stop_at = o->stop_at,
        .schedule = {.max_lr = o->lr,
                     .min_lr = o->min_lr >= 0 ? o->min_lr : o->lr / 10,
                     .warmup_steps = o->warmup_steps != SIZE_MAX ? o->warmup_steps : warmup,
                     .decay_steps = decay_steps},
        .adamw = {.beta1 = o->beta1, .beta2 = o->beta2, .eps = o->eps, .weight_decay = o->weight_decay},
        .max_grad_norm = o->max_grad_norm,
        .seed = o->seed,
        .log_every = o->log_every,
        .val_every = o->val_every,
        .val_batches = o->val ? o->val_batches : 0,
        .checkpoint_every = o->checkpoint_every,
        .keep = o->keep,
    };
}

/* ---- progress ---- */

typedef struct {
    size_t first, end; /**< the first and last step of this process; first 0: not known yet */
    double began, drawn, val_loss;
    bool validated; /**< val_loss is known */
    bool terminal;
    bool dirty; /**< a line stands there that the next one is drawn over */
} Progress;

/* At most 80 columns in runs of less than 10000 steps and ten minutes. */
static void print_line(Progress *progress, const RunLogEntry *entry, double seconds, bool stays)
{
    char validation[32] = "";
    const double each = (seconds - progress->began) / (double)(entry->step - progress->first + 1);
    if (progress->validated)
        snprintf(validation, sizeof validation, "val %.4f  ", progress->val_loss);
    const char *begin = !progress->terminal ? "" : stays ? WORK_LINE_CLEAR : WORK_LINE_BEGIN;
    if (work_say(WORK_STDOUT, "%sstep %4zu/%zu  loss %.4f  %slr %.1e  %s tokens/s  %s left%s", begin, entry->step,
                 progress->end, entry->train_loss, validation, entry->lr, count_text(entry->tokens_per_second),
                 work_time(each * (double)(progress->end - entry->step)).text, stays ? "\n" : WORK_LINE_END))
        progress->dirty = !stays;
}

/* On a terminal one line that changes, ten times a second, kept at each validation; otherwise the log's lines. */
static void show_step(void *context, const RunLogEntry *entry, bool logged)
{
    enum { DRAWS_A_SECOND = 10 };
    Progress *progress = context;
    const double seconds = work_seconds();
    if (!progress->first)
        progress->first = entry->step;
    if (entry->validated) {
        progress->validated = true;
        progress->val_loss = entry->val_loss;
    }
    const bool stays = !progress->terminal || entry->validated || entry->step == progress->end;
    if (progress->terminal ? !stays && seconds - progress->drawn < 1.0 / DRAWS_A_SECOND : !logged)
        return;
    progress->drawn = seconds;
    print_line(progress, entry, seconds, stays);
    if (entry->validated && !isfinite(entry->val_loss))
        work_say(WORK_STDERR, "cs336 train: step %zu: the validation loss is %s\n", entry->step,
                 isnan(entry->val_loss) ? "not a number" : "infinite");
}

static void show_notice(void *context, const char *text)
{
    (void)context;
    work_say(WORK_STDERR, "cs336 train: %s\n", text);
}

/* ---- report ---- */

static void print_header(const TrainOptions *o, const Trainer *trainer)
{
    const TrainerConfig *config = &trainer->config;
    const double tokens = (double)config->batch_size * (double)config->model.context_length;
    model_config_print("model", 9, &config->model);
    printf("size     %s parameters, %sB with gradients, moments and activations\n",
           count_text((double)transformer_lm_parameter_count(&config->model)),
           count_text((double)(trainer->memory.capacity + trainer->scratch.capacity)));
    printf("data     %s tokens in %s", count_text((double)trainer->train->count), o->train);
    if (trainer->val)
        printf(", %s to validate", count_text((double)trainer->val->count));
    printf("\nrun      %zu steps of %zu x %zu tokens, %s in all\n", config->steps, config->batch_size,
           config->model.context_length, count_text((double)config->steps * tokens));
    printf("machine  %d thread%s, %s\n", parallel_threads(), parallel_threads() == 1 ? "" : "s",
           isa_name(isa_in_use()));
    if (config->model.dtype == DTYPE_BF16)
        printf("dtype    bf16%s\n",
               matmul_bf16_is_emulated() ? ", emulated: without AVX512_BF16 it is no faster than float32" : "");
    if (!isnan(o->loss_floor))
        printf("floor    %.4f nats per token: what a perfect model of the data would reach\n", o->loss_floor);
}

/* How the run ended: on stdout, or where nobody takes it any more, on stderr. */
static void print_end(const TrainOptions *o, const RunLogEntry *last, const Progress *progress)
{
    char text[1024], validation[128] = "", floor[160] = "";
    if (last->validated)
        snprintf(validation, sizeof validation, "; validation loss %.4f nats per token, perplexity %.2f",
                 last->val_loss, exp(last->val_loss));
    if (!isnan(o->loss_floor) && last->validated)
        snprintf(floor, sizeof floor, "entropy floor %.4f nats per token, validation loss %.4f: gap %.4f\n",
                 o->loss_floor, last->val_loss, last->val_loss - o->loss_floor);
    if (last->tokens == 0)
        snprintf(text, sizeof text, "nothing left to do: the checkpoint in %s is of step %zu\n", o->out, last->step);
    else if (last->step < o->steps)
        snprintf(text, sizeof text, "stopped after step %zu of %zu, saved; the same command with --resume goes on\n",
                 last->step, o->steps);
    else
        snprintf(text, sizeof text,
                 "%zu steps, %s tokens in %.1f s%s\n%s%s/checkpoint.safetensors is ready for cs336 generate\n",
                 last->step, count_text((double)last->tokens), last->seconds, validation, floor, o->out);
    if (!work_say(WORK_STDOUT, "%s%s", progress->dirty ? "\n" : "", text))
        work_say(WORK_STDERR, "%s", text);
}

/* A run that diverged: its newest checkpoint may have begun to. */
static void print_way_back(const TrainOptions *o)
{
    enum { SHOWN = 8 };
    size_t steps[SHOWN];
    const size_t count = run_directory_kept(steps, SHOWN, o->out);
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "%s%zu", i ? ", " : "older states are kept of step ", steps[i]);
    if (count)
        fprintf(stderr,
                ": rename %s/checkpoint-step-N.safetensors to checkpoint.safetensors to go back to it with --resume\n",
                o->out);
}

static Status check_files(const TrainOptions *o)
{
    Status s = run_directory_check(o->out, start_of(o));
    if (!s && run_directory_owns(o->out, o->train))
        s = status_fail(CS336_EIO, "--train %s: the run in %s would write or remove it", o->train, o->out);
    if (!s && o->val && run_directory_owns(o->out, o->val))
        s = status_fail(CS336_EIO, "--val %s: the run in %s would write or remove it", o->val, o->out);
    return s;
}

/* Before anything is allocated: a system that promises more memory than it has would end the process in the middle. */
static Status needs_memory(const TrainerConfig *config)
{
#ifdef _SC_PHYS_PAGES
    AccountMemory needed;
    const double there = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    const Status s = account_memory_measured(&needed, &config->model, config->batch_size, config->model.context_length);
    if (!s && needed.total > there && there > 0)
        return status_fail(CS336_ENOMEM,
                           "the run takes %sB of memory, this machine has %sB; a smaller --batch-size helps",
                           count_text(needed.total), count_text(there));
    return s;
#else
    (void)config;
    return CS336_OK;
#endif
}

static Status run(const TrainOptions *o, Trainer *trainer, bool *diverged)
{
    const size_t steps = trainer->config.steps, stop_at = trainer->config.stop_at;
    static const char notice[] = "\nthe run ends after this step and is saved; Ctrl-C again ends it now, unsaved\n";
    Progress progress = {.end = stop_at && stop_at < steps ? stop_at : steps, .terminal = isatty(STDOUT_FILENO) != 0};
    const TrainerObserver observer = {
        .step = show_step, .notice = show_notice, .context = &progress, .stop = work_stop_flag_saving(notice)};
    RunLogEntry last;
    print_header(o, trainer);
    work_flush_stdout();
    progress.began = work_seconds();
    const Status s = trainer_run(trainer, o->out, start_of(o), &observer, &last);
    if (!s || s == CS336_EINTERRUPTED) {
        print_end(o, &last, &progress);
        return CS336_OK;
    }
    *diverged = s == CS336_ERANGE;
    if (progress.dirty)
        work_say(WORK_STDOUT, "\n");
    return s;
}

int command_train(int argc, char **argv)
{
    TrainOptions o = {.model = MODEL_OPTIONS_DEFAULT,
                      .batch_size = 32,
                      .steps = 5000,
                      .warmup_steps = SIZE_MAX,
                      .seed = 1,
                      .log_every = 10,
                      .val_every = 250,
                      .val_batches = 10,
                      .checkpoint_every = 500,
                      .lr = 1e-3,
                      .min_lr = NOT_GIVEN,
                      .beta1 = 0.9,
                      .beta2 = 0.95,
                      .eps = 1e-8,
                      .weight_decay = 0.1,
                      .max_grad_norm = 1,
                      .loss_floor = (double)NAN};
    const int done = parse(&o, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    const TrainerConfig config = config_of(&o);
    parallel_set_threads((int)o.threads);
    TokenFile train = {0}, val = {0};
    Trainer trainer = {0};
    bool diverged = false;
    Status s = command_needs_file(o.train, "cs336 encode");
    if (!s && o.val)
        s = command_needs_file(o.val, "cs336 encode");
    if (!s)
        s = check_files(&o);
    if (!s)
        s = token_file_open(&train, o.train, config.model.vocab_size);
    if (!s && o.val)
        s = token_file_open(&val, o.val, config.model.vocab_size);
    if (!s)
        s = needs_memory(&config);
    if (!s)
        s = trainer_init(&trainer, &config, &train, o.val ? &val : NULL);
    if (!s)
        s = run(&o, &trainer, &diverged);
    const int code = s ? command_failed("train") : EXIT_OK;
    if (diverged)
        print_way_back(&o);
    trainer_deinit(&trainer);
    token_file_close(&train);
    token_file_close(&val);
    parallel_release();
    return code;
}
