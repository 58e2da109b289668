/*
 * UTF-8 replacement: text = some chunk lengths, then the bytes. In chunks and at once the result is the same; it is
 * valid UTF-8; it is that of Python's rule, here in another form: a malformed sequence is the longest prefix of a
 * character. Then tokens as text: what token_spell() writes, token_unspell() reads, and token_shown() is safe for a
 * terminal.
 */
#include "core/memory.h"
#include "tests/fuzz/fuzz.h"
#include "tokenizer/encode/utf8_replace.h"
#include "tokenizer/files/token_text.h"

#include <string.h>

/* Lowest and highest second byte after each kind of first byte, and the length: table 3-7 of the Unicode Standard. */
static const struct {
    uint8_t first, last, low, high, length;
} kinds[] = {
    {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3}, {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3},
    {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
};

/* Returns how many bytes the character or malformed sequence at the start has. */
static size_t sequence(ByteString text, bool *valid)
{
    *valid = text.bytes[0] < 0x80;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        if (text.bytes[0] < kinds[k].first || text.bytes[0] > kinds[k].last)
            continue;
        size_t length = 1;
        while (length < kinds[k].length && length < text.length &&
               text.bytes[length] >= (length == 1 ? kinds[k].low : 0x80) &&
               text.bytes[length] <= (length == 1 ? kinds[k].high : 0xBF))
            length++;
        *valid = length == kinds[k].length;
        return length;
    }
    return 1;
}

static void replace_plainly(ByteList *list, ByteString text)
{
    for (size_t i = 0; i < text.length;) {
        bool valid;
        const ByteString rest = {.bytes = text.bytes + i, .length = text.length - i};
        const size_t length = sequence(rest, &valid);
        fuzz_append(list, valid ? (ByteString){rest.bytes, length} : byte_string("\xEF\xBF\xBD"));
        i += length;
    }
}

static void check_replacement(ByteString text, ByteString lengths)
{
    ByteList plain = {0}, whole = {0}, chunks = {0}, again = {0};
    Utf8Replacer first = {0}, second = {0}, third = {0};
    replace_plainly(&plain, text);
    FUZZ_OK(utf8_replace(&first, &whole, text.bytes, text.length, true));
    FUZZ_CHECK(byte_string_equal(byte_list_view(&plain), byte_list_view(&whole)), "not Python's replacement");
    size_t done = 0;
    for (size_t i = 0; i < lengths.length; i++) {
        const size_t left = text.length - done, length = lengths.bytes[i] < left ? lengths.bytes[i] : left;
        FUZZ_OK(utf8_replace(&second, &chunks, text.bytes + done, length, false));
        done += length;
    }
    FUZZ_OK(utf8_replace(&second, &chunks, text.bytes + done, text.length - done, true));
    FUZZ_CHECK(byte_string_equal(byte_list_view(&chunks), byte_list_view(&whole)), "chunks are replaced differently");
    FUZZ_OK(utf8_replace(&third, &again, whole.bytes, whole.length, true));
    FUZZ_CHECK(byte_string_equal(byte_list_view(&again), byte_list_view(&whole)), "the result is not UTF-8");
    byte_list_deinit(&plain);
    byte_list_deinit(&whole);
    byte_list_deinit(&chunks);
    byte_list_deinit(&again);
}

/* The text of a token: readable again, and without a byte that a terminal would obey. */
static void check_token_text(ByteString token)
{
    ByteList spelled = {0}, read = {0};
    Utf8Character wrong;
    FUZZ_OK(token_spell(&spelled, token));
    FUZZ_OK(token_unspell(&read, byte_list_view(&spelled), &wrong));
    FUZZ_CHECK(byte_string_equal(byte_list_view(&read), token), "a token is spelled as another");
    read.length = 0;
    const Status s = token_unspell(&read, token, &wrong); /* any bytes in place of a spelling */
    FUZZ_CHECK(!s || s == CS336_EFORMAT, "status %d", (int)s);
    for (size_t done = 0; done < token.length;) {
        const ShownToken shown = token_shown((ByteString){token.bytes + done, token.length - done});
        FUZZ_CHECK(shown.bytes > 0 && shown.bytes <= token.length - done, "%zu bytes are shown", shown.bytes);
        for (const char *c = shown.text; *c; c++)
            FUZZ_CHECK((unsigned char)*c >= ' ' && *c != 0x7F, "byte %02x in \"%s\"", *c, shown.text);
        done += shown.bytes;
    }
    byte_list_deinit(&spelled);
    byte_list_deinit(&read);
}

void fuzz_utf8(const uint8_t *data, size_t size)
{
    const size_t before = memory_in_use();
    FuzzInput input = {data, data + size};
    const ByteString lengths = fuzz_bytes(&input, fuzz_below(&input, 8));
    const ByteString text = fuzz_rest(&input);
    check_replacement(text, lengths);
    check_token_text(text);
    FUZZ_CHECK(memory_in_use() == before, "memory is left over");
}
