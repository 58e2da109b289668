#include "tokenizer/buffers.h"

#include "core/memory.h"

enum { SMALLEST_ARRAY = 64 };

int byte_string_compare(ByteString a, ByteString b)
{
    const size_t common = a.length < b.length ? a.length : b.length;
    const int order = common ? memcmp(a.bytes, b.bytes, common) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

/* SplitMix64's mixing: every bit of the sum moves every bit of the result. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

uint64_t byte_string_hash(ByteString text)
{
    uint64_t hash = text.length;
    size_t at = 0;
    for (uint64_t word; at + sizeof word <= text.length; at += sizeof word) {
        memcpy(&word, text.bytes + at, sizeof word);
        hash = mix(hash + 0x9E3779B97F4A7C15U + word);
    }
    uint64_t rest = 0;
    for (; at < text.length; at++)
        rest = rest << 8 | text.bytes[at];
    return mix(hash + 0x9E3779B97F4A7C15U + rest);
}

Status array_reserve(void *array, size_t *capacity, size_t needed, size_t size)
{
    if (needed <= *capacity)
        return CS336_OK;
    size_t larger = *capacity + *capacity / 2;
    if (larger < needed)
        larger = needed;
    if (larger < SMALLEST_ARRAY)
        larger = SMALLEST_ARRAY;
    void *block;
    memcpy(&block, array, sizeof block);
    block = larger <= SIZE_MAX / size ? memory_resize(block, larger * size) : NULL;
    if (!block)
        return status_fail(CS336_ENOMEM, "array_reserve: no memory for %zu elements of %zu bytes", larger, size);
    memcpy(array, &block, sizeof block);
    *capacity = larger;
    return CS336_OK;
}

Status byte_list_append(ByteList *list, const uint8_t *bytes, size_t length)
{
    const Status s = array_reserve(&list->bytes, &list->capacity, list->length + length, sizeof *list->bytes);
    if (!s && length) {
        memcpy(list->bytes + list->length, bytes, length);
        list->length += length;
    }
    return s;
}

void byte_list_deinit(ByteList *list)
{
    memory_release(list->bytes);
    *list = (ByteList){0};
}

Status token_list_append(TokenList *list, const int32_t *ids, size_t count)
{
    const Status s = array_reserve(&list->ids, &list->capacity, list->count + count, sizeof *list->ids);
    if (!s && count) {
        memcpy(list->ids + list->count, ids, count * sizeof *ids);
        list->count += count;
    }
    return s;
}

void token_list_deinit(TokenList *list)
{
    memory_release(list->ids);
    *list = (TokenList){0};
}
