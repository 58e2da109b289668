#define _XOPEN_SOURCE 700
#include "core/json.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/program.h"
#include "tests/support/python.h"
#include "tokenizer/files/bpe_files.h"
#include "tokenizer/files/token_text.h"
#include "tokenizer/files/tokenizer_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const own_vocab = "tests/fixtures/tokenizer/vocab.json";
static const char *const own_merges = "tests/fixtures/tokenizer/merges.txt";

/* ---- tokens as text ---- */

START_TEST(test_shown_tokens_cannot_harm_a_terminal)
{
    static const struct {
        const char *token, *shown;
    } cases[] = {
        {"", ""},
        {" the", " the"},
        {"gr\xC3\xBC\xC3\x9F\x65 \xE4\xB8\xAD \xF0\x9F\x99\x83",
         "gr\xC3\xBC\xC3\x9F\x65 \xE4\xB8\xAD \xF0\x9F\x99\x83"},
        {"\x1B[31m\n\t\r\x7F", "\\x1B[31m\\x0A\\x09\\x0D\\x7F"},
        {"\xC2\x9B"
         "31m",
         "\\xC2\\x9B"
         "31m"},
        {"a\xE2\x80\xAE"
         "b\xE2\x81\xA6\xEF\xBB\xBF",
         "a\\xE2\\x80\\xAE"
         "b\\xE2\\x81\\xA6\\xEF\\xBB\\xBF"},
        {"\xFF\xE4\xB8 \xC0\xAF", "\\xFF\\xE4\\xB8 \\xC0\\xAF"},
        {"\"a\" is \\x41, not \x01", "\\\"a\\\" is \\\\x41, not \\x01"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const ShownToken shown = token_shown(byte_string(cases[i].token));
        const ShownToken plain = token_printable(byte_string(cases[i].token));
        test_label("token %zu", i);
        ck_assert_uint_eq(plain.bytes, shown.bytes);
        if (!strpbrk(cases[i].token, "\"\\"))
            ck_assert_str_eq(plain.text, cases[i].shown);
        ck_assert_str_eq(shown.text, cases[i].shown);
        ck_assert_uint_eq(shown.bytes, strlen(cases[i].token));
    }
}
END_TEST

/* A long token is shown up to a whole character, and from there on. */
START_TEST(test_a_long_token_is_shown_on_several_lines)
{
    char token[201], all[256] = "";
    for (size_t i = 0; i < 100; i++)
        memcpy(token + 2 * i, "\xC3\xA9", 3);
    size_t begin = 0, lines = 0;
    for (; begin < 200; lines++) {
        const ShownToken shown = token_shown(byte_string(token + begin));
        ck_assert_uint_gt(shown.bytes, 0);
        ck_assert_uint_eq(shown.bytes % 2, 0);
        strcat(all, shown.text);
        begin += shown.bytes;
    }
    ck_assert_str_eq(all, token);
    ck_assert_uint_gt(lines, 1);
}
END_TEST

/* ---- the file ---- */

typedef struct {
    const BPEModel *model;
    const ByteString *special;
    size_t count;
    char path[256];
} Target;

static Status attempt_write(void *context)
{
    const Target *target = context;
    FileWriter writer;
    Status s = file_create(&writer, target->path);
    if (s)
        return s;
    s = tokenizer_json_write(&writer, target->model, target->special, target->count);
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    return s;
}

static Target make_target(BPEModel *model, const ByteString *special, size_t count)
{
    Target target = {.model = model, .special = special, .count = count};
    snprintf(target.path, sizeof target.path, "%s", temp_path("tokenizer.json"));
    return target;
}

START_TEST(test_tokenizer_json_is_what_hugging_face_saves)
{
    const ByteString special[] = {byte_string("<| \xC3\xA9 \"\\\n|>"), byte_string("<|endoftext|>"),
                                  byte_string("<|endoftext|>")};
    BPEModel model;
    assert_ok(bpe_model_read(&model, own_vocab, own_merges, NULL, 0));
    Target target = make_target(&model, special, 3);
    assert_ok(attempt_write(&target));
    json_t *ours, *theirs;
    assert_ok(json_read(&ours, target.path));
    assert_ok(json_read(&theirs, "tests/fixtures/tokenizer/tokenizer.json"));
    const char *key;
    json_t *value;
    json_object_foreach(theirs, key, value)
        ck_assert_msg(json_equal(json_object_get(ours, key), value), "\"%s\" differs", key);
    ck_assert_uint_eq(json_object_size(ours), json_object_size(theirs));
    json_decref(ours);
    json_decref(theirs);
    bpe_model_deinit(&model);
}
END_TEST

static void add_bytes(BPEModel *model)
{
    for (unsigned b = 0; b < BYTE_VALUES; b++) {
        const uint8_t byte = (uint8_t)b;
        assert_ok(bpe_model_add_token(model, (ByteString){.bytes = &byte, .length = 1}));
    }
}

/* Neither special tokens nor merges: arrays of nothing are JSON too. */
START_TEST(test_a_model_of_bytes_alone_is_json)
{
    BPEModel model = {0};
    add_bytes(&model);
    Target target = make_target(&model, NULL, 0);
    assert_ok(attempt_write(&target));
    json_t *json;
    assert_ok(json_read(&json, target.path));
    const json_t *inner = json_object_get(json, "model");
    ck_assert_uint_eq(json_array_size(json_object_get(json, "added_tokens")), 0);
    ck_assert_uint_eq(json_array_size(json_object_get(inner, "merges")), 0);
    ck_assert_uint_eq(json_object_size(json_object_get(inner, "vocab")), 256);
    json_decref(json);
    bpe_model_deinit(&model);
}
END_TEST

START_TEST(test_special_tokens_that_tokenizer_json_cannot_say)
{
    static const struct {
        const char *token, *message;
    } cases[] = {
        {"", "special token 1 of 1 is empty"},
        {"<\xFF>", "special token \"<\\xFF>\" is not UTF-8"},
        {" ", "special token \" \" has the id of an ordinary token that is written otherwise"},   /* a byte */
        {"  ", "special token \"  \" has the id of an ordinary token that is written otherwise"}, /* a merge */
        {"\xC4\xA0", "special token \"\xC4\xA0\" is what another token is written as, and both would get one id"},
    };
    BPEModel model = {0};
    add_bytes(&model);
    assert_ok(bpe_model_merge(&model, ' ', ' '));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const ByteString special = byte_string(cases[i].token);
        char message[256];
        snprintf(message, sizeof message, "tokenizer.json: %s", cases[i].message);
        Target target = make_target(&model, &special, 1);
        assert_fails(attempt_write(&target), CS336_ERANGE, message);
    }
    ck_assert_uint_eq(directory_entries(temp_path(".")), 0);
    bpe_model_deinit(&model);
}
END_TEST

