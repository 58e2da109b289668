#include "tokenizer/encode/tokenizer.h"

#include "core/memory.h"
#include "tokenizer/encode/utf8_replace.h"
#include "tokenizer/files/llama2c_tokenizer.h"

enum {
    SPARE_BYTES = 16,   /* readable behind the vocabulary's bytes: a token of up to 16 bytes is copied with one load */
    IDS_AT_ONCE = 4096, /* ids decoded before malformed UTF-8 is replaced: their bytes stay in the L1 or L2 cache */
    NO_ID = -1          /* there is no token before the first one */
};

/* ---- the tokenizer ---- */

/*
 * Most pre-tokens of any text are tokens, and these are found without merging. A token counts only if merging its bytes
 * gives one token: a vocabulary may have tokens that no merges lead to. If the model ignores its merges, every token
 * counts, and tokenizer_whole_token() finds it.
 */
static Status find_single_tokens(Tokenizer *tokenizer)
{
    const size_t vocab_size = tokenizer_vocab_size(tokenizer);
    MergeScratch scratch = {0};
    Status s = merge_scratch_reserve(&scratch, WORD_CACHED_BYTES);
    if (!s)
        s = word_cache_init(&tokenizer->single_tokens, SIZE_MAX);
    for (size_t id = 0; !s && !tokenizer->model.ignore_merges && id < vocab_size; id++) {
        const ByteString token = tokenizer_token(tokenizer, (int32_t)id);
        if (token.length == 0 || token.length > WORD_CACHED_BYTES)
            continue;
        const WordKey key = word_key(token.bytes, token.length, 0);
        if (merge_table_apply(&tokenizer->merges, &scratch, token.bytes, token.length) == 1)
            word_cache_add(&tokenizer->single_tokens, key, token, scratch.ids, 1);
    }
    merge_scratch_deinit(&scratch);
    return s;
}

/* Makes the tables that encoding needs. */
static Status build_encoding(Tokenizer *tokenizer)
{
    Status s = merge_table_init(&tokenizer->merges, &tokenizer->model, &tokenizer->index);
    if (!s)
        s = lazy_long_tables_create(&tokenizer->long_tables);
    if (s)
        return s;
    const size_t count = tokenizer->special.count;
    tokenizer->special_ids = memory_allocate(count * sizeof *tokenizer->special_ids);
    if (!tokenizer->special_ids)
        return status_fail(CS336_ENOMEM, "tokenizer_create: no memory for %zu special tokens", count);
    for (size_t i = 0; i < count; i++)
        tokenizer->special_ids[i] = tokenizer_find(tokenizer, tokenizer->special.tokens[i]);
    return find_single_tokens(tokenizer);
}

/* Fails if a model ignores its merges and has a token that is longer than what the encoder keeps whole. */
static Status check_whole_tokens(const BPEModel *model, const char *where)
{
    for (size_t id = 0; model->ignore_merges && id < model->vocab_size; id++) {
        const size_t length = bpe_model_token(model, (int32_t)id).length;
        if (length > WHOLE_TOKEN_BYTES && !bpe_model_is_special(model, (int32_t)id))
            return status_fail(
                CS336_ERANGE,
                "%s: token %zu has %zu bytes, expected at most %d, since the model takes pre-tokens that "
                "are tokens without merging them",
                where, id, length, WHOLE_TOKEN_BYTES);
    }
    return CS336_OK;
}

/* Finds the special tokens in text. Which of them are late is known by the model, which has all of them. */
static Status build_special(Tokenizer *tokenizer, const ByteString *tokens, size_t count)
{
    const BPEModel *model = &tokenizer->model;
    bool *late = memory_allocate_zeroed(count, sizeof *late);
    if (!late)
        return status_fail(CS336_ENOMEM, "tokenizer_create: no memory for %zu special tokens", count);
    for (size_t i = 0; i < count; i++)
        late[i] = model->specials[bpe_model_find_special(model, tokens[i])].late;
    const Status s = special_tokens_init(&tokenizer->special, tokens, late, count);
    memory_release(late);
    return s;
}

