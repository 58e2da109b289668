#include "tokenizer/learn/bpe_pairs.h"

#include "core/memory.h"

enum {
    FIRST_SLOTS = 1024,      /* of the index */
    SLAB_POSITIONS = 1 << 18 /* positions of a slab: 1 MiB */
};

/* ---- the index ---- */

/* Enters all pairs into the index, which is empty. */
static void index_pairs(BPEPairs *pairs)
{
    for (uint32_t i = 0; i < pairs->pair_count; i++) {
        const Pair *pair = &pairs->pairs[i];
        *bpe_pairs_slot(pairs, pair->left, pair->right) =
            (PairSlot){.left = pair->left, .right = pair->right, .number = i + 1};
    }
}

/* Doubles the index if one more pair would use more than half of its slots. */
static Status reserve_slot(BPEPairs *pairs)
{
    if (2 * (pairs->pair_count + 1) <= pairs->slot_count)
        return CS336_OK;
    const size_t slots = pairs->slot_count ? 2 * pairs->slot_count : FIRST_SLOTS;
    PairSlot *larger = slots < NO_PAIR ? memory_allocate_table(slots, sizeof *larger) : NULL;
    if (!larger)
        return status_fail(CS336_ENOMEM, "bpe_train: no memory for %zu distinct pairs", slots);
    memory_release(pairs->slots);
    pairs->slots = larger;
    pairs->slot_count = slots;
    index_pairs(pairs);
    return CS336_OK;
}

Status bpe_pairs_add(BPEPairs *pairs, int32_t left, int32_t right, uint32_t *number)
{
    Status s = reserve_slot(pairs);
    if (!s)
        s = array_reserve(&pairs->pairs, &pairs->pair_capacity, pairs->pair_count + 1, sizeof *pairs->pairs);
    if (s)
        return s;
    *number = (uint32_t)pairs->pair_count++;
    pairs->pairs[*number] = (Pair){.left = left, .right = right};
    *bpe_pairs_slot(pairs, left, right) = (PairSlot){.left = left, .right = right, .number = *number + 1};
    return CS336_OK;
}

void bpe_pairs_keep(BPEPairs *pairs, uint64_t least_count)
{
    size_t kept = 0;
    for (size_t i = 0; i < pairs->pair_count; i++)
        if (pairs->pairs[i].count >= least_count)
            pairs->pairs[kept++] = pairs->pairs[i];
    pairs->pair_count = kept;
    if (pairs->slot_count)
        memset(pairs->slots, 0, pairs->slot_count * sizeof *pairs->slots);
    index_pairs(pairs);
}

/* ---- positions ---- */

struct PositionSlab {
    PositionSlab *next;
    size_t used, capacity;
    uint32_t positions[];
};

/* Takes room for `count` positions from the latest slab, or from another one if they do not fit. */
static Status take_positions(BPEPairs *pairs, uint32_t **positions, size_t count)
{
    PositionSlab *slab = pairs->slabs;
    if (!slab || slab->capacity - slab->used < count) {
        const size_t capacity = count > SLAB_POSITIONS ? count : SLAB_POSITIONS;
        slab = memory_allocate(sizeof *slab + capacity * sizeof *slab->positions);
        if (!slab)
            return status_fail(CS336_ENOMEM, "bpe_train: no memory for %zu positions of pairs", capacity);
        *slab = (PositionSlab){.next = pairs->slabs, .capacity = capacity};
        pairs->slabs = slab;
    }
    *positions = slab->positions + slab->used;
    slab->used += count;
    return CS336_OK;
}

void bpe_pairs_clear(BPEPairs *pairs)
{
    while (pairs->slabs) {
        PositionSlab *next = pairs->slabs->next;
        memory_release(pairs->slabs);
        pairs->slabs = next;
    }
    memory_release(pairs->pairs);
    memory_release(pairs->slots);
    memory_release(pairs->heap);
    *pairs = (BPEPairs){.model = pairs->model};
}

/* ---- the heap: the children of entry i are entries 2 i + 1 and 2 i + 2 ---- */

static int compare_tokens(const BPEModel *model, int32_t a, int32_t b)
{
    return a == b ? 0 : byte_string_compare(bpe_model_token(model, a), bpe_model_token(model, b));
}

/* True if a is merged before b. */
static inline bool before(const BPEPairs *pairs, const PairCandidate *a, const PairCandidate *b)
{
    if (a->count != b->count)
        return a->count > b->count;
    const Pair *p = &pairs->pairs[a->pair], *q = &pairs->pairs[b->pair];
    const int order = compare_tokens(pairs->model, p->left, q->left);
    return (order ? order : compare_tokens(pairs->model, p->right, q->right)) > 0;
}

static void sift_up(BPEPairs *pairs, PairCandidate candidate)
{
    size_t i = pairs->heap_count++;
    for (; i > 0 && before(pairs, &candidate, &pairs->heap[(i - 1) / 2]); i = (i - 1) / 2)
        pairs->heap[i] = pairs->heap[(i - 1) / 2];
    pairs->heap[i] = candidate;
}

/* Puts a candidate at the top, from where it sinks. */
static void replace_top(BPEPairs *pairs, PairCandidate candidate)
{
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < pairs->heap_count; i = child) {
        if (child + 1 < pairs->heap_count && before(pairs, &pairs->heap[child + 1], &pairs->heap[child]))
            child++;
        if (!before(pairs, &pairs->heap[child], &candidate))
            break;
        pairs->heap[i] = pairs->heap[child];
    }
    pairs->heap[i] = candidate;
}

static void remove_top(BPEPairs *pairs)
{
    if (--pairs->heap_count > 0)
        replace_top(pairs, pairs->heap[pairs->heap_count]);
}

Status bpe_pairs_enter(BPEPairs *pairs, uint32_t number, uint32_t position_count)
{
    Pair *pair = &pairs->pairs[number];
    Status s = array_reserve(&pairs->heap, &pairs->heap_capacity, pairs->heap_count + 1, sizeof *pairs->heap);
    if (!s)
        s = take_positions(pairs, &pair->positions, position_count);
    if (s)
        return s;
    pair->position_count = position_count;
    sift_up(pairs, (PairCandidate){.count = pair->count, .pair = number});
    return CS336_OK;
}

bool bpe_pairs_pop(BPEPairs *pairs, uint64_t least_count, uint32_t *best)
{
    while (pairs->heap_count > 0) {
        PairCandidate top = pairs->heap[0];
        const uint64_t count = pairs->pairs[top.pair].count;
        if (count < least_count) {
            remove_top(pairs);
        } else if (count < top.count) { /* the entry is out of date */
            top.count = count;
            replace_top(pairs, top);
        } else {
            remove_top(pairs);
            *best = top.pair;
            return true;
        }
    }
    return false;
}
