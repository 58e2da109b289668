#include "core/arena.h"

#include "core/memory.h"

#include <assert.h>
#include <string.h>

Status arena_init(Arena *arena, size_t capacity)
{
    const size_t rounded = memory_aligned(capacity);
    *arena = (Arena){.base = memory_allocate_zeroed(rounded, 1)};
    if (!arena->base)
        return status_fail(CS336_ENOMEM, "arena_init: no memory for %zu bytes", capacity);
    memory_ask_for_huge_pages(arena->base);
    arena->capacity = rounded;
    return CS336_OK;
}

void arena_deinit(Arena *arena)
{
    memory_release(arena->base);
    *arena = (Arena){0};
}

Status arena_take(Arena *arena, void *piece, size_t bytes)
{
    const size_t rounded = memory_aligned(bytes), capacity = arena->base ? arena->capacity : SIZE_MAX - 1;
    if (rounded > capacity - arena->used)
        return status_fail(CS336_ENOMEM, "arena_take: %zu bytes asked for, %zu of %zu left", bytes,
                           capacity - arena->used, capacity);
    void *address = arena->base ? arena->base + arena->used : NULL;
    memcpy(piece, &address, sizeof address);
    arena->used += rounded;
    if (arena->used > arena->peak)
        arena->peak = arena->used;
    return CS336_OK;
}

Status arena_tensor_of(Arena *arena, Tensor *view, int rank, const size_t *shape)
{
    float *data = NULL;
    *view = tensor_of(NULL, rank, shape);
    size_t bytes = sizeof(float);
    for (int i = 0; i < rank; i++)
        bytes = memory_product(bytes, shape[i]);
    const Status s = arena_take(arena, &data, bytes);
    if (!s)
        view->data = data;
    return s;
}

size_t arena_mark(const Arena *arena)
{
    return arena->used;
}

void arena_release(Arena *arena, size_t mark)
{
    assert(mark <= arena->used);
    arena->used = mark;
}
