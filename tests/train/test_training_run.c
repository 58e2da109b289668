/* Runs: their files, what they report, and failures that end them. test_resumed_run.c tests runs that are resumed. */
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
                 {"shard_optimizer", config->shard_optimizer},
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
    ck_assert_msg(strstr(status_message(), "-nan") == NULL, "%s", status_message());
    assert_same_file("good/checkpoint.safetensors", "bad/checkpoint.safetensors");
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
    TEST(test_training_does_not_depend_on_threads, "training_together"),
    TEST(test_log_has_the_norms_if_asked, "experiment_log"),
    TEST(test_reports_do_not_change_the_training, "training_together"),
    TEST(test_loss_that_is_no_number_stops_the_run, "training_together"),
    TEST(test_run_allocation_failures, "training_together"),
    TEST(test_trained_model_is_the_trainers, "training_together"),
    {0},
};
