#include "core/arena.h"

#include "core/memory.h"

#include <assert.h>
#include <string.h>

Status arena_init(Arena *arena, size_t capacity)
{
    *arena = (Arena){.base = memory_allocate_zeroed(capacity, 1), .capacity = capacity};
    return arena->base ? CS336_OK : status_fail(CS336_ENOMEM, "arena_init: no memory for %zu bytes", capacity);
}

void arena_deinit(Arena *arena)
{
    memory_release(arena->base);
    *arena = (Arena){0};
}

Status arena_take(Arena *arena, void *piece, size_t bytes)
{
    const size_t rounded = (bytes + MEMORY_ALIGNMENT - 1) / MEMORY_ALIGNMENT * MEMORY_ALIGNMENT;
    void *address = NULL;
    if (arena->base) {
        if (rounded > arena->capacity - arena->used)
            return status_fail(CS336_ENOMEM, "arena_take: %zu bytes asked for, %zu of %zu left", bytes,
                               arena->capacity - arena->used, arena->capacity);
        address = arena->base + arena->used;
    }
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
    const Status s = arena_take(arena, &data, tensor_count(*view) * sizeof(float));
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
