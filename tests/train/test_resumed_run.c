/* Runs that are resumed after a stop or a failure: their checkpoints and logs. */
#define _POSIX_C_SOURCE 200809L
#include "core/directory.h"
#include "core/file.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tests/support/tiny_training.h"
#include "train/model_checkpoint.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

START_TEST(test_resumed_run_equals_an_uninterrupted_one)
{
    TrainerConfig config = tiny_training_config();
    assert_ok(tiny_training_run("whole", &config, RUN_OVERWRITE, NULL));
    const size_t stops[] = {1, 5, 11};
    for (size_t i = 0; i < 3; i++) {
        test_label("stopped after step %zu", stops[i]);
        config.stop_at = stops[i];
        assert_ok(tiny_training_run("resumed", &config, RUN_OVERWRITE, NULL));
        config.stop_at = 0;
        assert_ok(tiny_training_run("resumed", &config, RUN_RESUME, NULL));
        assert_same_file("whole/checkpoint.safetensors", "resumed/checkpoint.safetensors");
        assert_same_log("whole/log.jsonl", "resumed/log.jsonl");
        assert_same_file("whole/config.json", "resumed/config.json");
    }
}
END_TEST

/* The pieces of a batch are no part of a run: they change the memory that it needs and only the rounding of its
 * numbers.
 */
START_TEST(test_resumed_run_may_change_its_pieces)
{
    TrainerConfig config = tiny_training_config();
    config.adamw.eps = 1e-4; /* so that rounding is not enlarged where gradients are tiny */
    assert_ok(tiny_training_run("whole", &config, RUN_OVERWRITE, NULL));
    config.stop_at = 5;
    assert_ok(tiny_training_run("resumed", &config, RUN_OVERWRITE, NULL));
    config.stop_at = 0;
    config.grad_accum = 3;
    assert_ok(tiny_training_run("resumed", &config, RUN_RESUME, NULL));
    TrainedModel whole, resumed;
    assert_ok(trained_model_load(&whole, temp_path("whole/checkpoint.safetensors")));
    assert_ok(trained_model_load(&resumed, temp_path("resumed/checkpoint.safetensors")));
    assert_allclose_tensor("lm_head", resumed.lm.lm_head.weight, whole.lm.lm_head.weight, 1e-5, 1e-5);
    trained_model_deinit(&whole);
    trained_model_deinit(&resumed);
}
END_TEST

START_TEST(test_resumed_run_goes_on_counting_its_seconds)
{
    static const char line[] = "{\"step\":1,\"seconds\":5000.5}\n";
    TrainerConfig config = tiny_training_config();
    config.stop_at = 1;
    assert_ok(tiny_training_run("run", &config, RUN_OVERWRITE, NULL));
    write_file(temp_path("run/log.jsonl"), line, sizeof line - 1);
    config.stop_at = 2;
    TinyTraining tiny;
    RunLogEntry last;
    assert_ok(tiny_training_init(&tiny, &config));
    assert_ok(trainer_run(&tiny.trainer, temp_path("run"), RUN_RESUME, NULL, &last));
    ck_assert_uint_eq(last.step, 2);
    ck_assert_double_gt(last.seconds, 5000.5);
    ck_assert_double_lt(last.seconds, 5100);
    tiny_training_deinit(&tiny);
}
END_TEST

START_TEST(test_run_that_ended_does_not_go_on)
{
    const TrainerConfig config = tiny_training_config();
    assert_ok(tiny_training_run("whole", &config, RUN_OVERWRITE, NULL));
    assert_ok(tiny_training_run("again", &config, RUN_OVERWRITE, NULL));
    assert_ok(tiny_training_run("again", &config, RUN_RESUME, NULL));
    assert_same_file("whole/checkpoint.safetensors", "again/checkpoint.safetensors");
    assert_same_log("whole/log.jsonl", "again/log.jsonl");
}
END_TEST

typedef struct {
    atomic_int stop;
    size_t at, last;
} Interruption;

