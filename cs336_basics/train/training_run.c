#include "train/training_run.h"

#include "core/clock.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "core/plural.h"
#include "distributed/ranks.h"
#include "distributed/watchdog.h"
#include "train/run_config.h"
#include "train/shard_checkpoint.h"
#include "train/trainer_checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    Trainer *trainer;
    const TrainerObserver *observer;
    RunDirectory directory;
    RunLog log;
    double start_time;                /* when this process began the run, on clock_seconds() */
    double earlier_seconds;           /* time that earlier processes spent on the run, from the log */
    double step_seconds, step_tokens; /* sums over the steps since the last line of the log */
    double exchange_seconds,          /* likewise, with several ranks */
        exchange_wait_seconds;
    RunBest best;         /* the checkpoint with the lowest validation loss so far */
    bool owes_validation; /* one is due after the latest step, and was left when a stop was asked */
    char *init_from;      /* of a resumed run: the weights that it began with, from config.json; or NULL */
} Run;

/* True if something that happens every `every` steps (0: never) happens after this step. */
static bool is_due(size_t every, size_t step)
{
    return every && step % every == 0;
}

static bool is_validation_due(const TrainerConfig *config, size_t step)
{
    return step && config->val_batches && (step == config->steps || is_due(config->val_every, step));
}

static bool has_notices(const Run *run)
{
    return run->observer && run->observer->notice;
}

/* If the status is a failure of a file and the observer takes notices: reports it there and returns CS336_OK. */
static Status tolerate_file_failure(const Run *run, Status s)
{
    if (s != CS336_EIO || !has_notices(run))
        return s;
    char text[1024];
    snprintf(text, sizeof text, "step %zu: %s; the run goes on", run->trainer->step, status_message());
    run->observer->notice(run->observer->context, text);
    return CS336_OK;
}

/* Returns the step after which this process stops. */
static size_t last_step(const TrainerConfig *config)
{
    return config->stop_at && config->stop_at < config->steps ? config->stop_at : config->steps;
}

/*
 * Checks that the checkpoint is not beyond the run's last step. A smaller --steps is refused rather than taken for a
 * complete run: its schedule of learning rates would have been another one.
 */
static Status check_not_beyond(const Run *run)
{
    const size_t step = run->trainer->step, steps = run->trainer->config.steps;
    if (step <= steps)
        return CS336_OK;
    return status_fail(
        CS336_EFORMAT,
        "%s: at step %zu, beyond the last of %zu step%s: to resume, give at least %zu step%s, or rename an "
        "older checkpoint-step-N.safetensors to checkpoint.safetensors",
        run->directory.checkpoint, step, steps, plural(steps), step, plural(step));
}

/* True if so many validations in a row brought no lower loss that the run ends. */
static bool is_out_of_patience(const Run *run)
{
    const size_t patience = run->trainer->config.patience;
    return patience && run->best.since >= patience;
}

/* True if this process has nothing to do. */
static bool is_complete(const Run *run)
{
    return !run->owes_validation && (run->trainer->step >= last_step(&run->trainer->config) || is_out_of_patience(run));
}

/*
 * Finds out whether the process before was asked to stop in the validation after the checkpoint's step: then one is due
 * there, and the step's line of the log has none. The same is found, and the validation done, if it is due only by the
 * settings of this process, such as a --val that was not given before.
 */
static Status find_owed_validation(Run *run)
{
    RunLogValidations validations;
    const size_t step = run->trainer->step;
    if (!is_validation_due(&run->trainer->config, step))
        return CS336_OK;
    const Status s = run_log_validations(&validations, run->directory.log, step);
    const size_t count = validations.count, validated = count ? validations.items[count - 1].step : 0;
    run->owes_validation = !s && validations.last_step == step && validated != step;
    run_log_validations_deinit(&validations);
    return s;
}

/*
 * The weights that a run began with cannot change later. A resumed run keeps the name of their file for config.json,
 * and an --init-from that names another one is refused, because it would have no effect.
 */
