#include "tests/suites.h"
#include "tests/support/lines.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

enum { MEGABYTE = 1 << 20 };

/* ---- Unicode ---- */

START_TEST(test_white_space_is_the_25_code_points_of_the_property)
{
    size_t count = 0;
    for (uint32_t c = 0; c <= 0x10FFFF; c++)
        count += unicode_class(c) == UNICODE_SPACE;
    ck_assert_uint_eq(count, 25);
    const uint32_t no_space[] = {0x1C, 0x1D, 0x1E, 0x1F, 0x180E, 0x200B, 0xFEFF};
    for (size_t i = 0; i < sizeof no_space / sizeof *no_space; i++)
        ck_assert_int_eq(unicode_class(no_space[i]), UNICODE_OTHER);
}
END_TEST

START_TEST(test_letters_and_numbers_of_many_scripts)
{
    /* a é ß ª ʰ Ж א ع क 中 한 ǅ 𝒳 */
    const uint32_t letters[] = {'a',   0xE9,  0xDF,   0xAA,   0x2B0, 0x416,  0x5D0,
                                0x639, 0x915, 0x4E2D, 0xD55C, 0x1C5, 0x1D4B3};
    /* 7 ² ½ ٣ ४ Ⅷ 〇 */
    const uint32_t numbers[] = {'7', 0xB2, 0xBD, 0x663, 0x96A, 0x2167, 0x3007};
    /* _ $ combining acute, zero width joiner, € 🙂, U+FFFD, surrogate, private use, unassigned */
    const uint32_t others[] = {'_', '$', 0x301, 0x200D, 0x20AC, 0x1F642, 0xFFFD, 0xD800, 0xE000, 0xFFFF};
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        ck_assert_int_eq(unicode_class(letters[i]), UNICODE_LETTER);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        ck_assert_int_eq(unicode_class(numbers[i]), UNICODE_NUMBER);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        ck_assert_int_eq(unicode_class(others[i]), UNICODE_OTHER);
}
END_TEST

/* Encodes and decodes; surrogates have no encoding. */
START_TEST(test_every_code_point_decodes)
{
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        uint8_t text[4] = {(uint8_t)c};
        unsigned length = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        for (unsigned i = length; i-- > 1;)
            text[i] = (uint8_t)(0x80 | (c >> 6 * (length - 1 - i) & 0x3F));
        if (length > 1)
            text[0] = (uint8_t)(0xF00 >> length | c >> 6 * (length - 1));
        const Utf8Character got = utf8_decode(text, length);
        if (c >= 0xD800 && c <= 0xDFFF) {
            if (got.status != UTF8_MALFORMED)
                ck_abort_msg("U+%04X decodes", (unsigned)c);
            continue;
        }
        if (got.status != UTF8_VALID || got.code_point != c || got.length != length)
            ck_abort_msg("U+%04X decodes as U+%04X", (unsigned)c, (unsigned)got.code_point);
        for (size_t shorter = 1; shorter < length; shorter++)
            if (utf8_decode(text, shorter).status != UTF8_TRUNCATED)
                ck_abort_msg("U+%04X needs no more than %zu bytes", (unsigned)c, shorter);
    }
}
END_TEST

static size_t replace(uint8_t *out, const uint8_t *text, size_t length)
{
    size_t count = 0;
    for (size_t at = 0; at < length;) {
        const Utf8Character c = utf8_decode(text + at, length - at);
        const size_t bytes = c.status == UTF8_VALID ? c.length : sizeof utf8_replacement;
        memcpy(out + count, c.status == UTF8_VALID ? text + at : utf8_replacement, bytes);
        count += bytes;
        at += c.length;
    }
    return count;
}

START_TEST(test_malformed_utf8_is_cut_as_python_does)
{
    Lines lines = lines_open("tokenizer/replaced.txt");
    uint8_t text[LINE_BYTES], expected[LINE_BYTES], actual[3 * LINE_BYTES];
    while (lines_next(&lines)) {
        const size_t length = line_bytes(&lines, text), wanted = line_bytes(&lines, expected);
        const size_t got = replace(actual, text, length);
        ck_assert_msg(got == wanted && memcmp(actual, expected, got) == 0, "line %zu", lines.number);
    }
    ck_assert_uint_gt(lines.number, 3000);
    lines_close(&lines);
}
END_TEST

/* ---- pre-tokens ---- */

typedef struct {
    uint8_t text[LINE_BYTES];
    size_t length, parts[LINE_BYTES], count;
} PretokenCase;

static bool next_case(Lines *lines, PretokenCase *c)
{
    if (!lines_next(lines))
        return false;
    c->length = line_bytes(lines, c->text);
    for (c->count = 0; line_number(lines, &c->parts[c->count]); c->count++) {
    }
    return true;
}

