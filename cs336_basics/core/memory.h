/**
 * @file
 * @brief The one place that allocates.
 *
 * - Every block of the library comes from here and is counted, except those inside jansson.
 * - A limit makes further allocations fail as an exhausted machine would; tests measure and provoke with it.
 * - Blocks are aligned to 64 bytes, a cache line and the widest vector.
 * - All functions may be called from several threads at once.
 */
#ifndef CS336_CORE_MEMORY_H
#define CS336_CORE_MEMORY_H

#include <stddef.h>

enum { MEMORY_ALIGNMENT = 64 };

/** @brief A block of at least @p bytes (also for 0), or NULL when memory or the limit is exhausted. */
void *memory_allocate(size_t bytes);

/** @brief An array of @p count zeroed elements, or NULL, also when count * size overflows. */
void *memory_allocate_zeroed(size_t count, size_t size);

/**
 * @brief The same for hash tables, which are read before they are written. Zeroed memory of the system's is one page,
 * seen at many places until it is written to; when that is found out late, all threads are interrupted. Here it is
 * found out at once.
 */
void *memory_allocate_table(size_t count, size_t size);

/** @brief Moves @p block (may be NULL) to @p bytes; on NULL the old block is still there. */
void *memory_resize(void *block, size_t bytes);

/** @brief Gives a block back; NULL is fine. */
void memory_release(void *block);

/**
 * @brief For large blocks that will be read again and again: a processor remembers where only so many pages lie, and
 * Linux maps memory in pages of 4 KiB unless asked for more. They are slower to come by, so for a block that is written
 * once they lose. Where the system does not want to, nothing changes.
 */
void memory_ask_for_huge_pages(void *block);

/** @brief After work that took much more memory than is in use now: what the C library kept goes back to the system. */
void memory_give_back(void);

/**
 * @brief From now on a large block goes back to the system when it is released; the C library (glibc) would begin to
 * keep such blocks. It is the whole process' memory, and so for a program to say and not for a library.
 */
void memory_return_large_blocks(void);

/** @brief A copy of a string, or NULL. */
char *memory_copy_text(const char *text);

/** @brief count * size, or SIZE_MAX, which no allocation grants, when that overflows. */
size_t memory_product(size_t count, size_t size);

/** @brief @p bytes rounded up to a multiple of MEMORY_ALIGNMENT, or SIZE_MAX when that overflows. */
size_t memory_aligned(size_t bytes);

/** @brief Bytes of all blocks now in use, as asked for by the callers. */
size_t memory_in_use(void);

/** @brief The most that memory_in_use() has been since the start or the last memory_reset_peak(). */
size_t memory_peak(void);
void memory_reset_peak(void);

/** @brief The most memory that the whole process has had from the system, in bytes; 0 where it does not say. */
size_t memory_process_peak(void);

/** @brief Allocations that would bring memory_in_use() above @p bytes fail; 0 lifts the limit. */
void memory_set_limit(size_t bytes);

/** @brief The @p n -th allocation from now on (1 is the next) fails, once; 0 cancels. For tests of every exit. */
void memory_fail_at(size_t n);

#endif
