#include "tokenizer/encode/bpe_merge.h"

#include "core/memory.h"
#include "core/plural.h"

enum {
    SHORT_WORD = 64, /* bytes up to which comparing all pairs is faster than a heap */
    FILTER_BITS = 8  /* bits of the filter for each slot: with half the slots used, one bit in 16 is set */
};

/* ---- merges by pair ---- */

/* Returns the slot of a pair, or the free slot where it belongs. */
static MergeSlot *find_slot(const MergeTable *table, int32_t left, int32_t right, uint64_t hash)
{
    for (size_t i = (size_t)hash;; i++) {
        MergeSlot *slot = &table->slots[i & table->slot_mask];
        if ((slot->left == left && slot->right == right) || slot->rank == MERGE_NO_RANK)
            return slot;
    }
}

/* The slot depends on the hash's lower half, the filter's bit on its upper half. */
static size_t filter_bit(const MergeTable *table, uint64_t hash)
{
    return (size_t)(hash >> 32) & table->filter_mask;
}

/* Returns the rank of a pair, or MERGE_NO_RANK if it is no merge. */
static inline int32_t rank_of(const MergeTable *table, int32_t left, int32_t right)
{
    const uint64_t hash = token_pair_hash(left, right);
    const size_t bit = filter_bit(table, hash);
    if (!(table->filter[bit / 64] >> bit % 64 & 1))
        return MERGE_NO_RANK;
    return find_slot(table, left, right, hash)->rank;
}

int32_t merge_table_rank(const MergeTable *table, int32_t left, int32_t right)
{
    return rank_of(table, left, right);
}

/* True if the three tokens of a merge are in the vocabulary and the first two join to the third. */
static bool merge_is_sound(const BPEModel *model, BPEMerge merge)
{
    const int32_t ids[] = {merge.left, merge.right, merge.merged};
    for (size_t i = 0; i < 3; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= model->vocab_size)
            return false;
    const ByteString left = bpe_model_token(model, merge.left), right = bpe_model_token(model, merge.right),
                     merged = bpe_model_token(model, merge.merged);
    return left.length + right.length == merged.length && memcmp(merged.bytes, left.bytes, left.length) == 0 &&
           memcmp(merged.bytes + left.length, right.bytes, right.length) == 0;
}

/* Enters a merge into byte_ranks if it joins two bytes. */
static void note_byte_pair(MergeTable *table, const BPEModel *model, int32_t rank)
{
    const BPEMerge merge = model->merges[rank];
    const ByteString left = bpe_model_token(model, merge.left), right = bpe_model_token(model, merge.right);
    if (left.length != 1 || right.length != 1)
        return;
    const uint8_t a = *left.bytes, b = *right.bytes;
    if (table->byte_ids[a] == merge.left && table->byte_ids[b] == merge.right)
        table->byte_ranks[a][b] = rank;
}

/* Enters all merges into the slots, the filter and the ranks of pairs of bytes. */
static Status add_merges(MergeTable *table, const BPEModel *model)
{
    for (size_t a = 0; a < BYTE_VALUES; a++)
        for (size_t b = 0; b < BYTE_VALUES; b++)
            table->byte_ranks[a][b] = MERGE_NO_RANK;
    for (size_t rank = 0; rank < model->merge_count; rank++) {
        const BPEMerge merge = model->merges[rank];
        if (!merge_is_sound(model, merge))
            return status_fail(CS336_ERANGE,
                               "tokenizer_create: merge %zu makes token %d from %d and %d, which it is not", rank,
                               (int)merge.merged, (int)merge.left, (int)merge.right);
        const uint64_t hash = token_pair_hash(merge.left, merge.right);
        const size_t bit = filter_bit(table, hash);
        MergeSlot *slot = find_slot(table, merge.left, merge.right, hash);
        if (slot->rank == MERGE_NO_RANK) { /* of merges with the same pair the first one counts */
            *slot = (MergeSlot){.left = merge.left, .right = merge.right, .rank = (int32_t)rank};
            note_byte_pair(table, model, (int32_t)rank);
        }
        table->filter[bit / 64] |= UINT64_C(1) << bit % 64;
        table->merged[rank] = merge.merged;
    }
    return CS336_OK;
}

