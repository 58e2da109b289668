/**
 * @file
 * @brief Arrays for tests of layers: inputs from the hash (hash_weights.h), with the same numbers in double, and
 * tensors for results.
 *
 * Memory is never freed: Check runs every test in a process of its own.
 */
#ifndef CS336_TESTS_SUPPORT_SAMPLE_H
#define CS336_TESTS_SUPPORT_SAMPLE_H

#include "core/arena.h"
#include "core/tensor.h"
#include "tests/support/reference.h"

#include <stddef.h>
#include <stdint.h>

enum { SAMPLE_SEED = 7 }; /* tests/tools/make_layer_fixtures.py uses the same seed */

typedef struct {
    Tensor value;
    double *wide; /**< the same numbers, for the reference */
} Sample;

/** @brief Makes mean + sigma * near-normal numbers from the hash of @p name: `sample("linear.x", 0, 1, 2, 3, 5)`. */
Sample sample_of(const char *name, double mean, double sigma, int rank, const size_t *shape);
#define sample(name, mean, sigma, ...) sample_of((name), (mean), (sigma), TENSOR_EXTENTS(__VA_ARGS__))

/** @brief Makes ids in 0 .. bound - 1 from the hash of @p name. */
TokenTensor sample_ids_of(const char *name, uint32_t bound, int rank, const size_t *shape);
#define sample_ids(name, bound, ...) sample_ids_of((name), (bound), TENSOR_EXTENTS(__VA_ARGS__))

/** @brief Makes a contiguous tensor full of @p value: NAN for results that are overwritten, 0 for sums. */
Tensor filled_of(float value, int rank, const size_t *shape);
#define filled(value, ...) filled_of((value), TENSOR_EXTENTS(__VA_ARGS__))
Tensor filled_like(float value, Tensor t);

/** @brief Allocates @p count doubles, not initialised. */
double *sample_doubles(size_t count);

/** @brief Makes an arena of that size. The test fails if there is no memory. */
Arena arena_of(size_t bytes);

/** @brief Compares with the array "layer.what" of tests/fixtures/layers.safetensors: rtol 1e-4, atol 1e-5. */
void assert_pytorch(Tensor actual, const char *layer, const char *what);

/** @brief Compares with the central differences of @p loss with respect to @p input: rtol 1e-4, atol 1e-5. */
void assert_differences(const char *what, Tensor gradient, Sample input, ReferenceLoss *loss, void *context);

/** @brief A forward or backward pass that takes memory from @p scratch; assert_scratch() calls it. */
typedef Status ScratchUser(void *context, Arena *scratch);

/**
 * @brief Fails unless @p run succeeds with exactly @p bytes of scratch and fails with 64 bytes less. Both times it must
 * give back all that it took from the arena.
 */
void assert_scratch(size_t bytes, ScratchUser *run, void *context);

#endif
