/* Tests the directory of a run: existing runs, kept checkpoints, locks, and leftovers of killed processes. */
#define _POSIX_C_SOURCE 200809L
#include "core/directory.h"
#include "core/file.h"
#include "core/json.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tests/support/tiny_lm.h"
#include "tests/support/tiny_training.h"
#include "train/model_checkpoint.h"
#include "train/run_directory.h"
#include "train/trainer_checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void assert_same_bytes(const char *a, const char *b)
{
    LoadedFile file;
    assert_ok(file_load(&file, temp_path(a)));
    assert_file_holds(temp_path(b), file.data, file.size);
    file_unload(&file);
}

static bool exists(const char *name)
{
    return access(temp_path(name), F_OK) == 0;
}

static Status run(const char *directory, TrainerConfig config, size_t stop_at, RunStart start)
{
    config.stop_at = stop_at;
    return tiny_training_run(directory, &config, start, NULL);
}

static TrainerConfig keeping(size_t keep)
{
    TrainerConfig config = tiny_training_config();
    config.checkpoint_every = 2;
    config.keep = keep;
    return config;
}

/* ---- an existing run ---- */

START_TEST(test_a_new_run_does_not_touch_an_old_one)
{
    const TrainerConfig config = tiny_training_config();
    assert_ok(run("old", config, 0, RUN_NEW));
    assert_ok(run("copy", config, 0, RUN_NEW));
    LoadedFile log;
    assert_ok(file_load(&log, temp_path("old/log.jsonl")));
    char message[1024];
    snprintf(message, sizeof message, "%s contains a training run: --resume continues it, --overwrite deletes it",
             temp_path("old"));
    assert_fails(run("old", config, 0, RUN_NEW), CS336_EIO, message);
    assert_fails(run_directory_check(temp_path("old"), RUN_NEW), CS336_EIO, message);
    assert_file_holds(temp_path("old/log.jsonl"), log.data, log.size);
    assert_same_bytes("old/checkpoint.safetensors", "copy/checkpoint.safetensors");
    ck_assert_uint_eq(directory_entries(temp_path("old")), 4);
    file_unload(&log);
    assert_ok(run_directory_check(temp_path("old"), RUN_RESUME));
    assert_ok(run_directory_check(temp_path("old"), RUN_OVERWRITE));
    assert_ok(run_directory_check(temp_path("nowhere"), RUN_NEW));
}
END_TEST

START_TEST(test_a_kept_checkpoint_or_a_log_alone_is_a_run_too)
{
    assert_ok(directory_make(temp_path("kept")));
    assert_ok(directory_make(temp_path("log")));
    write_file(temp_path("kept/checkpoint-step-3.safetensors"), "", 0);
    write_file(temp_path("log/log.jsonl"), "{}\n", 3);
    char message[1024];
    snprintf(message, sizeof message, "%s contains a training run: --resume continues it, --overwrite deletes it",
             temp_path("kept"));
    assert_fails(run_directory_check(temp_path("kept"), RUN_NEW), CS336_EIO, message);
    snprintf(message, sizeof message, "%s contains the log.jsonl of a run without a checkpoint: --overwrite deletes it",
             temp_path("log"));
    assert_fails(run_directory_check(temp_path("log"), RUN_NEW), CS336_EIO, message);
    write_file(temp_path("log/log.jsonl"), "", 0);
    assert_ok(run_directory_check(temp_path("log"), RUN_NEW));
    write_file(temp_path("log/config.json"), "{}", 2);
    snprintf(message, sizeof message,
             "%s contains the config.json of a run without a checkpoint: --overwrite deletes it", temp_path("log"));
    assert_fails(run_directory_check(temp_path("log"), RUN_NEW), CS336_EIO, message);
}
END_TEST

START_TEST(test_overwriting_leaves_nothing_of_the_old_run)
{
    assert_ok(run("run", keeping(4), 0, RUN_NEW));
    ck_assert_uint_eq(directory_entries(temp_path("run")), 7);
    assert_ok(run("run", keeping(1), 3, RUN_OVERWRITE));
    assert_ok(run("other", keeping(1), 3, RUN_NEW));
    ck_assert_uint_eq(directory_entries(temp_path("run")), 3); /* no validation yet, so no best.safetensors */
    assert_same_bytes("run/checkpoint.safetensors", "other/checkpoint.safetensors");
}
END_TEST

