#include "tokenizer/encode/encoder.h"

#include "core/memory.h"
#include "tokenizer/encode/word_cache.h"
#include "tokenizer/split/pretokenize.h"

enum {
    CACHE_BYTES = 32 << 20,  /* 32 MiB: half a million pre-tokens, as many distinct ones as 80 MB of mixed text */
    PENDING_BYTES = 1 << 13, /* 8 KiB reserved for pending text: two sections, and FEED_BYTES */
    FEED_BYTES = 1 << 10,    /* bytes appended to the pending text at a time, until it is encoded */
    PRETOKENS_AT_ONCE = 8 * PRETOKENS_PER_GROUP, /* looked up together, so that the waits for memory overlap */
    STAGED_IDS = 1 << 13, /* ids passed to the sink at a time: 32 KiB make the cost of a call negligible */
    ENTRY_IDS = 4,        /* 32-bit numbers copied from a cache entry: its 3 ids and the count */
    SECTION_BYTES = 2048, /* a pre-token of more than two sections is encoded section by section */
    BYTES_PER_TOKEN = 2   /* of nearly all text, at least; room for more ids than there are is reserved, not used */
};

struct Encoder {
    const Tokenizer *tokenizer;
    TokenSink *sink;
    void *context;
    WordCache cache;
    MergeScratch scratch, scratch_ahead; /* for a section, and for the one that begins at the cut */
    int32_t *staged; /* ids not yet passed to the sink: up to STAGED_IDS, and room as for make_room() */
    size_t staged_count;
    ByteList pending; /* text that is not encoded yet; it begins with a pre-token, or inside a long one */
    size_t searched;  /* no special token begins in the unencoded text before this index */
    Pretokenizer pretokenizer;
    size_t scanned; /* bytes of the unencoded text before pretokenizer.unscanned */
};

/* ---- ids on their way to the sink ---- */

static Status flush(Encoder *encoder)
{
    const size_t count = encoder->staged_count;
    encoder->staged_count = 0;
    return count ? encoder->sink(encoder->context, encoder->staged, count) : CS336_OK;
}

/* Makes room for the ids of PRETOKENS_AT_ONCE cache entries. */
static Status make_room(Encoder *encoder)
{
    return encoder->staged_count > STAGED_IDS ? flush(encoder) : CS336_OK;
}

/* Stages any number of ids, and makes room as make_room() does. */
static Status emit(Encoder *encoder, const int32_t *ids, size_t count)
{
    Status s = CS336_OK;
    for (size_t staged; !s && count > 0; ids += staged, count -= staged) {
        staged = count < WORD_CACHED_BYTES ? count : WORD_CACHED_BYTES;
        memcpy(encoder->staged + encoder->staged_count, ids, staged * sizeof *ids);
        encoder->staged_count += staged;
        s = make_room(encoder);
    }
    return s;
}

/* ---- one pre-token ---- */

/*
 * Encodes a pre-token in sections, so that memory stays bounded however long it is. It encodes text[*begin,
 * end) and moves *begin behind what it has encoded: all of it if the pre-token has `ended`, else all but the last two
 * sections or less.
 *
 *     |------------ section ----------|
 *                   |------------ next section ---------|
 *                   ^ cut
 *
 * The cut is chosen such that both sections begin the same token there. Then no merge crosses the cut in the text of
 * both together: up to the first merge across it, each side would have changed exactly as in its own section, and the
 * first section would have contained that merge too. So the tokens before the cut are final as long as the next
 * section's first token is. Only a chain of merges, each waiting for the one to its right, could change that token, and
 * it would have to reach back over half a section.
 */
