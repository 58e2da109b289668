#define _POSIX_C_SOURCE 200809L
#include "core/memory.h"
#include "data/batch.h"
#include "data/token_file.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define AS_TYPE ", as ids.astype(numpy.uint16) gives"
#define HOW_TO_MAKE "; cs336 encode --tokenizer FILE --input FILE --output FILE makes one"

static void assert_ids(const TokenFile *tokens, size_t start, size_t count, const int32_t *expected)
{
    int32_t ids[64];
    ck_assert_uint_le(count, 64);
    assert_ok(token_file_read(ids, tokens, start, count));
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(ids[i] == expected[i], "id at %zu: %d, expected %d", start + i, (int)ids[i], (int)expected[i]);
}

/* ---- files that can be read ---- */

START_TEST(test_token_width_follows_the_vocabulary)
{
    ck_assert_uint_eq(token_file_width(1), 2);
    ck_assert_uint_eq(token_file_width(65536), 2);
    ck_assert_uint_eq(token_file_width(65537), 4);
}
END_TEST

START_TEST(test_raw_files_are_little_endian)
{
    const char *path = temp_path("ids");
    TokenFile tokens;
    write_file(path, "\1\0\xff\xff\2\1\0\0", 8);
    assert_ok(token_file_open(&tokens, path, 65536));
    ck_assert_uint_eq(tokens.count, 4);
    assert_ids(&tokens, 0, 4, (int32_t[]){1, 65535, 258, 0});
    assert_ids(&tokens, 2, 2, (int32_t[]){258, 0});
    assert_ids(&tokens, 4, 0, NULL);
    token_file_close(&tokens);
    token_file_close(&tokens);
    assert_ok(token_file_open(&tokens, path, INT32_MAX));
    ck_assert_uint_eq(tokens.count, 2);
    ck_assert_uint_eq(tokens.width, 4);
    assert_ids(&tokens, 1, 1, (int32_t[]){258});
    token_file_close(&tokens);
}
END_TEST

START_TEST(test_npy_files_of_numpy_are_read)
{
    static const struct {
        const char *path;
        size_t width;
    } cases[] = {
        {"tests/fixtures/tokens/u2_v1.npy", 2}, {"tests/fixtures/tokens/u4_v1.npy", 4},
        {"tests/fixtures/tokens/u2_v2.npy", 2}, {"tests/fixtures/tokens/u4_v3.npy", 4},
        {"tests/fixtures/tokens/i4.npy", 4},
    };
    static const size_t vocabularies[] = {100, 100000};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t k = 0; k < 2; k++) {
            TokenFile tokens;
            test_label("%s, vocabulary %zu", cases[i].path, vocabularies[k]);
            assert_ok(token_file_open(&tokens, cases[i].path, vocabularies[k]));
            ck_assert_uint_eq(tokens.width, cases[i].width);
            ck_assert_uint_eq(tokens.count, 10);
            assert_ids(&tokens, 0, 10, (int32_t[]){0, 7, 14, 21, 28, 35, 42, 49, 56, 63});
            token_file_close(&tokens);
        }
}
END_TEST

START_TEST(test_ids_in_memory_are_read_alike)
{
    const int32_t ids[] = {3, 99999, 0};
    const TokenFile tokens = token_file_view(ids, 3, 100000);
    assert_ids(&tokens, 0, 3, ids);
    assert_ids(&tokens, 1, 2, ids + 1);
    const uint16_t narrow[] = {3, 65535, 0};
    const TokenFile view = token_file_view_numbers(narrow, 3, sizeof *narrow, 65536);
    ck_assert_ptr_eq(view.memory, narrow);
    assert_ids(&view, 0, 3, (int32_t[]){3, 65535, 0});
    const uint32_t wide[] = {3, 99999, 4294967295};
    const TokenFile wide_view = token_file_view_numbers(wide, 3, sizeof *wide, 100000);
    assert_ids(&wide_view, 0, 2, ids);
    int32_t read[3];
    assert_fails(token_file_read(read, &wide_view, 0, 3), CS336_ERANGE,
                 "token ids: id 4294967295 at position 2, expected below the vocabulary size 100000");
}
END_TEST

