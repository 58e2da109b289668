/* The figure of section 1.3: training, merge by merge. The tokenizer of the slot has been trained to some vocabulary
 * size. */
#include "tokenizer.h"

#include "core/memory.h"
#include "tokenizer/encode/encoder.h"
#include "tokenizer/learn/bpe_pairs.h"
#include "tokenizer/learn/word_count.h"

#include <stdlib.h>

typedef struct {
    ByteString bytes;
    uint64_t count;
} Word;

/* The most frequent word first; of equally frequent ones the lesser, as text is sorted. */
static int compare_words(const void *a, const void *b)
{
    const Word *v = a, *w = b;
    return v->count != w->count ? (v->count < w->count) - (v->count > w->count)
                                : byte_string_compare(v->bytes, w->bytes);
}

/* Returns the words of a table in the order of compare_words(). The caller releases them; NULL: no memory. */
static Word *sorted_words(const WordTable *table, size_t count)
{
    Word *words = memory_allocate(count * sizeof *words);
    size_t n = 0;
    for (WordCursor cursor = {0}; words && word_table_next(table, &cursor);)
        words[n++] = (Word){.bytes = cursor.word, .count = cursor.count};
    if (words)
        qsort(words, count, sizeof *words, compare_words);
    return words;
}

/*
 * Counts the words of a text, and splits each into the tokens that the merges learned so far make of it.
 * count (1): number of words; word_counts, word_ends (at least length): by word, how often it occurs, and where its
 * tokens end in ids (at least length).
 */
LIVE live_bpe_words(int slot, const uint8_t *text, int length, int32_t *count, int32_t *word_counts, int32_t *word_ends,
                    int32_t *ids)
{
    const Tokenizer *tokenizer;
    Status s = live_tokenizer(&tokenizer, slot);
    if (s)
        return s;
    const WordSource source = {.content = {.bytes = text, .length = (size_t)length}};
    WordTable table;
    s = count_words(&table, &source, 1, &(WordCountConfig){.special = &tokenizer->special, .threads = 1});
    if (s)
        return s;
    const size_t n = word_table_size(&table);
    Word *words = sorted_words(&table, n);
    TokenList list = {0};
    if (!words)
        s = status_fail(CS336_ENOMEM, "live_bpe_words: no memory for %zu words", n);
    for (size_t i = 0; !s && i < n; i++) {
        s = tokenizer_encode(tokenizer, &list, words[i].bytes);
        word_counts[i] = (int32_t)words[i].count;
        word_ends[i] = (int32_t)list.count;
    }
    if (!s && list.count)
        memcpy(ids, list.ids, list.count * sizeof *ids);
    *count = (int32_t)n;
    token_list_deinit(&list);
    memory_release(words);
    word_table_deinit(&table);
    return s;
}

/* Adds the pairs of one word to the index. */
static Status count_pairs(BPEPairs *pairs, const int32_t *ids, int count, uint64_t occurrences)
{
    Status s = CS336_OK;
    for (int i = 0; !s && i + 1 < count; i++) {
        uint32_t number = bpe_pairs_find(pairs, ids[i], ids[i + 1]);
        if (number == NO_PAIR)
            s = bpe_pairs_add(pairs, ids[i], ids[i + 1], &number);
        if (!s)
            pairs->pairs[number].count += occurrences;
    }
    return s;
}

/*
 * Counts the pairs of neighbouring tokens in words as live_bpe_words() gives them, and sorts them with the heap of the
 * training: the first one is merged next. found (1): number of pairs; pairs (at least tokens in ids, 3): left, right,
 * count.
 */
LIVE live_bpe_pairs(int slot, int count, const int32_t *word_counts, const int32_t *word_ends, const int32_t *ids,
                    int32_t *found, int32_t *pairs)
{
    const Tokenizer *tokenizer;
    Status s = live_tokenizer(&tokenizer, slot);
    if (s)
        return s;
    BPEPairs index = {.model = &tokenizer->model};
    for (int i = 0, begin = 0; !s && i < count; begin = word_ends[i++])
        s = count_pairs(&index, ids + begin, word_ends[i] - begin, (uint64_t)word_counts[i]);
    for (uint32_t i = 0; !s && i < index.pair_count; i++)
        s = bpe_pairs_enter(&index, i, 0);
    uint32_t best;
    for (*found = 0; !s && bpe_pairs_pop(&index, 1, &best); (*found)++) {
        const Pair pair = index.pairs[best];
        memcpy(pairs + 3 * *found, (const int32_t[]){pair.left, pair.right, (int32_t)pair.count}, 3 * sizeof *pairs);
    }
    bpe_pairs_clear(&index);
    return s;
}
