#include "tests/support/plain_merge.h"

/* Returns the lowest rank of a pair, or the number of merges if it is none. */
static size_t rank_of(const BPEModel *model, int32_t left, int32_t right)
{
    size_t rank = 0;
    while (rank < model->merge_count && (model->merges[rank].left != left || model->merges[rank].right != right))
        rank++;
    return rank;
}

/* Returns the first token that is this byte. */
static int32_t id_of(const BPEModel *model, uint8_t byte)
{
    int32_t id = 0;
    while (bpe_model_token(model, id).length != 1 || bpe_model_token(model, id).bytes[0] != byte)
        id++;
    return id;
}

size_t plain_merge(int32_t *ids, const BPEModel *model, ByteString word)
{
    size_t count = word.length;
    for (size_t i = 0; i < count; i++)
        ids[i] = id_of(model, word.bytes[i]);
    for (;;) {
        size_t least = model->merge_count, place = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            const size_t rank = rank_of(model, ids[i], ids[i + 1]);
            if (rank < least) {
                least = rank;
                place = i;
            }
        }
        if (least == model->merge_count)
            return count;
        ids[place] = model->merges[least].merged;
        count--;
        for (size_t i = place + 1; i < count; i++)
            ids[i] = ids[i + 1];
    }
}