START_TEST(test_writing_tokenizer_json_fails_cleanly)
{
    const ByteString special[] = {byte_string("<| |>"), byte_string("<|x|>")};
    BPEModel model = {0};
    add_bytes(&model);
    assert_ok(bpe_model_merge(&model, ' ', ' '));
    Target target = make_target(&model, special, 2);
    assert_write_failures_are_clean(attempt_write, &target, temp_path("."));
    assert_allocation_failures_are_clean(attempt_write, &target);
    bpe_model_deinit(&model);
}
END_TEST

/* ---- beside the real thing ---- */

START_TEST(test_hugging_face_gives_the_same_ids)
{
    static const char text[] =
        "It's 12 o'clock,  they'll say:\n\n \tgr\xC3\xBC\xC3\x9F dich <|endoftext|>\xE4\xB8\xAD\xE6\x96\x87 "
        "\xF0\x9F\x99\x83<| \xC3\xA9 |> naive\xC3\xAF \r\n  the<|endoftext|><|endoftext|>\n end \n";
    char *script = realpath("tests/tools/check_tokenizers.py", NULL), *vocab = realpath(own_vocab, NULL),
         *merges = realpath(own_merges, NULL);
    write_file(temp_path("text"), text, sizeof text - 1);
    const int code =
        shell("special='<| \xC3\xA9 |>'; cs336 export-tokenizer --vocab '%s' --merges '%s' --special-token "
              "'<|endoftext|>' --special-token \"$special\" --output t.json && cs336 encode --vocab '%s' --merges "
              "'%s' --special-token '<|endoftext|>' --special-token \"$special\" --input text --output ids "
              ">said && '%s' '%s' '%s' '%s' t.json text ids '<|endoftext|>' \"$special\"",
              vocab, merges, vocab, merges, python_command(), script, vocab, merges);
    ck_assert_msg(code == 0, "%s%s", shell_output, shell_errors);
    ck_assert_ptr_nonnull(strstr(shell_output, "ids agree"));
    free(script);
    free(vocab);
    free(merges);
}
END_TEST

