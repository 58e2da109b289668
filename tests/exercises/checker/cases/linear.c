/* Linear and its mistakes. */
#include "nn/linear.h"
#include "tests/exercises/checker/exercise.h"
#include "tests/support/reference_layers.h"

#include <math.h>
#include <string.h>

enum {
    WEIGHT_OF_D_IN_ROWS = 1,
    SUM_NEVER_RESET,
    SUM_RESET_FOR_EACH_ROW_ONLY,
    LAST_INPUT_MISSING,
    MEAN_FOR_SUM,
    ADDED_TO_Y,
    FIRST_DIMENSION_ONLY,
};

static const Mistake MISTAKES[] = {
    {WEIGHT_OF_D_IN_ROWS, "weight_of_d_in_rows", "a weight that is read as (d_in, d_out): it is (d_out, d_in)"},
    {SUM_NEVER_RESET, "sum_never_reset", "sums that go on from the number before: each one has to begin at 0"},
    {SUM_RESET_FOR_EACH_ROW_ONLY, "sum_reset_for_each_row_only",
     "sums that begin at 0 only once a row: those of all outputs of a row add up"},
    {LAST_INPUT_MISSING, "last_input_missing", "sums over all inputs but the last"},
    {MEAN_FOR_SUM, "mean_for_sum", "means over the inputs: expected are sums"},
    {ADDED_TO_Y, "added_to_y", "products that are added to what y held before: y is undefined until you assign to it"},
    {FIRST_DIMENSION_ONLY, "first_dimension_only",
     "a loop over the first dimension only: rows(x) counts all leading dimensions, 6 rows in (2, 3, d)"},
    {0},
};

static void wrong_linear(double *y, const double *x, const double *weight, Tensor shapes_x, Tensor shapes_w,
                         int mistake)
{
    const size_t n_rows = tensor_rows(shapes_x), d_in = shapes_w.shape[1], d_out = shapes_w.shape[0];
    const size_t inputs = mistake == LAST_INPUT_MISSING ? d_in - 1 : d_in;
    double sum = 0;
    for (size_t n = 0; n < n_rows; n++)
        for (size_t o = 0; o < d_out; o++) {
            if (mistake != SUM_NEVER_RESET && (mistake != SUM_RESET_FOR_EACH_ROW_ONLY || o == 0))
                sum = 0;
            for (size_t i = 0; i < inputs; i++)
                sum += x[n * d_in + i] * weight[mistake == WEIGHT_OF_D_IN_ROWS ? i * d_out + o : o * d_in + i];
            const bool skipped = mistake == FIRST_DIMENSION_ONLY && shapes_x.rank > 1 && n >= shapes_x.shape[0];
            if (mistake == ADDED_TO_Y || skipped)
                y[n * d_out + o] = skipped ? trial_unwritten() : NAN;
            else
                y[n * d_out + o] = mistake == MEAN_FOR_SUM ? sum / (double)d_in : sum;
        }
}

static void answer(Trial *t, Tensor y, Tensor x, Tensor weight)
{
    double *numbers = trial_answer(t, y);
    /* A transposed view of a (d_out, d_in) weight is stored as (d_in, d_out), so reading it so is right. */
    if (t->mistake == 0 || (t->mistake == WEIGHT_OF_D_IN_ROWS && t->transposed))
        reference_linear(numbers, trial_doubles(t, x), trial_doubles(t, weight), tensor_rows(x), weight.shape[1],
                         weight.shape[0]);
    else
        wrong_linear(numbers, trial_doubles(t, x), trial_doubles(t, weight), x, weight, t->mistake);
}

/* As many outputs as inputs, so that a transposed weight gives wrong numbers and no access outside its memory. */
static void by_hand(Trial *t)
{
    static const float X[] = {1, 2, 3, 0, 1, -1}, W[] = {1, 0, 2, -1, 1, 0, 0, 3, 1};
    const Tensor x = trial_input(t, "x", X, 2, 3), weight = trial_input(t, "linear.weight", W, 3, 3);
    const Tensor y = trial_output(t, "y", 2, 3);
    const Linear linear = {.weight = weight};
    TRIAL_CALL(t, linear_forward(y, x, &linear));
    answer(t, y, x, weight);
}

/* A random x of a shape, given as TENSOR_EXTENTS(), to d_out outputs. */
static void random_map(Trial *t, size_t d_out, int rank, const size_t *shape)
{
    size_t y_shape[TENSOR_MAX_RANK];
    memcpy(y_shape, shape, (size_t)rank * sizeof *shape);
    y_shape[rank - 1] = d_out;
    const Tensor x = trial_random_of(t, "x", 1, rank, shape);
    const Tensor weight = trial_random(t, "linear.weight", 0.25, d_out, shape[rank - 1]);
    const Tensor y = trial_output_of(t, "y", rank, y_shape);
    const Linear linear = {.weight = weight};
    TRIAL_CALL(t, linear_forward(y, x, &linear));
    answer(t, y, x, weight);
}

static void course_sizes(Trial *t)
{
    random_map(t, 128, TENSOR_EXTENTS(4, 12, 64));
}

static void fewer_outputs(Trial *t)
{
    random_map(t, 2, TENSOR_EXTENTS(3, 4));
}

static void four_dimensions(Trial *t)
{
    random_map(t, 6, TENSOR_EXTENTS(2, 3, 4, 5));
}

static void a_vector(Trial *t)
{
    random_map(t, 3, TENSOR_EXTENTS(5));
}

static void no_rows(Trial *t)
{
    random_map(t, 3, TENSOR_EXTENTS(0, 4));
}

static void one_number(Trial *t)
{
    random_map(t, 1, TENSOR_EXTENTS(2, 1));
}

static void rows_apart(Trial *t)
{
    t->gap = 3;
    random_map(t, 4, TENSOR_EXTENTS(2, 3, 5));
}

static void transposed(Trial *t)
{
    t->transposed = true;
    random_map(t, 4, TENSOR_EXTENTS(2, 3, 5));
}

static const Case CASES[] = {
    CASE("two rows, three inputs, three outputs", by_hand),
    CASE("the sizes of the course's test", course_sizes),
    CASE("fewer outputs than inputs", fewer_outputs),
    CASE("x with four dimensions", four_dimensions),
    CASE("x is a vector", a_vector),
    CASE("no rows", no_rows),
    CASE("one input, one output", one_number),
    CASE("rows that do not follow each other in memory", rows_apart),
    CASE("transposed views, in which the numbers of a row are not adjacent", transposed),
    {0},
};

const Exercise exercise_linear = {"linear", .rtol = 1e-5, .atol = 1e-5, .cases = CASES, .mistakes = MISTAKES};
