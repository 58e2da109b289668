#include "tokenizer/tokenizer.h"

#include "core/memory.h"
#include "tokenizer/bpe_files.h"
#include "tokenizer/bpe_merge.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/utf8_replace.h"

struct Tokenizer {
    BPEModel model; /**< with all special tokens */
    TokenIndex index;
    MergeTable merges;
    SpecialTokens special;
    int32_t *special_ids; /**< of special.tokens */
};

/* ---- the tokenizer ---- */

static Status build(Tokenizer *tokenizer, const BPEModel *model, const ByteString *tokens, size_t count)
{
    Status s = special_tokens_init(&tokenizer->special, tokens, count);
    if (!s)
        s = bpe_model_copy(&tokenizer->model, model);
    if (!s)
        s = bpe_model_add_absent(&tokenizer->model, tokens, count);
    if (!s)
        s = token_index_init(&tokenizer->index, &tokenizer->model);
    if (!s)
        s = merge_table_init(&tokenizer->merges, &tokenizer->model, &tokenizer->index);
    if (s)
        return s;
    tokenizer->special_ids = memory_allocate(tokenizer->special.count * sizeof *tokenizer->special_ids);
    if (!tokenizer->special_ids)
        return status_fail(CS336_ENOMEM, "tokenizer_create: no memory for %zu special tokens", count);
    for (size_t i = 0; i < tokenizer->special.count; i++)
        tokenizer->special_ids[i] = token_index_find(&tokenizer->index, tokenizer->special.tokens[i]);
    return CS336_OK;
}

Status tokenizer_create(Tokenizer **tokenizer, const BPEModel *model, const ByteString *special_tokens,
                        size_t special_count)
{
    *tokenizer = memory_allocate_zeroed(1, sizeof **tokenizer);
    if (!*tokenizer)
        return status_fail(CS336_ENOMEM, "tokenizer_create: no memory");
    const Status s = build(*tokenizer, model, special_tokens, special_count);
    if (s) {
        tokenizer_destroy(*tokenizer);
        *tokenizer = NULL;
    }
    return s;
}

Status tokenizer_load(Tokenizer **tokenizer, const char *vocab_path, const char *merges_path,
                      const ByteString *special_tokens, size_t special_count)
{
    BPEModel model;
    *tokenizer = NULL;
    Status s = bpe_model_read(&model, vocab_path, merges_path);
    if (!s)
        s = tokenizer_create(tokenizer, &model, special_tokens, special_count);
    bpe_model_deinit(&model);
    return s;
}

void tokenizer_destroy(Tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    memory_release(tokenizer->special_ids);
    special_tokens_deinit(&tokenizer->special);
    merge_table_deinit(&tokenizer->merges);
    token_index_deinit(&tokenizer->index);
    bpe_model_deinit(&tokenizer->model);
    memory_release(tokenizer);
}

size_t tokenizer_vocab_size(const Tokenizer *tokenizer)
{
    return tokenizer->model.vocab_size;
}

ByteString tokenizer_token(const Tokenizer *tokenizer, int32_t id)
{
    return bpe_model_token(&tokenizer->model, id);
}

int32_t tokenizer_find(const Tokenizer *tokenizer, ByteString token)
{
    return token_index_find(&tokenizer->index, token);
}

/* ---- encoding ---- */

enum {
    CACHED_BYTES = 15,    /**< longer pre-tokens are not cached */
    CACHED_IDS = 5,       /**< nor those of more tokens */
    CACHE_ENTRIES = 8192, /**< a power of two; 40 bytes each */
    FEED_BYTES = 1 << 15, /**< taken in at a time */
    WORDS_AT_ONCE = 8 * PRETOKENS_AT_ONCE,
    STAGED_TOKENS = 4096 /**< handed to the sink at a time */
};

/* A pre-token by its bytes, zeros, and in the last byte its length, which is never 0: a zeroed entry is free. */
typedef struct {
    uint8_t key[CACHED_BYTES + 1];
    int32_t ids[CACHED_IDS];
    uint32_t count;
} CacheEntry;

struct Encoder {
    const Tokenizer *tokenizer;
    TokenSink *sink;
    void *context;
    CacheEntry *cache;
    TokenList staged; /**< not yet given to the sink */
    ByteList pending; /**< text that is not encoded yet; its first byte begins a pre-token */
    size_t searched;  /**< no special token begins in pending before it */
    Pretokenizer pretokenizer;
    size_t scanned; /**< bytes of pending before pretokenizer.at */
};

static void begin_segment(Encoder *encoder)
{
    pretokenizer_begin(&encoder->pretokenizer);
    encoder->scanned = 0;
}

Status encoder_create(Encoder **encoder, const Tokenizer *tokenizer, TokenSink *sink, void *context)
{
    Encoder *e = memory_allocate_zeroed(1, sizeof *e);
    *encoder = NULL;
    if (e)
        e->cache = memory_allocate_zeroed(CACHE_ENTRIES, sizeof *e->cache);
    if (!e || !e->cache) {
        memory_release(e);
        return status_fail(CS336_ENOMEM, "encoder_create: no memory");
    }
    e->tokenizer = tokenizer;
    e->sink = sink;
    e->context = context;
    begin_segment(e);
    *encoder = e;
    return CS336_OK;
}

void encoder_destroy(Encoder *encoder)
{
    if (!encoder)
        return;
    memory_release(encoder->cache);
    token_list_deinit(&encoder->staged);
    byte_list_deinit(&encoder->pending);
    memory_release(encoder);
}

static Status flush(Encoder *encoder)
{
    if (encoder->staged.count == 0)
        return CS336_OK;
    const Status s = encoder->sink(encoder->context, encoder->staged.ids, encoder->staged.count);
    encoder->staged.count = 0;
    return s;
}

