#include "tokenizer/word_count.h"

#include "core/memory.h"
#include "core/parallel.h"
#include "tokenizer/pretokenize.h"

enum { FIRST_SLOTS = 1024, PIECE_BYTES = 1 << 19 };

/* ---- the table ---- */

static Word *find_word(const WordTable *words, ByteString word, uint64_t hash)
{
    for (size_t at = (size_t)hash;; at++) {
        Word *slot = &words->slots[at & (words->slot_count - 1)];
        if (slot->count == 0 || (slot->hash == hash && slot->length == word.length &&
                                 memcmp(words->bytes.bytes + slot->at, word.bytes, word.length) == 0))
            return slot;
    }
}

static Status grow(WordTable *words)
{
    const size_t slots = words->slot_count ? 2 * words->slot_count : FIRST_SLOTS;
    Word *larger = memory_allocate_zeroed(slots, sizeof *larger);
    if (!larger)
        return status_fail(CS336_ENOMEM, "word_table_count: no memory for %zu distinct pre-tokens", slots);
    for (size_t i = 0; i < words->slot_count; i++) {
        size_t at = (size_t)words->slots[i].hash;
        if (words->slots[i].count == 0)
            continue;
        while (larger[at & (slots - 1)].count)
            at++;
        larger[at & (slots - 1)] = words->slots[i];
    }
    memory_release(words->slots);
    words->slots = larger;
    words->slot_count = slots;
    return CS336_OK;
}

Status word_table_add(WordTable *words, ByteString word, uint64_t count)
{
    Status s = CS336_OK;
    if (4 * (words->word_count + 1) > 3 * words->slot_count)
        s = grow(words);
    if (s)
        return s;
    const uint64_t hash = byte_string_hash(word);
    Word *slot = find_word(words, word, hash);
    if (slot->count == 0) {
        const size_t at = words->bytes.length;
        s = byte_list_append(&words->bytes, word.bytes, word.length);
        if (s)
            return s;
        *slot = (Word){.hash = hash, .at = at, .length = word.length};
        words->word_count++;
    }
    slot->count += count;
    return CS336_OK;
}

void word_table_deinit(WordTable *words)
{
    memory_release(words->slots);
    byte_list_deinit(&words->bytes);
    *words = (WordTable){0};
}

static Status add_table(WordTable *words, const WordTable *other)
{
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < other->slot_count; i++) {
        const Word *word = &other->slots[i];
        if (word->count)
            s = word_table_add(words, (ByteString){.bytes = other->bytes.bytes + word->at, .length = word->length},
                               word->count);
    }
    return s;
}

/* ---- one piece ---- */

static Status count_segment(WordTable *words, const uint8_t *text, size_t length)
{
    const uint8_t *begin = text, *ends[8 * PRETOKENS_AT_ONCE];
    Pretokenizer pretokenizer;
    Status s = CS336_OK;
    pretokenizer_begin(&pretokenizer);
    pretokenizer_feed(&pretokenizer, text, length, true);
    for (size_t count = 1; !s && count > 0;) {
        count = pretokenizer_next(&pretokenizer, ends, 8 * PRETOKENS_AT_ONCE);
        for (size_t i = 0; !s && i < count; begin = ends[i++])
            s = word_table_add(words, (ByteString){.bytes = begin, .length = (size_t)(ends[i] - begin)}, 1);
    }
    return s;
}

static Status count_piece(WordTable *words, const SpecialTokens *special, ByteString piece)
{
    Status s = CS336_OK;
    for (size_t at = 0; !s && at < piece.length;) {
        const SpecialMatch next = special_tokens_find(special, piece.bytes, piece.length, at, true);
        s = count_segment(words, piece.bytes + at, next.at - at);
        at = next.index < 0 ? piece.length : next.at + special->tokens[next.index].length;
    }
    return s;
}

/* ---- pieces and threads ---- */

typedef struct {
    ByteString *items;
    size_t count, capacity;
} Pieces;

static Status cut_text(Pieces *pieces, ByteString text, const WordCountConfig *config)
{
    const size_t step = config->piece_bytes ? config->piece_bytes : PIECE_BYTES;
    Status s = CS336_OK;
    for (size_t begin = 0, end; !s && begin < text.length; begin = end) {
        end = text.length - begin > step ? begin + step : text.length;
        while (end < text.length && (!pretoken_surely_begins(text.bytes, text.length, end) ||
                                     special_tokens_span(config->special, text.bytes, text.length, end, true)))
            end++;
        s = array_reserve(&pieces->items, &pieces->capacity, pieces->count + 1, sizeof *pieces->items);
        if (!s)
            pieces->items[pieces->count++] = (ByteString){.bytes = text.bytes + begin, .length = end - begin};
    }
    return s;
}

static bool stopped(const WordCountConfig *config)
{
    return config->stop && atomic_load_explicit(config->stop, memory_order_relaxed);
}

/* Messages belong to the thread that fails: what failed in a loop is said again after it. */
static Status count_pieces(WordTable *tables, const Pieces *pieces, size_t total, const WordCountConfig *config)
{
    atomic_int failure = CS336_OK;
    atomic_size_t done = 0;
#pragma omp parallel for schedule(dynamic) num_threads(config->threads)
    for (size_t i = 0; i < pieces->count; i++) {
        if (atomic_load(&failure))
            continue;
        Status s = CS336_EINTERRUPTED;
        if (!stopped(config))
            s = count_piece(&tables[parallel_thread()], config->special, pieces->items[i]);
        if (s) {
            atomic_store(&failure, (int)s);
            continue;
        }
        const size_t bytes = atomic_fetch_add(&done, pieces->items[i].length) + pieces->items[i].length;
        if (config->progress && parallel_thread() == 0)
            config->progress(config->context, bytes, total);
    }
    switch ((Status)atomic_load(&failure)) {
    case CS336_OK:
        return CS336_OK;
    case CS336_EINTERRUPTED:
        return status_fail(CS336_EINTERRUPTED, "word_table_count: stopped after %zu of %zu bytes", atomic_load(&done),
                           total);
    default:
        return status_fail(CS336_ENOMEM, "word_table_count: no memory for the distinct pre-tokens of %zu bytes", total);
    }
}

Status word_table_count(WordTable *words, const ByteString *texts, size_t text_count, const WordCountConfig *config)
{
    const size_t threads = (size_t)config->threads;
    Pieces pieces = {0};
    WordTable *tables = memory_allocate_zeroed(threads, sizeof *tables);
    Status s = CS336_OK;
    if (!tables)
        s = status_fail(CS336_ENOMEM, "word_table_count: no memory for %zu threads", threads);
    size_t total = 0;
    for (size_t i = 0; !s && i < text_count; i++) {
        s = cut_text(&pieces, texts[i], config);
        total += texts[i].length;
    }
    if (!s)
        s = count_pieces(tables, &pieces, total, config);
    for (size_t i = 0; tables && i < threads; i++) {
        if (!s)
            s = add_table(words, &tables[i]);
        word_table_deinit(&tables[i]);
    }
    memory_release(tables);
    memory_release(pieces.items);
    return s;
}
