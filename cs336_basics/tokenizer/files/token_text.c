#include "tokenizer/files/token_text.h"

#include "tokenizer/byte_alphabet.h"

#include <stdio.h>

Status token_spell(ByteList *text, ByteString token)
{
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < token.length; i++) {
        const uint32_t c = byte_alphabet_character(token.bytes[i]); /* below U+0800: one or two bytes of UTF-8 */
        const uint8_t two[] = {(uint8_t)(0xC0 | c >> 6), (uint8_t)(0x80 | (c & 0x3F))}, one = (uint8_t)c;
        s = c < 0x80 ? byte_list_append(text, &one, 1) : byte_list_append(text, two, 2);
    }
    return s;
}

Status token_unspell(ByteList *token, ByteString text, Utf8Character *wrong)
{
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < text.length;) {
        const Utf8Character c = utf8_decode(text.bytes + i, text.length - i);
        const int value = c.status == UTF8_VALID ? byte_alphabet_byte(c.code_point) : -1;
        if (value < 0) {
            *wrong = c;
            return CS336_EFORMAT;
        }
        const uint8_t byte = (uint8_t)value;
        s = byte_list_append(token, &byte, 1);
        i += c.length;
    }
    return s;
}

Status token_quote(ByteList *json, ByteString text)
{
    Status s = byte_list_append_text(json, "\"");
    for (size_t i = 0; !s && i < text.length; i++) {
        const uint8_t c = text.bytes[i];
        char escaped[8];
        if (c < ' ') {
            snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)c);
            s = byte_list_append_text(json, escaped);
        } else if (c == '"' || c == '\\') {
            s = byte_list_append(json, (const uint8_t[]){'\\', c}, 2);
        } else {
            s = byte_list_append(json, &c, 1);
        }
    }
    return s ? s : byte_list_append_text(json, "\"");
}

/* True if a terminal shows the character, and does not obey it. */
static bool is_harmless(Utf8Character c)
{
    const uint32_t p = c.code_point;
    const bool control = p < ' ' || (p >= 0x7F && p < 0xA0);
    const bool direction =
        p == 0x061C || p == 0x200E || p == 0x200F || (p >= 0x2028 && p <= 0x202E) || (p >= 0x2066 && p <= 0x2069);
    return c.status == UTF8_VALID && !control && !direction && p != 0xFEFF;
}

ShownToken token_shown(ByteString token)
{
    enum { ESCAPED = 4 }; /* \xNN */
    ShownToken shown = {.bytes = 0};
    for (size_t length = 0; shown.bytes < token.length;) {
        const uint8_t *bytes = token.bytes + shown.bytes;
        const Utf8Character c = utf8_decode(bytes, token.length - shown.bytes);
        const bool plain = is_harmless(c);
        const size_t more = plain ? c.length : ESCAPED * c.length;
        if (length + more >= sizeof shown.text)
            break;
        if (plain)
            memcpy(shown.text + length, bytes, more);
        else
            for (size_t i = 0; i < c.length; i++)
                snprintf(shown.text + length + ESCAPED * i, ESCAPED + 1, "\\x%02X", (unsigned)bytes[i]);
        length += more;
        shown.bytes += c.length;
    }
    return shown;
}
