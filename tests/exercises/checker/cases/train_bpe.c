/* Training of a BPE and its mistakes. plain_bpe_train() gives the right answer and those of the mistakes. */
#define _POSIX_C_SOURCE 200809L
#include "tests/adapters.h"
#include "tests/exercises/checker/exercise.h"
#include "tests/exercises/checker/run.h"
#include "tests/support/plain_bpe.h"
#include "tests/support/random_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    BYTES = 256,        /* tokens of a single byte */
    RANDOM_BYTES = 150, /* of the random text, at least */
};

static const Mistake MISTAKES[] = {
    {TRAIN_COUNTS_SPECIAL_TOKENS, "counts_special_tokens",
     "counting pairs inside special tokens, as in any other text"},
    {TRAIN_COUNTS_WORDS_NOT_OCCURRENCES, "counts_words_not_occurrences",
     "counting each distinct pre-token once, instead of each occurrence"},
    {TRAIN_COUNTS_WITHOUT_OVERLAP, "counts_without_overlap",
     "counting only pairs that do not overlap: \"aaa\" holds (a, a) twice, but you count it once"},
    {TRAIN_KEEPS_LOST_PAIRS, "keeps_lost_pairs",
     "counts that only grow: a merge does not take away the pairs that it replaces"},
    {TRAIN_MERGES_ACROSS_PRETOKENS, "merges_across_pretokens", "counting pairs across the borders of pre-tokens"},
    {TRAIN_TIES_BY_AGE, "ties_by_age", "taking, of equally frequent pairs, the one that was seen first"},
    {TRAIN_TIES_BY_ID, "ties_by_id",
     "comparing, of equally frequent pairs, the ids of the tokens instead of their bytes"},
    {TRAIN_TIES_TO_THE_LESSER_PAIR, "ties_to_the_lesser_pair", "taking, of equally frequent pairs, the lesser one"},
    {TRAIN_VOCABULARY_WITHOUT_SPECIAL_TOKENS, "vocabulary_without_special_tokens",
     "leaving out the special tokens, and the size is reached with more merges"},
    {0},
};

static const ByteString SPECIAL[] = {ATOM("<|e|>"), ATOM("<|e|><|e|>")};

/* What random texts are made of: their pairs often overlap and often tie. */
static const ByteString ATOMS[] = {ATOM("<|e|>"), ATOM("<|e"), ATOM("a"),  ATOM("b"),  ATOM("aab"), ATOM(" "),
                                   ATOM("aaaa"),  ATOM("é"),   ATOM("12"), ATOM("xy"), ATOM("'ll"), ATOM("\xFF")};

/* A file of the text. It has no name, so nothing is left when the learner's function crashes. */
static int open_text(char *path, size_t size, ByteString text)
{
    const int file = run_capture();
    if (write(file, text.bytes, text.length) != (ssize_t)text.length || lseek(file, 0, SEEK_SET) != 0) {
        fputs("checker: cannot write a temporary file\n", stderr);
        exit(2);
    }
    snprintf(path, size, "/dev/fd/%d", file);
    return file;
}

/* "(s t) (e st)" for two merges. */
static ByteString show_merges(Trial *t, const MergePair *merges, size_t count)
{
    size_t length = 0, most = 0;
    for (size_t i = 0; i < count; i++)
        most += merges[i].left.length + merges[i].right.length + strlen("( ) ");
    uint8_t *bytes = trial_memory(t, most);
    for (size_t i = 0; i < count; i++) {
        const ByteString parts[] = {byte_string(i ? " (" : "("), merges[i].left, byte_string(" "), merges[i].right,
                                    byte_string(")")};
        for (size_t k = 0; k < COUNT(parts); k++) {
            memcpy(bytes + length, parts[k].bytes, parts[k].length);
            length += parts[k].length;
        }
    }
    return (ByteString){.bytes = bytes, .length = length};
}

static int by_bytes(const void *a, const void *b)
{
    return byte_string_compare(*(const ByteString *)a, *(const ByteString *)b);
}

/* Compares the merges. */
static void compare_merges(Trial *t, const TrainedBPE *trained, const PlainBPE *plain)
{
    MergePair *right = trial_memory(t, plain->merge_count * sizeof *right);
    for (size_t i = 0; i < plain->merge_count; i++)
        right[i] = (MergePair){.left = plain->left[i], .right = plain->right[i]};
    const ByteString yours = show_merges(t, trained->merges, trained->merge_count);
    const ByteString answer = show_merges(t, right, plain->merge_count);
    trial_text(t, "merges", (const char *)yours.bytes, yours.length, (const char *)answer.bytes, answer.length);
}

