#define _POSIX_C_SOURCE 200809L
#include "cli/train.h"

#include "accounting/flops.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "cli/options_config.h"
#include "cli/ranks_command.h"
#include "cli/train_header.h"
#include "cli/train_memory.h"
#include "cli/train_progress.h"
#include "cli/work.h"
#include "core/directory.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "core/printable.h"
#include "data/token_file.h"
#include "distributed/agreement.h"
#include "distributed/ranks.h"
#include "distributed/recovery.h"
#include "kernels/peak.h"
#include "train/model_checkpoint.h"
#include "train/trainer_checkpoint.h"
#include "train/training_run.h"

#include <math.h>
#include <stdio.h>

typedef struct {
    const char *train, *val, *out, *init_from;
    OptionsConfig config;
    ModelOptions model;
    size_t batch_size, grad_accum, steps, stop_at, decay_steps, warmup_steps, seed, threads;
    size_t log_every, val_every, val_batches, checkpoint_every, keep, patience;
    double lr, min_lr, beta1, beta2, eps, weight_decay, max_grad_norm, loss_floor;
    int dtype; /* a DType */
    bool resume, overwrite, overfit_one_batch, no_decay_norms, log_norms, shard_optimizer;
} TrainOptions;

enum { NOT_GIVEN = -1 }; /* default of --min-lr, which depends on --lr */

/* Checks that the batch can be shared by all ranks, in the pieces of --grad-accum. */
static int check_batch(const OptionTable *table, const TrainOptions *o)
{
    const size_t ranks = (size_t)ranks_count(), pieces = memory_product(ranks, o->grad_accum);
    const size_t below = o->batch_size / pieces * pieces, above = below + pieces;
    if (o->batch_size % pieces == 0)
        return OPTIONS_PARSED;
    if (ranks == 1)
        return options_bad_usage(table, "--grad-accum: %zu does not divide --batch-size %zu", o->grad_accum,
                                 o->batch_size);
    char of_pieces[64] = "", smaller[32] = "";
    if (o->grad_accum > 1)
        snprintf(of_pieces, sizeof of_pieces, " with --grad-accum %zu", o->grad_accum);
    if (below)
        snprintf(smaller, sizeof smaller, "%zu or ", below);
    return options_bad_usage(table, "--batch-size: %zu cannot be shared by %zu ranks%s, expected %s%zu", o->batch_size,
                             ranks, of_pieces, smaller, above);
}

