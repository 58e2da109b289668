/*
 * Text that may be compressed: the first byte says how much is read at a time, the rest is the file. Whatever the bytes
 * are, the text or the refusal does not depend on that, and plain text is the file itself.
 */
#include "core/input_stream.h"
#include "core/memory.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

enum { MOST_TEXT = 1 << 18 /* bytes of text that are looked at: a few bytes may be the zip of a terabyte */ };

static Status read_text(ByteList *text, TextForm *form, const char *path, size_t step)
{
    uint8_t bytes[4096];
    InputStream input;
    Status s = input_open_text(&input, path);
    *form = input.form;
    for (size_t length = 1; !s && length > 0 && text->length + step <= MOST_TEXT;) {
        s = input_read(&input, bytes, step, &length);
        if (!s)
            fuzz_append(text, (ByteString){bytes, length});
    }
    input_close(&input);
    return s;
}

void fuzz_input_stream(const uint8_t *data, size_t size)
{
    const size_t before = memory_in_use();
    FuzzInput input = {data, data + size};
    const size_t step = 1 + fuzz_byte(&input);
    const ByteString file = fuzz_rest(&input);
    const char *path = fuzz_file("text", file);
    ByteList text = {0}, whole = {0};
    TextForm form;
    const Status at_once = read_text(&whole, &form, path, 4096), in_steps = read_text(&text, &form, path, step);
    FUZZ_CHECK(form == text_form(file.bytes, file.length), "form %d", (int)form);
    if (at_once) {
        fuzz_check_failure(at_once);
        FUZZ_CHECK(at_once == CS336_EFORMAT, "status %d: %s", (int)at_once, status_message());
    }
    if (form == TEXT_PLAIN) {
        FUZZ_CHECK(!at_once && byte_string_equal(byte_list_view(&whole), file), "plain text is read otherwise");
    }
    /* The first bytes tell whether an archive is in a compressed file, and a small step has few of them. */
    if (!at_once && !in_steps && whole.length + 4096 <= MOST_TEXT && text.length + step <= MOST_TEXT)
        FUZZ_CHECK(byte_string_equal(byte_list_view(&text), byte_list_view(&whole)), "another text in steps of %zu",
                   step);
    byte_list_deinit(&text);
    byte_list_deinit(&whole);
    FUZZ_CHECK(memory_in_use() == before, "memory is left over");
}
