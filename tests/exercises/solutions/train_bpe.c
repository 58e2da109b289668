/*
 * Training of a byte-level BPE. Each distinct pre-token ("word") is kept once, with the number of its occurrences, as a
 * list of token ids. Then, again and again: merge the most frequent pair of neighbouring tokens in all words.
 *
 * The counts of all pairs are kept up to date: a merge changes them only by the words that hold the merged pair.
 */
#include "tests/adapters.h"

#include "core/file.h"
#include "tests/exercises/map.h"

/* A distinct pre-token. */
typedef struct {
    int32_t *tokens;
    size_t length; /* in tokens */
    int64_t count; /* of its occurrences in the text */
} Word;

typedef struct {
    Word *words;
    size_t word_count;
    Map pair_counts; /* by pair_key(): how often the pair occurs in the text */
} Corpus;

/* ---- words ---- */

/* Counts the pre-tokens of a text: word_counts[pre-token] += 1 for each. */
static Status count_words(Map *word_counts, ByteString text, const ByteString *special_tokens, size_t special_count)
{
    TextRangeList ranges = {0};
    Status s = run_pretokenize(&ranges, text, special_tokens, special_count);
    for (size_t i = 0; !s && i < ranges.count; i++) {
        const TextRange range = ranges.ranges[i];
        if (range.special)
            continue; /* borders between texts, never counted */
        const ByteString word = {.bytes = text.bytes + range.begin, .length = range.end - range.begin};
        s = map_set(word_counts, word, map_get(word_counts, word, 0) + 1);
    }
    text_range_list_deinit(&ranges);
    return s;
}

/* Makes the words, each with one token for each of its bytes. The token of byte b has the id first_byte + b. */
static Status make_words(Corpus *corpus, const Map *word_counts, int32_t first_byte)
{
    corpus->words = memory_allocate_zeroed(word_counts->count, sizeof *corpus->words);
    if (!corpus->words)
        return status_fail(CS336_ENOMEM, "run_train_bpe: no memory for %zu words", word_counts->count);
    corpus->word_count = word_counts->count;
    for (size_t i = 0; i < corpus->word_count; i++) {
        const ByteString bytes = word_counts->entries[i].key;
        Word *word = &corpus->words[i];
        word->count = word_counts->entries[i].value;
        word->length = bytes.length;
        word->tokens = memory_allocate(bytes.length * sizeof *word->tokens);
        if (!word->tokens)
            return status_fail(CS336_ENOMEM, "run_train_bpe: no memory for a word of %zu bytes", bytes.length);
        for (size_t k = 0; k < bytes.length; k++)
            word->tokens[k] = first_byte + bytes.bytes[k];
    }
    return CS336_OK;
}

static void corpus_deinit(Corpus *corpus)
{
    for (size_t i = 0; i < corpus->word_count; i++)
        memory_release(corpus->words[i].tokens);
    memory_release(corpus->words);
    map_deinit(&corpus->pair_counts);
}

/* ---- pairs ---- */

/* Adds `difference` to the count of each pair of a word. A pair that stands in the word twice is counted twice. */
static Status count_pairs(Map *pair_counts, const Word *word, int64_t difference)
{
    Status s = CS336_OK;
    for (size_t i = 0; !s && i + 1 < word->length; i++) {
        const Pair pair = {word->tokens[i], word->tokens[i + 1]};
        s = map_set(pair_counts, pair_key(&pair), map_get(pair_counts, pair_key(&pair), 0) + difference);
    }
    return s;
}

/* Orders pairs by the bytes of their left tokens, and if these are equal, of their right tokens. */
static int compare_pairs(Pair a, Pair b, const ByteString *vocab)
{
    const int order = byte_string_compare(vocab[a.left], vocab[b.left]);
    return order ? order : byte_string_compare(vocab[a.right], vocab[b.right]);
}

/* Returns the count of the most frequent pair, or 0 if there is no pair. Of equally frequent ones, the greatest. */
static int64_t most_frequent_pair(Pair *best, const Map *pair_counts, const ByteString *vocab)
{
    int64_t best_count = 0;
    for (size_t i = 0; i < pair_counts->count; i++) {
        const int64_t count = pair_counts->entries[i].value;
        if (count == 0 || count < best_count)
            continue;
        const Pair pair = pair_of(pair_counts->entries[i].key);
        if (count > best_count || compare_pairs(pair, *best, vocab) > 0) {
            *best = pair;
            best_count = count;
        }
    }
    return best_count;
}

/* ---- merges ---- */

static bool pair_at(const Word *word, size_t i, Pair pair)
{
    return i + 1 < word->length && word->tokens[i] == pair.left && word->tokens[i + 1] == pair.right;
}

