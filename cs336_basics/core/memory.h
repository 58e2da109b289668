/**
 * @file
 * @brief Allocates and counts the library's memory.
 *
 * - Every allocation of the library is made and counted here, except those inside jansson.
 * - A limit makes further allocations fail, as on a machine without memory left. Tests use it.
 * - Allocations are aligned to 64 bytes: a cache line, and an AVX-512 vector.
 * - All functions may be called from several threads at once.
 */
#ifndef CS336_CORE_MEMORY_H
#define CS336_CORE_MEMORY_H

#include "core/api.h"

#include <stddef.h>

CS336_API_BEGIN

/** @brief Every allocation begins at a multiple of these bytes. */
enum { MEMORY_ALIGNMENT = 64 };

/** @brief Returns an allocation of at least @p bytes (0 is allowed), or NULL if memory or the limit is exhausted. */
void *memory_allocate(size_t bytes);

/** @brief Returns an array of @p count zeroed elements, or NULL, also when count * size overflows. */
void *memory_allocate_zeroed(size_t count, size_t size);

/**
 * @brief Returns a zeroed array for a hash table, after writing to each of its pages once.
 *
 * Fresh memory from the kernel is mapped to one shared zero page, and the first write to each page faults. A hash table
 * is read before it is written, so those faults would come in the middle of a parallel loop and interrupt every thread
 * (TLB shootdown).
 */
void *memory_allocate_table(size_t count, size_t size);

/**
 * @brief Resizes @p allocation (may be NULL) to @p bytes, as realloc() does. If it returns NULL, the old allocation is
 * unchanged.
 */
void *memory_resize(void *allocation, size_t bytes);

/** @brief Frees an allocation; NULL is allowed. */
void memory_release(void *allocation);

/**
 * @brief Asks the kernel to map a large allocation with huge pages, for memory that is read many times.
 *
 * The TLB holds the addresses of a limited number of pages (about 2000 here). With 4 KiB pages a 32 MB table does not
 * fit it, and each random access costs a page walk; with 2 MiB pages it fits easily. The kernel needs longer to provide
 * a huge page, so an allocation that is written only once gets slower. The kernel may ignore the request.
 */
void memory_ask_for_huge_pages(void *allocation);

/**
 * @brief Returns memory to the kernel that was freed but that the C library keeps for later. Call it when a computation
 * that needed much memory is finished.
 */
void memory_give_back(void);

/**
 * @brief Makes the C library return each large allocation to the kernel as soon as it is released. glibc would
 * otherwise begin to keep such allocations. The setting changes the whole process, so a program calls it, never the
 * library.
 */
void memory_return_large_allocations(void);

/** @brief Returns a copy of a string, or NULL. */
char *memory_copy_text(const char *text);

/** @brief Returns count * size, or SIZE_MAX if that overflows. An allocation of SIZE_MAX bytes always fails. */
size_t memory_product(size_t count, size_t size);

/** @brief Returns @p bytes rounded up to a multiple of MEMORY_ALIGNMENT, or SIZE_MAX if that overflows. */
size_t memory_aligned(size_t bytes);

/** @brief Returns the bytes of all allocations in use: the sum of what the callers asked for. */
size_t memory_in_use(void);

/** @brief Returns the greatest memory_in_use() since the start, or since the last memory_reset_peak(). */
size_t memory_peak(void);

/** @brief Sets memory_peak() to the bytes in use at this moment, to measure what comes next. */
void memory_reset_peak(void);

/** @brief Returns the peak resident memory of the whole process in bytes, or 0 if the system does not report it. */
size_t memory_process_peak(void);

/** @brief Returns the bytes of memory that the machine has, or 0 if the system does not report it. */
size_t memory_machine(void);

/** @brief Makes allocations fail that would raise memory_in_use() above @p bytes; 0 removes the limit. */
void memory_set_limit(size_t bytes);

/**
 * @brief For tests: makes the @p n -th allocation from now fail once. 1 is the next; 0 cancels.
 * @return what is left of the n that was set before: 0 if that allocation has failed
 */
size_t memory_fail_at(size_t n);

CS336_API_END

#endif
