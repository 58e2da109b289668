#include "tokenizer/bpe_model.h"

#include "core/memory.h"

#include <assert.h>

ByteString bpe_model_token(const BPEModel *model, int32_t id)
{
    assert(id >= 0 && (size_t)id < model->vocab_size);
    const size_t begin = id ? model->ends[id - 1] : 0;
    return (ByteString){.bytes = model->bytes.bytes + begin, .length = model->ends[id] - begin};
}

Status bpe_model_check_merges(const char *function, const BPEModel *model)
{
    if (model->decode_only)
        return status_fail(CS336_ERANGE,
                           "%s: a tokenizer of llama2.c can decode but not encode: it has SentencePiece's scores in "
                           "place of merges",
                           function);
    return CS336_OK;
}

/* Makes room for one more token of `length` bytes. */
static Status reserve_token(BPEModel *model, size_t length)
{
    Status s = CS336_OK;
    if (model->vocab_size == INT32_MAX)
        s = status_fail(CS336_ERANGE, "bpe_model_add_token: more than %d tokens", INT32_MAX);
    if (!s)
        s = array_reserve(&model->ends, &model->token_capacity, model->vocab_size + 1, sizeof *model->ends);
    if (!s)
        s = array_reserve(&model->bytes.bytes, &model->bytes.capacity, model->bytes.length + length, 1);
    return s;
}

/* Appends bytes, for which there is room, to the bytes of the next token. */
static void put_bytes(BPEModel *model, ByteString text)
{
    if (text.length) /* a hole has none */
        memcpy(model->bytes.bytes + model->bytes.length, text.bytes, text.length);
    model->bytes.length += text.length;
}

Status bpe_model_add_token(BPEModel *model, ByteString token)
{
    const Status s = reserve_token(model, token.length);
    if (s)
        return s;
    put_bytes(model, token);
    model->ends[model->vocab_size++] = model->bytes.length;
    return CS336_OK;
}

Status bpe_model_add_merge(BPEModel *model, BPEMerge merge)
{
    const Status s =
        array_reserve(&model->merges, &model->merge_capacity, model->merge_count + 1, sizeof *model->merges);
    if (!s)
        model->merges[model->merge_count++] = merge;
    return s;
}

Status bpe_model_merge(BPEModel *model, int32_t left, int32_t right)
{
    Status s = reserve_token(model, bpe_model_token(model, left).length + bpe_model_token(model, right).length);
    if (!s)
        s = bpe_model_add_merge(model, (BPEMerge){.left = left, .right = right, .merged = (int32_t)model->vocab_size});
    if (s)
        return s;
    /* reserve_token() may have moved the bytes, so the views of left and right are taken anew. */
    put_bytes(model, bpe_model_token(model, left));
    put_bytes(model, bpe_model_token(model, right));
    model->ends[model->vocab_size++] = model->bytes.length;
    return CS336_OK;
}

Status bpe_model_replace_tokens(BPEModel *model, const ByteString *tokens)
{
    ByteList bytes = {0};
    Status s = CS336_OK;
    for (size_t id = 0; !s && id < model->vocab_size; id++) {
        const ByteString token = tokens[id].bytes ? tokens[id] : bpe_model_token(model, (int32_t)id);
        s = byte_list_append(&bytes, token.bytes, token.length);
    }
    if (s) {
        byte_list_deinit(&bytes);
        return s;
    }
    /* From here on nothing fails. An end moves by what the tokens up to it have gained, modulo 2^64 if they lost. */
    size_t begin = 0, gained = 0;
    for (size_t id = 0; id < model->vocab_size; id++) {
        const size_t length = model->ends[id] - begin;
        begin = model->ends[id];
        gained += tokens[id].bytes ? tokens[id].length - length : 0;
        model->ends[id] += gained;
    }
    byte_list_deinit(&model->bytes);
    model->bytes = bytes;
    return CS336_OK;
}

Status bpe_model_copy(BPEModel *copy, const BPEModel *model)
{
    *copy = (BPEModel){0};
    Status s = array_reserve(&copy->ends, &copy->token_capacity, model->vocab_size, sizeof *copy->ends);
    if (!s)
        s = array_reserve(&copy->merges, &copy->merge_capacity, model->merge_count, sizeof *copy->merges);
    if (!s)
        s = byte_list_append(&copy->bytes, model->bytes.bytes, model->bytes.length);
    if (!s)
        s = array_reserve(&copy->specials, &copy->special_capacity, model->special_count, sizeof *copy->specials);
    if (!s)
        s = text_table_copy(&copy->special_texts, &model->special_texts);
    if (s) {
        bpe_model_deinit(copy);
        return s;
    }
    copy->pattern = model->pattern;
    copy->decode_only = model->decode_only;
    copy->ignore_merges = model->ignore_merges;
    copy->left_out = model->left_out;
    copy->vocab_size = model->vocab_size;
    copy->merge_count = model->merge_count;
    if (model->vocab_size)
        memcpy(copy->ends, model->ends, model->vocab_size * sizeof *copy->ends);
    if (model->merge_count)
        memcpy(copy->merges, model->merges, model->merge_count * sizeof *copy->merges);
    copy->special_count = model->special_count;
    if (model->special_count)
        memcpy(copy->specials, model->specials, model->special_count * sizeof *copy->specials);
    return CS336_OK;
}

