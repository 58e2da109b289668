#include "tokenizer/encode/word_cache.h"

#include "core/memory.h"

enum {
    FIRST_BITS = 11, /* 2048 slots at first: 64 KiB */
    FIRST_SLOTS = 1 << FIRST_BITS,
    GROWTH_BITS = 2, /* a full cache becomes 4 times as large: the first use of memory is slow (page faults), so it
                        grows rarely */
    GROWTH = 1 << GROWTH_BITS
};

/* Where the keys of short words have their length, a key that is a hash has 255. */
static const uint64_t HASHED = UINT64_C(0xFF) << WORD_LAST_BYTE;

/* Returns slots, and the 8 more that lookups of the last slot read, or NULL. */
static CachedWord *make_slots(size_t slots)
{
    CachedWord *made = memory_allocate_zeroed(slots + WORD_CACHE_PROBES, sizeof *made);
    if (made)
        memory_ask_for_huge_pages(made);
    return made;
}

Status word_cache_init(WordCache *cache, size_t most_bytes)
{
    *cache = (WordCache){.slots = make_slots(FIRST_SLOTS), .slot_count = FIRST_SLOTS, .shift = 64 - FIRST_BITS};
    if (!cache->slots)
        return status_fail(CS336_ENOMEM, "word_cache_init: no memory for %d pre-tokens", (int)FIRST_SLOTS);
    cache->most_stored = most_bytes / 4 / sizeof *cache->stored.ids;
    cache->most_slots = most_bytes / 4 * 3 / sizeof *cache->slots;
    return CS336_OK;
}

void word_cache_deinit(WordCache *cache)
{
    memory_release(cache->slots);
    token_list_deinit(&cache->stored);
    *cache = (WordCache){0};
}

WordKey word_key_slowly(const uint8_t *word, size_t length)
{
    if (length <= WORD_KEY_BYTES)
        return word_key_of(word, length, length);
    WordKey key = {.high = HASHED}; /* of all words that are too long for the cache; none of them is ever added */
    if (length <= WORD_CACHED_BYTES) {
        key.low = byte_string_hash((ByteString){.bytes = word, .length = length});
        key.high = HASHED | (uint64_t)length << 16;
    }
    return key;
}

static bool is_hashed(WordKey key)
{
    return (key.high & HASHED) == HASHED;
}

const int32_t *word_cache_ids(const WordCache *cache, const CachedWord *entry, ByteString word)
{
    if (entry->count <= WORD_INLINE_IDS)
        return entry->ids;
    const int32_t *ids = cache->stored.ids + entry->ids[0];
    if (is_hashed(entry->key) && memcmp(ids + (entry->count & ~WORD_STORED), word.bytes, word.length) != 0)
        return NULL;
    return ids;
}

/* ---- adding ---- */

/* Returns the slot that holds this key, a free one, or else the one whose pre-token is evicted. */
static CachedWord *choose_slot(const WordCache *cache, WordKey key)
{
    CachedWord *first = &cache->slots[word_cache_slot(cache, key)];
    for (size_t i = 0; i < WORD_CACHE_PROBES; i++)
        if (!first[i].key.high || word_key_equal(first[i].key, key))
            return &first[i];
    return &first[(word_key_hash(key) >> 16) % WORD_CACHE_PROBES];
}

/* Makes the cache 4 times as large, or twice if 4 times is too much. Without memory it never grows again. */
static void grow(WordCache *cache)
{
    const int bits = GROWTH * cache->slot_count <= cache->most_slots ? GROWTH_BITS : 1;
    WordCache larger = *cache;
    larger.slot_count <<= bits;
    larger.shift -= bits;
    larger.slots = larger.slot_count <= cache->most_slots ? make_slots(larger.slot_count) : NULL;
    if (!larger.slots) {
        cache->most_slots = 0;
        return;
    }
    for (size_t i = 0; i < cache->slot_count + WORD_CACHE_PROBES; i++)
        if (cache->slots[i].key.high)
            *choose_slot(&larger, cache->slots[i].key) = cache->slots[i];
    memory_release(cache->slots);
    *cache = larger;
}

/* Makes room for `needed` stored ids; returns false if there is none. */
static bool reserve_stored(WordCache *cache, size_t needed)
{
    TokenList *stored = &cache->stored;
    if (needed > cache->most_stored)
        return false;
    /* Stored ids cannot be freed one by one. When their room is used up, the cache forgets everything. */
    if (stored->count + needed > cache->most_stored) {
        memset(cache->slots, 0, (cache->slot_count + WORD_CACHE_PROBES) * sizeof *cache->slots);
        cache->count = stored->count = 0;
    }
    if (stored->count + needed <= stored->capacity)
        return true;
    size_t room = GROWTH * stored->capacity;
    room = room < cache->most_stored ? room : cache->most_stored;
    room = room > stored->count + needed ? room : stored->count + needed;
    if (array_reserve(&stored->ids, &stored->capacity, room, sizeof *stored->ids) == CS336_OK)
        return true;
    cache->most_stored = stored->capacity;
    return false;
}

/* Stores the ids of an entry and, if its key is a hash, the bytes behind them. Returns false if there is no room. */
static bool store(WordCache *cache, CachedWord *entry, ByteString word, const int32_t *ids, size_t count)
{
    const size_t byte_ids = is_hashed(entry->key) ? (word.length + sizeof *ids - 1) / sizeof *ids : 0;
    TokenList *stored = &cache->stored;
    if (!reserve_stored(cache, count + byte_ids))
        return false;
    *entry = (CachedWord){.key = entry->key, .ids = {(int32_t)stored->count}, .count = WORD_STORED | (uint32_t)count};
    memcpy(stored->ids + stored->count, ids, count * sizeof *ids);
    if (byte_ids)
        memcpy(stored->ids + stored->count + count, word.bytes, word.length);
    stored->count += count + byte_ids;
    return true;
}

void word_cache_add(WordCache *cache, WordKey key, ByteString word, const int32_t *ids, size_t count)
{
    CachedWord entry = {.key = key, .count = (uint32_t)count};
    if (count > WORD_INLINE_IDS || is_hashed(key)) {
        if (!store(cache, &entry, word, ids, count))
            return;
    } else {
        memcpy(entry.ids, ids, count * sizeof *ids);
    }
    if (2 * cache->count > cache->slot_count)
        grow(cache);
    CachedWord *slot = choose_slot(cache, key);
    cache->count += !slot->key.high;
    *slot = entry;
}