/* Returns OPTIONS_PARSED, or the exit code if the command ends here. `source` is OptionTable's. */
static int parse(TrainOptions *o, const char *source, int argc, char **argv)
{
    static const char *const excluded[] = {"out", "resume", "overwrite", NULL};
    const Option options[] = {
        OPTION_HEADING("Files"),
        OPTION_TEXT("train", &o->train, "FILE", OPTION_REQUIRED, "training tokens from cs336 encode, raw or .npy"),
        OPTION_TEXT("val", &o->val, "FILE", OPTION_UNSHOWN, "validation tokens from cs336 encode, raw or .npy"),
        OPTION_TEXT("out", &o->out, "DIR", OPTION_REQUIRED,
                    "directory for log.jsonl, checkpoint.safetensors and config.json"),
        OPTION_CONFIG(&o->config, excluded),
        OPTION_TEXT(
            "init-from", &o->init_from, "FILE", OPTION_UNSHOWN,
            "checkpoint whose weights the run begins with (fine-tuning); its model replaces the defaults below, "
            "and only --context-length may differ"),
        OPTION_FLAG("resume", &o->resume, "continue the run in DIR from its checkpoint"),
        OPTION_FLAG("overwrite", &o->overwrite, "delete the run in DIR and begin a new one"),
        MODEL_OPTION_LINES(o->model),
        OPTION_HEADING("Run"),
        OPTION_SIZE("batch-size", &o->batch_size, "N", 1, "sequences per step"),
        OPTION_SIZE("grad-accum", &o->grad_accum, "N", 1,
                    "pieces in which a step computes its batch, one after the other: the same training with less "
                    "memory; divides --batch-size"),
        OPTION_FLAG("overfit-one-batch", &o->overfit_one_batch,
                    "use the first batch in each step: a model that can learn reaches a loss of about 0"),
        OPTION_SIZE("steps", &o->steps, "N", 1, "number of steps in the whole run"),
        OPTION_SIZE_UNSHOWN("stop-at", &o->stop_at, "N", 1,
                            "save and stop after this step; --resume continues (default --steps)"),
        OPTION_CHOICE(
            "dtype", &o->dtype, dtype_names, "float32|bf16|bf16x3",
            "type of the inputs of matrix products; sums and weights stay float32. bf16x3 takes each number as "
            "two of bf16"),
        OPTION_SEED(&o->seed, "seed of weights, batches and validation windows"),
        OPTION_THREADS(&o->threads),
        OPTION_HEADING("Optimizer"),
        OPTION_NUMBER("lr", &o->lr, "X", 0, 1e6, "largest learning rate"),
        OPTION_NUMBER_UNSHOWN("min-lr", &o->min_lr, "X", 0, 1e6,
                              "learning rate at the end (default a tenth of --lr; the min_lr of a --config FILE stays "
                              "when --lr changes)"),
        OPTION_SIZE_UNSHOWN("warmup-steps", &o->warmup_steps, "N", 0,
                            "steps in which the learning rate rises (default a twentieth of --steps)"),
        OPTION_SIZE_UNSHOWN("decay-steps", &o->decay_steps, "N", 1,
                            "step at which --min-lr is reached (default --steps)"),
        OPTION_NUMBER("beta1", &o->beta1, "X", 0, 1, "decay of AdamW's first moment"),
        OPTION_NUMBER("beta2", &o->beta2, "X", 0, 1, "decay of AdamW's second moment"),
        OPTION_NUMBER("eps", &o->eps, "X", 0, 1, "AdamW's epsilon"),
        OPTION_NUMBER("weight-decay", &o->weight_decay, "X", 0, 1e6, "AdamW's weight decay"),
        OPTION_FLAG("no-decay-norms", &o->no_decay_norms, "no weight decay on the gains of RMSNorm"),
        OPTION_NUMBER("max-grad-norm", &o->max_grad_norm, "X", 0, 1e30,
                      "gradients are clipped to this norm; 0: no clipping"),
        OPTION_FLAG(
            "shard-optimizer", &o->shard_optimizer,
            "under mpirun each rank keeps the moments of a part of the weights only (ZeRO-1): the same training "
            "with less memory"),
        OPTION_HEADING("Reports"),
        OPTION_SIZE("log-every", &o->log_every, "N", 1, "steps from one line of the log to the next"),
        OPTION_FLAG("log-norms", &o->log_norms,
                    "each line of the log has the root mean squares of each layer's outputs, weights and gradients"),
        OPTION_SIZE("val-every", &o->val_every, "N", 0, "steps from one validation to the next; 0: at the end only"),
        OPTION_SIZE("val-batches", &o->val_batches, "N", 1, "batches in each validation, always the same"),
        OPTION_SIZE("checkpoint-every", &o->checkpoint_every, "N", 0,
                    "steps from one checkpoint to the next; 0: at the end only"),
        OPTION_SIZE_UNSHOWN("keep", &o->keep, "N", 1,
                            "number of newest checkpoints to keep, the older ones as checkpoint-step-N.safetensors, "
                            "beside the best by validation loss, best.safetensors (default 2, or as in the resumed "
                            "run)"),
        OPTION_SIZE("patience", &o->patience, "N", 0, "stop when N validations in a row bring no lower loss; 0: never"),
        OPTION_NUMBER_UNSHOWN("loss-floor", &o->loss_floor, "X", 0, 1e3,
                              "entropy of the data in nats per token, to compare the loss with"),
    };
    OptionTable table = OPTION_TABLE("train", "Trains a Transformer language model on a file of tokens.", options);
    table.source = source;
    const int result = options_parse(&table, argc, argv);
    if (result != OPTIONS_PARSED)
        return result;
    if (o->resume && o->overwrite)
        return options_bad_usage(&table, "--resume keeps the run in DIR, --overwrite deletes it: give one of them");
    if (check_batch(&table, o) != OPTIONS_PARSED)
        return EXIT_BAD_USAGE;
    if (o->min_lr > o->lr)
        return options_bad_usage(&table, "--min-lr: %g is above --lr %g%s", o->min_lr, o->lr,
                                 o->config.path ? "; a --config FILE may give min_lr, and --min-lr wins over it" : "");
    if (o->patience && !o->val)
        return options_bad_usage(&table, "--patience counts validations: give --val too");
    return result;
}

