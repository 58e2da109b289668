#include "core/parallel.h"
#include "optim/adamw.h"
#include "optim/clip.h"
#include "optim/schedule.h"
#include "optim/sgd.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/fixture.h"
#include "tests/support/hash_weights.h"
#include "tests/support/kernels.h"
#include "tests/support/sample.h"

#include <math.h>
#include <string.h>

enum { SEED = 336 };

static const AdamWConfig USUAL = {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01};

/* Makes a parameter from the hash: values like a model's weights, a gradient of deviation 0.01, moments of zero. */
static Parameter parameter_of(const char *name, int rank, const size_t *shape)
{
    Parameter parameter = {.name = name,
                           .value = filled_of(0, rank, shape),
                           .grad = filled_of(0, rank, shape),
                           .first_moment = filled_of(0, rank, shape),
                           .second_moment = filled_of(0, rank, shape)};
    hash_weights(parameter.value, name, SEED);
    hash_normal(parameter.grad.data, tensor_count(parameter.grad), "gradient", SEED, 0, 0.01);
    return parameter;
}
#define PARAMETER(name, ...) parameter_of((name), TENSOR_EXTENTS(__VA_ARGS__))

static void set_gradient(Parameter *parameter, size_t step)
{
    hash_normal(parameter->grad.data, tensor_count(parameter->grad), "gradient", step, 0, 0.01);
}

static Tensor copy_of(Tensor t)
{
    const Tensor copy = filled_like(0, t);
    tensor_copy(copy, t);
    return copy;
}

static void assert_same_bytes(Tensor actual, Tensor expected)
{
    ck_assert(tensor_same_shape(actual, expected));
    ck_assert_mem_eq(actual.data, expected.data, tensor_count(actual) * sizeof(float));
}

START_TEST(test_hash_weights_equal_those_of_python)
{
    const char *const names[] = {"lm_head.weight", "layers.0.ln1.weight", "fc.bias"};
    Fixture fixture;
    fixture_open(&fixture, "optim");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char key[64];
        snprintf(key, sizeof key, "hash.%s", names[i]);
        const Tensor expected = fixture_tensor(&fixture, key), actual = fixture_output_like(&fixture, expected);
        hash_weights(actual, names[i], 7);
        assert_same_bytes(actual, expected);
    }
    const TokenTensor expected = fixture_tokens(&fixture, "hash.integers");
    int32_t actual[64];
    hash_integers(actual, 64, "integers", 7, 10000);
    ck_assert_uint_eq(tokens_count(expected), 64);
    ck_assert_mem_eq(actual, expected.data, sizeof actual);
    fixture_close(&fixture);
}
END_TEST

/* ---- AdamW ---- */

START_TEST(test_adamw_equals_pytorch_over_1000_steps)
{
    Fixture fixture;
    fixture_open(&fixture, "optim");
    Parameter parameter = PARAMETER("fc.weight", 5, 13);
    for (size_t step = 1; step <= 1000; step++) {
        const AdamWConfig config = {
            .lr = 1e-2 / sqrt((double)step), .beta1 = 0.8, .beta2 = 0.97, .eps = 1e-3, .weight_decay = 0.1};
        set_gradient(&parameter, step);
        assert_ok(adamw_step((ParameterList){&parameter, 1}, step, &config));
    }
    assert_allclose(parameter.value, fixture_tensor(&fixture, "adamw.value"), 1e-5, 1e-6);
    assert_allclose(parameter.first_moment, fixture_tensor(&fixture, "adamw.first"), 1e-5, 1e-8);
    assert_allclose(parameter.second_moment, fixture_tensor(&fixture, "adamw.second"), 1e-5, 1e-8);
    fixture_close(&fixture);
}
END_TEST

/* Computes the formula of adamw.h, number by number. */
static void reference_adamw(double *value, double *first, double *second, double g, size_t t, const AdamWConfig *c)
{
    *value -= c->lr * c->weight_decay * *value;
    *first = c->beta1 * *first + (1 - c->beta1) * g;
    *second = c->beta2 * *second + (1 - c->beta2) * g * g;
    const double unbiased_first = *first / (1 - pow(c->beta1, (double)t));
    const double unbiased_second = *second / (1 - pow(c->beta2, (double)t));
    *value -= c->lr * unbiased_first / (sqrt(unbiased_second) + c->eps);
}

