/* RMSNorm and its mistakes. */
#include "nn/rmsnorm.h"
#include "tests/exercises/checker/exercise.h"
#include "tests/support/reference_layers.h"

#include <math.h>

#define USUAL_EPS 1e-5F /* the course's */

enum {
    WITHOUT_EPS = 1,
    EPS_OUTSIDE_THE_ROOT,
    EPS_ADDED_TO_THE_SUM,
    CONSTANT_EPS,
    SUM_FOR_MEAN,
    WITHOUT_ROOT,
    MEAN_SUBTRACTED,
    ONE_ROOT_FOR_ALL_ROWS,
    SUM_NEVER_RESET,
    WITHOUT_GAIN,
};

static const Mistake MISTAKES[] = {
    {WITHOUT_EPS, "without_eps", "RMSNorm without eps, which divides by 0 in a row of zeros"},
    {EPS_OUTSIDE_THE_ROOT, "eps_outside_the_root", "x / (sqrt(mean) + eps): eps is added to the mean, inside the root"},
    {EPS_ADDED_TO_THE_SUM, "eps_added_to_the_sum",
     "RMSNorm with eps added to the sum of the squares: it is added to their mean"},
    {CONSTANT_EPS, "constant_eps", "RMSNorm with eps = 1e-5, whichever norm->eps was given"},
    {SUM_FOR_MEAN, "sum_for_mean", "x / sqrt(sum of squares + eps): the sum is not divided by d"},
    {WITHOUT_ROOT, "without_root", "x / (mean of squares + eps): the square root is missing"},
    {MEAN_SUBTRACTED, "mean_subtracted", "LayerNorm: it subtracts the mean of the row first, RMSNorm does not"},
    {ONE_ROOT_FOR_ALL_ROWS, "one_root_for_all_rows", "one root mean square for the whole tensor: each row has its own"},
    {SUM_NEVER_RESET, "sum_never_reset", "a sum of squares that goes on from the row before: each row begins at 0"},
    {WITHOUT_GAIN, "without_gain", "RMSNorm without the gain: norm->weight is not used"},
    {0},
};

/* What a row is divided by, from the sum of its squares. */
static double wrong_root(double sum, double d, double eps, int mistake)
{
    switch (mistake) {
    case WITHOUT_EPS:
        return sqrt(sum / d);
    case EPS_OUTSIDE_THE_ROOT:
        return sqrt(sum / d) + eps;
    case EPS_ADDED_TO_THE_SUM:
        return sqrt((sum + eps) / d);
    case CONSTANT_EPS:
        return sqrt(sum / d + (double)USUAL_EPS);
    case SUM_FOR_MEAN:
        return sqrt(sum + eps);
    case WITHOUT_ROOT:
        return sum / d + eps;
    default:
        return sqrt(sum / d + eps);
    }
}

static double sum_of_squares(const double *x, size_t count, double mean)
{
    double sum = 0;
    for (size_t j = 0; j < count; j++)
        sum += (x[j] - mean) * (x[j] - mean);
    return sum;
}

static void wrong_rmsnorm(double *y, const double *x, const double *gain, size_t n_rows, size_t d, double eps,
                          int mistake)
{
    double sum = 0;
    for (size_t n = 0; n < n_rows; n++) {
        double mean = 0;
        for (size_t j = 0; j < d && mistake == MEAN_SUBTRACTED; j++)
            mean += x[n * d + j] / (double)d;
        const double squares = sum_of_squares(x + n * d, d, mean);
        sum = mistake == SUM_NEVER_RESET ? sum + squares : squares;
        double root = wrong_root(sum, (double)d, eps, mistake);
        if (mistake == ONE_ROOT_FOR_ALL_ROWS)
            root = wrong_root(sum_of_squares(x, n_rows * d, 0), (double)(n_rows * d), eps, 0);
        for (size_t i = 0; i < d; i++)
            y[n * d + i] = (x[n * d + i] - mean) / root * (mistake == WITHOUT_GAIN ? 1 : gain[i]);
    }
}

static void answer(Trial *t, Tensor y, Tensor x, const RMSNorm *norm)
{
    const size_t n_rows = tensor_rows(x), d = tensor_extent(x, -1);
    const double *numbers = trial_doubles(t, x), *gain = trial_doubles(t, norm->weight);
    if (t->mistake == 0)
        reference_rmsnorm(trial_answer(t, y), numbers, gain, n_rows, d, (double)norm->eps);
    else
        wrong_rmsnorm(trial_answer(t, y), numbers, gain, n_rows, d, (double)norm->eps, t->mistake);
}

