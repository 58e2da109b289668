/**
 * @file
 * @brief Assertions on arrays, as numpy.testing.assert_allclose: |actual - expected| <= atol + rtol |expected|; and on
 * Status values.
 */
#ifndef CS336_TESTS_SUPPORT_ALLCLOSE_H
#define CS336_TESTS_SUPPORT_ALLCLOSE_H

#include "core/tensor.h"

#include <stddef.h>

/**
 * @brief Fails the test unless all elements agree. The message names the worst element, its index and both values.
 *
 * Equal infinities agree. NaN agrees with nothing, not even with NaN.
 */
void assert_allclose(Tensor actual, Tensor expected, double rtol, double atol);

/** @brief The same for arrays of @p count numbers; @p what names them in the message. */
void assert_allclose_array(const char *what, const float *actual, const float *expected, size_t count, double rtol,
                           double atol);
void assert_allclose_double(const char *what, const float *actual, const double *expected, size_t count, double rtol,
                            double atol);

/** @brief Fails unless @p status is @p expected and the message is exactly @p message. */
void assert_fails(Status status, Status expected, const char *message);

/** @brief Fails unless @p status is @p expected and the message is @p path followed by @p rest. */
void assert_path_fails(Status status, Status expected, const char *path, const char *rest);

/** @brief Fails, printing the message, unless @p status is CS336_OK. */
void assert_ok(Status status);

#endif
