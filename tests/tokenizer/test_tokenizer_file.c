/* Tokenizers in one file: tokenizer.json as input. What is refused is in test_tokenizer_refused.c, rank files are in
 * test_rank_file.c. */
#define _XOPEN_SOURCE 700
#include "core/json.h"
#include "core/memory.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/course.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/program.h"
#include "tests/support/python.h"
#include "tokenizer/encode/encoder.h"
#include "tokenizer/files/bpe_files.h"
#include "tokenizer/files/tokenizer_file.h"
#include "tokenizer/files/tokenizer_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIXTURES "tests/fixtures/tokenizer/"
static const char byte_level[] = FIXTURES "files-bytelevel.json", split[] = FIXTURES "files-split.json";

/* ---- the ids of other programs ---- */

enum { MOST_SPECIALS = 8 };

static int pattern_named(const char *name)
{
    for (int i = 0; pattern_names[i]; i++)
        if (strcmp(pattern_names[i], name) == 0)
            return i;
    return PATTERN_UNKNOWN;
}

/* Encodes the texts of a case with its file, and decodes the ids. */
static void assert_ids_agree(const json_t *one)
{
    char path[256];
    ByteString special[MOST_SPECIALS];
    const char *file = json_string_value(json_object_get(one, "file"));
    const char *pattern = json_string_value(json_object_get(one, "pattern"));
    const json_t *texts = json_object_get(one, "texts"), *names = json_object_get(one, "special");
    Tokenizer *tokenizer;
    snprintf(path, sizeof path, FIXTURES "%s", file);
    ck_assert_uint_le(json_array_size(names), MOST_SPECIALS);
    for (size_t i = 0; i < json_array_size(names); i++)
        special[i] = byte_string(json_string_value(json_array_get(names, i)));
    assert_ok(tokenizer_load_file(&tokenizer, path, pattern_named(pattern), special, json_array_size(names)));
    ck_assert_uint_gt(json_array_size(texts), 10);
    for (size_t i = 0; i < json_array_size(texts); i++) {
        const json_t *expected = json_object_get(json_array_get(texts, i), "ids");
        const ByteString text = byte_string(json_string_value(json_object_get(json_array_get(texts, i), "text")));
        TokenList ids = {0};
        ByteList back = {0};
        test_label("%s, %s, text %zu", file, pattern, i);
        assert_ok(tokenizer_encode(tokenizer, &ids, text));
        ck_assert_uint_eq(ids.count, json_array_size(expected));
        for (size_t k = 0; k < ids.count; k++)
            ck_assert_int_eq(ids.ids[k], (int)json_integer_value(json_array_get(expected, k)));
        assert_ok(tokenizer_decode(tokenizer, &back, ids.ids, ids.count));
        ck_assert(byte_string_equal(byte_list_view(&back), text));
        byte_list_deinit(&back);
        token_list_deinit(&ids);
    }
    test_label_end();
    tokenizer_destroy(tokenizer);
}

START_TEST(test_files_of_other_programs_give_their_ids)
{
    json_t *cases;
    assert_ok(json_read(&cases, FIXTURES "files-cases.json"));
    ck_assert_uint_eq(json_array_size(cases), 7);
    for (size_t i = 0; i < json_array_size(cases); i++)
        assert_ids_agree(json_array_get(cases, i));
    json_decref(cases);
}
END_TEST

/* ---- what is read ---- */

static int32_t special_id(const BPEModel *model, const char *text)
{
    const int64_t index = bpe_model_find_special(model, byte_string(text));
    ck_assert_msg(index >= 0, "no special token %s", text);
    ck_assert_int_eq(model->specials[index].kind, SPECIAL_OWN);
    return model->specials[index].id;
}

START_TEST(test_ids_without_a_token_are_holes)
{
    BPEModel model;
    json_t *saved;
    size_t holes = 0;
    assert_ok(json_read(&saved, byte_level));
    assert_ok(tokenizer_file_read(&model, byte_level, PATTERN_UNKNOWN, NULL, 0));
    const json_t *inner = json_object_get(saved, "model"), *added = json_object_get(saved, "added_tokens");
    for (size_t id = 0; id < model.vocab_size; id++)
        holes += bpe_model_token(&model, (int32_t)id).length == 0;
    /* One of the three added tokens is an entry of the vocabulary. */
    ck_assert_uint_eq(model.vocab_size - holes, json_object_size(json_object_get(inner, "vocab")) + 2);
    ck_assert_uint_gt(holes, 10);
    ck_assert_uint_eq(model.merge_count, json_array_size(json_object_get(inner, "merges")));
    ck_assert_int_eq(model.pattern, PATTERN_GPT2);
    ck_assert(!model.ignore_merges);
    ck_assert_uint_eq(model.left_out, LEFT_OUT_SPELLING);
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *token = json_array_get(added, i);
        ck_assert_int_eq(special_id(&model, json_string_value(json_object_get(token, "content"))),
                         (int)json_integer_value(json_object_get(token, "id")));
    }
    json_decref(saved);
    bpe_model_deinit(&model);
}
END_TEST

