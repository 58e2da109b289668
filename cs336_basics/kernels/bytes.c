#include "kernels/bytes.h"

#include "kernels/bytes_table.h"
#include "kernels/isa.h"

static const BytesTable *const tables[ISA_COUNT] = ISA_TABLES(bytes);

size_t bytes_find_pair(const uint8_t *text, size_t length, size_t from, const BytePair *pairs, size_t pair_count)
{
    if (length - from > BLOCK_BYTES) {
        uint64_t found = 0;
        const size_t blocks = (length - from - 1) / BLOCK_BYTES;
        from += BLOCK_BYTES * tables[isa_in_use()]->find_pair(&found, text + from, blocks, pairs, pair_count);
        if (found)
            return from + (size_t)__builtin_ctzll(found);
    }
    for (; from + 1 < length; from++)
        for (size_t k = 0; k < pair_count; k++)
            if (text[from] == pairs[k].first && text[from + 1] == pairs[k].second)
                return from;
    return length;
}
