#define _POSIX_C_SOURCE 200809L
#include "tests/adapters.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/corpus.h"
#include "tests/support/course.h"
#include "tests/support/files.h"
#include "tests/support/gpt2_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int by_bytes(const void *a, const void *b)
{
    return byte_string_compare(*(const ByteString *)a, *(const ByteString *)b);
}

/* As the course compares: the same merges in the same order, the same ids, the same tokens whatever their ids. */
static void assert_trained(const TrainedBPE *trained, const char *vocab_path, const char *merges_path)
{
    Gpt2Files expected = gpt2_files_read(vocab_path, merges_path);
    test_label("%s", merges_path);
    ck_assert_uint_eq(trained->merge_count, expected.merge_count);
    for (size_t i = 0; i < expected.merge_count; i++)
        ck_assert_msg(byte_string_equal(trained->merges[i].left, expected.merges[i].left) &&
                          byte_string_equal(trained->merges[i].right, expected.merges[i].right),
                      "merge %zu: (%.*s, %.*s), expected (%.*s, %.*s)", i, (int)trained->merges[i].left.length,
                      (const char *)trained->merges[i].left.bytes, (int)trained->merges[i].right.length,
                      (const char *)trained->merges[i].right.bytes, (int)expected.merges[i].left.length,
                      (const char *)expected.merges[i].left.bytes, (int)expected.merges[i].right.length,
                      (const char *)expected.merges[i].right.bytes);
    ck_assert_uint_eq(trained->vocab_size, expected.vocab_size);
    qsort(trained->vocab, trained->vocab_size, sizeof *trained->vocab, by_bytes);
    qsort(expected.vocab, expected.vocab_size, sizeof *expected.vocab, by_bytes);
    for (size_t i = 0; i < expected.vocab_size; i++)
        ck_assert_msg(byte_string_equal(trained->vocab[i], expected.vocab[i]), "\"%.*s\" is no token of the reference",
                      (int)trained->vocab[i].length, (const char *)trained->vocab[i].bytes);
    gpt2_files_free(&expected);
}

static TrainedBPE train(const char *path, size_t vocab_size)
{
    const ByteString special = byte_string("<|endoftext|>");
    TrainedBPE trained;
    assert_ok(run_train_bpe(&trained, path, vocab_size, &special, 1));
    return trained;
}

static const char *write_corpus(size_t most)
{
    size_t length;
    uint8_t *text = corpus_make(&length);
    const char *path = temp_path("corpus.txt");
    write_file(path, text, length < most ? length : most);
    free(text);
    return path;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void assert_fast(const char *path)
{
    const double begin = seconds();
    TrainedBPE trained = train(path, 500);
    const double taken = seconds() - begin;
    release_trained_bpe(&trained);
    ck_assert_msg(taken < 1.5, "%g s, expected less than 1.5 s", taken);
}

/* 130 KB of text, vocabulary 500. */
START_TEST(test_train_bpe_speed)
{
    assert_fast(write_corpus(130000));
    const char *path = course_path("corpus.en");
    if (path)
        assert_fast(path);
}
END_TEST

/* The story sample and its like, vocabulary 900, against a trainer that recounts every pair at every step. */
START_TEST(test_train_bpe)
{
    TrainedBPE trained = train("tests/fixtures/tokenizer/train.txt", 900);
    assert_trained(&trained, "tests/fixtures/tokenizer/vocab.json", "tests/fixtures/tokenizer/merges.txt");
    release_trained_bpe(&trained);
    const char *path = course_path("corpus.en");
    if (!path)
        return;
    trained = train(path, 500);
    assert_trained(&trained, course_path("train-bpe-reference-vocab.json"),
                   course_path("train-bpe-reference-merges.txt"));
    release_trained_bpe(&trained);
}
END_TEST

static bool holds(ByteString text, const char *wanted)
{
    for (size_t i = 0; i + strlen(wanted) <= text.length; i++)
        if (memcmp(text.bytes + i, wanted, strlen(wanted)) == 0)
            return true;
    return false;
}

/* 5 MB of text, vocabulary 1000. */
START_TEST(test_train_bpe_special_tokens)
{
    TrainedBPE trained = train(write_corpus(SIZE_MAX), 1000);
    size_t special = 0;
    for (size_t i = 0; i < trained.vocab_size; i++)
        if (byte_string_equal(trained.vocab[i], byte_string("<|endoftext|>")))
            special++;
        else
            ck_assert_msg(!holds(trained.vocab[i], "<|"), "token %zu holds \"<|\"", i);
    ck_assert_uint_eq(special, 1);
    assert_trained(&trained, "tests/fixtures/tokenizer/corpus_vocab.json",
                   "tests/fixtures/tokenizer/corpus_merges.txt");
    release_trained_bpe(&trained);
}
END_TEST

const TestCase train_bpe_tests[] = {
    TEST_UNLESS(test_train_bpe_speed, "train_bpe", timing_means_nothing),
    TEST(test_train_bpe, "train_bpe"),
    TEST(test_train_bpe_special_tokens, "train_bpe"),
    {0},
};
