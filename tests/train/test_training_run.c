/* Tests complete runs: their files, resuming after a stop, and failures that end them. */
#include "core/directory.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/tiny_lm.h"
#include "tests/support/tiny_training.h"
#include "train/model_checkpoint.h"
#include "train/run_config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void assert_same_file(const char *a, const char *b)
{
    LoadedFile file;
    assert_ok(file_load(&file, temp_path(a)));
    ck_assert_uint_gt(file.size, 0);
    assert_file_holds(temp_path(b), file.data, file.size);
    file_unload(&file);
}

/* Asserts that two logs are equal except for seconds and tokens_per_second, which depend on the clock. */
static void assert_same_log(const char *a, const char *b)
{
    FILE *one = fopen(temp_path(a), "rb"), *two = fopen(temp_path(b), "rb");
    ck_assert(one && two);
    char left[1024], right[1024];
    size_t lines = 0;
    while (fgets(left, sizeof left, one)) {
        ck_assert_msg(fgets(right, sizeof right, two) != NULL, "%s ends after %zu lines", b, lines);
        json_t *l, *r;
        assert_ok(json_parse(&l, left, strlen(left), a));
        assert_ok(json_parse(&r, right, strlen(right), b));
        ck_assert_int_eq(json_object_del(l, "seconds"), 0);
        ck_assert_int_eq(json_object_del(r, "seconds"), 0);
        ck_assert_int_eq(json_object_del(l, "tokens_per_second"), 0);
        ck_assert_int_eq(json_object_del(r, "tokens_per_second"), 0);
        ck_assert_msg(json_equal(l, r), "%s and %s differ: %s%s", a, b, left, right);
        json_decref(l);
        json_decref(r);
        lines++;
    }
    ck_assert_ptr_null(fgets(right, sizeof right, two));
    ck_assert_uint_gt(lines, 0);
    fclose(one);
    fclose(two);
}

/* True if the file contains the text. */
static bool contains(const LoadedFile *file, const char *text)
{
    const size_t length = strlen(text);
    for (size_t i = 0; i + length <= file->size; i++)
        if (memcmp(file->data + i, text, length) == 0)
            return true;
    return false;
}

static void check_config_file(const char *path, const TrainerConfig *config)
{
    const TransformerLMConfig *model = &config->model;
    const struct {
        const char *key;
        double value;
    } numbers[] = {{"vocab_size", (double)model->vocab_size},
                   {"context_length", (double)model->context_length},
                   {"d_model", (double)model->d_model},
                   {"num_layers", (double)model->num_layers},
                   {"num_heads", (double)model->num_heads},
                   {"d_ff", (double)model->d_ff},
                   {"rope_theta", (double)model->rope_theta},
                   {"norm_eps", (double)model->norm_eps},
                   {"batch_size", 3},
                   {"grad_accum", 1},
                   {"steps", TINY_STEPS},
                   {"lr", 0.01},
                   {"min_lr", 0.001},
                   {"warmup_steps", 2},
                   {"decay_steps", TINY_STEPS},
                   {"beta1", 0.9},
                   {"beta2", 0.95},
                   {"eps", 1e-8},
                   {"weight_decay", 0.1},
                   {"max_grad_norm", 1},
                   {"seed", 7},
                   {"log_every", 2},
                   {"val_every", 4},
                   {"val_batches", 2},
                   {"checkpoint_every", 5},
                   {"keep", 1},
                   {"patience", 0}};
    char train[512], val[512];
    snprintf(train, sizeof train, "%s", temp_path("train.bin"));
    snprintf(val, sizeof val, "%s", temp_path("val.bin"));
    const char *const names[][2] = {{"norm", "pre"},      {"position", "rope"}, {"ffn", "swiglu"},
                                    {"dtype", "float32"}, {"train", train},     {"val", val}};
    const struct {
        const char *key;
        bool value;
    } flags[] = {{"overfit_one_batch", config->overfit_one_batch},
                 {"no_decay_norms", config->no_decay_norms},
                 {"tie_embeddings", model->tie_embeddings},
                 {"log_norms", config->log_norms}};
    enum {
        NUMBERS = sizeof numbers / sizeof *numbers,
        NAMES = sizeof names / sizeof *names,
        FLAGS = sizeof flags / sizeof *flags
    };
    json_t *object;
    assert_ok(json_read(&object, path));
    for (size_t i = 0; i < NUMBERS; i++) {
        const json_t *value = json_object_get(object, numbers[i].key);
        ck_assert_msg(json_is_number(value) &&
                          fabs(json_number_value(value) - numbers[i].value) <= 5e-8 * numbers[i].value,
                      "%s is %g", numbers[i].key, json_number_value(value));
    }
    for (size_t i = 0; i < NAMES; i++) {
        test_label("%s of %s", names[i][0], path);
        ck_assert_str_eq(json_string_value(json_object_get(object, names[i][0])), names[i][1]);
    }
    for (size_t i = 0; i < FLAGS; i++) {
        const json_t *value = json_object_get(object, flags[i].key);
        test_label("%s of %s", flags[i].key, path);
        ck_assert(json_is_boolean(value) && json_is_true(value) == flags[i].value);
    }
    test_label_end();
    ck_assert_uint_eq(json_object_size(object), NUMBERS + NAMES + FLAGS);
    json_decref(object);
}

