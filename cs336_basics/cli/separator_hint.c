#include "cli/separator_hint.h"

#include <stdio.h>
#include <string.h>

enum {
    READ_BYTES = 1 << 16,    /* bytes of a file that are searched at a time */
    SEARCHED_BYTES = 1 << 20 /* bytes of each text in which the separator is looked for */
};

/* Prints the hint if the bytes hold the separator, and then stops looking for it. */
static void look(SeparatorHint *hint, const uint8_t *bytes, size_t length)
{
    const size_t wanted = hint->separator ? strlen(hint->separator) : length + 1;
    for (size_t i = 0; i + wanted <= length; i++) {
        const uint8_t *found = memchr(bytes + i, *hint->separator, length - wanted + 1 - i);
        if (!found)
            return;
        i = (size_t)(found - bytes);
        if (memcmp(found, hint->separator, wanted) != 0)
            continue;
        fprintf(stderr, "cs336 %s: the text has %s, which %s, give --special-token '%s'\n", hint->command,
                hint->separator, hint->consequence, hint->separator);
        hint->separator = NULL;
        return;
    }
}

void separator_hint_file(SeparatorHint *hint, const char *path)
{
    uint8_t text[READ_BYTES];
    FILE *stream = hint->separator ? fopen(path, "rb") : NULL;
    for (size_t done = 0, length = 1; stream && length > 0 && done < SEARCHED_BYTES; done += length) {
        length = fread(text, 1, sizeof text, stream);
        look(hint, text, length);
    }
    if (stream)
        fclose(stream);
}

Status separator_hint_read(void *stream, uint8_t *bytes, size_t capacity, size_t *length)
{
    SearchedStream *searched = stream;
    const Status s = searched->inner.read(searched->inner.context, bytes, capacity, length);
    if (!s && searched->searched < SEARCHED_BYTES) {
        const size_t left = SEARCHED_BYTES - searched->searched, looked_at = *length < left ? *length : left;
        look(searched->hint, bytes, looked_at);
        searched->searched += looked_at;
    }
    return s;
}
