#define _POSIX_C_SOURCE 200809L
#include "tokenizer/input_texts.h"

#include "core/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

const char *text_field_ending(const char *const *special_tokens, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(special_tokens[i], TOKENIZER_DOCUMENT_END) == 0)
            return TOKENIZER_DOCUMENT_END;
    return count ? special_tokens[0] : TOKENIZER_DOCUMENT_END;
}

bool text_is_named_json_lines(const char *path)
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

/*
 * Looks at a file: whether there is one, its size, and whether it can be read as text. Pipes and devices are looked at
 * when they are read.
 */
static Status look_at(InputText *text)
{
    struct stat info;
    if (strcmp(text->path, "-") == 0)
        return CS336_OK;
    const int wrong = stat(text->path, &info) != 0 ? errno : S_ISDIR(info.st_mode) ? EISDIR : 0;
    if (wrong)
        return status_fail(CS336_EIO, "%s: cannot read: %s", text->path, strerror(wrong));
    if (!S_ISREG(info.st_mode))
        return CS336_OK;
    InputStream input;
    const Status s = input_open_text(&input, text->path);
    text->size = input.size;
    text->is_plain = !text->field.name && input.form == TEXT_PLAIN;
    input_close(&input);
    return s;
}

Status input_texts_begin(InputTexts *texts, const char *const *paths, size_t count, TextField field)
{
    *texts = (InputTexts){.items = memory_allocate_zeroed(count, sizeof *texts->items)};
    if (!texts->items)
        return status_fail(CS336_ENOMEM, "no memory for %zu texts", count);
    Status s = CS336_OK;
    size_t standard_inputs = 0;
    bool total_known = true;
    for (size_t i = 0; !s && i < count; i++) {
        InputText *text = &texts->items[texts->count++];
        text->path = paths[i];
        text->field = field;
        text->stream = (TextStream){.read = read_text, .context = text};
        s = look_at(text);
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
