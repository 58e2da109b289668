/**
 * @file
 * @brief An arena: one aligned allocation that is handed out from front to back.
 *
 * - An arena without memory only measures. It hands out NULL and counts the bytes, so the code that takes memory also
 *   measures it. NULL must not be read or written.
 * - The arena remembers the first request that does not fit, and hands out NULL from then on. So no request needs a
 *   test of its own: call arena_keep() or arena_status() once, after the last request and before the memory is used.
 * - A function that takes memory begins with arena_mark(). It ends with arena_keep() if its caller goes on using the
 *   memory, or with arena_release() if the memory was scratch.
 * - Each request begins at a multiple of MEMORY_ALIGNMENT bytes.
 * - Memory can also be taken from the end, towards the front: the arena is a double-ended stack. A request from either
 *   side is refused before it would overlap what was taken from the other. A training step has its activations at the
 *   front and its gradients at the end (transformer_lm_loss_and_gradients()).
 *
 * @code
 * Status bind(Views *views, Arena *arena)
 * {
 *     const size_t mark = arena_mark(arena);
 *     views->hidden = arena_tensor(arena, seq, d_model);
 *     views->ids = arena_take(arena, seq * sizeof *views->ids);
 *     return arena_keep(arena, mark);
 * }
 *
 * Arena measure = {0}, arena = {0};
 * Status s = bind(&views, &measure);           // views of NULL; measure.peak is the number of bytes
 * if (!s)
 *     s = arena_init(&arena, measure.peak);
 * if (!s)
 *     s = bind(&views, &arena);                // the same calls, now with memory
 * @endcode
 */
#ifndef CS336_CORE_ARENA_H
#define CS336_CORE_ARENA_H

#include "core/api.h"
#include "core/status.h"
#include "core/tensor.h"

#include <stdbool.h>
#include <stddef.h>

CS336_API_BEGIN

/** @brief An arena. A zeroed struct is an arena without memory, which measures. */
typedef struct {
    unsigned char *base; /**< the allocation; NULL: only measure */
    size_t capacity;     /**< bytes of the allocation */
    size_t used;         /**< bytes handed out from the front */
    size_t used_at_end;  /**< bytes handed out from the end */
    size_t peak;    /**< the most that both together have been; SIZE_MAX if more was asked for than memory can have */
    size_t refused; /**< bytes of the first request that did not fit; 0: all fitted */
    bool reported;  /**< arena_status() has reported that request */
} Arena;

/** @brief Allocates zeroed memory. @retval CS336_ENOMEM  the message says how many bytes were asked for */
CS336_MUST_CHECK Status arena_init(Arena *arena, size_t capacity);

/** @brief Frees the memory; a zeroed arena is fine. */
void arena_deinit(Arena *arena);

/**
 * @brief Takes @p bytes, whose contents are undefined.
 * @return NULL when measuring, and as soon as one request did not fit
 */
void *arena_take(Arena *arena, size_t bytes);

/** @brief Takes a contiguous tensor of the given shape. Its data is NULL where arena_take() would return NULL. */
Tensor arena_tensor_of(Arena *arena, int rank, const size_t *shape);

/** @brief `arena_tensor(scratch, batch, seq, d_model)` */
#define arena_tensor(arena, ...) arena_tensor_of((arena), TENSOR_EXTENTS(__VA_ARGS__))

/** @brief Takes a contiguous tensor of the shape of @p like, as torch.empty_like() does. */
Tensor arena_tensor_like(Arena *arena, Tensor like);

/**
 * @brief Takes a contiguous tensor from the end of the arena, just before the one that was taken there last.
 *
 * The same sequence of calls gives the same addresses. arena_mark() and arena_release() are only about the front.
 * @see arena_release_end(); test_arena_has_two_ends
 */
Tensor arena_tensor_at_end(Arena *arena, int rank, const size_t *shape);

/** @brief Gives back all that was taken from the end. */
void arena_release_end(Arena *arena);

/** @brief Raises the peak as if a callee took @p bytes and gave them back: for measuring scratch. */
void arena_expect(Arena *arena, size_t bytes);

/** @brief Returns a mark: how much is handed out. Pass it to arena_keep() or arena_release(). */
size_t arena_mark(const Arena *arena);

/**
 * @brief Checks that all requests fitted.
 * @retval CS336_ENOMEM  one did not; when measuring: together they exceed what a size_t can count
 */
CS336_MUST_CHECK Status arena_status(Arena *arena);

/**
 * @brief Checks, as arena_status() does, for a function whose caller goes on using the memory. On failure, gives back
 * all that was taken since the mark.
 */
CS336_MUST_CHECK Status arena_keep(Arena *arena, size_t mark);

/**
 * @brief Gives back all that was taken since the mark, and forgets a request that did not fit since then.
 *
 * Asserts that arena_status() was called after such a request, unless the arena only measures: it catches a function
 * that forgets the check.
 */
void arena_release(Arena *arena, size_t mark);

CS336_API_END

#endif