/* Numbers that need 17 digits are the same double when they are read again, and simple ones stay as people write them.
 */
START_TEST(test_config_file_has_exact_numbers)
{
    TrainerConfig config = tiny_training_config();
    const char *path = temp_path("config.json");
    json_t *object;
    LoadedFile file;
    assert_ok(run_config_write(path, &config, NULL, NULL));
    assert_ok(file_load(&file, path));
    ck_assert(contains(&file, "\"beta1\": 0.9,") && contains(&file, "\"norm_eps\": 1e-5,"));
    file_unload(&file);
    config.schedule.max_lr = 1.0 / 3, config.adamw.beta2 = nextafter(0.95, 1), config.model.rope_theta = 1.0F / 3;
    assert_ok(run_config_write(path, &config, NULL, NULL));
    assert_ok(json_read(&object, path));
    ck_assert_double_eq(json_number_value(json_object_get(object, "lr")), 1.0 / 3);
    ck_assert_double_eq(json_number_value(json_object_get(object, "beta2")), nextafter(0.95, 1));
    ck_assert_float_eq((float)json_number_value(json_object_get(object, "rope_theta")), 1.0F / 3);
    json_decref(object);
}
END_TEST

START_TEST(test_run_writes_its_files)
{
    TrainerConfig config = tiny_training_config();
    config.no_decay_norms = true;
    assert_ok(tiny_training_run("a/b", &config, RUN_OVERWRITE, NULL));
    ck_assert_uint_eq(directory_entries(temp_path("a/b")), 4);
    check_config_file(temp_path("a/b/config.json"), &config);

    /* The log has a line for every second step, and validations at steps 4, 8 and 12. */
    FILE *log = fopen(temp_path("a/b/log.jsonl"), "rb");
    ck_assert_ptr_nonnull(log);
    char line[1024];
    json_int_t step = 0;
    while (fgets(line, sizeof line, log)) {
        json_t *entry;
        step += 2;
        test_label("step %d", (int)step);
        assert_ok(json_parse(&entry, line, strlen(line), "log.jsonl"));
        ck_assert_int_eq(json_integer_value(json_object_get(entry, "step")), step);
        ck_assert_int_eq(json_integer_value(json_object_get(entry, "tokens")), step * 24);
        ck_assert_int_eq(json_object_get(entry, "val_loss") != NULL, step % 4 == 0);
        const double lr = json_number_value(json_object_get(entry, "lr"));
        ck_assert_double_eq_tol(lr, cosine_schedule_lr(&config.schedule, (size_t)step), 1e-9);
        ck_assert(json_is_real(json_object_get(entry, "train_loss")));
        ck_assert(json_is_real(json_object_get(entry, "grad_norm")));
        ck_assert(json_is_real(json_object_get(entry, "seconds")));
        ck_assert(json_is_real(json_object_get(entry, "tokens_per_second")));
        ck_assert(json_is_null(json_object_get(entry, "mfu"))); /* without an observer there is no peak */
        json_decref(entry);
    }
    test_label_end();
    ck_assert_int_eq(step, TINY_STEPS);
    fclose(log);
}
END_TEST

static void check_mfu(void *context, const RunLogEntry *entry, bool logged)
{
    size_t *lines = context;
    ck_assert_double_eq_tol(entry->mfu, 2e-9 * entry->tokens_per_second, 1e-12 * entry->mfu);
    *lines += logged;
}

START_TEST(test_mfu_follows_from_the_speed)
{
    const TrainerConfig config = tiny_training_config();
    size_t lines = 0;
    const TrainerObserver observer = {.step = check_mfu, .context = &lines, .mfu_per_speed = 2e-9};
    assert_ok(tiny_training_run("run", &config, RUN_NEW, &observer));
    ck_assert_uint_eq(lines, TINY_STEPS / 2);
}
END_TEST

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

