/* Files of ids with what describes them: sidecars, and NumPy's format. */
#define _POSIX_C_SOURCE 200809L
#include "data/token_writer.h"

#include "core/memory.h"
#include "data/token_file.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tokenizer/encode/encode_file.h"
#include "tokenizer/learn/bpe_train.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { IDS = 10, MANY = 300 };
static const int32_t ids[IDS] = {0, 7, 14, 21, 28, 35, 42, 49, 56, 63};

static Status write_ids(const char *path, size_t vocab_size)
{
    TokenWriter writer;
    Status s = token_writer_create(&writer, path, vocab_size);
    if (!s)
        s = token_writer_append(&writer, ids, 4);
    if (!s)
        s = token_writer_append(&writer, ids + 4, IDS - 4);
    if (!s)
        s = token_writer_commit(&writer);
    token_writer_abandon(&writer);
    return s;
}

static void assert_file_is(const char *path, const char *expected_path)
{
    LoadedFile expected;
    assert_ok(file_load(&expected, expected_path));
    assert_file_holds(path, expected.data, expected.size);
    file_unload(&expected);
}

static void assert_text(const char *path, const char *text)
{
    assert_file_holds(path, text, strlen(text));
}

static bool exists(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

/* Fails unless the file opens with a vocabulary size, and has these ids. */
static void assert_reads(const char *path, size_t vocab_size, size_t width)
{
    TokenFile tokens;
    int32_t read[IDS];
    assert_ok(token_file_open(&tokens, path, vocab_size));
    ck_assert_uint_eq(tokens.count, IDS);
    ck_assert_uint_eq(tokens.width, width);
    assert_ok(token_file_read(read, &tokens, 0, IDS));
    ck_assert_mem_eq(read, ids, sizeof ids);
    token_file_close(&tokens);
}

/* ---- what is written ---- */

/* The ids are those that tokenizer_encode() appends to a list; the vocabulary is learned from the text. */
START_TEST(test_an_encoder_writes_to_a_token_file)
{
    enum { LENGTH = 3000 };
    uint8_t text[LENGTH];
    for (size_t i = 0; i < LENGTH; i++)
        text[i] = i % 7 ? (uint8_t)('a' + i % 5) : ' ';
    const char *path = temp_path("ids"), *source = temp_path("text");
    const ByteString all = {.bytes = text, .length = LENGTH};
    const BPETrainConfig learn = {.vocab_size = 300};
    BPEModel model;
    Tokenizer *tokenizer;
    TokenList expected = {0};
    TokenWriter writer;
    write_file(source, text, LENGTH);
    assert_ok(bpe_train(&model, NULL, &all, 1, &learn));
    assert_ok(tokenizer_create(&tokenizer, &model, NULL, 0));
    assert_ok(tokenizer_encode(tokenizer, &expected, all));
    assert_ok(token_writer_create(&writer, path, tokenizer_vocab_size(tokenizer)));
    assert_ok(encode_file(tokenizer, source, token_writer_sink, &writer, &(EncodeConfig){.threads = 1}));
    assert_ok(token_writer_commit(&writer));
    TokenFile tokens;
    int32_t read[LENGTH];
    assert_ok(token_file_open(&tokens, path, tokenizer_vocab_size(tokenizer)));
    ck_assert_uint_eq(tokens.count, expected.count);
    assert_ok(token_file_read(read, &tokens, 0, tokens.count));
    ck_assert_mem_eq(read, expected.ids, expected.count * sizeof *read);
    token_file_close(&tokens);
    token_list_deinit(&expected);
    tokenizer_destroy(tokenizer);
    bpe_model_deinit(&model);
}
END_TEST

/* The sink returns what the writer returns: id 300 is not below the vocabulary's size. */
START_TEST(test_a_sink_of_a_token_file_fails_as_the_file_does)
{
    TokenWriter writer;
    assert_ok(token_writer_create(&writer, temp_path("ids"), 300));
    ck_assert_int_eq(token_writer_sink(&writer, &(int32_t){300}, 1), CS336_ERANGE);
    token_writer_abandon(&writer);
    ck_assert(!exists(temp_path("ids")));
}
END_TEST

/* NumPy wrote the fixtures: tests/tools/make_npy_fixtures.py. */
START_TEST(test_npy_files_are_those_of_numpy)
{
    const char *path = temp_path("ids.npy");
    assert_ok(write_ids(path, 65536));
    assert_file_is(path, "tests/fixtures/tokens/u2_v1.npy");
    assert_reads(path, 64, 2);
    assert_ok(write_ids(path, 65537));
    assert_file_is(path, "tests/fixtures/tokens/u4_v1.npy");
    ck_assert(!exists(temp_path("ids.npy.json")));
}
END_TEST

START_TEST(test_a_sidecar_says_width_vocabulary_and_number)
{
    const char *path = temp_path("ids.bin"), *sidecar = temp_path("ids.bin.json");
    assert_ok(write_ids(path, 300));
    assert_text(sidecar, "{\"dtype\":\"uint16\",\"vocab_size\":300,\"tokens\":10}\n");
    assert_reads(path, 300, 2);
    assert_ok(write_ids(path, 70000));
    assert_text(sidecar, "{\"dtype\":\"uint32\",\"vocab_size\":70000,\"tokens\":10}\n");
    assert_reads(path, 70000, 4);
    ck_assert_int_eq(unlink(sidecar), 0); /* as after a kill between the two renames */
    assert_reads(path, 70000, 4);
}
END_TEST

START_TEST(test_a_sidecar_is_beside_the_file_and_not_beside_a_link_to_it)
{
    const char *far = temp_directory("far"), *link = temp_path("link"), *sidecar = temp_path("far/ids.json");
    ck_assert_int_eq(symlink("far/ids", link), 0);
    assert_ok(write_ids(link, 300));
    assert_text(sidecar, "{\"dtype\":\"uint16\",\"vocab_size\":300,\"tokens\":10}\n");
    ck_assert_uint_eq(directory_entries(far), 2);
    ck_assert(!exists(temp_path("link.json")));
    write_file(sidecar, "{\"dtype\":\"uint16\",\"vocab_size\":300,\"tokens\":9}\n", 47);
    TokenFile tokens;
    ck_assert_int_eq(token_file_open(&tokens, link, 300), CS336_EFORMAT);
}
END_TEST

static Status write_raw(void *path)
{
    return write_ids(path, 300);
}

START_TEST(test_failures_leave_the_old_files)
{
    const char *directory = temp_directory("failures"), *path = temp_path("failures/ids"),
               *npy = temp_path("failures/ids.npy");
    for (int i = 0; i < 2; i++) { /* at first there is no old file */
        assert_write_failures_are_clean(write_raw, (void *)(uintptr_t)path, directory);
        assert_write_failures_are_clean(write_raw, (void *)(uintptr_t)npy, directory);
    }
    assert_allocation_failures_are_clean(write_raw, (void *)(uintptr_t)path);
    assert_allocation_failures_are_clean(write_raw, (void *)(uintptr_t)npy);
    ck_assert_uint_eq(directory_entries(directory), 3);
}
END_TEST

START_TEST(test_files_of_others_are_not_replaced_by_a_sidecar)
{
    const char *path = temp_path("corpus"), *other = temp_path("corpus.json");
    char message[512];
    static const char *const others[] = {"{\"a\": 1}", "[1, 2]"};
    snprintf(message, sizeof message,
             ": cannot write: it is another JSON file, and encode describes the ids of %s there; choose another output",
             path);
    for (size_t i = 0; i < 2; i++) {
        write_file(other, others[i], strlen(others[i]));
        assert_path_fails(write_ids(path, 300), CS336_EIO, other, message);
        assert_text(other, others[i]);
        ck_assert(!exists(path));
    }
    /* Readers ignore it. */
    write_file(path, "\1\0\2\0", 4);
    TokenFile tokens;
    assert_ok(token_file_open(&tokens, path, 300));
    token_file_close(&tokens);
    assert_fails(write_ids("/dev/null.npy/x", 300), CS336_EIO,
                 "/dev/null.npy/x: cannot write: No such file or directory");
}
END_TEST

/* ---- what is read ---- */

START_TEST(test_the_sidecar_decides_the_width)
{
    const char *path = temp_path("ids"), *sidecar = temp_path("ids.json");
    assert_ok(write_ids(path, 70000));
    static const char small[] = "{\"dtype\": \"uint32\", \"vocab_size\": 64, \"tokens\": 10, \"made_by\": \"hand\"}";
    write_file(sidecar, small, sizeof small - 1);
    assert_reads(path, 64, 4);
    TokenFile tokens;
    assert_path_fails(
        token_file_open(&tokens, path, 63), CS336_ERANGE, path,
        ": the ids come from a vocabulary of 64 tokens, as its .json says; expected at most the vocabulary "
        "size 63");
    ck_assert_ptr_null(tokens.path);
}
END_TEST

START_TEST(test_a_sidecar_that_does_not_fit_is_refused)
{
#define SAYS ": expected {\"dtype\":\"uint16\" or \"uint32\",\"vocab_size\":N,\"tokens\":n}, N from 1 to 2147483647; "
#define MEND "encode the text again, or delete this file"
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"dtype\":\"uint8\",\"vocab_size\":300,\"tokens\":10}", SAYS MEND},
        {"{\"dtype\":16,\"vocab_size\":300,\"tokens\":10}", SAYS MEND},
        {"{\"dtype\":\"uint16\",\"vocab_size\":0,\"tokens\":10}", SAYS MEND},
        {"{\"dtype\":\"uint16\",\"vocab_size\":2147483648,\"tokens\":10}", SAYS MEND},
        {"{\"dtype\":\"uint16\",\"vocab_size\":300.5,\"tokens\":10}", SAYS MEND},
        {"{\"dtype\":\"uint16\",\"vocab_size\":300,\"tokens\":-1}", SAYS MEND},
        {"{\"dtype\":\"uint16\",\"vocab_size\":300}", SAYS MEND},
        {"{\"dtype\":", ":1:9: string or '}' expected near end of file; it should describe token ids: " MEND},
        {"", ":1:0: '[' or '{' expected near end of file; it should describe token ids: " MEND},
    };
    const char *path = temp_path("ids"), *sidecar = temp_path("ids.json");
    const size_t before = memory_in_use();
    TokenFile tokens;
    assert_ok(write_ids(path, 300));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_label("%s", cases[i].text);
        write_file(sidecar, cases[i].text, strlen(cases[i].text));
        const Status s = token_file_open(&tokens, path, 300);
        ck_assert_int_eq(s, CS336_EFORMAT);
        ck_assert_msg(strstr(status_message(), "/ids.json:") && strstr(status_message(), MEND), "%s", status_message());
        if (*cases[i].message == ':' && cases[i].message[1] == ' ')
            ck_assert_msg(strstr(status_message(), cases[i].message) != NULL, "%s", status_message());
        ck_assert_uint_eq(memory_in_use(), before);
    }
    test_label_end();
    /* Another number of ids than the file has, also one whose bytes overflow. */
    static const char *const numbers[] = {"9", "11", "9223372036854775807"};
    for (size_t i = 0; i < 3; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"dtype\":\"uint16\",\"vocab_size\":300,\"tokens\":%s}", numbers[i]);
        write_file(sidecar, text, strlen(text));
        ck_assert_int_eq(token_file_open(&tokens, path, 300), CS336_EFORMAT);
        snprintf(text, sizeof text, "/ids: 20 bytes, but ");
        ck_assert_ptr_nonnull(strstr(status_message(), text));
        snprintf(text, sizeof text,
                 " says %s ids of 2 bytes: the two do not belong together; encode the text again, or "
                 "delete the .json file",
                 numbers[i]);
        ck_assert_ptr_nonnull(strstr(status_message(), text));
    }
    /* encode replaces a damaged one. */
    write_file(sidecar, "{\"dtype\":", 9);
    assert_ok(write_ids(path, 300));
    assert_reads(path, 300, 2);
}
END_TEST

