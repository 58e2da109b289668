/* Tokenizers in one file: tokenizer.json as input. Rank files are in test_rank_file.c. */
#define _XOPEN_SOURCE 700
#include "core/json.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/course.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/program.h"
#include "tests/support/python.h"
#include "tokenizer/encode/encoder.h"
#include "tokenizer/files/bpe_files.h"
#include "tokenizer/files/rank_file.h"
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
    ck_assert_uint_eq(json_array_size(cases), 6);
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
    ck_assert_uint_eq(model.left_out, 0);
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *token = json_array_get(added, i);
        ck_assert_int_eq(special_id(&model, json_string_value(json_object_get(token, "content"))),
                         (int)json_integer_value(json_object_get(token, "id")));
    }
    json_decref(saved);
    bpe_model_deinit(&model);
}
END_TEST

START_TEST(test_llama3s_settings_are_read)
{
    BPEModel model;
    assert_ok(tokenizer_file_read(&model, split, PATTERN_UNKNOWN, NULL, 0));
    ck_assert_int_eq(model.pattern, PATTERN_GPT4);
    ck_assert(model.ignore_merges);
    ck_assert_uint_eq(model.left_out, LEFT_OUT_POST_PROCESSOR);
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
    }
}

START_TEST(test_what_is_written_is_read_again)
{
    static const char *const files[] = {byte_level, split, FIXTURES "tokenizer.json"};
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

/* ---- what is refused ---- */

/* Returns the value at a path such as "model.dropout" or "added_tokens.0.lstrip", of which the last part is left. */
static json_t *parent_of(json_t *root, const char *path, char *last, size_t size)
{
    char part[64];
    json_t *value = root;
    for (const char *dot; (dot = strchr(path, '.')) != NULL; path = dot + 1) {
        snprintf(part, sizeof part, "%.*s", (int)(dot - path), path);
        value = json_is_array(value) ? json_array_get(value, (size_t)atoi(part)) : json_object_get(value, part);
        ck_assert_msg(value != NULL, "no %s", part);
    }
    snprintf(last, size, "%s", path);
    return value;
}

/* Writes a fixture with one value replaced, and returns its path. */
static const char *edited(const char *file, const char *path, const char *value)
{
    static char name[256];
    char last[64];
    json_error_t error;
    json_t *root, *replaced = json_loads(value, JSON_DECODE_ANY, &error);
    ck_assert_msg(replaced != NULL, "%s: %s", value, error.text);
    assert_ok(json_read(&root, file));
    json_object_set_new(parent_of(root, path, last, sizeof last), last, replaced);
    snprintf(name, sizeof name, "%s", temp_path("edited.json"));
    assert_ok(json_write_file(name, root, JSON_COMPACT));
    json_decref(root);
    return name;
}

START_TEST(test_what_cs336_does_not_do_is_refused_by_its_name)
{
    static const struct {
        const char *file, *path, *value, *message;
    } cases[] = {
        {byte_level, "normalizer", "{\"type\": \"NFC\"}",
         "normalizer NFC, expected null: text is encoded as it is here"},
        {byte_level, "model.type", "\"Unigram\"", "model.type is Unigram, expected BPE"},
        {byte_level, "model.type", "\"WordPiece\"", "model.type is WordPiece, expected BPE"},
        {byte_level, "model.byte_fallback", "true",
         "model.byte_fallback is true, as in vocabularies of SentencePiece; expected a vocabulary of bytes, as "
         "GPT-2's"},
        {byte_level, "model.dropout", "0.1", "model.dropout is set, expected null: merges are never left out here"},
        {byte_level, "model.continuing_subword_prefix", "\"##\"",
         "model.continuing_subword_prefix is set, expected null or \"\""},
        {byte_level, "model.end_of_word_suffix", "\"</w>\"", "model.end_of_word_suffix is set, expected null or \"\""},
        {byte_level, "pre_tokenizer", "null", "no pre_tokenizer, expected ByteLevel"},
        {byte_level, "pre_tokenizer", "{\"type\": \"Metaspace\"}",
         "pre_tokenizer Metaspace, expected ByteLevel, or Split and ByteLevel"},
        {byte_level, "pre_tokenizer", "{\"type\": \"Sequence\", \"pretokenizers\": []}",
         "empty pre_tokenizer, expected ByteLevel"},
        {byte_level, "pre_tokenizer.add_prefix_space", "true",
         "pre_tokenizer.add_prefix_space is true, expected false: no blank is added to a text here"},
        {byte_level, "pre_tokenizer.use_regex", "false",
         "pre_tokenizer ByteLevel with use_regex false, expected true, or a Split before it"},
        {split, "pre_tokenizer.pretokenizers", "[{\"type\": \"Digits\"}, {\"type\": \"ByteLevel\"}]",
         "pre_tokenizer Digits, expected ByteLevel, or Split and ByteLevel"},
        {split, "pre_tokenizer.pretokenizers", "[{\"type\": \"Split\"}]",
         "pre_tokenizer Split, expected ByteLevel, or Split and ByteLevel"},
        {split, "added_tokens.0.lstrip", "true",
         "added token \"<|endoftext|>\" has lstrip, expected false: an added token is found where its text stands, and "
         "takes nothing else"},
        {split, "added_tokens.0.single_word", "true",
         "added token \"<|endoftext|>\" has single_word, expected false: an added token is found where its text "
         "stands, and takes nothing else"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char message[512];
        BPEModel model;
        const char *path = edited(cases[i].file, cases[i].path, cases[i].value);
        snprintf(message, sizeof message, ": %s", cases[i].message);
        test_label("%s = %s", cases[i].path, cases[i].value);
        assert_path_fails(tokenizer_file_read(&model, path, PATTERN_UNKNOWN, NULL, 0), CS336_EFORMAT, path, message);
        ck_assert_ptr_null(model.ends);
    }
    test_label_end();
}
END_TEST

/* Changes a field of the Split, which stands inside an array. */
START_TEST(test_other_regular_expressions_are_never_taken_for_gpt2s)
{
    static const struct {
        const char *split, *message;
    } cases[] = {
        {"{\"type\": \"Split\", \"pattern\": {\"Regex\": \"\\\\p{N}| ?\\\\p{L}+\"}, \"behavior\": \"Isolated\", "
         "\"invert\": "
         "false}",
         "pre_tokenizer: the regular expression \"\\p{N}| ?\\p{L}+...\" is none of those that are built in: gpt2, and "
         "gpt4 "
         "(cl100k_base, Llama 3)"},
        {"{\"type\": \"Split\", \"pattern\": {\"String\": \" \"}, \"behavior\": \"Isolated\", \"invert\": false}",
         "pre_tokenizer Split without a Regex, expected one"},
        {"{\"type\": \"Split\", \"pattern\": {\"Regex\": \"x\"}, \"behavior\": \"Removed\", \"invert\": false}",
         "pre_tokenizer Split with behavior Removed, expected Isolated"},
        {"{\"type\": \"Split\", \"pattern\": {\"Regex\": \"x\"}, \"behavior\": \"Isolated\", \"invert\": true}",
         "pre_tokenizer Split with behavior Isolated and invert, expected Isolated"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char value[512], message[512];
        BPEModel model;
        snprintf(value, sizeof value,
                 "[%s, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false}]", cases[i].split);
        const char *path = edited(split, "pre_tokenizer.pretokenizers", value);
        snprintf(message, sizeof message, ": %s", cases[i].message);
        assert_path_fails(tokenizer_file_read(&model, path, PATTERN_UNKNOWN, NULL, 0), CS336_EFORMAT, path, message);
    }
}
END_TEST

START_TEST(test_regular_expressions_are_compared_as_they_stand)
{
    char longer[256];
    for (int i = 0; pattern_names[i]; i++) {
        const char *regex = pattern_regex((PretokenPattern)i);
        ck_assert_int_eq(pattern_of_regex(byte_string(regex)), i);
        snprintf(longer, sizeof longer, "%s+", regex);
        ck_assert_int_eq(pattern_of_regex(byte_string(longer)), PATTERN_UNKNOWN);
    }
    ck_assert_int_eq(pattern_of_regex(byte_string("'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|"
                                                  "\\s++$|\\s+(?!\\S)|\\s")),
                     PATTERN_GPT2);
    /* tiktoken's cl100k_base of today: white space with line ends at the end of a text is one pre-token. */
    ck_assert_int_eq(
        pattern_of_regex(byte_string("'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| "
                                     "?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s")),
        PATTERN_UNKNOWN);
    ck_assert_int_eq(pattern_of_regex(byte_string("")), PATTERN_UNKNOWN);
}
END_TEST

/* What may be left out is recorded; what changes nothing is not. */
START_TEST(test_steps_around_the_encoding_are_left_out)
{
    static const struct {
        const char *path, *value;
        unsigned left_out;
    } cases[] = {
        {"truncation", "{\"max_length\": 512}", LEFT_OUT_TRUNCATION},
        {"padding", "{\"pad_id\": 0}", LEFT_OUT_PADDING},
        {"post_processor", "{\"type\": \"TemplateProcessing\"}", LEFT_OUT_POST_PROCESSOR},
        {"post_processor", "{\"type\": \"ByteLevel\"}", 0},
        {"post_processor", "{\"type\": \"Sequence\", \"processors\": [{\"type\": \"ByteLevel\"}]}", 0},
        {"post_processor", "null", 0},
        {"model.unk_token", "\"<unk>\"", 0},
        {"model.dropout", "0.0", 0},
        {"model.end_of_word_suffix", "\"\"", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        BPEModel model;
        test_label("%s = %s", cases[i].path, cases[i].value);
        const char *path = edited(byte_level, cases[i].path, cases[i].value);
        assert_ok(tokenizer_file_read(&model, path, PATTERN_UNKNOWN, NULL, 0));
        ck_assert_uint_eq(model.left_out, cases[i].left_out);
        bpe_model_deinit(&model);
    }
    test_label_end();
}
END_TEST

/* ---- damaged files ---- */

START_TEST(test_damaged_files_are_described)
{
    static const struct {
        const char *path, *value, *message;
    } cases[] = {
        {"model", "[]",
         ": no object \"model\", expected a tokenizer.json; a vocab.json is read by --vocab, together with "
         "--merges"},
        {"model.vocab", "[[\"a\", -1.5]]", ": no object model.vocab"},
        {"model.merges", "{}", ": no array model.merges"},
        {"added_tokens", "{}", ": added_tokens is not an array"},
        {"model.vocab.a", "\"1\"", ": model.vocab: the id of \"a\" is not a whole number from 0 on"},
        {"model.vocab.a", "0", ": model.vocab: id 0 of \"a\" is taken by another token"},
        {"model.vocab.a", "2000000000",
         ": id 2000000000 among 318 tokens, expected at most 1048576 ids without a token"},
        {"model.vocab.a", "9223372036854775807",
         ": id 9223372036854775807 among 318 tokens, expected at most 1048576 ids without a token"},
        {"model.merges", "[\"a b\", \"a  b\"]", ": model.merges[0]: token \"a b\" is not in model.vocab"},
        {"model.merges", "[\"ab\"]", ": model.merges[0]: expected two tokens with a blank between them"},
        {"model.merges", "[[\"t\", \"h\"], [\"t\", \"h\"]]", ": model.merges[1]: this merge comes a second time"},
        {"model.merges", "[[\"t\", \"h\", \"e\"]]",
         ": model.merges[0] is not a text of two tokens, or an array of two"},
        {"model.merges", "[[\"t\", 1]]", ": model.merges[0] is not a text of two tokens, or an array of two"},
        {"model.merges", "[7]", ": model.merges[0] is not a text of two tokens, or an array of two"},
        {"model.merges", "[[\"\xE2\x96\x81\", \"t\"]]",
         ": model.merges[0]: token \"\xE2\x96\x81\" has U+2581, which stands for no byte in GPT-2's alphabet: these "
         "merges are SentencePiece's"},
        {"added_tokens", "[{\"id\": 0}]", ": added_tokens[0] has no \"content\", or no \"id\" from 0 on"},
        {"added_tokens", "[{\"id\": -1, \"content\": \"x\"}]",
         ": added_tokens[0] has no \"content\", or no \"id\" from 0 on"},
        {"added_tokens", "[{\"id\": 400, \"content\": \"\"}]",
         ": added_tokens[0] has no \"content\", or no \"id\" from 0 on"},
        {"added_tokens", "[7]", ": added_tokens[0] has no \"content\", or no \"id\" from 0 on"},
        {"added_tokens", "[{\"id\": 0, \"content\": \"<|x|>\"}]",
         ": id 0 of added token \"<|x|>\" is taken by another token"},
        {"added_tokens", "[{\"id\": 320, \"content\": \"<|x|>\"}]",
         ": added token \"<|x|>\" has id 320, but Hugging Face's tokenizers gives it id 315: expected ids after the "
         "vocabulary, one after the other"},
        {"added_tokens", "[{\"id\": 315, \"content\": \"<|x|>\"}, {\"id\": 318, \"content\": \"<|y|>\"}]",
         ": added token \"<|y|>\" has id 318, but Hugging Face's tokenizers gives it id 316: expected ids after the "
         "vocabulary, one after the other"},
        {"added_tokens", "[{\"id\": 1000, \"content\": \"<|vocab|>\"}]",
         ": added token \"<|vocab|>\" has id 1000, and id 257 in model.vocab"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        BPEModel model;
        const char *path = edited(byte_level, cases[i].path, cases[i].value);
        test_label("%s = %s", cases[i].path, cases[i].value);
        assert_path_fails(tokenizer_file_read(&model, path, PATTERN_UNKNOWN, NULL, 0), CS336_EFORMAT, path,
                          cases[i].message);
    }
    test_label_end();
}
END_TEST

START_TEST(test_other_files_are_named)
{
#define EXPECTED ": expected a tokenizer.json, or a rank file with a token in base64 and its rank in each line"
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"#version: 0.2\nt h\n", EXPECTED "; this is a merges.txt, which --merges reads, together with --vocab"},
        {"\n\x0E\n\x05<unk>", EXPECTED "; models of SentencePiece are not read"},
        {"t h\n", EXPECTED},
        {"[]", EXPECTED},
        {"", EXPECTED},
        {" {\"a\": 0}",
         ": no object \"model\", expected a tokenizer.json; a vocab.json is read by --vocab, together with "
         "--merges"},
        {"{\"a\": 0", ":1:7: '}' expected near end of file"},
        {"{\"model\": {}, \"model\": {}}", ":1:21: duplicate object key near '\"model\"'"},
        {"\xEF\xBB\xBF{}",
         ": begins with the byte order mark (BOM) of UTF-8, the bytes EF BB BF, expected JSON in UTF-8 "
         "without such a mark"},
    };
#undef EXPECTED
    const char *path = temp_path("file");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        BPEModel model;
        write_file(path, cases[i].text, strlen(cases[i].text));
        test_label("file %zu", i);
        assert_path_fails(tokenizer_file_read(&model, path, PATTERN_UNKNOWN, NULL, 0), CS336_EFORMAT, path,
                          cases[i].message);
    }
    test_label_end();
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
    TEST(test_llama3s_settings_are_read, "tokenizer_files"),
    TEST(test_what_is_written_is_read_again, "tokenizer_files"),
    TEST(test_one_file_is_the_same_model_as_two, "tokenizer_files"),
    TEST(test_added_tokens_share_entries_as_in_the_pair, "tokenizer_files"),
    TEST(test_what_cs336_does_not_do_is_refused_by_its_name, "tokenizer_files"),
    TEST(test_other_regular_expressions_are_never_taken_for_gpt2s, "tokenizer_files"),
    TEST(test_regular_expressions_are_compared_as_they_stand, "tokenizer_files"),
    TEST(test_steps_around_the_encoding_are_left_out, "tokenizer_files"),
    TEST(test_damaged_files_are_described, "tokenizer_files"),
    TEST(test_other_files_are_named, "tokenizer_files"),
    TEST(test_reading_fails_cleanly_without_memory, "tokenizer_files"),
    TEST_UNLESS(test_tokenizers_and_tiktoken_carry_every_form, "tokenizer_files", no_tiktoken_package),
    {0},
};