/* fineweb_train.bin of llm.c: 256 numbers, then uint16 ids of GPT-2's vocabulary. */
START_TEST(test_a_header_of_llmc_is_refused)
{
    static uint16_t numbers[1000] = {20240520 & 0xFFFF, 20240520 >> 16, 1, 0, 488, 0};
    char message[640];
    const char *path = temp_path("train.bin");
    TokenFile tokens;
    write_file(path, numbers, sizeof numbers);
    snprintf(message, sizeof message, ": begins with a header of llm.c, expected ids alone: tail -c +1025 %s >ids.bin",
             path);
    assert_path_fails(token_file_open(&tokens, path, 50257), CS336_EFORMAT, path, message);
}
END_TEST

/* nanoGPT's train.bin: uint16 ids of GPT-2's vocabulary, without a header and without a sidecar. */
START_TEST(test_a_memmap_of_numpy_is_a_raw_file)
{
    static uint16_t numbers[2000];
    const char *path = temp_path("train.bin");
    TokenFile tokens;
    for (size_t i = 0; i < 2000; i++)
        numbers[i] = (uint16_t)(i * 7919 % 50257);
    write_file(path, numbers, sizeof numbers);
    assert_ok(token_file_open(&tokens, path, 50257));
    ck_assert_uint_eq(tokens.count, 2000);
    assert_ids(&tokens, 1998, 2, (int32_t[]){1998 * 7919 % 50257, 1999 * 7919 % 50257});
    assert_ok(token_file_check_ids(&tokens));
    token_file_close(&tokens);
}
END_TEST

/* ---- files and ids that are rejected ---- */

START_TEST(test_a_file_that_is_missing_or_empty_names_the_command_that_makes_it)
{
    const char *missing = temp_path("missing"), *empty = temp_path("empty");
    TokenFile tokens;
    write_file(empty, "", 0);
    assert_path_fails(token_file_open(&tokens, missing, 300), CS336_EIO, missing,
                      ": cannot read: No such file or directory" HOW_TO_MAKE);
    assert_path_fails(token_file_open(&tokens, empty, 300), CS336_EFORMAT, empty, ": no token ids" HOW_TO_MAKE);
    assert_fails(token_file_open(&tokens, "tests/fixtures/tokens/none.npy", 300), CS336_EFORMAT,
                 "tests/fixtures/tokens/none.npy: no token ids" HOW_TO_MAKE);
    ck_assert_ptr_null(tokens.path);
    /* Only a caller that has a use for no ids accepts them. */
    assert_ok(token_file_open_any(&tokens, empty, 300));
    ck_assert_uint_eq(tokens.count, 0);
    token_file_close(&tokens);
    assert_ok(token_file_open_any(&tokens, "tests/fixtures/tokens/none.npy", 300));
    ck_assert_uint_eq(tokens.count, 0);
    token_file_close(&tokens);
}
END_TEST

START_TEST(test_a_raw_file_holds_a_whole_number_of_ids)
{
    const char *path = temp_path("ids");
    TokenFile tokens;
    write_file(path, "\1\0\2", 3);
    assert_path_fails(token_file_open(&tokens, path, 300), CS336_EFORMAT, path,
                      ": 3 bytes, expected a multiple of 2: ids are uint16 for a vocabulary of 300");
    write_file(path, "\1\0\0\0\2\0", 6);
    assert_path_fails(token_file_open(&tokens, path, 65537), CS336_EFORMAT, path,
                      ": 6 bytes, expected a multiple of 4: ids are uint32 for a vocabulary of 65537");
}
END_TEST

