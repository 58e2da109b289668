#include "core/directory.h"
#include "core/file.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/course.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/gpt2_files.h"
#include "tests/support/random_text.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/encode/tokenizer.h"
#include "tokenizer/files/bpe_files.h"
#include "tokenizer/learn/bpe_train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const own_vocab = "tests/fixtures/tokenizer/vocab.json";
static const char *const own_merges = "tests/fixtures/tokenizer/merges.txt";

/* ---- the alphabet ---- */

START_TEST(test_byte_alphabet_is_gpt2s)
{
    uint32_t others = 256, last = 0;
    for (unsigned b = 0; b < 256; b++) {
        const bool printable = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        const uint32_t c = byte_alphabet_character((uint8_t)b);
        test_label("byte 0x%02X", b);
        ck_assert_uint_eq(c, printable ? b : others++);
        ck_assert_int_eq(byte_alphabet_byte(c), (int)b);
    }
    test_label_end();
    ck_assert_uint_eq(byte_alphabet_character(' '), 0x120);
    for (unsigned rank = 0; rank < 256; rank++) {
        const uint32_t c = byte_alphabet_character(byte_alphabet_sorted(rank));
        ck_assert_uint_gt(c, last);
        last = c;
    }
    const uint32_t strange[] = {0, ' ', '\n', 0x7F, 0x80, 0xA0, 0xAD, 324, 0x4E2D, 0x10FFFF};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        ck_assert_msg(byte_alphabet_byte(strange[i]) == -1, "U+%04X stands for a byte", (unsigned)strange[i]);
}
END_TEST

/* ---- reading ---- */

static void assert_model_is(const BPEModel *model, const Gpt2Files *files)
{
    ck_assert_uint_eq(model->vocab_size, files->vocab_size);
    ck_assert_uint_eq(model->merge_count, files->merge_count);
    for (size_t i = 0; i < files->vocab_size; i++)
        if (!byte_string_equal(bpe_model_token(model, (int32_t)i), files->vocab[i]))
            ck_abort_msg("token %zu differs", i);
    for (size_t i = 0; i < files->merge_count; i++)
        if (!byte_string_equal(bpe_model_token(model, model->merges[i].left), files->merges[i].left) ||
            !byte_string_equal(bpe_model_token(model, model->merges[i].right), files->merges[i].right))
            ck_abort_msg("merge %zu differs", i);
}

static void assert_reads(const char *vocab_path, const char *merges_path)
{
    Gpt2Files files = gpt2_files_read(vocab_path, merges_path);
    BPEModel model;
    assert_ok(bpe_model_read(&model, vocab_path, merges_path, NULL, 0));
    assert_model_is(&model, &files);
    bpe_model_deinit(&model);
    gpt2_files_free(&files);
}

START_TEST(test_files_are_read)
{
    assert_reads(own_vocab, own_merges);
    if (course_path(""))
        assert_reads(course_path("gpt2_vocab.json"), course_path("gpt2_merges.txt"));
}
END_TEST

/* A vocabulary of the 256 bytes, then `more`, an object's end included; `first` is the first byte's id. */
static const char *write_vocab(const char *more, unsigned first)
{
    static char text[1 << 14];
    size_t length = (size_t)snprintf(text, sizeof text, "{\n");
    for (unsigned rank = 0; rank < 256; rank++) {
        const uint32_t c = byte_alphabet_character(byte_alphabet_sorted(rank));
        char spelled[4] = {(char)c};
        if (c >= 0x80)
            snprintf(spelled, sizeof spelled, "%c%c", (int)(0xC0 | c >> 6), (int)(0x80 | (c & 0x3F)));
        length += (size_t)snprintf(text + length, sizeof text - length, "\"%s%s\": %u%s\n",
                                   c == '"' || c == '\\' ? "\\" : "", spelled, first + rank, rank < 255 ? "," : "");
    }
    length += (size_t)snprintf(text + length, sizeof text - length, "%s", more);
    static char path[256];
    snprintf(path, sizeof path, "%s", temp_path("vocab.json"));
    write_file(path, text, length);
    return path;
}

static const char *write_merges(const char *text)
{
    const char *path = temp_path("merges.txt");
    write_file(path, text, strlen(text));
    return path;
}

