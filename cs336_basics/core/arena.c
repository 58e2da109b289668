#include "core/arena.h"

#include "core/memory.h"

#include <assert.h>
#include <stdint.h>

/* The mark of an arena that has refused a request already. Other marks are multiples of MEMORY_ALIGNMENT. */
enum { FAILED_BEFORE = 1 };

Status arena_init(Arena *arena, size_t capacity)
{
    const size_t rounded = memory_aligned(capacity);
    *arena = (Arena){.base = memory_allocate_zeroed(rounded, 1)};
    if (!arena->base)
        return status_fail(CS336_ENOMEM, "%s: no memory for %zu bytes", __func__, capacity);
    memory_ask_for_huge_pages(arena->base);
    arena->capacity = rounded;
    return CS336_OK;
}

void arena_deinit(Arena *arena)
{
    memory_release(arena->base);
    *arena = (Arena){0};
}

/*
 * Returns the bytes of the allocation. An arena that measures has room for any size but SIZE_MAX, to which
 * memory_aligned() rounds up sizes that are too large to round.
 */
static size_t capacity_of(const Arena *arena)
{
    return arena->base ? arena->capacity : SIZE_MAX - 1;
}

/* Returns the bytes that are handed out from both sides. */
static size_t used_of(const Arena *arena)
{
    return arena->used + arena->used_at_end;
}

void arena_expect(Arena *arena, size_t bytes)
{
    const size_t used = used_of(arena), room = SIZE_MAX - used, peak = bytes < room ? used + bytes : SIZE_MAX;
    if (peak > arena->peak)
        arena->peak = peak;
}

/* Counts a request in `used`, which is that of one of the two sides. False if the request does not fit. */
static bool request(Arena *arena, size_t *used, size_t bytes)
{
    const size_t rounded = memory_aligned(bytes);
    if (arena->refused)
        return false;
    if (rounded > capacity_of(arena) - used_of(arena)) {
        arena->refused = bytes;
        if (!arena->base)
            arena->peak = SIZE_MAX;
        return false;
    }
    *used += rounded;
    arena_expect(arena, 0);
    return true;
}

void *arena_take(Arena *arena, size_t bytes)
{
    const size_t start = arena->used;
    return request(arena, &arena->used, bytes) && arena->base ? arena->base + start : NULL;
}

static size_t bytes_of(int rank, const size_t *shape)
{
    size_t bytes = sizeof(float);
    for (int i = 0; i < rank; i++)
        bytes = memory_product(bytes, shape[i]);
    return bytes;
}

Tensor arena_tensor_of(Arena *arena, int rank, const size_t *shape)
{
    return tensor_of(arena_take(arena, bytes_of(rank, shape)), rank, shape);
}

Tensor arena_tensor_at_end(Arena *arena, int rank, const size_t *shape)
{
    const bool fits = request(arena, &arena->used_at_end, bytes_of(rank, shape));
    void *address = fits && arena->base ? arena->base + arena->capacity - arena->used_at_end : NULL;
    return tensor_of(address, rank, shape);
}

void arena_release_end(Arena *arena)
{
    arena->used_at_end = 0;
}

Tensor arena_tensor_like(Arena *arena, Tensor like)
{
    return arena_tensor_of(arena, like.rank, like.shape);
}

size_t arena_mark(const Arena *arena)
{
    return arena->refused ? FAILED_BEFORE : arena->used;
}

Status arena_status(Arena *arena)
{
    if (!arena->refused)
        return CS336_OK;
    arena->reported = true;
    if (!arena->base)
        return status_fail(CS336_ENOMEM,
                           "arena_take: the sizes need more than the %zu bytes that a program can address", SIZE_MAX);
    return status_fail(CS336_ENOMEM, "arena_take: %zu bytes asked for, %zu of %zu left", arena->refused,
                       capacity_of(arena) - used_of(arena), capacity_of(arena));
}

Status arena_keep(Arena *arena, size_t mark)
{
    const Status s = arena_status(arena);
    if (s)
        arena_release(arena, mark);
    return s;
}

void arena_release(Arena *arena, size_t mark)
{
    if (mark == FAILED_BEFORE) /* the failure belongs to an earlier function, which releases it */
        return;
    assert(mark <= arena->used && (!arena->refused || arena->reported || !arena->base));
    arena->used = mark;
    arena->refused = 0;
    arena->reported = false;
}