static Status keep_init_from(Run *run, char *stored)
{
    TrainerConfig *config = &run->trainer->config;
    run->init_from = stored;
    if (config->init_from && (!stored || strcmp(config->init_from, stored) != 0))
        return status_fail(
            CS336_EFORMAT,
            "--init-from %s: the run in %s began with %s; a run from other weights needs another directory",
            config->init_from, run->directory.path, stored ? stored : "random weights");
    config->init_from = stored;
    return CS336_OK;
}

/* Restores the checkpoint, and reports the settings that differ from those in config.json. */
static Status resume(Run *run)
{
    Trainer *trainer = run->trainer;
    Status s = trainer_restore(trainer, run->directory.checkpoint);
    if (!s)
        s = check_not_beyond(run);
    if (!s)
        s = find_owed_validation(run);
    if (s)
        return s;
    RunConfigComparison comparison;
    s = run_config_compare(&comparison, run->directory.config, &trainer->config, trainer->train->path,
                           trainer->val ? trainer->val->path : NULL);
    const Status kept = keep_init_from(run, comparison.stored_init_from);
    if (kept || (s && !trainer->config.keep))
        return kept ? kept : s;
    if (comparison.stored_keep && !trainer->config.keep) /* not given: as in config.json */
        trainer->config.keep = comparison.stored_keep;
    const bool goes_on = run->owes_validation || trainer->step < last_step(&trainer->config);
    if (*comparison.differences && goes_on && has_notices(run)) {
        char text[sizeof comparison.differences + 64];
        snprintf(text, sizeof text, "the run continues with changed settings: %s", comparison.differences);
        run->observer->notice(run->observer->context, text);
    }
    return run_best_restore(&run->best, &run->directory, trainer->step);
}

/* Opens the directory, restores the run if it is to be resumed, and opens the log. */
static Status open_files(Run *run, const char *directory, RunStart start)
{
    enum { KEEP = 2 }; /* checkpoints: if a run diverges, the newest one may already be bad, and the one before helps */
    Trainer *trainer = run->trainer;
    Status s = run_directory_open(&run->directory, directory, start);
    /* Read and check the checkpoint before any file changes. */
    if (!s && start == RUN_RESUME)
        s = resume(run);
    /* Remove checkpoints beyond `keep`, which may be smaller than in the run so far. */
    trainer->config.keep = trainer->config.keep ? trainer->config.keep : KEEP;
    run->directory.keep = trainer->config.keep;
    if (!s)
        s = run_directory_prune(&run->directory, trainer->step);
    /* A run that is already complete leaves log and configuration as they are. */
    if (s || is_complete(run))
        return s;
    /* Cut the lines of steps that will be computed again from the log, and record the configuration. */
    s = run_log_open(&run->log, &run->earlier_seconds, run->directory.log, trainer->step);
    return s ? s
             : run_config_write(run->directory.config, &trainer->config, trainer->train->path,
                                trainer->val ? trainer->val->path : NULL);
}

/* Gives all ranks the state of rank 0: the initial weights, or what it has restored. */
static Status share_state(Run *run)
{
    Trainer *trainer = run->trainer;
    struct {
        size_t step;
        Rng batches;
        RunBest best;
        bool owes_validation;
    } state = {
        .step = trainer->step, .batches = trainer->batches, .best = run->best, .owes_validation = run->owes_validation};
    ranks_broadcast(&state, sizeof state);
    trainer->step = state.step;
    trainer->batches = state.batches;
    run->best = state.best;
    run->owes_validation = state.owes_validation;
    for (size_t i = 0; i < trainer->parameters.count; i++) {
        const Parameter *p = &trainer->parameters.items[i];
        const size_t bytes = tensor_count(p->value) * sizeof(float);
        ranks_broadcast(p->value.data, bytes);
        if (trainer->step && !trainer->shard) { /* before step 1 the moments are 0 */
            ranks_broadcast(p->first_moment.data, bytes);
            ranks_broadcast(p->second_moment.data, bytes);
        }
    }
    return trainer->step && trainer->shard ? shard_checkpoint_restore(trainer->shard, run->directory.checkpoint)
                                           : CS336_OK;
}

