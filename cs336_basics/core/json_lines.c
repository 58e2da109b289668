#include "core/json_lines.h"

#include "core/directory.h"
#include "core/memory.h"
#include "core/utf8.h"

#include <stdio.h>
#include <string.h>

enum { READ_BYTES = 1 << 16 /* read of the input at a time: 64 KiB */ };

void json_lines_begin(JsonLines *lines, InputStream *input, const char *field, const char *ending)
{
    *lines = (JsonLines){.input = input, .field = field, .ending = ending};
}

void json_lines_end(JsonLines *lines)
{
    memory_release(lines->bytes);
    json_decref(lines->object);
    *lines = (JsonLines){0};
}

/* ---- lines ---- */

/* Moves what is left to the front of the buffer, and reads more behind it. *ended: there is no more. */
static Status read_more(JsonLines *lines, bool *ended)
{
    const size_t length = lines->end - lines->begin;
    if (lines->begin > 0 && length > 0)
        memmove(lines->bytes, lines->bytes + lines->begin, length);
    lines->begin = 0;
    lines->end = length;
    if (length > JSON_LINE_BYTES)
        return status_fail(CS336_EFORMAT, "%s:%zu: a line of more than %d bytes, expected one object in each line",
                           lines->input->path, lines->line + 1, JSON_LINE_BYTES);
    if (lines->capacity - length < READ_BYTES) {
        const size_t capacity = 2 * length + READ_BYTES;
        uint8_t *bytes = memory_resize(lines->bytes, capacity);
        if (!bytes)
            return status_fail(CS336_ENOMEM, "%s:%zu: no memory for a line of %zu bytes", lines->input->path,
                               lines->line + 1, length);
        lines->bytes = bytes;
        lines->capacity = capacity;
    }
    size_t taken;
    const Status s = input_read(lines->input, lines->bytes + length, lines->capacity - length, &taken);
    lines->end += taken;
    *ended = taken == 0;
    return s;
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r';
}

/*
 * Refuses a line that begins otherwise than with an object, before all of it is read: a JSON array may be the whole
 * file in one line.
 */
static Status check_start(const JsonLines *lines, const uint8_t *line, size_t length)
{
    size_t i = 0;
    while (i < length && is_blank(line[i]))
        i++;
    const char *mark = utf8_byte_order_mark(line, length);
    if (i == length || line[i] == '{' || mark)
        return CS336_OK;
    return status_fail(CS336_EFORMAT, "%s:%zu: begins with '%c', expected an object in each line: {\"%s\": \"...\"}",
                       lines->input->path, lines->line + 1, line[i], lines->field);
}

/* Finds the next line, without its line feed. *length is 0 and *line NULL at the end of the input. */
static Status next_line(JsonLines *lines, const uint8_t **line, size_t *length)
{
    size_t searched = 0;
    bool ended = false;
    *line = NULL;
    *length = 0;
    for (;;) {
        const uint8_t *begin = lines->bytes ? lines->bytes + lines->begin : NULL;
        const size_t left = lines->end - lines->begin;
        const uint8_t *feed = left > searched ? memchr(begin + searched, '\n', left - searched) : NULL;
        if (feed || (ended && left)) {
            *line = begin;
            *length = feed ? (size_t)(feed - begin) : left;
            lines->begin += *length + (feed != NULL);
            return check_start(lines, *line, *length);
        }
        if (ended)
            return CS336_OK;
        searched = left;
        Status s = left ? check_start(lines, begin, left) : CS336_OK;
        if (!s)
            s = read_more(lines, &ended);
        if (s)
            return s;
    }
}

/* ---- documents ---- */

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_INTEGER] = "a number", [JSON_REAL] = "a number",
        [JSON_TRUE] = "true",        [JSON_FALSE] = "false",    [JSON_NULL] = "null",
    };
    return names[json_typeof(value)];
}

static Status no_field(const JsonLines *lines, const char *path)
{
    char names[256] = "";
    size_t length = 0;
    const char *key;
    json_t *value;
    json_object_foreach(lines->object, key, value)
    {
        const int written = snprintf(names + length, sizeof names - length, "%s \"%s\"", length ? "," : "", key);
        if (written < 0 || (size_t)written >= sizeof names - length) {
            names[length] = '\0';
            break;
        }
        length += (size_t)written;
    }
    return status_fail(CS336_EFORMAT, "%s: no field \"%s\"; there %s%s", path, lines->field, *names ? "are" : "is none",
                       names);
}

/* Parses a line, and makes its document the next bytes of the text. */
static Status take_document(JsonLines *lines, const uint8_t *line, size_t length)
{
    char path[DIRECTORY_PATH_BYTES + 32];
    snprintf(path, sizeof path, "%s:%zu", lines->input->path, lines->line);
    json_decref(lines->object);
    lines->object = NULL;
    const Status s = json_parse_line(&lines->object, (const char *)line, length, path);
    if (s)
        return s;
    const json_t *value = json_object_get(lines->object, lines->field);
    if (!value)
        return no_field(lines, path);
    if (!json_is_string(value))
        return status_fail(CS336_EFORMAT, "%s: \"%s\" is %s, expected a text", path, lines->field, type_name(value));
    lines->rest = json_string_value(value);
    lines->rest_length = json_string_length(value);
    lines->then = lines->ending;
    return CS336_OK;
}

/* Makes the next document the next bytes of the text. *ended: there is none. */
static Status next_document(JsonLines *lines, bool *ended)
{
    const uint8_t *line;
    size_t length, blanks;
    do {
        const Status s = next_line(lines, &line, &length);
        if (s)
            return s;
        *ended = !line;
        lines->line += !*ended;
        blanks = 0;
        while (blanks < length && is_blank(line[blanks]))
            blanks++;
    } while (!*ended && blanks == length);
    return *ended ? CS336_OK : take_document(lines, line, length);
}

Status json_lines_read(JsonLines *lines, void *buffer, size_t capacity, size_t *bytes)
{
    uint8_t *next = buffer;
    bool ended = false;
    Status s = CS336_OK;
    *bytes = 0;
    while (!s && !ended && *bytes < capacity) {
        const size_t left = capacity - *bytes, length = lines->rest_length < left ? lines->rest_length : left;
        if (length)
            memcpy(next + *bytes, lines->rest, length);
        *bytes += length;
        lines->rest_length -= length;
        if (length) {
            lines->rest += length;
        } else if (lines->then) {
            lines->rest = lines->then;
            lines->rest_length = strlen(lines->then);
            lines->then = NULL;
        } else {
            s = next_document(lines, &ended);
        }
    }
    return s;
}
