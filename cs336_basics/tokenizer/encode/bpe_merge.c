#include "tokenizer/encode/bpe_merge.h"

#include "core/memory.h"

enum {
    NO_RANK = INT32_MAX, /* after all ranks */
    SHORT_WORD = 64,
    FILTER_BITS = 8 /* a slot */
};

/* ---- merges by pair ---- */

static MergeSlot *find_slot(const MergeTable *table, int32_t left, int32_t right, uint64_t hash)
{
    for (size_t at = (size_t)hash;; at++) {
        MergeSlot *slot = &table->slots[at & table->mask];
        if ((slot->left == left && slot->right == right) || slot->rank == NO_RANK)
            return slot;
    }
}

static inline uint64_t pair_hash(int32_t left, int32_t right)
{
    const uint64_t z = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * UINT64_C(0x9E3779B97F4A7C15);
    return (z ^ z >> 32) * UINT64_C(0xD6E8FEB86659FD93);
}

/* The slots take the hash's low bits, the filter its high ones. */
static size_t filter_bit(const MergeTable *table, uint64_t hash)
{
    return (size_t)(hash >> 32) & table->filter_mask;
}

static inline int32_t rank_of(const MergeTable *table, int32_t left, int32_t right)
{
    const uint64_t hash = pair_hash(left, right);
    const size_t bit = filter_bit(table, hash);
    if (!(table->filter[bit / 64] >> bit % 64 & 1))
        return NO_RANK;
    return find_slot(table, left, right, hash)->rank;
}

static bool merge_is_sound(const BPEModel *model, BPEMerge merge)
{
    const int32_t parts[] = {merge.left, merge.right, merge.merged};
    for (size_t i = 0; i < 3; i++)
        if (parts[i] < 0 || (size_t)parts[i] >= model->vocab_size)
            return false;
    const ByteString left = bpe_model_token(model, merge.left), right = bpe_model_token(model, merge.right),
                     merged = bpe_model_token(model, merge.merged);
    return left.length + right.length == merged.length && memcmp(merged.bytes, left.bytes, left.length) == 0 &&
           memcmp(merged.bytes + left.length, right.bytes, right.length) == 0;
}

static Status add_merges(MergeTable *table, const BPEModel *model)
{
    for (size_t rank = 0; rank < model->merge_count; rank++) {
        const BPEMerge merge = model->merges[rank];
        if (!merge_is_sound(model, merge))
            return status_fail(CS336_ERANGE,
                               "tokenizer_create: merge %zu makes token %d from %d and %d, which it is not", rank,
                               (int)merge.merged, (int)merge.left, (int)merge.right);
        const uint64_t hash = pair_hash(merge.left, merge.right);
        const size_t bit = filter_bit(table, hash);
        MergeSlot *slot = find_slot(table, merge.left, merge.right, hash);
        if (slot->rank == NO_RANK)
            *slot = (MergeSlot){.left = merge.left, .right = merge.right, .rank = (int32_t)rank};
        table->filter[bit / 64] |= UINT64_C(1) << bit % 64;
        table->merged[rank] = merge.merged;
    }
    for (size_t a = 0; a < BYTE_VALUES; a++)
        for (size_t b = 0; b < BYTE_VALUES; b++)
            table->byte_ranks[a][b] = rank_of(table, table->byte_ids[a], table->byte_ids[b]);
    return CS336_OK;
}

static Status find_bytes(MergeTable *table, const BPEModel *model, const TokenIndex *index)
{
    for (unsigned b = 0; b < BYTE_VALUES; b++) {
        const uint8_t byte = (uint8_t)b;
        table->byte_ids[b] = token_index_find(index, (ByteString){.bytes = &byte, .length = 1});
        if (table->byte_ids[b] < 0)
            return status_fail(CS336_ERANGE, "tokenizer_create: no token for byte 0x%02X among %zu tokens", b,
                               model->vocab_size);
    }
    return CS336_OK;
}

Status merge_table_init(MergeTable *table, const BPEModel *model, const TokenIndex *index)
{
    *table = (MergeTable){0};
    Status s = find_bytes(table, model, index);
    if (s)
        return s;
    size_t slots = 512;
    while (slots < 2 * model->merge_count)
        slots *= 2;
    table->mask = slots - 1;
    table->filter_mask = FILTER_BITS * slots - 1;
    table->slots = memory_allocate(slots * sizeof *table->slots);
    table->filter = memory_allocate_zeroed(FILTER_BITS * slots / 64, sizeof *table->filter);
    table->merged = memory_allocate(model->merge_count * sizeof *table->merged);
    table->byte_ranks = memory_allocate(BYTE_VALUES * sizeof *table->byte_ranks);
    if (!table->slots || !table->filter || !table->merged || !table->byte_ranks) {
        s = status_fail(CS336_ENOMEM, "tokenizer_create: no memory for %zu merges", model->merge_count);
    } else {
        for (size_t i = 0; i < slots; i++)
            table->slots[i] = (MergeSlot){.left = -1, .rank = NO_RANK};
        s = add_merges(table, model);
    }
    if (s)
        merge_table_deinit(table);
    return s;
}

void merge_table_deinit(MergeTable *table)
{
    memory_release(table->slots);
    memory_release(table->filter);
    memory_release(table->merged);
    memory_release(table->byte_ranks);
    *table = (MergeTable){0};
}

/* ---- short words: look at all pairs after each merge ---- */

/* A symbol, and the rank of its pair with the next one. */
typedef struct {
    int32_t id, rank;
} Symbol;

