#include "tokenizer/learn/word_table.h"

#include "core/memory.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "a key's last byte is taken to be the first bits of its second half"
#endif

enum {
    LONG = 255,         /* last byte of the key of a long word; a short word has its length there */
    FIRST_SLOT_BITS = 4 /* a shard begins with 2^4 slots */
};

/* ---- keys ---- */

static inline unsigned last_byte(WordKey key)
{
    return (unsigned)(key.high >> WORD_LAST_BYTE);
}

static inline uint64_t hash_of(WordKey key)
{
    return last_byte(key) == LONG ? key.low : word_key_hash(key);
}

/* Returns the bytes of a long word. The lower bits of key.high say where in long_words its length begins. */
static ByteString long_word(const WordShard *shard, WordKey key)
{
    const uint8_t *entry = shard->long_words.bytes + (key.high & ((UINT64_C(1) << WORD_LAST_BYTE) - 1));
    ByteString word = {.bytes = entry + sizeof word.length};
    memcpy(&word.length, entry, sizeof word.length);
    return word;
}

/* ---- slots ---- */

static inline size_t first_slot(const WordShard *shard, uint64_t hash)
{
    return (size_t)(hash << WORD_SHARD_BITS >> shard->shift);
}

static inline size_t next_slot(const WordShard *shard, size_t slot)
{
    return (slot + 1) & (shard->slot_count - 1);
}

/* Doubles the slots if one more word would use more than three quarters of them. */
static Status reserve_slot(WordShard *shard)
{
    if (4 * (shard->used + 1) <= 3 * shard->slot_count)
        return CS336_OK;
    WordShard larger = *shard;
    larger.shift = shard->slot_count ? shard->shift - 1 : 64 - FIRST_SLOT_BITS;
    larger.slot_count = (size_t)1 << (64 - larger.shift);
    larger.slots = memory_allocate_table(larger.slot_count, sizeof *larger.slots);
    if (!larger.slots)
        return status_fail(CS336_ENOMEM, "word_table_add: no memory for %zu words", larger.slot_count);
    /* Move all words to their slots in the larger array. */
    for (size_t i = 0; i < shard->slot_count; i++) {
        const WordSlot *entry = &shard->slots[i];
        if (entry->count == 0)
            continue;
        size_t slot = first_slot(&larger, hash_of(entry->key));
        while (larger.slots[slot].count)
            slot = next_slot(&larger, slot);
        larger.slots[slot] = *entry;
    }
    memory_release(shard->slots);
    shard->slots = larger.slots;
    shard->slot_count = larger.slot_count;
    shard->shift = larger.shift;
    return CS336_OK;
}

static Status add_short(WordShard *shard, WordKey key, uint64_t hash, uint64_t count)
{
    const Status s = reserve_slot(shard);
    if (s)
        return s;
    size_t slot = first_slot(shard, hash);
    while (shard->slots[slot].count && !word_key_equal(shard->slots[slot].key, key))
        slot = next_slot(shard, slot);
    WordSlot *entry = &shard->slots[slot];
    shard->used += entry->count == 0;
    entry->key = key;
    entry->count += count;
    return CS336_OK;
}

static bool is_long_word(const WordShard *shard, WordKey key, ByteString word, uint64_t hash)
{
    return last_byte(key) == LONG && key.low == hash && byte_string_equal(long_word(shard, key), word);
}

static Status add_long(WordShard *shard, ByteString word, uint64_t hash, uint64_t count)
{
    Status s = reserve_slot(shard);
    if (s)
        return s;
    size_t slot = first_slot(shard, hash);
    while (shard->slots[slot].count && !is_long_word(shard, shard->slots[slot].key, word, hash))
        slot = next_slot(shard, slot);
    WordSlot *entry = &shard->slots[slot];
    if (entry->count == 0) {
        const size_t begin = shard->long_words.length;
        s = byte_list_append(&shard->long_words, (const uint8_t *)&word.length, sizeof word.length);
        if (!s)
            s = byte_list_append(&shard->long_words, word.bytes, word.length);
        if (s)
            return s;
        entry->key = (WordKey){.low = hash, .high = begin | (uint64_t)LONG << WORD_LAST_BYTE};
        shard->used++;
    }
    entry->count += count;
    return CS336_OK;
}

