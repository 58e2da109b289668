/* The functions behind bytes.h, one table for each instruction set. */
#ifndef CS336_KERNELS_BYTES_TABLE_H
#define CS336_KERNELS_BYTES_TABLE_H

#include "kernels/bytes.h"

typedef struct {
    /* The first of `blocks` blocks where a pair begins, and in *found where; `blocks` if none does. Reads a byte more.
     */
    size_t (*find_pair)(uint64_t *found, const uint8_t *text, size_t blocks, const BytePair *pairs, size_t pair_count);
} BytesTable;

extern const BytesTable bytes_portable, bytes_avx2, bytes_avx512;

#endif
