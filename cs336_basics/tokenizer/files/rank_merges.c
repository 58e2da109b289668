#include "tokenizer/files/rank_merges.h"

#include "core/memory.h"
#include "tokenizer/files/token_text.h"

enum { NOTHING = INT32_MAX /* two parts that join to no token: higher than all ids */ };

Status rank_merges_init(RankMerges *ranks, const BPEModel *model, const char *where)
{
    *ranks = (RankMerges){.model = model};
    size_t longest = 0;
    for (size_t id = 0; id < model->vocab_size; id++) {
        const ByteString token = bpe_model_token(model, (int32_t)id);
        longest = token.length > longest ? token.length : longest;
        if (token.length > RANK_LONGEST_TOKEN)
            return status_fail(CS336_EFORMAT, "%s: token %zu \"%s...\" has %zu bytes, expected at most %d", where, id,
                               token_shown(token).text, token.length, RANK_LONGEST_TOKEN);
    }
    ranks->special = memory_allocate_zeroed(model->vocab_size, sizeof *ranks->special);
    ranks->begins = memory_allocate((longest + 1) * sizeof *ranks->begins);
    ranks->joined = memory_allocate((longest + 1) * sizeof *ranks->joined);
    Status s = CS336_OK;
    if (!ranks->special || !ranks->begins || !ranks->joined)
        s = status_fail(CS336_ENOMEM, "rank_merges_init: no memory for %zu tokens", model->vocab_size);
    if (!s)
        s = token_index_init(&ranks->index, model);
    for (size_t i = 0; !s && i < model->special_count; i++)
        ranks->special[model->specials[i].id] = model->specials[i].kind <= SPECIAL_UNNAMED;
    if (s)
        rank_merges_deinit(ranks);
    return s;
}

/* Returns the token that a part of a token and the next part join to, or NOTHING. */
static int32_t join(const RankMerges *ranks, ByteString token, size_t part)
{
    const size_t begin = ranks->begins[part], length = ranks->begins[part + 2] - begin;
    const int32_t id = token_index_find(&ranks->index, (ByteString){.bytes = token.bytes + begin, .length = length});
    return id < 0 || ranks->special[id] ? NOTHING : id;
}

bool rank_merges_find(RankMerges *ranks, int32_t id, BPEMerge *merge)
{
    const ByteString token = bpe_model_token(ranks->model, id);
    size_t *begins = ranks->begins, parts = token.length;
    int32_t *joined = ranks->joined;
    for (size_t i = 0; i <= parts; i++)
        begins[i] = i;
    for (size_t i = 0; i + 1 < parts; i++)
        joined[i] = join(ranks, token, i);
    while (parts > 2) {
        size_t least = 0; /* the leftmost of equal ones */
        for (size_t i = 1; i + 1 < parts; i++)
            if (joined[i] < joined[least])
                least = i;
        if (joined[least] == NOTHING)
            return false;
        /* Join the pair, and look up the pairs on both sides. */
        memmove(begins + least + 1, begins + least + 2, (parts - least - 1) * sizeof *begins);
        memmove(joined + least, joined + least + 1, (parts - least - 2) * sizeof *joined);
        parts--;
        if (least > 0)
            joined[least - 1] = join(ranks, token, least - 1);
        if (least + 1 < parts)
            joined[least] = join(ranks, token, least);
    }
    const ByteString left = {.bytes = token.bytes, .length = begins[1]};
    const ByteString right = {.bytes = token.bytes + begins[1], .length = token.length - begins[1]};
    *merge = (BPEMerge){
        .left = token_index_find(&ranks->index, left), .right = token_index_find(&ranks->index, right), .merged = id};
    return true;
}

void rank_merges_deinit(RankMerges *ranks)
{
    token_index_deinit(&ranks->index);
    memory_release(ranks->special);
    memory_release(ranks->begins);
    memory_release(ranks->joined);
    *ranks = (RankMerges){0};
}
