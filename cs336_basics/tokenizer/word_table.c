#include "tokenizer/word_table.h"

#include "core/memory.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "a key's last byte is taken to be the first bits of its second half"
#endif

enum { LONG = 255, FIRST_SLOTS = 16, AHEAD = 16, PART_SHIFT = 58 };

/* ---- keys ---- */

/* The last byte of a key: the length of a short word, or LONG. */
static inline unsigned last_byte(WordKey key)
{
    return (unsigned)(key.high >> WORD_LAST_BYTE);
}

/* The bytes decide about the first bits, which choose the part, and about the last ones, which choose the slot. */
static inline uint64_t short_hash(WordKey key)
{
    uint64_t hash = key.low * 0x9E3779B97F4A7C15U;
    hash = (hash ^ hash >> 32 ^ key.high) * 0xD6E8FEB86659FD93U;
    return hash ^ hash >> 32;
}

static inline uint64_t hash_of(WordKey key)
{
    return last_byte(key) == LONG ? key.low : short_hash(key);
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

static WordSlot *find_long(const WordPart *part, ByteString word, uint64_t hash)
{
    for (size_t at = (size_t)hash;; at++) {
        WordSlot *slot = &part->slots[at & (part->slot_count - 1)];
        if (slot->count == 0 || (last_byte(slot->key) == LONG && slot->key.low == hash &&
                                 byte_string_equal(long_word(part, slot->key), word)))
            return slot;
    }
}

/* Makes sure that another word finds a free slot, and one more remains. */
static Status reserve_slot(WordPart *part)
{
    if (4 * (part->used + 1) <= 3 * part->slot_count)
        return CS336_OK;
    WordPart larger = *part;
    larger.slot_count = part->slot_count ? 2 * part->slot_count : FIRST_SLOTS;
    larger.slots = memory_allocate_table(larger.slot_count, sizeof *larger.slots);
    if (!larger.slots)
        return status_fail(CS336_ENOMEM, "word_table_count: no memory for %zu words", larger.slot_count);
    for (size_t i = 0; i < part->slot_count; i++) {
        const WordSlot *slot = &part->slots[i];
        size_t at = (size_t)hash_of(slot->key);
        if (slot->count == 0)
            continue;
        while (larger.slots[at & (larger.slot_count - 1)].count)
            at++;
        larger.slots[at & (larger.slot_count - 1)] = *slot;
    }
    memory_release(part->slots);
    *part = larger;
    return CS336_OK;
}

static Status insert_short(WordPart *part, WordKey key, uint64_t hash, uint64_t count)
{
    const Status s = reserve_slot(part);
    if (s)
        return s;
    size_t at = (size_t)hash;
    while (part->slots[at & (part->slot_count - 1)].count)
        at++;
    part->slots[at & (part->slot_count - 1)] = (WordSlot){.key = key, .count = count};
    part->used++;
    return CS336_OK;
}

static inline Status add_short(WordPart *part, WordKey key, uint64_t hash, uint64_t count)
{
    for (size_t at = (size_t)hash; part->slot_count > 0; at++) {
        WordSlot *slot = &part->slots[at & (part->slot_count - 1)];
        if (word_key_equal(slot->key, key)) {
            slot->count += count;
            return CS336_OK;
        }
        if (slot->count == 0)
            break;
    }
    return insert_short(part, key, hash, count);
}

static Status add_long(WordPart *part, ByteString word, uint64_t hash, uint64_t count)
{
    Status s = reserve_slot(part);
    if (s)
        return s;
    WordSlot *slot = find_long(part, word, hash);
    if (slot->count == 0) {
        const size_t at = part->long_words.length;
        s = byte_list_append(&part->long_words, (const uint8_t *)&word.length, sizeof word.length);
        if (!s)
            s = byte_list_append(&part->long_words, word.bytes, word.length);
        if (s)
            return s;
        slot->key = (WordKey){.low = hash, .high = at | (uint64_t)LONG << WORD_LAST_BYTE};
        part->used++;
    }
    slot->count += count;
    return CS336_OK;
}

/* ---- the table ---- */

static inline WordPart *part_of(WordTable *table, uint64_t hash)
{
    return &table->parts[hash >> PART_SHIFT];
}

static inline void ask_for_slot(const WordPart *part, uint64_t hash)
{
    if (part->slot_count)
        __builtin_prefetch(&part->slots[hash & (part->slot_count - 1)], 1);
}

Status word_table_count(WordTable *table, const uint8_t *begin, const uint8_t *const *ends, size_t count,
                        const uint8_t *readable)
{
    uint64_t low[WORD_BATCH], high[WORD_BATCH], hashes[WORD_BATCH];
    const uint8_t *word = begin;
    for (size_t i = 0; i < count; word = ends[i++]) {
        const size_t length = (size_t)(ends[i] - word);
        if (length <= WORD_KEY_BYTES) {
            const WordKey key = word_key_of(word, length, (size_t)(readable - word));
            low[i] = key.low;
            high[i] = key.high;
            hashes[i] = short_hash(key);
        } else {
            high[i] = (uint64_t)LONG << WORD_LAST_BYTE;
            hashes[i] = byte_string_hash((ByteString){.bytes = word, .length = length});
        }
        ask_for_slot(part_of(table, hashes[i]), hashes[i]);
    }
    Status s = CS336_OK;
    word = begin;
    for (size_t i = 0; !s && i < count; word = ends[i++]) {
        const WordKey key = {.low = low[i], .high = high[i]};
        WordPart *part = part_of(table, hashes[i]);
        s = last_byte(key) == LONG
                ? add_long(part, (ByteString){.bytes = word, .length = (size_t)(ends[i] - word)}, hashes[i], 1)
                : add_short(part, key, hashes[i], 1);
    }
    return s;
}

Status word_table_add(WordTable *table, ByteString word, uint64_t count)
{
    if (word.length <= WORD_KEY_BYTES) {
        const WordKey key = word_key_of(word.bytes, word.length, word.length);
        const uint64_t hash = short_hash(key);
        return add_short(part_of(table, hash), key, hash, count);
    }
    const uint64_t hash = byte_string_hash(word);
    return add_long(part_of(table, hash), word, hash, count);
}

static void part_deinit(WordPart *part)
{
    memory_release(part->slots);
    byte_list_deinit(&part->long_words);
    *part = (WordPart){0};
}

Status word_table_join_part(WordTable *to, WordTable *from, size_t number)
{
    WordPart *old = &from->parts[number], *part = &to->parts[number];
    Status s = CS336_OK;
    if (part->used == 0) {
        const WordPart empty = *part;
        *part = *old;
        *old = empty;
    }
    for (size_t i = 0; !s && i < old->slot_count; i++) {
        const WordSlot slot = old->slots[i];
        if (i + AHEAD < old->slot_count)
            ask_for_slot(part, hash_of(old->slots[i + AHEAD].key));
        if (slot.count && last_byte(slot.key) == LONG)
            s = add_long(part, long_word(old, slot.key), slot.key.low, slot.count);
        else if (slot.count)
            s = add_short(part, slot.key, short_hash(slot.key), slot.count);
    }
    part_deinit(old);
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
    for (size_t i = 0; i < WORD_PARTS; i++)
        part_deinit(&table->parts[i]);
}
