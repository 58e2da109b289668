/* Tests steps of training and validations. */
#include "core/parallel.h"
#include "data/batch.h"
#include "data/token_file.h"
#include "optim/clip.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/reference.h"
#include "tests/support/reference_layers.h"
#include "tests/support/sample.h"
#include "tests/support/tiny_training.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

START_TEST(test_training_lowers_the_loss)
{
    TrainerConfig config = tiny_training_config();
    config.steps = config.schedule.decay_steps = 80;
    TinyTraining tiny;
    assert_ok(tiny_training_init(&tiny, &config));
    double before, after;
    assert_ok(trainer_validate(&tiny.trainer, &before, NULL));
    for (size_t i = 0; i < config.steps; i++) {
        float loss;
        double norm;
        assert_ok(trainer_step(&tiny.trainer, &loss, &norm));
    }
    assert_ok(trainer_validate(&tiny.trainer, &after, NULL));
    /* Uniform guesses have the loss ln 13 = 2.56. The text has period 5 and some noise, so it can be learned. */
    ck_assert_double_gt(before, 2);
    ck_assert_double_lt(after, 0.9);
    tiny_training_deinit(&tiny);
}
END_TEST

/* A step gives the same numbers as the functions that it calls: get_batch(), the loss, the norm, and AdamW's update. */
START_TEST(test_training_step_is_its_parts)
{
    TrainerConfig config = tiny_training_config();
    config.keep_gradients = true;
    TinyTraining tiny;
    assert_ok(tiny_training_init(&tiny, &config));
    Trainer *t = &tiny.trainer;
    const size_t batch = config.batch_size, context = config.model.context_length;
    Rng rng = t->batches;
    int32_t inputs[24], targets[24];
    assert_ok(get_batch(inputs, targets, &tiny.train, batch, context, "cpu", &rng));
    float expected, loss;
    double norm, expected_norm;
    assert_ok(transformer_lm_loss(&expected, &t->grad, &t->lm, tokens(inputs, batch, context),
                                  tokens(targets, batch, context), NULL, &t->scratch));
    assert_ok(gradient_norm(&expected_norm, t->parameters));
    const size_t used =
        (size_t)inputs[0] * config.model.d_model; /* index in the embedding of a token that the batch contains */
    const float before = t->parameters.items[0].value.data[used], grad = t->parameters.items[0].grad.data[used];
    ck_assert_float_ne(grad, 0);
    parameters_zero_grad(t->parameters);
    assert_ok(trainer_step(t, &loss, &norm));
    ck_assert_float_eq(loss, expected);
    ck_assert_uint_eq(t->step, 1);
    ck_assert_uint_eq(t->batches.counter, rng.counter);
    ck_assert_double_gt(norm, 1);
    ck_assert_double_eq(norm, expected_norm);
    for (size_t i = 0; i < t->parameters.count; i++)
        for (size_t j = 0; j < tensor_count(t->parameters.items[i].grad); j++)
            ck_assert_msg(t->parameters.items[i].grad.data[j] == 0, "gradient %zu of %s is %g", j,
                          t->parameters.items[i].name, (double)t->parameters.items[i].grad.data[j]);
    /* The first of two warm-up steps has the rate 0.005. AdamW's first update is the rate times the gradient's sign. */
    const double decayed = (double)before * (1 - 0.005 * 0.1), clipped = (double)grad / norm;
    const double moved = 0.005 * clipped / (fabs(clipped) + 1e-8);
    ck_assert_double_eq_tol((double)t->parameters.items[0].value.data[used], decayed - moved, 1e-6);
    tiny_training_deinit(&tiny);
}
END_TEST

START_TEST(test_validation_sees_the_same_windows)
{
    const TrainerConfig config = tiny_training_config();
    TinyTraining tiny;
    assert_ok(tiny_training_init(&tiny, &config));
    double first, again;
    const Rng batches = tiny.trainer.batches;
    assert_ok(trainer_validate(&tiny.trainer, &first, NULL));
    assert_ok(trainer_validate(&tiny.trainer, &again, NULL));
    ck_assert_double_eq(first, again);
    ck_assert_uint_eq(tiny.trainer.batches.counter, batches.counter);
    tiny.trainer.batches.counter += 100; /* as after many steps */
    assert_ok(trainer_validate(&tiny.trainer, &again, NULL));
    ck_assert_double_eq(first, again);
    tiny_training_deinit(&tiny);
}
END_TEST

