#include "cli/shell_line.h"

#include <string.h>

static void add(ShellLine *line, const char *text, size_t count)
{
    line->too_long = line->too_long || count >= line->capacity - line->length;
    if (line->too_long)
        return;
    memcpy(line->text + line->length, text, count);
    line->length += count;
    line->text[line->length] = '\0';
}

void shell_line_begin(ShellLine *line, const char *words)
{
    line->length = 0;
    line->too_long = false;
    add(line, words, strlen(words));
}

/* Between single quotes sh takes every character as it is, but for the quote itself. */
void shell_line_add(ShellLine *line, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
    if (line->length)
        add(line, " ", 1);
    const size_t length = strlen(word);
    if (length && strspn(word, plain) == length) {
        add(line, word, length);
        return;
    }
    add(line, "'", 1);
    for (const char *rest = word; *rest;) {
        const size_t count = strcspn(rest, "'");
        add(line, rest, count);
        rest += count;
        if (*rest) {
            add(line, "'\\''", 4);
            rest++;
        }
    }
    add(line, "'", 1);
}
