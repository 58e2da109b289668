/* What a tokenizer.json may not ask for, what is left out of it, and damaged files. */
#include "core/json.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tokenizer/files/tokenizer_file.h"
#include "tokenizer/pattern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIXTURES "tests/fixtures/tokenizer/"
static const char byte_level[] = FIXTURES "files-bytelevel.json", split[] = FIXTURES "files-split.json";

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
        {byte_level, "decoder", "{\"type\": \"WordPiece\"}", "decoder WordPiece, expected ByteLevel"},
        {split, "decoder", "{\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Fuse\"}]}",
         "decoder Sequence, expected ByteLevel"},
        {split, "decoder", "{\"type\": \"Sequence\", \"decoders\": [{\"type\": \"ByteLevel\"}, {\"type\": \"Strip\"}]}",
         "decoder Sequence, expected ByteLevel"},
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
         "pre_tokenizer: the regular expression \"\\\\p{N}| ?\\\\p{L}+...\" is none of those that are built in: gpt2, "
         "and "
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
/* The file has no decoder, and that counts as one of the steps. */
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
        {"decoder", "null", LEFT_OUT_SPELLING},
        {"decoder", "{\"type\": \"ByteLevel\"}", 0},
        {"decoder", "{\"type\": \"Sequence\", \"decoders\": [{\"type\": \"ByteLevel\"}]}", 0},
        {"model.unk_token", "\"<unk>\"", 0},
        {"model.dropout", "0.0", 0},
        {"model.end_of_word_suffix", "\"\"", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        BPEModel model;
        test_label("%s = %s", cases[i].path, cases[i].value);
        const char *path = edited(byte_level, cases[i].path, cases[i].value);
        assert_ok(tokenizer_file_read(&model, path, PATTERN_UNKNOWN, NULL, 0));
        ck_assert_uint_eq(model.left_out,
                          cases[i].left_out | (strcmp(cases[i].path, "decoder") ? LEFT_OUT_SPELLING : 0));
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
         ": 317 tokens, and the largest id is 2000000000: 1999999684 ids without a token, expected at most 1048576"},
        {"model.vocab.a", "9223372036854775807",
         ": 317 tokens, and the largest id is 9223372036854775807: 9223372036854775491 ids without a token, expected "
         "at "
         "most 1048576"},
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
#define EXPECTED                                                                                                     \
    ": expected a tokenizer.json, a rank file with a token in base64 and its rank in each line, or a tokenizer.bin " \
    "of "                                                                                                            \
    "llama2.c"
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"#version: 0.2\nt h\n", EXPECTED "; it looks like a merges.txt, which --merges reads, together with --vocab"},
        {"\n\x0E\n\x05<unk>", EXPECTED "; models of SentencePiece are not read"},
        {"t h\n", EXPECTED "; it looks like a merges.txt, which --merges reads, together with --vocab"},
        {"t h e\n", EXPECTED},
        {"[]", EXPECTED},
        {"", EXPECTED},
        {" {\"a\": 0}",
         ": no object \"model\", expected a tokenizer.json; a vocab.json is read by --vocab, together with "
         "--merges"},
        {"[12]", EXPECTED},
        {"{\"a\": 0", ":1:7: '}' expected near end of file"},
        {"{\"model\": {}, \"model\": {}}", ":1:21: duplicate object key near '\"model\"'"},
        {"\xEF\xBB\xBF{}",
         ": begins with the byte order mark (BOM) of UTF-8, the bytes EF BB BF, expected JSON in UTF-8 "
         "without such a mark"},
    };
    /* A tokenizer.bin whose first number is damaged. */
    static const char damaged[] = "\xFF\xFF\xFF\x7F\0\0\0\0\x05\0\0\0<unk>";
    const char *path = temp_path("file");
    BPEModel none;
    write_file(path, damaged, sizeof damaged - 1);
    assert_path_fails(tokenizer_file_read(&none, path, PATTERN_UNKNOWN, NULL, 0), CS336_EFORMAT, path,
                      EXPECTED "; the first 12 bytes of a tokenizer.bin are the length of its longest token, and the "
                               "score and the length of the first one: these are damaged, or it is another file");
#undef EXPECTED
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

const TestCase tokenizer_refused_tests[] = {
    TEST(test_what_cs336_does_not_do_is_refused_by_its_name, "tokenizer_files"),
    TEST(test_other_regular_expressions_are_never_taken_for_gpt2s, "tokenizer_files"),
    TEST(test_regular_expressions_are_compared_as_they_stand, "tokenizer_files"),
    TEST(test_steps_around_the_encoding_are_left_out, "tokenizer_files"),
    TEST(test_damaged_files_are_described, "tokenizer_files"),
    TEST(test_other_files_are_named, "tokenizer_files"),
    {0},
};
