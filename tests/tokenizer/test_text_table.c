#include "core/memory.h"
#include "core/rng.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/random_text.h"
#include "tokenizer/encode/encoder.h"
#include "tokenizer/encode/tokenizer.h"
#include "tokenizer/files/bpe_files.h"
#include "tokenizer/files/rank_file.h"
#include "tokenizer/files/tokenizer_file.h"
#include "tokenizer/files/tokenizer_json.h"
#include "tokenizer/learn/bpe_train.h"
#include "tokenizer/text_table.h"

#include <stdio.h>
#include <string.h>

/* ---- the table ---- */

/* Returns the number of a text in a list, compared one by one, or -1. */
static int64_t find_slowly(const ByteString *texts, size_t count, ByteString text)
{
    for (size_t i = 0; i < count; i++)
        if (byte_string_equal(texts[i], text))
            return (int64_t)i;
    return -1;
}

static void assert_same_texts(const TextTable *table, const ByteString *texts, size_t count)
{
    ck_assert_uint_eq(table->count, count);
    for (size_t i = 0; i < count; i++) {
        ck_assert(byte_string_equal(text_table_get(table, i), texts[i]));
        ck_assert_int_eq(text_table_find(table, texts[i]), (int64_t)i);
    }
}

/* Texts that are empty, hold NUL, repeat or are beginnings of each other; enough of them that the slots double. */
START_TEST(test_texts_are_numbered_in_the_order_of_their_first_addition)
{
    static const ByteString atoms[] = {ATOM("a"), ATOM("b"), ATOM("\0"), ATOM("12345678"), ATOM("\xFF")};
    enum { MOST = 2000 };
    static uint8_t buffers[MOST][LONGEST_TEXT];
    static ByteString texts[MOST];
    Rng rng = rng_seeded(1);
    TextTable table = {0}, copy;
    size_t count = 0;
    ck_assert_int_eq(text_table_find(&table, byte_string("a")), -1);
    for (int trial = 0; trial < MOST; trial++) {
        const ByteString text = random_text(&rng, buffers[count], atoms, COUNT(atoms), 6);
        const int64_t known = find_slowly(texts, count, text);
        ck_assert_int_eq(text_table_find(&table, text), known);
        assert_ok(text_table_add(&table, text));
        if (known < 0)
            texts[count++] = text;
        ck_assert_uint_eq(table.count, count);
    }
    ck_assert_uint_gt(count, 600); /* the smallest table holds 256 */
    assert_same_texts(&table, texts, count);
    assert_ok(text_table_copy(&copy, &table));
    text_table_deinit(&table);
    assert_same_texts(&copy, texts, count);
    assert_ok(text_table_add(&copy, byte_string("another one")));
    ck_assert_int_eq(text_table_find(&copy, byte_string("another one")), (int64_t)count);
    text_table_deinit(&copy);
}
END_TEST

static Status attempt_to_fill(void *context)
{
    TextTable table = {0}, copy = {0};
    Status s = CS336_OK;
    (void)context;
    for (int i = 0; !s && i < 300; i++) { /* the slots double once */
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        const size_t count = table.count;
        s = text_table_add(&table, byte_string(text));
        ck_assert_uint_eq(table.count, count + !s);
        ck_assert_int_eq(text_table_find(&table, byte_string(text)), s ? -1 : i);
    }
    if (!s)
        s = text_table_copy(&copy, &table);
    ck_assert_uint_eq(copy.count, s ? 0 : table.count);
    text_table_deinit(&copy);
    text_table_deinit(&table);
    return s;
}

START_TEST(test_a_table_without_memory_keeps_its_texts)
{
    assert_allocation_failures_are_clean(attempt_to_fill, NULL);
}
END_TEST

/* ---- so many special tokens that comparing each with each takes minutes ---- */

enum {
    MANY = 100000, /* 5e9 pairs: comparing each takes half a minute, and a test may take 4 seconds */
    LONGEST = 24   /* bytes */
};

/*
 * Texts that live as long as the test. Their first bytes are the same. Files write them as they stand, and readers take
 * the "é" of such a text for byte E9 until they know that it is a special token.
 */
static ByteString *many_texts(void)
{
    static char texts[MANY][LONGEST];
    static ByteString list[MANY];
    for (int i = 0; i < MANY; i++) {
        snprintf(texts[i], LONGEST, "<|\xC3\xA9_%d|>", i);
        list[i] = byte_string(texts[i]);
    }
    return list;
}