static void interrupt(void *context, const RunLogEntry *entry, bool logged)
{
    Interruption *interruption = context;
    (void)logged;
    interruption->last = entry->step;
    if (entry->step == interruption->at)
        atomic_store(&interruption->stop, 1);
}

START_TEST(test_run_stops_when_asked_and_resumes)
{
    const TrainerConfig config = tiny_training_config();
    assert_ok(tiny_training_run("whole", &config, RUN_OVERWRITE, NULL));
    Interruption interruption = {.at = 7};
    const TrainerObserver observer = {.step = interrupt, .context = &interruption, .stop = &interruption.stop};
    assert_fails(tiny_training_run("resumed", &config, RUN_OVERWRITE, &observer), CS336_EINTERRUPTED,
                 "stopped after step 7 of 12");
    ck_assert_uint_eq(interruption.last, 7);
    assert_ok(tiny_training_run("resumed", &config, RUN_RESUME, NULL));
    assert_same_file("whole/checkpoint.safetensors", "resumed/checkpoint.safetensors");
    assert_same_log("whole/log.jsonl", "resumed/log.jsonl");
    interruption = (Interruption){.at = TINY_STEPS};
    assert_ok(tiny_training_run("too_late", &config, RUN_OVERWRITE, &observer));
    assert_same_file("whole/checkpoint.safetensors", "too_late/checkpoint.safetensors");
}
END_TEST

/* ---- a stop in a validation ---- */

/* The validation is left again before it is done, and then done by a run that stops after it or goes on. */
START_TEST(test_validation_that_was_left_is_done_again)
{
    TrainerConfig config = tiny_training_config();
    config.log_norms = true;
    assert_ok(tiny_training_run("whole", &config, RUN_OVERWRITE, NULL));
    const size_t stops[] = {4, 8, TINY_STEPS};
    for (size_t i = 0; i < 6; i++) {
        const size_t at = stops[i / 2];
        const bool in_between = i % 2;
        test_label("left after step %zu, then resumed %s", at, in_between ? "up to this step" : "to the end");
        config.stop_at = at;
        assert_ok(tiny_training_run("part", &config, RUN_OVERWRITE, NULL));
        tiny_training_stop_in_validation("run", &config, at);
        assert_same_file("part/checkpoint.safetensors", "run/checkpoint.safetensors");
        tiny_training_leave_validation("run", &config, RUN_RESUME, at);
        if (in_between) {
            assert_ok(tiny_training_run("run", &config, RUN_RESUME, NULL));
            assert_same_file("part/checkpoint.safetensors", "run/checkpoint.safetensors");
            assert_same_file("part/best.safetensors", "run/best.safetensors");
            assert_same_log("part/log.jsonl", "run/log.jsonl");
        }
        config.stop_at = 0;
        assert_ok(tiny_training_run("run", &config, RUN_RESUME, NULL));
        assert_same_file("whole/checkpoint.safetensors", "run/checkpoint.safetensors");
        assert_same_file("whole/best.safetensors", "run/best.safetensors");
        assert_same_file("whole/config.json", "run/config.json");
        assert_same_log("whole/log.jsonl", "run/log.jsonl");
    }
}
END_TEST

static void *set_later(void *flag)
{
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    atomic_store((atomic_int *)flag, 1);
    return NULL;
}