void bpe_model_deinit(BPEModel *model)
{
    byte_list_deinit(&model->bytes);
    text_table_deinit(&model->special_texts);
    memory_release(model->ends);
    memory_release(model->merges);
    memory_release(model->specials);
    *model = (BPEModel){0};
}

const char *bpe_model_note(const BPEModel *model, size_t index)
{
    static const struct {
        unsigned bit; /* of BPELeftOut */
        const char *text;
    } notes[] = {
        {LEFT_OUT_POST_PROCESSOR,
         "its post_processor, which adds tokens to a text, is left out: ids are those of the text alone"},
        {LEFT_OUT_TRUNCATION, "its truncation of long texts is left out: ids are those of the text alone"},
        {LEFT_OUT_PADDING, "its padding of short texts is left out: ids are those of the text alone"},
        {LEFT_OUT_SPELLING, "it has no decoder; ids are decoded to the bytes of the text, where Hugging Face's "
                            "tokenizers prints tokens in GPT-2's alphabet with blanks between them"},
    };
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
        if ((model->left_out & notes[i].bit) && index-- == 0)
            return notes[i].text;
    return NULL;
}

/* ---- special tokens ---- */

ByteString bpe_model_special_text(const BPEModel *model, size_t index)
{
    return text_table_get(&model->special_texts, index);
}

int64_t bpe_model_find_special(const BPEModel *model, ByteString text)
{
    return text_table_find(&model->special_texts, text);
}

int64_t bpe_model_special_of(const BPEModel *model, int32_t id)
{
    if (model->special_count == 0)
        return -1;
    /* The bytes of an own entry are the special token's text, so the text's table finds it. */
    const int64_t index = bpe_model_find_special(model, bpe_model_token(model, id));
    const bool own = index >= 0 && model->specials[index].id == id && model->specials[index].kind <= SPECIAL_UNNAMED;
    return own ? index : -1;
}

bool bpe_model_is_special(const BPEModel *model, int32_t id)
{
    return bpe_model_special_of(model, id) >= 0;
}

Status bpe_model_set_special(BPEModel *model, ByteString text, int32_t id, BPESpecialKind kind)
{
    const int64_t known = bpe_model_find_special(model, text);
    if (known >= 0) {
        model->specials[known].id = id;
        model->specials[known].kind = kind;
        return CS336_OK;
    }
    Status s =
        array_reserve(&model->specials, &model->special_capacity, model->special_count + 1, sizeof *model->specials);
    if (!s)
        s = text_table_add(&model->special_texts, text);
    if (!s)
        model->specials[model->special_count++] = (BPESpecial){.id = id, .kind = kind};
    return s;
}

Status bpe_model_add_special(BPEModel *model, ByteString text)
{
    const Status s = bpe_model_add_token(model, text);
    return s ? s : bpe_model_set_special(model, text, (int32_t)(model->vocab_size - 1), SPECIAL_OWN);
}

/* ---- ids by bytes ---- */

/* Returns the slot of the token with these bytes, or the free slot where it belongs. */
static int32_t *find_slot(const TokenIndex *index, ByteString token)
{
    for (size_t i = (size_t)byte_string_hash(token);; i++) {
        int32_t *slot = &index->slots[i & index->slot_mask];
        if (*slot < 0 || byte_string_equal(bpe_model_token(index->model, *slot), token))
            return slot;
    }
}

Status token_index_init(TokenIndex *index, const BPEModel *model)
{
    const size_t slots = hash_table_slots(model->vocab_size);
    *index =
        (TokenIndex){.model = model, .slots = memory_allocate(slots * sizeof *index->slots), .slot_mask = slots - 1};
    if (!index->slots)
        return status_fail(CS336_ENOMEM, "token_index_init: no memory for %zu tokens", model->vocab_size);
    for (size_t i = 0; i < slots; i++)
        index->slots[i] = -1;
    for (size_t i = 0; i < model->vocab_size; i++) {
        int32_t *slot = find_slot(index, bpe_model_token(model, (int32_t)i));
        /* Of tokens with the same bytes the first ordinary one counts. */
        if (*slot < 0 || (bpe_model_is_special(model, *slot) && !bpe_model_is_special(model, (int32_t)i)))
            *slot = (int32_t)i;
    }
    return CS336_OK;
}

int32_t token_index_find(const TokenIndex *index, ByteString token)
{
    return *find_slot(index, token);
}

int32_t token_index_find_byte(const TokenIndex *index, uint8_t byte)
{
    return token_index_find(index, (ByteString){.bytes = &byte, .length = 1});
}

void token_index_deinit(TokenIndex *index)
{
    memory_release(index->slots);
    *index = (TokenIndex){0};
}

Status bpe_model_name_specials(BPEModel *model, const ByteString *texts, size_t count)
{
    /* A new token becomes a special token, so bpe_model_find_special() finds it when its text comes again; the index of
     * the other tokens need not change. */
    TokenIndex index = {0};
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < count; i++) {
        const int64_t known = bpe_model_find_special(model, texts[i]);
        if (known >= 0) {
            if (model->specials[known].kind == SPECIAL_UNNAMED)
                model->specials[known].kind = SPECIAL_OWN;
            continue;
        }
        if (!index.slots)
            s = token_index_init(&index, model);
        const int32_t id = s ? -1 : token_index_find(&index, texts[i]);
        if (!s)
            s = id < 0 ? bpe_model_add_special(model, texts[i])
                       : bpe_model_set_special(model, texts[i], id, SPECIAL_AS_BYTES);
    }
    token_index_deinit(&index);
    return s;
}
