#include "tokenizer/unicode.h"

#include "tokenizer/unicode_classes.h"

UnicodeClass unicode_class(uint32_t code_point)
{
    if (code_point >= UNICODE_CLASSES_END)
        return UNICODE_OTHER;
    const uint64_t classes = unicode_leaf_classes[unicode_leaf[code_point / 256]][code_point % 256 / 32];
    return (UnicodeClass)(classes >> 2 * (code_point % 32) & 3);
}

/* Well-formed sequences of up to three bytes come first: they are nearly all of any text. */
Utf8Class utf8_class(const uint8_t *text, size_t length)
{
    if (text[0] < 0x80)
        return (Utf8Class){.unicode_class = unicode_class(text[0]), .length = 1};
    if (length > 2 && text[0] >= 0xC2 && text[0] < 0xF0) {
        const uint32_t a = text[0], b = text[1] ^ 0x80U, c = text[2] ^ 0x80U;
        if (a < 0xE0 && b < 0x40)
            return (Utf8Class){.unicode_class = unicode_class((a & 0x1F) << 6 | b), .length = 2};
        const uint32_t code_point = (a & 0x0F) << 12 | b << 6 | c;
        if (a >= 0xE0 && (b | c) < 0x40 && code_point >= 0x800 && (code_point & 0xF800) != 0xD800)
            return (Utf8Class){.unicode_class = unicode_class(code_point), .length = 3};
    }
    const Utf8Character character = utf8_decode(text, length);
    return (Utf8Class){.unicode_class = unicode_class(character.code_point), .length = character.length};
}
