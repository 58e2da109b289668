#include "tests/support/allclose.h"

#include "tests/support/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The result of comparing two arrays element by element. */
typedef struct {
    double rtol, atol;
    size_t failures, nans; /* elements beyond the tolerance, and those of them that are NaN */
    size_t index;          /* of the worst of them, with its error and both values */
    double worst, actual, expected;
} Comparison;

/* Compares one element. The error is measured in units of the tolerance, so more than 1 fails. */
static void compare(Comparison *c, size_t index, double actual, double expected)
{
    if (actual == expected)
        return;
    const double error = fabs(actual - expected) / (c->atol + c->rtol * fabs(expected));
    if (error <= 1)
        return;
    c->nans += isnan(actual) != 0;
    /* Written so that the first NaN counts as worst. */
    if (c->failures++ == 0 || (!isnan(c->worst) && !(error <= c->worst))) {
        c->worst = error;
        c->index = index;
        c->actual = actual;
        c->expected = expected;
    }
}

/* Writes the index of an element as a tuple, "[0, 3, 25]". */
static void write_index(char *text, size_t bytes, size_t index, int rank, const size_t *shape)
{
    size_t tuple[TENSOR_MAX_RANK];
    for (int i = rank - 1; i >= 0; i--) {
        tuple[i] = index % shape[i];
        index /= shape[i];
    }
    int length = snprintf(text, bytes, "[");
    for (int i = 0; i < rank; i++)
        length += snprintf(text + length, bytes - (size_t)length, i ? ", %zu" : "%zu", tuple[i]);
    snprintf(text + length, bytes - (size_t)length, "]");
}

/* Writes a number. printf() has "nan" and "-nan", which is the same to us, and "inf". */
static void write_number(char *text, size_t bytes, double x)
{
    if (isnan(x))
        snprintf(text, bytes, "NaN");
    else if (isinf(x))
        snprintf(text, bytes, x < 0 ? "-infinity" : "infinity");
    else
        snprintf(text, bytes, "%.9g", x);
}

/* Fails the test if an element failed. The shape of an array that is no tensor is its length. */
static void report(const Comparison *c, const char *what, int rank, const size_t *shape, size_t count)
{
    char index[TENSOR_MAX_RANK * 24], actual[32], expected[32], nans[48] = "", error[48] = "";
    if (c->failures == 0)
        return;
    write_index(index, sizeof index, c->index, rank, shape);
    write_number(actual, sizeof actual, c->actual);
    write_number(expected, sizeof expected, c->expected);
    /* Tests fill results with NaN before the function under test runs. */
    if (c->nans == count)
        ck_abort_msg("%s: %zu of %zu are NaN: nothing was written, or only NaN; %s expected at %s", what, count, count,
                     expected, index);
    if (c->nans)
        snprintf(nans, sizeof nans, ", %zu of them NaN", c->nans);
    if (isfinite(c->worst))
        snprintf(error, sizeof error, "%.3g x the tolerance, ", c->worst);
    ck_abort_msg("%s: %zu of %zu differ%s; worst at %s: %s, expected %s (%srtol %g, atol %g)", what, c->failures, count,
                 nans, index, actual, expected, error, c->rtol, c->atol);
}

void assert_allclose_array(const char *what, const float *actual, const float *expected, size_t count, double rtol,
                           double atol)
{
    Comparison c = {.rtol = rtol, .atol = atol};
    for (size_t i = 0; i < count; i++)
        compare(&c, i, (double)actual[i], (double)expected[i]);
    report(&c, what, 1, &count, count);
}

void assert_allclose_double(const char *what, const float *actual, const double *expected, size_t count, double rtol,
                            double atol)
{
    Comparison c = {.rtol = rtol, .atol = atol};
    for (size_t i = 0; i < count; i++)
        compare(&c, i, (double)actual[i], expected[i]);
    report(&c, what, 1, &count, count);
}

static double element(Tensor t, size_t row, size_t column)
{
    return (double)tensor_row(t, row)[(ptrdiff_t)column * t.stride[t.rank - 1]];
}

/* Compares with another tensor or, if wide is not NULL, with the numbers at wide. */
static void compare_tensor(const char *what, Tensor actual, Tensor expected, const double *wide, double rtol,
                           double atol)
{
    char named[256];
    Comparison c = {.rtol = rtol, .atol = atol};
    const size_t columns = tensor_extent(actual, -1);
    for (size_t row = 0; row < tensor_rows(actual); row++)
        for (size_t i = 0; i < columns; i++)
            compare(&c, row * columns + i, element(actual, row, i),
                    wide ? wide[row * columns + i] : element(expected, row, i));
    snprintf(named, sizeof named, "%s %s", what, tensor_shape_text(actual));
    report(&c, named, actual.rank, actual.shape, tensor_count(actual));
}

void assert_allclose_tensor(const char *what, Tensor actual, Tensor expected, double rtol, double atol)
{
    ck_assert_msg(tensor_same_shape(actual, expected), "%s: shape %s, expected %s", what, tensor_shape_text(actual),
                  tensor_shape_text(expected));
    compare_tensor(what, actual, expected, NULL, rtol, atol);
}

void assert_allclose_wide(const char *what, Tensor actual, const double *expected, double rtol, double atol)
{
    compare_tensor(what, actual, actual, expected, rtol, atol);
}

void assert_fails(Status status, Status expected, const char *message)
{
    ck_assert_msg(status != CS336_OK, "the function returned CS336_OK; expected is status %d with the message \"%s\"",
                  (int)expected, message);
    ck_assert_msg(status == expected && strcmp(status_message(), message) == 0, "status %d: %s, expected status %d: %s",
                  (int)status, status_message(), (int)expected, message);
}

void assert_path_fails(Status status, Status expected, const char *path, const char *rest)
{
    char message[2048];
    snprintf(message, sizeof message, "%s%s", path, rest);
    assert_fails(status, expected, message);
}

void assert_ok(Status status)
{
    ck_assert_msg(status == CS336_OK, "status %d: %s", (int)status, status_message());
}
