#include "tokenizer/encode/encoder.h"

#include "core/memory.h"
#include "tokenizer/encode/word_cache.h"
#include "tokenizer/split/pretokenize.h"

enum {
    CACHE_BYTES = 32 << 20,  /* 32 MiB: half a million pre-tokens, as many distinct ones as 80 MB of mixed text */
    PENDING_BYTES = 1 << 13, /* 8 KiB reserved for pending text: LONG_BYTES, and FEED_BYTES */
    FEED_BYTES = 1 << 10,    /* bytes appended to the pending text at a time, until it is encoded */
    PRETOKENS_AT_ONCE = 8 * PRETOKENS_PER_GROUP, /* looked up together, so that the waits for memory overlap */
    STAGED_IDS = 1 << 13,           /* ids passed to the sink at a time: 32 KiB make the cost of a call negligible */
    ENTRY_IDS = 4,                  /* 32-bit numbers copied from a cache entry: its 3 ids and the count */
    LONG_BYTES = WHOLE_TOKEN_BYTES, /* a longer pre-token is encoded from left to right, before all of it has come */
    BYTES_PER_TOKEN = 2 /* of nearly all text, at least; room for more ids than there are is reserved, not used */
};

struct Encoder {
    const Tokenizer *tokenizer;
    TokenSink *sink;
    void *context;
    WordCache cache;
    MergeScratch scratch;
    const LongTables *long_tables; /* the tokenizer's; NULL until a long pre-token comes */
    LongPretoken long_pretoken;
    bool inside_long; /* long_pretoken has taken the beginning of the pre-token that the unencoded text goes on with */
    int32_t *staged;  /* ids not yet passed to the sink: up to STAGED_IDS, and room as for make_room() */
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

/* Stages any number of ids, and makes room as make_room() does. It is a sink of its own, for long pre-tokens. */
static Status emit(void *context, const int32_t *ids, size_t count)
{
    Encoder *encoder = context;
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
 * Prepares encoder->long_pretoken for the first bytes of a long pre-token. In a model that is not in order it stays out
 * of use, and the pre-token is merged whole.
 */
static Status begin_long(Encoder *encoder)
{
    const Tokenizer *tokenizer = encoder->tokenizer;
    Status s = CS336_OK;
    if (!encoder->long_tables)
        s = lazy_long_tables_get(tokenizer->long_tables, &encoder->long_tables, &tokenizer->model, &tokenizer->merges);
    if (s || !encoder->long_tables->pairs.in_order)
        return s;
    s = long_pretoken_begin(&encoder->long_pretoken, encoder->long_tables);
    encoder->inside_long = !s;
    return s;
}

/* Encodes the last bytes of the long pre-token that has begun. */
static Status end_long(Encoder *encoder, ByteString rest)
{
    Status s = long_pretoken_feed(&encoder->long_pretoken, rest.bytes, rest.length, emit, encoder);
    if (!s)
        s = long_pretoken_finish(&encoder->long_pretoken, emit, encoder);
    encoder->inside_long = false;
    return s;
}

/*
 * Encodes what has come of a pre-token that goes on at `end`, if it is a long one, and moves *begin to what it leaves.
 * It leaves one byte: the pre-token may turn out to end at `end`, and then it still has bytes there.
 */
static Status encode_open(Encoder *encoder, const uint8_t *text, size_t *begin, size_t end)
{
    Status s = CS336_OK;
    if (!encoder->inside_long && end - *begin > LONG_BYTES)
        s = begin_long(encoder);
    if (s || !encoder->inside_long)
        return s;
    s = long_pretoken_feed(&encoder->long_pretoken, text + *begin, end - *begin - 1, emit, encoder);
    *begin = end - 1;
    return s;
}

/* Sets scratch.ids, for which there is room, to the ids of a pre-token of at most LONG_BYTES. Returns how many. */
static size_t apply_merges(Encoder *encoder, ByteString word)
{
    const int32_t whole = tokenizer_whole_token(encoder->tokenizer, word);
    if (whole < 0)
        return merge_table_apply(&encoder->tokenizer->merges, &encoder->scratch, word.bytes, word.length);
    encoder->scratch.ids[0] = whole;
    return 1;
}

/* Encodes a pre-token that is too long for the cache. */
static Status encode_uncached(Encoder *encoder, ByteString word)
{
    Status s = word.length > LONG_BYTES ? begin_long(encoder) : CS336_OK;
    if (s)
        return s;
    if (encoder->inside_long)
        return end_long(encoder, word);
    s = merge_scratch_reserve(&encoder->scratch, word.length);
    return s ? s : emit(encoder, encoder->scratch.ids, apply_merges(encoder, word));
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
    if (word.length > WORD_CACHED_BYTES)
        return encode_uncached(encoder, word);
    /* A pre-token that is one token need not be merged; most are. */
    const WordCache *single = &tokenizer->single_tokens;
    size_t count = 1;
    entry = word_cache_find(single, key, word_cache_slot(single, key));
    ids = entry ? word_cache_ids(single, entry, word) : NULL;
    if (ids)
        encoder->scratch.ids[0] = *ids;
    else
        count = apply_merges(encoder, word);
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
    pretokenizer_begin(&encoder->pretokenizer, encoder->tokenizer->model.pattern);
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
        const size_t open = encoder->inside_long ? 1 : 0; /* the first end is that of a pre-token that has begun */
        if (open)
            s = end_long(encoder, (ByteString){.bytes = text + *begin, .length = (size_t)(ends[0] - text) - *begin});
        if (!s && count > open)
            s = encode_pretokens(encoder, open ? ends[0] : text + *begin, ends + open, count - open, text + length);
        *begin = (size_t)(ends[count - 1] - text);
    }
    if (!s && !ended)
        s = encode_open(encoder, text, begin, (size_t)(pretokenizer->unscanned - text));
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
            if (encoded > 0) /* a pre-token that is kept whole is not moved for each byte that comes */
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
    *encoder = NULL;
    Status s = bpe_model_check_merges("encoder_create", &tokenizer->model);
    if (s)
        return s;
    Encoder *created = memory_allocate_zeroed(1, sizeof *created);
    if (!created)
        return status_fail(CS336_ENOMEM, "encoder_create: no memory");
    created->tokenizer = tokenizer;
    created->sink = sink;
    created->context = context;
    begin_segment(created);
    created->staged = memory_allocate(room * sizeof *created->staged);
    if (!created->staged)
        s = status_fail(CS336_ENOMEM, "encoder_create: no memory");
    if (!s)
        s = word_cache_init(&created->cache, cache_bytes);
    if (!s)
        s = merge_scratch_reserve(&created->scratch, LONG_BYTES);
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
    long_pretoken_deinit(&encoder->long_pretoken);
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