START_TEST(test_npy_files_of_other_kinds_are_rejected)
{
    static const struct {
        const char *path, *message;
    } cases[] = {
        {"tests/fixtures/tokens/i8.npy", ": .npy of dtype '<i8', expected '<u2', '<u4' or '<i4'" AS_TYPE},
        {"tests/fixtures/tokens/big_endian.npy", ": .npy of dtype '>u2', expected '<u2', '<u4' or '<i4'" AS_TYPE},
        {"tests/fixtures/tokens/two_dimensions.npy",
         ": .npy of shape (2, 5), fortran_order False, expected one dimension in C order"},
        {"tests/fixtures/tokens/fortran.npy",
         ": .npy of shape (2, 5), fortran_order True, expected one dimension in C order"},
        {"tests/fixtures/tokens/scalar.npy",
         ": .npy of shape (), fortran_order False, expected one dimension in C order"},
    };
    const size_t before = memory_in_use();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        TokenFile tokens;
        test_label("%s", cases[i].path);
        assert_path_fails(token_file_open(&tokens, cases[i].path, 300), CS336_EFORMAT, cases[i].path, cases[i].message);
        ck_assert_uint_eq(memory_in_use(), before);
    }
}
END_TEST

/* Writes an .npy file with this header and id_bytes zero bytes of ids. */
static void write_npy(const char *path, int version, const char *header, size_t length, size_t id_bytes)
{
    uint8_t bytes[512] = "\x93NUMPY";
    bytes[6] = (uint8_t)version;
    const size_t header_start = version == 1 ? 10 : 12;
    bytes[8] = (uint8_t)length;
    bytes[9] = (uint8_t)(length >> 8);
    memcpy(bytes + header_start, header, strlen(header));
    write_file(path, bytes, header_start + strlen(header) + id_bytes);
}

START_TEST(test_npy_headers_are_checked_against_the_file)
{
#define HEAD(shape) "{'descr': '<u2', 'fortran_order': False, 'shape': " shape ", }\n"
    static const struct {
        int version;
        const char *header;
        size_t length, id_bytes; /* length 0 stands for the header's own */
        const char *message;
    } cases[] = {
        {1, HEAD("(3,)"), 0, 5, ": the .npy header says 3 ids of 2 bytes, but 5 bytes follow it"},
        {1, HEAD("(3,)"), 0, 8, ": the .npy header says 3 ids of 2 bytes, but 8 bytes follow it"},
        {1, HEAD("(9223372036854775808,)"), 0, 0,
         ": the .npy header says 9223372036854775808 ids of 2 bytes, but 0 bytes follow it"},
        {1, HEAD("(99999999999999999999,)"), 0, 0,
         ": .npy of shape (99999999999999999999,), fortran_order False, expected one dimension in C order"},
        {1, HEAD("(-3,)"), 0, 0, ": .npy of shape (-3,), fortran_order False, expected one dimension in C order"},
        {1, HEAD("[3]"), 0, 0, ": .npy of shape [3], } , fortran_order False, expected one dimension in C order"},
        {1, HEAD("(3,)"), 99, 6, ": 74 bytes, the .npy header is cut short"},
        {2, HEAD("(3,)"), 65535, 6, ": 76 bytes, the .npy header is cut short"},
        {4, HEAD("(3,)"), 0, 6, ": .npy of version 4, expected 1, 2 or 3"},
        {1, "", 0, 0, ": .npy of dtype , expected '<u2', '<u4' or '<i4'" AS_TYPE},
        {1, "{'descr' '<u2'}", 0, 0, ": .npy of dtype , expected '<u2', '<u4' or '<i4'" AS_TYPE},
    };
#undef HEAD
    const char *path = temp_path("bad.npy");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        TokenFile tokens;
        test_label("header %zu", i);
        const size_t length = cases[i].length ? cases[i].length : strlen(cases[i].header);
        write_npy(path, cases[i].version, cases[i].header, length, cases[i].id_bytes);
        assert_path_fails(token_file_open(&tokens, path, 300), CS336_EFORMAT, path, cases[i].message);
    }
}
END_TEST