static Status encode_long(Encoder *encoder, const uint8_t *text, size_t *begin, size_t end, bool ended)
{
    const Tokenizer *tokenizer = encoder->tokenizer;
    Status s = CS336_OK;
    for (size_t section = SECTION_BYTES; !s && end - *begin > 2 * section;) {
        s = merge_scratch_reserve(&encoder->scratch, 2 * section);
        if (!s)
            s = merge_scratch_reserve(&encoder->scratch_ahead, section);
        if (s)
            break;
        const size_t count = merge_table_apply(&tokenizer->merges, &encoder->scratch, text + *begin, section);
        const int32_t *ids = encoder->scratch.ids;
        /* Look for a cut between two tokens in the second half. */
        size_t cut = 0, ids_before = 0;
        while (ids_before < count && cut < section / 2)
            cut += tokenizer_token(tokenizer, ids[ids_before++]).length;
        for (; ids_before < count; cut += tokenizer_token(tokenizer, ids[ids_before++]).length) {
            merge_table_apply(&tokenizer->merges, &encoder->scratch_ahead, text + *begin + cut, section);
            if (encoder->scratch_ahead.ids[0] == ids[ids_before])
                break;
        }
        /* Without a cut, try again with a section of twice the length. */
        if (ids_before < count) {
            s = emit(encoder, ids, ids_before);
            *begin += cut;
        } else {
            section *= 2;
        }
    }
    if (s || !ended)
        return s;
    /* The last two sections or less are encoded at once. */
    s = merge_scratch_reserve(&encoder->scratch, end - *begin);
    if (!s)
        s = emit(encoder, encoder->scratch.ids,
                 merge_table_apply(&tokenizer->merges, &encoder->scratch, text + *begin, end - *begin));
    *begin = end;
    return s;
}

/* Encodes a pre-token that is not in the cache, or whose ids are not in its entry. */
static Status encode_one(Encoder *encoder, ByteString word, WordKey key)
{
    const Tokenizer *tokenizer = encoder->tokenizer;
    WordCache *cache = &encoder->cache;
    /* Cached, with more ids than an entry has. */
    const CachedWord *entry = word_cache_find(cache, key, word_cache_slot(cache, key));
    const int32_t *ids = entry ? word_cache_ids(cache, entry, word) : NULL;
    if (ids)
        return emit(encoder, ids, entry->count & ~WORD_STORED);
    /* Too long for the cache. */
    if (word.length > WORD_CACHED_BYTES) {
        size_t begin = 0;
        return encode_long(encoder, word.bytes, &begin, word.length, true);
    }
    /* A pre-token that is one token need not be merged; most are. */
    const WordCache *single = &tokenizer->single_tokens;
    size_t count = 1;
    entry = word_cache_find(single, key, word_cache_slot(single, key));
    ids = entry ? word_cache_ids(single, entry, word) : NULL;
    if (ids)
        encoder->scratch.ids[0] = *ids;
    else
        count = merge_table_apply(&tokenizer->merges, &encoder->scratch, word.bytes, word.length);
    word_cache_add(cache, key, word, encoder->scratch.ids, count);
    return emit(encoder, encoder->scratch.ids, count);
}

/* ---- many pre-tokens ---- */

/* Pre-tokens that are looked up together. */
typedef struct {
    size_t count;
    uint64_t low[PRETOKENS_AT_ONCE], high[PRETOKENS_AT_ONCE]; /* their keys */
    size_t slots[PRETOKENS_AT_ONCE];                          /* where the cache may have them */
} Lookups;

/* Computes the keys and slots of all pre-tokens, and prefetches the slots. */
static void begin_lookups(Lookups *lookups, const WordCache *table, const uint8_t *text, const uint8_t *const *ends,
                          const uint8_t *readable_end)
{
    const WordCache cache = *table; /* the compiler keeps a local copy in registers: no store can change it */
    const bool all_readable = (size_t)(readable_end - ends[lookups->count - 1]) >= sizeof(WordKey);
    const uint8_t *begin = text;
    for (size_t i = 0; i < lookups->count; begin = ends[i++]) {
        const WordKey key =
            word_key(begin, (size_t)(ends[i] - begin), all_readable ? sizeof(WordKey) : (size_t)(readable_end - begin));
        lookups->low[i] = key.low;
        lookups->high[i] = key.high;
        lookups->slots[i] = word_cache_slot(&cache, key);
        word_cache_prefetch(&cache, lookups->slots[i]);
    }
}

/*
 * Copies the ids of cached pre-tokens from lookup i on, and returns the number of the first lookup whose ids are not in
 * an entry. It always copies ENTRY_IDS numbers, which is faster than a loop; the next copy overwrites those beyond the
 * entry's count.
 */
