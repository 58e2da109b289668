/* SiLU and its mistakes. */
#include "nn/functional.h"
#include "tests/exercises/checker/exercise.h"
#include "tests/support/reference.h"

#include <math.h>

enum {
    SILU_IS_SIGMOID = 1,
    EXPONENT_WITHOUT_SIGN,
    WITHOUT_THE_ONE,
    QUOTIENT_OVERFLOWS,
    RELU,
    GELU,
    TANH,
};

static const Mistake MISTAKES[] = {
    {SILU_IS_SIGMOID, "silu_is_sigmoid", "the sigmoid of x: it must be multiplied by x"},
    {EXPONENT_WITHOUT_SIGN, "exponent_without_sign", "x / (1 + e^x): the exponent must be -x"},
    {WITHOUT_THE_ONE, "without_the_one", "x / e^-x: the 1 in the denominator 1 + e^-x is missing"},
    {QUOTIENT_OVERFLOWS, "quotient_overflows", "x e^x / (1 + e^x), which is inf / inf for large x: use x / (1 + e^-x)"},
    {RELU, "relu", "ReLU, the larger one of x and 0"},
    {GELU, "gelu", "GELU, x times the normal distribution function of x"},
    {TANH, "tanh", "x tanh(x), with the hyperbolic tangent in place of the sigmoid"},
    {0},
};

static double wrong_silu(double x, int mistake)
{
    switch (mistake) {
    case SILU_IS_SIGMOID:
        return 1 / (1 + exp(-x));
    case EXPONENT_WITHOUT_SIGN:
        return x / (1 + exp(x));
    case WITHOUT_THE_ONE:
        return x / exp(-x);
    case QUOTIENT_OVERFLOWS:
        return x * exp(x) / (1 + exp(x));
    case RELU:
        return x > 0 ? x : 0;
    case GELU:
        return x * (1 + erf(x / sqrt(2))) / 2;
    default:
        return x * tanh(x);
    }
}

/* Calls silu_forward(). y may be x itself: trial_doubles() are the numbers before the call. */
static void activate(Trial *t, Tensor y, Tensor x)
{
    TRIAL_CALL(t, silu_forward(y, x));
    double *answer = trial_answer(t, y);
    const double *numbers = trial_doubles(t, x);
    if (t->mistake == 0)
        reference_silu(answer, numbers, tensor_count(x));
    for (size_t i = 0; i < tensor_count(x) && t->mistake; i++)
        answer[i] = wrong_silu(numbers[i], t->mistake);
}

static void by_hand(Trial *t)
{
    static const float X[] = {-2, -1, 0, 1, 2, 4};
    const Tensor x = trial_input(t, "x", X, 2, 3);
    activate(t, trial_output_like(t, "y", x), x);
}

static void many_numbers(Trial *t)
{
    const Tensor x = trial_random(t, "x", 2, 4, 12, 64);
    activate(t, trial_output_like(t, "y", x), x);
}

static void far_from_zero(Trial *t)
{
    static const float X[] = {1000, 20, -20, -1000};
    const Tensor x = trial_input(t, "x", X, 2, 2);
    activate(t, trial_output_like(t, "y", x), x);
}

static void in_place(Trial *t)
{
    const Tensor x = trial_changed_random(t, "x", 1, 3, 5);
    activate(t, x, x);
}

static void one_dimension(Trial *t)
{
    const Tensor x = trial_random(t, "x", 1, 7);
    activate(t, trial_output_like(t, "y", x), x);
}

static void strides(Trial *t)
{
    t->gap = 3;
    const Tensor x = trial_random(t, "x", 1, 3, 5);
    activate(t, trial_output_like(t, "y", x), x);
}

static void no_rows(Trial *t)
{
    const Tensor x = trial_random(t, "x", 1, 0, 5);
    activate(t, trial_output_like(t, "y", x), x);
}

static const Case CASES[] = {
    CASE("two rows of three numbers", by_hand),
    CASE("a (4, 12, 64) tensor", many_numbers),
    CASE("numbers of 1000 and of -1000", far_from_zero),
    CASE("y in the memory of x", in_place),
    CASE("a tensor of one dimension", one_dimension),
    CASE("rows that do not follow each other in memory", strides),
    CASE("no rows", no_rows),
    {0},
};

const Exercise exercise_silu = {"silu", .rtol = 1e-5, .atol = 1e-6, .cases = CASES, .mistakes = MISTAKES};
