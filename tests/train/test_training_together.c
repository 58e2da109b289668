/* The coursework's training loop: PyTorch's loss curve, and the losses of the library's trainer on stories. */
#include "core/parallel.h"
#include "data/batch.h"
#include "story/story.h"
#include "tests/exercises/training.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tests/support/fixture.h"
#include "tests/support/sample.h"
#include "tests/support/small_model.h"
#include "tests/support/tiny_training.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- against PyTorch ---- */

enum {
    STEPS = 50,
    BATCHES = 5, /* the fixture's batches, taken in turn */
    BATCH = 3,
    CONTEXT = 10,
    VOCAB = 40,
    TOKENS = 1 << 20 /* so many that the windows of 150 sequences can all be apart */
};

/*
 * Writes the fixture's batches where the generator will draw them. The contract of get_batch() says that a sequence
 * starts at a uniform position in [0, n - m), which is one call of rng_below().
 */
static void place_batches(int32_t *ids, const SmallModel *m, Rng rng)
{
    for (size_t i = 0; i < TOKENS; i++)
        ids[i] = -1;
    for (size_t step = 0; step < STEPS; step++) {
        char name[32];
        TokenTensor inputs, targets;
        snprintf(name, sizeof name, "lm.batch%zu", step % BATCHES);
        small_model_batch(m, name, &inputs, &targets);
        for (size_t row = 0; row < BATCH; row++) {
            int32_t *window = &ids[rng_below(&rng, TOKENS - CONTEXT)];
            for (size_t i = 0; i <= CONTEXT; i++) {
                ck_assert_int_eq(window[i], -1); /* no other window covers this position */
                window[i] = i < CONTEXT ? tokens_at(inputs, row * CONTEXT + i)
                                        : tokens_at(targets, row * CONTEXT + CONTEXT - 1);
            }
        }
    }
    for (size_t i = 0; i < TOKENS; i++)
        ids[i] = ids[i] < 0 ? 0 : ids[i];
}

static void small_model_init_for_training(SmallModel *m)
{
    TransformerLMConfig config = small_config();
    config.context_length = CONTEXT;
    small_model_init(m, &config, BATCH, CONTEXT);
}

/* The fixture's curve has a constant learning rate and no clipping. */
static TrainTogetherConfig curve_config(void)
{
    return (TrainTogetherConfig){.steps = STEPS,
                                 .batch_size = BATCH,
                                 .schedule = {.max_lr = 3e-3, .min_lr = 3e-3, .decay_steps = STEPS},
                                 .adamw = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1},
                                 .max_grad_norm = 1e9};
}

START_TEST(test_train_together_follows_fifty_steps_of_pytorch)
{
    static int32_t ids[TOKENS];
    int32_t inputs[BATCH * CONTEXT], targets[BATCH * CONTEXT];
    float losses[STEPS];
    SmallModel m;
    Rng rng = rng_seeded(1);
    small_model_init_for_training(&m);
    place_batches(ids, &m, rng);
    const TokenFile data = token_file_view(ids, TOKENS, VOCAB);
    const TrainTogetherConfig config = curve_config();
    const TrainTogetherMemory memory = {&m.value, &m.grad, m.parameters, inputs, targets, &m.scratch};
    assert_ok(train_together(losses, &memory, &data, &config, &rng));
    Fixture fixture;
    fixture_open(&fixture, "layers");
    assert_allclose_array("loss curve", losses, fixture_tensor(&fixture, "lm.curve").data, STEPS, 0, 1e-4);
    fixture_close(&fixture);
    ck_assert_uint_eq(rng.counter, STEPS * BATCH);
    small_model_deinit(&m);
}
END_TEST

/* ---- against the library's trainer ---- */

