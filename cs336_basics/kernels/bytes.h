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

/** @brief Bytes in a byte group: a bitset of 64 bits has one bit for each. */
enum { GROUP_BYTES = 64 };

/** @brief Two neighbouring bytes. */
typedef struct {
    uint8_t first, /**< the byte at the lower address */
        second;    /**< the byte after it */
} BytePair;

/**
 * @brief Finds the first of several pairs of bytes.
 * @param begin  index at which the search begins
 * @return the least index from @p begin on at which a pair begins, or @p length if there is none
 */
size_t bytes_find_pair(const uint8_t *text, size_t length, size_t begin, const BytePair *pairs, size_t pair_count);

/** @brief The kernels of one instruction set, for bytes.c alone. */
typedef struct {
    /**
     * @brief Searches @p groups byte groups. It reads one byte more than these have.
     * @param[out] found  the bits of the bytes at which a pair begins, in the first group that has any; else untouched
     * @return the number of that group, or @p groups if no pair begins in any
     */
    size_t (*find_pair)(uint64_t *found, const uint8_t *text, size_t groups, const BytePair *pairs, size_t pair_count);
} BytesKernels;

/** @brief The tables that kernels/bytes_kernel.h defines. */
extern const BytesKernels bytes_portable, /**< in 64-bit integers, 8 bytes each, on any CPU */
    bytes_avx2,                           /**< 32 bytes at a time */
    bytes_avx512;                         /**< 64 bytes at a time */

CS336_INTERNAL_END

#endif