static void compare_with_reference(size_t count, size_t steps, const AdamWConfig *config)
{
    Parameter parameter = PARAMETER("fc.weight", count);
    test_label("%zu weights, eps %g, on %s", count, config->eps, isa_name(isa_in_use()));
    double *value = sample_doubles(count), *first = sample_doubles(count), *second = sample_doubles(count);
    for (size_t i = 0; i < count; i++)
        value[i] = (double)parameter.value.data[i], first[i] = second[i] = 0;
    for (size_t step = 1; step <= steps; step++) {
        set_gradient(&parameter, step);
        for (size_t i = 0; i < count; i++)
            reference_adamw(&value[i], &first[i], &second[i], (double)parameter.grad.data[i], step, config);
        assert_ok(adamw_step((ParameterList){&parameter, 1}, step, config));
    }
    assert_allclose_double("value", parameter.value.data, value, count, 1e-5, 1e-6);
    assert_allclose_double("first moment", parameter.first_moment.data, first, count, 1e-5, 1e-8);
    assert_allclose_double("second moment", parameter.second_moment.data, second, count, 1e-5, 1e-10);
}

START_TEST(test_adamw_equals_the_double_precision_reference)
{
    const AdamWConfig large_eps = {.lr = 0.1, .beta1 = 0.5, .beta2 = 0.9, .eps = 0.5, .weight_decay = 0};
    const AdamWConfig no_memory = {.lr = 1e-2, .beta1 = 0, .beta2 = 0, .eps = 1e-3, .weight_decay = 1};
    FOR_EACH_ISA (isa) {
        compare_with_reference(3 * 4096 + 7, 30, &USUAL);
        compare_with_reference(1, 1000, &USUAL);
        compare_with_reference(100, 50, &large_eps);
        compare_with_reference(101, 50, &no_memory);
    }
}
END_TEST

/* Two groups of parameters, of which the second has no weight decay. A strong decay, so that it would be seen. */
START_TEST(test_adamw_decays_only_what_it_may)
{
    enum { COUNT = 70, STEPS = 20 };
    AdamWConfig config = USUAL, without = USUAL;
    config.weight_decay = 10;
    without.weight_decay = 0;
    Parameter items[] = {PARAMETER("fc.weight", COUNT), PARAMETER("fc.weight", COUNT)};
    items[1].no_decay = true;
    double *value = sample_doubles(2 * COUNT), *first = sample_doubles(2 * COUNT), *second = sample_doubles(2 * COUNT);
    for (size_t i = 0; i < 2 * COUNT; i++)
        value[i] = (double)items[i / COUNT].value.data[i % COUNT], first[i] = second[i] = 0;
    for (size_t step = 1; step <= STEPS; step++) {
        set_gradient(&items[0], step);
        set_gradient(&items[1], step);
        for (size_t i = 0; i < 2 * COUNT; i++)
            reference_adamw(&value[i], &first[i], &second[i], (double)items[0].grad.data[i % COUNT], step,
                            i < COUNT ? &config : &without);
        assert_ok(adamw_step((ParameterList){items, 2}, step, &config));
    }
    assert_allclose_double("decayed", items[0].value.data, value, COUNT, 1e-5, 1e-6);
    assert_allclose_double("not decayed", items[1].value.data, value + COUNT, COUNT, 1e-5, 1e-6);
}
END_TEST