static void by_hand(Trial *t)
{
    static const float X[] = {3, 4, 1, -1}, GAIN[] = {1, 2};
    const Tensor x = trial_input(t, "x", X, 2, 2), unwanted = {0};
    const RMSNorm norm = {.weight = trial_input(t, "norm.weight", GAIN, 2), .eps = USUAL_EPS};
    const Tensor y = trial_output_like(t, "y", x);
    TRIAL_CALL(t, rmsnorm_forward(y, unwanted, x, &norm));
    answer(t, y, x, &norm);
}

/* Calls the function on x, with a random gain. */
static void normalise(Trial *t, Tensor y, Tensor x, float eps)
{
    const RMSNorm norm = {.weight = trial_random(t, "norm.weight", 1, tensor_extent(x, -1)), .eps = eps};
    TRIAL_CALL(t, rmsnorm_forward(y, (Tensor){0}, x, &norm));
    answer(t, y, x, &norm);
}

static void course_sizes(Trial *t)
{
    const Tensor x = trial_random(t, "x", 1, 4, 12, 64);
    normalise(t, trial_output_like(t, "y", x), x, USUAL_EPS);
}

static void row_of_zeros(Trial *t)
{
    static const float X[] = {1, -1, 2, 0, 0, 0};
    const Tensor x = trial_input(t, "x", X, 2, 3);
    normalise(t, trial_output_like(t, "y", x), x, USUAL_EPS);
}

/* The mean of the squares is about a tenth of eps. */
static void small_numbers(Trial *t)
{
    const Tensor x = trial_random(t, "x", 1e-3, 3, 4);
    normalise(t, trial_output_like(t, "y", x), x, USUAL_EPS);
}

static void other_eps(Trial *t)
{
    const Tensor x = trial_random(t, "x", 1, 2, 4);
    normalise(t, trial_output_like(t, "y", x), x, 0.5F);
}

static void large_numbers(Trial *t)
{
    const Tensor x = trial_random(t, "x", 1000, 2, 8);
    normalise(t, trial_output_like(t, "y", x), x, USUAL_EPS);
}

static void one_column(Trial *t)
{
    const Tensor x = trial_random(t, "x", 1, 3, 1);
    normalise(t, trial_output_like(t, "y", x), x, USUAL_EPS);
}

static void no_rows(Trial *t)
{
    const Tensor x = trial_random(t, "x", 1, 0, 3);
    normalise(t, trial_output_like(t, "y", x), x, USUAL_EPS);
}

static void in_place(Trial *t)
{
    const Tensor x = trial_changed_random(t, "x", 1, 2, 5);
    normalise(t, x, x, USUAL_EPS);
}

static void rows_apart(Trial *t)
{
    t->gap = 3;
    const Tensor x = trial_random(t, "x", 1, 2, 3, 5);
    normalise(t, trial_output_like(t, "y", x), x, USUAL_EPS);
}

static void inverse_rms(Trial *t)
{
    const Tensor x = trial_random(t, "x", 1, 2, 3, 5), y = trial_output_like(t, "y", x);
    const Tensor saved = trial_output(t, "inverse_rms", 2, 3, 1);
    const RMSNorm norm = {.weight = trial_random(t, "norm.weight", 1, 5), .eps = USUAL_EPS};
    TRIAL_CALL(t, rmsnorm_forward(y, saved, x, &norm));
    answer(t, y, x, &norm);
    const double *numbers = trial_doubles(t, x);
    for (size_t n = 0; n < tensor_rows(x); n++)
        trial_answer(t, saved)[n] = 1 / wrong_root(sum_of_squares(numbers + n * 5, 5, 0), 5, (double)norm.eps, 0);
}

static const Case CASES[] = {
    CASE("two rows of two numbers", by_hand),
    CASE("the sizes of the course's test", course_sizes),
    CASE("a row of zeros", row_of_zeros),
    CASE("numbers of 0.001, where eps counts", small_numbers),
    CASE("eps = 0.5", other_eps),
    CASE("numbers of 1000", large_numbers),
    CASE("rows of a single number", one_column),
    CASE("no rows", no_rows),
    CASE("in place: y is x itself", in_place),
    CASE("rows that do not follow each other in memory", rows_apart),
    {.what = "inverse_rms, which the backward pass reads", .run = inverse_rms, .optional = true},
    {0},
};

const Exercise exercise_rmsnorm = {"rmsnorm", .rtol = 1e-5, .atol = 1e-6, .cases = CASES, .mistakes = MISTAKES};