/* The validation has so many batches that only the stop ends it. Whenever the flag is set, step 4 is the one. */
START_TEST(test_stop_leaves_a_long_validation)
{
    TrainerConfig config = tiny_training_config(), endless = config;
    atomic_int asked = 0;
    const TrainerObserver observer = {.stop = &asked};
    pthread_t thread;
    endless.val_batches = 1000000000;
    assert_ok(tiny_training_run("whole", &config, RUN_OVERWRITE, NULL));
    config.stop_at = 3;
    assert_ok(tiny_training_run("run", &config, RUN_OVERWRITE, NULL));
    config.stop_at = 0;
    ck_assert_int_eq(pthread_create(&thread, NULL, set_later, &asked), 0);
    assert_fails(tiny_training_run("run", &endless, RUN_RESUME, &observer), CS336_EINTERRUPTED,
                 "stopped in the validation after step 4 of 12, which resuming does again");
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    assert_ok(tiny_training_run("run", &config, RUN_RESUME, NULL));
    assert_same_file("whole/checkpoint.safetensors", "run/checkpoint.safetensors");
    assert_same_file("whole/best.safetensors", "run/best.safetensors");
    assert_same_log("whole/log.jsonl", "run/log.jsonl");
}
END_TEST

static void take_entry(void *context, const RunLogEntry *entry, bool logged)
{
    ck_assert(logged);
    *(RunLogEntry *)context = *entry;
}

/* What the observer and the caller get of a validation that is all that the run had left to do. */
START_TEST(test_owed_validation_is_reported_with_the_numbers_of_its_step)
{
    const TrainerConfig config = tiny_training_config();
    TinyTraining tiny;
    RunLogEntry whole, last, seen = {0};
    assert_ok(tiny_training_init(&tiny, &config));
    assert_ok(trainer_run(&tiny.trainer, temp_path("whole"), RUN_NEW, NULL, &whole));
    tiny_training_deinit(&tiny);
    tiny_training_stop_in_validation("run", &config, TINY_STEPS);
    RunOutcome outcome;
    const TrainerObserver observer = {.step = take_entry, .context = &seen, .outcome = &outcome};
    assert_ok(tiny_training_init(&tiny, &config));
    assert_ok(trainer_run(&tiny.trainer, temp_path("run"), RUN_RESUME, &observer, &last));
    tiny_training_deinit(&tiny);
    ck_assert(last.validated && last.step == TINY_STEPS && last.tokens == whole.tokens);
    ck_assert_double_eq(last.val_loss, whole.val_loss);
    ck_assert_double_eq(last.lr, whole.lr);
    ck_assert_double_eq(last.train_loss, run_log_rounded(whole.train_loss));
    ck_assert_double_eq(last.grad_norm, run_log_rounded(whole.grad_norm));
    ck_assert_double_gt(last.tokens_per_second, 0);
    ck_assert_int_eq(memcmp(&seen, &last, sizeof last), 0);
    ck_assert(!outcome.owes_validation && outcome.best.step > 0);
}
END_TEST

/* The disk is full when the line of the log is completed: the old line stays, and the validation is still owed. */
START_TEST(test_owed_validation_that_cannot_be_recorded_stays_owed)
{
    const TrainerConfig config = tiny_training_config();
    assert_ok(tiny_training_run("whole", &config, RUN_OVERWRITE, NULL));
    tiny_training_stop_in_validation("run", &config, TINY_STEPS);
    Status s = CS336_EIO;
    for (size_t n = 1; s; n++) {
        test_label("write %zu failed", n);
        file_fail_at(n);
        s = tiny_training_run("run", &config, RUN_RESUME, NULL);
        file_fail_at(0);
        ck_assert(s == CS336_OK || s == CS336_EIO);
        ck_assert_uint_eq(directory_entries(temp_path("run")), 4);
    }
    test_label_end();
    assert_same_file("whole/best.safetensors", "run/best.safetensors");
    assert_same_log("whole/log.jsonl", "run/log.jsonl");
}
END_TEST