static size_t copy_found(int32_t **ids, const Lookups *lookups, size_t i, const WordCache *table)
{
    const WordCache cache = *table;
    int32_t *destination = *ids;
    for (; i < lookups->count; i++) {
        const WordKey key = {.low = lookups->low[i], .high = lookups->high[i]};
        const CachedWord *entry = word_cache_find(&cache, key, lookups->slots[i]);
        if (!entry || entry->count > WORD_INLINE_IDS)
            break;
        memcpy(destination, (const uint8_t *)entry + offsetof(CachedWord, ids), ENTRY_IDS * sizeof *destination);
        destination += entry->count;
    }
    *ids = destination;
    return i;
}

/* Encodes the pre-tokens of a text that end at `ends`; bytes up to `readable_end` may be read. */
static Status encode_pretokens(Encoder *encoder, const uint8_t *text, const uint8_t *const *ends, size_t count,
                               const uint8_t *readable_end)
{
    Lookups lookups;
    lookups.count = count;
    begin_lookups(&lookups, &encoder->cache, text, ends, readable_end);
    Status s = make_room(encoder);
    for (size_t i = 0; !s; i++) {
        /* Copy ids as long as they are in the cache, then encode one pre-token the slower way. */
        int32_t *ids = encoder->staged + encoder->staged_count;
        i = copy_found(&ids, &lookups, i, &encoder->cache);
        encoder->staged_count = (size_t)(ids - encoder->staged);
        if (i == count)
            break;
        const uint8_t *begin = i ? ends[i - 1] : text;
        s = encode_one(encoder, (ByteString){.bytes = begin, .length = (size_t)(ends[i] - begin)},
                       (WordKey){.low = lookups.low[i], .high = lookups.high[i]});
    }
    return s;
}

/* ---- segments: the text between special tokens ---- */

static void begin_segment(Encoder *encoder)
{
    pretokenizer_begin(&encoder->pretokenizer);
    encoder->scanned = 0;
}

/*
 * Encodes the pre-tokens in text[*begin, end), which has no special token, and moves *begin behind them. Unless the
 * segment has ended at `end`, the last pre-token may go on and is left. text[0, length) may be read.
 */
static Status encode_segment(Encoder *encoder, const uint8_t *text, size_t *begin, size_t end, size_t length,
                             bool ended)
{
    Pretokenizer *pretokenizer = &encoder->pretokenizer;
    const uint8_t *ends[PRETOKENS_AT_ONCE];
    Status s = CS336_OK;
    pretokenizer_feed(pretokenizer, text + *begin + encoder->scanned, end - *begin - encoder->scanned, ended);
    for (size_t count; !s && (count = pretokenizer_next(pretokenizer, ends, PRETOKENS_AT_ONCE)) > 0;) {
        s = encode_pretokens(encoder, text + *begin, ends, count, text + length);
        *begin = (size_t)(ends[count - 1] - text);
    }
    if (!s && !ended)
        s = encode_long(encoder, text, begin, (size_t)(pretokenizer->unscanned - text), false);
    encoder->scanned = (size_t)(pretokenizer->unscanned - text) - *begin;
    if (ended)
        begin_segment(encoder);
    return s;
}

/* ---- texts ---- */

/* Encodes what no further byte can change, and sets *encoded to the number of these bytes. */
static Status encode_available(Encoder *encoder, const uint8_t *text, size_t length, bool ended, size_t *encoded)
{
    const SpecialTokens *special = &encoder->tokenizer->special;
    Status s = CS336_OK;
    size_t begin = 0;
    while (!s && begin < length) {
        const SpecialMatch next = special_tokens_find(special, text, length, encoder->searched, ended);
        encoder->searched = next.begin;
        s = encode_segment(encoder, text, &begin, next.begin, length, ended || next.index >= 0);
        if (s || next.index < 0)
            break;
        s = emit(encoder, &encoder->tokenizer->special_ids[next.index], 1);
        begin += special->tokens[next.index].length;
        encoder->searched = begin;
    }
    encoder->searched -= begin;
    *encoded = begin;
    return s;
}