static RunStart start_of(const TrainOptions *o)
{
    return o->resume ? RUN_RESUME : o->overwrite ? RUN_OVERWRITE : RUN_NEW;
}

/* Rank 0 reads the model of the checkpoint from which the run gets its weights, and gives it to all ranks. */
static Status read_model(TransformerLMConfig *model, const TrainOptions *o, const char *path)
{
    Status s = CS336_OK;
    if (ranks_own() == 0) {
        s = o->resume ? run_directory_check(o->out, RUN_RESUME) : command_needs_file(path, "cs336 train");
        if (!s)
            s = model_config_load(model, path);
    }
    s = ranks_follow_first(s);
    ranks_broadcast(model, sizeof *model);
    return s;
}

/*
 * For --init-from: makes the checkpoint's model the default of the model options, and reads the command line again. A
 * run that is resumed has its own weights, so its own checkpoint stands for the file, which is not needed any more.
 * Returns OPTIONS_PARSED, or the exit code if the command ends here.
 */
static int take_model(TrainOptions *o, int argc, char **argv)
{
    char own[DIRECTORY_PATH_BYTES];
    const char *path = o->resume ? own : o->init_from;
    TransformerLMConfig model = {0};
    snprintf(own, sizeof own, "%s/checkpoint.safetensors", o->out);
    if (read_model(&model, o, path))
        return command_failed("train");
    model_options_set(&o->model, &model);
    OptionsConfig first = o->config; /* `path` may be a text of the file of --config, which is read again */
    o->config = (OptionsConfig){0};
    int result = parse(o, NULL, argc, argv);
    const TransformerLMConfig given = model_options_config(&o->model);
    if (result == OPTIONS_PARSED && model_options_agree(&given, &model, path))
        result = command_failed("train");
    options_config_deinit(&first);
    return result;
}

static TrainerConfig config_of(const TrainOptions *o)
{
    /* Defaults that depend on other options. */
    const size_t decay_steps = o->decay_steps ? o->decay_steps : o->steps;
    const size_t warmup = o->steps / 20 < decay_steps ? o->steps / 20 : decay_steps;
    TransformerLMConfig model = model_options_config(&o->model);
    model.dtype = (DType)o->dtype;
    return (TrainerConfig){
        .model = model,
        .batch_size = o->batch_size,
        .grad_accum = o->grad_accum,
        .overfit_one_batch = o->overfit_one_batch,
        .steps = o->steps,
        .stop_at = o->stop_at,
        .schedule = {.max_lr = o->lr,
                     .min_lr = o->min_lr >= 0 ? o->min_lr : o->lr / 10,
                     .warmup_steps = o->warmup_steps != SIZE_MAX ? o->warmup_steps : warmup,
                     .decay_steps = decay_steps},
        .adamw = {.beta1 = o->beta1, .beta2 = o->beta2, .eps = o->eps, .weight_decay = o->weight_decay},
        .no_decay_norms = o->no_decay_norms,
        .max_grad_norm = o->max_grad_norm,
        .shard_optimizer = o->shard_optimizer,
        .seed = o->seed,
        .log_every = o->log_every,
        .val_every = o->val_every,
        .val_batches = o->val ? o->val_batches : 0,
        .checkpoint_every = o->checkpoint_every,
        .keep = o->keep,
        .log_norms = o->log_norms,
        .init_from = o->init_from,
        .patience = o->patience,
    };
}

/* ---- report ---- */

/* For a run that diverged: its newest checkpoint may already be bad, so the older ones are named. */
static void print_older_checkpoints(const TrainOptions *o)
{
    enum { SHOWN = 8 }; /* steps to name at most, so that the message stays on one line */
    size_t steps[SHOWN];
    const size_t count = run_directory_kept(steps, SHOWN, o->out);
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "%s%zu", i ? ", " : "older checkpoints: step ", steps[i]);
    if (count)
        fprintf(stderr,
                "; to resume from one, first rename %s/checkpoint-step-N.safetensors to checkpoint.safetensors\n",
                printable(o->out).text);
}