/* ---- --keep ---- */

START_TEST(test_the_last_checkpoints_are_kept)
{
    assert_ok(run("run", keeping(3), 0, RUN_NEW));
    ck_assert_uint_eq(directory_entries(temp_path("run")), 6);
    assert_ok(run("eight", keeping(1), 8, RUN_NEW));
    assert_ok(run("ten", keeping(1), 10, RUN_NEW));
    assert_same_bytes("run/checkpoint-step-8.safetensors", "eight/checkpoint.safetensors");
    assert_same_bytes("run/checkpoint-step-10.safetensors", "ten/checkpoint.safetensors");
    size_t steps[3] = {0};
    ck_assert_uint_eq(run_directory_kept(steps, 3, temp_path("run")), 2);
    ck_assert(steps[0] == 8 && steps[1] == 10);
    ck_assert_uint_eq(run_directory_kept(steps, 3, temp_path("eight")), 0);
    ck_assert_uint_eq(run_directory_kept(steps, 3, temp_path("nowhere")), 0);
    /* A smaller --keep removes checkpoints at once, but no file whose name only resembles one. */
    write_file(temp_path("run/checkpoint-step-08.safetensors"), "mine", 4);
    write_file(temp_path("run/checkpoint-step-1.safetensors.old"), "mine", 4);
    write_file(temp_path("run/checkpoint-step-best.safetensors"), "mine", 4);
    assert_ok(run("run", keeping(2), 0, RUN_RESUME));
    ck_assert(!exists("run/checkpoint-step-8.safetensors"));
    ck_assert_uint_eq(directory_entries(temp_path("run")), 5 + 3);
}
END_TEST

START_TEST(test_going_back_to_a_kept_checkpoint)
{
    assert_ok(run("whole", keeping(3), 0, RUN_NEW));
    assert_ok(run("run", keeping(3), 0, RUN_NEW));
    ck_assert_int_eq(rename(temp_path("run/checkpoint-step-8.safetensors"), temp_path("run/checkpoint.safetensors")),
                     0);
    /* Checkpoints of later steps stay until the run has computed these steps again. */
    assert_ok(run("run", keeping(3), 9, RUN_RESUME));
    ck_assert(exists("run/checkpoint-step-10.safetensors"));
    ck_assert(exists("run/checkpoint-step-8.safetensors"));
    assert_ok(run("run", keeping(3), 0, RUN_RESUME));
    assert_same_bytes("run/checkpoint.safetensors", "whole/checkpoint.safetensors");
    assert_same_bytes("run/best.safetensors", "whole/best.safetensors");
    ck_assert_uint_eq(directory_entries(temp_path("run")), 6);
}
END_TEST

/* A kill after the newest checkpoint got its second name, or before the oldest one was removed, leaves a file too many.
 */
START_TEST(test_a_checkpoint_too_many_goes_when_the_run_goes_on)
{
    assert_ok(run("run", keeping(1), 4, RUN_NEW));
    assert_ok(file_link(temp_path("run/checkpoint.safetensors"), temp_path("run/checkpoint-step-4.safetensors")));
    assert_ok(file_link(temp_path("run/checkpoint.safetensors"), temp_path("run/checkpoint-step-2.safetensors")));
    assert_ok(run("run", keeping(2), 4, RUN_RESUME));
    ck_assert(!exists("run/checkpoint-step-4.safetensors"));
    ck_assert(exists("run/checkpoint-step-2.safetensors"));
}
END_TEST

/* ---- one process at a time ---- */

START_TEST(test_a_directory_has_one_writer)
{
    RunDirectory first, second;
    assert_ok(run_directory_open(&first, temp_path("run"), RUN_NEW));
    char message[1024];
    snprintf(message, sizeof message, "%s: another process is writing to this directory", temp_path("run"));
    assert_fails(run_directory_open(&second, temp_path("run"), RUN_OVERWRITE), CS336_EIO, message);
    run_directory_close(&second);
    run_directory_close(&first);
    assert_ok(run_directory_open(&second, temp_path("run"), RUN_OVERWRITE));
    run_directory_close(&second);
    run_directory_close(&second);
}
END_TEST

