/* Texts of every form, learned from and encoded as the library's callers do it: what they hold decides, in memory too.
 */
#include "core/file.h"
#include "core/memory.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/random_text.h"
#include "tokenizer/encode/encode_input.h"
#include "tokenizer/learn/bpe_train_inputs.h"

#include <stdio.h>
#include <string.h>

#define FOLDER "tests/fixtures/compressed/"

enum { MOST_TEXTS = 3 };

static const ByteString end = ATOM(TOKENIZER_DOCUMENT_END);
static const BPETrainConfig config = {.vocab_size = 300, .special_tokens = &end, .special_count = 1, .threads = 2};

/* Texts, and what they hold. */
typedef struct {
    const char *paths[MOST_TEXTS];
    size_t count;
    TextField field;
    ByteString texts[MOST_TEXTS];
} Case;

static const char *no_decompressor(void)
{
    return decompressor_exists(TEXT_GZIP) && decompressor_exists(TEXT_ZSTD) ? NULL : "built without zlib or libzstd";
}

static void assert_same_model(const BPEModel *a, const BPEModel *b)
{
    ck_assert_uint_eq(a->vocab_size, b->vocab_size);
    ck_assert_uint_eq(a->merge_count, b->merge_count);
    for (size_t id = 0; id < a->vocab_size; id++)
        ck_assert(byte_string_equal(bpe_model_token(a, (int32_t)id), bpe_model_token(b, (int32_t)id)));
    ck_assert_mem_eq(a->merges, b->merges, a->merge_count * sizeof *a->merges);
}

/* Learns from the texts and encodes them, and does the same with what they hold, which lies in memory. */
static void assert_read(const Case *c)
{
    InputTexts texts;
    BPEModel model, expected_model;
    BPETrainStats stats, expected_stats;
    Tokenizer *tokenizer;
    assert_ok(input_texts_begin(&texts, c->paths, c->count, c->field));
    assert_ok(bpe_train_inputs(&model, &stats, &texts, &config));
    assert_ok(bpe_train(&expected_model, &expected_stats, c->texts, c->count, &config));
    input_texts_end(&texts);
    ck_assert_uint_gt(model.merge_count, 20);
    assert_same_model(&model, &expected_model);
    ck_assert_uint_eq(stats.bytes, expected_stats.bytes);
    ck_assert_uint_eq(stats.pretokens, expected_stats.pretokens);
    assert_ok(tokenizer_create(&tokenizer, &model, &end, 1));
    assert_ok(input_texts_begin(&texts, c->paths, c->count, c->field));
    for (size_t i = 0; i < c->count; i++) {
        TokenList ids = {0}, expected = {0};
        assert_ok(encode_input(tokenizer, &texts.items[i], token_list_sink, &ids, &(EncodeConfig){0}));
        assert_ok(tokenizer_encode(tokenizer, &expected, c->texts[i]));
        ck_assert_uint_eq(ids.count, expected.count);
        ck_assert_mem_eq(ids.ids, expected.ids, ids.count * sizeof *ids.ids);
        token_list_deinit(&ids);
        token_list_deinit(&expected);
    }
    input_texts_end(&texts);
    tokenizer_destroy(tokenizer);
    bpe_model_deinit(&model);
    bpe_model_deinit(&expected_model);
}

START_TEST(test_compressed_texts_are_those_that_they_hold)
{
    LoadedFile file;
    assert_ok(file_load(&file, FOLDER "text.txt"));
    const ByteString text = {.bytes = file.data, .length = file.size};
    assert_read(&(Case){
        .paths = {FOLDER "one.gz", FOLDER "text.txt", FOLDER "one.zst"}, .count = 3, .texts = {text, text, text}});
    file_unload(&file);
}
END_TEST

/* Without zlib too: plain texts, and the documents of JSON Lines, of which each line has one. */
START_TEST(test_json_lines_are_their_documents)
{
    static const char lines[] = "{\"t\": \"the cat sat on the mat\", \"id\": 1}\n\n"
                                "{\"t\": \"the \\u00e9toile and the\\ncat\"}\n"
                                "{\"t\": \"a cat, a mat, a hat, the cat's hat\"}";
    static const char documents[] =
        "the cat sat on the mat" TOKENIZER_DOCUMENT_END "the \xC3\xA9toile and the\ncat" TOKENIZER_DOCUMENT_END
        "a cat, a mat, a hat, the cat's hat" TOKENIZER_DOCUMENT_END;
    const char *path = temp_path("lines");
    write_file(path, lines, sizeof lines - 1);
    assert_read(&(Case){.paths = {path},
                        .count = 1,
                        .field = {.name = "t", .ending = TOKENIZER_DOCUMENT_END},
                        .texts = {byte_string(documents)}});
    assert_read(&(Case){.paths = {path}, .count = 1, .texts = {byte_string(lines)}}); /* without a field, plain text */
}
END_TEST