START_TEST(test_pretokens_match_regex)
{
    Lines lines = lines_open("tokenizer/pretokens.txt");
    PretokenCase c;
    while (next_case(&lines, &c)) {
        size_t at = 0, part = 0;
        for (; at < c.length; part++) {
            const size_t bytes = pretoken_length(c.text + at, c.length - at, true, NULL);
            ck_assert_msg(part < c.count && bytes == c.parts[part], "line %zu, pre-token %zu: %zu bytes, expected %zu",
                          lines.number, part, bytes, part < c.count ? c.parts[part] : 0);
            at += bytes;
        }
        ck_assert_uint_eq(part, c.count);
    }
    ck_assert_uint_gt(lines.number, 1500);
    lines_close(&lines);
}
END_TEST

/* Shows one byte more at a time: an answer must be the same as with the whole text, and come at its end at the latest.
 */
START_TEST(test_pretokens_are_the_same_when_the_text_comes_byte_by_byte)
{
    Lines lines = lines_open("tokenizer/pretokens.txt");
    PretokenCase c;
    size_t early = 0;
    while (next_case(&lines, &c)) {
        size_t at = 0;
        for (size_t part = 0; part < c.count; part++) {
            size_t known = 0, bytes = 0, shown = 1;
            for (; bytes == 0 && at + shown <= c.length; shown++)
                bytes = pretoken_length(c.text + at, shown, false, &known);
            early += bytes > 0;
            if (bytes == 0)
                bytes = pretoken_length(c.text + at, c.length - at, true, &known);
            ck_assert_msg(bytes == c.parts[part], "line %zu, pre-token %zu", lines.number, part);
            at += bytes;
        }
    }
    ck_assert_uint_gt(early, 3000);
    lines_close(&lines);
}
END_TEST

/* A pre-token that is scanned from its start for each byte would take 10^11 steps here. */
START_TEST(test_a_megabyte_of_one_class_is_scanned_once)
{
    const char *const runs[] = {"a", " ", "7", "\n", "."};
    uint8_t *text = malloc(MEGABYTE);
    for (size_t run = 0; run < sizeof runs / sizeof *runs; run++) {
        memset(text, runs[run][0], MEGABYTE);
        size_t known = 0;
        for (size_t length = 1; length <= MEGABYTE; length++)
            if (pretoken_length(text, length, false, &known) != 0)
                ck_abort_msg("\"%s\" ends after %zu bytes", runs[run], length);
        ck_assert(pretoken_length(text, MEGABYTE, true, &known) == MEGABYTE);
    }
    free(text);
}
END_TEST

static size_t starts_of(bool *starts, const uint8_t *text, size_t length)
{
    size_t count = 0;
    for (size_t at = 0; at < length; count++) {
        starts[at] = true;
        at += pretoken_length(text + at, length - at, true, NULL);
    }
    return count;
}

START_TEST(test_cutting_where_a_pretoken_surely_begins_changes_nothing)
{
    Lines lines = lines_open("tokenizer/pretokens.txt");
    PretokenCase c;
    size_t cuts = 0;
    while (next_case(&lines, &c)) {
        bool whole[LINE_BYTES] = {false};
        starts_of(whole, c.text, c.length);
        ck_assert(!pretoken_surely_begins(c.text, c.length, 0) && !pretoken_surely_begins(c.text, c.length, c.length));
        for (size_t cut = 1; cut < c.length; cut++) {
            if (!pretoken_surely_begins(c.text, c.length, cut))
                continue;
            bool parts[LINE_BYTES] = {false};
            starts_of(parts, c.text, cut);
            starts_of(parts + cut, c.text + cut, c.length - cut);
            ck_assert_msg(memcmp(parts, whole, c.length) == 0, "line %zu, cut at %zu", lines.number, cut);
            cuts++;
        }
    }
    ck_assert_uint_gt(cuts, 300);
    lines_close(&lines);
}
END_TEST

const TestCase pretokenize_tests[] = {
    TEST(test_white_space_is_the_25_code_points_of_the_property, "unicode"),
    TEST(test_letters_and_numbers_of_many_scripts, "unicode"),
    TEST(test_every_code_point_decodes, "unicode"),
    TEST(test_malformed_utf8_is_cut_as_python_does, "unicode"),
    TEST(test_pretokens_match_regex, "pretokenize"),
    TEST(test_pretokens_are_the_same_when_the_text_comes_byte_by_byte, "pretokenize"),
    TEST(test_a_megabyte_of_one_class_is_scanned_once, "pretokenize"),
    TEST(test_cutting_where_a_pretoken_surely_begins_changes_nothing, "pretokenize"),
    {0},
};
