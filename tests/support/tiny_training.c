#include "tests/support/tiny_training.h"

#include "core/file.h"
#include "core/json.h"
#include "core/parallel.h"
#include "tests/support/allclose.h"
#include "tests/support/check.h"
#include "tests/support/files.h"
#include "tests/support/tiny_lm.h"

#include <stdio.h>
#include <string.h>

void tiny_training_write(const char *path, size_t count)
{
    uint16_t ids[TINY_TOKENS];
    ck_assert_uint_le(count, TINY_TOKENS);
    for (size_t i = 0; i < count; i++)
        ids[i] = (uint16_t)(i % 17 == 3 ? 12 : i % 5);
    write_file(path, ids, count * sizeof *ids);
}

TrainerConfig tiny_training_config(void)
{
    return (TrainerConfig){.model = tiny_lm_config(0),
                           .batch_size = 3,
                           .steps = TINY_STEPS,
                           .schedule = {.max_lr = 0.01, .min_lr = 0.001, .warmup_steps = 2, .decay_steps = TINY_STEPS},
                           .adamw = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1},
                           .max_grad_norm = 1,
                           .seed = 7,
                           .log_every = 2,
                           .val_every = 4,
                           .val_batches = 2,
                           .checkpoint_every = 5,
                           .keep = 1};
}

TrainerConfig tiny_training_one_step(void)
{
    TrainerConfig config = tiny_training_config();
    config.steps = config.schedule.decay_steps = 1;
    config.schedule.warmup_steps = 0;
    config.model.num_layers = 1;
    config.val_batches = 1;
    return config;
}

int tiny_training_threads = 1;

Status tiny_training_init(TinyTraining *tiny, const TrainerConfig *config)
{
    parallel_set_threads(tiny_training_threads);
    const char *train = temp_path("train.bin"), *val = temp_path("val.bin");
    *tiny = (TinyTraining){0};
    tiny_training_write(train, TINY_TOKENS);
    tiny_training_write(val, 60);
    Status s = token_file_open(&tiny->train, train, config->model.vocab_size);
    if (!s)
        s = token_file_open(&tiny->val, val, config->model.vocab_size);
    if (!s)
        s = trainer_init(&tiny->trainer, config, &tiny->train, &tiny->val);
    return s;
}

void tiny_training_deinit(TinyTraining *tiny)
{
    trainer_deinit(&tiny->trainer);
    token_file_close(&tiny->train);
    token_file_close(&tiny->val);
}

Status tiny_training_run(const char *directory, const TrainerConfig *config, RunStart start,
                         const TrainerObserver *observer)
{
    TinyTraining tiny;
    assert_ok(tiny_training_init(&tiny, config));
    RunLogEntry last;
    const Status s = trainer_run(&tiny.trainer, temp_path(directory), start, observer, &last);
    tiny_training_deinit(&tiny);
    return s;
}

void tiny_training_leave_validation(const char *directory, const TrainerConfig *config, RunStart start, size_t at)
{
    const atomic_int asked = 1;
    RunOutcome outcome;
    char message[128];
    const TrainerObserver observer = {.stop = &asked, .outcome = &outcome};
    snprintf(message, sizeof message, "stopped in the validation after step %zu of %zu, which resuming does again", at,
             config->steps);
    assert_fails(tiny_training_run(directory, config, start, &observer), CS336_EINTERRUPTED, message);
    ck_assert(outcome.owes_validation && !outcome.stopped_early);
}

void tiny_training_stop_in_validation(const char *directory, const TrainerConfig *config, size_t at)
{
    TrainerConfig before = *config;
    before.stop_at = at - 1;
    if (at > 1)
        assert_ok(tiny_training_run(directory, &before, RUN_OVERWRITE, NULL));
    tiny_training_leave_validation(directory, config, at > 1 ? RUN_RESUME : RUN_OVERWRITE, at);
}

void assert_same_file(const char *a, const char *b)
{
    LoadedFile file;
    assert_ok(file_load(&file, temp_path(a)));
    ck_assert_uint_gt(file.size, 0);
    assert_file_holds(temp_path(b), file.data, file.size);
    file_unload(&file);
}

void assert_same_log(const char *a, const char *b)
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