/* Writes MANY different ids below 300 without a sidecar. */
static void write_bare(const char *path, size_t width)
{
    uint8_t bytes[MANY * 4] = {0};
    for (size_t i = 0; i < MANY; i++) {
        bytes[i * width] = (uint8_t)(i * 37 % MANY);
        bytes[i * width + 1] = (uint8_t)(i * 37 % MANY >> 8);
    }
    write_file(path, bytes, MANY * width);
}

START_TEST(test_bare_ids_of_the_other_width_are_recognised)
{
    const char *path = temp_path("ids");
    TokenFile tokens;
    char message[640];
    write_bare(path, 4);
    snprintf(message, sizeof message,
             ": these look like uint32 ids (every second uint16 is 0), but a vocabulary of 300 is read as uint16; give "
             "the vocabulary that they come from, or write their width into %s.json: "
             "{\"dtype\":\"uint32\",\"vocab_size\":300,\"tokens\":300}",
             path);
    assert_path_fails(token_file_open(&tokens, path, 300), CS336_EFORMAT, path, message);
    assert_ok(token_file_open(&tokens, path, 70000));
    token_file_close(&tokens);
    write_bare(path, 2);
    snprintf(message, sizeof message,
             ": these look like uint16 ids (as uint32, most are beyond the vocabulary), but a vocabulary of 70000 is "
             "read as uint32; give the vocabulary that they come from, or write their width into %s.json: "
             "{\"dtype\":\"uint16\",\"vocab_size\":70000,\"tokens\":300}",
             path);
    assert_path_fails(token_file_open(&tokens, path, 70000), CS336_EFORMAT, path, message);
    assert_ok(token_file_open(&tokens, path, 300));
    token_file_close(&tokens);
    /* What the message says mends it. */
    const char *sidecar = temp_path("ids.json");
    static const char written[] = "{\"dtype\":\"uint16\",\"vocab_size\":70000,\"tokens\":300}";
    write_file(sidecar, written, sizeof written - 1);
    assert_ok(token_file_open(&tokens, path, 70000));
    ck_assert_uint_eq(tokens.width, 2);
    token_file_close(&tokens);
}
END_TEST

