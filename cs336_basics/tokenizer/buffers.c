#include "tokenizer/buffers.h"

#include "core/memory.h"

enum {
    SMALLEST_ARRAY = 64, /* elements of an array when it first gets memory */
    SMALLEST_TABLE = 512 /* slots of a hash table */
};

int byte_string_compare(ByteString a, ByteString b)
{
    const size_t common = a.length < b.length ? a.length : b.length;
    const int order = common ? memcmp(a.bytes, b.bytes, common) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

/* The finalizer of the SplitMix64 generator: each bit of z changes about half of the result's bits. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

uint64_t byte_string_hash(ByteString text)
{
    uint64_t hash = text.length;
    size_t i = 0;
    for (uint64_t eight_bytes; i + sizeof eight_bytes <= text.length; i += sizeof eight_bytes) {
        memcpy(&eight_bytes, text.bytes + i, sizeof eight_bytes);
        hash = mix(hash + 0x9E3779B97F4A7C15U + eight_bytes);
    }
    uint64_t rest = 0;
    for (; i < text.length; i++)
        rest = rest << 8 | text.bytes[i];
    return mix(hash + 0x9E3779B97F4A7C15U + rest);
}

size_t hash_table_slots(size_t entries)
{
    size_t slots = SMALLEST_TABLE;
    while (slots < 2 * entries)
        slots *= 2;
    return slots;
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
    /* `array` points to a pointer of any type; memcpy reads and writes it without breaking C's aliasing rules. */
    void *elements;
    memcpy(&elements, array, sizeof elements);
    elements = larger <= SIZE_MAX / size ? memory_resize(elements, larger * size) : NULL;
    if (!elements)
        return status_fail(CS336_ENOMEM, "array_reserve: no memory for %zu elements of %zu bytes", larger, size);
    memcpy(array, &elements, sizeof elements);
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

Status byte_list_append_text(ByteList *list, const char *text)
{
    return byte_list_append(list, (const uint8_t *)text, strlen(text));
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
