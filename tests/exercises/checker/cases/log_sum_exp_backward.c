/* Log-sum-exp, backward, and its mistakes. */
#include "nn/functional.h"
#include "tests/exercises/checker/exercise.h"
#include "tests/support/reference.h"

#include <math.h>

enum {
    WITHOUT_INCOMING_GRADIENT = 1,
    FIRST_GRADIENT_FOR_ALL,
    NOT_NORMALISED,
    ONLY_THE_MAXIMUM,
    SLOPE_OF_SOFTMAX,
    LOG_SOFTMAX,
    EXPONENT_TURNED_ROUND,
    QUOTIENT_OVERFLOWS,
    ADDED,
};

static const Mistake MISTAKES[] = {
    {WITHOUT_INCOMING_GRADIENT, "without_incoming_gradient", "the softmax alone, not multiplied by grad_log_sum_exp"},
    {FIRST_GRADIENT_FOR_ALL, "first_gradient_for_all",
     "the softmax times grad_log_sum_exp of the first row, in every row"},
    {NOT_NORMALISED, "not_normalised",
     "grad_log_sum_exp e^x: log_sum_exp is not subtracted in the exponent, so the rows do not sum to grad_log_sum_exp"},
    {ONLY_THE_MAXIMUM, "only_the_maximum", "the gradient of the maximum: only the largest number of a row has one"},
    {SLOPE_OF_SOFTMAX, "slope_of_softmax", "grad_log_sum_exp p (1 - p), which is the derivative of the softmax p"},
    {LOG_SOFTMAX, "log_softmax", "grad_log_sum_exp (x - log_sum_exp): the exponential is missing"},
    {EXPONENT_TURNED_ROUND, "exponent_turned_round",
     "grad_log_sum_exp e^(log_sum_exp - x): the exponent has the wrong sign"},
    {QUOTIENT_OVERFLOWS, "quotient_overflows",
     "e^x / e^log_sum_exp, which is inf / inf or 0 / 0 for large numbers: subtract before the exponential"},
    {ADDED, "added", "a gradient that is added to what grad_x held before: it must be overwritten"},
    {0},
};

/* One number of the answer, with the mistake. */
static double slope(double x, double l, int mistake)
{
    const double p = exp(x - l);
    switch (mistake) {
    case NOT_NORMALISED:
        return exp(x);
    case ONLY_THE_MAXIMUM:
        return 0;
    case SLOPE_OF_SOFTMAX:
        return p * (1 - p);
    case LOG_SOFTMAX:
        return x - l;
    case EXPONENT_TURNED_ROUND:
        return exp(l - x);
    case QUOTIENT_OVERFLOWS:
        return exp(x) / exp(l);
    default:
        return p;
    }
}

static size_t index_of_maximum(const double *x, size_t n)
{
    size_t largest = 0;
    for (size_t j = 1; j < n; j++)
        largest = x[j] > x[largest] ? j : largest;
    return largest;
}

/* grad_x may be x itself: trial_doubles() are the numbers before the call. */
static void answer(Trial *t, Tensor grad_x, Tensor grad_l, Tensor l, Tensor x)
{
    double *to = trial_answer(t, grad_x);
    const double *before = trial_doubles(t, grad_x), *numbers = trial_doubles(t, x);
    const double *g = trial_doubles(t, grad_l), *log_sum_exp = trial_doubles(t, l);
    const size_t n = tensor_extent(x, -1);
    for (size_t i = 0; i < tensor_rows(x); i++) {
        const double incoming = t->mistake == WITHOUT_INCOMING_GRADIENT ? 1
                                : t->mistake == FIRST_GRADIENT_FOR_ALL  ? g[0]
                                                                        : g[i];
        for (size_t j = 0; j < n; j++) {
            to[i * n + j] = incoming * slope(numbers[i * n + j], log_sum_exp[i], t->mistake);
            if (t->mistake == ADDED)
                to[i * n + j] += before[i * n + j];
        }
        if (t->mistake == ONLY_THE_MAXIMUM)
            to[i * n + index_of_maximum(numbers + i * n, n)] = incoming;
    }
}

