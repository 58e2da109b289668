/* The functions behind bytes.h, one table for each instruction set. */
#ifndef CS336_KERNELS_BYTES_TABLE_H
#define CS336_KERNELS_BYTES_TABLE_H

#include "core/api.h"
#include "kernels/bytes.h"

CS336_INTERNAL_BEGIN

typedef struct {
    /*
     * Returns the number of the first group in which a pair begins, and sets in *found the bits of the bytes where one
     * does. Returns `groups` if there is none. Reads one byte more than the groups have.
     */
    size_t (*find_pair)(uint64_t *found, const uint8_t *text, size_t groups, const BytePair *pairs, size_t pair_count);
} BytesTable;

extern const BytesTable bytes_portable, bytes_avx2, bytes_avx512;

CS336_INTERNAL_END

#endif
