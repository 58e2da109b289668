#include "tests/support/fixture.h"

#include "tests/support/allclose.h"
#include "tests/support/check.h"

#include <math.h>
#include <stdio.h>

enum { MEMORY_BYTES = 1 << 24 /* 16 MiB, more than the largest fixture and its results need */ };

void fixture_open(Fixture *fixture, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "tests/fixtures/%s.safetensors", name);
    assert_ok(safetensors_open(&fixture->file, path));
    assert_ok(arena_init(&fixture->memory, MEMORY_BYTES));
}

void fixture_close(Fixture *fixture)
{
    safetensors_close(&fixture->file);
    arena_deinit(&fixture->memory);
}

static void *copy(Fixture *fixture, const char *name, SafetensorsType type, const SafetensorsEntry **entry)
{
    *entry = safetensors_find(&fixture->file, name);
    ck_assert_msg(*entry != NULL, "fixture %s has no array \"%s\"", fixture->file.path, name);
    ck_assert_msg((*entry)->type == type, "fixture %s: \"%s\" is of another type", fixture->file.path, name);
    void *data = arena_take(&fixture->memory, safetensors_bytes(*entry));
    ck_assert_ptr_nonnull(data);
    assert_ok(safetensors_read_bytes(data, &fixture->file, *entry));
    return data;
}

Tensor fixture_tensor(Fixture *fixture, const char *name)
{
    const SafetensorsEntry *entry;
    float *data = copy(fixture, name, SAFETENSORS_F32, &entry);
    return tensor_of(data, entry->rank, entry->shape);
}

const double *fixture_doubles(Fixture *fixture, const char *name, size_t count)
{
    const SafetensorsEntry *entry;
    const double *data = copy(fixture, name, SAFETENSORS_F64, &entry);
    size_t found = 1;
    for (int i = 0; i < entry->rank; i++)
        found *= entry->shape[i];
    ck_assert_uint_eq(found, count);
    return data;
}

TokenTensor fixture_tokens(Fixture *fixture, const char *name)
{
    const SafetensorsEntry *entry;
    const int32_t *data = copy(fixture, name, SAFETENSORS_I32, &entry);
    return tokens_of(data, entry->rank, entry->shape);
}

MaskTensor fixture_mask(Fixture *fixture, const char *name)
{
    const SafetensorsEntry *entry;
    const bool *data = copy(fixture, name, SAFETENSORS_BOOL, &entry);
    return mask_of(data, entry->rank, entry->shape);
}

Tensor fixture_output_of(Fixture *fixture, int rank, const size_t *shape)
{
    const Tensor output = arena_tensor_of(&fixture->memory, rank, shape);
    ck_assert_ptr_nonnull(output.data);
    tensor_fill(output, NAN);
    return output;
}