/* The log-sum-exp of each row, as the forward pass saves it. */
static Tensor saved_log_sum_exp(Trial *t, Tensor x)
{
    const Tensor shape = tensor_with_last(x, 1);
    const size_t rows = tensor_rows(x);
    double *numbers = trial_memory(t, rows * sizeof *numbers);
    reference_log_sum_exp(numbers, trial_doubles(t, x), rows, tensor_extent(x, -1));
    return trial_input_of(t, "l", trial_floats(t, numbers, rows), shape.rank, shape.shape);
}

static void by_hand(Trial *t)
{
    static const float X[] = {2, 1, -1, 0, 0, 0}, GRAD_L[] = {3, -1};
    const Tensor x = trial_input(t, "x", X, 2, 3), l = saved_log_sum_exp(t, x);
    const Tensor grad_l = trial_input(t, "grad_l", GRAD_L, 2, 1), grad_x = trial_output_like(t, "grad_x", x);
    TRIAL_CALL(t, log_sum_exp_backward(grad_x, grad_l, l, x));
    answer(t, grad_x, grad_l, l, x);
}

/* grad_l has the shape of l. */
static void differentiate(Trial *t, Tensor x, Tensor grad_x)
{
    const Tensor l = saved_log_sum_exp(t, x), grad_l = trial_random_of(t, "grad_l", 1, l.rank, l.shape);
    TRIAL_CALL(t, log_sum_exp_backward(grad_x, grad_l, l, x));
    answer(t, grad_x, grad_l, l, x);
}

static void many_numbers(Trial *t)
{
    const Tensor x = trial_random(t, "x", 2, 4, 12, 64);
    differentiate(t, x, trial_output_like(t, "grad_x", x));
}

static void huge_numbers(Trial *t)
{
    static const float X[] = {1000, 1001, 999, -1000, -1000, -1003};
    const Tensor x = trial_input(t, "x", X, 2, 3);
    differentiate(t, x, trial_output_like(t, "grad_x", x));
}

static void in_place(Trial *t)
{
    const Tensor x = trial_changed_random(t, "x", 1, 3, 5);
    differentiate(t, x, x);
}

static void one_number(Trial *t)
{
    static const float X[] = {7, -7};
    const Tensor x = trial_input(t, "x", X, 2, 1);
    differentiate(t, x, trial_output_like(t, "grad_x", x));
}

static void strides(Trial *t)
{
    t->gap = 3;
    const Tensor x = trial_random(t, "x", 1, 3, 5);
    differentiate(t, x, trial_output_like(t, "grad_x", x));
}

typedef struct {
    Tensor l, x;
} Forward;

static Status forward(void *context)
{
    const Forward *f = context;
    return log_sum_exp_forward(f->l, f->x);
}

static void finite_differences(Trial *t)
{
    const Tensor x = trial_random(t, "x", 1, 3, 5), grad_x = trial_output_like(t, "grad_x", x);
    const Tensor l = saved_log_sum_exp(t, x), grad_l = trial_random(t, "grad_l", 1, 3, 1);
    TRIAL_CALL(t, log_sum_exp_backward(grad_x, grad_l, l, x));
    answer(t, grad_x, grad_l, l, x);
    Forward f = {.l = trial_tensor(t, 3, 1), .x = x};
    if (t->mistake == 0)
        trial_differences(t, trial_answer(t, grad_x), x, grad_l, f.l, forward, &f);
}

static const Case CASES[] = {
    CASE("two rows of three numbers", by_hand),
    CASE("a (4, 12, 64) tensor", many_numbers),
    CASE("numbers of 1000 and of -1000", huge_numbers),
    CASE("grad_x in the memory of x", in_place),
    CASE("rows of a single number", one_number),
    CASE("rows that do not follow each other in memory", strides),
    {.what = "finite differences of your own forward pass", .run = finite_differences, .loosely = 30},
    {0},
};

const Exercise exercise_log_sum_exp_backward = {"log_sum_exp_backward", .rtol = 1e-4, .atol = 1e-5, .cases = CASES,
                                                .mistakes = MISTAKES};
