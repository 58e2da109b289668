#include "tokenizer/encode/encoder.h"

#include "core/memory.h"
#include "tokenizer/encode/word_cache.h"
#include "tokenizer/split/pretokenize.h"

enum {
    CACHE_BYTES = 32 << 20,
    PENDING_BYTES = 1 << 13, /* made room for at once */
    FEED_BYTES = 1 << 10,    /* added at a time to what is pending */
    WORDS_AT_ONCE = 8 * PRETOKENS_PER_GROUP,
    STAGED_TOKENS = 1 << 13, /* handed to the sink at a time */
    ENTRY_IDS = 4,           /* copied from an entry of the cache */
    WINDOW = 2048,           /* of a long pre-token */
    BYTES_A_TOKEN = 2        /* at least, of nearly all text; what is not used is only reserved */
};

struct Encoder {
    const Tokenizer *tokenizer;
    TokenSink *sink;
    void *context;
    WordCache cache;
    MergeScratch scratch, ahead;
    int32_t *staged; /* not yet given to the sink: STAGED_TOKENS, and room for what make_room() promises */
    size_t staged_count;
    ByteList pending; /* text that is not encoded yet; its first byte begins a pre-token, or what is left of one */
    size_t searched;  /* no special token begins in pending before it */
    Pretokenizer pretokenizer;
    size_t scanned; /* bytes of pending before pretokenizer.unscanned */
};

/* ---- ids on their way to the sink ---- */

static Status flush(Encoder *encoder)
{
    const size_t count = encoder->staged_count;
    encoder->staged_count = 0;
    return count ? encoder->sink(encoder->context, encoder->staged, count) : CS336_OK;
}

/* Room for WORDS_AT_ONCE entries of the cache. */
static Status make_room(Encoder *encoder)
{
    return encoder->staged_count > STAGED_TOKENS ? flush(encoder) : CS336_OK;
}

/* Any number of ids, and room as after make_room(). */
static Status emit(Encoder *encoder, const int32_t *ids, size_t count)
{
    Status s = CS336_OK;
    for (size_t some; !s && count > 0; ids += some, count -= some) {
        some = count < WORD_CACHED_BYTES ? count : WORD_CACHED_BYTES;
        memcpy(encoder->staged + encoder->staged_count, ids, some * sizeof *ids);
        encoder->staged_count += some;
        s = make_room(encoder);
    }
    return s;
}

/* ---- pre-tokens that the cache does not know ---- */

/*
 * A pre-token without end must not take memory without end, so it is encoded in windows.
 *
 *     |------------ window -----------|
 *                   |------------ next window ----------|
 *                   ^ cut
 *
 * Where both begin a token at the cut, and it is the same token, no merge crosses the cut in the text of both together:
 * up to the first merge across it both sides would have changed as they do in the first window, where this merge would
 * have come too. So what lies before the cut is certain, as long as the next window's first token is; what could change
 * that is a chain of merges, each of them waiting for the one to its right, that reaches back over half a window.
 */
static Status encode_long(Encoder *encoder, const uint8_t *text, size_t *at, size_t end, bool ended)
{
    const Tokenizer *tokenizer = encoder->tokenizer;
    Status s = CS336_OK;
    for (size_t window = WINDOW; !s && end - *at > 2 * window;) {
        s = merge_scratch_reserve(&encoder->scratch, 2 * window);
        if (!s)
            s = merge_scratch_reserve(&encoder->ahead, window);
        if (s)
            break;
        const size_t count = merge_table_apply(&tokenizer->merges, &encoder->scratch, text + *at, window);
        const int32_t *ids = encoder->scratch.ids;
        size_t cut = 0, before = 0;
        while (before < count && cut < window / 2)
            cut += tokenizer_token(tokenizer, ids[before++]).length;
        for (; before < count; cut += tokenizer_token(tokenizer, ids[before++]).length) {
            merge_table_apply(&tokenizer->merges, &encoder->ahead, text + *at + cut, window);
            if (encoder->ahead.ids[0] == ids[before])
                break;
        }
        if (before < count) {
            s = emit(encoder, ids, before);
            *at += cut;
        } else {
            window *= 2;
        }
    }
    if (s || !ended)
        return s;
    s = merge_scratch_reserve(&encoder->scratch, end - *at);
    if (!s)
        s = emit(encoder, encoder->scratch.ids,
                 merge_table_apply(&tokenizer->merges, &encoder->scratch, text + *at, end - *at));
    *at = end;
    return s;
}

/* Its ids, in the scratch, and how many they are. */
static size_t find_ids(Encoder *encoder, ByteString word, WordKey key)
{
    const Tokenizer *tokenizer = encoder->tokenizer;
    const CachedWord *whole = word_cache_find(&tokenizer->whole, key, word_cache_place(&tokenizer->whole, key));
    const int32_t *id = whole ? word_cache_ids(&tokenizer->whole, whole, word) : NULL;
    if (!id)
        return merge_table_apply(&tokenizer->merges, &encoder->scratch, word.bytes, word.length);
    encoder->scratch.ids[0] = *id;
    return 1;
}