START_TEST(test_ids_come_in_any_order_and_lines_in_any_form)
{
    const char *vocab = write_vocab(", \"aab\": 0,\r\n\"ab\" : 258, \"<|x|>\": 1}", 2);
    const char *merges = write_merges("#version: 0.2\r\na b\r\n\r\na ab");
    BPEModel model;
    assert_ok(bpe_model_read(&model, vocab, merges, NULL, 0));
    ck_assert_uint_eq(model.vocab_size, 259);
    ck_assert(byte_string_equal(bpe_model_token(&model, 0), byte_string("aab")));
    ck_assert(byte_string_equal(bpe_model_token(&model, 1), byte_string("<|x|>")));
    ck_assert_uint_eq(model.merge_count, 2);
    ck_assert_int_eq(model.merges[0].merged, 258);
    ck_assert_int_eq(model.merges[1].right, 258);
    ck_assert_int_eq(model.merges[1].merged, 0);
    bpe_model_deinit(&model);
}
END_TEST

START_TEST(test_a_merge_may_begin_with_a_number_sign)
{
    const char *vocab = write_vocab(", \"##\": 256}", 0);
    BPEModel model;
    assert_ok(bpe_model_read(&model, vocab, write_merges("# #\n"), NULL, 0));
    ck_assert_uint_eq(model.merge_count, 1);
    bpe_model_deinit(&model);
}
END_TEST

/* ---- faults ---- */

static void assert_fault(const char *vocab, const char *merges, const char *at_fault, const char *rest)
{
    char message[512];
    snprintf(message, sizeof message, "%s%s", at_fault, rest);
    BPEModel model;
    assert_fails(bpe_model_read(&model, vocab, merges, NULL, 0), CS336_EFORMAT, message);
    ck_assert_uint_eq(model.vocab_size, 0);
}

START_TEST(test_faults_of_a_vocabulary_are_named_with_their_line)
{
    static const struct {
        const char *more, *message;
    } faults[] = {
        {",\n\"ab\": 0}", ":259: id 0 of \"ab\" is taken by another token"},
        {",\n\"ab\": 257}", ":259: id 257, expected 0 to 256: a file of 257 tokens has one for each id"},
        {",\n\"ab\": -1}", ":259: the id of \"ab\" is not a whole number from 0 on"},
        {",\n\"ab\": 1.5}", ":259: the id of \"ab\" is not a whole number from 0 on"},
        {",\n\n\"a:\\\"b\": {\"c\": 1}}", ":260: the id of \"a:\\\"b\" is not a whole number from 0 on"},
        {",\n\"\": 256}", ":259: empty token"},
    };
    const char *merges = write_merges("");
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        const char *vocab = write_vocab(faults[i].more, 0);
        assert_fault(vocab, merges, vocab, faults[i].message);
    }
}
END_TEST