START_TEST(test_npy_cut_anywhere_is_rejected)
{
    LoadedFile whole;
    const char *path = temp_path("cut.npy");
    assert_ok(file_load(&whole, "tests/fixtures/tokens/u4_v3.npy"));
    for (size_t bytes = 6; bytes < whole.size; bytes++) {
        TokenFile tokens;
        test_label("cut after %zu bytes", bytes);
        write_file(path, whole.data, bytes);
        ck_assert_int_eq(token_file_open(&tokens, path, 300), CS336_EFORMAT);
    }
    file_unload(&whole);
}
END_TEST

START_TEST(test_an_id_beyond_the_vocabulary_is_named_with_its_position)
{
    const char *path = temp_path("ids");
    int32_t ids[4];
    TokenFile tokens;
    write_file(path, "\1\0\2\0\x2c\1\0\0", 8);
    assert_ok(token_file_open(&tokens, path, 300));
    assert_path_fails(token_file_read(ids, &tokens, 1, 3), CS336_ERANGE, path,
                      ": id 300 at position 2, expected below the vocabulary size 300");
    assert_ok(token_file_read(ids, &tokens, 0, 2));
    token_file_close(&tokens);
    const int32_t negative[] = {0, -1};
    const TokenFile view = token_file_view(negative, 2, SIZE_MAX);
    assert_fails(token_file_read(ids, &view, 0, 2), CS336_ERANGE,
                 "token ids: id 4294967295 at position 1, expected below the vocabulary size 18446744073709551615");
}
END_TEST

START_TEST(test_reading_stops_at_the_end_of_the_file)
{
    const int32_t ids[] = {1, 2, 3};
    int32_t out[4];
    const TokenFile tokens = token_file_view(ids, 3, 10);
    assert_fails(token_file_read(out, &tokens, 1, 3), CS336_ERANGE,
                 "token ids: cannot read 3 ids from position 1 on, there are 3 ids");
    assert_fails(token_file_read(out, &tokens, 4, 0), CS336_ERANGE,
                 "token ids: cannot read 0 ids from position 4 on, there are 3 ids");
    assert_fails(token_file_read(out, &tokens, 2, SIZE_MAX), CS336_ERANGE,
                 "token ids: cannot read 18446744073709551615 ids from position 2 on, there are 3 ids");
}
END_TEST

START_TEST(test_a_file_that_is_cut_while_it_is_open_is_reported)
{
    static uint16_t numbers[10000];
    const char *path = temp_path("ids");
    int32_t ids[100];
    TokenFile tokens;
    write_file(path, numbers, sizeof numbers);
    assert_ok(token_file_open(&tokens, path, 300));
    assert_ok(token_file_check_ids(&tokens));
    assert_ok(token_file_read(ids, &tokens, 9900, 100));
    ck_assert_int_eq(truncate(path, 1001), 0);
    assert_ok(token_file_read(ids, &tokens, 400, 100));
    assert_path_fails(token_file_read(ids, &tokens, 9900, 100), CS336_EIO, path,
                      ": cannot read: expected 20000 bytes, there are 1001; another process has cut the file");
    assert_path_fails(token_file_check_ids(&tokens), CS336_EIO, path,
                      ": cannot read: expected 20000 bytes, there are 1001; another process has cut the file");
    token_file_close(&tokens);
}
END_TEST

/* An id in each of several chunks, so that the position counts from the beginning of the file. */
START_TEST(test_all_ids_of_a_file_are_checked)
{
    static uint16_t numbers[10000];
    static const size_t positions[] = {0, 1, 4095, 4096, 9999};
    const char *path = temp_path("ids");
    for (size_t i = 0; i < sizeof positions / sizeof *positions; i++) {
        char message[128];
        TokenFile tokens;
        numbers[positions[i]] = 300;
        write_file(path, numbers, sizeof numbers);
        numbers[positions[i]] = 0;
        snprintf(message, sizeof message, ": id 300 at position %zu, expected below the vocabulary size 300",
                 positions[i]);
        assert_ok(token_file_open(&tokens, path, 300));
        assert_path_fails(token_file_check_ids(&tokens), CS336_ERANGE, path, message);
        token_file_close(&tokens);
    }
}
END_TEST