START_TEST(test_training_does_not_depend_on_threads)
{
    const char *const directories[] = {"one", "two", "three", "eight"};
    const int counts[] = {1, 2, 3, 8};
    const TrainerConfig config = tiny_training_config();
    for (size_t i = 0; i < 4; i++) {
        tiny_training_threads = counts[i];
        assert_ok(tiny_training_run(directories[i], &config, RUN_OVERWRITE, NULL));
    }
    assert_same_file("one/checkpoint.safetensors", "two/checkpoint.safetensors");
    assert_same_file("one/checkpoint.safetensors", "three/checkpoint.safetensors");
    assert_same_file("one/checkpoint.safetensors", "eight/checkpoint.safetensors");
    assert_same_log("one/log.jsonl", "three/log.jsonl");
}
END_TEST

/* Counts the lines whose norms are three lists of `layers` positive numbers; all lines have them, or none. */
static size_t lines_with_norms(const char *log, size_t layers)
{
    static const char *const lists[] = {"outputs", "weights", "gradients"};
    FILE *file = fopen(temp_path(log), "rb");
    char line[2048];
    size_t with = 0, without = 0;
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file)) {
        json_t *entry;
        assert_ok(json_parse(&entry, line, strlen(line), log));
        const json_t *norms = json_object_get(entry, "norms");
        for (size_t i = 0; norms && i < 3; i++) {
            const json_t *list = json_object_get(norms, lists[i]);
            ck_assert_uint_eq(json_array_size(list), layers);
            for (size_t j = 0; j < layers; j++)
                ck_assert_double_gt(json_number_value(json_array_get(list, j)), 0);
        }
        with += norms != NULL;
        without += norms == NULL;
        json_decref(entry);
    }
    fclose(file);
    ck_assert(with == 0 || without == 0);
    return with;
}

/* The norms do not change the training, nor do threads or a stop change the norms. */
START_TEST(test_log_has_the_norms_if_asked)
{
    TrainerConfig config = tiny_training_config();
    assert_ok(tiny_training_run("without", &config, RUN_OVERWRITE, NULL));
    ck_assert_uint_eq(lines_with_norms("without/log.jsonl", 3), 0);
    config.log_norms = true;
    assert_ok(tiny_training_run("with", &config, RUN_OVERWRITE, NULL));
    ck_assert_uint_eq(lines_with_norms("with/log.jsonl", 3), TINY_STEPS / 2);
    assert_same_file("without/checkpoint.safetensors", "with/checkpoint.safetensors");
    tiny_training_threads = 3;
    config.stop_at = 5;
    assert_ok(tiny_training_run("resumed", &config, RUN_OVERWRITE, NULL));
    config.stop_at = 0;
    assert_ok(tiny_training_run("resumed", &config, RUN_RESUME, NULL));
    assert_same_log("with/log.jsonl", "resumed/log.jsonl");
}
END_TEST

START_TEST(test_reports_do_not_change_the_training)
{
    TrainerConfig config = tiny_training_config();
    assert_ok(tiny_training_run("some", &config, RUN_OVERWRITE, NULL));
    config.log_every = 5, config.val_every = 1, config.val_batches = 5, config.checkpoint_every = 0;
    assert_ok(tiny_training_run("other", &config, RUN_OVERWRITE, NULL));
    assert_same_file("some/checkpoint.safetensors", "other/checkpoint.safetensors");
    config.seed = 8;
    assert_ok(tiny_training_run("seed", &config, RUN_OVERWRITE, NULL));
    LoadedFile a, b;
    assert_ok(file_load(&a, temp_path("some/checkpoint.safetensors")));
    assert_ok(file_load(&b, temp_path("seed/checkpoint.safetensors")));
    ck_assert(a.size != b.size || memcmp(a.data, b.data, a.size) != 0);
    file_unload(&a);
    file_unload(&b);
}
END_TEST

