/* Texts that are compressed, and files that only look like text. tests/fixtures/compressed: make_compressed_fixtures.py
 */
#define _POSIX_C_SOURCE 200809L
#include "core/file.h"
#include "core/input_stream.h"
#include "core/memory.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FOLDER "tests/fixtures/compressed/"
enum { LONGEST = 1 << 16 };

static const char *no_zlib(void)
{
    return decompressor_exists(TEXT_GZIP) ? NULL : "built without zlib";
}

static const char *no_zstd(void)
{
    return decompressor_exists(TEXT_ZSTD) ? NULL : "built without libzstd";
}

/* Reads a text, `step` bytes at a time. */
static Status read_all(uint8_t *text, size_t *length, const char *path, size_t step)
{
    InputStream input;
    Status s = input_open_text(&input, path);
    *length = 0;
    for (size_t bytes = 1; !s && bytes > 0; *length += bytes) {
        ck_assert_uint_le(*length + step, LONGEST);
        s = input_read(&input, text + *length, step, &bytes);
        ck_assert_uint_le(bytes, step);
    }
    input_close(&input);
    return s;
}

static void assert_reads(const char *path, const char *expected_path)
{
    static const size_t steps[] = {1, 7, 4096};
    static uint8_t text[LONGEST];
    LoadedFile expected;
    assert_ok(file_load(&expected, expected_path));
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        size_t length;
        test_label("%s, %zu bytes at a time", path, steps[i]);
        assert_ok(read_all(text, &length, path, steps[i]));
        ck_assert_uint_eq(length, expected.size);
        ck_assert(length == 0 || memcmp(text, expected.data, length) == 0);
    }
    test_label_end();
    file_unload(&expected);
}

START_TEST(test_gzip_is_read_as_its_text)
{
    const char *empty = temp_path("empty");
    write_file(empty, "", 0);
    assert_reads(FOLDER "one.gz", FOLDER "text.txt");
    assert_reads(FOLDER "two.gz", FOLDER "text.txt");
    assert_reads(FOLDER "padded.gz", FOLDER "text.txt");
    assert_reads(FOLDER "named.gz", FOLDER "text.txt");
    assert_reads(FOLDER "empty.gz", empty);
}
END_TEST

START_TEST(test_zstd_is_read_as_its_text)
{
    const char *empty = temp_path("empty");
    write_file(empty, "", 0);
    assert_reads(FOLDER "one.zst", FOLDER "text.txt");
    assert_reads(FOLDER "two.zst", FOLDER "text.txt");
    assert_reads(FOLDER "skipped.zst", FOLDER "text.txt");
    assert_reads(FOLDER "empty.zst", empty);
}
END_TEST

START_TEST(test_plain_text_is_read_as_it_is)
{
    static const char *const texts[] = {"", "a", "BZh is no bzip2", "PAR1 is no table", "(\xB5/", "PK", "ustar"};
    const char *path = temp_path("text");
    assert_reads(FOLDER "text.txt", FOLDER "text.txt");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_file(path, texts[i], strlen(texts[i]));
        assert_reads(path, path);
    }
}
END_TEST

START_TEST(test_bytes_are_not_decompressed)
{
    static uint8_t bytes[LONGEST];
    LoadedFile file;
    InputStream input;
    size_t length;
    assert_ok(file_load(&file, FOLDER "one.gz"));
    assert_ok(input_open(&input, FOLDER "one.gz"));
    ck_assert_uint_eq(input.size, file.size);
    assert_ok(input_read(&input, bytes, sizeof bytes, &length));
    ck_assert_uint_eq(length, file.size);
    ck_assert_mem_eq(bytes, file.data, length);
    assert_ok(input_read(&input, bytes, sizeof bytes, &length));
    ck_assert_uint_eq(length, 0);
    input_close(&input);
    file_unload(&file);
}
END_TEST

/* ---- a pipe whose writer does nothing ---- */

static void *set_later(void *flag)
{
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    atomic_store((atomic_int *)flag, 1);
    return NULL;
}

/* No signal interrupts the read: in a program with threads, the kernel may deliver it to another one. */
START_TEST(test_a_flag_ends_a_read_that_waits)
{
    static atomic_int flag;
    const char *path = temp_path("pipe");
    uint8_t bytes[64];
    size_t length;
    InputStream input;
    pthread_t thread;
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    const int writer = open(path, O_RDWR);
    ck_assert_int_ge(writer, 0);
    ck_assert_int_eq(write(writer, "abcdef", 6), 6);
    input_stop_on(&flag);
    assert_ok(input_open(&input, path));
    assert_ok(input_read(&input, bytes, 3, &length));
    ck_assert_uint_eq(length, 3);
    ck_assert_int_eq(pthread_create(&thread, NULL, set_later, &flag), 0);
    assert_fails(input_read(&input, bytes, sizeof bytes, &length), CS336_EINTERRUPTED, "interrupted");
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    input_close(&input);
    input_stop_on(NULL);
    close(writer);
}
END_TEST

