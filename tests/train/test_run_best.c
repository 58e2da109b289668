/* Tests best.safetensors and --patience against a search of the log that runs without any of it have written. */
#define _POSIX_C_SOURCE 200809L
#include "core/directory.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/tiny_training.h"
#include "train/run_best.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool exists(const char *name)
{
    return access(temp_path(name), F_OK) == 0;
}

static void assert_same_bytes(const char *a, const char *b)
{
    LoadedFile file;
    assert_ok(file_load(&file, temp_path(a)));
    ck_assert_uint_gt(file.size, 0);
    assert_file_holds(temp_path(b), file.data, file.size);
    file_unload(&file);
}

/* A run with a validation after each step, whose losses fall, rise and fall again: the learning rate is too high. */
static TrainerConfig rough(void)
{
    TrainerConfig config = tiny_training_config();
    config.schedule.max_lr = config.schedule.min_lr = 0.15;
    config.schedule.warmup_steps = 4;
    config.steps = 16, config.schedule.decay_steps = 16;
    config.val_every = 1, config.checkpoint_every = 3, config.keep = 2;
    return config;
}

static Status run_observed(const char *directory, TrainerConfig config, size_t stop_at, RunStart start,
                           RunOutcome *outcome, RunLogEntry *last)
{
    TinyTraining tiny;
    RunLogEntry unused;
    const TrainerObserver observer = {.outcome = outcome};
    config.stop_at = stop_at;
    assert_ok(tiny_training_init(&tiny, &config));
    const Status s =
        trainer_run(&tiny.trainer, temp_path(directory), start, outcome ? &observer : NULL, last ? last : &unused);
    tiny_training_deinit(&tiny);
    return s;
}

static Status run(const char *directory, TrainerConfig config, size_t stop_at, RunStart start)
{
    return run_observed(directory, config, stop_at, start, NULL, NULL);
}

/* The validation losses of a log by step, read with nothing of the product but the JSON parser. */
static size_t losses_of(double losses[64], const char *name)
{
    FILE *log = fopen(temp_path(name), "rb");
    ck_assert_ptr_nonnull(log);
    char line[1024];
    size_t last = 0;
    for (size_t i = 0; i < 64; i++)
        losses[i] = (double)NAN;
    while (fgets(line, sizeof line, log)) {
        json_t *entry;
        assert_ok(json_parse(&entry, line, strlen(line), name));
        last = (size_t)json_integer_value(json_object_get(entry, "step"));
        ck_assert_uint_lt(last, 64);
        if (json_is_number(json_object_get(entry, "val_loss")))
            losses[last] = json_number_value(json_object_get(entry, "val_loss"));
        json_decref(entry);
    }
    fclose(log);
    return last;
}

/* The first step of 1 to `last` with the lowest loss. */
static size_t lowest(const double losses[64], size_t last)
{
    size_t best = 0;
    for (size_t step = 1; step <= last; step++)
        if (!isnan(losses[step]) && (best == 0 || losses[step] < losses[best]))
            best = step;
    return best;
}

/* Asserts that best.safetensors of the run is the checkpoint of a run that stops after that step. */
static void assert_best_is(const char *directory, size_t step)
{
    static const char name[] = "reference";
    char best[256], checkpoint[256];
    TrainerConfig config = rough();
    config.val_batches = 0; /* so that nothing but the steps of training decides what the reference saves */
    assert_ok(run(name, config, step, RUN_OVERWRITE));
    snprintf(best, sizeof best, "%s/best.safetensors", directory);
    snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint.safetensors", name);
    assert_same_bytes(checkpoint, best);
}

START_TEST(test_best_is_the_lowest_validation_of_the_log)
{
    double losses[64];
    RunOutcome outcome;
    assert_ok(run_observed("run", rough(), 0, RUN_NEW, &outcome, NULL));
    const size_t last = losses_of(losses, "run/log.jsonl"), best = lowest(losses, last);
    ck_assert_uint_eq(last, 16);
    /* The data of this test: the best is neither the first nor the last, and is not among the newest checkpoints. */
    ck_assert(best > 1 && best < 12);
    ck_assert_uint_eq(outcome.best.step, best);
    ck_assert_double_eq(outcome.best.val_loss, losses[best]);
    ck_assert_uint_eq(outcome.best.since, last - best);
    ck_assert(!outcome.stopped_early);
    assert_best_is("run", best);
    ck_assert_uint_eq(directory_entries(temp_path("run")), 5);
}
END_TEST