static void assert_many(const BPEModel *model, const ByteString *texts, int32_t first)
{
    ck_assert_uint_eq(model->special_count, MANY);
    for (int i = 0; i < MANY; i++) {
        const int64_t index = bpe_model_find_special(model, texts[i]);
        ck_assert(index >= 0);
        ck_assert_int_eq(model->specials[index].id, first + i);
        ck_assert(bpe_model_is_special(model, first + i));
    }
    ck_assert(!bpe_model_is_special(model, first ? 0 : MANY));
}

/* Makes the model of the 256 bytes. */
static BPEModel bytes_alone(void)
{
    BPEModel model = {0};
    for (unsigned b = 0; b < BYTE_VALUES; b++) {
        const uint8_t byte = (uint8_t)b;
        assert_ok(bpe_model_add_token(&model, (ByteString){.bytes = &byte, .length = 1}));
    }
    return model;
}

START_TEST(test_a_tokenizer_of_many_special_tokens)
{
    ByteString *texts = many_texts();
    BPEModel model = bytes_alone();
    Tokenizer *tokenizer;
    assert_ok(tokenizer_create(&tokenizer, &model, texts, MANY));
    ck_assert_uint_eq(tokenizer_vocab_size(tokenizer), BYTE_VALUES + MANY);
    assert_many(&tokenizer->model, texts, BYTE_VALUES);
    for (int i = 0; i < MANY; i += MANY / 7)
        ck_assert_int_eq(tokenizer_find(tokenizer, texts[i]), BYTE_VALUES + i);
    tokenizer_destroy(tokenizer);
    bpe_model_deinit(&model);
}
END_TEST

/*
 * Each of them is found in a text that has all of them. Half of them are
 * late, by the field "normalized" of a tokenizer.json; that changes nothing, since none overlaps another.
 */
START_TEST(test_many_special_tokens_are_found_in_a_text)
{
    static int32_t expected[2 * MANY];
    ByteString *texts = many_texts();
    BPEModel model = bytes_alone();
    Tokenizer *tokenizer;
    TokenList ids = {0};
    ByteList text = {0};
    size_t count = 0;
    for (int i = 0; i < MANY; i++) {
        assert_ok(bpe_model_add_special(&model, texts[i]));
        model.specials[bpe_model_find_special(&model, texts[i])].late = i % 2;
    }
    assert_ok(tokenizer_create(&tokenizer, &model, texts, MANY));
    ck_assert_uint_eq(tokenizer->special.early_count, MANY / 2);
    for (int i = 0; i < MANY; i++) {
        assert_ok(byte_list_append(&text, texts[i].bytes, texts[i].length));
        assert_ok(byte_list_append_text(&text, "x"));
        expected[count++] = BYTE_VALUES + i;
        expected[count++] = 'x';
    }
    assert_ok(tokenizer_encode(tokenizer, &ids, byte_list_view(&text)));
    ck_assert_uint_eq(ids.count, count);
    ck_assert_mem_eq(ids.ids, expected, count * sizeof *expected);
    byte_list_deinit(&text);
    token_list_deinit(&ids);
    tokenizer_destroy(tokenizer);
    bpe_model_deinit(&model);
}
END_TEST

START_TEST(test_training_with_many_special_tokens)
{
    ByteString *texts = many_texts();
    const ByteString text = byte_string("aaaa");
    const BPETrainConfig config = {
        .vocab_size = MANY + BYTE_VALUES, .special_tokens = texts, .special_count = MANY, .threads = 1};
    BPEModel model;
    assert_ok(bpe_train(&model, NULL, &text, 1, &config));
    assert_many(&model, texts, 0);
    bpe_model_deinit(&model);
}
END_TEST

START_TEST(test_tokenizer_json_of_many_special_tokens)
{
    ByteString *texts = many_texts();
    BPEModel model = bytes_alone(), read;
    FileWriter writer;
    char path[256];
    snprintf(path, sizeof path, "%s", temp_path("tokenizer.json"));
    assert_ok(file_create(&writer, path));
    assert_ok(tokenizer_json_write(&writer, &model, texts, MANY));
    assert_ok(file_commit(&writer));
    assert_ok(tokenizer_file_read(&read, path, PATTERN_UNKNOWN, NULL, 0));
    assert_many(&read, texts, BYTE_VALUES);
    bpe_model_deinit(&read);
    bpe_model_deinit(&model);
}
END_TEST