static Status encode_new(Encoder *encoder, ByteString word, WordKey key)
{
    if (word.length > WORD_CACHED_BYTES) {
        size_t at = 0;
        return encode_long(encoder, word.bytes, &at, word.length, true);
    }
    const size_t count = find_ids(encoder, word, key);
    word_cache_add(&encoder->cache, key, word, encoder->scratch.ids, count);
    return emit(encoder, encoder->scratch.ids, count);
}

/* ---- pre-tokens ---- */

/* A pre-token that is not cached, or has more ids than lie in its entry. */
static Status encode_other(Encoder *encoder, ByteString word, WordKey key)
{
    const WordCache *cache = &encoder->cache;
    const CachedWord *found = word_cache_find(cache, key, word_cache_place(cache, key));
    const int32_t *ids = found ? word_cache_ids(cache, found, word) : NULL;
    return ids ? emit(encoder, ids, found->count & ~WORD_STORED) : encode_new(encoder, word, key);
}

/* Pre-tokens that are looked up together: asked for before the first answer is needed, so that memory works on many. */
typedef struct {
    size_t count;
    uint64_t low[WORDS_AT_ONCE], high[WORDS_AT_ONCE];
    size_t places[WORDS_AT_ONCE];
} Lookups;

static void ask(Lookups *lookups, const WordCache *table, const uint8_t *text, const uint8_t *const *ends,
                const uint8_t *readable_end)
{
    const WordCache cache = *table; /* a copy that no other name changes stays in registers */
    const bool all_readable = (size_t)(readable_end - ends[lookups->count - 1]) >= sizeof(WordKey);
    const uint8_t *begin = text;
    for (size_t i = 0; i < lookups->count; begin = ends[i++]) {
        const WordKey key =
            word_key(begin, (size_t)(ends[i] - begin), all_readable ? sizeof(WordKey) : (size_t)(readable_end - begin));
        lookups->low[i] = key.low;
        lookups->high[i] = key.high;
        lookups->places[i] = word_cache_place(&cache, key);
        word_cache_prefetch(&cache, lookups->places[i]);
    }
}

/*
 * Goes on from lookup i while entries with all their ids are found, and returns where it stops. The ids are copied with
 * what follows them in the entry, whatever their number: what is too much is overwritten next.
 */
static size_t copy_found(int32_t **ids, const Lookups *lookups, size_t i, const WordCache *table)
{
    const WordCache cache = *table;
    int32_t *to = *ids;
    for (; i < lookups->count; i++) {
        const WordKey key = {.low = lookups->low[i], .high = lookups->high[i]};
        const CachedWord *found = word_cache_find(&cache, key, lookups->places[i]);
        if (!found || found->count > WORD_INLINE_IDS)
            break;
        memcpy(to, (const uint8_t *)found + offsetof(CachedWord, ids), ENTRY_IDS * sizeof *to);
        to += found->count;
    }
    *ids = to;
    return i;
}

static Status encode_words(Encoder *encoder, const uint8_t *text, const uint8_t *const *ends, size_t count,
                           const uint8_t *readable_end)
{
    Lookups lookups;
    lookups.count = count;
    ask(&lookups, &encoder->cache, text, ends, readable_end);
    Status s = make_room(encoder);
    for (size_t i = 0; !s; i++) {
        int32_t *to = encoder->staged + encoder->staged_count;
        i = copy_found(&to, &lookups, i, &encoder->cache);
        encoder->staged_count = (size_t)(to - encoder->staged);
        if (i == count)
            break;
        const uint8_t *begin = i ? ends[i - 1] : text;
        s = encode_other(encoder, (ByteString){.bytes = begin, .length = (size_t)(ends[i] - begin)},
                         (WordKey){.low = lookups.low[i], .high = lookups.high[i]});
    }
    return s;
}

static void begin_segment(Encoder *encoder)
{
    pretokenizer_begin(&encoder->pretokenizer);
    encoder->scanned = 0;
}

/*
 * Encodes the pre-tokens in text[*at, end), text without special tokens, and moves *at behind them. If the segment may
 * go on, the last one stays. text[0, length) may be read.
 */
static Status encode_segment(Encoder *encoder, const uint8_t *text, size_t *at, size_t end, size_t length, bool ended)
{
    Pretokenizer *pretokenizer = &encoder->pretokenizer;
    const uint8_t *ends[WORDS_AT_ONCE];
    Status s = CS336_OK;
    pretokenizer_feed(pretokenizer, text + *at + encoder->scanned, end - *at - encoder->scanned, ended);
    for (size_t count; !s && (count = pretokenizer_next(pretokenizer, ends, WORDS_AT_ONCE)) > 0;) {
        s = encode_words(encoder, text + *at, ends, count, text + length);
        *at = (size_t)(ends[count - 1] - text);
    }
    if (!s && !ended)
        s = encode_long(encoder, text, at, (size_t)(pretokenizer->unscanned - text), false);
    encoder->scanned = (size_t)(pretokenizer->unscanned - text) - *at;
    if (ended)
        begin_segment(encoder);
    return s;
}