/* Resumes after a stop at each step: best.safetensors, the checkpoints and their names are those of the whole run. */
START_TEST(test_best_survives_every_stop)
{
    assert_ok(run("whole", rough(), 0, RUN_NEW));
    for (size_t stop = 1; stop < 16; stop++) {
        RunOutcome outcome;
        double losses[64];
        test_label("stopped after step %zu", stop);
        assert_ok(run_observed("run", rough(), stop, RUN_OVERWRITE, &outcome, NULL));
        losses_of(losses, "run/log.jsonl");
        ck_assert_uint_eq(outcome.best.step, lowest(losses, stop));
        assert_ok(run("run", rough(), 0, RUN_RESUME));
        assert_same_bytes("whole/best.safetensors", "run/best.safetensors");
        assert_same_bytes("whole/checkpoint.safetensors", "run/checkpoint.safetensors");
    }
    test_label_end();
}
END_TEST

/* Likewise after a stop in the validation of each step, with a patience that ends the run before its last step. */
START_TEST(test_best_and_patience_survive_every_stop_in_a_validation)
{
    RunOutcome whole, outcome;
    RunLogEntry end, last;
    TrainerConfig config = rough();
    config.patience = 4;
    assert_ok(run_observed("whole", config, 0, RUN_NEW, &whole, &end));
    ck_assert(whole.stopped_early && end.step < 16);
    for (size_t stop = 1; stop <= end.step; stop++) {
        test_label("stopped in the validation after step %zu", stop);
        tiny_training_stop_in_validation("run", &config, stop);
        assert_ok(run_observed("run", config, 0, RUN_RESUME, &outcome, &last));
        ck_assert(outcome.stopped_early && last.step == end.step);
        ck_assert(outcome.best.step == whole.best.step && outcome.best.since == whole.best.since);
        assert_same_bytes("whole/best.safetensors", "run/best.safetensors");
        assert_same_bytes("whole/checkpoint.safetensors", "run/checkpoint.safetensors");
        assert_same_log("whole/log.jsonl", "run/log.jsonl");
    }
    test_label_end();
}
END_TEST

/* A kill after the checkpoint was replaced, and before best.safetensors was: resuming makes the link. */
START_TEST(test_best_is_linked_after_a_kill)
{
    double losses[64];
    RunOutcome outcome;
    assert_ok(run("run", rough(), 0, RUN_NEW));
    const size_t best = lowest(losses, losses_of(losses, "run/log.jsonl"));
    for (int has_older = 0; has_older < 2; has_older++) {
        test_label("with%s an older best.safetensors", has_older ? "" : "out");
        assert_ok(run("killed", rough(), best, RUN_OVERWRITE));
        assert_ok(run("older", rough(), best - 1, RUN_OVERWRITE));
        assert_ok(file_remove(temp_path("killed/best.safetensors")));
        if (has_older) {
            char older[512];
            snprintf(older, sizeof older, "%s", temp_path("older/best.safetensors"));
            assert_ok(file_link(older, temp_path("killed/best.safetensors")));
        }
        /* Also if the run has nothing left to do. */
        assert_ok(run_observed("killed", rough(), best, RUN_RESUME, &outcome, NULL));
        ck_assert_uint_eq(outcome.best.step, best);
        assert_same_bytes("killed/checkpoint.safetensors", "killed/best.safetensors");
        assert_ok(run("killed", rough(), 0, RUN_RESUME));
        assert_same_bytes("run/best.safetensors", "killed/best.safetensors");
    }
    test_label_end();
}
END_TEST