START_TEST(test_norm_of_zero_means_no_clipping)
{
    TrainerConfig config = tiny_training_config();
    TinyTraining none, endless;
    float loss;
    double norm;
    config.max_grad_norm = 0;
    assert_ok(tiny_training_init(&none, &config));
    config.max_grad_norm = 1e9;
    assert_ok(tiny_training_init(&endless, &config));
    assert_ok(trainer_step(&none.trainer, &loss, &norm));
    ck_assert_double_gt(norm, 0.1);
    assert_ok(trainer_step(&endless.trainer, &loss, &norm));
    for (size_t i = 0; i < none.trainer.parameters.count; i++)
        assert_allclose_tensor(none.trainer.parameters.items[i].name, none.trainer.parameters.items[i].first_moment,
                               endless.trainer.parameters.items[i].first_moment, 0, 0);
    tiny_training_deinit(&none);
    tiny_training_deinit(&endless);
}
END_TEST

START_TEST(test_validation_loss_of_the_only_window)
{
    TrainerConfig config = tiny_training_config();
    const size_t context = config.model.context_length;
    TinyTraining tiny;
    assert_ok(tiny_training_init(&tiny, &config));
    trainer_deinit(&tiny.trainer);
    token_file_close(&tiny.val);
    tiny_training_write(temp_path("val.bin"), context + 1);
    assert_ok(token_file_open(&tiny.val, temp_path("val.bin"), config.model.vocab_size));
    assert_ok(trainer_init(&tiny.trainer, &config, &tiny.train, &tiny.val));
    const int32_t ids[9] = {0, 1, 2, 12, 4, 0, 1, 2, 3};
    float expected;
    double loss;
    assert_ok(transformer_lm_loss(&expected, NULL, &tiny.trainer.lm, tokens(ids, 1, context),
                                  tokens(ids + 1, 1, context), NULL, &tiny.trainer.scratch));
    assert_ok(trainer_validate(&tiny.trainer, &loss, NULL));
    ck_assert_double_eq_tol(loss, (double)expected, 1e-6);
    tiny_training_deinit(&tiny);
}
END_TEST

/* ---- one batch for all steps ---- */

/* Random ids have nothing in common but their frequencies, so only learning them by heart brings the loss below ln 13.
 */
static void random_ids_init(TinyTraining *tiny, const TrainerConfig *config)
{
    static int32_t ids[2000];
    Rng rng = rng_seeded(11);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        ids[i] = (int32_t)rng_below(&rng, config->model.vocab_size);
    *tiny = (TinyTraining){.train = token_file_view(ids, sizeof ids / sizeof *ids, config->model.vocab_size)};
    assert_ok(trainer_init(&tiny->trainer, config, &tiny->train, NULL));
}

static float loss_after(const TrainerConfig *config)
{
    TinyTraining tiny;
    float loss = NAN;
    double norm;
    random_ids_init(&tiny, config);
    for (size_t i = 0; i < config->steps; i++)
        assert_ok(trainer_step(&tiny.trainer, &loss, &norm));
    tiny_training_deinit(&tiny);
    return loss;
}

START_TEST(test_one_batch_is_learned_by_heart)
{
    TrainerConfig config = tiny_training_config();
    config.batch_size = 2;
    config.steps = config.schedule.decay_steps = 200;
    config.val_batches = 0;
    ck_assert_float_gt(loss_after(&config), 1.5F);
    config.overfit_one_batch = true;
    ck_assert_float_lt(loss_after(&config), 0.02F);
    config.grad_accum = 2;
    ck_assert_float_lt(loss_after(&config), 0.02F);
}
END_TEST

/* With a learning rate of 0 the weights stay, and so does the loss of a batch that stays. */
START_TEST(test_one_batch_is_the_first)
{
    TrainerConfig config = tiny_training_config();
    config.schedule.max_lr = config.schedule.min_lr = 0;
    TinyTraining one, all;
    float first, loss;
    double norm;
    random_ids_init(&all, &config);
    assert_ok(trainer_step(&all.trainer, &first, &norm));
    config.overfit_one_batch = true;
    random_ids_init(&one, &config);
    for (size_t i = 0; i < 3; i++) {
        assert_ok(trainer_step(&one.trainer, &loss, &norm));
        ck_assert_float_eq(loss, first);
    }
    assert_ok(trainer_step(&all.trainer, &loss, &norm));
    ck_assert_float_ne(loss, first);
    tiny_training_deinit(&one);
    tiny_training_deinit(&all);
}
END_TEST

/* ---- weight decay ---- */

