#include "tokenizer/unicode.h"

#include "tokenizer/unicode_classes.h"

const uint8_t utf8_replacement[3] = {0xEF, 0xBF, 0xBD};

UnicodeClass unicode_class(uint32_t code_point)
{
    if (code_point >= UNICODE_CLASSES_END)
        return UNICODE_OTHER;
    const uint64_t classes = unicode_leaf_classes[unicode_leaf[code_point / 256]][code_point % 256 / 32];
    return (UnicodeClass)(classes >> 2 * (code_point % 32) & 3);
}

/*
 * Returns the length of the well-formed sequences that begin with a byte, or 0 if none does, and the range of their
 * second byte (table 3-7 of the standard). The range leaves out characters that have a shorter form, surrogates, and
 * what is beyond U+10FFFF.
 */
static unsigned sequence_length(uint8_t first, uint8_t *low, uint8_t *high)
{
    *low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    *high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (first < 0x80)
        return 1;
    if (first < 0xC2 || first > 0xF4)
        return 0;
    return first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

Utf8Character utf8_decode(const uint8_t *text, size_t length)
{
    uint8_t low, high;
    const unsigned wanted = sequence_length(text[0], &low, &high);
    if (wanted == 1)
        return (Utf8Character){.code_point = text[0], .length = 1, .status = UTF8_VALID};
    if (wanted == 0)
        return (Utf8Character){.code_point = UNICODE_REPLACEMENT, .length = 1, .status = UTF8_MALFORMED};
    /* The sequence is malformed from its first wrong byte on; what comes before that byte is replaced by one U+FFFD. */
    uint32_t code_point = text[0] & (0x7FU >> wanted);
    for (unsigned i = 1; i < wanted; i++) {
        if (i == length)
            return (Utf8Character){.code_point = UNICODE_REPLACEMENT, .length = i, .status = UTF8_TRUNCATED};
        if (text[i] < low || text[i] > high)
            return (Utf8Character){.code_point = UNICODE_REPLACEMENT, .length = i, .status = UTF8_MALFORMED};
        code_point = code_point << 6 | (text[i] & 0x3F);
        low = 0x80;
        high = 0xBF;
    }
    return (Utf8Character){.code_point = code_point, .length = wanted, .status = UTF8_VALID};
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
