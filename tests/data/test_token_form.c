/* Files that hold no token ids: compressed ids and texts. tests/fixtures/compressed: make_compressed_fixtures.py */
#include "core/decompress.h"
#include "core/file.h"
#include "data/token_file.h"
#include "data/token_form.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"

#include <stdio.h>
#include <string.h>

#define FOLDER "tests/fixtures/compressed/"
enum { ANY_ID = 65536 /* a vocabulary of which any two bytes are an id */ };

static void assert_refused(const char *path, size_t vocab_size, const char *what, const char *command,
                           const char *output)
{
    char rest[1024];
    TokenFile tokens;
    test_label("%s, vocabulary %zu", path, vocab_size);
    snprintf(rest, sizeof rest, ": is %s, expected token ids: %s%s%s", what, command, path, output);
    assert_path_fails(token_file_open(&tokens, path, vocab_size), CS336_EFORMAT, path, rest);
    test_label_end();
}

static void assert_read(const char *path, size_t vocab_size, size_t count)
{
    TokenFile tokens;
    test_label("%s, vocabulary %zu", path, vocab_size);
    assert_ok(token_file_open(&tokens, path, vocab_size));
    ck_assert_uint_eq(tokens.count, count);
    token_file_close(&tokens);
    test_label_end();
}

/* Writes the first bytes of a fixture, an even number, under another name. */
static const char *renamed(const char *fixture, const char *name)
{
    LoadedFile file;
    const char *path = temp_path(name);
    assert_ok(file_load(&file, fixture));
    write_file(path, file.data, file.size - file.size % 4);
    file_unload(&file);
    return path;
}

START_TEST(test_compressed_ids_are_refused)
{
    static const size_t vocabularies[] = {300, ANY_ID, 100000};
    for (size_t i = 0; i < sizeof vocabularies / sizeof *vocabularies; i++) {
        const size_t v = vocabularies[i];
        assert_refused(renamed(FOLDER "one.gz", "ids.bin.gz"), v, "compressed with gzip", "gzip -dc ", " >ids.bin");
        assert_refused(renamed(FOLDER "one.zst", "ids.bin.zst"), v, "compressed with zstd", "zstd -dc ", " >ids.bin");
        assert_refused(renamed(FOLDER "text.bz2", "bz"), v, "compressed with bzip2", "bzip2 -dc ", " >ids.bin");
        assert_refused(renamed(FOLDER "text.xz", "xz"), v, "compressed with xz", "xz -dc ", " >ids.bin");
    }
}
END_TEST

/* The name of a file may say nothing; then its bytes are decompressed. */
START_TEST(test_compressed_ids_with_any_name_are_refused)
{
    if (decompressor_exists(TEXT_GZIP))
        assert_refused(renamed(FOLDER "one.gz", "a.bin"), ANY_ID, "compressed with gzip", "gzip -dc ", " >ids.bin");
    if (decompressor_exists(TEXT_ZSTD))
        assert_refused(renamed(FOLDER "one.zst", "b.bin"), ANY_ID, "compressed with zstd", "zstd -dc ", " >ids.bin");
    assert_refused(renamed(FOLDER "one.gz", "c.bin"), 300, "compressed with gzip", "gzip -dc ", " >ids.bin");
}
END_TEST

/* Ids that begin like a compressed file by chance are read: nothing else in the file is one. */
START_TEST(test_ids_that_begin_like_a_compressed_file_are_read)
{
    static const struct {
        const char *bytes;
        size_t count;
    } cases[] = {
        {"\x1F\x8B\x08\0\0\0\0\0\0\xFF", 10}, /* a whole header of gzip */
        {"\x1F\x8B\x08\0", 4},
        {"\x28\xB5\x2F\xFD", 4},
        {"\x50\x2A\x4D\x18", 4},
        {"\x04\x22\x4D\x18", 4},
        {"PK\3\4", 4},
    };
    uint8_t bytes[4096];
    const char *path = temp_path("chance.bin");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t length = cases[i].count; length <= sizeof bytes; length += length < 64 ? 2 : 1344) {
            /* Ids of up to 1000, from a generator of congruences. */
            for (uint32_t k = 0, x = (uint32_t)length; k < sizeof bytes; k += 2) {
                x = x * 1664525 + 1013904223;
                bytes[k] = (uint8_t)(x >> 24);
                bytes[k + 1] = (uint8_t)(x >> 16 & 3);
            }
            memcpy(bytes, cases[i].bytes, cases[i].count);
            write_file(path, bytes, length);
            assert_read(path, ANY_ID, length / 2);
        }
    /* The same bytes with a name that says what they are. */
    const char *archive = temp_path("ids.npz");
    write_file(archive, "PK\3\4\1\0\1\0", 8);
    assert_refused(archive, ANY_ID, "a zip archive", "unzip -p ", " >ids.bin");
}
END_TEST

