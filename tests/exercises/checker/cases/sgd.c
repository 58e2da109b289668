/* SGD and its mistakes. */
#include "optim/sgd.h"
#include "tests/exercises/checker/exercise.h"

#include <math.h>

enum {
    CONSTANT_RATE = 1,
    ONE_STEP_AHEAD,
    ROOT_OF_THE_STEP,
    ROOT_OF_THE_RATE,
    WITHOUT_SQUARE_ROOT,
    UPHILL,
    OVERWRITTEN,
};

static const Mistake MISTAKES[] = {
    {CONSTANT_RATE, "constant_rate", "SGD whose rate does not decay"},
    {ONE_STEP_AHEAD, "one_step_ahead", "SGD that divides the rate by sqrt(t + 2)"},
    {ROOT_OF_THE_STEP, "root_of_the_step", "SGD that divides the rate by sqrt(t), which is 0 in the first step"},
    {ROOT_OF_THE_RATE, "root_of_the_rate", "SGD with the rate sqrt(lr / (t + 1))"},
    {WITHOUT_SQUARE_ROOT, "without_square_root", "SGD that divides the rate by t + 1 instead of its square root"},
    {UPHILL, "uphill", "SGD that adds the gradient instead of subtracting it"},
    {OVERWRITTEN, "overwritten", "the step alone: it replaces the value instead of being subtracted from it"},
    {0},
};

static double rate_of(size_t step, double lr, int mistake)
{
    const double t = (double)step;
    switch (mistake) {
    case CONSTANT_RATE:
        return lr;
    case ONE_STEP_AHEAD:
        return lr / sqrt(t + 2);
    case ROOT_OF_THE_STEP:
        return lr / sqrt(t);
    case ROOT_OF_THE_RATE:
        return sqrt(lr / (t + 1));
    case WITHOUT_SQUARE_ROOT:
        return lr / (t + 1);
    default:
        return lr / sqrt(t + 1);
    }
}

static double stepped(double value, double grad, size_t step, double lr, int mistake)
{
    const double move = rate_of(step, lr, mistake) * grad;
    return mistake == UPHILL ? value + move : mistake == OVERWRITTEN ? -move : value - move;
}

/* Computes the answer of one step of all parameters. */
static void answer(Trial *t, ParameterList parameters, size_t step, double lr)
{
    for (size_t p = 0; p < parameters.count; p++) {
        const Parameter *parameter = &parameters.items[p];
        double *after = trial_answer(t, parameter->value);
        const double *before = trial_doubles(t, parameter->value);
        const double *grad = parameter->grad.data ? trial_doubles(t, parameter->grad) : NULL;
        for (size_t i = 0; i < tensor_count(parameter->value); i++)
            after[i] = grad ? stepped(before[i], grad[i], step, lr, t->mistake) : before[i];
    }
}

static void by_hand(Trial *t)
{
    static const float VALUE[] = {1, 2, 3, -1, 0, 0.5F}, GRAD[] = {2, -2, 0, 4, 1, -8};
    Parameter weight = {.name = "weight"};
    weight.value = trial_changed(t, "weight.value", VALUE, 2, 3);
    weight.grad = trial_input(t, "weight.grad", GRAD, 2, 3);
    const ParameterList parameters = {&weight, 1};
    TRIAL_CALL(t, sgd_step(parameters, 3, 0.1)); /* the rate is 0.1 / sqrt(4) = 0.05 */
    answer(t, parameters, 3, 0.1);
}

static void first_step(Trial *t)
{
    Parameter weight = {.name = "weight"};
    weight.value = trial_changed_random(t, "weight.value", 1, 4, 5);
    weight.grad = trial_random(t, "weight.grad", 1, 4, 5);
    const ParameterList parameters = {&weight, 1};
    TRIAL_CALL(t, sgd_step(parameters, 0, 0.25));
    answer(t, parameters, 0, 0.25);
}

static void three_parameters(Trial *t)
{
    Parameter items[3] = {{.name = "weight"}, {.name = "frozen"}, {.name = "bias"}};
    items[0].value = trial_changed_random(t, "weight.value", 1, 64, 12);
    items[0].grad = trial_random(t, "weight.grad", 1, 64, 12);
    items[1].value = trial_changed_random(t, "frozen.value", 1, 3, 4);
    items[2].value = trial_changed_random(t, "bias.value", 1, 7);
    items[2].grad = trial_random(t, "bias.grad", 1, 7);
    const ParameterList parameters = {items, 3};
    TRIAL_CALL(t, sgd_step(parameters, 8, 0.5));
    answer(t, parameters, 8, 0.5);
}

/* The handout's experiment: the loss is the mean of w^2, so the gradient is 2 w / n. */
static void ten_steps(Trial *t)
{
    enum { STEPS = 10, COUNT = 100 };
    const double lr = 10;
    Parameter weight = {.name = "weight", .grad = trial_tensor(t, 10, 10)};
    weight.value = trial_changed_random(t, "weight.value", 5, 10, 10);
    const ParameterList parameters = {&weight, 1};
    double *after = trial_answer(t, weight.value);
    const double *before = trial_doubles(t, weight.value);
    for (size_t i = 0; i < COUNT; i++)
        after[i] = before[i];
    for (size_t step = 0; step < STEPS; step++) {
        for (size_t i = 0; i < COUNT; i++) {
            weight.grad.data[i] = 2 * weight.value.data[i] / COUNT;
            after[i] = stepped(after[i], 2 * after[i] / COUNT, step, lr, t->mistake);
        }
        TRIAL_CALL(t, sgd_step(parameters, step, lr));
    }
}

static const Case CASES[] = {
    CASE("one step of a (2, 3) weight, the fourth", by_hand),
    CASE("the first step, t = 0", first_step),
    CASE("three parameters, of which one is frozen", three_parameters),
    CASE("ten steps of the handout's experiment", ten_steps),
    {0},
};

const Exercise exercise_sgd = {"sgd", .rtol = 1e-5, .atol = 1e-6, .cases = CASES, .mistakes = MISTAKES};
