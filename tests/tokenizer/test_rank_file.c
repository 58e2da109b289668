/* Rank files of tiktoken. Their ids are compared with tiktoken's in test_tokenizer_file.c. */
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/course.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/zeroed.h"
#include "tokenizer/encode/tokenizer.h"
#include "tokenizer/files/bpe_files.h"
#include "tokenizer/files/rank_file.h"
#include "tokenizer/files/tokenizer_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIXTURES "tests/fixtures/tokenizer/"

static const char *rank_path(void)
{
    static char path[256];
    snprintf(path, sizeof path, "%s", temp_path("ranks.tiktoken"));
    return path;
}

static Status write_ranks(const BPEModel *model)
{
    FileWriter writer;
    Status s = file_create(&writer, rank_path());
    if (!s)
        s = rank_file_write(&writer, model);
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    return s;
}

/* ---- merges ---- */

/* Writes the ranks of a vocabulary, and compares the merges that follow from them with those that were learned. */
static void assert_merges_follow(const char *vocab, const char *merges, int pattern)
{
    const ByteString end = byte_string("<|endoftext|>");
    BPEModel learned, read;
    assert_ok(bpe_model_read(&learned, vocab, merges, &end, 1));
    assert_ok(write_ranks(&learned));
    assert_ok(tokenizer_file_read(&read, rank_path(), pattern, &end, 1));
    ck_assert_uint_eq(read.vocab_size, learned.vocab_size);
    ck_assert_uint_eq(read.merge_count, learned.merge_count);
    ck_assert(!read.ignore_merges);
    for (size_t i = 0; i < learned.vocab_size; i++)
        ck_assert_msg(byte_string_equal(bpe_model_token(&read, (int32_t)i), bpe_model_token(&learned, (int32_t)i)),
                      "token %zu differs", i);
    for (size_t i = 0; i < learned.merge_count; i++)
        ck_assert_msg(read.merges[i].left == learned.merges[i].left &&
                          read.merges[i].right == learned.merges[i].right &&
                          read.merges[i].merged == learned.merges[i].merged,
                      "merge %zu differs", i);
    ck_assert_int_eq(read.specials[0].id, learned.specials[0].id);
    bpe_model_deinit(&learned);
    bpe_model_deinit(&read);
}

START_TEST(test_the_learned_merges_follow_from_the_ranks)
{
    assert_merges_follow(FIXTURES "vocab.json", FIXTURES "merges.txt", PATTERN_GPT2);
    assert_merges_follow(FIXTURES "corpus_vocab.json", FIXTURES "corpus_merges.txt", PATTERN_GPT2);
    if (course_path("")) /* these are r50k_base, and are recognised */
        assert_merges_follow(course_path("gpt2_vocab.json"), course_path("gpt2_merges.txt"), PATTERN_UNKNOWN);
}
END_TEST

static void add_bytes(BPEModel *model)
{
    for (unsigned b = 0; b < BYTE_VALUES; b++) {
        const uint8_t byte = (uint8_t)b;
        assert_ok(bpe_model_add_token(model, (ByteString){.bytes = &byte, .length = 1}));
    }
}

static void assert_refused(const BPEModel *model, const char *message)
{
    char text[256];
    snprintf(text, sizeof text, "a rank file cannot hold this vocabulary: %s", message);
    assert_fails(write_ranks(model), CS336_ERANGE, text);
    ck_assert_uint_eq(directory_entries(temp_path(".")), 0);
}