/* ---- texts ---- */

/* Encodes what no further byte can change, and says how much text that was. */
static Status encode_available(Encoder *encoder, const uint8_t *text, size_t length, bool ended, size_t *taken)
{
    const SpecialTokens *special = &encoder->tokenizer->special;
    Status s = CS336_OK;
    size_t at = 0;
    while (!s && at < length) {
        const SpecialMatch next = special_tokens_find(special, text, length, encoder->searched, ended);
        encoder->searched = next.begin;
        s = encode_segment(encoder, text, &at, next.begin, length, ended || next.index >= 0);
        if (s || next.index < 0)
            break;
        s = emit(encoder, &encoder->tokenizer->special_ids[next.index], 1);
        at += special->tokens[next.index].length;
        encoder->searched = at;
    }
    encoder->searched -= at;
    *taken = at;
    return s;
}

static void drop_pending(ByteList *pending, size_t length)
{
    pending->length -= length;
    memmove(pending->bytes, pending->bytes + length, pending->length);
}

Status encoder_feed(Encoder *encoder, const uint8_t *bytes, size_t length)
{
    ByteList *pending = &encoder->pending;
    Status s = CS336_OK;
    size_t at = 0, taken;
    while (!s && at < length && pending->length > 0) {
        const size_t held = pending->length, more = length - at < FEED_BYTES ? length - at : FEED_BYTES;
        s = byte_list_append(pending, bytes + at, more);
        if (!s)
            s = encode_available(encoder, pending->bytes, pending->length, false, &taken);
        if (s)
            break;
        if (taken < held) {
            drop_pending(pending, taken);
            at += more;
        } else { /* what is left lies in the caller's bytes */
            pending->length = 0;
            at += taken - held;
        }
    }
    if (!s && at < length) {
        s = encode_available(encoder, bytes + at, length - at, false, &taken);
        if (!s)
            s = byte_list_append(pending, bytes + at + taken, length - at - taken);
    }
    return s ? s : flush(encoder);
}

Status encoder_finish(Encoder *encoder)
{
    size_t taken;
    const Status s = encode_available(encoder, encoder->pending.bytes, encoder->pending.length, true, &taken);
    encoder->pending.length = 0;
    encoder->searched = 0;
    begin_segment(encoder);
    return s ? s : flush(encoder);
}

/* ---- encoders ---- */

static Status init(Encoder *encoder, size_t cache_bytes)
{
    const size_t room = STAGED_TOKENS + WORDS_AT_ONCE * ENTRY_IDS + WORD_CACHED_BYTES;
    encoder->staged = memory_allocate(room * sizeof *encoder->staged);
    Status s = encoder->staged ? CS336_OK : status_fail(CS336_ENOMEM, "encoder_create: no memory");
    if (!s)
        s = word_cache_init(&encoder->cache, cache_bytes);
    if (!s)
        s = merge_scratch_reserve(&encoder->scratch, 2 * WINDOW);
    if (!s)
        s = array_reserve(&encoder->pending.bytes, &encoder->pending.capacity, PENDING_BYTES, 1);
    begin_segment(encoder);
    return s;
}

Status encoder_create_small(Encoder **encoder, const Tokenizer *tokenizer, size_t cache_bytes, TokenSink *sink,
                            void *context)
{
    *encoder = memory_allocate_zeroed(1, sizeof **encoder);
    if (!*encoder)
        return status_fail(CS336_ENOMEM, "encoder_create: no memory");
    (*encoder)->tokenizer = tokenizer;
    (*encoder)->sink = sink;
    (*encoder)->context = context;
    const Status s = init(*encoder, cache_bytes);
    if (s) {
        encoder_destroy(*encoder);
        *encoder = NULL;
    }
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
    merge_scratch_deinit(&encoder->ahead);
    memory_release(encoder->staged);
    byte_list_deinit(&encoder->pending);
    memory_release(encoder);
}

static Status append_ids(void *context, const int32_t *ids, size_t count)
{
    return token_list_append(context, ids, count);
}

Status tokenizer_encode(const Tokenizer *tokenizer, TokenList *ids, ByteString text)
{
    const size_t ids_before = ids->count;
    Encoder *encoder;
    Status s = encoder_create(&encoder, tokenizer, append_ids, ids);
    size_t taken;
    if (!s)
        s = array_reserve(&ids->ids, &ids->capacity, ids_before + text.length / BYTES_A_TOKEN, sizeof *ids->ids);
    if (!s)
        s = encode_available(encoder, text.bytes, text.length, true, &taken);
    if (!s)
        s = flush(encoder);
    encoder_destroy(encoder);
    if (s)
        ids->count = ids_before;
    return s;
}
