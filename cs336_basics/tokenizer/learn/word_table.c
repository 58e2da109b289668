#include "tokenizer/learn/word_table.h"

#include "core/memory.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "a key's last byte is taken to be the first bits of its second half"
#endif

enum { LONG = 255, FIRST_SLOT_BITS = 4 };

/* ---- keys ---- */

/* The last byte of a key: the length of a short word, or LONG. */
static inline unsigned last_byte(WordKey key)
{
    return (unsigned)(key.high >> WORD_LAST_BYTE);
}

static inline uint64_t hash_of(WordKey key)
{
    return last_byte(key) == LONG ? key.low : word_key_hash(key);
}

/* A long word's bytes, behind their number. */
static ByteString long_word(const WordPart *part, WordKey key)
{
    const uint8_t *at = part->long_words.bytes + (key.high & ((UINT64_C(1) << WORD_LAST_BYTE) - 1));
    ByteString word = {.bytes = at + sizeof word.length};
    memcpy(&word.length, at, sizeof word.length);
    return word;
}

/* ---- slots ---- */

static inline size_t first_place(const WordPart *part, uint64_t hash)
{
    return (size_t)(hash << WORD_PART_BITS >> part->shift);
}

static inline size_t next_place(const WordPart *part, size_t at)
{
    return (at + 1) & (part->slot_count - 1);
}

/* Makes sure that another word finds a free slot, and one more remains. */
static Status reserve_slot(WordPart *part)
{
    if (4 * (part->used + 1) <= 3 * part->slot_count)
        return CS336_OK;
    WordPart larger = *part;
    larger.shift = part->slot_count ? part->shift - 1 : 64 - FIRST_SLOT_BITS;
    larger.slot_count = (size_t)1 << (64 - larger.shift);
    larger.slots = memory_allocate_table(larger.slot_count, sizeof *larger.slots);
    if (!larger.slots)
        return status_fail(CS336_ENOMEM, "word_table_add: no memory for %zu words", larger.slot_count);
    for (size_t i = 0; i < part->slot_count; i++) {
        const WordSlot *slot = &part->slots[i];
        if (slot->count == 0)
            continue;
        size_t at = first_place(&larger, hash_of(slot->key));
        while (larger.slots[at].count)
            at = next_place(&larger, at);
        larger.slots[at] = *slot;
    }
    memory_release(part->slots);
    part->slots = larger.slots;
    part->slot_count = larger.slot_count;
    part->shift = larger.shift;
    return CS336_OK;
}

static Status add_short(WordPart *part, WordKey key, uint64_t hash, uint64_t count)
{
    const Status s = reserve_slot(part);
    if (s)
        return s;
    size_t at = first_place(part, hash);
    while (part->slots[at].count && !word_key_equal(part->slots[at].key, key))
        at = next_place(part, at);
    WordSlot *slot = &part->slots[at];
    part->used += slot->count == 0;
    slot->key = key;
    slot->count += count;
    return CS336_OK;
}

static bool is_long_word(const WordPart *part, const WordSlot *slot, ByteString word, uint64_t hash)
{
    return last_byte(slot->key) == LONG && slot->key.low == hash && byte_string_equal(long_word(part, slot->key), word);
}

static Status add_long(WordPart *part, ByteString word, uint64_t hash, uint64_t count)
{
    Status s = reserve_slot(part);
    if (s)
        return s;
    size_t at = first_place(part, hash);
    while (part->slots[at].count && !is_long_word(part, &part->slots[at], word, hash))
        at = next_place(part, at);
    WordSlot *slot = &part->slots[at];
    if (slot->count == 0) {
        const size_t begin = part->long_words.length;
        s = byte_list_append(&part->long_words, (const uint8_t *)&word.length, sizeof word.length);
        if (!s)
            s = byte_list_append(&part->long_words, word.bytes, word.length);
        if (s)
            return s;
        slot->key = (WordKey){.low = hash, .high = begin | (uint64_t)LONG << WORD_LAST_BYTE};
        part->used++;
    }
    slot->count += count;
    return CS336_OK;
}

/* ---- the table ---- */

Status word_table_add(WordTable *table, ByteString word, uint64_t count)
{
    const bool is_short = word.length <= WORD_KEY_BYTES;
    const WordKey key = is_short ? word_key_of(word.bytes, word.length, word.length) : (WordKey){0};
    const uint64_t hash = is_short ? word_key_hash(key) : byte_string_hash(word);
    WordPart *part = &table->parts[hash >> (64 - WORD_PART_BITS)];
    parallel_lock(&part->lock);
    const Status s = is_short ? add_short(part, key, hash, count) : add_long(part, word, hash, count);
    parallel_unlock(&part->lock);
    return s;
}

Status word_table_add_to_part(WordTable *table, size_t number, const WordSlot *words, size_t count)
{
    WordPart *part = &table->parts[number];
    uint64_t hashes[WORD_TABLE_ADDS];
    Status s = CS336_OK;
    parallel_lock(&part->lock);
    for (size_t i = 0; i < count; i++) {
        hashes[i] = word_key_hash(words[i].key);
        if (part->slot_count)
            __builtin_prefetch(&part->slots[first_place(part, hashes[i])], 1);
    }
    for (size_t i = 0; !s && i < count; i++)
        s = add_short(part, words[i].key, hashes[i], words[i].count);
    parallel_unlock(&part->lock);
    return s;
}

size_t word_table_size(const WordTable *table)
{
    size_t size = 0;
    for (size_t i = 0; i < WORD_PARTS; i++)
        size += table->parts[i].used;
    return size;
}

bool word_table_next(const WordTable *table, WordCursor *cursor)
{
    for (; cursor->part < WORD_PARTS; cursor->part++, cursor->slot = 0) {
        const WordPart *part = &table->parts[cursor->part];
        while (cursor->slot < part->slot_count) {
            const WordSlot *slot = &part->slots[cursor->slot++];
            if (slot->count == 0)
                continue;
            cursor->count = slot->count;
            cursor->word = last_byte(slot->key) == LONG
                               ? long_word(part, slot->key)
                               : (ByteString){.bytes = (const uint8_t *)&slot->key, .length = last_byte(slot->key)};
            return true;
        }
    }
    return false;
}

void word_table_deinit(WordTable *table)
{
    for (size_t i = 0; i < WORD_PARTS; i++) {
        memory_release(table->parts[i].slots);
        byte_list_deinit(&table->parts[i].long_words);
    }
    *table = (WordTable){0};
}