/* Fills a zeroed tokenizer. On failure the caller destroys it. */
static Status build(Tokenizer *tokenizer, const BPEModel *model, const char *where, const ByteString *tokens,
                    size_t count)
{
    if (model->decode_only && count)
        return status_fail(CS336_ERANGE,
                           "%s: a tokenizer of llama2.c has no special tokens beside its own, because it cannot encode "
                           "text",
                           where);
    /* The model, with all special tokens and room for append_tokens() to read beyond its end. */
    Status s = check_whole_tokens(model, where);
    if (!s)
        s = bpe_model_copy(&tokenizer->model, model);
    if (!s)
        s = bpe_model_name_specials(&tokenizer->model, tokens, count);
    if (!s)
        s = build_special(tokenizer, tokens, count);
    /* Whether ids are skipped. */
    for (size_t id = 0; !s && id < tokenizer->model.vocab_size; id++)
        tokenizer->has_holes |= tokenizer_token(tokenizer, (int32_t)id).length == 0;
    ByteList *bytes = &tokenizer->model.bytes;
    if (!s)
        s = array_reserve(&bytes->bytes, &bytes->capacity, bytes->length + SPARE_BYTES, 1);
    /* Tables to find tokens and merges. */
    if (!s)
        s = token_index_init(&tokenizer->index, &tokenizer->model);
    return s || model->decode_only ? s : build_encoding(tokenizer);
}

Status tokenizer_create_named(Tokenizer **tokenizer, const BPEModel *model, const char *where,
                              const ByteString *special_tokens, size_t special_count)
{
    *tokenizer = memory_allocate_zeroed(1, sizeof **tokenizer);
    if (!*tokenizer)
        return status_fail(CS336_ENOMEM, "tokenizer_create: no memory");
    const Status s = build(*tokenizer, model, where, special_tokens, special_count);
    if (s) {
        tokenizer_destroy(*tokenizer);
        *tokenizer = NULL;
    }
    return s;
}

Status tokenizer_create(Tokenizer **tokenizer, const BPEModel *model, const ByteString *special_tokens,
                        size_t special_count)
{
    return tokenizer_create_named(tokenizer, model, "tokenizer_create", special_tokens, special_count);
}

void tokenizer_destroy(Tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    memory_release(tokenizer->special_ids);
    word_cache_deinit(&tokenizer->single_tokens);
    special_tokens_deinit(&tokenizer->special);
    lazy_long_tables_destroy(tokenizer->long_tables);
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

size_t tokenizer_find_tokens(bool *has_token, size_t count, const Tokenizer *tokenizer)
{
    const size_t vocab_size = tokenizer_vocab_size(tokenizer);
    size_t found = 0;
    for (size_t id = 0; id < count; id++) {
        has_token[id] = id < vocab_size && tokenizer_token(tokenizer, (int32_t)id).length > 0;
        found += has_token[id];
    }
    return found;
}

int32_t tokenizer_find(const Tokenizer *tokenizer, ByteString token)
{
    const int64_t special = bpe_model_find_special(&tokenizer->model, token);
    return special >= 0 ? tokenizer->model.specials[special].id : token_index_find(&tokenizer->index, token);
}

int32_t tokenizer_document_end(const Tokenizer *tokenizer)
{
    return tokenizer->model.decode_only ? LLAMA2C_BOS : tokenizer_find(tokenizer, byte_string(TOKENIZER_DOCUMENT_END));
}

int32_t tokenizer_whole_token(const Tokenizer *tokenizer, ByteString pretoken)
{
    if (!tokenizer->model.ignore_merges)
        return -1;
    const int32_t id = token_index_find(&tokenizer->index, pretoken);
    return id >= 0 && !bpe_model_is_special(&tokenizer->model, id) ? id : -1;
}

/* ---- decoding ---- */

ByteString tokenizer_token_after(const Tokenizer *tokenizer, int32_t previous, int32_t id)
{
    ByteString token = tokenizer_token(tokenizer, id);
    if (tokenizer->model.decode_only && previous == LLAMA2C_BOS && token.length && token.bytes[0] == ' ') {
        token.bytes++;
        token.length--;
    }
    return token;
}

Status tokenizer_check_ids(const Tokenizer *tokenizer, const int32_t *ids, size_t count, const char *name,
                           size_t position)
{
    const size_t vocab_size = tokenizer_vocab_size(tokenizer);
    for (size_t i = 0; i < count; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= vocab_size)
            return status_fail(CS336_ERANGE, "%s: id %d at position %zu, expected below the vocabulary size %zu", name,
                               (int)ids[i], position + i, vocab_size);
        if (tokenizer->has_holes && tokenizer_token(tokenizer, ids[i]).length == 0)
            return status_fail(CS336_ERANGE, "%s: id %d at position %zu has no token: the vocabulary skips it", name,
                               (int)ids[i], position + i);
    }
    return CS336_OK;
}

