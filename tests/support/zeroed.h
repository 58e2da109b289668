/**
 * @file
 * @brief Memory for the references in this folder. They are used by the tests and by the checker of the coursework, so
 * they do not call Check.
 */
#ifndef CS336_TESTS_SUPPORT_ZEROED_H
#define CS336_TESTS_SUPPORT_ZEROED_H

#include <stdlib.h>

/** @brief Returns zeroed memory for @p count elements of @p size bytes; free() frees it. Never NULL: it aborts. */
static inline void *zeroed(size_t count, size_t size)
{
    void *memory = calloc(count + 1, size);
    if (!memory)
        abort();
    return memory;
}

#endif
