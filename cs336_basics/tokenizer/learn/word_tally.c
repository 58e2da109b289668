#include "tokenizer/learn/word_tally.h"

#include "core/memory.h"

enum { LONG = 1 << WORD_TALLY_BITS }; /* the place of words that have none */

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

/* Places and parts are both the first bits of the hash. */
static Status let_wait(WordTally *tally, WordSlot word, size_t place)
{
    const size_t part = place >> (WORD_TALLY_BITS - WORD_PART_BITS);
    tally->waiting[part][tally->waiting_count[part]++] = word;
    return tally->waiting_count[part] == WORD_TABLE_ADDS ? add_waiting(tally, part) : CS336_OK;
}

static inline Status count_short(WordTally *tally, WordKey key, size_t place)
{
    WordSlot *slot = &tally->latest[place];
    if (word_key_equal(slot->key, key)) {
        slot->count++;
        return CS336_OK;
    }
    const WordSlot before = *slot;
    *slot = (WordSlot){.key = key, .count = 1};
    return before.count ? let_wait(tally, before, place) : CS336_OK;
}

Status word_tally_count(WordTally *tally, const uint8_t *begin, const uint8_t *const *ends, size_t count,
                        const uint8_t *readable)
{
    WordKey keys[WORD_BATCH];
    size_t places[WORD_BATCH];
    const uint8_t *word = begin;
    for (size_t i = 0; i < count; word = ends[i++]) {
        const size_t length = (size_t)(ends[i] - word);
        places[i] = LONG;
        if (length > WORD_KEY_BYTES)
            continue;
        keys[i] = word_key_of(word, length, (size_t)(readable - word));
        places[i] = word_key_hash(keys[i]) >> (64 - WORD_TALLY_BITS);
        __builtin_prefetch(&tally->latest[places[i]], 1);
    }
    Status s = CS336_OK;
    word = begin;
    for (size_t i = 0; !s && i < count; word = ends[i++])
        s = places[i] == LONG
                ? word_table_add(tally->table, (ByteString){.bytes = word, .length = (size_t)(ends[i] - word)}, 1)
                : count_short(tally, keys[i], places[i]);
    return s;
}

Status word_tally_finish(WordTally *tally)
{
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < sizeof tally->latest / sizeof *tally->latest; i++)
        if (tally->latest[i].count)
            s = let_wait(tally, tally->latest[i], i);
    for (size_t part = 0; !s && part < WORD_PARTS; part++)
        s = add_waiting(tally, part);
    return s;
}