START_TEST(test_a_vocabulary_whose_ids_are_not_ranks_is_refused)
{
    BPEModel model = {0};
    add_bytes(&model);
    /* Token 256 is made after token 257. */
    assert_ok(bpe_model_add_token(&model, byte_string("ab")));
    assert_ok(bpe_model_add_token(&model, byte_string("cd")));
    assert_ok(bpe_model_add_merge(&model, (BPEMerge){.left = 'c', .right = 'd', .merged = 257}));
    assert_ok(bpe_model_add_merge(&model, (BPEMerge){.left = 'a', .right = 'b', .merged = 256}));
    assert_refused(&model,
                   "token 256 \"ab\" is made by a later merge than tokens with higher ids, and a rank is an id");
    bpe_model_deinit(&model);
    /* abc is made from a and bc, which stand side by side nowhere: a joins b first. */
    add_bytes(&model);
    assert_ok(bpe_model_merge(&model, 'a', 'b'));
    assert_ok(bpe_model_merge(&model, 'b', 'c'));
    assert_ok(bpe_model_merge(&model, 'a', 257));
    assert_refused(&model, "token 258 \"abc\" has other merges than those that the ranks lead to");
    /* With the merge that the ranks lead to as well it can be written. */
    assert_ok(bpe_model_add_merge(&model, (BPEMerge){.left = 256, .right = 'c', .merged = 258}));
    assert_ok(write_ranks(&model));
    assert_ok(file_remove(rank_path()));
    /* No joins lead to xyz. */
    assert_ok(bpe_model_add_token(&model, byte_string("xyz")));
    assert_refused(&model, "token 259 \"xyz\" is never made by merges, but a pre-token would become it; if it is a "
                           "special token, --special-token names it");
    model.ignore_merges = true;
    assert_ok(write_ranks(&model));
    bpe_model_deinit(&model);
}
END_TEST

START_TEST(test_tokens_of_any_bytes_and_lengths_come_back)
{
    BPEModel model = {0}, read;
    add_bytes(&model);
    int32_t last = 0;
    for (int i = 0; i < 40; i++) { /* 0 1, 0 1 2, ... of 2 to 41 bytes: all three lengths of a group of base64 */
        assert_ok(bpe_model_merge(&model, last, (int32_t)(i + 1) * 6));
        last = (int32_t)model.vocab_size - 1;
    }
    assert_ok(write_ranks(&model));
    assert_ok(tokenizer_file_read(&read, rank_path(), PATTERN_GPT2, NULL, 0));
    ck_assert_uint_eq(read.vocab_size, model.vocab_size);
    for (size_t i = 0; i < model.vocab_size; i++)
        ck_assert(byte_string_equal(bpe_model_token(&read, (int32_t)i), bpe_model_token(&model, (int32_t)i)));
    ck_assert_ptr_nonnull(strstr(file_text(rank_path()), "\nAAY= 256\nAAYM 257\nAAYMEg== 258\n"));
    bpe_model_deinit(&model);
    bpe_model_deinit(&read);
}
END_TEST

START_TEST(test_tokens_that_are_too_long_are_refused)
{
    BPEModel model = {0}, read;
    add_bytes(&model);
    for (int i = 0; i < 13; i++) /* a, aa, aaaa, ...: 8192 bytes */
        assert_ok(
            bpe_model_merge(&model, i ? (int32_t)model.vocab_size - 1 : 'a', i ? (int32_t)model.vocab_size - 1 : 'a'));
    ck_assert_int_eq(write_ranks(&model), CS336_ERANGE);
    ck_assert_ptr_nonnull(strstr(status_message(), "a rank file cannot hold this vocabulary: token 268 \"aaaa"));
    ck_assert_ptr_nonnull(strstr(status_message(), "has 8192 bytes, expected at most 4096"));
    model.vocab_size--;
    model.merge_count--;
    model.bytes.length -= 8192;
    assert_ok(write_ranks(&model));
    assert_ok(tokenizer_file_read(&read, rank_path(), PATTERN_GPT2, NULL, 0));
    ck_assert_uint_eq(read.merge_count, model.merge_count);
    bpe_model_deinit(&model);
    bpe_model_deinit(&read);
}
END_TEST

/* ---- files that are recognised ---- */