/* ---- the table ---- */

Status word_table_add(WordTable *table, ByteString word, uint64_t count)
{
    const bool is_short = word.length <= WORD_KEY_BYTES;
    const WordKey key = is_short ? word_key_of(word.bytes, word.length, word.length) : (WordKey){0};
    const uint64_t hash = is_short ? word_key_hash(key) : byte_string_hash(word);
    WordShard *shard = &table->shards[hash >> (64 - WORD_SHARD_BITS)];
    parallel_lock(&shard->lock);
    const Status s = is_short ? add_short(shard, key, hash, count) : add_long(shard, word, hash, count);
    parallel_unlock(&shard->lock);
    return s;
}

Status word_table_add_to_shard(WordTable *table, size_t number, const WordSlot *words, size_t count)
{
    WordShard *shard = &table->shards[number];
    uint64_t hashes[WORD_TABLE_BATCH];
    Status s = CS336_OK;
    parallel_lock(&shard->lock);
    for (size_t i = 0; i < count; i++) {
        hashes[i] = word_key_hash(words[i].key);
        if (shard->slot_count)
            __builtin_prefetch(&shard->slots[first_slot(shard, hashes[i])], 1);
    }
    for (size_t i = 0; !s && i < count; i++)
        s = add_short(shard, words[i].key, hashes[i], words[i].count);
    parallel_unlock(&shard->lock);
    return s;
}

size_t word_table_size(const WordTable *table)
{
    size_t size = 0;
    for (size_t i = 0; i < WORD_SHARDS; i++)
        size += table->shards[i].used;
    return size;
}

/*
 * Returns the slot that a visit looks at after `before` others. The slots are in the order of the words' hashes. Words
 * that enter another table in that order fill it from its beginning: while it is small, all of them want the same few
 * slots, and each must pass the others. So a visit takes 16 slots, which are close in memory, and goes on 0.618 of the
 * shard further on. With this number, the golden ratio, what has been visited is spread evenly at any time.
 */
static inline size_t visited_slot(const WordShard *shard, size_t before)
{
    const size_t groups = shard->slot_count >> FIRST_SLOT_BITS;
    /* The visit goes to the groups 0, step, 2 * step, and so on, modulo the number of groups. This number is a power of
     * two and the step is odd, so the visit comes to each group exactly once. */
    const size_t step = (size_t)((double)groups * 0.6180339887498949) | 1;
    const size_t group = (before >> FIRST_SLOT_BITS) * step & (groups - 1);
    return group << FIRST_SLOT_BITS | (before & ((1 << FIRST_SLOT_BITS) - 1));
}

bool word_table_next(const WordTable *table, WordCursor *cursor)
{
    for (; cursor->shard < WORD_SHARDS; cursor->shard++, cursor->visited = 0) {
        const WordShard *shard = &table->shards[cursor->shard];
        while (cursor->visited < shard->slot_count) {
            const WordSlot *entry = &shard->slots[visited_slot(shard, cursor->visited++)];
            if (entry->count == 0)
                continue;
            cursor->count = entry->count;
            cursor->word = last_byte(entry->key) == LONG
                               ? long_word(shard, entry->key)
                               : (ByteString){.bytes = (const uint8_t *)&entry->key, .length = last_byte(entry->key)};
            return true;
        }
    }
    return false;
}

void word_table_clear_shard(WordTable *table, size_t shard)
{
    memory_release(table->shards[shard].slots);
    byte_list_deinit(&table->shards[shard].long_words);
    table->shards[shard] = (WordShard){0};
}

void word_table_deinit(WordTable *table)
{
    for (size_t i = 0; i < WORD_SHARDS; i++)
        word_table_clear_shard(table, i);
}
