#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "core/rng.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

START_TEST(test_json_errors_name_line_and_column)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", ":1:0: '[' or '{' expected near end of file"},
        {"{\n  \"a\": 1,\n  \"b\" 2\n}", ":3:7: ':' expected near '2'"},
        {"{\"a\": [1, 2}", ":1:12: ']' expected near '}'"},
        {"{\"a\": 1} x", ":1:10: end of file expected near 'x'"},
        {"{\"a\": 1, \"a\": 2}", ":1:12: duplicate object key near '\"a\"'"},
        {"{\"a\": \"b\\u0000\"}", ":1:15: a text has the character U+0000 (\\u0000), which is not read"},
        {"{\"a\\u0000\": 1}", ":1:10: a text has the character U+0000 (\\u0000), which is not read"},
        {"[\"\xff\"]", ":1:2: unable to decode byte 0xff near '\"'"},
    };
    const char *path = temp_path("bad.json");
    const size_t before = memory_in_use();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_label("case %zu, %s", i, cases[i].text);
        json_t *value;
        write_file(path, cases[i].text, strlen(cases[i].text));
        assert_path_fails(json_read(&value, path), CS336_EFORMAT, path, cases[i].message);
        ck_assert_ptr_null(value);
        ck_assert_uint_eq(memory_in_use(), before);
    }
    test_label_end();
    json_t *value;
    const char *missing = temp_path("missing.json");
    assert_path_fails(json_read(&value, missing), CS336_EIO, missing, ": cannot read: No such file or directory");
    ck_assert_ptr_null(value);
}
END_TEST

static const char LONG_JSON[] =
    "{\"a key of some length\": [123456789012345678, 2.5, true, null], \"\\u00e9\": \"text that "
    "is longer than the sixteen bytes of a small buffer\"}";

START_TEST(test_compressed_json_is_named)
{
    static const char gzip[] = "tests/fixtures/compressed/one.gz",
                      parquet[] = "tests/fixtures/compressed/table.parquet";
    char message[256];
    json_t *value;
    snprintf(message, sizeof message, ": is compressed with gzip, expected JSON: gzip -dc %s >FILE.json", gzip);
    assert_path_fails(json_read(&value, gzip), CS336_EFORMAT, gzip, message);
    assert_path_fails(json_read(&value, parquet), CS336_EFORMAT, parquet, ": is a Parquet table, expected JSON");
    ck_assert_ptr_null(value);
}
END_TEST

START_TEST(test_json_values_are_those_of_the_text)
{
    json_t *value;
    assert_ok(json_parse(&value, LONG_JSON, sizeof LONG_JSON - 1, "text"));
    const json_t *list = json_object_get(value, "a key of some length");
    ck_assert(json_integer_value(json_array_get(list, 0)) == 123456789012345678);
    ck_assert_str_eq(json_string_value(json_object_get(value, "é")),
                     "text that is longer than the sixteen bytes of a small buffer");
    json_decref(value);
}
END_TEST

/* jansson's allocator is shared by the whole process, so only the host program may replace it. */
START_TEST(test_the_library_leaves_jansson_as_it_is)
{
    json_malloc_t allocate;
    json_free_t release;
    const size_t before = memory_in_use();
    json_t *value;
    assert_ok(json_parse(&value, LONG_JSON, sizeof LONG_JSON - 1, "text"));
    ck_assert_uint_eq(memory_in_use(), before);
    json_decref(value);
    json_get_alloc_funcs(&allocate, &release);
    ck_assert(allocate == malloc && release == free);
}
END_TEST

static Status write_long_json(void *path)
{
    json_t *value;
    Status s = json_parse(&value, LONG_JSON, sizeof LONG_JSON - 1, "text");
    FileWriter writer = {0};
    if (!s)
        s = file_create(&writer, path);
    if (!s)
        s = json_write(&writer, value, JSON_COMPACT);
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    json_decref(value);
    return s;
}

START_TEST(test_json_is_written_in_the_order_of_its_keys)
{
    const char *directory = temp_directory("json"), *path = temp_path("json/file");
    static const char expected[] = "{\"a key of some length\":[123456789012345678,2.5,true,null],\"é\":\"text that is "
                                   "longer than the sixteen bytes of a small buffer\"}";
    assert_ok(write_long_json((void *)(uintptr_t)path));
    assert_file_holds(path, expected, sizeof expected - 1);
    assert_write_failures_are_clean(write_long_json, (void *)(uintptr_t)path, directory);
    assert_allocation_failures_say(write_long_json, (void *)(uintptr_t)path,
                                   "file_create: no memory for the path */json/file");
}
END_TEST

static Status write_long_json_file(void *path)
{
    json_t *value;
    Status s = json_parse(&value, LONG_JSON, sizeof LONG_JSON - 1, "text");
    if (!s)
        s = json_write_file(path, value, JSON_COMPACT);
    json_decref(value);
    return s;
}

START_TEST(test_a_json_file_ends_in_a_line_feed)
{
    const char *directory = temp_directory("json"), *path = temp_path("json/file");
    static const char expected[] = "{\"a key of some length\":[123456789012345678,2.5,true,null],\"é\":\"text that is "
                                   "longer than the sixteen bytes of a small buffer\"}\n";
    assert_ok(write_long_json_file((void *)(uintptr_t)path));
    assert_file_holds(path, expected, sizeof expected - 1);
    assert_write_failures_are_clean(write_long_json_file, (void *)(uintptr_t)path, directory);
    assert_path_fails(json_write_file(path, NULL, 0), CS336_ENOMEM, path, ": no memory for its contents");
    assert_file_holds(path, expected, sizeof expected - 1);
}
END_TEST

START_TEST(test_a_float_has_the_fewest_digits_that_identify_it)
{
    static const struct {
        float number;
        double shortest;
    } cases[] = {{0.1F, 0.1}, {1e-5F, 1e-5}, {10000, 10000}, {16777216, 16777216}, {-3.4028235e38F, -3.4028235e38},
                 {0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *value = json_float(cases[i].number);
        ck_assert_double_eq(json_real_value(value), cases[i].shortest);
        json_decref(value);
    }
    /* Any float32 comes back from its text to the bit. */
    Rng rng = rng_seeded(1);
    for (size_t i = 0; i < 10000; i++) {
        const uint32_t bits = (uint32_t)rng_bits(&rng);
        float number;
        char text[64];
        memcpy(&number, &bits, sizeof number);
        json_t *value = json_float(number);
        ck_assert_int_eq(value != NULL, isfinite(number));
        const size_t length =
            json_dumpb(value, text, sizeof text - 1, JSON_ENCODE_ANY | JSON_REAL_PRECISION(JSON_FLOAT_DIGITS));
        text[length] = '\0';
        if (value)
            ck_assert_msg(strtof(text, NULL) == number, "%a became %s", (double)number, text);
        json_decref(value);
    }
}
END_TEST

const TestCase json_tests[] = {
    TEST(test_a_float_has_the_fewest_digits_that_identify_it, "json"),
    TEST(test_json_errors_name_line_and_column, "json"),
    TEST(test_compressed_json_is_named, "json"),
    TEST(test_json_values_are_those_of_the_text, "json"),
    TEST(test_the_library_leaves_jansson_as_it_is, "json"),
    TEST(test_json_is_written_in_the_order_of_its_keys, "json"),
    TEST(test_a_json_file_ends_in_a_line_feed, "json"),
    {0},
};