/* A hole is no token: nothing is decoded, and the ids that have one are the others. */
START_TEST(test_a_hole_is_not_decoded)
{
    enum { BEYOND = 5 };
    Tokenizer *tokenizer;
    assert_ok(tokenizer_load_file(&tokenizer, byte_level, PATTERN_UNKNOWN, NULL, 0));
    const size_t vocab_size = tokenizer_vocab_size(tokenizer);
    bool *has_token = memory_allocate(vocab_size + BEYOND);
    const size_t tokens = tokenizer_find_tokens(has_token, vocab_size + BEYOND, tokenizer);
    ByteList text = {0};
    size_t counted = 0;
    for (size_t id = 0; id < vocab_size + BEYOND; id++) {
        const int32_t ids[] = {tokenizer_find(tokenizer, byte_string("a")), (int32_t)id};
        text.length = 0;
        test_label("id %zu", id);
        if (id < vocab_size && tokenizer_token(tokenizer, (int32_t)id).length) {
            ck_assert(has_token[id]);
            assert_ok(tokenizer_decode(tokenizer, &text, ids, 2));
            counted++;
            continue;
        }
        ck_assert(!has_token[id]);
        ck_assert_int_eq(tokenizer_decode(tokenizer, &text, ids, 2), CS336_ERANGE);
        ck_assert_int_eq(tokenizer_decode_replace(tokenizer, &text, ids, 2), CS336_ERANGE);
        ck_assert_uint_eq(text.length, 0);
        char expected[100];
        if (id < vocab_size) {
            snprintf(expected, sizeof expected, "ids: id %zu at position 8 has no token: the vocabulary skips it", id);
            assert_fails(tokenizer_check_ids(tokenizer, ids, 2, "ids", 7), CS336_ERANGE, expected);
        }
    }
    test_label_end();
    ck_assert_uint_eq(tokens, counted);
    ck_assert_uint_lt(counted, vocab_size);
    byte_list_deinit(&text);
    memory_release(has_token);
    tokenizer_destroy(tokenizer);
}
END_TEST

START_TEST(test_llama3s_settings_are_read)
{
    BPEModel model;
    assert_ok(tokenizer_file_read(&model, split, PATTERN_UNKNOWN, NULL, 0));
    ck_assert_int_eq(model.pattern, PATTERN_GPT4);
    ck_assert(model.ignore_merges);
    ck_assert_uint_eq(model.left_out, LEFT_OUT_POST_PROCESSOR | LEFT_OUT_SPELLING);
    bpe_model_deinit(&model);
    assert_ok(tokenizer_file_read(&model, split, PATTERN_GPT4, NULL, 0));
    bpe_model_deinit(&model);
    assert_path_fails(tokenizer_file_read(&model, split, PATTERN_GPT2, NULL, 0), CS336_EFORMAT, split,
                      ": its pattern is gpt4, not the gpt2 of --pattern");
}
END_TEST

static void assert_same_models(const BPEModel *a, const BPEModel *b)
{
    ck_assert_uint_eq(a->vocab_size, b->vocab_size);
    ck_assert_uint_eq(a->merge_count, b->merge_count);
    ck_assert_uint_eq(a->special_count, b->special_count);
    ck_assert_int_eq(a->pattern, b->pattern);
    ck_assert_int_eq(a->ignore_merges, b->ignore_merges);
    for (size_t i = 0; i < a->vocab_size; i++)
        ck_assert_msg(byte_string_equal(bpe_model_token(a, (int32_t)i), bpe_model_token(b, (int32_t)i)),
                      "token %zu differs", i);
    for (size_t i = 0; i < a->merge_count; i++)
        ck_assert_msg(a->merges[i].left == b->merges[i].left && a->merges[i].right == b->merges[i].right &&
                          a->merges[i].merged == b->merges[i].merged,
                      "merge %zu differs", i);
    for (size_t i = 0; i < a->special_count; i++) {
        const int64_t other = bpe_model_find_special(b, bpe_model_special_text(a, i));
        ck_assert(other >= 0 && b->specials[other].id == a->specials[i].id);
        ck_assert(b->specials[other].late == a->specials[i].late);
    }
}

START_TEST(test_what_is_written_is_read_again)
{
    static const char *const files[] = {byte_level, split, FIXTURES "tokenizer.json", FIXTURES "files-late.json"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        BPEModel model, again;
        FileWriter writer;
        test_label("%s", files[i]);
        assert_ok(tokenizer_file_read(&model, files[i], PATTERN_UNKNOWN, NULL, 0));
        assert_ok(file_create(&writer, temp_path("again.json")));
        assert_ok(tokenizer_json_write(&writer, &model, NULL, 0));
        assert_ok(file_commit(&writer));
        assert_ok(tokenizer_file_read(&again, temp_path("again.json"), PATTERN_UNKNOWN, NULL, 0));
        assert_same_models(&model, &again);
        bpe_model_deinit(&model);
        bpe_model_deinit(&again);
    }
    test_label_end();
}
END_TEST

