#include "tokenizer/text_table.h"

#include "core/memory.h"

#include <assert.h>

ByteString text_table_get(const TextTable *table, size_t number)
{
    assert(number < table->count);
    const size_t begin = number ? table->ends[number - 1] : 0;
    /* Only empty texts: there are no bytes yet to point at. */
    if (!table->bytes.bytes)
        return (ByteString){0};
    return (ByteString){.bytes = table->bytes.bytes + begin, .length = table->ends[number] - begin};
}

/* Returns the slot of a text, or the free slot where it belongs. The table has slots. */
static int32_t *find_slot(const TextTable *table, ByteString text)
{
    for (size_t i = (size_t)byte_string_hash(text);; i++) {
        int32_t *slot = &table->slots[i & (table->slot_count - 1)];
        if (*slot < 0 || byte_string_equal(text_table_get(table, (size_t)*slot), text))
            return slot;
    }
}

int64_t text_table_find(const TextTable *table, ByteString text)
{
    return table->count ? *find_slot(table, text) : -1;
}

/* Replaces the slots by `slot_count` others, with the texts of the table in them. */
static Status make_slots(TextTable *table, size_t slot_count)
{
    int32_t *slots = memory_allocate(slot_count * sizeof *slots);
    if (!slots)
        return status_fail(CS336_ENOMEM, "text_table_add: no memory for %zu slots", slot_count);
    for (size_t i = 0; i < slot_count; i++)
        slots[i] = -1;
    memory_release(table->slots);
    table->slots = slots;
    table->slot_count = slot_count;
    for (size_t number = 0; number < table->count; number++)
        *find_slot(table, text_table_get(table, number)) = (int32_t)number;
    return CS336_OK;
}

Status text_table_add(TextTable *table, ByteString text)
{
    if (text_table_find(table, text) >= 0)
        return CS336_OK;
    if (table->count == INT32_MAX)
        return status_fail(CS336_ERANGE, "text_table_add: more than %d texts", INT32_MAX);
    /* The slots double when half of them are used, so n texts are moved O(n) times in all. */
    const size_t slot_count = hash_table_slots(table->count + 1);
    Status s = slot_count > table->slot_count ? make_slots(table, slot_count) : CS336_OK;
    if (!s)
        s = array_reserve(&table->ends, &table->capacity, table->count + 1, sizeof *table->ends);
    if (!s)
        s = byte_list_append(&table->bytes, text.bytes, text.length);
    if (s)
        return s;
    *find_slot(table, text) = (int32_t)table->count;
    table->ends[table->count++] = table->bytes.length;
    return CS336_OK;
}

Status text_table_copy(TextTable *copy, const TextTable *table)
{
    *copy = (TextTable){0};
    if (table->count == 0)
        return CS336_OK;
    Status s = array_reserve(&copy->ends, &copy->capacity, table->count, sizeof *copy->ends);
    if (!s)
        s = byte_list_append(&copy->bytes, table->bytes.bytes, table->bytes.length);
    if (!s) {
        memcpy(copy->ends, table->ends, table->count * sizeof *copy->ends);
        copy->count = table->count;
        s = make_slots(copy, table->slot_count);
    }
    if (s)
        text_table_deinit(copy);
    return s;
}

void text_table_deinit(TextTable *table)
{
    byte_list_deinit(&table->bytes);
    memory_release(table->ends);
    memory_release(table->slots);
    *table = (TextTable){0};
}
