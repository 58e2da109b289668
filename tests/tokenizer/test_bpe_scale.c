#include "core/memory.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/corpus.h"
#include "tests/support/files.h"
#include "tests/support/random_text.h"
#include "tokenizer/learn/bpe_learn.h"
#include "tokenizer/learn/bpe_train.h"
#include "tokenizer/learn/word_count.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- helpers ---- */

static const ByteString end_of_text = ATOM("<|endoftext|>");

static BPEModel train_file(const char *path, size_t vocab_size, int threads, BPETrainStats *stats)
{
    const BPETrainConfig config = {
        .vocab_size = vocab_size, .special_tokens = &end_of_text, .special_count = 1, .threads = threads};
    BPEModel model;
    assert_ok(bpe_train_files(&model, stats, &path, 1, &config));
    return model;
}

static void assert_same_merges(const BPEModel *model, const BPEModel *expected)
{
    ck_assert_uint_eq(model->merge_count, expected->merge_count);
    for (size_t i = 0; i < expected->merge_count; i++)
        if (model->merges[i].left != expected->merges[i].left || model->merges[i].right != expected->merges[i].right)
            ck_abort_msg("merge %zu: (%d, %d), expected (%d, %d)", i, (int)model->merges[i].left,
                         (int)model->merges[i].right, (int)expected->merges[i].left, (int)expected->merges[i].right);
}

static void assert_same_for_threads(const char *path, size_t vocab_size)
{
    static const int threads[] = {2, 3, 8};
    BPEModel one = train_file(path, vocab_size, 1, NULL);
    ck_assert_uint_gt(one.merge_count, 0);
    for (size_t i = 0; i < COUNT(threads); i++) {
        test_label("%d threads", threads[i]);
        BPEModel more = train_file(path, vocab_size, threads[i], NULL);
        assert_same_merges(&more, &one);
        bpe_model_deinit(&more);
    }
    bpe_model_deinit(&one);
}