/* For a run that diverged: names the checkpoint with the best validation loss, and says what to do. */
static void print_best_checkpoint(const TrainOptions *o, const RunBest *best)
{
    if (best->step)
        fprintf(stderr,
                "%s/best.safetensors has the weights with the best validation loss, %.4f in step %zu; train again with "
                "a --lr below %g, from the start or from these weights with --init-from\n",
                printable(o->out).text, best->val_loss, best->step, o->lr);
}

/* Checks that the run can be written, and that it does not overwrite its own inputs. */
static Status check_run_directory(const TrainOptions *o)
{
    Status s = run_directory_check(o->out, start_of(o));
    if (!s && run_directory_owns(o->out, o->train))
        s = status_fail(CS336_EIO, "--train %s: the run in %s would overwrite or delete this file", o->train, o->out);
    if (!s && o->val && run_directory_owns(o->out, o->val))
        s = status_fail(CS336_EIO, "--val %s: the run in %s would overwrite or delete this file", o->val, o->out);
    if (!s && o->init_from && !o->resume && run_directory_owns(o->out, o->init_from))
        s = status_fail(CS336_EIO, "--init-from %s: the run in %s would overwrite or delete this file", o->init_from,
                        o->out);
    return s;
}

/* Checks that all ranks have the token files, and that rank 0 can write the run. */
static Status check_files(const TrainOptions *o)
{
    Status s = command_needs_file(o->train, "cs336 encode");
    if (!s && o->val)
        s = command_needs_file(o->val, "cs336 encode");
    s = ranks_agree(s);
    return s ? s : ranks_follow_first(ranks_own() == 0 ? check_run_directory(o) : CS336_OK);
}

/*
 * Returns the MFU at one token per second, for the log: the model's FLOPs per token over the peak of all ranks, which
 * measure it at the same time.
 */
static double mfu_per_speed(const TrainerConfig *config)
{
    const TransformerLMConfig *model = &config->model;
    const double flops = account_training_flops(model, config->batch_size, model->context_length);
    const double tokens = (double)config->batch_size * (double)model->context_length;
    static const PeakOf kinds[] = {
        [DTYPE_FLOAT32] = PEAK_FLOAT32, [DTYPE_BF16] = PEAK_BF16, [DTYPE_BF16X3] = PEAK_BF16X3};
    double peak = peak_measure(kinds[model->dtype]);
    ranks_sum(&peak, 1);
    return account_mfu(flops / tokens, 1, peak);
}

/*
 * Returns the command that continues a run of several ranks after it was stopped, which is no fault: the same one
 * without --stop-at. NULL with one rank.
 */
static const char *continuing_command(int argc, char **argv)
{
    static const char *const without[] = {"--resume", "--overwrite", "--stop-at=", NULL};
    static char line[RECOVERY_COMMAND_BYTES];
    if (ranks_count() == 1)
        return NULL;
    ranks_command(line, sizeof line, argc, argv, without, "--resume");
    return line;
}

/* @param resume  as TrainFiles.resume */
static Status run(const TrainOptions *o, const char *resume, Trainer *trainer, TrainEnd *end, RunOutcome *outcome)
{
    static const char notice[] = "\nthe run stops after this step and is saved; Ctrl-C again stops it now, unsaved\n";
    /*
     * trainer_run() calls train_progress_step() after each step and reads the flag that the signal handlers set. The
     * ranks meet in mfu_per_speed(): when it returns, all of them have installed their handlers.
     */
    const atomic_int *stop = work_stop_flag_saving(notice);
    TrainProgress progress;
    RunLogEntry last;
    const TrainerObserver observer = {.step = train_progress_step,
                                      .notice = train_progress_notice,
                                      .context = &progress,
                                      .stop = stop,
                                      .mfu_per_speed = mfu_per_speed(&trainer->config),
                                      .outcome = outcome};
    train_header_print(trainer, o->init_from && !o->resume, o->loss_floor);
    work_flush_stdout();
    const TrainFiles files = {
        .train = o->train, .val = o->val, .out = o->out, .resume = resume, .loss_floor = o->loss_floor};
    train_progress_begin(&progress, &trainer->config, &files);
    const Status s = trainer_run(trainer, o->out, start_of(o), &observer, &last);
    /* Stopped by Ctrl-C is a success too: the run is saved. */
    if (!s || s == CS336_EINTERRUPTED) {
        train_progress_end(&progress, &last, outcome);
        *end = s ? TRAIN_STOPPED : TRAIN_COMPLETE;
        return CS336_OK;
    }
    *end = s == CS336_ERANGE ? TRAIN_DIVERGED : TRAIN_FAILED;
    train_progress_leave_line(&progress);
    return s;
}

