#include "tokenizer/learn/word_tally.h"

#include "core/memory.h"

enum { NO_SLOT = 1 << WORD_TALLY_BITS }; /* long words go to the table at once */

Status word_tally_new(WordTally **tally, WordTable *table)
{
    *tally = memory_allocate_table(1, sizeof **tally);
    if (!*tally)
        return status_fail(CS336_ENOMEM, "word_tally_new: no memory for %zu bytes", sizeof **tally);
    (*tally)->table = table;
    return CS336_OK;
}

void word_tally_free(WordTally *tally)
{
    memory_release(tally);
}

static Status add_batch(WordTally *tally, size_t shard)
{
    const size_t count = tally->batch_counts[shard];
    tally->batch_counts[shard] = 0;
    return word_table_add_to_shard(tally->table, shard, tally->batches[shard], count);
}

/* Puts the word of a slot into the batch of its shard. Slot and shard are both the first bits of the word's hash. */
static Status evict(WordTally *tally, WordSlot word, size_t slot)
{
    const size_t shard = slot >> (WORD_TALLY_BITS - WORD_SHARD_BITS);
    tally->batches[shard][tally->batch_counts[shard]++] = word;
    return tally->batch_counts[shard] == WORD_TABLE_BATCH ? add_batch(tally, shard) : CS336_OK;
}

/* Counts one occurrence in a slot; another word in that slot is evicted. */
static inline Status count_short(WordTally *tally, WordKey key, size_t slot)
{
    WordSlot *entry = &tally->latest[slot];
    if (word_key_equal(entry->key, key)) {
        entry->count++;
        return CS336_OK;
    }
    const WordSlot evicted = *entry;
    *entry = (WordSlot){.key = key, .count = 1};
    return evicted.count ? evict(tally, evicted, slot) : CS336_OK;
}

Status word_tally_count(WordTally *tally, const uint8_t *begin, const uint8_t *const *ends, size_t count,
                        const uint8_t *readable)
{
    WordKey keys[WORD_TALLY_BATCH];
    size_t slots[WORD_TALLY_BATCH];
    /* Make all keys and prefetch their slots. */
    const uint8_t *word = begin;
    for (size_t i = 0; i < count; word = ends[i++]) {
        const size_t length = (size_t)(ends[i] - word);
        slots[i] = NO_SLOT;
        if (length > WORD_KEY_BYTES)
            continue;
        keys[i] = word_key_of(word, length, (size_t)(readable - word));
        slots[i] = word_key_hash(keys[i]) >> (64 - WORD_TALLY_BITS);
        __builtin_prefetch(&tally->latest[slots[i]], 1);
    }
    /* Count. */
    Status s = CS336_OK;
    word = begin;
    for (size_t i = 0; !s && i < count; word = ends[i++])
        s = slots[i] == NO_SLOT
                ? word_table_add(tally->table, (ByteString){.bytes = word, .length = (size_t)(ends[i] - word)}, 1)
                : count_short(tally, keys[i], slots[i]);
    return s;
}

Status word_tally_finish(WordTally *tally)
{
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < sizeof tally->latest / sizeof *tally->latest; i++)
        if (tally->latest[i].count)
            s = evict(tally, tally->latest[i], i);
    for (size_t shard = 0; !s && shard < WORD_SHARDS; shard++)
        s = add_batch(tally, shard);
    return s;
}
