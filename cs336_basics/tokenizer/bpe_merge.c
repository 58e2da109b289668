#include "tokenizer/bpe_merge.h"

#include "core/memory.h"

enum { NO_RANK = INT32_MAX, SHORT_WORD = 48 };

/* ---- merges by pair ---- */

static MergeSlot *find_slot(const MergeTable *table, int32_t left, int32_t right)
{
    for (size_t at = (size_t)token_pair_hash(left, right);; at++) {
        MergeSlot *slot = &table->slots[at & table->mask];
        if (slot->rank < 0 || (slot->left == left && slot->right == right))
            return slot;
    }
}

/* The rank of a pair and what it makes. */
typedef struct {
    int32_t rank, merged;
} Fit;

static Fit fit_of(const MergeTable *table, int32_t left, int32_t right)
{
    const MergeSlot *slot = find_slot(table, left, right);
    return (Fit){.rank = slot->rank < 0 ? NO_RANK : slot->rank, .merged = slot->merged};
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
        MergeSlot *slot = find_slot(table, merge.left, merge.right);
        if (slot->rank < 0)
            *slot =
                (MergeSlot){.left = merge.left, .right = merge.right, .rank = (int32_t)rank, .merged = merge.merged};
    }
    return CS336_OK;
}

Status merge_table_init(MergeTable *table, const BPEModel *model, const TokenIndex *index)
{
    *table = (MergeTable){0};
    for (unsigned b = 0; b < BYTE_VALUES; b++) {
        const uint8_t byte = (uint8_t)b;
        table->byte_ids[b] = token_index_find(index, (ByteString){.bytes = &byte, .length = 1});
        if (table->byte_ids[b] < 0)
            return status_fail(CS336_ERANGE, "tokenizer_create: no token for byte 0x%02X among %zu tokens", b,
                               model->vocab_size);
    }
    size_t slots = 512;
    while (slots < 2 * model->merge_count)
        slots *= 2;
    table->slots = memory_allocate(slots * sizeof *table->slots);
    if (!table->slots)
        return status_fail(CS336_ENOMEM, "tokenizer_create: no memory for %zu merges", model->merge_count);
    table->mask = slots - 1;
    for (size_t i = 0; i < slots; i++)
        table->slots[i] = (MergeSlot){.rank = -1};
    const Status s = add_merges(table, model);
    if (s)
        merge_table_deinit(table);
    return s;
}

void merge_table_deinit(MergeTable *table)
{
    memory_release(table->slots);
    *table = (MergeTable){0};
}

/* ---- short words: look at all pairs after each merge ---- */

static Status apply_short(const MergeTable *table, TokenList *ids, ByteString word)
{
    int32_t symbol[SHORT_WORD];
    Fit fit[SHORT_WORD]; /* of symbol[i] with symbol[i + 1] */
    size_t length = word.length;
    for (size_t i = 0; i < length; i++)
        symbol[i] = table->byte_ids[word.bytes[i]];
    for (size_t i = 0; i + 1 < length; i++)
        fit[i] = fit_of(table, symbol[i], symbol[i + 1]);
    for (;;) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < length; i++)
            if (fit[i].rank < fit[best].rank)
                best = i;
        if (length < 2 || fit[best].rank == NO_RANK)
            return token_list_append(ids, symbol, length);
        symbol[best] = fit[best].merged;
        length--;
        for (size_t i = best + 1; i < length; i++) {
            symbol[i] = symbol[i + 1];
            fit[i - 1] = fit[i];
        }
        if (best > 0)
            fit[best - 1] = fit_of(table, symbol[best - 1], symbol[best]);
        if (best + 1 < length)
            fit[best] = fit_of(table, symbol[best], symbol[best + 1]);
    }
}

/* ---- long words: a heap of pairs, a linked list of symbols ---- */

/* An entry is out of date when the pair at its place has another rank by now. */
typedef struct {
    int32_t rank, at;
} HeapEntry;

typedef struct {
    int32_t symbol, next, previous; /**< places of the neighbours, -1: none */
    Fit fit;                        /**< with the next symbol */
} Link;

typedef struct {
    HeapEntry *entries;
    size_t count;
} Heap;

static bool before(HeapEntry a, HeapEntry b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.at < b.at;
}

static void heap_push(Heap *heap, HeapEntry entry)
{
    size_t at = heap->count++;
    for (; at > 0 && before(entry, heap->entries[(at - 1) / 2]); at = (at - 1) / 2)
        heap->entries[at] = heap->entries[(at - 1) / 2];
    heap->entries[at] = entry;
}

static HeapEntry heap_pop(Heap *heap)
{
    const HeapEntry top = heap->entries[0], entry = heap->entries[--heap->count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < heap->count; at = child) {
        if (child + 1 < heap->count && before(heap->entries[child + 1], heap->entries[child]))
            child++;
        if (!before(heap->entries[child], entry))
            break;
        heap->entries[at] = heap->entries[child];
    }
    heap->entries[at] = entry;
    return top;
}

/* Looks the pair at a place up, and lets it compete if it is a merge. */
static void refit(const MergeTable *table, Link *links, int32_t at, Heap *heap)
{
    Link *link = &links[at];
    link->fit = (Fit){.rank = NO_RANK};
    if (link->next >= 0)
        link->fit = fit_of(table, link->symbol, links[link->next].symbol);
    if (link->fit.rank != NO_RANK)
        heap_push(heap, (HeapEntry){.rank = link->fit.rank, .at = at});
}

static void join_next(const MergeTable *table, Link *links, int32_t at, Heap *heap)
{
    Link *link = &links[at], *gone = &links[link->next];
    link->symbol = link->fit.merged;
    link->next = gone->next;
    gone->fit.rank = NO_RANK;
    if (link->next >= 0)
        links[link->next].previous = at;
    if (link->previous >= 0)
        refit(table, links, link->previous, heap);
    refit(table, links, at, heap);
}

static Status apply_long(const MergeTable *table, TokenList *ids, ByteString word)
{
    /* n - 1 pairs at the start, and two more for each of at most n - 1 merges. */
    const size_t n = word.length;
    Link *links = n <= INT32_MAX ? memory_allocate(n * sizeof *links) : NULL;
    Heap heap = {.entries = links ? memory_allocate(3 * n * sizeof *heap.entries) : NULL};
    if (!heap.entries) {
        memory_release(links);
        return status_fail(CS336_ENOMEM, "tokenizer_encode: no memory for a pre-token of %zu bytes", n);
    }
    for (size_t i = 0; i < n; i++)
        links[i] = (Link){.symbol = table->byte_ids[word.bytes[i]],
                          .next = i + 1 < n ? (int32_t)i + 1 : -1,
                          .previous = (int32_t)i - 1};
    for (size_t i = 0; i < n; i++)
        refit(table, links, (int32_t)i, &heap);
    while (heap.count) {
        const HeapEntry top = heap_pop(&heap);
        if (links[top.at].fit.rank == top.rank)
            join_next(table, links, top.at, &heap);
    }
    memory_release(heap.entries);
    const size_t ids_before = ids->count;
    Status s = CS336_OK;
    for (int32_t at = 0; !s && at >= 0; at = links[at].next)
        s = token_list_append(ids, &links[at].symbol, 1);
    if (s)
        ids->count = ids_before;
    memory_release(links);
    return s;
}

Status merge_table_apply(const MergeTable *table, TokenList *ids, ByteString word)
{
    return word.length <= SHORT_WORD ? apply_short(table, ids, word) : apply_long(table, ids, word);
}