/* The disk is full when the second checkpoint is written. The first one stays intact, and the run resumes from it. */
START_TEST(test_full_disk_keeps_the_checkpoint)
{
    TrainerConfig config = tiny_training_config();
    assert_ok(tiny_training_run("whole", &config, RUN_OVERWRITE, NULL));
    config.stop_at = 5;
    assert_ok(tiny_training_run("resumed", &config, RUN_OVERWRITE, NULL));
    assert_ok(tiny_training_run("five", &config, RUN_OVERWRITE, NULL));
    config.stop_at = 0;
    config.log_every = 100;
    config.val_every = 0;
    config.steps = 11; /* step 10 saves a checkpoint, and no line of the log is written before it */
    TinyTraining tiny;
    assert_ok(tiny_training_init(&tiny, &config));
    RunLogEntry last;
    char message[2048];
    snprintf(message, sizeof message, "%s/checkpoint.safetensors: cannot write: No space left on device",
             temp_path("resumed"));
    /* Fail each write in turn. Those of config.json come first; the test ends at the first write of the checkpoint. */
    Status s = CS336_OK;
    for (size_t n = 1; strcmp(status_message(), message) != 0; n++) {
        ck_assert_uint_lt(n, 1000);
        test_label("write %zu failed", n);
        file_fail_at(n);
        s = trainer_run(&tiny.trainer, temp_path("resumed"), RUN_RESUME, NULL, &last);
        ck_assert_int_eq(s, CS336_EIO);
        assert_same_file("five/checkpoint.safetensors", "resumed/checkpoint.safetensors");
    }
    file_fail_at(0);
    test_label_end();
    tiny_training_deinit(&tiny);
    config = tiny_training_config();
    assert_ok(tiny_training_run("resumed", &config, RUN_RESUME, NULL));
    assert_same_file("whole/checkpoint.safetensors", "resumed/checkpoint.safetensors");
    ck_assert_uint_eq(directory_entries(temp_path("resumed")), 4);
}
END_TEST

/* Fails each write of a run in turn, until that of its last checkpoint fails. `saved`: step of an earlier one, or 0. */
static void fail_last_checkpoint(size_t saved, const char *end)
{
    TrainerConfig config = tiny_training_config();
    config.checkpoint_every = config.val_batches = 0; /* the last checkpoint is the only one */
    char message[2048];
    snprintf(message, sizeof message, "step %d: %s/checkpoint.safetensors: cannot write: No space left on device; %s",
             TINY_STEPS, temp_path("run"), end);
    for (size_t n = 1; strcmp(status_message(), message) != 0; n++) {
        config.stop_at = saved;
        if (saved)
            assert_ok(tiny_training_run("run", &config, RUN_OVERWRITE, NULL));
        config.stop_at = 0;
        file_fail_at(n);
        ck_assert_msg(tiny_training_run("run", &config, saved ? RUN_RESUME : RUN_OVERWRITE, NULL) == CS336_EIO,
                      "write %zu: no message \"%s\"", n, message);
        file_fail_at(0);
    }
}

START_TEST(test_a_last_checkpoint_that_fails_says_what_remains)
{
    fail_last_checkpoint(0, "no checkpoint was saved");
    fail_last_checkpoint(5, "the newest checkpoint is of step 5, and --resume goes on from it");
}
END_TEST

START_TEST(test_checkpoint_of_another_run)
{
    TrainerConfig config = tiny_training_config();
    config.stop_at = 1;
    assert_ok(tiny_training_run("run", &config, RUN_OVERWRITE, NULL));
    TrainerConfig other = config;
    other.model.d_ff = 24;
    char path[512], nowhere[512];
    snprintf(path, sizeof path, "%s", temp_path("run/checkpoint.safetensors"));
    snprintf(nowhere, sizeof nowhere, "%s", temp_path("nowhere/checkpoint.safetensors"));
    char rest[64];
    snprintf(rest, sizeof rest, ": d_ff is %zu, expected 24", config.model.d_ff);
    assert_path_fails(tiny_training_run("run", &other, RUN_RESUME, NULL), CS336_EFORMAT, path, rest);
    other = config;
    other.batch_size = 4;
    assert_path_fails(tiny_training_run("run", &other, RUN_RESUME, NULL), CS336_EFORMAT, path,
                      ": batch_size is 3, expected 4");
    other = config;
    other.seed = 8;
    assert_path_fails(tiny_training_run("run", &other, RUN_RESUME, NULL), CS336_EFORMAT, path,
                      ": seed is 7, expected 8");
    assert_path_fails(tiny_training_run("nowhere", &config, RUN_RESUME, NULL), CS336_EIO, nowhere,
                      ": No such file or directory; to begin a run, leave out --resume");
    ck_assert_uint_eq(directory_entries(temp_path("run")), 3);
}
END_TEST