/* Texts that have many zeros, or zeros in every second place, but are no uint32 ids. */
START_TEST(test_ids_with_many_zeros_are_not_taken_for_the_other_width)
{
    static const struct {
        uint16_t even, odd;
    } cases[] = {{0, 0}, {0, 5}, {5, 0}, {5, 5}};
    const char *path = temp_path("ids");
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        uint16_t numbers[MANY];
        TokenFile tokens;
        test_label("%d, %d, ...", cases[k].even, cases[k].odd);
        for (size_t i = 0; i < MANY; i++)
            numbers[i] = i % 2 ? cases[k].odd : cases[k].even;
        write_file(path, numbers, sizeof numbers);
        assert_ok(token_file_open(&tokens, path, 300));
        token_file_close(&tokens);
        for (size_t i = 0; i < MANY; i++)
            numbers[i] = i % 8 == 3 ? (uint16_t)(i % 5) : 0;
        write_file(path, numbers, sizeof numbers);
        assert_ok(token_file_open(&tokens, path, 300));
        token_file_close(&tokens);
    }
}
END_TEST

const TestCase token_writer_tests[] = {
    TEST(test_an_encoder_writes_to_a_token_file, "token_file"),
    TEST(test_a_sink_of_a_token_file_fails_as_the_file_does, "token_file"),
    TEST(test_npy_files_are_those_of_numpy, "token_file"),
    TEST(test_a_sidecar_says_width_vocabulary_and_number, "token_file"),
    TEST(test_a_sidecar_is_beside_the_file_and_not_beside_a_link_to_it, "token_file"),
    TEST(test_failures_leave_the_old_files, "token_file"),
    TEST(test_files_of_others_are_not_replaced_by_a_sidecar, "token_file"),
    TEST(test_the_sidecar_decides_the_width, "token_file"),
    TEST(test_a_sidecar_that_does_not_fit_is_refused, "token_file"),
    TEST(test_bare_ids_of_the_other_width_are_recognised, "token_file"),
    TEST(test_ids_with_many_zeros_are_not_taken_for_the_other_width, "token_file"),
    {0},
};