START_TEST(test_a_vocabulary_that_is_not_json_is_named_with_its_line)
{
    static const struct {
        const char *more, *message;
    } faults[] = {
        {",\n\"ab\": 256,\n}", ":260:1: string or '}' expected near '}'"},
        {",\n\"a\": 256}", ":259:3: duplicate object key near '\"a\"'"},
        {"", ":258:0: '}' expected near end of file"},
        {",\n\"ab\": 2", ":259:7: '}' expected near end of file"},
        {",\n\"ab", ":259:3: premature end of input near '\"ab'"},
        {",\n\"a\xFF\": 256}", ":259:2: unable to decode byte 0xff near '\"a'"},
        {",\n\"ab\" 256}", ":259:8: ':' expected near '256'"},
        {"} x", ":258:3: end of file expected near 'x'"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        const char *vocab = write_vocab(faults[i].more, 0);
        assert_fault(vocab, own_merges, vocab, faults[i].message);
    }
    const char *path = temp_path("other.json");
    write_file(path, "[]", 2);
    assert_fault(path, own_merges, path, ":1: expected an object of \"token\": id");
    write_file(path, "{}", 2);
    assert_fault(path, own_merges, path, ": no token for byte 0x00, all 256 are needed");
    write_file(path, "{\"a\": 0,\n\"b\": 1", 15); /* each line has one blank, as in merges.txt */
    assert_fault(path, own_merges, path, ":2:6: '}' expected near end of file");
    write_file(path, "a token 0\n", 10);
    assert_fault(path, own_merges, path, ": is not JSON, expected vocab.json, an object of \"token\": id");
    write_file(path, "token 0\n", 8);
    assert_fault(path, own_merges, path, ": looks like a merges.txt, which --merges reads, expected vocab.json");
    write_file(path, "\n\ntoken 0\r\n\xFF 0", 14);
    assert_fault(path, own_merges, path, ": looks like a merges.txt, which --merges reads, expected vocab.json");
}
END_TEST

START_TEST(test_faults_of_merges_are_named_with_their_line)
{
    const char *vocab = write_vocab(",\n\"ab\": 256}", 0);
    char unknown[256], joint[256];
    snprintf(unknown, sizeof unknown, ":2: token \"bc\" is not in %s", vocab);
    snprintf(joint, sizeof joint, ":2: token \"a c\" is not in %s", vocab);
    const struct {
        const char *lines, *message;
    } faults[] = {
        {"a b\nabc\n", ":2: expected two tokens with a blank between them"},
        {"a b\na b c\n", ":2: expected two tokens with a blank between them"},
        {"a b\n b\n", ":2: expected two tokens with a blank between them"},
        {"a b\nb \n", ":2: expected two tokens with a blank between them"},
        {"a b\nbc a\n", unknown},
        {"a b\na bc\n", unknown},
        {"a b\na c\n", joint},
        {"a b\n\xE4\xB8\xAD a\n",
         ":2: token \"\xE4\xB8\xAD\" has U+4E2D, which stands for no byte in GPT-2's alphabet"},
        {"a b\n\xFF a\n", ":2: token \"\\xFF\" is not UTF-8"},
        {"a b\na \xC4", ":2: token \"\\xC4\" is not UTF-8"}, /* the file ends in the middle of a character */
        {"a b\na", ":2: expected two tokens with a blank between them"},
        {"a b\n\x1B[31m a\n", ":2: token \"\\x1B[31m\" has U+001B, which stands for no byte in GPT-2's alphabet"},
        {"a b\n\na b\n", ":3: this merge comes a second time"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        const char *merges = write_merges(faults[i].lines);
        assert_fault(vocab, merges, merges, faults[i].message);
    }
}
END_TEST

START_TEST(test_missing_files_are_named)
{
    BPEModel model;
    Tokenizer *tokenizer;
    assert_fails(bpe_model_read(&model, "tests/none.json", own_merges, NULL, 0), CS336_EIO,
                 "tests/none.json: cannot read: No such file or directory");
    assert_fails(bpe_model_read(&model, own_vocab, "tests/none.txt", NULL, 0), CS336_EIO,
                 "tests/none.txt: cannot read: No such file or directory");
    assert_fails(tokenizer_load(&tokenizer, own_vocab, "tests/none.txt", NULL, 0), CS336_EIO,
                 "tests/none.txt: cannot read: No such file or directory");
    ck_assert_ptr_null(tokenizer);
}
END_TEST

/* ---- writing ---- */

static const ByteString made_special[] = {ATOM("<|\"\\ \n|>"), ATOM("<|\xC3\xA9|>")};

/* Tokens of every byte, quotes, backslashes and NUL among them. */
static BPEModel make_model(void)
{
    const ByteString texts[] = {byte_string("\"\\\"\\\" \\\\ \xC3\xA9\xC3\xA9 it's \x01\x02\x01\x02"),
                                {.bytes = (const uint8_t *)"\0\0\0", .length = 3}};
    const BPETrainConfig config = {.vocab_size = 300, .special_tokens = made_special, .special_count = 2, .threads = 1};
    BPEModel model;
    assert_ok(bpe_train(&model, NULL, texts, 2, &config));
    return model;
}

START_TEST(test_what_is_written_is_read_back)
{
    const char *vocab = temp_path("v.json"), *merges = temp_path("m.txt");
    BPEModel model = make_model(), back;
    assert_ok(bpe_model_write(&model, vocab, merges));
    assert_ok(bpe_model_read(&back, vocab, merges, made_special, 2));
    ck_assert_uint_eq(back.merge_count, model.merge_count);
    ck_assert_mem_eq(back.merges, model.merges, model.merge_count * sizeof *model.merges);
    Gpt2Files files = gpt2_files_read(vocab, merges);
    for (size_t i = 0; i < 2; i++) { /* the special tokens, which that reader takes for words of the alphabet */
        free((void *)files.vocab[i].bytes);
        files.vocab[i] = (ByteString){.bytes = malloc(made_special[i].length), .length = made_special[i].length};
        memcpy((void *)files.vocab[i].bytes, made_special[i].bytes, made_special[i].length);
    }
    assert_model_is(&model, &files);
    assert_model_is(&back, &files);
    gpt2_files_free(&files);
    bpe_model_deinit(&back);
    bpe_model_deinit(&model);
}
END_TEST

START_TEST(test_a_model_without_merges_is_read_back)
{
    const char *vocab = temp_path("bytes.json"), *merges = temp_path("bytes.txt");
    const BPETrainConfig config = {.vocab_size = 256, .threads = 1};
    BPEModel model, back;
    assert_ok(bpe_train(&model, NULL, NULL, 0, &config));
    assert_ok(bpe_model_write(&model, vocab, merges));
    assert_ok(bpe_model_read(&back, vocab, merges, NULL, 0));
    ck_assert_uint_eq(back.vocab_size, 256);
    ck_assert_uint_eq(back.merge_count, 0);
    bpe_model_deinit(&back);
    bpe_model_deinit(&model);
}
END_TEST

typedef struct {
    const BPEModel *model;
    char vocab[256], merges[256];
} Target;

static Status attempt_write(void *context)
{
    const Target *target = context;
    return bpe_model_write(target->model, target->vocab, target->merges);
}

#define NO_BYTES "array_reserve: no memory for *[0-9] elements of 1 bytes"

START_TEST(test_writing_fails_cleanly_and_leaves_the_old_files)
{
    BPEModel model = make_model();
    Target target = {.model = &model};
    char directory[256];
    snprintf(directory, sizeof directory, "%s", temp_path("written"));
    assert_ok(directory_make(directory));
    snprintf(target.vocab, sizeof target.vocab, "%s", temp_path("written/v"));
    snprintf(target.merges, sizeof target.merges, "%s", temp_path("written/m"));
    write_file(target.vocab, "old", 3);
    write_file(target.merges, "older", 5);
    for (size_t n = 1; n <= 2; n++) {
        file_fail_at(n);
        test_label("file %zu cannot be written", n);
        assert_path_fails(attempt_write(&target), CS336_EIO, n == 1 ? target.vocab : target.merges,
                          ": cannot write: No space left on device");
        file_fail_at(0);
        assert_file_holds(target.vocab, "old", 3);
        assert_file_holds(target.merges, "older", 5);
    }
    test_label_end();
    assert_write_failures_are_clean(attempt_write, &target, directory);
    assert_allocation_failures_say(attempt_write, &target, NO_BYTES, "special_texts: no memory for 2 special tokens",
                                   "token_index_init: no memory for 274 tokens",
                                   "file_create: no memory for the path */v", "file_create: no memory for the path */m",
                                   "text_table_add: no memory for 512 slots",
                                   "array_reserve: no memory for 64 elements of 8 bytes");
    ck_assert_uint_eq(directory_entries(directory), 2);
    bpe_model_deinit(&model);
}
END_TEST

static Status attempt_read(void *context)
{
    const Target *target = context;
    BPEModel model;
    const Status s = bpe_model_read(&model, target->vocab, target->merges, NULL, 0);
    bpe_model_deinit(&model);
    return s;
}

START_TEST(test_reading_survives_every_failed_allocation)
{
    Target target = {0};
    snprintf(target.vocab, sizeof target.vocab, "%s", write_vocab(", \"ab\": 256, \"abab\": 257}", 0));
    snprintf(target.merges, sizeof target.merges, "%s", write_merges("a b\nab ab\n"));
    assert_allocation_failures_say(
        attempt_read, &target, NO_BYTES, "array_reserve: no memory for *[0-9] elements of [1-9]* bytes",
        "*/vocab.json: no memory for its *[0-9] bytes", "*/merges.txt: no memory for its 10 bytes",
        "*/vocab.json: no memory for 258 tokens", "token_index_init: no memory for 258 tokens",
        "*/merges.txt: no memory for 3 merges");
}
END_TEST

const TestCase tokenizer_files_tests[] = {
    TEST(test_byte_alphabet_is_gpt2s, "tokenizer_files"),
    TEST(test_files_are_read, "tokenizer_files"),
    TEST(test_ids_come_in_any_order_and_lines_in_any_form, "tokenizer_files"),
    TEST(test_a_merge_may_begin_with_a_number_sign, "tokenizer_files"),
    TEST(test_faults_of_a_vocabulary_are_named_with_their_line, "tokenizer_files"),
    TEST(test_a_vocabulary_that_is_not_json_is_named_with_its_line, "tokenizer_files"),
    TEST(test_faults_of_merges_are_named_with_their_line, "tokenizer_files"),
    TEST(test_missing_files_are_named, "tokenizer_files"),
    TEST(test_a_model_without_merges_is_read_back, "tokenizer_files"),
    TEST(test_what_is_written_is_read_back, "tokenizer_files"),
    TEST(test_writing_fails_cleanly_and_leaves_the_old_files, "tokenizer_files"),
    TEST(test_reading_survives_every_failed_allocation, "tokenizer_files"),
    {0},
};
