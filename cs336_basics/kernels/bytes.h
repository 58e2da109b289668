/**
 * @file
 * @brief Searching bytes, 64 at a time, with the instruction set in use.
 */
#ifndef CS336_KERNELS_BYTES_H
#define CS336_KERNELS_BYTES_H

#include "core/api.h"

#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/** @brief Bytes in a group: a bitset of 64 bits has one bit for each. */
enum { GROUP_BYTES = 64 };

/** @brief Two neighbouring bytes. */
typedef struct {
    uint8_t first, second;
} BytePair;

/**
 * @brief Finds the first of several pairs of bytes.
 * @param begin  index at which the search begins
 * @return the least index from @p begin on at which a pair begins, or @p length if there is none
 */
size_t bytes_find_pair(const uint8_t *text, size_t length, size_t begin, const BytePair *pairs, size_t pair_count);

CS336_INTERNAL_END

#endif