Status encoder_feed(Encoder *encoder, const uint8_t *bytes, size_t length)
{
    ByteList *pending = &encoder->pending;
    Status s = CS336_OK;
    size_t begin = 0, encoded;
    /* Bytes are appended to the pending text, a few at a time, until all that was pending is encoded. */
    while (!s && begin < length && pending->length > 0) {
        const size_t held = pending->length, added = length - begin < FEED_BYTES ? length - begin : FEED_BYTES;
        s = byte_list_append(pending, bytes + begin, added);
        if (!s)
            s = encode_available(encoder, pending->bytes, pending->length, false, &encoded);
        if (s)
            break;
        if (encoded < held) {
            pending->length -= encoded;
            memmove(pending->bytes, pending->bytes + encoded, pending->length);
            begin += added;
        } else { /* what is not encoded lies in the caller's bytes */
            pending->length = 0;
            begin += encoded - held;
        }
    }
    /* The rest is encoded from the caller's bytes, without a copy. */
    if (!s && begin < length) {
        s = encode_available(encoder, bytes + begin, length - begin, false, &encoded);
        if (!s)
            s = byte_list_append(pending, bytes + begin + encoded, length - begin - encoded);
    }
    return s ? s : flush(encoder);
}

Status encoder_finish(Encoder *encoder)
{
    size_t encoded;
    const Status s = encode_available(encoder, encoder->pending.bytes, encoder->pending.length, true, &encoded);
    encoder->pending.length = 0;
    encoder->searched = 0;
    begin_segment(encoder);
    return s ? s : flush(encoder);
}

/* ---- encoders ---- */

Status encoder_create_small(Encoder **encoder, const Tokenizer *tokenizer, size_t cache_bytes, TokenSink *sink,
                            void *context)
{
    const size_t room = STAGED_IDS + PRETOKENS_AT_ONCE * ENTRY_IDS + WORD_CACHED_BYTES;
    Encoder *created = memory_allocate_zeroed(1, sizeof *created);
    *encoder = NULL;
    if (!created)
        return status_fail(CS336_ENOMEM, "encoder_create: no memory");
    created->tokenizer = tokenizer;
    created->sink = sink;
    created->context = context;
    begin_segment(created);
    created->staged = memory_allocate(room * sizeof *created->staged);
    Status s = created->staged ? CS336_OK : status_fail(CS336_ENOMEM, "encoder_create: no memory");
    if (!s)
        s = word_cache_init(&created->cache, cache_bytes);
    if (!s)
        s = merge_scratch_reserve(&created->scratch, 2 * SECTION_BYTES);
    if (!s)
        s = array_reserve(&created->pending.bytes, &created->pending.capacity, PENDING_BYTES, 1);
    if (s)
        encoder_destroy(created);
    else
        *encoder = created;
    return s;
}

Status encoder_create(Encoder **encoder, const Tokenizer *tokenizer, TokenSink *sink, void *context)
{
    return encoder_create_small(encoder, tokenizer, CACHE_BYTES, sink, context);
}

void encoder_destroy(Encoder *encoder)
{
    if (!encoder)
        return;
    word_cache_deinit(&encoder->cache);
    merge_scratch_deinit(&encoder->scratch);
    merge_scratch_deinit(&encoder->scratch_ahead);
    memory_release(encoder->staged);
    byte_list_deinit(&encoder->pending);
    memory_release(encoder);
}

Status token_list_sink(void *list, const int32_t *ids, size_t count)
{
    return token_list_append(list, ids, count);
}

Status tokenizer_encode(const Tokenizer *tokenizer, TokenList *ids, ByteString text)
{
    const size_t ids_before = ids->count;
    Encoder *encoder;
    Status s = encoder_create(&encoder, tokenizer, token_list_sink, ids);
    size_t encoded;
    if (!s)
        s = array_reserve(&ids->ids, &ids->capacity, ids_before + text.length / BYTES_PER_TOKEN, sizeof *ids->ids);
    if (!s)
        s = encode_available(encoder, text.bytes, text.length, true, &encoded);
    if (!s)
        s = flush(encoder);
    encoder_destroy(encoder);
    if (s)
        ids->count = ids_before;
    return s;
}