/* Writes a file with as many ranks as an encoding of OpenAI, of which one is "Hello"; the rest are made up. */
static void write_large(size_t count, int32_t hello)
{
    FILE *file = fopen(rank_path(), "wb");
    ck_assert_ptr_nonnull(file);
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t rank = 0; rank < count; rank++) {
        if (rank < 256) /* a byte: 8 bits and 4 zero bits */
            fprintf(file, "%c%c== %zu\n", digits[rank >> 2], digits[(rank & 3) << 4], rank);
        else if (rank == (size_t)hello)
            fprintf(file, "SGVsbG8= %zu\n", rank);
        else /* three bytes */
            fprintf(file, "%c%c%c%c %zu\n", digits[rank >> 18], digits[rank >> 12 & 63], digits[rank >> 6 & 63],
                    digits[rank & 63], rank);
    }
    ck_assert_int_eq(fclose(file), 0);
}

static void assert_special_is(const BPEModel *model, const char *text, int32_t id, BPESpecialKind kind)
{
    const int64_t index = bpe_model_find_special(model, byte_string(text));
    ck_assert_msg(index >= 0, "no %s", text);
    ck_assert_int_eq(model->specials[index].id, id);
    ck_assert_int_eq(model->specials[index].kind, kind);
    ck_assert(byte_string_equal(bpe_model_token(model, id), byte_string(text)));
}

START_TEST(test_files_of_openai_are_recognised)
{
    const ByteString special[] = {byte_string("<|endoftext|>"), byte_string("<|mine|>")};
    BPEModel model;
    write_large(100256, 9906);
    assert_ok(tokenizer_file_read(&model, rank_path(), PATTERN_UNKNOWN, special, 2));
    ck_assert_int_eq(model.pattern, PATTERN_GPT4);
    assert_special_is(&model, "<|endoftext|>", 100257, SPECIAL_OWN);
    assert_special_is(&model, "<|fim_prefix|>", 100258, SPECIAL_UNNAMED);
    assert_special_is(&model, "<|endofprompt|>", 100276, SPECIAL_UNNAMED);
    ck_assert_uint_eq(model.vocab_size, 100277);
    ck_assert_int_lt((int)bpe_model_find_special(&model, special[1]), 0); /* tokenizer_create() gives it 100277 */
    bpe_model_deinit(&model);
    write_large(50256, 15496);
    assert_ok(tokenizer_file_read(&model, rank_path(), PATTERN_UNKNOWN, special, 2));
    ck_assert_int_eq(model.pattern, PATTERN_GPT2);
    assert_special_is(&model, "<|endoftext|>", 50256, SPECIAL_OWN);
    bpe_model_deinit(&model);
    assert_ok(tokenizer_file_read(&model, rank_path(), PATTERN_GPT2, NULL, 0));
    bpe_model_deinit(&model);
    assert_path_fails(tokenizer_file_read(&model, rank_path(), PATTERN_GPT4, NULL, 0), CS336_EFORMAT, rank_path(),
                      ": this is r50k_base, whose pattern is gpt2, not the gpt4 of --pattern");
    write_large(199998, 13225);
    for (int pattern = PATTERN_UNKNOWN; pattern <= PATTERN_GPT4; pattern++)
        assert_path_fails(tokenizer_file_read(&model, rank_path(), pattern, NULL, 0), CS336_EFORMAT, rank_path(),
                          ": the pattern of o200k_base is not built in");
    write_large(100256, 9907);
    assert_path_fails(tokenizer_file_read(&model, rank_path(), PATTERN_UNKNOWN, NULL, 0), CS336_EFORMAT, rank_path(),
                      ": a rank file does not say how text is split; give --pattern gpt2, or --pattern gpt4 as for "
                      "cl100k_base and Llama 3");
}
END_TEST

/* ---- special tokens ---- */

START_TEST(test_special_tokens_get_the_ranks_that_are_skipped)
{
    const ByteString special[] = {byte_string("<|a|>"), byte_string("<|b|>"), byte_string("<|c|>"), byte_string("e"),
                                  byte_string("<|a|>")};
    Tokenizer *tokenizer;
    assert_ok(tokenizer_load_file(&tokenizer, FIXTURES "files-gpt2.tiktoken", PATTERN_GPT2, special, 5));
    const BPEModel *model = &tokenizer->model;
    assert_special_is(model, "<|a|>", 0, SPECIAL_OWN);
    assert_special_is(model, "<|b|>", 270, SPECIAL_OWN);
    assert_special_is(model, "<|c|>", (int32_t)model->vocab_size - 1, SPECIAL_OWN);
    ck_assert_uint_eq(bpe_model_token(model, tokenizer_find(tokenizer, byte_string("e"))).length, 1);
    tokenizer_destroy(tokenizer);
}
END_TEST

