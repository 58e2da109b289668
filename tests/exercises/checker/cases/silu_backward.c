/* SiLU, backward, and its mistakes. */
#include "nn/functional.h"
#include "tests/exercises/checker/exercise.h"

#include <math.h>

enum {
    SIGMOID_ALONE = 1,
    SLOPE_OF_SIGMOID,
    WITHOUT_X,
    WITHOUT_INCOMING_GRADIENT,
    SLOPE_AT_Y,
    SILU_ITSELF,
    SLOPE_OF_RELU,
    SIGMOID_OVERFLOWS,
    READS_WHAT_IT_WROTE,
    ADDED,
};

static const Mistake MISTAKES[] = {
    {SIGMOID_ALONE, "sigmoid_alone",
     "grad_y p with the sigmoid p: the second term of the product rule, x p (1 - p), is missing"},
    {SLOPE_OF_SIGMOID, "slope_of_sigmoid", "grad_y p (1 - p), which is the gradient of the sigmoid p, not of x p"},
    {WITHOUT_X, "without_x", "grad_y (p + p (1 - p)): the factor x of the second term is missing"},
    {WITHOUT_INCOMING_GRADIENT, "without_incoming_gradient", "the derivative alone, not multiplied by grad_y"},
    {SLOPE_AT_Y, "slope_at_y", "the derivative at y = silu(x) in place of x"},
    {SILU_ITSELF, "silu_itself", "grad_y silu(x): the function in place of its derivative"},
    {SLOPE_OF_RELU, "slope_of_relu", "the gradient of ReLU: grad_y where x is above 0, and 0 elsewhere"},
    {SIGMOID_OVERFLOWS, "sigmoid_overflows",
     "the sigmoid as e^x / (1 + e^x), which is inf / inf for large x: use 1 / (1 + e^-x)"},
    {READS_WHAT_IT_WROTE, "reads_what_it_wrote",
     "two steps, of which the second reads x or grad_y again after grad_x was written into the same memory"},
    {ADDED, "added", "a gradient that is added to what grad_x held before: it must be overwritten"},
    {0},
};

/* The derivative with the mistake. */
static double slope(double x, int mistake)
{
    const double p = mistake == SIGMOID_OVERFLOWS ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
    switch (mistake) {
    case SIGMOID_ALONE:
        return p;
    case SLOPE_OF_SIGMOID:
        return p * (1 - p);
    case WITHOUT_X:
        return p + p * (1 - p);
    case SLOPE_AT_Y:
        return slope(x * p, 0);
    case SILU_ITSELF:
        return x * p;
    case SLOPE_OF_RELU:
        return x > 0 ? 1 : 0;
    default:
        return p + x * p * (1 - p);
    }
}

/* Calls silu_backward(). grad_x may be x or grad_y: trial_doubles() are the numbers before the call. */
static void differentiate(Trial *t, Tensor grad_x, Tensor grad_y, Tensor x)
{
    TRIAL_CALL(t, silu_backward(grad_x, grad_y, x));
    double *answer = trial_answer(t, grad_x);
    const double *before = trial_doubles(t, grad_x), *numbers = trial_doubles(t, x), *g = trial_doubles(t, grad_y);
    for (size_t i = 0; i < tensor_count(x); i++) {
        answer[i] = (t->mistake == WITHOUT_INCOMING_GRADIENT ? 1 : g[i]) * slope(numbers[i], t->mistake);
        if (t->mistake == ADDED)
            answer[i] += before[i];
        if (t->mistake == READS_WHAT_IT_WROTE) {
            const double p = slope(numbers[i], SIGMOID_ALONE), first = g[i] * p;
            answer[i] = first + (grad_y.data == grad_x.data ? first : g[i]) *
                                    (x.data == grad_x.data ? first : numbers[i]) * p * (1 - p);
        }
    }
}

static void by_hand(Trial *t)
{
    static const float X[] = {-2, 0, 1, 2, 3, 4}, GRAD_Y[] = {1, 1, 1, 1, 2, -1};
    const Tensor x = trial_input(t, "x", X, 2, 3), grad_y = trial_input(t, "grad_y", GRAD_Y, 2, 3);
    differentiate(t, trial_output_like(t, "grad_x", x), grad_y, x);
}

static void many_numbers(Trial *t)
{
    const Tensor x = trial_random(t, "x", 2, 4, 12, 64), grad_y = trial_random(t, "grad_y", 1, 4, 12, 64);
    differentiate(t, trial_output_like(t, "grad_x", x), grad_y, x);
}

static void far_from_zero(Trial *t)
{
    static const float X[] = {1000, 20, -20, -1000}, GRAD_Y[] = {1, 2, 3, 4};
    const Tensor x = trial_input(t, "x", X, 2, 2), grad_y = trial_input(t, "grad_y", GRAD_Y, 2, 2);
    differentiate(t, trial_output_like(t, "grad_x", x), grad_y, x);
}

static void in_place_of_x(Trial *t)
{
    const Tensor x = trial_changed_random(t, "x", 1, 3, 5), grad_y = trial_random(t, "grad_y", 1, 3, 5);
    differentiate(t, x, grad_y, x);
}

static void in_place_of_grad_y(Trial *t)
{
    const Tensor x = trial_random(t, "x", 1, 3, 5), grad_y = trial_changed_random(t, "grad_y", 1, 3, 5);
    differentiate(t, grad_y, grad_y, x);
}

static void strides(Trial *t)
{
    t->gap = 3;
    const Tensor x = trial_random(t, "x", 1, 3, 5), grad_y = trial_random(t, "grad_y", 1, 3, 5);
    differentiate(t, trial_output_like(t, "grad_x", x), grad_y, x);
}

typedef struct {
    Tensor y, x;
} Forward;

static Status forward(void *context)
{
    const Forward *f = context;
    return silu_forward(f->y, f->x);
}

static void finite_differences(Trial *t)
{
    const Tensor x = trial_random(t, "x", 1, 3, 5), grad_y = trial_random(t, "grad_y", 1, 3, 5);
    const Tensor grad_x = trial_output_like(t, "grad_x", x);
    differentiate(t, grad_x, grad_y, x);
    Forward f = {.y = trial_tensor(t, 3, 5), .x = x};
    if (t->mistake == 0)
        trial_differences(t, trial_answer(t, grad_x), x, grad_y, f.y, forward, &f);
}

static const Case CASES[] = {
    CASE("two rows of three numbers", by_hand),
    CASE("a (4, 12, 64) tensor", many_numbers),
    CASE("numbers of 1000 and of -1000", far_from_zero),
    CASE("grad_x in the memory of x", in_place_of_x),
    CASE("grad_x in the memory of grad_y", in_place_of_grad_y),
    CASE("rows that do not follow each other in memory", strides),
    {.what = "finite differences of your own forward pass", .run = finite_differences, .loosely = 30},
    {0},
};

const Exercise exercise_silu_backward = {"silu_backward", .rtol = 1e-5, .atol = 1e-5, .cases = CASES,
                                         .mistakes = MISTAKES};