START_TEST(test_adamw_clips_steps_and_clears_in_one)
{
    Parameter apart = PARAMETER("w", 3, 1500), at_once = PARAMETER("w", 3, 1500), scaled = PARAMETER("w", 3, 1500);
    const ParameterList first = {&apart, 1}, second = {&at_once, 1}, third = {&scaled, 1};
    for (size_t step = 1; step <= 5; step++) {
        double norm, same_norm;
        const double max_norm = step % 2 ? 0.1 : 1e9;
        test_label("step %zu", step);
        set_gradient(&apart, step);
        set_gradient(&at_once, step);
        set_gradient(&scaled, step);
        const float grad = scaled.grad.data[7];
        assert_ok(clip_gradients(&norm, first, max_norm));
        assert_ok(adamw_step(first, step, &USUAL));
        assert_ok(gradient_norm(&same_norm, second));
        ck_assert_double_eq(same_norm, norm);
        assert_ok(adamw_step_and_clear(second, clip_factor(norm, max_norm), step, &USUAL));
        assert_ok(adamw_step_scaled(third, clip_factor(norm, max_norm), step, &USUAL));
        for (size_t i = 0; i < 4500; i++)
            ck_assert(at_once.grad.data[i] == 0);
        ck_assert_float_eq(scaled.grad.data[7], grad);
    }
    test_label_end();
    assert_allclose(at_once.value, apart.value, 1e-6, 1e-7);
    assert_allclose(at_once.first_moment, apart.first_moment, 1e-5, 1e-9);
    assert_allclose(at_once.second_moment, apart.second_moment, 1e-5, 1e-12);
    assert_allclose(scaled.value, at_once.value, 0, 0);
    assert_allclose(scaled.first_moment, at_once.first_moment, 0, 0);
    assert_allclose(scaled.second_moment, at_once.second_moment, 0, 0);
    assert_fails(adamw_step_scaled(third, -1, 1, &USUAL), CS336_ERANGE,
                 "adamw_step_scaled: grad_factor is -1, expected a finite number of at least 0");
    assert_fails(adamw_step_and_clear(second, -1, 1, &USUAL), CS336_ERANGE,
                 "adamw_step_and_clear: grad_factor is -1, expected a finite number of at least 0");
    assert_fails(adamw_step_and_clear(second, 1, 0, &USUAL), CS336_ERANGE,
                 "adamw_step_and_clear: step is 0, the first is 1");
    at_once.grad = tensor_reshape(at_once.grad, 4500);
    assert_fails(gradient_norm(&(double){0}, second), CS336_ESHAPE,
                 "gradient_norm: gradient of w is (4500), value is (3, 1500)");
}
END_TEST

START_TEST(test_adamw_moment_without_gradient_becomes_zero)
{
    Parameter parameter = PARAMETER("w", 100);
    const ParameterList list = {&parameter, 1};
    size_t step = 1;
    assert_ok(adamw_step(list, step++, &USUAL));
    tensor_fill(parameter.grad, 0);
    while (step < 1200)
        assert_ok(adamw_step(list, step++, &USUAL));
    for (size_t i = 0; i < 100; i++)
        ck_assert_float_eq(parameter.first_moment.data[i], 0);
}
END_TEST

START_TEST(test_adamw_checks_everything_before_it_changes_anything)
{
    Parameter parameters[] = {PARAMETER("good", 2, 3), PARAMETER("bad", 2, 3)};
    const ParameterList list = {parameters, 2};
    const Parameter good = parameters[1];
    const Tensor before = copy_of(parameters[0].value);

    parameters[1].first_moment.data = NULL;
    assert_fails(adamw_step(list, 1, &USUAL), CS336_ESHAPE, "adamw_step: bad has no first moment");
    parameters[1] = good;
    parameters[1].second_moment.data = NULL;
    assert_fails(adamw_step(list, 1, &USUAL), CS336_ESHAPE, "adamw_step: bad has no second moment");
    parameters[1] = good;
    parameters[1].second_moment = tensor_reshape(good.second_moment, 6);
    assert_fails(adamw_step(list, 1, &USUAL), CS336_ESHAPE, "adamw_step: second moment of bad is (6), value is (2, 3)");
    parameters[1] = good;
    parameters[1].grad = tensor_reshape(good.grad, 3, 2);
    assert_fails(adamw_step(list, 1, &USUAL), CS336_ESHAPE, "adamw_step: gradient of bad is (3, 2), value is (2, 3)");
    parameters[1].grad = tensor_transpose(parameters[1].grad, 0, 1);
    assert_fails(adamw_step(list, 1, &USUAL), CS336_ESHAPE, "adamw_step: gradient of bad is not contiguous");
    assert_same_bytes(parameters[0].value, before);
}
END_TEST

START_TEST(test_adamw_reports_rates_outside_their_range)
{
    Parameter parameter = PARAMETER("w", 3);
    const ParameterList list = {&parameter, 1};
    const struct {
        size_t step;
        AdamWConfig config;
        const char *message;
    } cases[] = {
        {0, {1e-3, 0.9, 0.999, 1e-8, 0}, "adamw_step: step is 0, the first is 1"},
        {1, {-1e-3, 0.9, 0.999, 1e-8, 0}, "adamw_step: lr is -0.001, expected a finite number of at least 0"},
        {1, {1e-3, 1, 0.999, 1e-8, 0}, "adamw_step: beta1 is 1, expected at least 0 and below 1"},
        {1, {1e-3, 0.9, -0.5, 1e-8, 0}, "adamw_step: beta2 is -0.5, expected at least 0 and below 1"},
        {1, {1e-3, 0.9, 0.999, -1, 0}, "adamw_step: eps is -1, expected a finite number of at least 0"},
        {1,
         {1e-3, 0.9, 0.999, 1e-8, (double)INFINITY},
         "adamw_step: weight_decay is inf, expected a finite number of at least 0"},
    };
    const Tensor before = copy_of(parameter.value);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(adamw_step(list, cases[i].step, &cases[i].config), CS336_ERANGE, cases[i].message);
    const AdamWConfig not_a_number = {(double)NAN, 0.9, 0.999, 1e-8, 0};
    assert_fails(adamw_step(list, 1, &not_a_number), CS336_ERANGE,
                 "adamw_step: lr is nan, expected a finite number of at least 0");
    assert_same_bytes(parameter.value, before);
}
END_TEST

