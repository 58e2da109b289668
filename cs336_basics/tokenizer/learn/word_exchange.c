#include "tokenizer/learn/word_exchange.h"

#include "core/memory.h"
#include "core/parallel.h"
#include "distributed/ranks.h"

#include <string.h>

int word_shard_owner(size_t shard, int ranks)
{
    return (int)(shard * (size_t)ranks / WORD_SHARDS);
}

/* ---- packing ---- */

enum { BITS = 7, CONTINUES = 1 << BITS /* set in all bytes of a number but its last */ };

static size_t number_bytes(uint64_t number)
{
    size_t bytes = 1;
    while (number >>= BITS)
        bytes++;
    return bytes;
}

static uint8_t *write_number(uint8_t *to, uint64_t number)
{
    for (; number >= CONTINUES; number >>= BITS)
        *to++ = (uint8_t)(number | CONTINUES);
    *to++ = (uint8_t)number;
    return to;
}

static const uint8_t *read_number(const uint8_t *from, uint64_t *number)
{
    *number = 0;
    for (int shift = 0;; shift += BITS) {
        *number |= (uint64_t)(*from & (CONTINUES - 1)) << shift;
        if (!(*from++ & CONTINUES))
            return from;
    }
}

/* The bytes of a shard's words, packed. */
static size_t shard_bytes(const WordTable *words, size_t shard)
{
    size_t bytes = 0;
    for (WordCursor cursor = {.shard = shard}; word_table_next(words, &cursor) && cursor.shard == shard;)
        bytes += number_bytes(cursor.word.length) + number_bytes(cursor.count) + cursor.word.length;
    return bytes;
}

/* Returns the end of what it has written. */
static uint8_t *pack_shard(uint8_t *to, const WordTable *words, size_t shard)
{
    for (WordCursor cursor = {.shard = shard}; word_table_next(words, &cursor) && cursor.shard == shard;) {
        to = write_number(write_number(to, cursor.word.length), cursor.count);
        memcpy(to, cursor.word.bytes, cursor.word.length);
        to += cursor.word.length;
    }
    return to;
}

static int receiver(size_t shard, int ranks, bool to_one)
{
    return to_one ? 0 : word_shard_owner(shard, ranks);
}

/* The first rank owns the first shards, and so on. So shards packed one after the other are parts in the ranks' order.
 */
Status packed_words_make(PackedWords *packed, WordTable *words, int ranks, int own, bool to_one)
{
    size_t total = 0;
    *packed = (PackedWords){.part_bytes = memory_allocate_zeroed((size_t)ranks, sizeof *packed->part_bytes)};
    for (size_t i = 0; packed->part_bytes && i < WORD_SHARDS; i++) {
        const int to = receiver(i, ranks, to_one);
        const size_t bytes = to == own ? 0 : shard_bytes(words, i);
        packed->part_bytes[to] += bytes;
        total += bytes;
    }
    if (packed->part_bytes)
        packed->bytes = memory_allocate(total);
    if (!packed->bytes) {
        packed_words_free(packed);
        return status_fail(CS336_ENOMEM, "no memory to send %zu words to other ranks, %zu bytes",
                           word_table_size(words), total);
    }
    uint8_t *next = packed->bytes;
    for (size_t i = 0; i < WORD_SHARDS; i++) {
        if (receiver(i, ranks, to_one) == own)
            continue;
        next = pack_shard(next, words, i);
        word_table_clear_shard(words, i);
    }
    return CS336_OK;
}

void packed_words_free(PackedWords *packed)
{
    memory_release(packed->bytes);
    memory_release(packed->part_bytes);
    *packed = (PackedWords){0};
}

/* Words of one shard that are added together. */
typedef struct {
    WordSlot words[WORD_TABLE_BATCH];
    size_t count, shard;
} Batch;

static Status add_batch(WordTable *words, Batch *batch)
{
    const size_t count = batch->count;
    batch->count = 0;
    return count ? word_table_add_to_shard(words, batch->shard, batch->words, count) : CS336_OK;
}

/* Puts a short word into the batch. A table is packed shard by shard, so nearly all batches become full. */
static Status add_short(WordTable *words, Batch *batch, WordSlot word)
{
    const size_t shard = (size_t)(word_key_hash(word.key) >> (64 - WORD_SHARD_BITS));
    Status s = CS336_OK;
    if (batch->count == WORD_TABLE_BATCH || batch->shard != shard)
        s = add_batch(words, batch);
    batch->shard = shard;
    batch->words[batch->count++] = word;
    return s;
}

Status packed_words_add(WordTable *words, const uint8_t *part, size_t bytes)
{
    const uint8_t *end = part + bytes;
    Batch batch = {.count = 0};
    Status s = CS336_OK;
    while (!s && part < end) {
        uint64_t length, count;
        part = read_number(read_number(part, &length), &count);
        if (length <= WORD_KEY_BYTES)
            s = add_short(words, &batch,
                          (WordSlot){.key = word_key_of(part, (size_t)length, (size_t)(end - part)), .count = count});
        else
            s = word_table_add(words, (ByteString){.bytes = part, .length = (size_t)length}, count);
        part += length;
    }
    return s ? s : add_batch(words, &batch);
}

/* ---- sending ---- */

/* Adds the parts that have come, each by one thread: the table's shards have locks of their own. */
static Status add_parts(WordTable *words, const uint8_t *received, const size_t *part_bytes, int ranks)
{
    ParallelFailure failure = {0};
#pragma omp parallel for schedule(dynamic, 1) num_threads(parallel_threads())
    for (int i = 0; i < ranks; i++) {
        const uint8_t *part = received;
        for (int before = 0; before < i; before++)
            part += part_bytes[before];
        const Status s = packed_words_add(words, part, part_bytes[i]);
        if (s)
            parallel_fail(&failure, s);
    }
    return parallel_result(&failure);
}

/* Sends the words that go to other ranks, and adds those that come from them. Collective. */
static Status exchange(WordTable *words, bool to_one)
{
    const int ranks = ranks_count();
    PackedWords packed = {0};
    size_t *part_bytes = memory_allocate((size_t)ranks * 2 * sizeof *part_bytes), total = 0;
    size_t *one_each = part_bytes ? part_bytes + ranks : NULL;
    Status s = packed_words_make(&packed, words, ranks, ranks_own(), to_one);
    if (!s && !part_bytes)
        s = status_fail(CS336_ENOMEM, "no memory for %d lengths", ranks);
    uint8_t *received = NULL;
    s = ranks_agree(s);
    if (!s) {
        for (int i = 0; i < ranks; i++)
            one_each[i] = sizeof *part_bytes;
        ranks_exchange(part_bytes, one_each, packed.part_bytes, one_each);
        for (int i = 0; i < ranks; i++)
            total += part_bytes[i];
        received = memory_allocate(total);
        if (!received)
            s = status_fail(CS336_ENOMEM, "no memory to receive %zu bytes", total);
        s = ranks_agree(s);
    }
    if (!s)
        ranks_exchange(received, part_bytes, packed.bytes, packed.part_bytes);
    packed_words_free(&packed);
    if (!s)
        s = ranks_agree(add_parts(words, received, part_bytes, ranks));
    if (s)
        word_table_deinit(words);
    memory_release(received);
    memory_release(part_bytes);
    return s;
}

Status words_gather(WordTable *words)
{
    const Status s = exchange(words, false);
    return s ? s : exchange(words, true);
}