START_TEST(test_the_ending_is_a_special_token)
{
    const char *const both[] = {"<|x|>", TOKENIZER_DOCUMENT_END};
    ck_assert_str_eq(text_field_ending(NULL, 0), TOKENIZER_DOCUMENT_END);
    ck_assert_str_eq(text_field_ending(both, 1), "<|x|>");
    ck_assert_str_eq(text_field_ending(both, 2), TOKENIZER_DOCUMENT_END);
}
END_TEST

START_TEST(test_the_token_between_documents_is_found)
{
    BPEModel model;
    Tokenizer *tokenizer;
    assert_ok(bpe_train(&model, NULL, NULL, 0, &(BPETrainConfig){.vocab_size = 256}));
    assert_ok(tokenizer_create(&tokenizer, &model, NULL, 0));
    ck_assert_int_eq(tokenizer_document_end(tokenizer), -1);
    tokenizer_destroy(tokenizer);
    assert_ok(tokenizer_create(&tokenizer, &model, &end, 1));
    ck_assert_int_eq(tokenizer_document_end(tokenizer), 256);
    tokenizer_destroy(tokenizer);
    bpe_model_deinit(&model);
}
END_TEST

START_TEST(test_names_of_json_lines_are_known)
{
    static const char *const yes[] = {"a.jsonl", "b/c.ndjson", "d.jsonl.gz", "e.ndjson.zst"};
    static const char *const no[] = {"a.json", "jsonl", ".jsonl", "a.jsonl.txt", "a.gz", ""};
    for (size_t i = 0; i < COUNT(yes); i++)
        ck_assert_msg(text_is_named_json_lines(yes[i]), "%s", yes[i]);
    for (size_t i = 0; i < COUNT(no); i++)
        ck_assert_msg(!text_is_named_json_lines(no[i]), "%s", no[i]);
}
END_TEST

START_TEST(test_files_are_checked_before_the_first_is_read)
{
    const char *folder = temp_directory("folder"), *none = temp_path("none"), *bad = temp_path("bad");
    const TextField field = {.name = "t", .ending = TOKENIZER_DOCUMENT_END};
    char message[512];
    InputTexts texts;
    snprintf(message, sizeof message, "%s: cannot read: No such file or directory", none);
    assert_fails(input_texts_begin(&texts, (const char *[]){FOLDER "text.txt", none}, 2, (TextField){0}), CS336_EIO,
                 message);
    ck_assert_ptr_null(texts.items);
    snprintf(message, sizeof message, "%s: cannot read: Is a directory", folder);
    assert_fails(input_texts_begin(&texts, &folder, 1, field), CS336_EIO, message);
    assert_fails(input_texts_begin(&texts, (const char *[]){"-", "-"}, 2, field), CS336_EIO,
                 "standard input: can be read only once, given 2 times");
    ck_assert_int_eq(input_texts_begin(&texts, (const char *[]){FOLDER "text.bz2"}, 1, field), CS336_EFORMAT);
    /* A line that is no document shows only when it is read. */
    BPEModel model;
    write_file(bad, "{\"t\": \"a\"}\n{\"u\": 1}\n", 20);
    assert_ok(input_texts_begin(&texts, &bad, 1, field));
    snprintf(message, sizeof message, "%s:2: no field \"t\"; there are \"u\"", bad);
    assert_fails(bpe_train_inputs(&model, NULL, &texts, &config), CS336_EFORMAT, message);
    ck_assert_uint_eq(model.vocab_size, 0);
    input_texts_end(&texts);
}
END_TEST

static Status attempt(void *path)
{
    InputTexts texts;
    BPEModel model = {0};
    const BPETrainConfig one = {.vocab_size = 260, .threads = 1};
    Status s = input_texts_begin(&texts, (const char *[]){path}, 1,
                                 (TextField){.name = "t", .ending = TOKENIZER_DOCUMENT_END});
    if (!s)
        s = bpe_train_inputs(&model, NULL, &texts, &one);
    bpe_model_deinit(&model);
    input_texts_end(&texts);
    return s;
}

START_TEST(test_input_texts_survive_every_failed_allocation)
{
    char path[512];
    snprintf(path, sizeof path, "%s", temp_path("lines"));
    write_file(path, "{\"t\": \"the cat\"}\n", 17);
    assert_allocation_failures_are_clean(attempt, path);
}
END_TEST

const TestCase input_texts_tests[] = {
    TEST_UNLESS(test_compressed_texts_are_those_that_they_hold, "input_texts", no_decompressor),
    TEST(test_json_lines_are_their_documents, "input_texts"),
    TEST(test_the_ending_is_a_special_token, "input_texts"),
    TEST(test_the_token_between_documents_is_found, "input_texts"),
    TEST(test_names_of_json_lines_are_known, "input_texts"),
    TEST(test_files_are_checked_before_the_first_is_read, "input_texts"),
    TEST(test_input_texts_survive_every_failed_allocation, "input_texts"),
    {0},
};