/* ---- Clipping ---- */

static double norm_of(ParameterList list)
{
    double sum = 0;
    for (size_t p = 0; p < list.count; p++)
        for (size_t i = 0; list.items[p].grad.data && i < tensor_count(list.items[p].grad); i++)
            sum += (double)list.items[p].grad.data[i] * (double)list.items[p].grad.data[i];
    return sqrt(sum);
}

START_TEST(test_clipping_scales_to_the_norm)
{
    Parameter parameters[] = {PARAMETER("a", 17, 300), PARAMETER("b", 5), PARAMETER("c", 63)};
    const ParameterList list = {parameters, 3};
    double norm;
    const double expected = norm_of(list);
    assert_ok(clip_gradients(&norm, list, 0.25));
    ck_assert_double_eq_tol(norm, expected, 1e-12);
    ck_assert_double_eq_tol(norm_of(list), 0.25 * expected / (expected + 1e-6), 1e-7);
    assert_ok(clip_gradients(NULL, list, 0));
    ck_assert_double_eq(norm_of(list), 0);
}
END_TEST

START_TEST(test_clipping_leaves_small_gradients_alone)
{
    Parameter parameter = PARAMETER("a", 100);
    const ParameterList list = {&parameter, 1};
    const Tensor before = copy_of(parameter.grad);
    assert_ok(clip_gradients(NULL, list, norm_of(list) * 1.0001));
    assert_same_bytes(parameter.grad, before);
    double norm;
    assert_ok(clip_gradients(&norm, list, (double)INFINITY));
    assert_same_bytes(parameter.grad, before);
    ck_assert_double_eq_tol(norm, norm_of(list), 1e-12);
}
END_TEST

START_TEST(test_clipping_measures_huge_gradients)
{
    Parameter parameter = PARAMETER("a", 4);
    const ParameterList list = {&parameter, 1};
    tensor_fill(parameter.grad, 1e30F);
    double norm;
    assert_ok(clip_gradients(&norm, list, 1));
    ck_assert_double_eq_tol(norm / (2 * (double)1e30F), 1, 1e-12);
    for (size_t i = 0; i < 4; i++)
        ck_assert_float_eq_tol(parameter.grad.data[i], 0.5F, 1e-6F);
}
END_TEST

START_TEST(test_clipping_reports_what_does_not_fit)
{
    Parameter parameter = PARAMETER("w", 2, 3);
    const ParameterList list = {&parameter, 1};
    assert_fails(clip_gradients(NULL, list, -1), CS336_ERANGE, "clip_gradients: max_norm is -1, expected at least 0");
    assert_fails(clip_gradients(NULL, list, (double)NAN), CS336_ERANGE,
                 "clip_gradients: max_norm is nan, expected at least 0");
    parameter.grad = tensor_reshape(parameter.grad, 6);
    assert_fails(clip_gradients(NULL, list, 1), CS336_ESHAPE, "clip_gradients: gradient of w is (6), value is (2, 3)");
    parameter.grad = tensor_transpose(tensor_reshape(parameter.grad, 3, 2), 0, 1);
    assert_fails(clip_gradients(NULL, list, 1), CS336_ESHAPE, "clip_gradients: gradient of w is not contiguous");
    parameter.value.data = NULL;
    assert_fails(clip_gradients(NULL, list, 1), CS336_ESHAPE, "clip_gradients: w has no value");
}
END_TEST

/* ---- Schedule ---- */