static Status begin(Run *run, const char *directory, RunStart start)
{
    run->best = run_best_none();
    watchdog_activity("opening %s", directory);
    Status s = ranks_follow_first(ranks_own() == 0 ? open_files(run, directory, start) : CS336_OK);
    if (!s)
        s = share_state(run);
    if (!s)
        watchdog_saved(run->trainer->step); /* the checkpoint from which it resumes; 0 for a run that begins */
    run->start_time = clock_seconds();
    return s;
}

/*
 * Saves a checkpoint; `best` is its entry if it is the best one, and NULL if not. The log is synced first: if the
 * machine fails between the two, resuming cuts the newer lines of the log. In the other order the log could lack lines
 * of steps that the checkpoint already includes, and these steps are never computed again.
 */
static Status write_checkpoint(Run *run, const RunLogEntry *best, const SafetensorsSource *moments)
{
    watchdog_activity("writing %s", run->directory.checkpoint);
    Status s = run_log_sync(&run->log);
    if (!s)
        s = run_directory_keep_checkpoint(&run->directory);
    if (!s)
        s = trainer_save_moments(run->trainer, run->directory.checkpoint, moments);
    if (!s) {
        watchdog_saved(run->trainer->step);
        const Status linked = best ? run_directory_set_best(&run->directory, 0) : CS336_OK;
        if (best && !linked)
            run_best_saved(&run->best, best->step, best->val_loss);
        s = run_directory_prune(&run->directory, run->trainer->step);
        return linked ? linked : s;
    }
    /* Not written: remove the second name of the newest checkpoint again. A failure of this is added to the message. */
    char message[512]; /* a copy, because run_directory_prune() may replace status_message() */
    snprintf(message, sizeof message, "%s", status_message());
    if (run->directory.saved && run_directory_prune(&run->directory, run->directory.saved))
        return status_fail(s, "%s; then %s", message, status_message());
    return status_fail(s, "%s", message);
}

/* Calls write_checkpoint() on rank 0. The other ranks send it their moments meanwhile, if each has only its own. */
static Status write_with_all_ranks(Run *run, const RunLogEntry *best)
{
    OptimizerShard *shard = run->trainer->shard;
    MomentReader reader;
    SafetensorsSource moments;
    Status s = CS336_OK;
    if (!shard)
        return ranks_own() == 0 ? write_checkpoint(run, best, NULL) : CS336_OK;
    if (ranks_own() == 0) {
        shard_checkpoint_begin_reading(&reader, &moments, shard);
        s = write_checkpoint(run, best, &moments);
        shard_checkpoint_end_reading(&reader);
    } else {
        shard_checkpoint_serve(shard);
    }
    return s;
}

/* Saves on rank 0, and tells the others whether it has failed and which checkpoint is the best. */
static Status save(Run *run, const RunLogEntry *best)
{
    const OptimizerShard *shard = run->trainer->shard;
    Status s = shard ? ranks_agree(optimizer_shard_check_finite(shard)) : CS336_OK;
    if (s)
        return s;
    s = ranks_follow_first(write_with_all_ranks(run, best));
    ranks_broadcast(&run->best, sizeof run->best);
    return s;
}

/* The last save of this process. If it fails, the message says which checkpoint remains. */
static Status save_last(Run *run, const RunLogEntry *best)
{
    const Status s = save(run, best);
    if (s != CS336_EIO)
        return s;
    char message[512]; /* a copy, because status_fail() replaces status_message() */
    snprintf(message, sizeof message, "%s", status_message());
    if (run->directory.saved == 0)
        return status_fail(s, "step %zu: %s; no checkpoint was saved", run->trainer->step, message);
    return status_fail(s, "step %zu: %s; the newest checkpoint is of step %zu, and --resume goes on from it",
                       run->trainer->step, message, run->directory.saved);
}

