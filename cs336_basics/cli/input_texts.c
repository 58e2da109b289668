#define _POSIX_C_SOURCE 200809L
#include "cli/input_texts.h"

#include "cli/commands.h"
#include "cli/tokenizer_options.h"
#include "core/file.h"
#include "core/memory.h"
#include "core/printable.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const char *input_texts_ending(const TextList *special)
{
    for (size_t i = 0; i < special->count; i++)
        if (strcmp(special->items[i], TOKENIZER_DOCUMENT_END) == 0)
            return TOKENIZER_DOCUMENT_END;
    return special->count ? special->items[0] : TOKENIZER_DOCUMENT_END;
}

/* ---- reading ---- */

static Status open_text(InputText *text)
{
    const Status s = input_open_text(&text->input, text->path);
    text->opened = true;
    if (!s && text->field.name)
        json_lines_begin(&text->lines, &text->input, text->field.name, text->field.ending);
    return s;
}

static void close_text(InputText *text)
{
    json_lines_end(&text->lines);
    input_close(&text->input);
}

/* The TextRead of all streams. The file is closed at its end, so that few are open at the same time. */
static Status read_text(void *context, uint8_t *bytes, size_t capacity, size_t *length)
{
    InputText *text = context;
    Status s = text->opened ? CS336_OK : open_text(text);
    *length = 0;
    if (s || !text->input.stream)
        return s;
    s = text->field.name ? json_lines_read(&text->lines, bytes, capacity, length)
                         : input_read(&text->input, bytes, capacity, length);
    atomic_store_explicit(&text->taken, text->input.taken, memory_order_relaxed);
    if (s || *length == 0)
        close_text(text);
    return s;
}

/* ---- checking ---- */

/* True if the name of a file ends like that of JSON Lines, perhaps compressed. */
static bool is_named_json_lines(const char *path)
{
    static const char *const endings[] = {".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".ndjson.gz", ".ndjson.zst"};
    const size_t length = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const size_t ending = strlen(endings[i]);
        if (length > ending && strcmp(path + length - ending, endings[i]) == 0)
            return true;
    }
    return false;
}

/* Looks at a file: its size, and whether it can be read as text. Pipes and devices are looked at when they are read. */
static Status look_at(InputText *text)
{
    struct stat info;
    if (stat(text->path, &info) != 0 || !S_ISREG(info.st_mode))
        return CS336_OK;
    InputStream input;
    const Status s = input_open_text(&input, text->path);
    text->size = input.size;
    text->is_plain = !text->field.name && input.form == TEXT_PLAIN;
    input_close(&input);
    return s;
}

static Status check_text(InputText *text, const char *command)
{
    if (strcmp(text->path, "-") == 0)
        return CS336_OK;
    Status s = command_needs_readable(text->path, NULL);
    if (!s)
        s = look_at(text);
    if (!s && command && !text->field.name && is_named_json_lines(text->path))
        fprintf(stderr,
                "cs336 %s: note: %s is read as plain text, with the JSON around its documents; --text-field NAME reads "
                "the documents alone\n",
                command, printable(text->path).text);
    return s;
}

Status input_texts_begin(InputTexts *texts, const char *command, const TextList *paths, TextField field)
{
    *texts = (InputTexts){.items = memory_allocate_zeroed(paths->count, sizeof *texts->items)};
    if (!texts->items)
        return status_fail(CS336_ENOMEM, "no memory for %zu texts", paths->count);
    Status s = CS336_OK;
    size_t standard_inputs = 0;
    bool total_known = true;
    for (size_t i = 0; !s && i < paths->count; i++) {
        InputText *text = &texts->items[texts->count++];
        text->path = paths->items[i];
        text->field = field;
        text->stream = (TextStream){.read = read_text, .context = text};
        s = check_text(text, command);
        standard_inputs += strcmp(text->path, "-") == 0;
        texts->has_streams = texts->has_streams || !text->is_plain;
        texts->has_plain = texts->has_plain || text->is_plain;
        total_known = total_known && (text->size || text->is_plain);
        texts->total += text->size;
    }
    if (!s && standard_inputs > 1)
        s = status_fail(CS336_EIO, "standard input: can be read only once, given %zu times", standard_inputs);
    if (!total_known)
        texts->total = 0;
    if (s)
        input_texts_end(texts);
    return s;
}

size_t input_texts_taken(const InputTexts *texts)
{
    size_t taken = 0;
    for (size_t i = 0; i < texts->count; i++)
        taken += atomic_load_explicit(&texts->items[i].taken, memory_order_relaxed);
    return taken;
}

void input_texts_end(InputTexts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        close_text(&texts->items[i]);
    memory_release(texts->items);
    *texts = (InputTexts){0};
}
