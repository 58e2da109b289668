/* Tests a step of training that is large enough for each of its loops to use several threads. */
#include "core/parallel.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "train/trainer.h"

#include <stdio.h>
#include <string.h>

enum { VOCAB = 300, CONTEXT = 64, BATCH = 4, STEPS = 3, TOKENS = 2000 };

static TrainerConfig step_config(void)
{
    return (TrainerConfig){
        .model = {.vocab_size = VOCAB,
                  .context_length = CONTEXT,
                  .d_model = 128,
                  .num_layers = 2,
                  .num_heads = 4,
                  .d_ff = 200,
                  .rope_theta = 1e4F,
                  .norm_eps = 1e-5F},
        .batch_size = BATCH,
        .steps = STEPS,
        .schedule = {.max_lr = 1e-2, .min_lr = 1e-3, .warmup_steps = 1, .decay_steps = STEPS},
        .adamw = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1},
        .max_grad_norm = 0.5,
        .seed = 3,
        .log_every = 1,
    };
}

static const char *token_path(void)
{
    const char *path = temp_path("tokens.bin");
    uint16_t ids[TOKENS];
    for (size_t i = 0; i < TOKENS; i++)
        ids[i] = (uint16_t)(i * i * 7 % VOCAB);
    FILE *f = fopen(path, "wb");
    ck_assert(f && fwrite(ids, sizeof *ids, TOKENS, f) == TOKENS && fclose(f) == 0);
    return path;
}

START_TEST(test_training_step_is_the_same_for_any_threads)
{
    static const int threads[] = {1, 2, 3, 8};
    static Trainer trainers[4];
    const TrainerConfig config = step_config();
    TokenFile file;
    assert_ok(token_file_open(&file, token_path(), VOCAB));
    for (size_t i = 0; i < 4; i++) {
        float loss;
        double norm;
        parallel_set_threads(threads[i]);
        assert_ok(trainer_init(&trainers[i], &config, &file, NULL));
        for (size_t step = 0; step < STEPS; step++)
            assert_ok(trainer_step(&trainers[i], &loss, &norm));
        for (size_t p = 0; p < trainers[i].parameters.count; p++) {
            const Parameter *one = &trainers[0].parameters.items[p], *many = &trainers[i].parameters.items[p];
            const size_t bytes = tensor_count(one->value) * sizeof(float);
            ck_assert_msg(memcmp(one->value.data, many->value.data, bytes) == 0 &&
                              memcmp(one->second_moment.data, many->second_moment.data, bytes) == 0,
                          "%s differs with %d threads", one->name, threads[i]);
        }
    }
    for (size_t i = 0; i < 4; i++)
        trainer_deinit(&trainers[i]);
    token_file_close(&file);
}
END_TEST

const TestCase training_step_tests[] = {
    TEST(test_training_step_is_the_same_for_any_threads, "training_together"),
    {0},
};