/* Appends the ids of one pre-token to the staged ones. */
static Status encode_word(Encoder *encoder, ByteString word)
{
    TokenList *staged = &encoder->staged;
    const MergeTable *merges = &encoder->tokenizer->merges;
    if (word.length > CACHED_BYTES)
        return merge_table_apply(merges, staged, word);
    uint8_t key[CACHED_BYTES + 1] = {0};
    memcpy(key, word.bytes, word.length);
    key[CACHED_BYTES] = (uint8_t)word.length;
    const uint64_t hash = byte_string_hash((ByteString){.bytes = key, .length = sizeof key});
    CacheEntry *entry = &encoder->cache[hash & (CACHE_ENTRIES - 1)];
    if (memcmp(entry->key, key, sizeof key) == 0)
        return token_list_append(staged, entry->ids, entry->count);
    const size_t before = staged->count;
    const Status s = merge_table_apply(merges, staged, word);
    const size_t count = staged->count - before;
    if (!s && count <= CACHED_IDS) {
        memcpy(entry->key, key, sizeof key);
        memcpy(entry->ids, staged->ids + before, count * sizeof *entry->ids);
        entry->count = (uint32_t)count;
    }
    return s;
}

/* Encodes the pre-tokens in text[*at, end) and moves *at behind them. If the segment may go on, the last one stays. */
static Status encode_segment(Encoder *encoder, const uint8_t *text, size_t *at, size_t end, bool ended)
{
    Pretokenizer *pretokenizer = &encoder->pretokenizer;
    const uint8_t *ends[WORDS_AT_ONCE];
    Status s = CS336_OK;
    pretokenizer_feed(pretokenizer, text + *at + encoder->scanned, end - *at - encoder->scanned, ended);
    for (size_t count = 1; !s && count > 0;) {
        count = pretokenizer_next(pretokenizer, ends, WORDS_AT_ONCE);
        for (size_t i = 0; !s && i < count; i++) {
            const size_t word_end = (size_t)(ends[i] - text);
            s = encode_word(encoder, (ByteString){.bytes = text + *at, .length = word_end - *at});
            *at = word_end;
        }
        if (!s && encoder->staged.count >= STAGED_TOKENS)
            s = flush(encoder);
    }
    encoder->scanned = (size_t)(pretokenizer->at - text) - *at;
    if (ended)
        begin_segment(encoder);
    return s;
}

/* Encodes what no further byte can change, and says how much text that was. */
static Status encode_available(Encoder *encoder, const uint8_t *text, size_t length, bool ended, size_t *taken)
{
    const Tokenizer *tokenizer = encoder->tokenizer;
    Status s = CS336_OK;
    size_t at = 0;
    while (!s && at < length) {
        const SpecialMatch next = special_tokens_find(&tokenizer->special, text, length, encoder->searched, ended);
        encoder->searched = next.at;
        s = encode_segment(encoder, text, &at, next.at, ended || next.index >= 0);
        if (s || next.index < 0)
            break;
        s = token_list_append(&encoder->staged, &tokenizer->special_ids[next.index], 1);
        at += tokenizer->special.tokens[next.index].length;
        encoder->searched = at;
    }
    encoder->searched -= at;
    *taken = at;
    return s;
}

Status encoder_feed(Encoder *encoder, const uint8_t *bytes, size_t length)
{
    ByteList *pending = &encoder->pending;
    Status s = CS336_OK;
    for (size_t at = 0, taken; !s && at < length;) {
        const size_t more = length - at < FEED_BYTES ? length - at : FEED_BYTES;
        s = byte_list_append(pending, bytes + at, more);
        if (!s)
            s = encode_available(encoder, pending->bytes, pending->length, false, &taken);
        if (s)
            break;
        at += more;
        pending->length -= taken;
        if (taken)
            memmove(pending->bytes, pending->bytes + taken, pending->length);
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
        s = encode_available(encoder, text.bytes, text.length, true, &taken);
    if (!s)
        s = flush(encoder);
    encoder_destroy(encoder);
    if (s)
        ids->count = ids_before;
    return s;
}

/* ---- decoding ---- */

static Status check_ids(const Tokenizer *tokenizer, const int32_t *ids, size_t count)
{
    const size_t vocab_size = tokenizer_vocab_size(tokenizer);
    for (size_t i = 0; i < count; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= vocab_size)
            return status_fail(CS336_ERANGE, "tokenizer_decode: id %d at place %zu, the vocabulary has %zu tokens",
                               (int)ids[i], i, vocab_size);
    return CS336_OK;
}

Status tokenizer_decode(const Tokenizer *tokenizer, ByteList *text, const int32_t *ids, size_t count)
{
    const size_t length_before = text->length;
    Status s = check_ids(tokenizer, ids, count);
    for (size_t i = 0; !s && i < count; i++) {
        const ByteString token = tokenizer_token(tokenizer, ids[i]);
        s = byte_list_append(text, token.bytes, token.length);
    }
    if (s)
        text->length = length_before;
    return s;
}

Status tokenizer_decode_replace(const Tokenizer *tokenizer, ByteList *text, const int32_t *ids, size_t count)
{
    const size_t length_before = text->length;
    Utf8Replacer replacer = {0};
    Status s = check_ids(tokenizer, ids, count);
    for (size_t i = 0; !s && i < count; i++) {
        const ByteString token = tokenizer_token(tokenizer, ids[i]);
        s = utf8_replace(&replacer, text, token.bytes, token.length, false);
    }
    if (!s)
        s = utf8_replace(&replacer, text, NULL, 0, true);
    if (s)
        text->length = length_before;
    return s;
}
