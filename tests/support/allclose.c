#include "tests/support/allclose.h"

#include <check.h>
#include <math.h>
#include <stdio.h>

/* The result of comparing two arrays element by element. */
typedef struct {
    const char *what;
    size_t failures; /* elements beyond the tolerance */
    size_t index;    /* of the worst of them, with its error and both values */
    double worst, actual, expected;
} Comparison;

/* Compares one element. The error is measured in units of the tolerance, so more than 1 fails. */
static void compare(Comparison *c, size_t index, double actual, double expected, double rtol, double atol)
{
    if (actual == expected)
        return;
    const double error = fabs(actual - expected) / (atol + rtol * fabs(expected));
    if (error <= 1)
        return;
    /* Written so that a NaN counts as worst. */
    if (c->failures++ == 0 || !(error <= c->worst)) {
        c->worst = error;
        c->index = index;
        c->actual = actual;
        c->expected = expected;
    }
}

/* Fails the test if an element failed. */
static void report(const Comparison *c, size_t count, double rtol, double atol)
{
    if (c->failures)
        ck_abort_msg(
            "%s: %zu of %zu differ; worst at %zu: %.9g, expected %.9g (%.3g x the tolerance, rtol %g, atol %g)",
            c->what, c->failures, count, c->index, c->actual, c->expected, c->worst, rtol, atol);
}

void assert_allclose_array(const char *what, const float *actual, const float *expected, size_t count, double rtol,
                           double atol)
{
    Comparison c = {.what = what};
    for (size_t i = 0; i < count; i++)
        compare(&c, i, (double)actual[i], (double)expected[i], rtol, atol);
    report(&c, count, rtol, atol);
}

void assert_allclose_double(const char *what, const float *actual, const double *expected, size_t count, double rtol,
                            double atol)
{
    Comparison c = {.what = what};
    for (size_t i = 0; i < count; i++)
        compare(&c, i, (double)actual[i], expected[i], rtol, atol);
    report(&c, count, rtol, atol);
}

void assert_allclose(Tensor actual, Tensor expected, double rtol, double atol)
{
    ck_assert_msg(tensor_same_shape(actual, expected), "shape %s, expected %s", tensor_shape_text(actual),
                  tensor_shape_text(expected));
    Comparison c = {.what = tensor_shape_text(actual)};
    const size_t columns = tensor_extent(actual, -1);
    for (size_t row = 0; row < tensor_rows(actual); row++)
        for (size_t i = 0; i < columns; i++)
            compare(&c, row * columns + i,
                    (double)tensor_row(actual, row)[(ptrdiff_t)i * actual.stride[actual.rank - 1]],
                    (double)tensor_row(expected, row)[(ptrdiff_t)i * expected.stride[expected.rank - 1]], rtol, atol);
    report(&c, tensor_count(actual), rtol, atol);
}

void assert_fails(Status status, Status expected, const char *message)
{
    ck_assert_int_eq(status, expected);
    ck_assert_str_eq(status_message(), message);
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
