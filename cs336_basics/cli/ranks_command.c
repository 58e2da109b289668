#define _POSIX_C_SOURCE 200809L
#include "cli/ranks_command.h"

#include "distributed/ranks.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *program_name = "cs336";

void ranks_command_begin(const char *program)
{
    program_name = program;
}

/* A line that is being written; when a byte does not fit, it is too long. */
typedef struct {
    char *text;
    size_t length, capacity;
    bool too_long;
} Line;

static void add(Line *line, const char *text, size_t count)
{
    line->too_long = line->too_long || count >= line->capacity - line->length;
    if (line->too_long)
        return;
    memcpy(line->text + line->length, text, count);
    line->length += count;
    line->text[line->length] = '\0';
}

/* Adds a blank and a word. Between single quotes sh takes every character as it is, but for the quote itself. */
static void add_word(Line *line, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
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

static bool is_in(const char *word, const char *const *list)
{
    while (*list && strcmp(word, *list) != 0)
        list++;
    return *list != NULL;
}

void ranks_command(char *text, size_t capacity, int argc, char **argv, const char *const *without, const char *flag)
{
    Line line = {.text = text, .capacity = capacity};
    char start[64];
    snprintf(start, sizeof start, "mpirun -q -n %d", ranks_count());
    add(&line, start, strlen(start));
    add_word(&line, program_name);
    for (int i = 0; i < argc; i++)
        if (!is_in(argv[i], without))
            add_word(&line, argv[i]);
    if (flag)
        add_word(&line, flag);
    if (line.too_long)
        snprintf(text, capacity, "the same command%s%s", flag ? " with " : "", flag ? flag : "");
}