/* ---- leftovers ---- */

START_TEST(test_leftovers_of_killed_processes_go)
{
    const TrainerConfig config = tiny_training_config();
    assert_ok(run("run", config, 5, RUN_NEW));
    write_file(temp_path("run/checkpoint.safetensors.cs336-tmp-aB3xY9"), "half", 4);
    write_file(temp_path("run/config.json.cs336-tmp-zzzzzz"), "half", 4);
    write_file(temp_path("run/notes.cs336-tmp-"), "mine", 4);
    write_file(temp_path("run/checkpoint.safetensors.backup"), "mine", 4);
    FileWriter living;
    assert_ok(file_create(&living, temp_path("run/checkpoint.safetensors")));
    assert_ok(run("run", config, 0, RUN_RESUME));
    ck_assert(!exists("run/checkpoint.safetensors.cs336-tmp-aB3xY9"));
    ck_assert(!exists("run/config.json.cs336-tmp-zzzzzz"));
    ck_assert(exists("run/notes.cs336-tmp-"));
    ck_assert_uint_eq(directory_entries(temp_path("run")), 4 + 2 + 1);
    file_abandon(&living);
    ck_assert_uint_eq(directory_entries(temp_path("run")), 4 + 2);
}
END_TEST

/* Any writer removes the leftovers of its own target, but not those of other targets or of living writers. */
START_TEST(test_a_writer_removes_the_leftovers_of_its_target)
{
    const char *directory = temp_directory("out");
    write_file(temp_path("out/file.cs336-tmp-123456"), "half", 4);
    write_file(temp_path("out/other.cs336-tmp-123456"), "half", 4);
    FileWriter first, second;
    assert_ok(file_create(&first, temp_path("out/file")));
    ck_assert(!exists("out/file.cs336-tmp-123456"));
    assert_ok(file_create(&second, temp_path("out/file")));
    ck_assert_uint_eq(directory_entries(directory), 3);
    assert_ok(file_write(&first, "first", 5));
    assert_ok(file_write(&second, "second", 6));
    assert_ok(file_commit(&second));
    assert_ok(file_commit(&first));
    assert_file_holds(temp_path("out/file"), "first", 5);
    ck_assert(exists("out/other.cs336-tmp-123456"));
    ck_assert_uint_eq(directory_entries(directory), 2);
}
END_TEST

/* ---- numbers that are not finite ---- */

START_TEST(test_weights_that_are_not_finite_are_not_saved)
{
    const TrainerConfig config = tiny_training_config();
    const float bad[] = {NAN, INFINITY, -INFINITY};
    TinyTraining tiny;
    assert_ok(tiny_training_init(&tiny, &config));
    char path[512], message[1024];
    snprintf(path, sizeof path, "%s", temp_path("checkpoint.safetensors"));
    assert_ok(trainer_save(&tiny.trainer, path));
    LoadedFile good;
    assert_ok(file_load(&good, path));
    const ParameterList parameters = tiny.trainer.parameters;
    const Parameter *last = &parameters.items[parameters.count - 1];
    Tensor const tensors[] = {last->value, last->first_moment, last->second_moment};
    const char *const prefixes[] = {"", "optimizer.first_moment.", "optimizer.second_moment."};
    for (size_t i = 0; i < 3; i++) {
        const size_t index = tensor_count(tensors[i]) - 1 - i;
        const float before = tensors[i].data[index];
        tensors[i].data[index] = bad[i];
        test_label("%s%s", prefixes[i], last->name);
        snprintf(message, sizeof message,
                 "%s: not written: number %zu of %s%s is %g, expected finite numbers; a lower learning rate may help",
                 path, index, prefixes[i], last->name, (double)bad[i]);
        assert_fails(trainer_save(&tiny.trainer, path), CS336_ERANGE, message);
        assert_file_holds(path, good.data, good.size);
        tensors[i].data[index] = before;
    }
    test_label_end();
    tensors[0].data[0] = 3e38F; /* large, but finite */
    assert_ok(trainer_save(&tiny.trainer, path));
    file_unload(&good);
    tiny_training_deinit(&tiny);
}
END_TEST