START_TEST(test_vocab_json_of_many_special_tokens)
{
    ByteString *texts = many_texts();
    BPEModel model = bytes_alone(), read;
    char vocab[256], merges[256];
    snprintf(vocab, sizeof vocab, "%s", temp_path("vocab.json"));
    snprintf(merges, sizeof merges, "%s", temp_path("merges.txt"));
    assert_ok(bpe_model_name_specials(&model, texts, MANY));
    assert_ok(bpe_model_write(&model, vocab, merges));
    assert_ok(bpe_model_read(&read, vocab, merges, texts, MANY));
    assert_many(&read, texts, BYTE_VALUES);
    bpe_model_deinit(&read);
    bpe_model_deinit(&model);
}
END_TEST

/* The ranks of the 256 bytes, then a rank after so many holes that each of the special tokens gets one. */
START_TEST(test_a_rank_file_of_many_holes)
{
    ByteString *texts = many_texts();
    BPEModel model = bytes_alone(), read;
    FileWriter writer;
    char path[256], last[64];
    snprintf(path, sizeof path, "%s", temp_path("ranks"));
    assert_ok(file_create(&writer, path));
    assert_ok(rank_file_write(&writer, &model));
    const int length = snprintf(last, sizeof last, "YWI= %d\n", BYTE_VALUES + MANY); /* "ab" */
    assert_ok(file_write(&writer, last, (size_t)length));
    assert_ok(file_commit(&writer));
    assert_ok(tokenizer_file_read(&read, path, PATTERN_GPT2, texts, MANY));
    ck_assert_uint_eq(read.vocab_size, BYTE_VALUES + MANY + 1);
    ck_assert_uint_eq(read.special_count, MANY);
    for (int i = 0; i < MANY; i++) {
        ck_assert(byte_string_equal(bpe_model_token(&read, BYTE_VALUES + i), texts[i]));
        ck_assert(bpe_model_is_special(&read, BYTE_VALUES + i));
    }
    bpe_model_deinit(&read);
    bpe_model_deinit(&model);
}
END_TEST

/* ---- tokens that get other bytes ---- */

START_TEST(test_tokens_get_other_bytes_all_at_once)
{
    static const char *const before[] = {"one", "", "three", "four"}, *const after[] = {NULL, "two!", "", "IIII"};
    BPEModel model = {0};
    ByteString texts[4] = {{0}};
    for (int i = 0; i < 4; i++)
        assert_ok(bpe_model_add_token(&model, byte_string(before[i])));
    for (int i = 0; i < 4; i++)
        if (after[i])
            texts[i] = byte_string(after[i]);
    assert_ok(bpe_model_replace_tokens(&model, texts));
    ck_assert_uint_eq(model.vocab_size, 4);
    for (int i = 0; i < 4; i++)
        ck_assert(byte_string_equal(bpe_model_token(&model, i), byte_string(after[i] ? after[i] : before[i])));
    bpe_model_deinit(&model);
}
END_TEST

/* ---- whose entry ---- */

/* A special token may have the bytes of an ordinary one: the entry of the one is not that of the other. */
START_TEST(test_an_entry_belongs_to_the_special_token_that_has_its_id)
{
    BPEModel model = bytes_alone();
    const ByteString special = byte_string("a"), other = byte_string("b");
    assert_ok(bpe_model_add_special(&model, special));
    assert_ok(bpe_model_set_special(&model, other, 'b', SPECIAL_AS_BYTES));
    ck_assert_int_eq(bpe_model_special_of(&model, 'a'), -1);
    ck_assert_int_eq(bpe_model_special_of(&model, BYTE_VALUES), 0);
    ck_assert_int_eq(bpe_model_special_of(&model, 'b'), -1);
    bpe_model_deinit(&model);
}
END_TEST

const TestCase text_table_tests[] = {
    TEST(test_texts_are_numbered_in_the_order_of_their_first_addition, "tokenizer"),
    TEST(test_a_table_without_memory_keeps_its_texts, "tokenizer"),
    TEST(test_a_tokenizer_of_many_special_tokens, "tokenizer"),
    TEST(test_many_special_tokens_are_found_in_a_text, "tokenizer"),
    TEST(test_training_with_many_special_tokens, "train_bpe"),
    TEST(test_tokenizer_json_of_many_special_tokens, "tokenizer"),
    TEST(test_vocab_json_of_many_special_tokens, "tokenizer"),
    TEST(test_a_rank_file_of_many_holes, "tokenizer_files"),
    TEST(test_tokens_get_other_bytes_all_at_once, "tokenizer_files"),
    TEST(test_an_entry_belongs_to_the_special_token_that_has_its_id, "tokenizer"),
    {0},
};