START_TEST(test_schedule_without_warmup_starts_at_the_maximum)
{
    const CosineSchedule schedule = {.max_lr = 2, .min_lr = 1, .warmup_steps = 0, .decay_steps = 10};
    ck_assert_double_eq(cosine_schedule_lr(&schedule, 0), 2);
    ck_assert_double_eq_tol(cosine_schedule_lr(&schedule, 5), 1.5, 1e-15);
    ck_assert_double_eq_tol(cosine_schedule_lr(&schedule, 10), 1, 1e-15);
    ck_assert_double_eq(cosine_schedule_lr(&schedule, 11), 1);
}
END_TEST

START_TEST(test_schedule_without_decay_falls_at_once)
{
    const CosineSchedule schedule = {.max_lr = 2, .min_lr = 1, .warmup_steps = 4, .decay_steps = 4};
    ck_assert_double_eq(cosine_schedule_lr(&schedule, 3), 1.5);
    ck_assert_double_eq(cosine_schedule_lr(&schedule, 4), 2);
    ck_assert_double_eq(cosine_schedule_lr(&schedule, 5), 1);
}
END_TEST

/* ---- All of them ---- */

START_TEST(test_optimizers_leave_frozen_parameters_alone)
{
    Parameter parameters[] = {PARAMETER("trained", 3, 4), PARAMETER("frozen", 5)};
    const ParameterList list = {parameters, 2};
    parameters[1].grad.data = NULL;
    parameters[1].second_moment.data = NULL;
    const Tensor frozen = copy_of(parameters[1].value), trained = copy_of(parameters[0].value);
    double norm;
    assert_ok(clip_gradients(&norm, list, 1e-3));
    ck_assert_double_eq_tol(norm_of(list), 1e-3, 1e-6);
    assert_ok(sgd_step(list, 0, 1));
    assert_ok(adamw_step(list, 1, &USUAL));
    assert_same_bytes(parameters[1].value, frozen);
    for (size_t i = 0; i < 12; i++)
        ck_assert_float_ne(parameters[0].value.data[i], trained.data[i]);
    for (size_t i = 0; i < 5; i++)
        ck_assert_float_eq(parameters[1].first_moment.data[i], 0);
}
END_TEST

START_TEST(test_optimizers_give_the_same_bytes_for_any_number_of_threads)
{
    Parameter expected = {0};
    double expected_norm = 0;
    static const int threads[] = {1, 2, 3, 8};
    for (size_t t = 0; t < 4; t++) {
        parallel_set_threads(threads[t]);
        test_label("%d threads", threads[t]);
        Parameter parameter = PARAMETER("w", 5, 8191);
        const ParameterList list = {&parameter, 1};
        double norm;
        for (size_t step = 1; step <= 3; step++) {
            set_gradient(&parameter, step);
            assert_ok(clip_gradients(&norm, list, 0.1));
            assert_ok(sgd_step(list, step, 0.1));
            assert_ok(adamw_step_and_clear(list, 0.5, step, &USUAL));
        }
        if (t == 0)
            expected = parameter, expected_norm = norm;
        ck_assert_double_eq(norm, expected_norm);
        assert_same_bytes(parameter.value, expected.value);
        assert_same_bytes(parameter.first_moment, expected.first_moment);
        assert_same_bytes(parameter.second_moment, expected.second_moment);
    }
}
END_TEST

const TestCase optim_tests[] = {
    TEST(test_hash_weights_equal_those_of_python, "support"),
    TEST(test_adamw_equals_pytorch_over_1000_steps, "adamw"),
    TEST(test_adamw_equals_the_double_precision_reference, "adamw"),
    TEST(test_adamw_decays_only_what_it_may, "adamw"),
    TEST(test_adamw_clips_steps_and_clears_in_one, "adamw"),
    TEST(test_adamw_moment_without_gradient_becomes_zero, "adamw"),
    TEST(test_adamw_checks_everything_before_it_changes_anything, "adamw"),
    TEST(test_adamw_reports_rates_outside_their_range, "adamw"),
    TEST(test_clipping_scales_to_the_norm, "gradient_clipping"),
    TEST(test_clipping_leaves_small_gradients_alone, "gradient_clipping"),
    TEST(test_clipping_measures_huge_gradients, "gradient_clipping"),
    TEST(test_clipping_reports_what_does_not_fit, "gradient_clipping"),
    TEST(test_schedule_without_warmup_starts_at_the_maximum, "learning_rate_schedule"),
    TEST(test_schedule_without_decay_falls_at_once, "learning_rate_schedule"),
    TEST(test_optimizers_leave_frozen_parameters_alone, "optim"),
    TEST(test_optimizers_give_the_same_bytes_for_any_number_of_threads, "optim"),
    {0},
};