/* ---- damage ---- */

/*
 * Cuts a file everywhere. A cut at `border`, the end of its first member or frame, leaves a whole file with the text
 * of first.txt.
 */
static void assert_cuts_are_noticed(const char *path, size_t magic, size_t border)
{
    static uint8_t text[LONGEST];
    LoadedFile whole, first;
    const char *cut = temp_path("cut");
    char message[64];
    snprintf(message, sizeof message, "%s: is truncated: its ", cut);
    assert_ok(file_load(&whole, path));
    assert_ok(file_load(&first, FOLDER "first.txt"));
    for (size_t bytes = magic; bytes < whole.size; bytes++) {
        size_t length;
        test_label("%s cut after %zu bytes", path, bytes);
        write_file(cut, whole.data, bytes);
        const Status s = read_all(text, &length, cut, 4096);
        if (bytes == border) {
            assert_ok(s);
            ck_assert_uint_eq(length, first.size);
            ck_assert_mem_eq(text, first.data, length);
            continue;
        }
        ck_assert_int_eq(s, CS336_EFORMAT);
        ck_assert_msg(strncmp(status_message(), message, strlen(message)) == 0, "%s", status_message());
    }
    test_label_end();
    file_unload(&first);
    file_unload(&whole);
}

/* Returns where the second of two equal beginnings stands in a file. */
static size_t second_start(const char *path, const char *magic, size_t length)
{
    LoadedFile file;
    assert_ok(file_load(&file, path));
    size_t i = 1;
    while (i + length <= file.size && memcmp(file.data + i, magic, length) != 0)
        i++;
    ck_assert_uint_lt(i, file.size - length);
    file_unload(&file);
    return i;
}

/* Changes each byte in turn. Either that is noticed, or the byte does not matter, as that of a time. */
static void assert_damage_is_noticed(const char *path, size_t magic, size_t least_noticed)
{
    static uint8_t text[LONGEST];
    LoadedFile whole, expected;
    const char *bad = temp_path("bad");
    size_t noticed = 0;
    assert_ok(file_load(&whole, path));
    assert_ok(file_load(&expected, FOLDER "text.txt"));
    for (size_t i = magic; i < whole.size; i++) {
        size_t length;
        test_label("%s, byte %zu", path, i);
        whole.data[i] ^= 0x41;
        write_file(bad, whole.data, whole.size);
        whole.data[i] ^= 0x41;
        const Status s = read_all(text, &length, bad, 4096);
        noticed += s != CS336_OK;
        if (s) {
            ck_assert_int_eq(s, CS336_EFORMAT);
            ck_assert_msg(strncmp(status_message(), bad, strlen(bad)) == 0, "%s", status_message());
        } else {
            ck_assert_uint_eq(length, expected.size);
            ck_assert_mem_eq(text, expected.data, length);
        }
    }
    test_label_end();
    ck_assert_uint_ge(noticed + least_noticed, whole.size - magic);
    file_unload(&expected);
    file_unload(&whole);
}

START_TEST(test_damaged_gzip_is_refused)
{
    const size_t border = second_start(FOLDER "two.gz", "\x1F\x8B\x08", 3);
    assert_cuts_are_noticed(FOLDER "two.gz", 2, border);
    assert_cuts_are_noticed(FOLDER "named.gz", 2, 0);
    assert_damage_is_noticed(FOLDER "one.gz", 2, 10); /* time, flags and system of the header do not matter */
    assert_fails(status_fail(CS336_EFORMAT, "%s", "clear"), CS336_EFORMAT, "clear");
    LoadedFile file;
    static uint8_t text[LONGEST];
    size_t length;
    const char *path = temp_path("behind");
    assert_ok(file_load(&file, FOLDER "one.gz"));
    memcpy(text, file.data, file.size);
    memcpy(text + file.size, "text", 4);
    write_file(path, text, file.size + 4);
    assert_path_fails(read_all(text, &length, path, 4096), CS336_EFORMAT, path,
                      ": is damaged: after 1241 bytes of text, gzip: incorrect header check");
    file_unload(&file);
}
END_TEST

