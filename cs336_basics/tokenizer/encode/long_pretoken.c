#include "tokenizer/encode/long_pretoken.h"

#include "core/memory.h"

#include <assert.h>
#include <pthread.h>

enum { SWEEP_BYTES = 4096 /* bytes that are not final at the first sweep: a sweep costs some 2 ns for each */ };

/* ---- the tables ---- */

struct LazyLongTables {
    pthread_mutex_t mutex; /* of the two fields below */
    bool made;
    LongTables tables;
};

Status lazy_long_tables_create(LazyLongTables **lazy)
{
    *lazy = memory_allocate_zeroed(1, sizeof **lazy);
    if (*lazy && pthread_mutex_init(&(*lazy)->mutex, NULL) == 0)
        return CS336_OK;
    memory_release(*lazy);
    *lazy = NULL;
    return status_fail(CS336_ENOMEM, "tokenizer_create: no memory");
}

void lazy_long_tables_destroy(LazyLongTables *lazy)
{
    if (!lazy)
        return;
    token_pairs_deinit(&lazy->tables.pairs);
    token_automaton_deinit(&lazy->tables.automaton);
    pthread_mutex_destroy(&lazy->mutex);
    memory_release(lazy);
}

static Status make_tables(LongTables *tables, const BPEModel *model, const MergeTable *merges)
{
    Status s = token_pairs_init(&tables->pairs, model, merges);
    if (!s && tables->pairs.in_order)
        s = token_automaton_init(&tables->automaton, model, &tables->pairs);
    if (s)
        token_pairs_deinit(&tables->pairs);
    return s;
}

Status lazy_long_tables_get(LazyLongTables *lazy, const LongTables **tables, const BPEModel *model,
                            const MergeTable *merges)
{
    pthread_mutex_lock(&lazy->mutex);
    const Status s = lazy->made ? CS336_OK : make_tables(&lazy->tables, model, merges);
    lazy->made = !s;
    pthread_mutex_unlock(&lazy->mutex);
    *tables = s ? NULL : &lazy->tables;
    return s;
}

/* ---- the last token of each prefix ---- */

static size_t length_of(const LongPretoken *p, int32_t token)
{
    return (size_t)p->tables->pairs.parts[token].length;
}

/* True if a token that ends at index i is the last token of the text up to there. */
static bool is_last(const LongPretoken *p, size_t i, int32_t token)
{
    const size_t length = length_of(p, token);
    if (length > i) /* it would reach into what is final */
        return false;
    const int32_t before = p->last[i - length];
    if (before < 0) /* it begins the pre-token */
        return true;
    return token_pairs_fit(&p->tables->pairs, p->answers, before, token);
}

/*
 * Finds the last token at index i, where the longest token that ends is longest[i]. Only one token passes the test, so
 * a guess that passes it is right, wherever it comes from, as long as it ends there.
 *
 * The guess is the last token one period before. It ends here too if the longest token that ends is the same: then all
 * others are. When a guess fails, the length of the token that is found becomes the period.
 *
 * Example: a run of one letter whose tokens have 1, 2, 4, 8, ... bytes. The last token at index i has as many bytes as
 * the largest power of two that divides i: at index 6 it has 2 bytes, at index 8 it has 8. With a period of 4096 bytes,
 * the guess is right for all i but the multiples of 4096.
 */
static int32_t find_last(LongPretoken *p, size_t i)
{
    if (p->period <= i && p->longest[i - p->period] == p->longest[i]) {
        const int32_t guess = p->last[i - p->period];
        if (is_last(p, i, guess))
            return guess;
    }
    int32_t token = p->longest[i];
    while (token >= 0 && !is_last(p, i, token))
        token = token_automaton_shorter(&p->tables->automaton, token);
    assert(token >= 0);
    p->period = length_of(p, token);
    return token;
}

/* ---- what is final ---- */

/* Passes on the ids of the text up to index `end`, and keeps what is behind it. */
static Status put_out(LongPretoken *p, size_t end, TokenSink *sink, void *context)
{
    /* Write the way back over its own entries, from `end` downwards: a token has at least a byte. */
    size_t first = end + 1;
    for (size_t i = end; i > 0; i -= length_of(p, p->last[first]))
        p->last[--first] = p->last[i];
    const size_t count = end + 1 - first;
    const Status s = count ? sink(context, p->last + first, count) : CS336_OK;
    p->count -= end;
    memmove(p->last, p->last + end, (p->count + 1) * sizeof *p->last);
    memmove(p->longest, p->longest + end, (p->count + 1) * sizeof *p->longest);
    return s;
}

