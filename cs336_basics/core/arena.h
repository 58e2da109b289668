/**
 * @file
 * @brief One aligned allocation, handed out front to back.
 *
 * - An arena without base measures: the same code that binds views first adds up the size they need.
 *   What it hands out then is NULL and must not be read or written.
 * - Scratch is taken after arena_mark() and given back by arena_release(); a function that takes an `Arena *scratch`
 *   leaves it as it found it.
 * - Every piece starts at a multiple of MEMORY_ALIGNMENT bytes.
 *
 * @code
 * Arena measure = {0};
 * bind(&views, &measure);                      // NULL views, measure.peak is the size
 * Arena arena;
 * Status s = arena_init(&arena, measure.peak);
 * if (!s) s = bind(&views, &arena);            // the same calls, now with memory
 * @endcode
 */
#ifndef CS336_CORE_ARENA_H
#define CS336_CORE_ARENA_H

#include "core/status.h"
#include "core/tensor.h"

#include <stddef.h>

typedef struct {
    unsigned char *base; /**< NULL: measure only */
    size_t capacity;     /**< bytes behind base */
    size_t used;         /**< bytes handed out */
    size_t peak;         /**< the most that used has been */
} Arena;

/** @brief Allocates zeroed memory. @retval CS336_ENOMEM  the message says how many bytes were asked for */
CS336_MUST_CHECK Status arena_init(Arena *arena, size_t capacity);

/** @brief Frees the memory; a zeroed arena is fine. */
void arena_deinit(Arena *arena);

/**
 * @brief The next @p bytes, not cleared; NULL when measuring.
 * @param[out] piece  pointer to the pointer that receives the address
 * @retval CS336_ENOMEM  the arena is full; when measuring, no memory could be so large
 */
CS336_MUST_CHECK Status arena_take(Arena *arena, void *piece, size_t bytes);

/**
 * @brief A contiguous tensor of the given extents carved from the arena; data NULL when measuring.
 * @retval CS336_ENOMEM  as arena_take()
 */
CS336_MUST_CHECK Status arena_tensor_of(Arena *arena, Tensor *view, int rank, const size_t *shape);

/** @brief `arena_tensor(scratch, &hidden, batch, seq, d_model)` */
#define arena_tensor(arena, view, ...)                                                        \
    arena_tensor_of((arena), (view), (int)(sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t)), \
                    (const size_t[]){__VA_ARGS__})

/** @brief Where the arena stands; pass it to arena_release() to give back all that was taken since. */
size_t arena_mark(const Arena *arena);
void arena_release(Arena *arena, size_t mark);

#endif