START_TEST(test_checkpoint_that_cannot_be_removed_stops_the_run)
{
    const TrainerConfig config = tiny_training_config();
    assert_ok(directory_make(temp_path("run/checkpoint.safetensors/full")));
    char path[512];
    snprintf(path, sizeof path, "%s", temp_path("run/checkpoint.safetensors"));
    assert_path_fails(tiny_training_run("run", &config, RUN_OVERWRITE, NULL), CS336_EIO, path,
                      ": expected a regular file, which the run can replace");
}
END_TEST

START_TEST(test_tied_run_resumes_as_a_tied_one)
{
    TrainerConfig config = tiny_training_config(), untied = config;
    config.model.tie_embeddings = true;
    assert_ok(tiny_training_run("whole", &config, RUN_OVERWRITE, NULL));
    config.stop_at = untied.stop_at = 5;
    assert_ok(tiny_training_run("tied", &config, RUN_OVERWRITE, NULL));
    assert_ok(tiny_training_run("untied", &untied, RUN_OVERWRITE, NULL));
    config.stop_at = untied.stop_at = 0;
    const char *tied_path = temp_path("tied/checkpoint.safetensors"),
               *untied_path = temp_path("untied/checkpoint.safetensors");
    assert_path_fails(tiny_training_run("tied", &untied, RUN_RESUME, NULL), CS336_EFORMAT, tied_path,
                      ": tie_embeddings is true, expected false");
    assert_path_fails(tiny_training_run("untied", &config, RUN_RESUME, NULL), CS336_EFORMAT, untied_path,
                      ": no tie_embeddings in its configuration, expected true");
    assert_ok(tiny_training_run("tied", &config, RUN_RESUME, NULL));
    assert_same_file("whole/checkpoint.safetensors", "tied/checkpoint.safetensors");
    /* The file has the matrix once, with its two moments. */
    SafetensorsFile file;
    assert_ok(safetensors_open(&file, temp_path("tied/checkpoint.safetensors")));
    size_t found = 0;
    for (size_t i = 0; i < file.count; i++) {
        ck_assert_ptr_null(strstr(file.entries[i].name, "lm_head"));
        found += strstr(file.entries[i].name, "token_embeddings.weight") != NULL;
    }
    ck_assert_uint_eq(found, 3);
    safetensors_close(&file);
}
END_TEST

const TestCase resumed_run_tests[] = {
    TEST(test_resumed_run_equals_an_uninterrupted_one, "training_together"),
    TEST(test_resumed_run_may_change_its_pieces, "training_together"),
    TEST(test_resumed_run_goes_on_counting_its_seconds, "training_together"),
    TEST(test_run_that_ended_does_not_go_on, "training_together"),
    TEST(test_run_stops_when_asked_and_resumes, "training_together"),
    TEST(test_validation_that_was_left_is_done_again, "training_together"),
    TEST(test_stop_leaves_a_long_validation, "training_together"),
    TEST(test_owed_validation_is_reported_with_the_numbers_of_its_step, "training_together"),
    TEST(test_owed_validation_that_cannot_be_recorded_stays_owed, "experiment_log"),
    TEST(test_a_last_checkpoint_that_fails_says_what_remains, "checkpointing"),
    TEST(test_full_disk_keeps_the_checkpoint, "training_together"),
    TEST(test_checkpoint_of_another_run, "training_together"),
    TEST(test_checkpoint_that_cannot_be_removed_stops_the_run, "training_together"),
    TEST(test_tied_run_resumes_as_a_tied_one, "training_together"),
    {0},
};