/*
 * Returns the index up to which the text is final. A token that goes on beyond the last byte begins where the
 * automaton's node begins, or one of the nodes that spell shorter ends of it. The sweep goes downwards, and follows the
 * ways back from all these places at once: `ways` of them are not together yet. Where only one is left, all have come
 * together.
 */
static size_t find_final(LongPretoken *p)
{
    const AutomatonNode *nodes = p->tables->automaton.nodes;
    size_t ways = 0, i = p->count;
    memset(p->open, 0, p->count + 1);
    for (int32_t node = p->node;; node = nodes[node].shorter) {
        const size_t depth = (size_t)nodes[node].depth;
        if (depth <= p->count) { /* else the token would reach into what is final */
            p->open[p->count - depth] = 1;
            ways++;
        }
        if (node == 0)
            break;
    }
    for (;; i--) {
        if (!p->open[i])
            continue;
        if (ways == 1)
            return i;
        const size_t before = i - length_of(p, p->last[i]);
        ways -= p->open[before]; /* this way goes on at `before`, or meets another one there */
        p->open[before] = 1;
    }
}

static Status sweep(LongPretoken *p, TokenSink *sink, void *context)
{
    Status s = array_reserve(&p->open, &p->open_capacity, p->count + 1, sizeof *p->open);
    if (!s)
        s = put_out(p, find_final(p), sink, context);
    p->next_sweep = 2 * p->count > p->least_sweep ? 2 * p->count : p->least_sweep;
    return s;
}

/* ---- a pre-token ---- */

/* Makes room for this many bytes that are not final. */
static Status reserve(LongPretoken *p, size_t count)
{
    const Status s = array_reserve(&p->last, &p->capacity, count + 1, sizeof *p->last);
    return s ? s : array_reserve(&p->longest, &p->longest_capacity, count + 1, sizeof *p->longest);
}

static void empty(LongPretoken *p)
{
    p->count = 0;
    p->node = 0;
    p->next_sweep = p->least_sweep;
    p->period = 1;
    p->last[0] = p->longest[0] = -1;
}

Status long_pretoken_begin(LongPretoken *p, const LongTables *tables)
{
    p->tables = tables;
    if (!p->answers)
        p->answers = memory_allocate_zeroed((size_t)1 << PAIR_ANSWERS_LOG2, sizeof *p->answers);
    Status s = CS336_OK;
    if (!p->answers)
        s = status_fail(CS336_ENOMEM, "tokenizer_encode: no memory for a long pre-token");
    if (!p->least_sweep)
        p->least_sweep = SWEEP_BYTES;
    if (!s)
        s = reserve(p, p->least_sweep);
    if (!s)
        empty(p);
    return s;
}

Status long_pretoken_feed(LongPretoken *p, const uint8_t *bytes, size_t length, TokenSink *sink, void *context)
{
    const TokenAutomaton *automaton = &p->tables->automaton;
    Status s = CS336_OK;
    while (!s && length > 0) {
        const size_t room = p->next_sweep - p->count, taken = length < room ? length : room;
        s = reserve(p, p->count + taken);
        for (size_t i = 0; !s && i < taken; i++) {
            p->count++;
            p->node = token_automaton_step(automaton, p->node, bytes[i]);
            p->longest[p->count] = token_automaton_longest(automaton, p->node);
            p->last[p->count] = find_last(p, p->count);
        }
        bytes += taken;
        length -= taken;
        if (!s && p->count == p->next_sweep)
            s = sweep(p, sink, context);
    }
    return s;
}

Status long_pretoken_finish(LongPretoken *p, TokenSink *sink, void *context)
{
    const Status s = put_out(p, p->count, sink, context);
    empty(p);
    return s;
}

void long_pretoken_deinit(LongPretoken *p)
{
    memory_release(p->last);
    memory_release(p->longest);
    memory_release(p->open);
    memory_release(p->answers);
    *p = (LongPretoken){0};
}
