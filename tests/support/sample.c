#include "tests/support/sample.h"

#include "core/memory.h"
#include "tests/support/allclose.h"
#include "tests/support/check.h"
#include "tests/support/fixture.h"
#include "tests/support/hash_weights.h"

#include <stdio.h>
#include <stdlib.h>

static const double RTOL = 1e-4, ATOL = 1e-5;

/* A list of all allocations keeps them reachable, so leak checkers do not report them. */
typedef struct Allocation {
    struct Allocation *next;
    double numbers[];
} Allocation;

static Allocation *allocations;

double *sample_doubles(size_t count)
{
    Allocation *allocation = malloc(sizeof *allocation + count * sizeof *allocation->numbers);
    ck_assert_ptr_nonnull(allocation);
    allocation->next = allocations;
    allocations = allocation;
    return allocation->numbers;
}

static Tensor allocated(int rank, const size_t *shape)
{
    Tensor t = tensor_of(NULL, rank, shape);
    t.data = (float *)(void *)sample_doubles((tensor_count(t) + 1) / 2);
    return t;
}

Sample sample_of(const char *name, double mean, double sigma, int rank, const size_t *shape)
{
    Sample s = {.value = allocated(rank, shape)};
    const size_t count = tensor_count(s.value);
    hash_normal(s.value.data, count, name, SAMPLE_SEED, mean, sigma);
    s.wide = sample_doubles(count);
    reference_widen(s.wide, s.value);
    return s;
}

TokenTensor sample_ids_of(const char *name, uint32_t bound, int rank, const size_t *shape)
{
    const size_t count = tokens_count(tokens_of(NULL, rank, shape));
    int32_t *ids = (int32_t *)(void *)sample_doubles((count + 1) / 2);
    hash_integers(ids, count, name, SAMPLE_SEED, bound);
    return tokens_of(ids, rank, shape);
}

Tensor filled_of(float value, int rank, const size_t *shape)
{
    const Tensor t = allocated(rank, shape);
    tensor_fill(t, value);
    return t;
}

Tensor filled_like(float value, Tensor t)
{
    return filled_of(value, t.rank, t.shape);
}

Arena arena_of(size_t bytes)
{
    Arena arena;
    assert_ok(arena_init(&arena, bytes));
    return arena;
}

void assert_pytorch(Tensor actual, const char *layer, const char *what)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%s", layer, what);
    Fixture fixture;
    fixture_open(&fixture, "layers");
    const Tensor expected = fixture_tensor(&fixture, name);
    assert_allclose_tensor(name, actual, expected, RTOL, ATOL);
    fixture_close(&fixture);
}

void assert_differences(const char *what, Tensor gradient, Sample input, ReferenceLoss *loss, void *context)
{
    assert_gradient(what, gradient, input.wide, loss, context, RTOL, ATOL);
}

void assert_scratch(size_t bytes, ScratchUser *run, void *context)
{
    /* Exactly enough. */
    Arena arena;
    assert_ok(arena_init(&arena, bytes));
    assert_ok(run(context, &arena));
    ck_assert_uint_eq(arena.used, 0);
    ck_assert_uint_eq(arena.peak, bytes);
    arena_deinit(&arena);

    /* One unit less: the last request is refused. */
    assert_ok(arena_init(&arena, bytes - MEMORY_ALIGNMENT));
    ck_assert_int_eq(run(context, &arena), CS336_ENOMEM);
    size_t asked, left, capacity;
    ck_assert_int_eq(
        sscanf(status_message(), "arena_take: %zu bytes asked for, %zu of %zu left", &asked, &left, &capacity), 3);
    ck_assert_uint_gt(memory_aligned(asked), left);
    ck_assert_uint_eq(capacity, bytes - MEMORY_ALIGNMENT);
    ck_assert_uint_eq(arena.used, 0);
    arena_deinit(&arena);
}
