#include "tokenizer/files/special_text.h"

#include "core/memory.h"
#include "tokenizer/files/token_text.h"

#include <stdlib.h>

bool special_text_is_utf8(ByteString text)
{
    for (size_t i = 0; i < text.length;) {
        const Utf8Character c = utf8_decode(text.bytes + i, text.length - i);
        if (c.status != UTF8_VALID)
            return false;
        i += c.length;
    }
    return true;
}

/* Spells a text in the alphabet, in place. *same says whether it did not change. */
static Status spell_again(ByteList *text, bool *same)
{
    ByteList spelled = {0};
    const Status s = token_spell(&spelled, byte_list_view(text));
    if (s) {
        byte_list_deinit(&spelled);
        return s;
    }
    *same = byte_string_equal(byte_list_view(&spelled), byte_list_view(text));
    byte_list_deinit(text);
    *text = spelled;
    return s;
}

/* Finds the ordinary token that is written with a text, or sets *id to -1. */
static Status find_ordinary(const BPEModel *model, const TokenIndex *index, ByteString text, int32_t *id)
{
    ByteList bytes = {0};
    Utf8Character wrong;
    const Status s = token_unspell(&bytes, text, &wrong);
    *id = s ? -1 : token_index_find(index, byte_list_view(&bytes));
    if (*id >= 0 && bpe_model_is_special(model, *id))
        *id = -1;
    byte_list_deinit(&bytes);
    return s == CS336_EFORMAT ? CS336_OK : s;
}

/* ---- the order ---- */

typedef struct {
    ByteString text;
    size_t index;
} Ranked;

/*
 * Longer texts choose first, in writing as in reading. Spelling makes a text longer, so the verbatim text of one
 * special token may be the spelling of a shorter one, and then the longer one has the first right to it.
 */
static int longest_first(const void *a, const void *b)
{
    const Ranked *x = a, *y = b;
    if (x->text.length != y->text.length)
        return x->text.length < y->text.length ? 1 : -1;
    return x->index < y->index ? -1 : 1;
}

static Status allocate_ranked(Ranked **ranked, size_t count)
{
    *ranked = memory_allocate_zeroed(count, sizeof **ranked);
    return *ranked ? CS336_OK : status_fail(CS336_ENOMEM, "special_texts: no memory for %zu special tokens", count);
}

/* ---- writing ---- */

/* The texts are chosen one after the other. */
typedef struct {
    const BPEModel *model;
    TokenIndex index;
    TextTable chosen; /* the texts so far */
} Choosing;

/* Says whether another token has the text, or no JSON string can. */
static Status is_taken(const Choosing *c, ByteString text, int32_t *ordinary, bool *taken)
{
    const Status s = find_ordinary(c->model, &c->index, text, ordinary);
    *taken = *ordinary >= 0 || !special_text_is_utf8(text) || memchr(text.bytes, 0, text.length) ||
             text_table_find(&c->chosen, text) >= 0;
    return s;
}

/* Chooses the text of one special token. */
static Status choose_text(SpecialTexts *special, Choosing *c, Ranked ranked)
{
    ByteList text = {0};
    bool taken = true, same = false;
    int32_t ordinary = -1;
    Status s = byte_list_append(&text, ranked.text.bytes, ranked.text.length);
    while (!s && taken && !same) {
        s = is_taken(c, byte_list_view(&text), &ordinary, &taken);
        if (!s && taken)
            s = spell_again(&text, &same);
    }
    if (!s && taken)
        s = status_fail(CS336_ERANGE, "bpe_model_write: special token \"%s\" with id %d is written like token %d",
                        token_shown(ranked.text).text, (int)c->model->specials[ranked.index].id, (int)ordinary);
    if (!s)
        s = text_table_add(&c->chosen, byte_list_view(&text));
    if (s)
        byte_list_deinit(&text);
    else
        special->texts[ranked.index] = text;
    return s;
}

Status special_texts_init(SpecialTexts *special, const BPEModel *model)
{
    const size_t count = model->special_count;
    Choosing choosing = {.model = model};
    Ranked *ranked;
    *special = (SpecialTexts){0};
    Status s = allocate_ranked(&ranked, count);
    if (!s)
        s = token_index_init(&choosing.index, model);
    special->texts = s ? NULL : memory_allocate_zeroed(count, sizeof *special->texts);
    if (!s && !special->texts)
        s = status_fail(CS336_ENOMEM, "special_texts: no memory for %zu special tokens", count);
    if (!s) {
        special->count = count;
        for (size_t i = 0; i < count; i++)
            ranked[i] = (Ranked){.text = bpe_model_special_text(model, i), .index = i};
        qsort(ranked, count, sizeof *ranked, longest_first);
    }
    for (size_t i = 0; !s && i < count; i++)
        if (model->specials[ranked[i].index].kind <= SPECIAL_UNNAMED)
            s = choose_text(special, &choosing, ranked[i]);
    memory_release(ranked);
    text_table_deinit(&choosing.chosen);
    token_index_deinit(&choosing.index);
    if (s)
        special_texts_deinit(special);
    return s;
}

Status special_texts_append(const SpecialTexts *special, const BPEModel *model, ByteList *text, int32_t id)
{
    const int64_t index = bpe_model_special_of(model, id);
    if (index >= 0)
        return byte_list_append(text, special->texts[index].bytes, special->texts[index].length);
    return token_spell(text, bpe_model_token(model, id));
}