/* Replaces a pair by the merged token wherever it stands in a word, from left to right. */
static void merge_word(Word *word, Pair pair, int32_t merged)
{
    size_t length = 0; /* of the word after the merge, so far */
    for (size_t i = 0; i < word->length;) {
        const bool found = pair_at(word, i, pair);
        word->tokens[length++] = found ? merged : word->tokens[i];
        i += found ? 2 : 1;
    }
    word->length = length;
}

/* Merges a pair in all words. A word that holds the pair is taken out of the counts and counted again as it is then. */
static Status merge_all(Corpus *corpus, Pair pair, int32_t merged)
{
    Status s = CS336_OK;
    for (size_t w = 0; !s && w < corpus->word_count; w++) {
        Word *word = &corpus->words[w];
        size_t i = 0;
        while (i < word->length && !pair_at(word, i, pair))
            i++;
        if (i == word->length)
            continue;
        s = count_pairs(&corpus->pair_counts, word, -word->count);
        merge_word(word, pair, merged);
        if (!s)
            s = count_pairs(&corpus->pair_counts, word, word->count);
    }
    return s;
}

/* ---- the vocabulary ---- */

/* Adds the token whose bytes are those of `left`, then those of `right`. */
static Status add_token(TrainedBPE *trained, ByteString left, ByteString right)
{
    ByteList joined = {0};
    Status s = byte_list_append(&joined, left.bytes, left.length);
    if (!s)
        s = byte_list_append(&joined, right.bytes, right.length);
    if (!s)
        s = bytes_copy(&trained->vocab[trained->vocab_size], byte_list_view(&joined));
    if (!s)
        trained->vocab_size++;
    byte_list_deinit(&joined);
    return s;
}

/* Makes the vocabulary without merges: the special tokens, then the 256 bytes. */
static Status begin_vocabulary(TrainedBPE *trained, size_t vocab_size, const ByteString *special_tokens,
                               size_t special_count)
{
    if (vocab_size < special_count + 256)
        return status_fail(CS336_ERANGE, "run_train_bpe: vocabulary of %zu, expected at least %zu", vocab_size,
                           special_count + 256);
    trained->vocab = memory_allocate(vocab_size * sizeof *trained->vocab);
    trained->merges = memory_allocate(vocab_size * sizeof *trained->merges);
    if (!trained->vocab || !trained->merges)
        return status_fail(CS336_ENOMEM, "run_train_bpe: no memory for %zu tokens", vocab_size);
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < special_count; i++)
        s = add_token(trained, special_tokens[i], (ByteString){0});
    for (int byte = 0; !s && byte < 256; byte++)
        s = add_token(trained, (ByteString){.bytes = &(uint8_t){(uint8_t)byte}, .length = 1}, (ByteString){0});
    return s;
}

/* Learns merges until the vocabulary has its size or no pair is left. */
static Status learn_merges(TrainedBPE *trained, Corpus *corpus, size_t vocab_size)
{
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < corpus->word_count; i++)
        s = count_pairs(&corpus->pair_counts, &corpus->words[i], corpus->words[i].count);

    Pair pair;
    while (!s && trained->vocab_size < vocab_size &&
           most_frequent_pair(&pair, &corpus->pair_counts, trained->vocab) > 0) {
        const int32_t merged = (int32_t)trained->vocab_size;
        const ByteString left = trained->vocab[pair.left], right = trained->vocab[pair.right];
        s = add_token(trained, left, right);
        if (!s) {
            trained->merges[trained->merge_count++] = (MergePair){.left = left, .right = right};
            s = merge_all(corpus, pair, merged);
        }
    }
    return s;
}

Status run_train_bpe(TrainedBPE *trained, const char *input_path, size_t vocab_size, const ByteString *special_tokens,
                     size_t special_count)
{
    LoadedFile file = {0};
    Map word_counts = {0};
    Corpus corpus = {0};
    *trained = (TrainedBPE){0};
    Status s = begin_vocabulary(trained, vocab_size, special_tokens, special_count);
    if (!s)
        s = file_load(&file, input_path);
    if (!s)
        s = count_words(&word_counts, (ByteString){.bytes = file.data, .length = file.size}, special_tokens,
                        special_count);
    if (!s)
        s = make_words(&corpus, &word_counts, (int32_t)special_count);
    if (!s)
        s = learn_merges(trained, &corpus, vocab_size);
    corpus_deinit(&corpus);
    map_deinit(&word_counts);
    file_unload(&file);
    if (s)
        release_trained_bpe(trained);
    return s;
}

void release_trained_bpe(TrainedBPE *trained)
{
    for (size_t i = 0; i < trained->vocab_size; i++)
        bytes_release(trained->vocab[i]);
    memory_release(trained->vocab);
    memory_release(trained->merges);
    *trained = (TrainedBPE){0};
}
