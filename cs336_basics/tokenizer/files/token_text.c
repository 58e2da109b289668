#include "tokenizer/files/token_text.h"

#include "core/printable.h"
#include "tokenizer/byte_alphabet.h"

#include <stdio.h>
#include <string.h>

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
    for (size_t i = 0; !s && i < text.length;) {
        const uint8_t *bytes = text.bytes + i;
        const Utf8Character c = utf8_decode(bytes, text.length - i);
        char escaped[8];
        if (c.status == UTF8_VALID && !printable_character(c)) {
            /* JSON asks for this below U+0020 only. The others would act on a terminal; all are below U+10000. */
            snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)(c.code_point & 0xFFFF));
            s = byte_list_append_text(json, escaped);
        } else if (*bytes == '"' || *bytes == '\\') {
            s = byte_list_append(json, (const uint8_t[]){'\\', *bytes}, 2);
        } else {
            s = byte_list_append(json, bytes, c.length);
        }
        i += c.length;
    }
    return s ? s : byte_list_append_text(json, "\"");
}

ShownToken token_printable(ByteString token)
{
    ShownToken shown;
    shown.bytes = printable_prefix(shown.text, sizeof shown.text, (const char *)token.bytes, token.length);
    return shown;
}

ShownToken token_shown(ByteString token)
{
    ShownToken shown = {.bytes = 0};
    size_t used = 0;
    while (shown.bytes < token.length) {
        const uint8_t *bytes = token.bytes + shown.bytes;
        const size_t escape = *bytes == '"' || *bytes == '\\' ? 1 : 0, begin = used + escape;
        const size_t length = utf8_decode(bytes, token.length - shown.bytes).length;
        if (begin >= sizeof shown.text)
            break;
        const size_t taken =
            printable_prefix(shown.text + begin, sizeof shown.text - begin, (const char *)bytes, length);
        if (taken == 0)
            break;
        if (escape)
            shown.text[used] = '\\';
        used = begin + strlen(shown.text + begin);
        shown.bytes += taken;
    }
    shown.text[used] = '\0';
    return shown;
}