static Status open_and_close(void *path)
{
    TokenFile tokens;
    const Status s = token_file_open(&tokens, path, 300);
    token_file_close(&tokens);
    return s;
}

START_TEST(test_opening_without_memory_leaks_nothing)
{
    static char path[] = "tests/fixtures/tokens/u2_v1.npy";
    memory_fail_at(1);
    assert_fails(open_and_close(path), CS336_ENOMEM,
                 "token_file_open: no memory for the path tests/fixtures/tokens/u2_v1.npy");
    assert_allocation_failures_say(open_and_close, path,
                                   "token_file_open: no memory for the path tests/fixtures/tokens/u2_v1.npy");
}
END_TEST

/* ---- writing ---- */

START_TEST(test_written_ids_are_read_back)
{
    enum { COUNT = 3000 };
    static const size_t vocabularies[] = {65536, 65537};
    static int32_t ids[COUNT], back[COUNT];
    const char *path = temp_path("ids");
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < COUNT; i++)
            ids[i] = (int32_t)(i * 7919 % vocabularies[k]);
        test_label("vocabulary %zu", vocabularies[k]);
        ids[COUNT - 1] = (int32_t)vocabularies[k] - 1;
        FileWriter writer;
        TokenFile tokens;
        assert_ok(file_create(&writer, path));
        assert_ok(token_file_write(&writer, ids, 1000, vocabularies[k]));
        assert_ok(token_file_write(&writer, ids + 1000, COUNT - 1000, vocabularies[k]));
        assert_ok(file_commit(&writer));
        assert_ok(token_file_open(&tokens, path, vocabularies[k]));
        ck_assert_uint_eq(tokens.file.size, COUNT * (k ? 4 : 2));
        assert_ok(token_file_read(back, &tokens, 0, COUNT));
        ck_assert_mem_eq(back, ids, sizeof ids);
        token_file_close(&tokens);
    }
}
END_TEST

START_TEST(test_ids_that_cannot_be_read_back_are_not_written)
{
    FileWriter writer;
    const char *path = temp_path("ids");
    assert_ok(file_create(&writer, path));
    assert_path_fails(token_file_write(&writer, (int32_t[]){1, 300}, 2, 300), CS336_ERANGE, path,
                      ": cannot write id 300, expected below the vocabulary size 300");
    assert_path_fails(token_file_write(&writer, (int32_t[]){-5}, 1, 300), CS336_ERANGE, path,
                      ": cannot write id -5, expected below the vocabulary size 300");
    file_fail_at(1);
    assert_path_fails(token_file_write(&writer, (int32_t[]){1}, 1, 300), CS336_EIO, path,
                      ": cannot write: No space left on device");
    file_abandon(&writer);
}
END_TEST

/* ---- batches ---- */

START_TEST(test_batch_takes_its_starts_from_the_generator)
{
    enum { TOKENS = 50, BATCH = 6, CONTEXT = 4 };
    int32_t ids[TOKENS], x[BATCH * CONTEXT], y[BATCH * CONTEXT];
    for (int i = 0; i < TOKENS; i++)
        ids[i] = (i * i + 3) % 97;
    const TokenFile tokens = token_file_view(ids, TOKENS, 97);
    Rng rng = rng_stream(9, 1), same = rng;
    for (int step = 0; step < 20; step++) {
        assert_ok(get_batch(x, y, &tokens, BATCH, CONTEXT, "cpu", &rng));
        for (size_t row = 0; row < BATCH; row++) {
            const size_t start = (size_t)rng_below(&same, TOKENS - CONTEXT);
            test_label("step %d, row %zu", step, row);
            ck_assert_mem_eq(x + row * CONTEXT, ids + start, CONTEXT * sizeof *ids);
            ck_assert_mem_eq(y + row * CONTEXT, ids + start + 1, CONTEXT * sizeof *ids);
        }
    }
    test_label_end();
    ck_assert_uint_eq(rng.counter, same.counter);
}
END_TEST

