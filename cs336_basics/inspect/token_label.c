#include "inspect/token_label.h"

#include "tokenizer/files/token_text.h"
#include "tokenizer/unicode.h"

#include <stdbool.h>
#include <stdio.h>

enum { OPEN_BOX = 0x2423, ARROW_DOWN_LEFT = 0x21B5, ARROW_RIGHT = 0x2192 };

/* The mark that stands for a frequent blank, or NULL. */
static const char *mark_of(uint32_t code_point)
{
    return code_point == ' '    ? "\xE2\x90\xA3"
           : code_point == '\n' ? "\xE2\x86\xB5"
           : code_point == '\t' ? "\xE2\x86\x92"
                                : NULL;
}

/* True if the character cannot be seen, or looks like one of the marks. */
static bool misleads(uint32_t p)
{
    const bool no_width = p == 0xAD || p == 0x034F || p == 0x180E || (p >= 0x200B && p <= 0x200D) ||
                          (p >= 0x2060 && p <= 0x2064) || p == 0x2800 || p == 0x3164 || (p >= 0xFE00 && p <= 0xFE0F) ||
                          (p >= 0xE0000 && p <= 0xE0FFF);
    return no_width || unicode_class(p) == UNICODE_SPACE || p == OPEN_BOX || p == ARROW_DOWN_LEFT || p == ARROW_RIGHT;
}

static Status append_bytes(ByteList *label, const uint8_t *bytes, size_t count)
{
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < count; i++) {
        char text[8];
        snprintf(text, sizeof text, "\\x%02X", (unsigned)bytes[i]);
        s = byte_list_append_text(label, text);
    }
    return s;
}

Status token_label(ByteList *label, ByteString token)
{
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < token.length;) {
        const uint8_t *bytes = token.bytes + i;
        const Utf8Character c = utf8_decode(bytes, token.length - i);
        const char *mark = c.status == UTF8_VALID ? mark_of(c.code_point) : NULL;
        if (mark)
            s = byte_list_append_text(label, mark);
        else if (c.status == UTF8_VALID && misleads(c.code_point))
            s = append_bytes(label, bytes, c.length);
        else
            s = byte_list_append_text(label, token_printable((ByteString){.bytes = bytes, .length = c.length}).text);
        i += c.length;
    }
    return s;
}
