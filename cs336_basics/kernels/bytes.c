#include "kernels/bytes.h"

#include "kernels/isa.h"

size_t bytes_find_pair(const uint8_t *text, size_t length, size_t begin, const BytePair *pairs, size_t pair_count)
{
    static const BytesKernels *const tables[ISA_COUNT] = ISA_TABLES(bytes);
    size_t i = begin;
    /* Whole groups in vectors. The kernel reads one byte behind the last group, so that byte must be in the text. */
    if (length - i > GROUP_BYTES) {
        uint64_t found = 0;
        const size_t groups = (length - i - 1) / GROUP_BYTES;
        i += GROUP_BYTES * tables[isa_in_use()]->find_pair(&found, text + i, groups, pairs, pair_count);
        if (found)
            return i + (size_t)__builtin_ctzll(found);
    }
    /* The rest, byte by byte. */
    for (; i + 1 < length; i++)
        for (size_t k = 0; k < pair_count; k++)
            if (text[i] == pairs[k].first && text[i + 1] == pairs[k].second)
                return i;
    return length;
}
