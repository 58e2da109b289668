/* Writes a rank file; rank_file_read.c reads one. */
#include "tokenizer/files/rank_file.h"

#include "tokenizer/files/rank_merges.h"
#include "tokenizer/files/token_text.h"

#include <stdio.h>

static Status append_base64(ByteList *text, ByteString token)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < token.length; i += 3) {
        /* Three bytes, of which the last token may have fewer, are four digits of 6 bits. */
        const size_t left = token.length - i;
        const unsigned bits = (unsigned)token.bytes[i] << 16 | (left > 1 ? (unsigned)token.bytes[i + 1] << 8 : 0) |
                              (left > 2 ? token.bytes[i + 2] : 0U);
        const uint8_t four[] = {(uint8_t)digits[bits >> 18], (uint8_t)digits[bits >> 12 & 63],
                                (uint8_t)(left > 1 ? digits[bits >> 6 & 63] : '='),
                                (uint8_t)(left > 2 ? digits[bits & 63] : '=')};
        s = byte_list_append(text, four, sizeof four);
    }
    return s;
}

static const char refusal[] = "a rank file cannot hold this vocabulary";

static Status refuse(const BPEModel *model, int32_t id, const char *why)
{
    return status_fail(CS336_ERANGE, "%s: token %d \"%s\" %s", refusal, (int)id,
                       token_shown(bpe_model_token(model, id)).text, why);
}

/* Checks that each merge makes a token whose id is not lower than those before it: ranks are ids. */
static Status check_order(const BPEModel *model)
{
    for (size_t i = 1; i < model->merge_count; i++)
        if (model->merges[i].merged < model->merges[i - 1].merged)
            return refuse(model, model->merges[i].merged,
                          "is made by a later merge than tokens with higher ids, and a rank is an id");
    return CS336_OK;
}

/* True if a model whose merges are in the order of the tokens that they make has a merge. */
static bool has_merge(const BPEModel *model, BPEMerge merge)
{
    size_t low = 0, high = model->merge_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (model->merges[middle].merged < merge.merged)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < model->merge_count && model->merges[low].merged == merge.merged; low++)
        if (model->merges[low].left == merge.left && model->merges[low].right == merge.right)
            return true;
    return false;
}

/*
 * Checks that the ranks alone lead to the same merges. The model may have other merges for a token besides: tokens are
 * never joined by these, because their parts never stand side by side (rank_merges.h).
 */
static Status check_merge(const BPEModel *model, RankMerges *ranks, int32_t id)
{
    BPEMerge merge;
    if (bpe_model_token(model, id).length < 2)
        return CS336_OK;
    if (!rank_merges_find(ranks, id, &merge))
        return model->ignore_merges ? CS336_OK
                                    : refuse(model, id,
                                             "is never made by merges, but a pre-token would become it; if it is a "
                                             "special token, --special-token names it");
    return has_merge(model, merge) ? CS336_OK : refuse(model, id, "has other merges than those that the ranks lead to");
}

Status rank_file_write(FileWriter *writer, const BPEModel *model)
{
    RankMerges ranks;
    ByteList text = {0};
    char number[32];
    Status s = bpe_model_check_merges(__func__, model);
    if (!s)
        s = check_order(model);
    if (!s)
        s = rank_merges_init(&ranks, model, refusal);
    if (s == CS336_EFORMAT)
        return CS336_ERANGE;
    if (s)
        return s;
    for (size_t id = 0; !s && id < model->vocab_size; id++) {
        const ByteString token = bpe_model_token(model, (int32_t)id);
        if (token.length == 0 || ranks.special[id])
            continue;
        s = check_merge(model, &ranks, (int32_t)id);
        if (!s)
            s = append_base64(&text, token);
        snprintf(number, sizeof number, " %zu\n", id);
        if (!s)
            s = byte_list_append_text(&text, number);
    }
    if (!s)
        s = file_write(writer, text.bytes, text.length);
    byte_list_deinit(&text);
    rank_merges_deinit(&ranks);
    return s;
}