/* ---- damaged files ---- */

START_TEST(test_damaged_rank_files_are_described)
{
    static const struct {
        const char *more, *message;
    } cases[] = {
        {"YWI=", ":257: expected a token in base64, a blank and a rank"},
        {"YWI= 2x", ":257: expected a token in base64, a blank and a rank"},
        {" 300", ":257: expected a token in base64, a blank and a rank"},
        {"YWI=  300", ":257: expected a token in base64, a blank and a rank"},
        {"YWI= -1", ":257: expected a token in base64, a blank and a rank"},
        {"YWI= 99999999999", ":257: expected a token in base64, a blank and a rank"},
        {"YWI 300", ":257: \"YWI\" is not base64"},
        {"Y*I= 300", ":257: \"Y*I=\" is not base64"},
        {"YW=I 300", ":257: \"YW=I\" is not base64"},
        {"Y=== 300", ":257: \"Y===\" is not base64"},
        {"YWI= 7", ":257: rank 7 comes a second time"},
        {"YWI= 300\r\n\r\nYWI= 301\r\n", ": token \"ab\" has the ranks 300 and 301"},
        {"YQ== 300", ": token \"a\" has the ranks 97 and 300"},
        {"YWI= 2000000",
         ": 257 tokens, and the largest rank is 2000000: 1999744 ranks without a token, expected at most 1048576"},
    };
    char text[8192];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        BPEModel model = {0};
        add_bytes(&model);
        assert_ok(write_ranks(&model));
        bpe_model_deinit(&model);
        const int length = snprintf(text, sizeof text, "%s%s", file_text(rank_path()), cases[i].more);
        write_file(rank_path(), text, (size_t)length);
        test_label("%s", cases[i].more);
        assert_path_fails(tokenizer_file_read(&model, rank_path(), PATTERN_GPT2, NULL, 0), CS336_EFORMAT, rank_path(),
                          cases[i].message);
    }
    test_label_end();
    BPEModel model;
    write_file(rank_path(), "YQ== 0\n", 7);
    assert_path_fails(tokenizer_file_read(&model, rank_path(), PATTERN_GPT2, NULL, 0), CS336_EFORMAT, rank_path(),
                      ": no token for byte 0x00, all 256 are needed");
}
END_TEST

static Status attempt_write(void *model)
{
    return write_ranks(model);
}

START_TEST(test_writing_rank_files_fails_cleanly)
{
    BPEModel model = {0};
    add_bytes(&model);
    assert_ok(bpe_model_merge(&model, 'a', 'b'));
    assert_ok(bpe_model_merge(&model, 256, 256));
    assert_write_failures_are_clean(attempt_write, &model, temp_path("."));
    assert_allocation_failures_are_clean(attempt_write, &model);
    bpe_model_deinit(&model);
}
END_TEST

const TestCase rank_file_tests[] = {
    TEST(test_the_learned_merges_follow_from_the_ranks, "tokenizer_files"),
    TEST(test_a_vocabulary_whose_ids_are_not_ranks_is_refused, "tokenizer_files"),
    TEST(test_tokens_of_any_bytes_and_lengths_come_back, "tokenizer_files"),
    TEST(test_tokens_that_are_too_long_are_refused, "tokenizer_files"),
    TEST(test_files_of_openai_are_recognised, "tokenizer_files"),
    TEST(test_special_tokens_get_the_ranks_that_are_skipped, "tokenizer_files"),
    TEST(test_damaged_rank_files_are_described, "tokenizer_files"),
    TEST(test_writing_rank_files_fails_cleanly, "tokenizer_files"),
    {0},
};
