#include "tokenizer/bpe_model.h"

#include "core/memory.h"

#include <assert.h>

ByteString bpe_model_token(const BPEModel *model, int32_t id)
{
    assert(id >= 0 && (size_t)id < model->vocab_size);
    const size_t begin = id ? model->ends[id - 1] : 0;
    return (ByteString){.bytes = model->bytes.bytes + begin, .length = model->ends[id] - begin};
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

Status bpe_model_copy(BPEModel *copy, const BPEModel *model)
{
    *copy = (BPEModel){0};
    Status s = array_reserve(&copy->ends, &copy->token_capacity, model->vocab_size, sizeof *copy->ends);
    if (!s)
        s = array_reserve(&copy->merges, &copy->merge_capacity, model->merge_count, sizeof *copy->merges);
    if (!s)
        s = byte_list_append(&copy->bytes, model->bytes.bytes, model->bytes.length);
    if (s) {
        bpe_model_deinit(copy);
        return s;
    }
    copy->vocab_size = model->vocab_size;
    copy->merge_count = model->merge_count;
    if (model->vocab_size)
        memcpy(copy->ends, model->ends, model->vocab_size * sizeof *copy->ends);
    if (model->merge_count)
        memcpy(copy->merges, model->merges, model->merge_count * sizeof *copy->merges);
    return CS336_OK;
}

void bpe_model_deinit(BPEModel *model)
{
    byte_list_deinit(&model->bytes);
    memory_release(model->ends);
    memory_release(model->merges);
    *model = (BPEModel){0};
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
        if (*slot < 0) /* of tokens with the same bytes the first one counts */
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

Status bpe_model_add_absent(BPEModel *model, const ByteString *tokens, size_t count)
{
    TokenIndex index;
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < count; i++) {
        s = token_index_init(&index, model); /* anew each time: the model changes, and special tokens are few */
        if (s)
            return s;
        const bool absent = token_index_find(&index, tokens[i]) < 0;
        token_index_deinit(&index);
        if (absent)
            s = bpe_model_add_token(model, tokens[i]);
    }
    return s;
}