/* Special tokens beyond ASCII: from training to both kinds of files, which Hugging Face reads with our ids. */
START_TEST(test_hugging_face_reads_special_tokens_as_we_write_them)
{
    static const char text[] = "the\n caf\xC3\xA9 \xE4\xB8\xAD <|\xC3\xA9|>the a b \xC3\xA9"
                               "a\xF0\x9F\x99\x82 \n\n the the\n";
    static const char *const sets[] = {
        "' ' '\xE4\xB8\xAD' 'a b' '\xF0\x9F\x99\x82'",
        "'<|\xC3\xA9|>' '\xC3\xA9"
        "a' \"$(printf '\\n\\n.')\"",
    };
    char *script = realpath("tests/tools/check_tokenizers.py", NULL);
    write_file(temp_path("text"), text, sizeof text - 1);
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        const int code = shell(
            "set -- %s; for t; do set -- \"$@\" --special-token \"$t\"; shift; done; "
            "cs336 train-bpe --input text --vocab-size 280 \"$@\" --vocab v.json --merges m.txt --tokenizer "
            "t.json >said && cs336 encode --vocab v.json --merges m.txt \"$@\" --input text --output ids >said && "
            "set -- %s && '%s' '%s' v.json m.txt t.json text ids \"$@\"",
            sets[i], sets[i], python_command(), script);
        ck_assert_msg(code == 0 && !*shell_errors, "%s%s", shell_output, shell_errors);
        ck_assert_ptr_nonnull(strstr(shell_output, "ids agree"));
    }
    free(script);
}
END_TEST

/* From text to a trained tokenizer.json, nothing of it committed. */
START_TEST(test_hugging_face_loads_what_train_bpe_writes)
{
    char *script = realpath("tests/tools/check_tokenizers.py", NULL);
    const int code =
        shell("cs336 story --stories 300 --output text && cs336 train-bpe --input text --vocab-size 600 "
              "--special-token '<|endoftext|>' --vocab v.json --merges m.txt --tokenizer t.json >said && "
              "cs336 encode --vocab v.json --merges m.txt --special-token '<|endoftext|>' --input text --output "
              "ids >said && '%s' '%s' v.json m.txt t.json text ids '<|endoftext|>'",
              python_command(), script);
    ck_assert_msg(code == 0, "%s%s", shell_output, shell_errors);
    ck_assert_ptr_nonnull(strstr(shell_output, "ids agree"));
    free(script);
}
END_TEST

const TestCase tokenizer_json_tests[] = {
    TEST(test_shown_tokens_cannot_harm_a_terminal, "tokenizer_files"),
    TEST(test_a_long_token_is_shown_on_several_lines, "tokenizer_files"),
    TEST(test_tokenizer_json_is_what_hugging_face_saves, "tokenizer_files"),
    TEST(test_a_model_of_bytes_alone_is_json, "tokenizer_files"),
    TEST(test_special_tokens_that_tokenizer_json_cannot_say, "tokenizer_files"),
    TEST(test_writing_tokenizer_json_fails_cleanly, "tokenizer_files"),
    TEST_UNLESS(test_hugging_face_gives_the_same_ids, "tokenizer_files", no_tokenizers_package),
    TEST_UNLESS(test_hugging_face_reads_special_tokens_as_we_write_them, "tokenizer_files", no_tokenizers_package),
    TEST_UNLESS(test_hugging_face_loads_what_train_bpe_writes, "tokenizer_files", no_tokenizers_package),
    {0},
};
