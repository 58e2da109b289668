#include "tests/adapters.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/fixture.h"

#include <math.h>
#include <stdio.h>

enum { D_IN = 3, D_OUT = 2, WEIGHTS = D_OUT * D_IN, STEPS = 1000, RATES = 25 };

/* Gradient of sum((y - W x)^2), where y = (x_0 + x_1, -x_2) is a linear map that can be learned exactly. */
static void least_squares_gradient(float *grad, const float *weight, const float *x)
{
    const float y[D_OUT] = {x[0] + x[1], -x[2]};
    for (size_t row = 0; row < D_OUT; row++) {
        float error = -y[row];
        for (size_t i = 0; i < D_IN; i++)
            error += weight[row * D_IN + i] * x[i];
        for (size_t i = 0; i < D_IN; i++)
            grad[row * D_IN + i] = 2 * error * x[i];
    }
}

START_TEST(test_adamw)
{
    Fixture fixture;
    fixture_open(&fixture, "course");
    const float *inputs = fixture_tensor(&fixture, "adamw.inputs").data;
    float grad[WEIGHTS], first[WEIGHTS] = {0}, second[WEIGHTS] = {0};
    Parameter weight = {.name = "weight",
                        .value = fixture_tensor(&fixture, "adamw.start"),
                        .grad = tensor(grad, D_OUT, D_IN),
                        .first_moment = tensor(first, D_OUT, D_IN),
                        .second_moment = tensor(second, D_OUT, D_IN)};
    for (size_t step = 1; step <= STEPS; step++) {
        least_squares_gradient(grad, weight.value.data, inputs + (step - 1) * D_IN);
        assert_ok(run_adamw((ParameterList){&weight, 1}, step, 1e-3, 0.9, 0.999, 1e-8, 0.01));
        if (step == 1 || step == 10 || step == 100 || step == STEPS) {
            char name[32];
            snprintf(name, sizeof name, "adamw.step%zu", step);
            assert_allclose_tensor(name, weight.value, fixture_tensor(&fixture, name), 1e-5, 1e-4);
        }
    }
    fixture_close(&fixture);
}
END_TEST

START_TEST(test_get_lr_cosine_schedule)
{
    Fixture fixture;
    fixture_open(&fixture, "course");
    const double *expected = fixture_doubles(&fixture, "schedule", RATES);
    for (size_t it = 0; it < RATES; it++) {
        const double rate = run_get_lr_cosine_schedule(it, 1, 0.1, 7, 21);
        ck_assert_msg(fabs(rate - expected[it]) <= 1e-7 * fabs(expected[it]), "iteration %zu: %.17g, expected %.17g",
                      it, rate, expected[it]);
    }
    fixture_close(&fixture);
}
END_TEST

const TestCase optimizer_tests[] = {
    TEST(test_adamw, "adamw"),
    TEST(test_get_lr_cosine_schedule, "learning_rate_schedule"),
    {0},
};