/*
 * With several ranks: says how to go on if one of them fails. Without a checkpoint, a run that has begun leaves files
 * that only --overwrite removes; one that was resumed has a checkpoint.
 */
static void describe_recovery(const TrainOptions *o, int argc, char **argv)
{
    static const char *const starts[] = {"--resume", "--overwrite", NULL};
    static char resume[RECOVERY_COMMAND_BYTES], again[RECOVERY_COMMAND_BYTES];
    char checkpoint[DIRECTORY_PATH_BYTES];
    if (ranks_count() == 1)
        return;
    ranks_command(resume, sizeof resume, argc, argv, starts, "--resume");
    ranks_command(again, sizeof again, argc, argv, starts, o->resume ? "--resume" : "--overwrite");
    snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint.safetensors", o->out);
    recovery_set(&(Recovery){.command = "train", .again = again, .checkpoint = checkpoint, .resume = resume});
}

/* Opens the token files and allocates the model, on each rank. All ranks must have the same tokens. */
static Status prepare(Trainer *trainer, TokenFile *train, TokenFile *val, const TrainerConfig *config,
                      const TrainOptions *o, Agreement *agreement)
{
    Status s = token_file_open(train, o->train, config->model.vocab_size);
    if (!s)
        s = agreement_add_file(agreement, "--train", o->train);
    if (!s && o->val)
        s = token_file_open(val, o->val, config->model.vocab_size);
    if (!s && o->val)
        s = agreement_add_file(agreement, "--val", o->val);
    if (!s)
        s = train_check_memory(config);
    return s ? s : trainer_init(trainer, config, train, o->val ? val : NULL);
}

/*
 * Runs the command. If `source` is not NULL, it only reads the options, which come from there, and returns
 * OPTIONS_PARSED or the exit code.
 */
static int run_command(TrainEnd *end, const char *source, int argc, char **argv)
{
    TrainOptions o = {.model = MODEL_OPTIONS_DEFAULT,
                      .batch_size = TRAIN_DEFAULT_BATCH_SIZE,
                      .grad_accum = 1,
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
    *end = TRAIN_FAILED;
    int result = parse(&o, source, argc, argv);
    if (result == OPTIONS_PARSED && !source && o.init_from)
        result = take_model(&o, argc, argv);
    if (result != OPTIONS_PARSED || source) {
        options_config_deinit(&o.config);
        return result;
    }
    const TrainerConfig config = config_of(&o);
    parallel_set_threads((int)o.threads);
    /* Check everything that can be checked before the model is allocated. */
    TokenFile train = {0}, val = {0};
    Trainer trainer = {0};
    RunOutcome outcome = {0};
    Agreement agreement = {0};
    Status s = check_files(&o);
    if (!s)
        s = agreement_check(&agreement, prepare(&trainer, &train, &val, &config, &o, &agreement));
    if (!s && o.init_from && !o.resume)
        s = ranks_follow_first(ranks_own() == 0 ? trainer_load_weights(&trainer, o.init_from) : CS336_OK);
    /* Train. */
    if (!s)
        describe_recovery(&o, argc, argv);
    if (!s)
        s = run(&o, continuing_command(argc, argv), &trainer, end, &outcome);
    const int code = s ? command_failed("train") : EXIT_OK;
    if (*end == TRAIN_DIVERGED) {
        print_best_checkpoint(&o, &outcome.best);
        print_older_checkpoints(&o);
    }
    if (s == CS336_ENOMEM)
        *end = TRAIN_NO_MEMORY;
    trainer_deinit(&trainer);
    token_file_close(&train);
    token_file_close(&val);
    options_config_deinit(&o.config);
    parallel_release();
    return code;
}

int train_command(TrainEnd *end, int argc, char **argv)
{
    return run_command(end, NULL, argc, argv);
}

int train_check_options(const char *source, int argc, char **argv)
{
    TrainEnd end;
    return run_command(&end, source, argc, argv);
}

int command_train(int argc, char **argv)
{
    TrainEnd end;
    return run_command(&end, NULL, argc, argv);
}