/*
 * Saves the run after a failure that left its weights as they were after the last step, such as a token file that
 * another process has cut. Returns that failure, and says what became of the steps.
 */
static Status save_after_failure(Run *run, Status failure)
{
    char message[512]; /* a copy, because save() may replace status_message() */
    snprintf(message, sizeof message, "%s", status_message());
    size_t saved = run->directory.saved;
    ranks_broadcast(&saved, sizeof saved);
    if (run->trainer->step == 0)
        return failure;
    if (run->trainer->step != saved && save(run, NULL))
        return status_fail(failure, "%s; the run could not be saved either: %.400s", message, status_message());
    return status_fail(failure, "%s; the run is saved after step %zu", message, run->trainer->step);
}

/* Sets the numbers of an entry that follow from the step and the clock. */
static void note_step(const Run *run, RunLogEntry *entry)
{
    const TrainerConfig *config = &run->trainer->config;
    entry->step = run->trainer->step;
    entry->tokens = entry->step * config->batch_size * config->model.context_length;
    entry->seconds = run->earlier_seconds + clock_seconds() - run->start_time;
    entry->lr = cosine_schedule_lr(&config->schedule, entry->step);
}

/*
 * Does the validation after the latest step. If a stop is asked meanwhile, it leaves the validation, which the run then
 * owes: the line of the log is written without it, and the run is saved. This is no failure.
 */
static Status validate(Run *run, RunLogEntry *entry)
{
    Trainer *trainer = run->trainer;
    watchdog_activity("validation after step %zu", trainer->step);
    const Status s = trainer_validate(trainer, &entry->val_loss, run->observer ? run->observer->stop : NULL);
    run->owes_validation = s == CS336_EINTERRUPTED;
    entry->validated = !s;
    return run->owes_validation ? CS336_OK : s;
}

/* On rank 0: completes the line of the log, and finds the best checkpoint in the log as it now is. */
static Status record_owed_validation(Run *run, RunLogEntry *entry)
{
    Status s = run_directory_follow(&run->directory);
    if (!s)
        s = run_log_complete(&run->log, run->directory.log, entry);
    return s ? s : run_best_restore(&run->best, &run->directory, entry->step);
}

/*
 * Does the validation that the process before has left. The checkpoint of its step is there already. Log,
 * best.safetensors and patience become what they would be if the validation had not been left.
 */
static Status validate_owed(Run *run, RunLogEntry *entry)
{
    Status s = validate(run, entry);
    note_step(run, entry);
    if (s || run->owes_validation)
        return s;
    s = ranks_follow_first(ranks_own() == 0 ? record_owed_validation(run, entry) : CS336_OK);
    ranks_broadcast(&run->best, sizeof run->best);
    ranks_broadcast(entry, sizeof *entry);
    s = tolerate_file_failure(run, s);
    if (!s && run->observer && run->observer->step)
        run->observer->step(run->observer->context, entry, true);
    return s;
}

/*
 * Does one step of training, the validation if one is due, and writes the line of the log if one is due. *is_best: the
 * validation loss is the lowest so far, and it is in the log, where resuming finds it.
 */