/* Writes a file that repeats a text. */
static const char *write_repeated(const char *name, const void *text, size_t length, size_t times)
{
    const char *path = temp_path(name);
    FILE *file = fopen(path, "wb");
    ck_assert(file);
    for (size_t i = 0; i < times; i++)
        ck_assert_uint_eq(fwrite(text, 1, length, file), length);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

/* Returns the most memory, in bytes, that one thread takes for training. Two might not share a short text evenly. */
static size_t peak_of_training(const char *path, size_t vocab_size, BPETrainStats *stats)
{
    const size_t before = memory_in_use();
    memory_reset_peak();
    BPEModel model = train_file(path, vocab_size, 1, stats);
    bpe_model_deinit(&model);
    return memory_peak() - before;
}

static BPEModel learn(WordTable *words, size_t merges)
{
    BPETrainConfig config = {.vocab_size = BYTE_VALUES};
    BPEModel model;
    assert_ok(bpe_train(&model, NULL, NULL, 0, &config));
    config.vocab_size += merges;
    assert_ok(bpe_learn(&model, words, &config));
    return model;
}

/* ---- memory ---- */

START_TEST(test_memory_follows_the_distinct_pretokens_and_not_the_text)
{
    size_t length;
    uint8_t *text = corpus_make(&length);
    BPETrainStats once, often;
    const size_t small = peak_of_training(write_repeated("once", text, length, 1), 400, &once);
    const size_t large = peak_of_training(write_repeated("often", text, length, 5), 400, &often);
    free(text);
    ck_assert_uint_eq(often.bytes, 5 * once.bytes);
    ck_assert_uint_le(often.distinct_pretokens, once.distinct_pretokens + 1); /* the seams may join two words */
    ck_assert_msg(large < small + small / 4, "%zu bytes for the text, %zu for five times the text", small, large);
    ck_assert_msg(large < 5 * length, "%zu bytes of memory for %zu bytes of text", large, 5 * length);
}
END_TEST

START_TEST(test_text_without_valid_characters_is_cut_too)
{
    const char *path = write_repeated("malformed", " \xFF\xFF\xE4\xB8", 5, 800000);
    BPETrainStats stats;
    const size_t peak = peak_of_training(path, 270, &stats);
    ck_assert_uint_eq(stats.distinct_pretokens, 1);
    ck_assert_uint_eq(stats.pretokens, 800000);
    ck_assert_msg(peak < 3000000, "%zu bytes of memory for one distinct pre-token", peak);
}
END_TEST

START_TEST(test_many_distinct_pretokens)
{
    enum { NUMBERS = 200000 };
    const char *path = temp_path("numbers");
    FILE *file = fopen(path, "wb");
    ck_assert(file);
    for (unsigned i = 0; i < NUMBERS; i++)
        fprintf(file, " %u", i * 2654435761u);
    ck_assert_int_eq(fclose(file), 0);
    BPETrainStats stats;
    const size_t peak = peak_of_training(path, 300, &stats);
    ck_assert_uint_eq(stats.distinct_pretokens, NUMBERS);
    ck_assert_msg(peak < (size_t)NUMBERS * 300, "%zu bytes of memory", peak);
    assert_same_for_threads(path, 300);
}
END_TEST

/* ---- counts ---- */

enum { DIGITS = 4 };

/* Makes a word that ends with a number, written with DIGITS letters. Every seventh word is a long one. */
static ByteString numbered_word(char word[50], size_t number)
{
    static const char *const beginnings[] = {" incomprehensibilities", " ", " x", " ", " y", " ", " "};
    size_t length = strlen(strcpy(word, beginnings[number % 7]));
    for (int i = 0; i < DIGITS; i++, number /= 26)
        word[length++] = (char)('a' + number % 26);
    return (ByteString){.bytes = (const uint8_t *)word, .length = length};
}

static size_t number_of(ByteString word)
{
    size_t number = 0;
    for (size_t i = 0; i < DIGITS; i++)
        number = 26 * number + (size_t)(word.bytes[word.length - 1 - i] - 'a');
    return number;
}

START_TEST(test_words_are_counted_by_definition)
{
    enum { WORDS = 100000, FREQUENT = 100, TIMES = 3 };
    char word[50];
    Rng rng = rng_seeded(11);
    ByteList text = {0};
    size_t *expected = calloc(WORDS, sizeof *expected);
    ck_assert(expected);
    for (size_t i = 0; i < (size_t)TIMES * WORDS; i++) {
        const size_t number = i < WORDS ? i : rng_below(&rng, i % 2 ? WORDS : FREQUENT);
        const ByteString next = numbered_word(word, number);
        assert_ok(byte_list_append(&text, next.bytes, next.length));
        expected[number]++;
    }
    const WordSource source = {.content = {.bytes = text.bytes, .length = text.length}};
    const SpecialTokens none = {0};
    for (int threads = 1; threads <= 4; threads++) {
        const WordCountConfig config = {.special = &none, .threads = threads, .chunk_bytes = 10000};
        WordTable words;
        test_label("%d threads", threads);
        assert_ok(count_words(&words, &source, 1, &config));
        ck_assert_uint_eq(word_table_size(&words), WORDS);
        for (WordCursor cursor = {0}; word_table_next(&words, &cursor);) {
            const size_t number = number_of(cursor.word);
            ck_assert(byte_string_equal(cursor.word, numbered_word(word, number)));
            ck_assert_msg(cursor.count == expected[number], "\"%.*s\" counted %zu times, expected %zu",
                          (int)cursor.word.length, word, (size_t)cursor.count, expected[number]);
        }
        word_table_deinit(&words);
    }
    byte_list_deinit(&text);
    free(expected);
}
END_TEST

/* ---- difficult texts ---- */

START_TEST(test_an_endless_pretoken_is_halved_with_each_merge)
{
    enum { DOUBLINGS = 20 };
    const char *path = write_repeated("endless", "aaaaaaaaaaaaaaaa", 16, 1 << (DOUBLINGS - 4));
    BPETrainStats stats;
    for (int threads = 1; threads <= 3; threads++) {
        test_label("%d threads", threads);
        BPEModel model = train_file(path, 1000, threads, &stats);
        ck_assert_uint_eq(stats.distinct_pretokens, 1);
        ck_assert_uint_eq(model.merge_count, DOUBLINGS);
        ck_assert_uint_eq(bpe_model_token(&model, (int32_t)model.vocab_size - 1).length, 1 << DOUBLINGS);
        bpe_model_deinit(&model);
    }
}
END_TEST

START_TEST(test_nul_bytes_and_no_newline_are_a_text_for_all_threads)
{
    static const ByteString atoms[] = {ATOM("\0"), ATOM("\0\0\0"), ATOM("a\0b"), ATOM(" \0"),   ATOM("the"),
                                       ATOM(" "),  ATOM("\xFF"),   ATOM("é"),    ATOM("don't"), ATOM("12")};
    Rng rng = rng_seeded(7);
    const char *path = temp_path("nul");
    FILE *file = fopen(path, "wb");
    ck_assert(file);
    for (int i = 0; i < 400000; i++) {
        const ByteString atom = atoms[rng_below(&rng, COUNT(atoms))];
        ck_assert_uint_eq(fwrite(atom.bytes, 1, atom.length, file), atom.length);
    }
    ck_assert_int_eq(fclose(file), 0);
    assert_same_for_threads(path, 500);
}
END_TEST

/* ---- large counts ---- */

START_TEST(test_counts_go_beyond_32_bits)
{
    const struct {
        ByteString word;
        uint64_t count;
    } given[] = {{ATOM("ab"), UINT64_C(5000000000)},
                 {ATOM("cd"), UINT64_C(5000000001)},
                 {ATOM("ef"), UINT64_C(8589934590)}, /* twice UINT32_MAX */
                 {ATOM("gh"), UINT64_C(4294967296)},
                 {ATOM("ij"), UINT64_C(4294967295)}};
    const char *const order[] = {"ef", "cd", "ab", "gh", "ij"};
    WordTable words = {0};
    for (size_t i = 0; i < COUNT(given); i++)
        assert_ok(word_table_add(&words, given[i].word, given[i].count));
    BPEModel model = learn(&words, 100);
    ck_assert_uint_eq(model.merge_count, COUNT(order));
    for (size_t i = 0; i < COUNT(order); i++) {
        test_label("merge %zu, \"%s\"", i, order[i]);
        ck_assert(byte_string_equal(bpe_model_token(&model, (int32_t)(BYTE_VALUES + i)), byte_string(order[i])));
    }
    bpe_model_deinit(&model);
}
END_TEST

/* Multiplying all counts gives the same merges, but then rare pairs are below the first floor and collected later. */
START_TEST(test_leaving_out_rare_pairs_changes_nothing)
{
    static const ByteString atoms[] = {ATOM("a"), ATOM("b"), ATOM("ab"), ATOM("aa"), ATOM("bca"), ATOM(" "), ATOM("é")};
    static const uint64_t factors[] = {7, 1000, 100000};
    const SpecialTokens none = {0};
    const WordCountConfig config = {.special = &none, .threads = 1};
    Rng rng = rng_seeded(5);
    uint8_t buffer[LONGEST_TEXT];
    for (int trial = 0; trial < 100; trial++) {
        const WordSource source = {.content = random_text(&rng, buffer, atoms, COUNT(atoms), 100)};
        WordTable words, scaled = {0};
        test_label("text %d", trial);
        assert_ok(count_words(&words, &source, 1, &config));
        for (WordCursor cursor = {0}; word_table_next(&words, &cursor);)
            assert_ok(word_table_add(&scaled, cursor.word, cursor.count * factors[trial % 3]));
        BPEModel model = learn(&scaled, 60), expected = learn(&words, 60);
        assert_same_merges(&model, &expected);
        bpe_model_deinit(&model);
        bpe_model_deinit(&expected);
    }
}
END_TEST

START_TEST(test_a_file_that_shrinks_while_it_is_read)
{
    const WordSource source = {.path = "tests/fixtures/tokenizer/german.txt", .content.length = 1000000};
    const SpecialTokens none = {0};
    const WordCountConfig config = {.special = &none, .threads = 2};
    WordTable words;
    ck_assert_int_eq(count_words(&words, &source, 1, &config), CS336_EIO);
    ck_assert_msg(strstr(status_message(), " bytes, there are 562"), "\"%s\"", status_message());
    ck_assert_uint_eq(word_table_size(&words), 0);
}
END_TEST

const TestCase bpe_scale_tests[] = {
    TEST(test_memory_follows_the_distinct_pretokens_and_not_the_text, "train_bpe"),
    TEST(test_text_without_valid_characters_is_cut_too, "train_bpe"),
    TEST(test_many_distinct_pretokens, "train_bpe"),
    TEST(test_words_are_counted_by_definition, "train_bpe"),
    TEST(test_an_endless_pretoken_is_halved_with_each_merge, "train_bpe"),
    TEST(test_nul_bytes_and_no_newline_are_a_text_for_all_threads, "train_bpe"),
    TEST(test_counts_go_beyond_32_bits, "train_bpe"),
    TEST(test_leaving_out_rare_pairs_changes_nothing, "train_bpe"),
    TEST(test_a_file_that_shrinks_while_it_is_read, "train_bpe"),
    {0},
};
