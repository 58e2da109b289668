#include "optim/sgd.h"
#include "optim/sgd_tuning.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/hash_weights.h"
#include "tests/support/sample.h"

#include <math.h>

enum { SEED = 336 };

/* Runs the handout's experiment: weights of deviation 5, loss mean(w^2), ten steps. Returns last loss / first loss. */
static double tuned_loss_ratio(double lr)
{
    enum { COUNT = 100, STEPS = 10 };
    float value[COUNT], grad[COUNT];
    double reference[COUNT], first = 0, last = 0;
    hash_normal(value, COUNT, "tuning", SEED, 0, 5);
    for (size_t i = 0; i < COUNT; i++)
        reference[i] = (double)value[i];
    Parameter parameter = {.name = "w", .value = tensor(value, 10, 10), .grad = tensor(grad, 10, 10)};
    for (size_t t = 0; t < STEPS; t++) {
        last = 0;
        for (size_t i = 0; i < COUNT; i++) {
            grad[i] = 2 * value[i] / COUNT;
            reference[i] -= lr / sqrt((double)t + 1) * 2 * reference[i] / COUNT;
            last += (double)value[i] * (double)value[i] / COUNT;
        }
        first = t ? first : last;
        assert_ok(sgd_step((ParameterList){&parameter, 1}, t, lr));
        test_label("lr %g, step %zu", lr, t);
        assert_allclose_double("weights", value, reference, COUNT, 1e-5, 1e-5);
    }
    test_label("lr %g", lr);
    return last / first;
}

/*
 * The handout's experiment has a closed form. The gradient of mean(w^2) is 2 w / n, so a step multiplies each weight by
 * 1 - 2 lr / (n sqrt(t + 1)), and ten steps multiply it by the product of these factors.
 */
static void check_ten_steps(double lr)
{
    enum { COUNT = 100, STEPS = 10 };
    float value[COUNT], grad[COUNT];
    double expected[COUNT];
    hash_normal(value, COUNT, "tuning", SEED, 0, 5);
    for (size_t i = 0; i < COUNT; i++) {
        expected[i] = (double)value[i];
        for (size_t t = 0; t < STEPS; t++)
            expected[i] *= 1 - 2 * lr / (COUNT * sqrt((double)t + 1));
    }
    Parameter parameter = {.name = "w", .value = tensor(value, 10, 10), .grad = tensor(grad, 10, 10)};
    for (size_t t = 0; t < STEPS; t++) {
        for (size_t i = 0; i < COUNT; i++)
            grad[i] = 2 * value[i] / COUNT;
        assert_ok(sgd_step((ParameterList){&parameter, 1}, t, lr));
    }
    test_label("lr %g", lr);
    assert_allclose_double("weights after ten steps", value, expected, COUNT, 1e-5, 1e-5);
}

START_TEST(test_sgd_equals_its_formula)
{
    /* By hand: the rate 1/2 divided by sqrt(1), sqrt(4) and sqrt(16) is 1/2, 1/4 and 1/8. All numbers are exact. */
    const size_t steps[] = {0, 3, 15};
    const float expected[3][3] = {{1.5F, 0, -1.5F}, {1.25F, 0.5F, -2.5F}, {1.125F, 0.75F, -3}};
    float value[] = {2, -1, 0.5F}, grad[] = {1, -2, 4}, same[] = {1, -2, 4};
    Parameter parameter = {.name = "w", .value = tensor(value, 3), .grad = tensor(grad, 3)};
    for (size_t i = 0; i < 3; i++) {
        test_label("step %zu", steps[i]);
        assert_ok(sgd_step((ParameterList){&parameter, 1}, steps[i], 0.5));
        assert_allclose_array("weights by hand", value, expected[i], 3, 0, 0);
    }
    test_label_end();
    assert_allclose_array("gradient", grad, same, 3, 0, 0);

    const double rates[] = {1e-1, 1e1, 1e2, 1e3};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        check_ten_steps(rates[i]);
}
END_TEST

START_TEST(test_sgd_learning_rate_tuning)
{
    ck_assert_double_lt(tuned_loss_ratio(1e1), 0.3);
    ck_assert_double_lt(tuned_loss_ratio(1e2), 1e-9);
    ck_assert_double_gt(tuned_loss_ratio(1e3), 1e9);
}
END_TEST

/*
 * Each step multiplies all weights by the same factor, so that the loss after t steps is the first one times the square
 * of the product of the factors, and the gradient's norm is 2 sqrt(loss / n). All weights are equally wide: their first
 * loss is near 25, with a standard deviation of 25 sqrt(2 / 100) = 3.5.
 */
START_TEST(test_sgd_tuning_follows_its_closed_form)
{
    enum { STEPS = 12 };
    const double rates[] = {0, 1, 1e1, 1e2, 1e3};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        double losses[STEPS], norms[STEPS], factor = 1;
        assert_ok(sgd_tuning(losses, norms, STEPS, rates[i], 336));
        ck_assert_double_eq_tol(losses[0], 25, 4 * 3.5);
        for (size_t t = 0; t < STEPS; t++) {
            test_label("lr %g, step %zu", rates[i], t);
            ck_assert_double_eq_tol(losses[t] / losses[0], factor * factor, 2e-6 * factor * factor + 1e-12);
            ck_assert_double_eq_tol(norms[t], 2 * sqrt(losses[t] / 100), 1e-6 * norms[t]);
            factor *= 1 - 2 * rates[i] / (100 * sqrt((double)t + 1));
        }
    }
    test_label_end();
    /* Another seed draws other weights. */
    double a, b, norm;
    assert_ok(sgd_tuning(&a, &norm, 1, 1, 1));
    assert_ok(sgd_tuning(&b, &norm, 1, 1, 2));
    ck_assert_double_ne(a, b);
    assert_fails(sgd_tuning(&a, &norm, 1, -1, 1), CS336_ERANGE,
                 "sgd_step: lr is -1, expected a finite number of at least 0");
}
END_TEST

START_TEST(test_sgd_reports_what_does_not_fit)
{
    Parameter parameter = {.name = "w", .value = filled(0, 2, 3), .grad = filled(0, 2, 3)};
    const ParameterList list = {&parameter, 1};
    assert_fails(sgd_step(list, 0, -1), CS336_ERANGE, "sgd_step: lr is -1, expected a finite number of at least 0");
    assert_fails(sgd_step(list, 0, (double)INFINITY), CS336_ERANGE,
                 "sgd_step: lr is inf, expected a finite number of at least 0");
    parameter.grad = tensor_reshape(parameter.grad, 3, 2);
    assert_fails(sgd_step(list, 0, 1), CS336_ESHAPE, "sgd_step: gradient of w is (3, 2), value is (2, 3)");
    parameter.grad = tensor_transpose(parameter.grad, 0, 1);
    assert_fails(sgd_step(list, 0, 1), CS336_ESHAPE, "sgd_step: gradient of w is not contiguous");
    parameter.value.data = NULL;
    assert_fails(sgd_step(list, 0, 1), CS336_ESHAPE, "sgd_step: w has no value");
}
END_TEST

const TestCase sgd_tests[] = {
    TEST(test_sgd_equals_its_formula, "learning_rate_tuning"),
    TEST(test_sgd_learning_rate_tuning, "learning_rate_tuning"),
    TEST(test_sgd_tuning_follows_its_closed_form, "learning_rate_tuning"),
    TEST(test_sgd_reports_what_does_not_fit, "learning_rate_tuning"),
    {0},
};
