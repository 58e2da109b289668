#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE /* declares ru_maxrss on macOS */
#include "core/memory.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__GLIBC__)
#include <malloc.h>
#endif

/*
 * A header stands before each allocation. It takes a whole cache line, so that the allocation after it is aligned:
 *
 *     raw (from malloc) ... | header, 64 bytes | allocation ...
 *     |<------------- distance -------------->|
 */
typedef struct {
    size_t size;     /* bytes of the allocation, as the caller asked for them */
    size_t distance; /* bytes from the raw memory to the allocation */
} Header;

enum {
    HUGE_PAGE = 1 << 21, /* bytes: 2 MiB, as on x86-64 and allowed ARM systems */
    LARGE_ALLOCATION =
        1 << 20 /* bytes: 1 MiB. From this size an allocation is returned at once; smaller ones are reused, which
              saves the page faults of fresh memory. glibc raises its own limit up to 32 MiB */
};

static atomic_size_t in_use, peak, limit, fail_countdown;

static Header *header_of(void *allocation)
{
    return (Header *)((unsigned char *)allocation - MEMORY_ALIGNMENT);
}

/* Counts memory_fail_at() down. True if this allocation is the one that must fail. */
static bool must_fail(void)
{
    size_t n = atomic_load(&fail_countdown);
    while (n && !atomic_compare_exchange_weak(&fail_countdown, &n, n - 1)) {
    }
    return n == 1;
}

/*
 * Adds the bytes to `in_use`, or returns false if that would exceed the limit. Callers count before they allocate:
 * otherwise two threads could pass the check together and exceed the limit. The compare-exchange stores the sum only if
 * no other thread changed `in_use` since it was read; if one did, the loop checks again with the new value.
 */
static bool count_in(size_t bytes)
{
    const size_t allowed = atomic_load(&limit);
    size_t used = atomic_load(&in_use);
    do {
        if (bytes > SIZE_MAX - used || (allowed && used + bytes > allowed))
            return false;
    } while (!atomic_compare_exchange_weak(&in_use, &used, used + bytes));
    return true;
}

static void update_peak(void)
{
    const size_t used = atomic_load(&in_use);
    size_t highest = atomic_load(&peak);
    while (used > highest && !atomic_compare_exchange_weak(&peak, &highest, used)) {
    }
}

static bool too_large(size_t bytes)
{
    return bytes > SIZE_MAX - 2 * MEMORY_ALIGNMENT;
}

/* Returns the bytes from malloc's address to the first aligned address that leaves room for the header. */
static size_t distance_in(const void *raw)
{
    return MEMORY_ALIGNMENT + (MEMORY_ALIGNMENT - (uintptr_t)raw % MEMORY_ALIGNMENT) % MEMORY_ALIGNMENT;
}

/* Writes the header into raw memory and returns the allocation. */
static void *begin_allocation(unsigned char *raw, size_t bytes)
{
    const size_t distance = distance_in(raw);
    *header_of(raw + distance) = (Header){.size = bytes, .distance = distance};
    return raw + distance;
}

static void *raw_of(void *allocation)
{
    return (unsigned char *)allocation - header_of(allocation)->distance;
}

/* Allocates; get_raw is malloc, or zeroed below. */
static void *allocate(size_t bytes, void *(*get_raw)(size_t))
{
    if (too_large(bytes) || must_fail() || !count_in(bytes))
        return NULL;
    void *raw = get_raw(bytes + 2 * MEMORY_ALIGNMENT);
    if (!raw) {
        atomic_fetch_sub(&in_use, bytes);
        return NULL;
    }
    update_peak();
    return begin_allocation(raw, bytes);
}

static void *zeroed(size_t bytes)
{
    return calloc(bytes, 1);
}

void *memory_allocate(size_t bytes)
{
    return allocate(bytes, malloc);
}

void *memory_allocate_zeroed(size_t count, size_t size)
{
    return allocate(memory_product(count, size), zeroed);
}