START_TEST(test_loss_that_is_no_number_stops_the_run)
{
    TrainerConfig config = tiny_training_config();
    config.checkpoint_every = 1;
    config.stop_at = 1;
    assert_ok(tiny_training_run("good", &config, RUN_OVERWRITE, NULL));
    config.stop_at = 0;
    config.schedule = (CosineSchedule){.max_lr = 1e30, .min_lr = 0, .warmup_steps = 0, .decay_steps = TINY_STEPS};
    assert_ok(tiny_training_run("bad",
                                &(TrainerConfig){.model = config.model,
                                                 .batch_size = config.batch_size,
                                                 .steps = TINY_STEPS,
                                                 .stop_at = 1,
                                                 .schedule = tiny_training_config().schedule,
                                                 .adamw = config.adamw,
                                                 .max_grad_norm = 1,
                                                 .seed = config.seed,
                                                 .log_every = 1},
                                RUN_NEW, NULL));
    config.checkpoint_every = 0;
    ck_assert_int_eq(tiny_training_run("bad", &config, RUN_RESUME, NULL), CS336_ERANGE);
    ck_assert_msg(strstr(status_message(), "; a lower learning rate may help") != NULL, "%s", status_message());
    assert_same_file("good/checkpoint.safetensors", "bad/checkpoint.safetensors");
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

/*
 * Lets allocations fail, but not each of the several hundred, because each attempt waits for the disk. Other tests fail
 * every allocation of checkpoint_save() and run_log_append().
 */
START_TEST(test_run_allocation_failures)
{
    enum { STRIDE = 61 };
    const TrainerConfig config = tiny_training_one_step();
    TinyTraining tiny;
    assert_ok(tiny_training_init(&tiny, &config));
    RunLogEntry last;
    assert_ok(trainer_run(&tiny.trainer, temp_path("run"), RUN_OVERWRITE, NULL, &last));
    const size_t before = memory_in_use();
    Status s = CS336_ENOMEM;
    for (size_t n = 1; s; n += n < 8 ? 1 : STRIDE) {
        trainer_deinit(&tiny.trainer);
        assert_ok(trainer_init(&tiny.trainer, &config, &tiny.train, &tiny.val));
        test_label("allocation %zu failed", n);
        memory_fail_at(n);
        s = trainer_run(&tiny.trainer, temp_path("run"), RUN_OVERWRITE, NULL, &last);
        memory_fail_at(0);
        ck_assert_uint_eq(memory_in_use(), before);
        ck_assert(s == CS336_OK || s == CS336_ENOMEM);
    }
    tiny_training_deinit(&tiny);
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

/* ---- loading the model from a checkpoint ---- */

START_TEST(test_trained_model_is_the_trainers)
{
    for (int variant = 0; variant < TINY_LM_VARIANTS; variant++) {
        TrainerConfig config = tiny_training_config();
        config.model = tiny_lm_config(variant);
        test_label("%s", variant_text(&config.model));
        config.steps = config.schedule.decay_steps = 3;
        TinyTraining tiny;
        assert_ok(tiny_training_init(&tiny, &config));
        RunLogEntry last;
        assert_ok(trainer_run(&tiny.trainer, temp_path("run"), RUN_OVERWRITE, NULL, &last));
        TrainedModel model;
        assert_ok(trained_model_load(&model, temp_path("run/checkpoint.safetensors")));
        ck_assert_uint_eq(model.iteration, 3);
        assert_same_config(&model.lm.config, &config.model);
        const int32_t ids[8] = {0, 1, 2, 12, 4, 0, 1, 2};
        float loss, expected;
        assert_ok(transformer_lm_loss(&loss, NULL, &model.lm, tokens(ids, 1, 7), tokens(ids + 1, 1, 7), NULL,
                                      &tiny.trainer.scratch));
        assert_ok(transformer_lm_loss(&expected, NULL, &tiny.trainer.lm, tokens(ids, 1, 7), tokens(ids + 1, 1, 7), NULL,
                                      &tiny.trainer.scratch));
        ck_assert_float_eq(loss, expected);
        trained_model_deinit(&model);
        tiny_training_deinit(&tiny);
    }
}
END_TEST

const TestCase training_run_tests[] = {
    TEST(test_config_file_has_exact_numbers, "training_together"),
    TEST(test_run_writes_its_files, "training_together"),
    TEST(test_mfu_follows_from_the_speed, "experiment_log"),
    TEST(test_resumed_run_equals_an_uninterrupted_one, "training_together"),
    TEST(test_resumed_run_may_change_its_pieces, "training_together"),
    TEST(test_resumed_run_goes_on_counting_its_seconds, "training_together"),
    TEST(test_run_that_ended_does_not_go_on, "training_together"),
    TEST(test_run_stops_when_asked_and_resumes, "training_together"),
    TEST(test_full_disk_keeps_the_checkpoint, "training_together"),
    TEST(test_training_does_not_depend_on_threads, "training_together"),
    TEST(test_log_has_the_norms_if_asked, "experiment_log"),
    TEST(test_reports_do_not_change_the_training, "training_together"),
    TEST(test_loss_that_is_no_number_stops_the_run, "training_together"),
    TEST(test_checkpoint_of_another_run, "training_together"),
    TEST(test_checkpoint_that_cannot_be_removed_stops_the_run, "training_together"),
    TEST(test_tied_run_resumes_as_a_tied_one, "training_together"),
    TEST(test_run_allocation_failures, "training_together"),
    TEST(test_trained_model_is_the_trainers, "training_together"),
    {0},
};
