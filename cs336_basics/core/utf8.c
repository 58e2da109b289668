#include "core/utf8.h"

const uint8_t utf8_replacement[3] = {0xEF, 0xBF, 0xBD};

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

const char *utf8_byte_order_mark(const uint8_t *text, size_t length)
{
    if (length >= 3 && text[0] == 0xEF && text[1] == 0xBB && text[2] == 0xBF)
        return "the byte order mark (BOM) of UTF-8, the bytes EF BB BF";
    if (length >= 2 && ((text[0] == 0xFF && text[1] == 0xFE) || (text[0] == 0xFE && text[1] == 0xFF)))
        return "the byte order mark (BOM) of UTF-16";
    return NULL;
}
