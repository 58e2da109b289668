#include "core/printable.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

bool printable_character(Utf8Character c)
{
    const uint32_t p = c.code_point;
    const bool control = p < ' ' || (p >= 0x7F && p < 0xA0);
    const bool direction =
        p == 0x061C || p == 0x200E || p == 0x200F || (p >= 0x2028 && p <= 0x202E) || (p >= 0x2066 && p <= 0x2069);
    return c.status == UTF8_VALID && !control && !direction && p != 0xFEFF;
}

size_t printable_prefix(char *safe, size_t capacity, const char *text, size_t length)
{
    enum { ESCAPED = 4 }; /* \xNN */
    size_t used = 0, taken = 0;
    while (taken < length) {
        const uint8_t *bytes = (const uint8_t *)text + taken;
        const Utf8Character c = utf8_decode(bytes, length - taken);
        const bool plain = printable_character(c);
        const size_t more = plain ? c.length : ESCAPED * c.length;
        if (used + more >= capacity)
            break;
        if (plain)
            memcpy(safe + used, bytes, more);
        else
            for (size_t i = 0; i < c.length; i++)
                snprintf(safe + used + ESCAPED * i, ESCAPED + 1, "\\x%02X", (unsigned)bytes[i]);
        used += more;
        taken += c.length;
    }
    safe[used] = '\0';
    return taken;
}

/* Returns the offset of the first byte from `start` on that does not continue a character of UTF-8. */
static size_t next_character(const char *text, size_t length, size_t start)
{
    while (start < length && ((uint8_t)text[start] & 0xC0) == 0x80)
        start++;
    return start;
}

PrintableText printable_bytes(const char *text, size_t length)
{
    static const char gap[] = " ... ";
    enum { BEGINNING = 160 }; /* bytes; the rest of the room is for the end */
    PrintableText safe;
    if (printable_prefix(safe.text, sizeof safe.text, text, length) == length)
        return safe;
    /* Too long: the beginning, the gap, and the longest end that fits. */
    printable_prefix(safe.text, BEGINNING + 1, text, length);
    strcat(safe.text, gap);
    const size_t used = strlen(safe.text), room = sizeof safe.text - used;
    size_t start = next_character(text, length, length > room - 1 ? length - (room - 1) : 0);
    while (printable_prefix(safe.text + used, room, text + start, length - start) < length - start)
        start = next_character(text, length, start + 1);
    return safe;
}

PrintableText printable(const char *text)
{
    return printable_bytes(text, strlen(text));
}
