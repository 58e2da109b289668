/**
 * @file
 * @brief A hash map from bytes to a number, for the exercises of the tokenizer. For readers who know Python's dict.
 *
 *     Python                                   here
 *     m = {}                                   Map m = {0};
 *     m[key] = 3                               s = map_set(&m, key, 3);
 *     m.get(key, -1)                           map_get(&m, key, -1)
 *     m[key] = m.get(key, 0) + 1               s = map_set(&m, key, map_get(&m, key, 0) + 1);
 *     for key, value in m.items(): ...         for (size_t i = 0; i < m.count; i++) ... m.entries[i].key, .value ...
 *     m[(left, right)]                         map_get(&m, pair_key(&(Pair){left, right}), -1)
 *     (forgotten)                              map_deinit(&m);
 *
 * - The map copies its keys. They may hold any bytes.
 * - Entries keep the order in which their keys came first, as in Python.
 */
#ifndef CS336_TESTS_EXERCISES_MAP_H
#define CS336_TESTS_EXERCISES_MAP_H

#include "core/memory.h"
#include "core/status.h"
#include "tokenizer/buffers.h"

/** @brief The ids of two neighbouring tokens. */
typedef struct {
    int32_t left, right;
} Pair;

/** @brief Returns a view of a pair's bytes, valid as long as the pair. */
static inline ByteString pair_key(const Pair *pair)
{
    return (ByteString){.bytes = (const uint8_t *)pair, .length = sizeof *pair};
}

/** @brief Returns the pair that pair_key() made a key of. */
static inline Pair pair_of(ByteString key)
{
    Pair pair;
    memcpy(&pair, key.bytes, sizeof pair);
    return pair;
}

/** @brief Copies bytes into an allocation of their own; bytes_release() frees it. @retval CS336_ENOMEM */
CS336_MUST_CHECK static inline Status bytes_copy(ByteString *copy, ByteString original)
{
    uint8_t *bytes = memory_allocate(original.length);
    if (!bytes)
        return status_fail(CS336_ENOMEM, "bytes_copy: no memory for %zu bytes", original.length);
    if (original.length)
        memcpy(bytes, original.bytes, original.length);
    *copy = (ByteString){.bytes = bytes, .length = original.length};
    return CS336_OK;
}

static inline void bytes_release(ByteString copy)
{
    memory_release((void *)(uintptr_t)copy.bytes);
}

typedef struct {
    ByteString key;
    int64_t value;
} MapEntry;

/** @brief The map. Zeroed, it is empty and ready. */
typedef struct {
    MapEntry *entries; /**< in the order of their first map_set() */
    size_t count, capacity;
    size_t *slots;     /**< the hash table: 1 + the index of an entry; 0: free */
    size_t slot_count; /**< a power of two, more than count */
} Map;

/** @brief Returns the slot that holds the key, or the free one where it belongs (open addressing). */
static inline size_t map_slot(const Map *map, ByteString key)
{
    size_t slot = byte_string_hash(key) & (map->slot_count - 1);
    while (map->slots[slot] && !byte_string_equal(map->entries[map->slots[slot] - 1].key, key))
        slot = (slot + 1) & (map->slot_count - 1);
    return slot;
}

/** @brief Returns the key's value, or @p otherwise if the map does not hold the key. */
static inline int64_t map_get(const Map *map, ByteString key, int64_t otherwise)
{
    const size_t number = map->count ? map->slots[map_slot(map, key)] : 0;
    return number ? map->entries[number - 1].value : otherwise;
}

/** @brief Doubles the hash table when more than half of its slots are used. Each entry then has another slot. */
CS336_MUST_CHECK static inline Status map_grow(Map *map)
{
    const size_t slot_count = hash_table_slots(map->count + 1);
    if (slot_count == map->slot_count)
        return CS336_OK;
    size_t *slots = memory_allocate_zeroed(slot_count, sizeof *slots);
    if (!slots)
        return status_fail(CS336_ENOMEM, "map_set: no memory for %zu slots", slot_count);
    memory_release(map->slots);
    map->slots = slots;
    map->slot_count = slot_count;
    for (size_t i = 0; i < map->count; i++)
        slots[map_slot(map, map->entries[i].key)] = i + 1;
    return CS336_OK;
}

/** @brief Gives a key a value. @retval CS336_ENOMEM  the map is unchanged */
CS336_MUST_CHECK static inline Status map_set(Map *map, ByteString key, int64_t value)
{
    Status s = map_grow(map);
    if (s)
        return s;
    const size_t slot = map_slot(map, key);
    if (map->slots[slot]) {
        map->entries[map->slots[slot] - 1].value = value;
        return CS336_OK;
    }
    s = array_reserve(&map->entries, &map->capacity, map->count + 1, sizeof *map->entries);
    MapEntry entry = {.value = value};
    if (!s)
        s = bytes_copy(&entry.key, key);
    if (!s) {
        map->entries[map->count++] = entry;
        map->slots[slot] = map->count;
    }
    return s;
}

/** @brief Frees all of the map, which is empty again. */
static inline void map_deinit(Map *map)
{
    for (size_t i = 0; i < map->count; i++)
        bytes_release(map->entries[i].key);
    memory_release(map->entries);
    memory_release(map->slots);
    *map = (Map){0};
}

#endif