/*
 * Copies SPARE_BYTES for each short token, whatever its length: one load and one store. The vocabulary and the text
 * have that much room at their ends, and the next token overwrites the bytes that are too many.
 */
static Status append_tokens(ByteList *text, const Tokenizer *tokenizer, const int32_t *ids, size_t count)
{
    size_t length = SPARE_BYTES;
    for (size_t i = 0; i < count; i++)
        length += tokenizer_token(tokenizer, ids[i]).length;
    const Status s = array_reserve(&text->bytes, &text->capacity, text->length + length, 1);
    if (s)
        return s;
    uint8_t *destination = text->bytes + text->length;
    for (size_t i = 0; i < count; i++) {
        const ByteString token = tokenizer_token(tokenizer, ids[i]);
        if (token.length <= SPARE_BYTES)
            memcpy(destination, token.bytes, SPARE_BYTES);
        else
            memcpy(destination, token.bytes, token.length);
        destination += token.length;
    }
    text->length = (size_t)(destination - text->bytes);
    return CS336_OK;
}

/* Appends the tokens of a tokenizer whose tokens may depend on the one before. */
static Status append_dependent(ByteList *text, const Tokenizer *tokenizer, int32_t previous, const int32_t *ids,
                               size_t count)
{
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < count; previous = ids[i++]) {
        const ByteString token = tokenizer_token_after(tokenizer, previous, ids[i]);
        s = byte_list_append(text, token.bytes, token.length);
    }
    return s;
}

/* Appends the tokens of checked ids. */
static Status append(ByteList *text, const Tokenizer *tokenizer, int32_t previous, const int32_t *ids, size_t count)
{
    return tokenizer->model.decode_only ? append_dependent(text, tokenizer, previous, ids, count)
                                        : append_tokens(text, tokenizer, ids, count);
}

Status tokenizer_decode_after(const Tokenizer *tokenizer, ByteList *text, int32_t previous, const int32_t *ids,
                              size_t count)
{
    const size_t length_before = text->length;
    Status s = tokenizer_check_ids(tokenizer, ids, count, "tokenizer_decode", 0);
    if (!s)
        s = append(text, tokenizer, previous, ids, count);
    if (s)
        text->length = length_before;
    return s;
}

Status tokenizer_decode(const Tokenizer *tokenizer, ByteList *text, const int32_t *ids, size_t count)
{
    return tokenizer_decode_after(tokenizer, text, NO_ID, ids, count);
}

Status tokenizer_decode_replace(const Tokenizer *tokenizer, ByteList *text, const int32_t *ids, size_t count)
{
    const size_t length_before = text->length;
    Utf8Replacer replacer = {0};
    ByteList exact = {0}; /* the bytes of IDS_AT_ONCE ids */
    Status s = tokenizer_check_ids(tokenizer, ids, count, "tokenizer_decode", 0);
    int32_t previous = NO_ID;
    for (size_t decoded; !s && count > 0; previous = ids[decoded - 1], ids += decoded, count -= decoded) {
        decoded = count < IDS_AT_ONCE ? count : IDS_AT_ONCE;
        exact.length = 0;
        s = append(&exact, tokenizer, previous, ids, decoded);
        if (!s)
            s = utf8_replace(&replacer, text, exact.bytes, exact.length, false);
    }
    if (!s)
        s = utf8_replace(&replacer, text, NULL, 0, true);
    byte_list_deinit(&exact);
    if (s)
        text->length = length_before;
    return s;
}
