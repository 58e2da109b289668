/**
 * @file
 * @brief Reads expected values from tests/fixtures/NAME.safetensors, which the scripts in tests/tools made with
 * PyTorch.
 *
 * Every error fails the test with a message. Arrays are copies that live until fixture_close().
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
    Arena memory; /**< for the arrays, for fixture_output(), and for other memory of the test until fixture_close() */
} Fixture;

/** @brief Opens tests/fixtures/@p name.safetensors. Tests run in the project's top directory. */
void fixture_open(Fixture *fixture, const char *name);
void fixture_close(Fixture *fixture);

/** @brief Returns the array of that name, which must be of float32, of @p count float64, of int32, or of bool. */
Tensor fixture_tensor(Fixture *fixture, const char *name);
const double *fixture_doubles(Fixture *fixture, const char *name, size_t count);
TokenTensor fixture_tokens(Fixture *fixture, const char *name);
MaskTensor fixture_mask(Fixture *fixture, const char *name);

/** @brief Returns a tensor of NaNs for results. An element that is never written then fails every comparison. */
Tensor fixture_output_of(Fixture *fixture, int rank, const size_t *shape);
#define fixture_output(fixture, ...) fixture_output_of((fixture), TENSOR_EXTENTS(__VA_ARGS__))
#define fixture_output_like(fixture, t) fixture_output_of((fixture), (t).rank, (t).shape)

#endif
