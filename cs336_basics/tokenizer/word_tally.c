#include "tokenizer/word_tally.h"

#include "core/memory.h"

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

static Status add_waiting(WordTally *tally, size_t part)
{
    const size_t count = tally->waiting_count[part];
    tally->waiting_count[part] = 0;
    return word_table_add_to_part(tally->table, part, tally->waiting[part], count);
}

static Status let_wait(WordTally *tally, WordSlot word)
{
    const size_t part = word_part(word_key_hash(word.key));
    tally->waiting[part][tally->waiting_count[part]++] = word;
    return tally->waiting_count[part] == WORD_TABLE_ADDS ? add_waiting(tally, part) : CS336_OK;
}

static inline WordSlot *latest_slot(WordTally *tally, WordKey key)
{
    return &tally->latest[word_key_hash(key) >> (64 - WORD_TALLY_BITS)];
}

Status word_tally_count(WordTally *tally, const uint8_t *begin, const uint8_t *const *ends, size_t count,
                        const uint8_t *readable)
{
    WordKey keys[WORD_BATCH];
    WordSlot *slots[WORD_BATCH]; /* NULL: a long word */
    const uint8_t *word = begin;
    for (size_t i = 0; i < count; word = ends[i++]) {
        const size_t length = (size_t)(ends[i] - word);
        slots[i] = NULL;
        if (length <= WORD_KEY_BYTES) {
            keys[i] = word_key_of(word, length, (size_t)(readable - word));
            slots[i] = latest_slot(tally, keys[i]);
            __builtin_prefetch(slots[i], 1);
        }
    }
    Status s = CS336_OK;
    word = begin;
    for (size_t i = 0; !s && i < count; word = ends[i++]) {
        WordSlot *slot = slots[i];
        if (!slot) {
            s = word_table_add(tally->table, (ByteString){.bytes = word, .length = (size_t)(ends[i] - word)}, 1);
        } else if (word_key_equal(slot->key, keys[i])) {
            slot->count++;
        } else {
            if (slot->count)
                s = let_wait(tally, *slot);
            *slot = (WordSlot){.key = keys[i], .count = 1};
        }
    }
    return s;
}

Status word_tally_finish(WordTally *tally)
{
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < sizeof tally->latest / sizeof *tally->latest; i++)
        if (tally->latest[i].count)
            s = let_wait(tally, tally->latest[i]);
    for (size_t part = 0; !s && part < WORD_PARTS; part++)
        s = add_waiting(tally, part);
    return s;
}
