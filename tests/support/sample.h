/**
 * @file
 * @brief Test arrays as views: inputs by the hash, with the same numbers in double, and places for results.
 *
 * Blocks live until the process ends: Check runs every test in one of its own.
 */
#ifndef CS336_TESTS_SUPPORT_SAMPLE_H
#define CS336_TESTS_SUPPORT_SAMPLE_H

#include "core/arena.h"
#include "core/tensor.h"
#include "tests/support/reference.h"

#include <stddef.h>
#include <stdint.h>

enum { SAMPLE_SEED = 7 }; /* of tests/tools/make_layer_fixtures.py too */

typedef struct {
    Tensor value;
    double *wide; /**< the same numbers, for the reference */
} Sample;

/** @brief mean + sigma * near-normal numbers of the hash called @p name: `sample("linear.x", 0, 1, 2, 3, 5)`. */
Sample sample_of(const char *name, double mean, double sigma, int rank, const size_t *shape);
#define sample(name, mean, sigma, ...) sample_of((name), (mean), (sigma), TENSOR_EXTENTS(__VA_ARGS__))

/** @brief Ids of the hash called @p name, in 0 .. bound - 1. */
TokenTensor sample_ids_of(const char *name, uint32_t bound, int rank, const size_t *shape);
#define sample_ids(name, bound, ...) sample_ids_of((name), (bound), TENSOR_EXTENTS(__VA_ARGS__))

/** @brief A contiguous tensor whose elements all are @p value: NAN for what is overwritten, 0 for what is added to. */
Tensor filled_of(float value, int rank, const size_t *shape);
#define filled(value, ...) filled_of((value), TENSOR_EXTENTS(__VA_ARGS__))
Tensor filled_like(float value, Tensor t);

/** @brief @p count numbers for the reference. */
double *sample_doubles(size_t count);

/** @brief An arena of that size; the test fails when there is no memory. */
Arena arena_of(size_t bytes);

/** @brief Compares with the array "layer.what" of tests/fixtures/layers.safetensors: rtol 1e-4, atol 1e-5. */
void assert_pytorch(Tensor actual, const char *layer, const char *what);

/** @brief Compares with the central differences of @p loss with respect to the numbers @p of: rtol 1e-4, atol 1e-5. */
void assert_differences(const char *what, Tensor gradient, Sample of, ReferenceLoss *loss, void *context);

/** @brief Runs a pass that takes @p scratch: what assert_scratch() calls. */
typedef Status ScratchUser(void *context, Arena *scratch);

/**
 * @brief Fails unless @p run succeeds with exactly @p bytes of scratch, fails with 64 bytes less, and leaves the arena
 * as it found it both times.
 */
void assert_scratch(size_t bytes, ScratchUser *run, void *context);

#endif