START_TEST(test_damaged_zstd_is_refused)
{
    const size_t border = second_start(FOLDER "two.zst", "\x28\xB5\x2F\xFD", 4);
    assert_cuts_are_noticed(FOLDER "two.zst", 4, border);
    assert_damage_is_noticed(FOLDER "one.zst", 4, 3); /* the frame header has bits without a meaning */
    InputStream input;
    uint8_t byte;
    size_t length;
    assert_ok(input_open_text(&input, FOLDER "wide.zst"));
    assert_fails(input_read(&input, &byte, 1, &length), CS336_EFORMAT,
                 FOLDER "wide.zst: was compressed with a window of more than 128 MiB, which takes as much memory: zstd "
                        "-dc --long=31 " FOLDER "wide.zst | cs336 ... --input -");
    input_close(&input);
}
END_TEST

/* ---- what is no text ---- */

#define PIPE " | cs336 ... --input -"

START_TEST(test_other_formats_are_refused_with_the_pipe_to_use)
{
    static const struct {
        const char *path, *message;
    } cases[] = {
        {FOLDER "text.bz2", ": is compressed with bzip2, expected text: bzip2 -dc " FOLDER "text.bz2" PIPE},
        {FOLDER "text.xz", ": is compressed with xz, expected text: xz -dc " FOLDER "text.xz" PIPE},
        {FOLDER "text.zip", ": is a zip archive, expected text: unzip -p " FOLDER "text.zip" PIPE},
        {FOLDER "text.tar", ": is a tar archive, expected text: tar -xOf " FOLDER "text.tar" PIPE},
        {FOLDER "table.parquet",
         ": is a Parquet table, expected text: python3 -c \"import pandas; "
         "pandas.read_parquet('" FOLDER "table.parquet', columns=['text']).to_json('/dev/stdout', orient='records', "
         "lines=True)\"" PIPE " --text-field text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        InputStream input;
        FileReader file;
        assert_path_fails(input_open_text(&input, cases[i].path), CS336_EFORMAT, cases[i].path, cases[i].message);
        ck_assert_ptr_null(input.stream);
        assert_ok(file_open(&file, cases[i].path));
        assert_path_fails(text_form_check_plain(&file), CS336_EFORMAT, cases[i].path, cases[i].message);
        file_close(&file);
    }
    static const char *const beginnings[] = {"\x04\x22\x4D\x18 lz4", "7z\xBC\xAF\x27\x1C 7z", "BZh11AY&SY bzip2"};
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        ck_assert_int_eq(text_form((const uint8_t *)beginnings[i], strlen(beginnings[i])), TEXT_FOREIGN);
}
END_TEST

/* Only an empty file is judged by its name: no compressed file is empty. */
START_TEST(test_an_empty_file_with_the_name_of_a_compressed_one_is_refused)
{
    static const struct {
        const char *name, *message; /* NULL: an empty text */
    } cases[] = {
        {"zero.gz", ": is empty, expected data compressed with gzip, as its name says; a download may have failed"},
        {"a.jsonl.zst", ": is empty, expected data compressed with zstd, as its name says; a download may have failed"},
        {"zero.gz.txt", NULL},
        {"gz", NULL},
        {"zero", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = temp_path(cases[i].name);
        InputStream input;
        FileReader file;
        write_file(path, "", 0);
        assert_ok(file_open(&file, path));
        if (cases[i].message) {
            assert_path_fails(input_open_text(&input, path), CS336_EFORMAT, path, cases[i].message);
            assert_path_fails(text_form_check_plain(&file), CS336_EFORMAT, path, cases[i].message);
        } else {
            assert_ok(input_open_text(&input, path));
            assert_ok(text_form_check_plain(&file));
        }
        input_close(&input);
        file_close(&file);
    }
}
END_TEST

START_TEST(test_what_is_compressed_must_be_text)
{
    static const char *const paths[] = {FOLDER "twice.gz", FOLDER "archive.tar.gz"};
    static uint8_t text[LONGEST];
    for (size_t i = 0; i < 2; i++) {
        size_t length;
        assert_path_fails(read_all(text, &length, paths[i], 4096), CS336_EFORMAT, paths[i],
                          ": is compressed, and what is in it is no text either: unpack it first");
    }
}
END_TEST

START_TEST(test_functions_that_read_plain_text_refuse_the_rest)
{
    FileReader file;
    assert_ok(file_open(&file, FOLDER "one.gz"));
    assert_fails(text_form_check_plain(&file), CS336_EFORMAT,
                 FOLDER "one.gz: is compressed with gzip, expected text: gzip -dc " FOLDER "one.gz" PIPE);
    file_close(&file);
    assert_ok(file_open(&file, FOLDER "text.txt"));
    assert_ok(text_form_check_plain(&file));
    file_close(&file);
    ck_assert_str_eq(text_form_file("a.gz"), "a.gz");
    ck_assert_str_eq(text_form_file("../data/c4-01_of_2.json,v+1.gz"), "../data/c4-01_of_2.json,v+1.gz");
    ck_assert_str_eq(text_form_file(TEXT_STANDARD_INPUT), "FILE");
    /* A user copies the command of a message into a shell. */
    ck_assert_str_eq(text_form_file("a'b;$(id).gz"), "FILE");
    ck_assert_str_eq(text_form_file("a b.gz"), "FILE");
    ck_assert_str_eq(text_form_file("-rf"), "FILE");
}
END_TEST

/* Of the two libraries, a build may have none. Its messages are tested with ZLIB=0 ZSTD=0. */
START_TEST(test_a_build_without_a_library_says_which)
{
    InputStream input;
    const Status gzip = input_open_text(&input, FOLDER "one.gz");
    if (decompressor_exists(TEXT_GZIP))
        assert_ok(gzip);
    else
        assert_fails(gzip, CS336_EFORMAT,
                     FOLDER "one.gz: is compressed with gzip, and this build has no zlib: install zlib1g-dev and build "
                            "again, or: gzip -dc " FOLDER "one.gz" PIPE);
    input_close(&input);
    const Status zstd = input_open_text(&input, FOLDER "one.zst");
    if (decompressor_exists(TEXT_ZSTD))
        assert_ok(zstd);
    else
        assert_fails(zstd, CS336_EFORMAT,
                     FOLDER "one.zst: is compressed with zstd, and this build has no libzstd: install libzstd-dev and "
                            "build again, or: zstd -dc " FOLDER "one.zst" PIPE);
    input_close(&input);
}
END_TEST

static Status attempt(void *path)
{
    static uint8_t text[LONGEST];
    size_t length;
    return read_all(text, &length, path, 4096);
}

START_TEST(test_reading_survives_every_failed_allocation)
{
    static char gzip[] = FOLDER "two.gz", zstd[] = FOLDER "one.zst", plain[] = FOLDER "text.txt";
    assert_allocation_failures_say(attempt, plain, FOLDER "text.txt: no memory for 65536 bytes");
    if (decompressor_exists(TEXT_GZIP))
        assert_allocation_failures_say(attempt, gzip, FOLDER "two.gz: no memory for 65536 bytes",
                                       FOLDER "two.gz: no memory to decompress it");
    if (decompressor_exists(TEXT_ZSTD))
        assert_allocation_failures_say(attempt, zstd, FOLDER "one.zst: no memory for 65536 bytes",
                                       FOLDER "one.zst: no memory to decompress it");
}
END_TEST

START_TEST(test_a_missing_file_is_reported)
{
    InputStream input;
    assert_fails(input_open(&input, "tests/none"), CS336_EIO, "tests/none: cannot read: No such file or directory");
    assert_fails(input_open_text(&input, "tests/none"), CS336_EIO,
                 "tests/none: cannot read: No such file or directory");
    input_close(&input);
}
END_TEST

const TestCase input_stream_tests[] = {
    TEST_UNLESS(test_gzip_is_read_as_its_text, "input_stream", no_zlib),
    TEST_UNLESS(test_zstd_is_read_as_its_text, "input_stream", no_zstd),
    TEST(test_plain_text_is_read_as_it_is, "input_stream"),
    TEST(test_bytes_are_not_decompressed, "input_stream"),
    TEST(test_a_flag_ends_a_read_that_waits, "input_stream"),
    TEST_UNLESS(test_damaged_gzip_is_refused, "input_stream", no_zlib),
    TEST_UNLESS(test_damaged_zstd_is_refused, "input_stream", no_zstd),
    TEST(test_other_formats_are_refused_with_the_pipe_to_use, "input_stream"),
    TEST(test_an_empty_file_with_the_name_of_a_compressed_one_is_refused, "input_stream"),
    TEST_UNLESS(test_what_is_compressed_must_be_text, "input_stream", no_zlib),
    TEST(test_functions_that_read_plain_text_refuse_the_rest, "input_stream"),
    TEST(test_a_build_without_a_library_says_which, "input_stream"),
    TEST(test_reading_survives_every_failed_allocation, "input_stream"),
    TEST(test_a_missing_file_is_reported, "input_stream"),
    {0},
};