/* ids[0, length) become fewer; returns how many. */
static size_t merge_short(const MergeTable *table, int32_t *ids, const uint8_t *word, size_t length)
{
    Symbol symbols[SHORT_WORD];
    for (size_t i = 0; i + 1 < length; i++)
        symbols[i] = (Symbol){ids[i], table->byte_ranks[word[i]][word[i + 1]]};
    symbols[length - 1] = (Symbol){ids[length - 1], NO_RANK};
    for (;;) {
        int32_t least = NO_RANK;
        size_t best = 0;
        for (size_t i = 0; i < length; i++)
            if (symbols[i].rank < least) {
                least = symbols[i].rank;
                best = i;
            }
        if (least == NO_RANK)
            break;
        length--;
        for (size_t i = best; i < length; i++)
            symbols[i] = symbols[i + 1];
        symbols[best].id = table->merged[least];
        if (best > 0)
            symbols[best - 1].rank = rank_of(table, symbols[best - 1].id, symbols[best].id);
        if (best + 1 < length)
            symbols[best].rank = rank_of(table, symbols[best].id, symbols[best + 1].id);
    }
    for (size_t i = 0; i < length; i++)
        ids[i] = symbols[i].id;
    return length;
}

/* ---- long words: a heap of pairs, a linked list of symbols ---- */

typedef struct {
    int32_t symbol, next, previous; /* places of the neighbours, -1: none */
    int32_t rank;                   /* of the pair with the next symbol */
} Link;

/*
 * An entry is rank << 32 | place of the left symbol, so that the least one is the next merge. It is out of date when
 * the pair at its place has another rank by now. There are at most n - 1 pairs at the start, and two more for each of
 * at most n - 1 merges.
 */
typedef struct {
    uint64_t *entries;
    size_t count;
} Heap;

enum { HEAP_ENTRIES = 3 };

static void heap_push(Heap *heap, uint64_t entry)
{
    size_t at = heap->count++;
    for (; at > 0 && entry < heap->entries[(at - 1) / 2]; at = (at - 1) / 2)
        heap->entries[at] = heap->entries[(at - 1) / 2];
    heap->entries[at] = entry;
}

static uint64_t heap_pop(Heap *heap)
{
    const uint64_t top = heap->entries[0], entry = heap->entries[--heap->count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < heap->count; at = child) {
        if (child + 1 < heap->count && heap->entries[child + 1] < heap->entries[child])
            child++;
        if (entry <= heap->entries[child])
            break;
        heap->entries[at] = heap->entries[child];
    }
    heap->entries[at] = entry;
    return top;
}

/* Looks the pair at a place up, and lets it compete if it is a merge. */
static void find_rank(const MergeTable *table, Link *links, int32_t at, Heap *heap)
{
    Link *link = &links[at];
    link->rank = link->next < 0 ? NO_RANK : rank_of(table, link->symbol, links[link->next].symbol);
    if (link->rank != NO_RANK)
        heap_push(heap, (uint64_t)link->rank << 32 | (uint32_t)at);
}

static void join_next(const MergeTable *table, Link *links, int32_t at, Heap *heap)
{
    Link *link = &links[at], *gone = &links[link->next];
    link->symbol = table->merged[link->rank];
    link->next = gone->next;
    gone->rank = NO_RANK;
    if (link->next >= 0)
        links[link->next].previous = at;
    if (link->previous >= 0)
        find_rank(table, links, link->previous, heap);
    find_rank(table, links, at, heap);
}

static size_t merge_long(const MergeTable *table, MergeScratch *scratch, size_t length)
{
    Heap heap = {.entries = scratch->block};
    Link *links = (Link *)(heap.entries + HEAP_ENTRIES * scratch->capacity);
    for (size_t i = 0; i < length; i++)
        links[i] =
            (Link){.symbol = scratch->ids[i], .next = i + 1 < length ? (int32_t)i + 1 : -1, .previous = (int32_t)i - 1};
    for (size_t i = 0; i < length; i++)
        find_rank(table, links, (int32_t)i, &heap);
    while (heap.count) {
        const uint64_t top = heap_pop(&heap);
        const int32_t at = (int32_t)(top & UINT32_MAX);
        if (links[at].rank == (int32_t)(top >> 32))
            join_next(table, links, at, &heap);
    }
    size_t count = 0;
    for (int32_t at = 0; at >= 0; at = links[at].next)
        scratch->ids[count++] = links[at].symbol;
    return count;
}

Status merge_scratch_reserve(MergeScratch *scratch, size_t length)
{
    if (length <= scratch->capacity)
        return CS336_OK;
    const size_t each = HEAP_ENTRIES * sizeof(uint64_t) + sizeof(Link) + sizeof(int32_t);
    merge_scratch_deinit(scratch);
    scratch->block = length <= INT32_MAX ? memory_allocate(memory_product(length, each)) : NULL;
    if (!scratch->block)
        return status_fail(CS336_ENOMEM, "tokenizer_encode: no memory for a pre-token of %zu bytes", length);
    scratch->capacity = length;
    scratch->ids = (int32_t *)((Link *)((uint64_t *)scratch->block + HEAP_ENTRIES * length) + length);
    return CS336_OK;
}

void merge_scratch_deinit(MergeScratch *scratch)
{
    memory_release(scratch->block);
    *scratch = (MergeScratch){0};
}

size_t merge_table_apply(const MergeTable *table, MergeScratch *scratch, const uint8_t *word, size_t length)
{
    for (size_t i = 0; i < length; i++)
        scratch->ids[i] = table->byte_ids[word[i]];
    return length <= SHORT_WORD ? merge_short(table, scratch->ids, word, length) : merge_long(table, scratch, length);
}