START_TEST(test_a_sidecar_says_that_a_file_holds_ids)
{
    const char *path = renamed(FOLDER "one.gz", "named.gz");
    char sidecar[256], text[128];
    LoadedFile file;
    assert_ok(file_load(&file, path));
    const size_t count = file.size / 2;
    file_unload(&file);
    snprintf(sidecar, sizeof sidecar, "%s.json", path);
    snprintf(text, sizeof text, "{\"dtype\":\"uint16\",\"vocab_size\":65536,\"tokens\":%zu}", count);
    write_file(sidecar, text, strlen(text));
    assert_read(path, ANY_ID, count);
}
END_TEST

START_TEST(test_a_text_is_no_file_of_ids)
{
    static const char encode[] = "cs336 encode --tokenizer FILE --input ", output[] = " --output ids.bin";
    static const size_t vocabularies[] = {300, ANY_ID, 100000};
    const char *path = temp_path("corpus.txt");
    char text[1024];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "Once upon a time there was a \xC3\xA9t\xC3\xA9.\r\n"[i % 37];
    for (size_t i = 0; i < sizeof vocabularies / sizeof *vocabularies; i++)
        for (size_t length = 256; length <= sizeof text; length += 2) { /* also one that ends inside a character */
            write_file(path, text, length);
            assert_refused(path, vocabularies[i], "a text", encode, output);
        }
    /* A short one only if it cannot be ids. */
    write_file(path, text, 20);
    assert_refused(path, 300, "a text", encode, output);
    assert_read(path, ANY_ID, 10);
}
END_TEST

/* NumPy's usual type. Ids that have many zeros, or zeros in every second place, are read. */
START_TEST(test_int64_numbers_are_no_file_of_ids)
{
    static const size_t vocabularies[] = {300, ANY_ID, 100000};
    const char *path = temp_path("ids.bin");
    TokenFile tokens;
    int64_t numbers[64];
    uint32_t alternating[64], constant[64] = {0};
    for (int i = 0; i < 64; i++) {
        numbers[i] = i * 37 % 300;
        alternating[i] = i % 2 ? 0 : 5;
    }
    for (size_t i = 0; i < sizeof vocabularies / sizeof *vocabularies; i++) {
        write_file(path, numbers, sizeof numbers);
        assert_path_fails(token_file_open(&tokens, path, vocabularies[i]), CS336_EFORMAT, path,
                          ": holds int64 numbers (every second uint32 is 0), expected uint16 or uint32 ids, as "
                          "ids.astype(numpy.uint16) gives");
        write_file(path, numbers, 31 * sizeof *numbers); /* too short to be sure */
        assert_read(path, vocabularies[i], 31 * sizeof *numbers / token_file_width(vocabularies[i]));
        write_file(path, constant, sizeof constant);
        assert_read(path, vocabularies[i], sizeof constant / token_file_width(vocabularies[i]));
    }
    write_file(path, alternating, sizeof alternating);
    assert_read(path, 100000, sizeof alternating / sizeof *alternating);
}
END_TEST

/* What a text has, and each of these lacks: many kinds of bytes, UTF-8, no control characters. */
START_TEST(test_ids_whose_bytes_are_characters_are_read)
{
    uint8_t bytes[512];
    const char *path = temp_path("ids.bin");
    memset(bytes, 'A', sizeof bytes);
    write_file(path, bytes, sizeof bytes);
    assert_read(path, ANY_ID, 256);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(' ' + i % 64);
    bytes[100] = 1;
    write_file(path, bytes, sizeof bytes);
    assert_read(path, ANY_ID, 256);
    bytes[100] = 0xFF;
    write_file(path, bytes, sizeof bytes);
    assert_read(path, ANY_ID, 256);
    bytes[100] = ' ';
    write_file(path, bytes, sizeof bytes);
    TokenFile tokens;
    ck_assert_int_eq(token_file_open(&tokens, path, ANY_ID), CS336_EFORMAT);
}
END_TEST

static Status open_compressed(void *path)
{
    TokenFile tokens;
    const Status s = token_file_open(&tokens, path, ANY_ID);
    ck_assert_int_ne(s, CS336_OK);
    return s == CS336_EFORMAT ? CS336_OK : s; /* the end of the attempt: it is refused as it should be */
}

START_TEST(test_refusing_without_memory_leaks_nothing)
{
    assert_allocation_failures_are_clean(open_compressed, (void *)(uintptr_t)renamed(FOLDER "one.gz", "none.bin"));
}
END_TEST

static const char *no_zlib(void)
{
    return decompressor_exists(TEXT_GZIP) ? NULL : "built without zlib";
}

const TestCase token_form_tests[] = {
    TEST(test_compressed_ids_are_refused, "token_file"),
    TEST(test_compressed_ids_with_any_name_are_refused, "token_file"),
    TEST(test_ids_that_begin_like_a_compressed_file_are_read, "token_file"),
    TEST(test_a_sidecar_says_that_a_file_holds_ids, "token_file"),
    TEST(test_a_text_is_no_file_of_ids, "token_file"),
    TEST(test_int64_numbers_are_no_file_of_ids, "token_file"),
    TEST(test_ids_whose_bytes_are_characters_are_read, "token_file"),
    TEST_UNLESS(test_refusing_without_memory_leaks_nothing, "token_file", no_zlib),
    {0},
};
