/*
 * JSON Lines: the first byte says how much is read at a time, the rest is the file. The documents are those that
 * jansson finds in each line, with the ending after each; or the file is refused, if a line is no object with a text.
 */
#include "core/json_lines.h"
#include "core/memory.h"
#include "tests/fuzz/fuzz.h"

#include <stdbool.h>
#include <string.h>

static bool is_white(const uint8_t *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            return false;
    return true;
}

/* Appends the document of a line. False if it has none. */
static bool add_document(ByteList *text, const uint8_t *line, size_t length)
{
    json_t *object = json_loadb((const char *)line, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    const json_t *value = json_object_get(object, "text");
    const bool found = json_is_string(value);
    if (found) {
        fuzz_append(text, (ByteString){(const uint8_t *)json_string_value(value), json_string_length(value)});
        fuzz_append_text(text, "|");
    }
    json_decref(object);
    return found;
}

/* Makes the text that is expected. False if the file is to be refused. */
static bool plain_documents(ByteList *text, ByteString file)
{
    for (size_t begin = 0; begin < file.length;) {
        const uint8_t *line = file.bytes + begin, *feed = memchr(line, '\n', file.length - begin);
        const size_t length = feed ? (size_t)(feed - line) : file.length - begin;
        if (!is_white(line, length) && !add_document(text, line, length))
            return false;
        begin += length + 1;
    }
    return true;
}

static Status read_documents(ByteList *text, const char *path, size_t step)
{
    uint8_t bytes[256];
    InputStream input;
    JsonLines lines;
    Status s = input_open_text(&input, path);
    json_lines_begin(&lines, &input, "text", "|");
    for (size_t length = 1; !s && length > 0;) {
        s = json_lines_read(&lines, bytes, step, &length);
        if (!s)
            fuzz_append(text, (ByteString){bytes, length});
    }
    json_lines_end(&lines);
    input_close(&input);
    return s;
}

void fuzz_json_lines(const uint8_t *data, size_t size)
{
    const size_t before = memory_in_use();
    FuzzInput input = {data, data + size};
    const size_t step = 1 + fuzz_byte(&input);
    const ByteString file = fuzz_rest(&input);
    ByteList text = {0}, expected = {0};
    if (text_form(file.bytes, file.length) != TEXT_PLAIN) /* the target input_stream looks at these */
        return;
    const bool fine = plain_documents(&expected, file);
    const Status s = read_documents(&text, fuzz_file("documents", file), step);
    FUZZ_CHECK(!s == fine, "status %d, expected %s", (int)s, fine ? "success" : "failure");
    if (s)
        fuzz_check_failure(s);
    else
        FUZZ_CHECK(byte_string_equal(byte_list_view(&text), byte_list_view(&expected)), "other documents");
    byte_list_deinit(&text);
    byte_list_deinit(&expected);
    FUZZ_CHECK(memory_in_use() == before, "memory is left over");
}
