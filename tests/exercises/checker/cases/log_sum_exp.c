/* Log-sum-exp and its mistakes. */
#include "nn/functional.h"
#include "tests/exercises/checker/exercise.h"
#include "tests/support/reference.h"

#include <math.h>

enum {
    WITHOUT_MAXIMUM = 1,
    MAXIMUM_NOT_ADDED_BACK,
    MAXIMUM_BEGINS_AT_ZERO,
    INFINITY_SUBTRACTED,
    WITHOUT_LOGARITHM,
    BINARY_LOGARITHM,
    MEAN_FOR_SUM,
    OF_ALL_NUMBERS,
};

static const Mistake MISTAKES[] = {
    {WITHOUT_MAXIMUM, "without_maximum",
     "the log-sum-exp without subtracting the maximum, which overflows for large x"},
    {MAXIMUM_NOT_ADDED_BACK, "maximum_not_added_back",
     "log sum_j e^(x_j - m): the maximum m was subtracted, but not added to the logarithm"},
    {MAXIMUM_BEGINS_AT_ZERO, "maximum_begins_at_zero",
     "the log-sum-exp with a maximum that begins at 0, which is wrong where all x are far below 0"},
    {INFINITY_SUBTRACTED, "infinity_subtracted",
     "the log-sum-exp where an infinite maximum is subtracted: inf - inf is nan"},
    {WITHOUT_LOGARITHM, "without_logarithm", "m + sum_j e^(x_j - m): the logarithm of the sum is missing"},
    {BINARY_LOGARITHM, "binary_logarithm", "the log-sum-exp with the logarithm of base 2, log2(), in place of log()"},
    {MEAN_FOR_SUM, "mean_for_sum", "the logarithm of the mean of the exponentials, in place of their sum"},
    {OF_ALL_NUMBERS, "of_all_numbers", "the log-sum-exp of the whole tensor in each of its rows"},
    {0},
};

/* The log-sum-exp of n numbers, with the mistake. */
static double wrong_row(const double *x, size_t n, int mistake)
{
    double max = mistake == MAXIMUM_BEGINS_AT_ZERO ? 0 : -INFINITY, sum = 0;
    for (size_t j = 0; j < n; j++)
        max = fmax(max, x[j]);
    if (mistake == WITHOUT_MAXIMUM || (isinf(max) && mistake != INFINITY_SUBTRACTED))
        max = 0;
    for (size_t j = 0; j < n; j++)
        sum += exp(x[j] - max);
    if (mistake == MEAN_FOR_SUM)
        sum /= (double)n;
    const double logarithm = mistake == WITHOUT_LOGARITHM ? sum : mistake == BINARY_LOGARITHM ? log2(sum) : log(sum);
    return mistake == MAXIMUM_NOT_ADDED_BACK ? logarithm : max + logarithm;
}

/* Computes the answer for x, whose rows have n numbers. */
static void answer(Trial *t, Tensor l, Tensor x, size_t rows, size_t n)
{
    double *to = trial_answer(t, l);
    const double *numbers = trial_doubles(t, x);
    if (t->mistake == 0)
        reference_log_sum_exp(to, numbers, rows, n);
    for (size_t i = 0; i < rows && t->mistake; i++)
        to[i] =
            t->mistake == OF_ALL_NUMBERS ? wrong_row(numbers, rows * n, 0) : wrong_row(numbers + i * n, n, t->mistake);
}

static void by_hand(Trial *t)
{
    static const float X[] = {2, 1, -1, 0, 0, 0};
    const Tensor x = trial_input(t, "x", X, 2, 3), l = trial_output(t, "l", 2, 1);
    TRIAL_CALL(t, log_sum_exp_forward(l, x));
    answer(t, l, x, 2, 3);
}

static void many_numbers(Trial *t)
{
    const Tensor x = trial_random(t, "x", 2, 4, 12, 64), l = trial_output(t, "l", 4, 12, 1);
    TRIAL_CALL(t, log_sum_exp_forward(l, x));
    answer(t, l, x, 48, 64);
}

static void huge_numbers(Trial *t)
{
    static const float X[] = {1000, 1001, 999, -1000, -1000, -1003};
    const Tensor x = trial_input(t, "x", X, 2, 3), l = trial_output(t, "l", 2, 1);
    TRIAL_CALL(t, log_sum_exp_forward(l, x));
    answer(t, l, x, 2, 3);
}

static void infinities(Trial *t)
{
    enum { ROWS = 3, N = 3 };
    static const float X[] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY, 5, -INFINITY, INFINITY, 0, 1};
    static const double RIGHT[ROWS] = {-INFINITY, 5, INFINITY};
    const Tensor x = trial_input(t, "x", X, ROWS, N), l = trial_output(t, "l", ROWS, 1);
    TRIAL_CALL(t, log_sum_exp_forward(l, x));
    answer(t, l, x, ROWS, N);
    for (size_t i = 0; i < ROWS && t->mistake == 0; i++)
        trial_answer(t, l)[i] = RIGHT[i]; /* the reference subtracts an infinite maximum, too */
}

static void one_number(Trial *t)
{
    static const float X[] = {7, -7};
    const Tensor x = trial_input(t, "x", X, 2, 1), l = trial_output(t, "l", 2, 1);
    TRIAL_CALL(t, log_sum_exp_forward(l, x));
    answer(t, l, x, 2, 1);
}

static void strides(Trial *t)
{
    t->gap = 3;
    const Tensor x = trial_random(t, "x", 1, 3, 5), l = trial_output(t, "l", 3, 1);
    TRIAL_CALL(t, log_sum_exp_forward(l, x));
    answer(t, l, x, 3, 5);
}

static void no_rows(Trial *t)
{
    const Tensor x = trial_random(t, "x", 1, 0, 5), l = trial_output(t, "l", 0, 1);
    TRIAL_CALL(t, log_sum_exp_forward(l, x));
    answer(t, l, x, 0, 5);
}

static const Case CASES[] = {
    CASE("two rows of three numbers", by_hand),
    CASE("a (4, 12, 64) tensor", many_numbers),
    CASE("numbers of 1000 and of -1000", huge_numbers),
    CASE("infinities: a row of -inf gives -inf", infinities),
    CASE("rows of a single number", one_number),
    CASE("rows that do not follow each other in memory", strides),
    CASE("no rows", no_rows),
    {0},
};

const Exercise exercise_log_sum_exp = {"log_sum_exp", .rtol = 1e-5, .atol = 1e-6, .cases = CASES, .mistakes = MISTAKES};