/* The saved file of our own vocabulary is the model that its vocab.json and merges.txt give. */
START_TEST(test_one_file_is_the_same_model_as_two)
{
    const ByteString special[] = {byte_string("<|endoftext|>"), byte_string("<| \xC3\xA9 \"\\\n|>")};
    BPEModel one, two;
    assert_ok(tokenizer_file_read(&one, FIXTURES "tokenizer.json", PATTERN_UNKNOWN, NULL, 0));
    assert_ok(bpe_model_read(&two, FIXTURES "vocab.json", FIXTURES "merges.txt", special, 2));
    assert_ok(bpe_model_name_specials(&two, special, 2));
    assert_same_models(&one, &two);
    bpe_model_deinit(&one);
    bpe_model_deinit(&two);
}
END_TEST

/* An added token may be the entry of a byte or of a merge too, as Hugging Face's trainer makes them. */
START_TEST(test_added_tokens_share_entries_as_in_the_pair)
{
    static const char *const names[] = {"\xC3\xA9", "\xC4\xA0", "\xC4\xA0the", "e"};
    json_t *vocab, *root = json_object(), *merges = json_array(), *added = json_array();
    ByteString special[4];
    BPEModel pair, one;
    assert_ok(json_read(&vocab, FIXTURES "special-shared.json"));
    for (size_t i = 0; i < 4; i++) {
        special[i] = byte_string(names[i]);
        json_array_append_new(added,
                              json_pack("{s:O, s:s}", "id", json_object_get(vocab, names[i]), "content", names[i]));
    }
    char text[4096];
    snprintf(text, sizeof text, "%s", file_text(FIXTURES "special-shared.txt"));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        if (*line != '#')
            json_array_append_new(merges, json_string(line));
    json_object_set_new(root, "model", json_pack("{s:s, s:o, s:o}", "type", "BPE", "vocab", vocab, "merges", merges));
    json_object_set_new(root, "added_tokens", added);
    json_object_set_new(root, "pre_tokenizer", json_pack("{s:s, s:b}", "type", "ByteLevel", "add_prefix_space", 0));
    assert_ok(json_write_file(temp_path("t.json"), root, JSON_COMPACT));
    assert_ok(tokenizer_file_read(&one, temp_path("t.json"), PATTERN_UNKNOWN, NULL, 0));
    assert_ok(bpe_model_read(&pair, FIXTURES "special-shared.json", FIXTURES "special-shared.txt", special, 4));
    for (size_t i = 0; i < 4; i++) {
        const int64_t a = bpe_model_find_special(&one, special[i]), b = bpe_model_find_special(&pair, special[i]);
        test_label("%s", names[i]);
        ck_assert(a >= 0 && b >= 0);
        ck_assert_int_eq(one.specials[a].kind, pair.specials[b].kind);
        ck_assert_int_eq(one.specials[a].id, pair.specials[b].id);
    }
    test_label_end();
    assert_same_models(&one, &pair);
    json_decref(root);
    bpe_model_deinit(&one);
    bpe_model_deinit(&pair);
}
END_TEST

/* ---- no memory ---- */

static Status attempt_load(void *path)
{
    const ByteString special[] = {byte_string("<|new|>"), byte_string("<|endoftext|>")};
    Tokenizer *tokenizer;
    const Status s = tokenizer_load_file(&tokenizer, path, PATTERN_GPT2, special, 2);
    tokenizer_destroy(tokenizer);
    return s;
}

START_TEST(test_reading_fails_cleanly_without_memory)
{
    char one[] = FIXTURES "files-bytelevel.json", ranks[] = FIXTURES "files-gpt2.tiktoken";
    assert_allocation_failures_are_clean(attempt_load, one);
    assert_allocation_failures_are_clean(attempt_load, ranks);
}
END_TEST

/* ---- beside the real things ---- */

START_TEST(test_tokenizers_and_tiktoken_carry_every_form)
{
    char *script = realpath("tests/tools/check_tokenizer_files.py", NULL);
    char *course = course_path("gpt2_vocab.json") ? realpath(course_path(""), NULL) : NULL;
    const int code = shell("'%s' '%s' \"$program\" %s", python_command(), script, course ? course : "");
    ck_assert_msg(code == 0, "%s%s", shell_output, shell_errors);
    ck_assert_ptr_nonnull(strstr(shell_output, "learned: tiktoken -> rank file: "));
    free(script);
    free(course);
}
END_TEST

const TestCase tokenizer_file_tests[] = {
    TEST(test_files_of_other_programs_give_their_ids, "tokenizer_files"),
    TEST(test_ids_without_a_token_are_holes, "tokenizer_files"),
    TEST(test_a_hole_is_not_decoded, "tokenizer_files"),
    TEST(test_llama3s_settings_are_read, "tokenizer_files"),
    TEST(test_what_is_written_is_read_again, "tokenizer_files"),
    TEST(test_one_file_is_the_same_model_as_two, "tokenizer_files"),
    TEST(test_added_tokens_share_entries_as_in_the_pair, "tokenizer_files"),
    TEST(test_reading_fails_cleanly_without_memory, "tokenizer_files"),
    TEST_UNLESS(test_tokenizers_and_tiktoken_carry_every_form, "tokenizer_files", no_tiktoken_package),
    {0},
};