/* An older program has left no best.safetensors. The best of the checkpoints that are still there takes its place. */
START_TEST(test_best_of_the_checkpoints_that_exist)
{
    double losses[64];
    RunOutcome outcome;
    TrainerConfig config = rough();
    config.keep = 4;
    assert_ok(run("run", config, 0, RUN_NEW));
    losses_of(losses, "run/log.jsonl");
    size_t steps[8] = {0}, best = 16;
    const size_t kept = run_directory_kept(steps, 8, temp_path("run"));
    ck_assert_uint_eq(kept, 3);
    for (size_t i = 0; i < kept; i++)
        best = losses[steps[i]] < losses[best] ? steps[i] : best;
    ck_assert_uint_ne(best, 16);
    assert_ok(file_remove(temp_path("run/best.safetensors")));
    assert_ok(run_observed("run", config, 0, RUN_RESUME, &outcome, NULL));
    ck_assert_uint_eq(outcome.best.step, best);
    assert_best_is("run", best);
    /* A file that is no checkpoint counts as none. */
    assert_ok(
        file_remove(temp_path("run/best.safetensors"))); /* writing would change the checkpoint that it links to */
    write_file(temp_path("run/best.safetensors"), "none", 4);
    assert_ok(run_observed("run", config, 0, RUN_RESUME, &outcome, NULL));
    assert_best_is("run", best);
}
END_TEST

/* The user returns to a checkpoint before the best one: the best one is kept until its step is computed again. */
START_TEST(test_going_back_before_the_best)
{
    double losses[64];
    char later[256];
    TrainerConfig config = rough();
    assert_ok(run("run", config, 0, RUN_NEW));
    const size_t best = lowest(losses, losses_of(losses, "run/log.jsonl"));
    assert_ok(run("early", config, best - 1, RUN_NEW));
    LoadedFile file;
    assert_ok(file_load(&file, temp_path("early/checkpoint.safetensors")));
    write_file(temp_path("run/checkpoint.safetensors"), file.data, file.size);
    file_unload(&file);
    assert_ok(run("run", config, best - 1, RUN_RESUME));
    snprintf(later, sizeof later, "run/checkpoint-step-%zu.safetensors", best);
    ck_assert(exists(later));
    assert_best_is("run", lowest(losses, best - 1));
    assert_ok(run("run", config, 0, RUN_RESUME));
    ck_assert(!exists(later));
    assert_best_is("run", best);
}
END_TEST

START_TEST(test_a_run_without_validation_has_no_best)
{
    TrainerConfig config = rough();
    RunOutcome outcome;
    config.val_batches = 0;
    assert_ok(run_observed("run", config, 0, RUN_NEW, &outcome, NULL));
    ck_assert_uint_eq(outcome.best.step, 0);
    ck_assert(!exists("run/best.safetensors"));
}
END_TEST

START_TEST(test_a_loss_that_is_not_finite_is_never_the_best)
{
    RunBest best = run_best_none();
    ck_assert(!run_best_validated(&best, (double)NAN));
    ck_assert(!run_best_validated(&best, (double)INFINITY));
    ck_assert(!run_best_validated(&best, -(double)INFINITY));
    ck_assert_uint_eq(best.since, 3);
    ck_assert(run_best_validated(&best, 2.5));
    run_best_saved(&best, 4, 2.5);
    ck_assert(best.step == 4 && best.since == 0);
    ck_assert(!run_best_validated(&best, 2.5));
    ck_assert(!run_best_validated(&best, 2.5 - 1e-10)); /* the log writes both as 2.5 */
    ck_assert(run_best_validated(&best, 2.5 - 1e-8));
}
END_TEST

/* ---- patience ---- */

/* The step at which `patience` validations in a row have brought no lower loss; 0 if that never happens. */
static size_t end_by_hand(const double losses[64], size_t last, size_t patience)
{
    size_t best = 0;
    for (size_t step = 1; step <= last; step++) {
        if (best == 0 || losses[step] < losses[best])
            best = step;
        else if (step - best == patience)
            return step;
    }
    return 0;
}

