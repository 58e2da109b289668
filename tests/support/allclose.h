/**
 * @file
 * @brief Assertions on arrays, as numpy.testing.assert_allclose: |actual - expected| <= atol + rtol |expected|; and on
 * Status values.
 *
 * A failure names the array, the number of elements that differ, and the worst one with its index and both values:
 *
 *     tests/nn/test_attention.c:320:...: run.output (4, 12, 64): 3008 of 3072 differ; worst at [0, 3, 25]: 1.25,
 *     expected 0.3125 (4e+03 x the tolerance, rtol 0.0001, atol 1e-06)
 *
 * Equal infinities agree. NaN agrees with nothing, not even with NaN.
 */
#ifndef CS336_TESTS_SUPPORT_ALLCLOSE_H
#define CS336_TESTS_SUPPORT_ALLCLOSE_H

#include "core/tensor.h"

#include <stddef.h>

/** @brief assert_allclose(Tensor actual, Tensor expected, double rtol, double atol), named by the text of @p actual. */
#define assert_allclose(actual, ...) assert_allclose_tensor(#actual, actual, __VA_ARGS__)

/** @brief Fails the test unless the tensors have the same shape and all elements agree. */
void assert_allclose_tensor(const char *what, Tensor actual, Tensor expected, double rtol, double atol);

/** @brief The same for expected numbers in double, one for each element of @p actual in row-major order. */
void assert_allclose_wide(const char *what, Tensor actual, const double *expected, double rtol, double atol);

/** @brief The same for arrays of @p count numbers. */
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
