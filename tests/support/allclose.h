/**
 * @file
 * @brief Comparing arrays as numpy does: |actual - expected| <= atol + rtol |expected|.
 */
#ifndef CS336_TESTS_SUPPORT_ALLCLOSE_H
#define CS336_TESTS_SUPPORT_ALLCLOSE_H

#include "core/tensor.h"

#include <stddef.h>

/**
 * @brief Fails the test, naming the worst element, its index and both values, unless all elements agree.
 * Equal infinities agree; NaN agrees with nothing.
 */
void assert_allclose(Tensor actual, Tensor expected, double rtol, double atol);
void assert_allclose_array(const char *what, const float *actual, const float *expected, size_t count, double rtol,
                           double atol);
void assert_allclose_double(const char *what, const float *actual, const double *expected, size_t count, double rtol,
                            double atol);

/** @brief Fails unless @p status is @p expected and the message is exactly @p message. */
void assert_fails(Status status, Status expected, const char *message);

/** @brief The same for a message that begins with the path of a file. */
void assert_path_fails(Status status, Status expected, const char *path, const char *rest);

/** @brief Fails, printing the message, unless @p status is CS336_OK. */
void assert_ok(Status status);

#endif
