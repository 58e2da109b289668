/**
 * @file
 * @brief Expected values: tests/fixtures/NAME.safetensors, made by the scripts in tests/tools.
 *
 * Whatever goes wrong here fails the test with a message. Arrays are copies that live until fixture_close().
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

/** @brief The array of that name: of float32, of @p count float64, of int32, of bool. */
Tensor fixture_tensor(Fixture *fixture, const char *name);
const double *fixture_doubles(Fixture *fixture, const char *name, size_t count);
TokenTensor fixture_tokens(Fixture *fixture, const char *name);
MaskTensor fixture_mask(Fixture *fixture, const char *name);

/** @brief A tensor of NaNs for results: an element that is not written differs from anything expected. */
Tensor fixture_output_of(Fixture *fixture, int rank, const size_t *shape);
#define fixture_output(fixture, ...) fixture_output_of((fixture), TENSOR_EXTENTS(__VA_ARGS__))
#define fixture_output_like(fixture, t) fixture_output_of((fixture), (t).rank, (t).shape)

#endif