START_TEST(test_batch_of_the_smallest_file)
{
    const int32_t ids[] = {4, 5, 6};
    int32_t x[4], y[4];
    TokenFile tokens = token_file_view(ids, 3, 10);
    Rng rng = rng_seeded(1);
    assert_ok(get_batch(x, y, &tokens, 2, 2, "cpu", &rng));
    ck_assert(x[0] == 4 && x[1] == 5 && x[2] == 4 && x[3] == 5);
    ck_assert(y[0] == 5 && y[1] == 6 && y[2] == 5 && y[3] == 6);
    assert_fails(get_batch(x, y, &tokens, 2, 3, "cpu", &rng), CS336_ERANGE,
                 "token ids: 3 token ids, expected more than the context length 3");
    assert_ok(token_file_check_context(&tokens, 2));
    const char *path = temp_path("ids");
    write_file(path, "\4\0\5\0\6\0", 6);
    assert_ok(token_file_open(&tokens, path, 10));
    assert_path_fails(token_file_check_context(&tokens, 256), CS336_ERANGE, path,
                      ": 3 token ids, expected more than the context length 256");
    token_file_close(&tokens);
}
END_TEST

START_TEST(test_batch_rejects_other_devices_and_bad_ids)
{
    const int32_t ids[] = {4, 5, 60};
    int32_t x[2], y[2];
    const TokenFile tokens = token_file_view(ids, 3, 10);
    Rng rng = rng_seeded(1);
    assert_fails(get_batch(x, y, &tokens, 1, 2, "cuda:99", &rng), CS336_ERANGE,
                 "get_batch: device \"cuda:99\" does not exist, expected \"cpu\"");
    ck_assert_uint_eq(rng.counter, 0);
    assert_fails(get_batch(x, y, &tokens, 1, 2, "cpu", &rng), CS336_ERANGE,
                 "token ids: id 60 at position 2, expected below the vocabulary size 10");
}
END_TEST

const TestCase token_file_tests[] = {
    TEST(test_token_width_follows_the_vocabulary, "token_file"),
    TEST(test_raw_files_are_little_endian, "token_file"),
    TEST(test_npy_files_of_numpy_are_read, "token_file"),
    TEST(test_ids_in_memory_are_read_alike, "token_file"),
    TEST(test_a_memmap_of_numpy_is_a_raw_file, "token_file"),
    TEST(test_a_header_of_llmc_is_refused, "token_file"),
    TEST(test_a_file_that_is_missing_or_empty_names_the_command_that_makes_it, "token_file"),
    TEST(test_a_raw_file_holds_a_whole_number_of_ids, "token_file"),
    TEST(test_npy_files_of_other_kinds_are_rejected, "token_file"),
    TEST(test_npy_headers_are_checked_against_the_file, "token_file"),
    TEST(test_npy_cut_anywhere_is_rejected, "token_file"),
    TEST(test_an_id_beyond_the_vocabulary_is_named_with_its_position, "token_file"),
    TEST(test_reading_stops_at_the_end_of_the_file, "token_file"),
    TEST(test_a_file_that_is_cut_while_it_is_open_is_reported, "token_file"),
    TEST(test_all_ids_of_a_file_are_checked, "token_file"),
    TEST(test_opening_without_memory_leaks_nothing, "token_file"),
    TEST(test_written_ids_are_read_back, "token_file"),
    TEST(test_ids_that_cannot_be_read_back_are_not_written, "token_file"),
    TEST(test_batch_takes_its_starts_from_the_generator, "data_loading"),
    TEST(test_batch_of_the_smallest_file, "data_loading"),
    TEST(test_batch_rejects_other_devices_and_bad_ids, "data_loading"),
    {0},
};