void *memory_allocate_table(size_t count, size_t size)
{
    const size_t bytes = memory_product(count, size);
    void *allocation = memory_allocate(bytes);
    return allocation ? memset(allocation, 0, bytes) : NULL;
}

/* realloc() may return memory of another alignment. Then the distance changes, and the contents must be moved. */
void *memory_resize(void *allocation, size_t bytes)
{
    if (!allocation)
        return memory_allocate(bytes);
    const Header old = *header_of(allocation);
    if (too_large(bytes) || must_fail() || !count_in(bytes))
        return NULL;
    unsigned char *raw = realloc(raw_of(allocation), bytes + 2 * MEMORY_ALIGNMENT);
    if (!raw) {
        atomic_fetch_sub(&in_use, bytes);
        return NULL;
    }
    /* While both sizes are counted: realloc() may have held both allocations at once. */
    update_peak();
    if (distance_in(raw) != old.distance)
        memmove(raw + distance_in(raw), raw + old.distance, old.size < bytes ? old.size : bytes);
    atomic_fetch_sub(&in_use, old.size);
    return begin_allocation(raw, bytes);
}

void memory_release(void *allocation)
{
    if (!allocation)
        return;
    atomic_fetch_sub(&in_use, header_of(allocation)->size);
    free(raw_of(allocation));
}

void memory_ask_for_huge_pages(void *allocation)
{
#if defined(MADV_HUGEPAGE)
    /* The huge pages that lie completely inside the allocation. */
    const uintptr_t begin = (uintptr_t)allocation, end = begin + header_of(allocation)->size;
    const uintptr_t first_page = (begin + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    const uintptr_t pages_end = end / HUGE_PAGE * HUGE_PAGE;
    if (first_page < pages_end)
        (void)madvise((void *)first_page, pages_end - first_page, MADV_HUGEPAGE);
#else
    (void)allocation;
#endif
}

void memory_give_back(void)
{
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

void memory_return_large_allocations(void)
{
#if defined(__GLIBC__)
    mallopt(M_MMAP_THRESHOLD, LARGE_ALLOCATION);
#endif
}

char *memory_copy_text(const char *text)
{
    const size_t bytes = strlen(text) + 1;
    char *copy = memory_allocate(bytes);
    return copy ? memcpy(copy, text, bytes) : NULL;
}

size_t memory_product(size_t count, size_t size)
{
    return size && count > SIZE_MAX / size ? SIZE_MAX : count * size;
}

size_t memory_aligned(size_t bytes)
{
    if (bytes > SIZE_MAX - (MEMORY_ALIGNMENT - 1))
        return SIZE_MAX;
    return (bytes + MEMORY_ALIGNMENT - 1) / MEMORY_ALIGNMENT * MEMORY_ALIGNMENT;
}

size_t memory_in_use(void)
{
    return atomic_load(&in_use);
}

size_t memory_peak(void)
{
    return atomic_load(&peak);
}

void memory_reset_peak(void)
{
    atomic_store(&peak, atomic_load(&in_use));
}

/* Linux: VmHWM in /proc is the peak of this program. ru_maxrss also includes the peak of the process that started it.
 */
size_t memory_process_peak(void)
{
    char line[200];
    long kilobytes = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status) && sscanf(line, "VmHWM: %ld", &kilobytes) != 1) {
    }
    if (status)
        fclose(status);
    struct rusage usage;
    if (kilobytes > 0 || getrusage(RUSAGE_SELF, &usage) != 0)
        return 1024 * (size_t)kilobytes;
#if defined(__APPLE__) /* macOS reports bytes, other systems kilobytes */
    return (size_t)usage.ru_maxrss;
#else
    return 1024 * (size_t)usage.ru_maxrss;
#endif
}

size_t memory_machine(void)
{
#ifdef _SC_PHYS_PAGES
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? memory_product((size_t)pages, (size_t)page) : 0;
#else
    return 0;
#endif
}

void memory_set_limit(size_t bytes)
{
    atomic_store(&limit, bytes);
}

size_t memory_fail_at(size_t n)
{
    return atomic_exchange(&fail_countdown, n);
}