/* So small that plain loops train it 100 steps in a few seconds. */
static TrainerConfig story_config(void)
{
    return (TrainerConfig){.model = {.vocab_size = 128,
                                     .context_length = 16,
                                     .d_model = 16,
                                     .num_layers = 2,
                                     .num_heads = 2,
                                     .d_ff = 32,
                                     .rope_theta = 1e4F,
                                     .norm_eps = 1e-5F},
                           .batch_size = 2,
                           .steps = STEPS,
                           .schedule = {.max_lr = 1e-2, .min_lr = 1e-3, .warmup_steps = 10, .decay_steps = 40},
                           .adamw = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1},
                           .max_grad_norm = 1,
                           .seed = 7,
                           .log_every = 1};
}

static TrainTogetherConfig together_config(const TrainerConfig *config)
{
    return (TrainTogetherConfig){.steps = config->steps,
                                 .batch_size = config->batch_size,
                                 .schedule = config->schedule,
                                 .adamw = config->adamw,
                                 .max_grad_norm = config->max_grad_norm};
}

/* The memory of a trainer that keeps its gradients and has trained nothing. */
static TrainTogetherMemory memory_of(Trainer *t)
{
    return (TrainTogetherMemory){&t->lm, &t->grad, t->parameters, t->inputs, t->targets, &t->scratch};
}

/* Writes stories, one id for each byte. Returns their number. */
static size_t write_stories(int32_t *ids, size_t capacity)
{
    static char text[1 << 16];
    StoryProgram program = {0};
    size_t count = 0;
    assert_ok(story_compile(&program, &story_grammar));
    ck_assert_uint_le(program.longest, sizeof text);
    for (uint64_t i = 0; count < capacity; i++) {
        const size_t length = story_write(text, NULL, &program, 1, i);
        for (size_t j = 0; j < length && count < capacity; j++)
            ids[count++] = text[j];
    }
    story_program_deinit(&program);
    return count;
}

START_TEST(test_train_together_follows_the_trainer)
{
    enum { CHARACTERS = 20000 };
    static int32_t ids[CHARACTERS];
    const TrainerConfig config = story_config();
    TrainerConfig keeping = config;
    keeping.keep_gradients = true;
    const TrainTogetherConfig together = together_config(&config);
    const TokenFile data = token_file_view(ids, write_stories(ids, CHARACTERS), config.model.vocab_size);
    float losses[STEPS], expected[STEPS];
    double norm, least = INFINITY, most = 0;
    Trainer fused, plain;
    parallel_set_threads(1);
    assert_ok(trainer_init(&fused, &config, &data, NULL));
    assert_ok(trainer_init(&plain, &keeping, &data, NULL));

    for (size_t i = 0; i < STEPS; i++) {
        assert_ok(trainer_step(&fused, &expected[i], &norm));
        least = fmin(least, norm), most = fmax(most, norm);
    }
    const TrainTogetherMemory memory = memory_of(&plain);
    assert_ok(train_together(losses, &memory, &data, &together, &plain.batches));
    assert_allclose_array("losses", losses, expected, STEPS, 0, 1e-4);
    ck_assert_uint_eq(plain.batches.counter, fused.batches.counter);

    /* Uniform guesses have the loss ln 128 = 4.85. Some steps were clipped, and some were not. */
    ck_assert_float_gt(losses[0], 4.5F);
    ck_assert_float_lt(losses[STEPS - 1], 3.6F);
    ck_assert(least < config.max_grad_norm && most > config.max_grad_norm);
    trainer_deinit(&fused);
    trainer_deinit(&plain);
}
END_TEST

/* ---- edges ---- */

