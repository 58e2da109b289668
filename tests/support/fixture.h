/**
 * @file
 * @brief Expected values: tests/fixtures/NAME.safetensors, made by the scripts in tests/tools.
 *
 * Whatever goes wrong here fails the test with a message. Arrays are views of the mapped file and must not be written.
 */
#ifndef CS336_TESTS_SUPPORT_FIXTURE_H
#define CS336_TESTS_SUPPORT_FIXTURE_H

#include "core/arena.h"
#include "core/safetensors.h"
#include "core/tensor.h"

#include <stddef.h>
#include <stdint.h>

typedef struct {
    SafetensorsFile file;
    Arena memory; /**< for fixture_output(), and for whatever else a test needs until fixture_close() */
} Fixture;

/** @brief Opens tests/fixtures/@p name.safetensors; a test runs in the project's top directory. */
void fixture_open(Fixture *fixture, const char *name);
void fixture_close(Fixture *fixture);

/** @brief The array of that name: float32, float64, int32 or int64, and bool. */
Tensor fixture_tensor(const Fixture *fixture, const char *name);
const double *fixture_doubles(const Fixture *fixture, const char *name, size_t count);
TokenTensor fixture_tokens(const Fixture *fixture, const char *name);
MaskTensor fixture_mask(const Fixture *fixture, const char *name);

/** @brief A tensor of NaNs for results: an element that is not written differs from anything expected. */
Tensor fixture_output_of(Fixture *fixture, int rank, const size_t *shape);
#define fixture_output(fixture, ...) fixture_output_of((fixture), TENSOR_EXTENTS(__VA_ARGS__))
#define fixture_output_like(fixture, t) fixture_output_of((fixture), (t).rank, (t).shape)

#endif
