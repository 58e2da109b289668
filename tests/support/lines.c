#include "tests/support/lines.h"

#include "tests/support/allclose.h"
#include "tests/support/check.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

Lines lines_open(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "tests/fixtures/%s", name);
    Lines lines = {0};
    assert_ok(file_load(&lines.file, path));
    lines.next = (const char *)lines.file.data;
    lines.end = lines.next + lines.file.size;
    return lines;
}

void lines_close(Lines *lines)
{
    file_unload(&lines->file);
}

bool lines_next(Lines *lines)
{
    if (lines->number++ > 0) {
        const char *newline = memchr(lines->next, '\n', (size_t)(lines->end - lines->next));
        lines->next = newline ? newline + 1 : lines->end;
    }
    return lines->next < lines->end;
}

static void skip_blanks(Lines *lines)
{
    while (lines->next < lines->end && *lines->next == ' ')
        lines->next++;
}

static unsigned digit_value(char digit)
{
    return (unsigned)(isdigit((unsigned char)digit) ? digit - '0' : digit - 'a' + 10);
}

size_t line_bytes(Lines *lines, uint8_t *bytes)
{
    size_t count = 0;
    skip_blanks(lines);
    for (; lines->end - lines->next >= 2 && isxdigit((unsigned char)*lines->next); lines->next += 2) {
        if (count == LINE_BYTES)
            ck_abort_msg("line %zu is too long", lines->number);
        bytes[count++] = (uint8_t)(digit_value(lines->next[0]) << 4 | digit_value(lines->next[1]));
    }
    return count;
}

bool line_number(Lines *lines, size_t *number)
{
    skip_blanks(lines);
    if (lines->next == lines->end || !isdigit((unsigned char)*lines->next))
        return false;
    for (*number = 0; lines->next < lines->end && isdigit((unsigned char)*lines->next); lines->next++)
        *number = 10 * *number + digit_value(*lines->next);
    return true;
}