typedef struct {
    size_t validations, not_finite;
} Losses;

static void count_losses(void *context, const RunLogEntry *entry, bool logged)
{
    Losses *losses = context;
    (void)logged;
    losses->validations += entry->validated;
    losses->not_finite += entry->validated && !isfinite(entry->val_loss);
}

/* The embedding of a token that only the validation file contains overflows. Training continues; the log has nulls. */
START_TEST(test_a_validation_loss_that_is_not_finite_is_logged)
{
    enum { RARE = 11 };
    TrainerConfig config = tiny_training_config();
    config.model.norm = NORM_NONE;
    TinyTraining tiny;
    assert_ok(tiny_training_init(&tiny, &config));
    trainer_deinit(&tiny.trainer);
    token_file_close(&tiny.val);
    uint16_t ids[60] = {0};
    for (size_t i = 0; i < 60; i += 2)
        ids[i] = RARE;
    write_file(temp_path("val.bin"), ids, sizeof ids);
    assert_ok(token_file_open(&tiny.val, temp_path("val.bin"), config.model.vocab_size));
    assert_ok(trainer_init(&tiny.trainer, &config, &tiny.train, &tiny.val));
    tensor_fill(tensor_slice(tiny.trainer.lm.token_embeddings.weight, 0, RARE, 1), 1e38F);
    Losses losses = {0};
    RunLogEntry last;
    const TrainerObserver observer = {.step = count_losses, .context = &losses};
    assert_ok(trainer_run(&tiny.trainer, temp_path("run"), RUN_NEW, &observer, &last));
    ck_assert_uint_eq(losses.validations, 3);
    ck_assert_uint_eq(losses.not_finite, 3);
    FILE *log = fopen(temp_path("run/log.jsonl"), "rb");
    ck_assert_ptr_nonnull(log);
    char line[1024];
    size_t nulls = 0;
    while (fgets(line, sizeof line, log)) {
        json_t *entry;
        assert_ok(json_parse(&entry, line, strlen(line), "log.jsonl"));
        nulls += json_is_null(json_object_get(entry, "val_loss"));
        json_decref(entry);
    }
    ck_assert_uint_eq(nulls, 3);
    fclose(log);
    tiny_training_deinit(&tiny);
}
END_TEST

/* Settings that become 0 or infinite in float32 are refused, although they are fine in double precision. */
START_TEST(test_optimizer_settings_are_checked_in_float32)
{
    TrainerConfig config = tiny_training_config();
    config.adamw.eps = 1e-50;
    assert_fails(trainer_check(&config), CS336_ERANGE,
                 "trainer_check: eps 1e-50, weight decay 0.1, expected eps > 0 and decay >= 0 in float32");
    config = tiny_training_config();
    config.adamw.weight_decay = 1e39;
    assert_fails(trainer_check(&config), CS336_ERANGE,
                 "trainer_check: eps 1e-08, weight decay 1e+39, expected eps > 0 and decay >= 0 in float32");
}
END_TEST

const TestCase run_directory_tests[] = {
    TEST(test_a_new_run_does_not_touch_an_old_one, "training_together"),
    TEST(test_a_kept_checkpoint_or_a_log_alone_is_a_run_too, "training_together"),
    TEST(test_overwriting_leaves_nothing_of_the_old_run, "training_together"),
    TEST(test_the_last_checkpoints_are_kept, "checkpointing"),
    TEST(test_going_back_to_a_kept_checkpoint, "checkpointing"),
    TEST(test_a_checkpoint_too_many_goes_when_the_run_goes_on, "checkpointing"),
    TEST(test_a_directory_has_one_writer, "training_together"),
    TEST(test_leftovers_of_killed_processes_go, "checkpointing"),
    TEST(test_a_writer_removes_the_leftovers_of_its_target, "file"),
    TEST(test_weights_that_are_not_finite_are_not_saved, "checkpointing"),
    TEST(test_a_validation_loss_that_is_not_finite_is_logged, "training_together"),
    TEST(test_optimizer_settings_are_checked_in_float32, "training_together"),
    {0},
};