START_TEST(test_train_together_writes_one_loss_a_step)
{
    TrainerConfig config = tiny_training_config();
    config.keep_gradients = true;
    TinyTraining tiny;
    float losses[4] = {-1, -1, -1, -1}, expected;
    assert_ok(tiny_training_init(&tiny, &config));
    Trainer *t = &tiny.trainer;
    const size_t batch = config.batch_size, context = config.model.context_length;
    int32_t inputs[24], targets[24];
    Rng rng = t->batches;
    assert_ok(get_batch(inputs, targets, &tiny.train, batch, context, "cpu", &rng));
    assert_ok(transformer_lm_loss(&expected, NULL, &t->lm, tokens(inputs, batch, context),
                                  tokens(targets, batch, context), NULL, &t->scratch));

    /* No step changes nothing. Three steps write three losses, the first before any update. */
    const TrainTogetherMemory memory = memory_of(t);
    TrainTogetherConfig together = together_config(&config);
    together.steps = 0;
    assert_ok(train_together(losses, &memory, &tiny.train, &together, &t->batches));
    ck_assert_uint_eq(t->batches.counter, 0);
    ck_assert(losses[0] == -1);
    together.steps = 3;
    assert_ok(train_together(losses, &memory, &tiny.train, &together, &t->batches));
    ck_assert_uint_eq(t->batches.counter, 3 * batch);
    ck_assert_float_eq_tol(losses[0], expected, 1e-5F);
    ck_assert(losses[1] > 0 && losses[2] > 0 && losses[1] != losses[2]);
    ck_assert(losses[3] == -1);
    tiny_training_deinit(&tiny);
}
END_TEST

START_TEST(test_train_together_takes_one_step_of_adamw)
{
    TrainerConfig config = tiny_training_config();
    config.keep_gradients = true;
    TinyTraining tiny;
    assert_ok(tiny_training_init(&tiny, &config));
    Trainer *t = &tiny.trainer;
    float loss;
    TrainTogetherConfig together = together_config(&config);
    together.steps = 1;
    together.adamw.lr = NAN; /* ignored */
    const Tensor value = t->parameters.items[0].value, before = filled_like(0, value);
    tensor_copy(before, value);
    const TrainTogetherMemory memory = memory_of(t);
    assert_ok(train_together(&loss, &memory, &tiny.train, &together, &t->batches));
    /* The schedule's rate at step 1 of 2 warm-up steps is 0.005. The first update of AdamW is at most the rate. */
    double largest = 0;
    for (size_t i = 0; i < tensor_count(value); i++) {
        const double decayed = (double)before.data[i] * (1 - 0.005 * config.adamw.weight_decay);
        largest = fmax(largest, fabs((double)value.data[i] - decayed));
    }
    ck_assert_double_eq_tol(largest, 0.005, 1e-5);
    tiny_training_deinit(&tiny);
}
END_TEST

START_TEST(test_train_together_stops_at_an_error)
{
    TrainerConfig config = tiny_training_config();
    config.keep_gradients = true;
    TinyTraining tiny;
    assert_ok(tiny_training_init(&tiny, &config));
    Trainer *t = &tiny.trainer;
    float losses[3] = {-1, -1, -1};
    int32_t bad[20];
    for (size_t i = 0; i < 20; i++)
        bad[i] = (int32_t)config.model.vocab_size;
    const TokenFile data = token_file_view(bad, 20, config.model.vocab_size);
    const Tensor value = t->parameters.items[0].value, before = filled_like(0, value);
    tensor_copy(before, value);
    TrainTogetherConfig together = together_config(&config);
    together.steps = 3;
    const TrainTogetherMemory memory = memory_of(t);
    ck_assert_int_eq(train_together(losses, &memory, &data, &together, &t->batches), CS336_ERANGE);
    assert_allclose(value, before, 0, 0);
    ck_assert(losses[1] == -1 && losses[2] == -1);
    tiny_training_deinit(&tiny);
}
END_TEST

const TestCase training_together_tests[] = {
    TEST(test_train_together_follows_fifty_steps_of_pytorch, "training_together"),
    TEST(test_train_together_follows_the_trainer, "training_together"),
    TEST(test_train_together_writes_one_loss_a_step, "training_together"),
    TEST(test_train_together_takes_one_step_of_adamw, "training_together"),
    TEST(test_train_together_stops_at_an_error, "training_together"),
    {0},
};
