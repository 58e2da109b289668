#include "core/json_lines.h"
#include "core/memory.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST = 1 << 20 };

static Status read_all(uint8_t *text, size_t *length, const char *path, const char *ending, size_t step)
{
    InputStream input;
    JsonLines lines;
    Status s = input_open_text(&input, path);
    json_lines_begin(&lines, &input, "text", ending);
    *length = 0;
    for (size_t bytes = 1; !s && bytes > 0; *length += bytes) {
        ck_assert_uint_le(*length + step, LONGEST);
        s = json_lines_read(&lines, text + *length, step, &bytes);
        ck_assert_uint_le(bytes, step);
    }
    json_lines_end(&lines);
    input_close(&input);
    return s;
}

/* Reads a file 1, 2, ... bytes at a time. */
static void assert_documents(const char *file, size_t file_length, const char *ending, const char *expected,
                             size_t expected_length)
{
    static const size_t steps[] = {1, 2, 13, 5000};
    static uint8_t text[LONGEST];
    const char *path = temp_path("documents");
    write_file(path, file, file_length);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        size_t length;
        test_label("%.60s, %zu bytes at a time", file, steps[i]);
        assert_ok(read_all(text, &length, path, ending, steps[i]));
        ck_assert_uint_eq(length, expected_length);
        ck_assert(length == 0 || memcmp(text, expected, length) == 0);
    }
    test_label_end();
}

#define DOCUMENTS(file, ending, expected) \
    assert_documents(file, sizeof(file) - 1, ending, expected, sizeof(expected) - 1)

START_TEST(test_documents_follow_each_other_with_their_ending)
{
    DOCUMENTS("{\"text\": \"a b\"}\n{\"text\": \"c\"}\n", "<|x|>", "a b<|x|>c<|x|>");
    DOCUMENTS("{\"text\": \"a b\"}\n{\"text\": \"c\"}", "", "a bc");
    DOCUMENTS("{\"text\": \"\"}\n{\"text\": \"\"}\n", "|", "||");
    DOCUMENTS("", "|", "");
    DOCUMENTS("\n \t\n\r\n", "|", "");
    DOCUMENTS("\n{\"id\": 7, \"text\": \"a\"}\r\n\n \n  {\"text\":\"b\",\"more\":{\"text\":\"c\"}} \n", "|", "a|b|");
    DOCUMENTS("{\"text\": \"\\u00e9\\n\\ud83d\\ude00\\\"\\u0000.\xC3\xA9\"}", "|",
              "\xC3\xA9\n\xF0\x9F\x98\x80\"\0.\xC3\xA9|");
}
END_TEST

/* Lines of all lengths around those of the buffer, with a document that names its length. */
START_TEST(test_lines_of_any_length_are_read)
{
    static const size_t lengths[] = {0, 1, 65520, 65521, 65522, 65536, 70000, 200000, 3};
    static char file[LONGEST], expected[LONGEST];
    size_t bytes = 0, expected_bytes = 0;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        bytes += (size_t)sprintf(file + bytes, "{\"text\": \"");
        for (size_t k = 0; k < lengths[i]; k++)
            file[bytes++] = expected[expected_bytes++] = (char)('a' + (i + k) % 26);
        bytes += (size_t)sprintf(file + bytes, "\"}\n");
        expected[expected_bytes++] = '|';
    }
    assert_documents(file, bytes, "|", expected, expected_bytes);
}
END_TEST

START_TEST(test_a_line_that_is_no_document_is_named)
{
    static const struct {
        const char *file, *message;
    } cases[] = {
        {"{\"text\": \"a\"}\n{\"text\": 1}\n", ":2: \"text\" is a number, expected a text"},
        {"{\"text\": null}", ":1: \"text\" is null, expected a text"},
        {"{\"text\": [\"a\"]}", ":1: \"text\" is an array, expected a text"},
        {"{\"text\": {}}", ":1: \"text\" is an object, expected a text"},
        {"{\"text\": true}", ":1: \"text\" is true, expected a text"},
        {"{\"id\": 1, \"body\": \"a\"}", ":1: no field \"text\"; there are \"id\", \"body\""},
        {"\n\n{}", ":3: no field \"text\"; there is none"},
        {"{\"text\": \"a\"}\n{\"text\": \"a\n", ":2:11: premature end of input near '\"a'"},
        {"{\"text\": \"a\"} {\"text\": \"b\"}\n", ":1:15: end of file expected near '{'"},
        {"{\"text\": \"a\", \"text\": \"b\"}\n", ":1:20: duplicate object key near '\"text\"'"},
        {"{\"text\": \"\xff\"}\n", ":1:10: unable to decode byte 0xff near '\"'"},
        {"{\n\"text\": \"a\"\n}\n", ":1:1: string or '}' expected near end of file"},
        {"[{\"text\": \"a\"}]", ":1: begins with '[', expected an object in each line: {\"text\": \"...\"}"},
        {"Once upon a time", ":1: begins with 'O', expected an object in each line: {\"text\": \"...\"}"},
        {"{\"text\": \"a\"}\n\"b\"\n", ":2: begins with '\"', expected an object in each line: {\"text\": \"...\"}"},
        {"\xEF\xBB\xBF{\"text\": \"a\"}\n", ":1: begins with the byte order mark (BOM) of UTF-8, the bytes EF BB BF, "
                                            "expected JSON in UTF-8 without such a mark"},
    };
    static uint8_t text[LONGEST];
    const char *path = temp_path("bad");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t length;
        test_label("case %zu", i);
        write_file(path, cases[i].file, strlen(cases[i].file));
        assert_path_fails(read_all(text, &length, path, "|", 100), CS336_EFORMAT, path, cases[i].message);
    }
}
END_TEST

static Status attempt(void *path)
{
    static uint8_t text[LONGEST];
    size_t length;
    return read_all(text, &length, path, "|", 4096);
}

START_TEST(test_documents_survive_every_failed_allocation)
{
    char path[512];
    static char file[200000];
    size_t bytes = (size_t)sprintf(file, "{\"text\": \"a\"}\n{\"text\": \"");
    memset(file + bytes, 'a', sizeof file - bytes);
    memcpy(file + sizeof file - 3, "\"}\n", 3);
    snprintf(path, sizeof path, "%s", temp_path("documents"));
    write_file(path, file, sizeof file);
    assert_allocation_failures_say(attempt, path, "*documents: no memory for 65536 bytes",
                                   "*documents:1: no memory for a line of 0 bytes",
                                   "*documents:2: no memory for a line of *[0-9] bytes");
}
END_TEST

const TestCase json_lines_tests[] = {
    TEST(test_documents_follow_each_other_with_their_ending, "input_stream"),
    TEST(test_lines_of_any_length_are_read, "input_stream"),
    TEST(test_a_line_that_is_no_document_is_named, "input_stream"),
    TEST(test_documents_survive_every_failed_allocation, "input_stream"),
    {0},
};
