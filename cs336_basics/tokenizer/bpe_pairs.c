#include "tokenizer/bpe_pairs.h"

#include "core/memory.h"

enum { FIRST_SLOTS = 1024 };

/* ---- pairs by their tokens ---- */

static uint32_t *find_slot(const BPEPairs *pairs, int32_t left, int32_t right)
{
    for (size_t at = (size_t)token_pair_hash(left, right);; at++) {
        uint32_t *slot = &pairs->slots[at & (pairs->slot_count - 1)];
        if (*slot == 0 || (pairs->pairs[*slot - 1].left == left && pairs->pairs[*slot - 1].right == right))
            return slot;
    }
}

static Status grow_slots(BPEPairs *pairs)
{
    const size_t slots = pairs->slot_count ? 2 * pairs->slot_count : FIRST_SLOTS;
    uint32_t *larger = memory_allocate_zeroed(slots, sizeof *larger);
    if (!larger || slots >= UINT32_MAX) {
        memory_release(larger);
        return status_fail(CS336_ENOMEM, "bpe_train: no memory for %zu distinct pairs", slots);
    }
    memory_release(pairs->slots);
    pairs->slots = larger;
    pairs->slot_count = slots;
    for (size_t i = 0; i < pairs->pair_count; i++)
        *find_slot(pairs, pairs->pairs[i].left, pairs->pairs[i].right) = (uint32_t)i + 1;
    return CS336_OK;
}

static Status find_or_add(BPEPairs *pairs, int32_t left, int32_t right, Pair **pair)
{
    Status s = CS336_OK;
    if (2 * (pairs->pair_count + 1) > pairs->slot_count)
        s = grow_slots(pairs);
    if (!s)
        s = array_reserve(&pairs->pairs, &pairs->pair_capacity, pairs->pair_count + 1, sizeof *pairs->pairs);
    if (s)
        return s;
    uint32_t *slot = find_slot(pairs, left, right);
    if (*slot == 0) {
        pairs->pairs[pairs->pair_count++] = (Pair){.left = left, .right = right, .first = NO_VISIT, .last = NO_VISIT};
        *slot = (uint32_t)pairs->pair_count;
    }
    *pair = &pairs->pairs[*slot - 1];
    return CS336_OK;
}

Status bpe_pairs_gain(BPEPairs *pairs, int32_t left, int32_t right, uint32_t word, uint64_t count)
{
    Pair *pair = NULL;
    Status s = find_or_add(pairs, left, right, &pair);
    if (!s)
        s = array_reserve(&pairs->visits, &pairs->visit_capacity, pairs->visit_count + 1, sizeof *pairs->visits);
    if (!s && pairs->visit_count == NO_VISIT)
        s = status_fail(CS336_ENOMEM, "bpe_train: more than %u places of pairs", NO_VISIT);
    if (s)
        return s;
    pair->count += count;
    if (pair->last != NO_VISIT && pairs->visits[pair->last].word == word)
        return CS336_OK;
    const uint32_t visit = (uint32_t)pairs->visit_count++;
    pairs->visits[visit] = (Visit){.word = word, .next = NO_VISIT};
    if (pair->last == NO_VISIT)
        pair->first = visit;
    else
        pairs->visits[pair->last].next = visit;
    pair->last = visit;
    return CS336_OK;
}

void bpe_pairs_lose(BPEPairs *pairs, int32_t left, int32_t right, uint64_t count)
{
    pairs->pairs[*find_slot(pairs, left, right) - 1].count -= count;
}

void bpe_pairs_deinit(BPEPairs *pairs)
{
    memory_release(pairs->pairs);
    memory_release(pairs->slots);
    memory_release(pairs->visits);
    memory_release(pairs->heap);
    *pairs = (BPEPairs){0};
}

/* ---- the competition: a heap with the best candidate on top ---- */

static bool before(const BPEPairs *pairs, Candidate a, Candidate b)
{
    if (a.count != b.count)
        return a.count > b.count;
    const Pair *p = &pairs->pairs[a.pair], *q = &pairs->pairs[b.pair];
    int order = 0;
    if (p->left != q->left)
        order = byte_string_compare(bpe_model_token(pairs->model, p->left), bpe_model_token(pairs->model, q->left));
    if (order == 0)
        order = byte_string_compare(bpe_model_token(pairs->model, p->right), bpe_model_token(pairs->model, q->right));
    return order > 0;
}

static void sift_up(BPEPairs *pairs, Candidate candidate)
{
    size_t at = pairs->heap_count++;
    for (; at > 0 && before(pairs, candidate, pairs->heap[(at - 1) / 2]); at = (at - 1) / 2)
        pairs->heap[at] = pairs->heap[(at - 1) / 2];
    pairs->heap[at] = candidate;
}

static void replace_top(BPEPairs *pairs, Candidate candidate)
{
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < pairs->heap_count; at = child) {
        if (child + 1 < pairs->heap_count && before(pairs, pairs->heap[child + 1], pairs->heap[child]))
            child++;
        if (!before(pairs, pairs->heap[child], candidate))
            break;
        pairs->heap[at] = pairs->heap[child];
    }
    pairs->heap[at] = candidate;
}

static void remove_top(BPEPairs *pairs)
{
    if (--pairs->heap_count > 0)
        replace_top(pairs, pairs->heap[pairs->heap_count]);
}

Status bpe_pairs_enter(BPEPairs *pairs, size_t first)
{
    const size_t entering = pairs->pair_count - first;
    const Status s =
        array_reserve(&pairs->heap, &pairs->heap_capacity, pairs->heap_count + entering, sizeof *pairs->heap);
    for (size_t i = first; !s && i < pairs->pair_count; i++)
        sift_up(pairs, (Candidate){.count = pairs->pairs[i].count, .pair = (uint32_t)i});
    return s;
}

bool bpe_pairs_pop(BPEPairs *pairs, uint32_t *best)
{
    while (pairs->heap_count > 0) {
        Candidate top = pairs->heap[0];
        const uint64_t count = pairs->pairs[top.pair].count;
        if (count == 0) {
            remove_top(pairs);
        } else if (count < top.count) {
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