/* Compares the vocabularies. Their order is free: the tokens are sorted by their bytes. */
static void compare_vocabularies(Trial *t, const TrainedBPE *trained, const PlainBPE *plain, size_t special_count)
{
    const size_t specials = t->mistake == TRAIN_VOCABULARY_WITHOUT_SPECIAL_TOKENS ? 0 : special_count;
    const size_t count = specials + BYTES + plain->merge_count;
    ByteString *right = trial_memory(t, count * sizeof *right), *next = right;
    uint8_t *bytes = trial_memory(t, BYTES);
    for (size_t i = 0; i < specials; i++)
        *next++ = SPECIAL[i];
    for (size_t i = 0; i < BYTES; i++) {
        bytes[i] = (uint8_t)i;
        *next++ = (ByteString){.bytes = bytes + i, .length = 1};
    }
    /* The halves of a merge stand side by side in the text of the training. */
    for (size_t i = 0; i < plain->merge_count; i++)
        *next++ = (ByteString){.bytes = plain->left[i].bytes, .length = plain->left[i].length + plain->right[i].length};
    ByteString *yours = trial_memory(t, trained->vocab_size * sizeof *yours);
    for (size_t i = 0; i < trained->vocab_size; i++)
        yours[i] = trained->vocab[i];
    qsort(right, count, sizeof *right, by_bytes);
    if (trained->vocab_size)
        qsort(yours, trained->vocab_size, sizeof *yours, by_bytes);
    trial_strings(t, "vocabulary, sorted", yours, trained->vocab_size, right, count);
}

/* Trains on a text until the vocabulary has room for no more than `merges` merges. */
static void train(Trial *t, ByteString bytes, size_t special_count, size_t merges, bool vocabulary)
{
    const ByteString text = trial_input_text(t, "text of the file", bytes);
    const ByteString *special_tokens = trial_input_strings(t, "special_tokens", SPECIAL, special_count);
    const size_t vocab_size = BYTES + special_count + merges;
    char path[64] = "";
    TrainedBPE trained = {0};
    const int file = t->calls ? open_text(path, sizeof path, text) : -1;
    TRIAL_CALL(t, run_train_bpe(&trained, path, vocab_size, special_tokens, special_count));
    if (t->status)
        trained = (TrainedBPE){0};
    PlainBPE plain = plain_bpe_train(text, special_tokens, special_count, merges, (TrainMistake)t->mistake);
    if (vocabulary)
        compare_vocabularies(t, &trained, &plain, special_count);
    else
        compare_merges(t, &trained, &plain);
    plain_bpe_free(&plain);
    if (t->calls) {
        if (!t->status)
            release_trained_bpe(&trained);
        close(file);
    }
}

/* ---- cases ---- */

/* The example of the handout. */
static void by_hand(Trial *t)
{
    train(t,
          byte_string("low low low low low lower lower widest widest widest "
                      "newest newest newest newest newest newest"),
          0, 4, false);
}

static const char MIXED[] = "newestlowx widebaaaa <|e|> xy xy";

static void mixed(Trial *t)
{
    train(t, byte_string(MIXED), 1, 4, false);
}

static void vocabulary(Trial *t)
{
    train(t, byte_string(MIXED), 1, 4, true);
}

static void no_pair_left(Trial *t)
{
    train(t, byte_string("abc abc<|e|>d"), 1, 20, false);
}

static void repeated(Trial *t)
{
    train(t, byte_string("aaaaaaa aaaa aaa"), 0, 6, false);
}

static void empty_file(Trial *t)
{
    train(t, byte_string(""), 2, 5, true);
}

static void no_merges(Trial *t)
{
    train(t, byte_string("low lower"), 1, 0, true);
}

static void random_one(Trial *t)
{
    uint8_t buffer[LONGEST_TEXT];
    Rng rng = rng_seeded(336);
    train(t, random_text_of(&rng, buffer, ATOMS, COUNT(ATOMS), RANDOM_BYTES), COUNT(SPECIAL), 40, false);
}

static const Case CASES[] = {
    CASE("the handout's example, four merges", by_hand),
    CASE("a text with a special token and with many ties", mixed),
    CASE("all tokens of its vocabulary", vocabulary),
    CASE("a text with fewer pairs than merges are wanted", no_pair_left),
    CASE("a letter that repeats: pairs overlap", repeated),
    CASE("an empty file: bytes and special tokens only", empty_file),
    CASE("a vocabulary without room for a merge", no_merges),
    CASE("a random text, 40 merges", random_one),
    {0},
};

const Exercise exercise_train_bpe = {"train_bpe", .atol = 1e-3, .cases = CASES, .mistakes = MISTAKES, .unit = "bytes"};
