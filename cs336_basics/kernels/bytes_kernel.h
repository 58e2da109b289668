/* The kernels of bytes.h, compiled once for each instruction set: see vector.h. */
#ifndef CS336_KERNELS_BYTES_KERNEL_H
#define CS336_KERNELS_BYTES_KERNEL_H

#include "kernels/byte_group.h"
#include "kernels/bytes.h"

static size_t KERNEL(bytes_find_pair)(uint64_t *found, const uint8_t *text, size_t groups, const BytePair *pairs,
                                      size_t pair_count)
{
    for (size_t i = 0; i < groups; i++) {
        const ByteGroup first = group_load(text + i * GROUP_BYTES), second = group_load(text + i * GROUP_BYTES + 1);
        uint64_t begins = 0; /* bit j: one of the pairs begins at byte j of the group */
        for (size_t k = 0; k < pair_count; k++)
            begins |= group_in_range(first, pairs[k].first, pairs[k].first) &
                      group_in_range(second, pairs[k].second, pairs[k].second);
        if (begins) {
            *found = begins;
            return i;
        }
    }
    return groups;
}

const BytesKernels KERNEL(bytes) = {.find_pair = KERNEL(bytes_find_pair)};

#endif