START_TEST(test_patience_stops_the_run)
{
    double losses[64];
    RunOutcome outcome;
    RunLogEntry last;
    TrainerConfig config = rough();
    assert_ok(run("run", config, 0, RUN_NEW));
    const size_t steps = losses_of(losses, "run/log.jsonl");
    for (size_t patience = 1; patience <= 3; patience++) {
        const size_t end = end_by_hand(losses, steps, patience);
        test_label("patience %zu, end at step %zu", patience, end);
        ck_assert(end > 0 && end < steps);
        config.patience = patience;
        assert_ok(run_observed("early", config, 0, RUN_OVERWRITE, &outcome, &last));
        ck_assert(outcome.stopped_early);
        ck_assert_uint_eq(last.step, end);
        ck_assert_uint_eq(outcome.best.since, patience);
        assert_best_is("early", lowest(losses, end));
        assert_ok(run("reference", rough(), end, RUN_OVERWRITE));
        assert_same_bytes("reference/checkpoint.safetensors", "early/checkpoint.safetensors");
        /* A run that resumes goes on counting: stopped one step earlier, it ends at the same step. */
        assert_ok(run("halves", config, end - 1, RUN_OVERWRITE));
        assert_ok(run_observed("halves", config, 0, RUN_RESUME, &outcome, &last));
        ck_assert(outcome.stopped_early && last.step == end);
        assert_same_bytes("early/checkpoint.safetensors", "halves/checkpoint.safetensors");
        /* It does not go on by itself, but with more patience. */
        assert_ok(run_observed("early", config, 0, RUN_RESUME, &outcome, &last));
        ck_assert(outcome.stopped_early && last.step == end && last.tokens == 0);
        config.patience = 0;
        assert_ok(run_observed("early", config, 0, RUN_RESUME, &outcome, &last));
        ck_assert(!outcome.stopped_early);
        ck_assert_uint_eq(last.step, steps);
        assert_same_bytes("run/checkpoint.safetensors", "early/checkpoint.safetensors");
        assert_same_bytes("run/best.safetensors", "early/best.safetensors");
    }
    test_label_end();
}
END_TEST

/* ---- the log ---- */

START_TEST(test_validations_of_a_log)
{
    static const char log[] = "{\"step\":1,\"seconds\":1,\"val_loss\":2.5}\n{\"step\":2,\"seconds\":1}\n"
                              "damaged\n{\"step\":3,\"seconds\":1,\"val_loss\":null}\n"
                              "{\"step\":4,\"seconds\":1,\"val_loss\":1}\n{\"step\":5,\"seconds\":1,\"val_loss\":0}";
    RunLogValidations list;
    write_file(temp_path("log.jsonl"), log, sizeof log - 1);
    assert_ok(run_log_validations(&list, temp_path("log.jsonl"), 9));
    ck_assert_uint_eq(list.count, 3);
    ck_assert_uint_eq(list.last_step, 4);
    ck_assert(list.items[0].step == 1 && list.items[1].step == 3 && list.items[2].step == 4);
    ck_assert_double_eq(list.items[0].val_loss, 2.5);
    ck_assert(isnan(list.items[1].val_loss));
    run_log_validations_deinit(&list);
    assert_ok(run_log_validations(&list, temp_path("log.jsonl"), 3));
    ck_assert_uint_eq(list.count, 2);
    run_log_validations_deinit(&list);
    run_log_validations_deinit(&list);
    assert_ok(run_log_validations(&list, temp_path("nowhere"), 9));
    ck_assert_uint_eq(list.count, 0);
    ck_assert_uint_eq(list.last_step, 0);
}
END_TEST

static Status restore(void *context)
{
    RunDirectory directory;
    RunBest best;
    (void)context;
    Status s = run_directory_open(&directory, temp_path("run"), RUN_RESUME);
    if (!s)
        s = run_best_restore(&best, &directory, 4);
    if (!s)
        s = run_directory_retire_best(&directory, 9);
    run_directory_close(&directory);
    return s;
}

START_TEST(test_restoring_the_best_without_memory)
{
    assert_ok(run("run", rough(), 4, RUN_NEW));
    assert_allocation_failures_are_clean(restore, NULL);
    ck_assert(exists("run/checkpoint-step-9.safetensors"));
}
END_TEST

const TestCase run_best_tests[] = {
    TEST(test_best_is_the_lowest_validation_of_the_log, "checkpointing"),
    TEST(test_best_survives_every_stop, "checkpointing"),
    TEST(test_best_and_patience_survive_every_stop_in_a_validation, "checkpointing"),
    TEST(test_best_is_linked_after_a_kill, "checkpointing"),
    TEST(test_best_of_the_checkpoints_that_exist, "checkpointing"),
    TEST(test_going_back_before_the_best, "checkpointing"),
    TEST(test_a_run_without_validation_has_no_best, "checkpointing"),
    TEST(test_a_loss_that_is_not_finite_is_never_the_best, "checkpointing"),
    TEST(test_patience_stops_the_run, "training_together"),
    TEST(test_validations_of_a_log, "experiment_log"),
    TEST(test_restoring_the_best_without_memory, "checkpointing"),
    {0},
};
