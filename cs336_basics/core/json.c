#include "core/json.h"

#include "core/text_form.h"
#include "core/utf8.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* Parses a text. `lines` is true if a message shall name the line. */
static Status parse(json_t **value, const char *text, size_t bytes, const char *path, size_t flags, bool lines)
{
    json_error_t error;
    *value = NULL;
    const char *mark = utf8_byte_order_mark((const uint8_t *)text, bytes);
    if (mark)
        return status_fail(CS336_EFORMAT, "%s: begins with %s, expected JSON in UTF-8 without such a mark", path, mark);
    *value = json_loadb(text ? text : "", bytes, flags | JSON_REJECT_DUPLICATES, &error);
    if (*value)
        return CS336_OK;
    if (json_error_code(&error) == json_error_out_of_memory)
        return status_fail(CS336_ENOMEM, "%s: no memory to parse %zu bytes of JSON", path, bytes);
    const enum json_error_code code = json_error_code(&error);
    const bool zero = code == json_error_null_character || code == json_error_null_byte_in_key;
    const char *what = zero ? "a text has the character U+0000 (\\u0000), which is not read" : error.text;
    if (!lines)
        return status_fail(CS336_EFORMAT, "%s:%d: %s", path, error.column, what);
    return status_fail(CS336_EFORMAT, "%s:%d:%d: %s", path, error.line, error.column, what);
}

Status json_parse(json_t **value, const char *text, size_t bytes, const char *path)
{
    const Status s = parse(value, text, bytes, path, 0, true);
    if (s != CS336_EFORMAT || text_form((const uint8_t *)text, bytes) == TEXT_PLAIN)
        return s;
    return text_form_refuse_as((const uint8_t *)text, bytes, path, "JSON", "FILE.json");
}

Status json_parse_line(json_t **value, const char *text, size_t bytes, const char *path)
{
    return parse(value, text, bytes, path, JSON_ALLOW_NUL, false);
}

Status json_read(json_t **value, const char *path)
{
    LoadedFile file;
    *value = NULL;
    Status s = file_load(&file, path);
    if (!s)
        s = json_parse(value, (const char *)file.data, file.size, path);
    file_unload(&file);
    return s;
}

/* The context of write_text(). */
typedef struct {
    FileWriter *writer;
    Status status; /* of the first write that failed */
} Sink;

/* Called by jansson for each stretch of text. jansson may call again after a failure: write nothing more then. */
static int write_text(const char *text, size_t bytes, void *context)
{
    Sink *sink = context;
    if (!sink->status)
        sink->status = file_write(sink->writer, text, bytes);
    return sink->status ? -1 : 0;
}

Status json_write(FileWriter *writer, const json_t *value, size_t flags)
{
    Sink sink = {.writer = writer};
    const int failed = json_dump_callback(value, write_text, &sink, flags);
    if (sink.status)
        return sink.status;
    if (failed)
        return status_fail(CS336_ENOMEM, "%s: no memory to write JSON", writer->path);
    return CS336_OK;
}

Status json_write_file(const char *path, const json_t *value, size_t flags)
{
    FileWriter writer = {0};
    Status s = value ? CS336_OK : status_fail(CS336_ENOMEM, "%s: no memory for its contents", path);
    if (!s)
        s = file_create(&writer, path);
    if (!s)
        s = json_write(&writer, value, flags);
    if (!s)
        s = file_write(&writer, "\n", 1);
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    return s;
}

json_t *json_float(float number)
{
    char text[32] = "";
    for (int digits = 1; digits <= JSON_FLOAT_DIGITS; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)number);
        if ((float)strtod(text, NULL) == number)
            break;
    }
    return json_real(strtod(text, NULL));
}