/* The first step moves a number by the learning rate against its gradient. Without that, a gain would be 1 - lr decay,
   or 1; all other weights decay in both cases. */
START_TEST(test_gains_decay_unless_exempt)
{
    TrainerConfig config = tiny_training_config();
    config.adamw.weight_decay = 20;
    config.schedule.warmup_steps = 0;
    TinyTraining all, some;
    float loss;
    double norm;
    assert_ok(tiny_training_init(&all, &config));
    config.no_decay_norms = true;
    assert_ok(tiny_training_init(&some, &config));
    assert_ok(trainer_step(&all.trainer, &loss, &norm));
    assert_ok(trainer_step(&some.trainer, &loss, &norm));
    const double lr = cosine_schedule_lr(&config.schedule, 1);
    size_t gains = 0;
    for (size_t i = 0; i < all.trainer.parameters.count; i++) {
        const Parameter *decayed = &all.trainer.parameters.items[i], *other = &some.trainer.parameters.items[i];
        const bool is_gain = strstr(other->name, "ln") != NULL; /* ln1, ln2, ln_final */
        for (size_t j = 0; j < tensor_count(other->value); j++) {
            const double difference = (double)other->value.data[j] - (double)decayed->value.data[j];
            ck_assert_msg(fabs(difference - (is_gain ? lr * 20 : 0)) < 1e-6, "%s [%zu]: %g", other->name, j,
                          difference);
            gains += is_gain;
        }
    }
    ck_assert_uint_eq(gains, (2 * config.model.num_layers + 1) * config.model.d_model);
    tiny_training_deinit(&all);
    tiny_training_deinit(&some);
}
END_TEST

/* ---- norms ---- */

static double rms(const double *numbers, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += numbers[i] * numbers[i];
    return sqrt(sum / (double)count);
}

/* The RMS of the weights, or of the gradients, of a layer, number by number. */
static double layer_size(const Trainer *t, size_t layer, bool gradients)
{
    double sum = 0, count = 0;
    char prefix[32];
    snprintf(prefix, sizeof prefix, "layers.%zu.", layer);
    for (size_t i = 0; i < t->parameters.count; i++) {
        const Parameter *p = &t->parameters.items[i];
        const Tensor x = gradients ? p->grad : p->value;
        for (size_t j = 0; strncmp(p->name, prefix, strlen(prefix)) == 0 && j < tensor_count(x); j++, count++)
            sum += (double)x.data[j] * (double)x.data[j];
    }
    return sqrt(sum / count);
}

/* The RMS of each layer's output, by the textbook forward pass in double precision. */
static void output_sizes(double *sizes, const Trainer *t, const int32_t *ids)
{
    const TransformerLMConfig *c = &t->config.model;
    const size_t batch = t->config.batch_size, seq = c->context_length, numbers = batch * seq * c->d_model;
    const char *names[64];
    double *values[64], *x = sample_doubles(numbers), *y = sample_doubles(numbers);
    const ReferenceWeights weights = {t->parameters.count, names, values};
    for (size_t i = 0; i < t->parameters.count; i++) {
        names[i] = t->parameters.items[i].name;
        values[i] = sample_doubles(tensor_count(t->parameters.items[i].value));
        reference_widen(values[i], t->parameters.items[i].value);
    }
    for (size_t i = 0; i < numbers; i++)
        x[i] = values[0][(size_t)ids[i / c->d_model] * c->d_model + i % c->d_model];
    for (size_t layer = 0; layer < c->num_layers; layer++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "layers.%zu.", layer);
        reference_block(y, x, &weights, prefix, batch, seq, c);
        memcpy(x, y, numbers * sizeof *x);
        sizes[layer] = rms(x, numbers);
    }
}