/* Looks up the tokens of the 256 bytes. */
static Status find_bytes(MergeTable *table, const BPEModel *model, const TokenIndex *index)
{
    for (unsigned b = 0; b < BYTE_VALUES; b++) {
        table->byte_ids[b] = token_index_find_byte(index, (uint8_t)b);
        if (table->byte_ids[b] < 0)
            return status_fail(CS336_ERANGE, "tokenizer_create: no token for byte 0x%02X among %zu token%s", b,
                               model->vocab_size, plural(model->vocab_size));
    }
    return CS336_OK;
}

Status merge_table_init(MergeTable *table, const BPEModel *model, const TokenIndex *index)
{
    *table = (MergeTable){0};
    Status s = find_bytes(table, model, index);
    if (s)
        return s;
    /* Allocate. */
    const size_t slots = hash_table_slots(model->merge_count);
    table->slot_mask = slots - 1;
    table->filter_mask = FILTER_BITS * slots - 1;
    table->slots = memory_allocate(slots * sizeof *table->slots);
    table->filter = memory_allocate_zeroed(FILTER_BITS * slots / 64, sizeof *table->filter);
    table->merged = memory_allocate(model->merge_count * sizeof *table->merged);
    table->byte_ranks = memory_allocate(BYTE_VALUES * sizeof *table->byte_ranks);
    if (!table->slots || !table->filter || !table->merged || !table->byte_ranks) {
        s = status_fail(CS336_ENOMEM, "tokenizer_create: no memory for %zu merges", model->merge_count);
    } else {
        /* Fill. */
        for (size_t i = 0; i < slots; i++)
            table->slots[i] = (MergeSlot){.left = -1, .rank = MERGE_NO_RANK};
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

/* ---- short pre-tokens: compare all pairs after each merge ---- */

/* A token of the pre-token, and the rank of its pair with the next one. */
typedef struct {
    int32_t id, rank;
} Symbol;

/* Merges ids[0, length), the tokens of the bytes, and returns how many are left. */
static size_t merge_short(const MergeTable *table, int32_t *ids, const uint8_t *word, size_t length)
{
    Symbol symbols[SHORT_WORD];
    for (size_t i = 0; i + 1 < length; i++)
        symbols[i] = (Symbol){ids[i], table->byte_ranks[word[i]][word[i + 1]]};
    symbols[length - 1] = (Symbol){ids[length - 1], MERGE_NO_RANK};
    for (;;) {
        /* Find the pair with the lowest rank. */
        int32_t least = MERGE_NO_RANK;
        size_t best = 0;
        for (size_t i = 0; i < length; i++)
            if (symbols[i].rank < least) {
                least = symbols[i].rank;
                best = i;
            }
        if (least == MERGE_NO_RANK)
            break;
        /* Replace it by the merged token, and look up the pairs on both sides. */
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

/* ---- long pre-tokens: a heap of pairs, a linked list of tokens ---- */

typedef struct {
    int32_t id, next, previous; /* the token, and the links of its neighbours; -1: none */
    int32_t rank;               /* of the pair with the next token */
} Link;

/*
 * A binary heap; the children of entry i are entries 2 i + 1 and 2 i + 2. An entry is rank << 32 | number of the left
 * token's link, so the least one is the next merge. An entry is out of date if the pair at its link has another rank
 * now.
 */
typedef struct {
    uint64_t *entries;
    size_t count;
} Heap;

enum { HEAP_ENTRIES = 3 }; /* for each byte: n bytes have n - 1 pairs, and each of up to n - 1 merges adds two */

static void heap_push(Heap *heap, uint64_t entry)
{
    size_t i = heap->count++;
    for (; i > 0 && entry < heap->entries[(i - 1) / 2]; i = (i - 1) / 2)
        heap->entries[i] = heap->entries[(i - 1) / 2];
    heap->entries[i] = entry;
}

static uint64_t heap_pop(Heap *heap)
{
    const uint64_t top = heap->entries[0], entry = heap->entries[--heap->count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < heap->count; i = child) {
        if (child + 1 < heap->count && heap->entries[child + 1] < heap->entries[child])
            child++;
        if (entry <= heap->entries[child])
            break;
        heap->entries[i] = heap->entries[child];
    }
    heap->entries[i] = entry;
    return top;
}

/* Looks up the rank of a link's pair, and puts the pair into the heap if it is a merge. */
static void find_rank(const MergeTable *table, Link *links, int32_t number, Heap *heap)
{
    Link *link = &links[number];
    link->rank = link->next < 0 ? MERGE_NO_RANK : rank_of(table, link->id, links[link->next].id);
    if (link->rank != MERGE_NO_RANK)
        heap_push(heap, (uint64_t)link->rank << 32 | (uint32_t)number);
}

/* Merges a link's pair: the link takes the merged token, and the next link is left out. */
static void join_next(const MergeTable *table, Link *links, int32_t number, Heap *heap)
{
    Link *link = &links[number], *removed = &links[link->next];
    link->id = table->merged[link->rank];
    link->next = removed->next;
    removed->rank = MERGE_NO_RANK;
    if (link->next >= 0)
        links[link->next].previous = number;
    if (link->previous >= 0)
        find_rank(table, links, link->previous, heap);
    find_rank(table, links, number, heap);
}

/* Merges scratch->ids[0, length), the tokens of the bytes, and returns how many are left. */
static size_t merge_long(const MergeTable *table, MergeScratch *scratch, size_t length)
{
    Heap heap = {.entries = scratch->memory};
    Link *links = (Link *)(heap.entries + HEAP_ENTRIES * scratch->capacity);
    for (size_t i = 0; i < length; i++)
        links[i] =
            (Link){.id = scratch->ids[i], .next = i + 1 < length ? (int32_t)i + 1 : -1, .previous = (int32_t)i - 1};
    for (size_t i = 0; i < length; i++)
        find_rank(table, links, (int32_t)i, &heap);
    /* Merge the pair with the lowest rank until the heap is empty. */
    while (heap.count) {
        const uint64_t top = heap_pop(&heap);
        const int32_t number = (int32_t)(top & UINT32_MAX);
        if (links[number].rank == (int32_t)(top >> 32)) /* else the entry is out of date */
            join_next(table, links, number, &heap);
    }
    size_t count = 0;
    for (int32_t number = 0; number >= 0; number = links[number].next)
        scratch->ids[count++] = links[number].id;
    return count;
}

Status merge_scratch_reserve(MergeScratch *scratch, size_t length)
{
    if (length <= scratch->capacity)
        return CS336_OK;
    const size_t bytes_each = HEAP_ENTRIES * sizeof(uint64_t) + sizeof(Link) + sizeof(int32_t);
    merge_scratch_deinit(scratch);
    scratch->memory = length <= INT32_MAX ? memory_allocate(memory_product(length, bytes_each)) : NULL;
    if (!scratch->memory)
        return status_fail(CS336_ENOMEM, "tokenizer_encode: no memory for a pre-token of %zu bytes", length);
    scratch->capacity = length;
    /* The heap's entries come first, then the links, then the ids. */
    scratch->ids = (int32_t *)((Link *)((uint64_t *)scratch->memory + HEAP_ENTRIES * length) + length);
    return CS336_OK;
}

void merge_scratch_deinit(MergeScratch *scratch)
{
    memory_release(scratch->memory);
    *scratch = (MergeScratch){0};
}

size_t merge_table_apply(const MergeTable *table, MergeScratch *scratch, const uint8_t *word, size_t length)
{
    for (size_t i = 0; i < length; i++)
        scratch->ids[i] = table->byte_ids[word[i]];
    return length <= SHORT_WORD ? merge_short(table, scratch->ids, word, length) : merge_long(table, scratch, length);
}