static Status advance(Run *run, RunLogEntry *entry, bool *is_best)
{
    Trainer *trainer = run->trainer;
    const TrainerConfig *config = &trainer->config;
    const size_t batch_tokens = config->batch_size * config->model.context_length;

    /* What happens after the step. */
    const size_t step = trainer->step + 1;
    const bool validated = is_validation_due(config, step);
    const bool logged = validated || step == config->steps || is_due(config->log_every, step);

    /* The step. Only its time counts for tokens per second. */
    watchdog_activity("step %zu", step);
    trainer->measure_norms = logged;
    const double step_start = clock_seconds();
    float loss;
    Status s = trainer_step(trainer, &loss, &entry->grad_norm);
    if (s)
        return s;
    run->step_seconds += clock_seconds() - step_start;
    run->step_tokens += (double)batch_tokens;
    run->exchange_seconds += trainer->exchange_seconds;
    run->exchange_wait_seconds += trainer->exchange_wait_seconds;

    /* The validation. */
    entry->validated = false;
    if (validated)
        s = validate(run, entry);

    /* The line of the log. */
    note_step(run, entry);
    entry->train_loss = (double)loss;
    entry->tokens_per_second = run->step_tokens / run->step_seconds;
    const double mfu_per_speed = run->observer ? run->observer->mfu_per_speed : 0;
    entry->mfu = mfu_per_speed > 0 ? mfu_per_speed * entry->tokens_per_second : (double)NAN;
    const double steps = run->step_tokens / (double)batch_tokens;
    entry->exchange_seconds = run->exchange_seconds / steps;
    entry->exchange_wait_seconds = run->exchange_wait_seconds / steps;
    entry->norms = logged && config->log_norms ? &trainer->norms : NULL;
    if (!s && logged) {
        s = ranks_follow_first(ranks_own() == 0 ? run_log_append(&run->log, entry) : CS336_OK);
        *is_best = !s && entry->validated && run_best_validated(&run->best, entry->val_loss);
        s = tolerate_file_failure(run, s);
        run->step_seconds = run->step_tokens = run->exchange_seconds = run->exchange_wait_seconds = 0;
    }
    if (!s && run->observer && run->observer->step)
        run->observer->step(run->observer->context, entry, logged);
    return s;
}

/* Returns the failure that says where the run was stopped. */
static Status interrupted(const Run *run)
{
    return status_fail(CS336_EINTERRUPTED,
                       run->owes_validation
                           ? "stopped in the validation after step %zu of %zu, which resuming does again"
                           : "stopped after step %zu of %zu",
                       run->trainer->step, run->trainer->config.steps);
}

static Status train(Run *run, RunLogEntry *entry)
{
    Trainer *trainer = run->trainer;
    const TrainerConfig *config = &trainer->config;
    const size_t end = last_step(config);
    const atomic_int *stop = run->observer ? run->observer->stop : NULL;
    Status s = run->owes_validation ? validate_owed(run, entry) : CS336_OK;
    if (!s && run->owes_validation) /* left again: nothing has changed that could be saved */
        return interrupted(run);
    for (bool last = is_complete(run); !s && !last;) {
        bool is_best = false;
        s = advance(run, entry, &is_best);
        if (s == CS336_EIO)
            s = save_after_failure(run, s);
        if (s)
            break;
        /* The last checkpoint of this process must be written; the run continues without one of the others. */
        const RunLogEntry *best = is_best ? entry : NULL;
        last = !run->owes_validation && (trainer->step == end || (!is_best && is_out_of_patience(run)));
        const bool stopping = (ranks_any(parallel_stop_asked(stop)) && !last) || run->owes_validation;
        if (stopping || last)
            s = save_last(run, best);
        else if (is_best || is_due(config->checkpoint_every, trainer->step))
            s = tolerate_file_failure(run, save(run, best));
        if (!s && stopping)
            s = interrupted(run);
    }
    return s;
}

Status trainer_run(Trainer *trainer, const char *directory, RunStart start, const TrainerObserver *observer,
                   RunLogEntry *last)
{
    Run run = {.trainer = trainer, .observer = observer};
    const char *init_from = trainer->config.init_from; /* resume() sets another one, for config.json */
    Status s = begin(&run, directory, start);
    *last = (RunLogEntry){.step = trainer->step};
    if (!s)
        s = train(&run, last);
    if (observer && observer->outcome)
        *observer->outcome = (RunOutcome){
            .best = run.best,
            .stopped_early = !run.owes_validation && trainer->step < trainer->config.steps && is_out_of_patience(&run),
            .owes_validation = run.owes_validation};
    trainer->config.init_from = init_from;
    memory_release(run.init_from);
    run_log_close(&run.log);
    run_directory_close(&run.directory);
    return s;
}