static void check_norms(size_t grad_accum)
{
    enum { LAYERS = 3 };
    TrainerConfig config = tiny_training_config();
    config.log_norms = config.keep_gradients = true;
    config.grad_accum = grad_accum;
    TinyTraining tiny;
    assert_ok(tiny_training_init(&tiny, &config));
    Trainer *t = &tiny.trainer;
    const size_t batch = config.batch_size, context = config.model.context_length;
    double outputs[LAYERS], weights[LAYERS], gradients[LAYERS], norm;
    float loss;
    assert_ok(trainer_step(t, &loss, &norm)); /* not measured */
    ck_assert_double_eq(t->norms.outputs[0], 0);
    /* What the second step should measure. */
    Rng rng = t->batches;
    int32_t ids[24], targets[24];
    assert_ok(get_batch(ids, targets, &tiny.train, batch, context, "cpu", &rng));
    output_sizes(outputs, t, ids);
    for (size_t piece = 0; piece < batch; piece++) /* one window at a time: there is scratch for that in any case */
        assert_ok(transformer_lm_loss(&loss, &t->grad, &t->lm, tokens(ids + piece * context, 1, context),
                                      tokens(targets + piece * context, 1, context), NULL, &t->scratch));
    for (size_t layer = 0; layer < LAYERS; layer++) {
        weights[layer] = layer_size(t, layer, false);
        gradients[layer] = layer_size(t, layer, true) / (double)batch;
    }
    parameters_zero_grad(t->parameters);
    /* The step, and one that does not measure. */
    t->measure_norms = true;
    assert_ok(trainer_step(t, &loss, &norm));
    t->measure_norms = false;
    assert_ok(trainer_step(t, &loss, &norm));
    for (size_t layer = 0; layer < LAYERS; layer++) {
        test_label("%zu pieces, layer %zu", grad_accum, layer);
        ck_assert_double_eq_tol(t->norms.outputs[layer] / outputs[layer], 1, 1e-5);
        ck_assert_double_eq_tol(t->norms.weights[layer] / weights[layer], 1, 1e-12);
        ck_assert_double_eq_tol(t->norms.gradients[layer] / gradients[layer], 1, 1e-5);
    }
    test_label_end();
    tiny_training_deinit(&tiny);
}

START_TEST(test_norms_are_those_of_the_step)
{
    check_norms(1);
    check_norms(3);
}
END_TEST

START_TEST(test_trainer_check_errors)
{
    static const char *const messages[] = {
        "trainer_check: batch_size 0, steps 12, log_every 2: expected at least 1",
        "trainer_check: warm-up of 13 steps is longer than the decay's 12",
        "trainer_check: learning rates 0.02 to 0.01, expected 0 <= minimum <= maximum",
        "trainer_check: betas 0.9 and 1, expected 0 <= beta < 1",
        "trainer_check: eps 0, weight decay 0.1, expected eps > 0 and decay >= 0 in float32",
        "trainer_check: max_grad_norm -1, expected at least 0",
        "trainer_check: grad_accum 2 does not divide batch_size 3",
    };
    TrainerConfig bad[7];
    for (size_t i = 0; i < 7; i++)
        bad[i] = tiny_training_config();
    bad[0].batch_size = 0;
    bad[1].schedule.warmup_steps = 13;
    bad[2].schedule.min_lr = 0.02;
    bad[3].adamw.beta2 = 1;
    bad[4].adamw.eps = 0;
    bad[5].max_grad_norm = -1;
    bad[6].grad_accum = 2;
    for (size_t i = 0; i < 7; i++)
        assert_fails(trainer_check(&bad[i]), CS336_ERANGE, messages[i]);
    TrainerConfig heads = tiny_training_config();
    heads.model.num_heads = 5;
    assert_fails(trainer_check(&heads), CS336_ESHAPE, "num_heads 5 does not divide d_model 12");
}
END_TEST

static Status one_step(void *context)
{
    TinyTraining tiny;
    float loss;
    double norm, val_loss;
    Status s = tiny_training_init(&tiny, context);
    if (!s)
        s = trainer_step(&tiny.trainer, &loss, &norm);
    if (!s)
        s = trainer_validate(&tiny.trainer, &val_loss, NULL);
    tiny_training_deinit(&tiny);
    parallel_release();
    return s;
}

START_TEST(test_training_allocation_failures)
{
    TrainerConfig config = tiny_training_one_step();
    assert_allocation_failures_are_clean(one_step, &config);
}
END_TEST

const TestCase training_tests[] = {
    TEST(test_training_lowers_the_loss, "training_together"),
    TEST(test_training_step_is_its_parts, "training_together"),
    TEST(test_validation_sees_the_same_windows, "training_together"),
    TEST(test_norm_of_zero_means_no_clipping, "training_together"),
    TEST(test_validation_loss_of_the_only_window, "training_together"),
    TEST(test_one_batch_is_learned_by_heart, "training_together"),
    TEST(test_one_batch_is_the_first, "training_together"),
    TEST(test_gains_decay_unless_exempt, "adamw"),
    TEST(test_norms_are_those_of_the_step, "experiment_log"),
    TEST(test_trainer_check_errors, "training_together"),
    TEST(test_training_allocation_failures, "training_together"),
    {0},
};