void special_texts_deinit(SpecialTexts *special)
{
    for (size_t i = 0; i < special->count; i++)
        byte_list_deinit(&special->texts[i]);
    memory_release(special->texts);
    *special = (SpecialTexts){0};
}

/* ---- reading ---- */

enum { FREE = -1, NEEDED = -2 }; /* values of Matching.owners */

typedef struct {
    BPEModel *model;
    TokenIndex index;
    int32_t *owners; /* by id: FREE, NEEDED by a byte or a merge, or the rank of the special token whose entry it is */
    size_t longest;  /* no entry has a longer text */
} Matching;

/* Finds out which entries bytes and merges need. */
static Status matching_init(Matching *m, BPEModel *model)
{
    *m = (Matching){.model = model};
    Status s = token_index_init(&m->index, model);
    m->owners = s ? NULL : memory_allocate(model->vocab_size * sizeof *m->owners);
    if (!s && !m->owners)
        s = status_fail(CS336_ENOMEM, "special_texts: no memory for %zu tokens", model->vocab_size);
    if (s)
        return s;
    for (size_t id = 0; id < model->vocab_size; id++) {
        const size_t length = bpe_model_token(model, (int32_t)id).length;
        m->owners[id] = length == 1 && !bpe_model_is_special(model, (int32_t)id) ? NEEDED : FREE;
        m->longest = 2 * length > m->longest ? 2 * length : m->longest; /* the alphabet has up to two bytes for one */
    }
    for (size_t i = 0; i < model->merge_count; i++) {
        const BPEMerge merge = model->merges[i];
        m->owners[merge.left] = m->owners[merge.right] = m->owners[merge.merged] = NEEDED;
    }
    return CS336_OK;
}

/* Finds the entry that has a text in vocab.json. */
static Status find_entry(const Matching *m, ByteString text, int32_t *id)
{
    const Status s = find_ordinary(m->model, &m->index, text, id);
    const int64_t special = bpe_model_find_special(m->model, text);
    if (special >= 0 && m->model->specials[special].kind == SPECIAL_UNNAMED)
        *id = m->model->specials[special].id;
    return s;
}

/* Finds the entry of one special token: a free one, or else one that it has to share. */
static Status match(Matching *m, ByteString token, size_t rank)
{
    ByteList text = {0};
    int32_t shared = -1, as_bytes = -1;
    bool same = false;
    Status s = byte_list_append(&text, token.bytes, token.length);
    for (size_t spellings = 0; !s && !same; spellings++) {
        int32_t id;
        s = find_entry(m, byte_list_view(&text), &id);
        if (!s && id >= 0 && m->owners[id] == FREE) {
            m->owners[id] = (int32_t)rank;
            shared = as_bytes = -1;
            break;
        }
        if (!s && id >= 0 && m->owners[id] == NEEDED && spellings == 0)
            shared = id;
        if (!s && id >= 0 && m->owners[id] == NEEDED && spellings == 1)
            as_bytes = id;
        if (!s && spellings > 0 && text.length > m->longest)
            break;
        if (!s)
            s = spell_again(&text, &same);
        if (same) /* the verbatim text is the spelling, so the bytes are the same */
            as_bytes = shared;
    }
    byte_list_deinit(&text);
    if (s || (shared < 0 && as_bytes < 0))
        return s;
    return shared >= 0 && shared != as_bytes ? bpe_model_set_special(m->model, token, shared, SPECIAL_SHARED)
                                             : bpe_model_set_special(m->model, token, as_bytes, SPECIAL_AS_BYTES);
}

/* Records the special tokens that have an entry of their own, with the bytes that they stand for. */
static Status record_matches(Matching *m, const Ranked *ranked)
{
    const size_t vocab_size = m->model->vocab_size;
    ByteString *texts = memory_allocate_zeroed(vocab_size, sizeof *texts);
    if (!texts)
        return status_fail(CS336_ENOMEM, "special_texts: no memory for %zu tokens", vocab_size);
    for (size_t id = 0; id < vocab_size; id++)
        if (m->owners[id] >= 0)
            texts[id] = ranked[m->owners[id]].text;
    Status s = bpe_model_replace_tokens(m->model, texts);
    for (size_t id = 0; !s && id < vocab_size; id++)
        if (m->owners[id] >= 0)
            s = bpe_model_set_special(m->model, texts[id], (int32_t)id, SPECIAL_OWN);
    memory_release(texts);
    return s;
}

Status special_texts_match(BPEModel *model, const ByteString *named, size_t count)
{
    if (count == 0)
        return CS336_OK;
    Matching m = {0};
    TextTable matched = {0}; /* a text may be named several times */
    Ranked *ranked;
    Status s = allocate_ranked(&ranked, count);
    if (!s)
        s = matching_init(&m, model);
    if (!s) {
        for (size_t i = 0; i < count; i++)
            ranked[i] = (Ranked){.text = named[i], .index = i};
        qsort(ranked, count, sizeof *ranked, longest_first);
    }
    for (size_t i = 0; !s && i < count; i++) {
        if (ranked[i].text.length == 0 || text_table_find(&matched, ranked[i].text) >= 0)
            continue; /* tokenizer_create() reports empty ones */
        s = text_table_add(&matched, ranked[i].text);
        if (!s)
            s = match(&m, ranked[i].text, i);
    }
    if (!s)
        s = record_matches(&m, ranked);
    memory_release(ranked);
    memory_release(m.owners);
    text_table_deinit(&matched);
    token_index_deinit(&m.index);
    return s;
}
