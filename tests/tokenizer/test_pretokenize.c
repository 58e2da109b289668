#include "tests/adapters.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/kernels.h"
#include "tests/support/lines.h"
#include "tests/support/plain_pretokens.h"
#include "tests/support/random_text.h"
#include "tests/support/scan_pretokens.h"
#include "tokenizer/split/cut.h"
#include "tokenizer/split/pretokenize.h"
#include "tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

enum { MEGABYTE = 1 << 20, TRIALS = 8000 };

/* ---- Unicode ---- */

START_TEST(test_white_space_is_the_25_code_points_of_the_property)
{
    size_t count = 0;
    for (uint32_t c = 0; c <= 0x10FFFF; c++)
        count += unicode_class(c) == UNICODE_SPACE;
    ck_assert_uint_eq(count, 25);
    const uint32_t no_space[] = {0x1C, 0x1D, 0x1E, 0x1F, 0x180E, 0x200B, 0xFEFF};
    for (size_t i = 0; i < sizeof no_space / sizeof *no_space; i++)
        ck_assert_msg(unicode_class(no_space[i]) == UNICODE_OTHER, "U+%04X is white space", (unsigned)no_space[i]);
}
END_TEST

/* The fixture has the ranges of the classes but OTHER, in order. */
START_TEST(test_every_code_point_has_tiktokens_class)
{
    Lines lines = lines_open("tokenizer/unicode_classes.txt");
    size_t code_point = 0, first, last, class;
    while (code_point <= 0x10FFFF) {
        first = last = 0x110000;
        if (lines_next(&lines))
            ck_assert(line_number(&lines, &first) && line_number(&lines, &last) && line_number(&lines, &class));
        for (; code_point < first; code_point++)
            if (unicode_class((uint32_t)code_point) != UNICODE_OTHER)
                ck_abort_msg("U+%04zX is no other", code_point);
        for (; code_point <= last && last < 0x110000; code_point++)
            if (unicode_class((uint32_t)code_point) != (UnicodeClass) class)
                ck_abort_msg("U+%04zX is not in class %zu", code_point, class);
    }
    ck_assert_uint_gt(lines.number, 800);
    lines_close(&lines);
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

/* Replaces malformed UTF-8, one sequence as utf8_decode() cuts it by one U+FFFD. */
static size_t replace(uint8_t *out, const uint8_t *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length;) {
        const Utf8Character c = utf8_decode(text + i, length - i);
        const size_t bytes = c.status == UTF8_VALID ? c.length : sizeof utf8_replacement;
        memcpy(out + count, c.status == UTF8_VALID ? text + i : utf8_replacement, bytes);
        count += bytes;
        i += c.length;
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
    size_t length, lengths[LINE_BYTES], count; /* of the text, and of its pre-tokens */
} PretokenCase;

static bool next_case(Lines *lines, PretokenCase *c)
{
    if (!lines_next(lines))
        return false;
    c->length = line_bytes(lines, c->text);
    for (c->count = 0; line_number(lines, &c->lengths[c->count]); c->count++) {
    }
    return true;
}

/* The fixture has the ends that the pattern gives in Python's regex module. Scanner and plain reference must agree. */
START_TEST(test_pretokens_match_regex)
{
    Lines lines = lines_open("tokenizer/pretokens.txt");
    PretokenCase c;
    while (next_case(&lines, &c)) {
        size_t plain[LINE_BYTES], expected[LINE_BYTES];
        for (size_t i = 0; i < c.count; i++)
            expected[i] = c.lengths[i] + (i ? expected[i - 1] : 0);
        FOR_EACH_ISA (isa)
            assert_scan(PATTERN_GPT2, c.text, c.length, c.length, expected, c.count, "line", lines.number);
        test_label("line %zu", lines.number);
        ck_assert_uint_eq(plain_pretokens(plain, (ByteString){.bytes = c.text, .length = c.length}), c.count);
        ck_assert_msg(memcmp(plain, expected, c.count * sizeof *plain) == 0, "other pre-tokens");
    }
    test_label_end();
    ck_assert_uint_gt(lines.number, 1500);
    lines_close(&lines);
}
END_TEST

static const ByteString atoms[] = {
    ATOM("a"),
    ATOM("Zebra"),
    ATOM("7"),
    ATOM("."),
    ATOM("\0"),
    ATOM("'"),
    ATOM("'s"),
    ATOM("'ll"),
    ATOM("'ve"),
    ATOM("'r"),
    ATOM("'l"),
    ATOM("l"),
    ATOM("e"),
    ATOM(" "),
    ATOM("\n"),
    ATOM("\r\n"),
    ATOM("\t"),
    ATOM("\x1C"),
    ATOM("\xC3\xA9"),
    ATOM("\xE4\xB8\xAD"),
    ATOM("\xC2\xA0"),
    ATOM("\xE3\x80\x80"),
    ATOM("\xF0\x9F\x99\x82"),
    ATOM("\xC2\xB2"),
    ATOM("\xFF"),
    ATOM("\xE4\xB8"),
    ATOM("\xF0\x9F\x99"),
    ATOM("\x80"),
    ATOM("\xF0\x9D\x92\xB3"),
    ATOM("\xED\xA0\x80"),
};

/* Makes a text of few kinds of atoms, so that runs are long, or of many kinds, or of any bytes. */
static ByteString nasty_text(Rng *rng, uint8_t *buffer)
{
    const size_t most = (size_t)rng_below(rng, 4) ? 200 : 30;
    if (rng_below(rng, 8) == 0) {
        const size_t length = (size_t)rng_below(rng, LONGEST_TEXT + 1);
        for (size_t i = 0; i < length; i++)
            buffer[i] = (uint8_t)rng_below(rng, 256);
        return (ByteString){.bytes = buffer, .length = length};
    }
    ByteString some[4];
    for (size_t i = 0; i < COUNT(some); i++)
        some[i] = atoms[rng_below(rng, COUNT(atoms))];
    return rng_below(rng, 2) ? random_text(rng, buffer, some, COUNT(some), most)
                             : random_text(rng, buffer, atoms, COUNT(atoms), most);
}

START_TEST(test_pretokens_of_any_bytes_equal_the_plain_reference)
{
    Rng rng = rng_seeded(64);
    uint8_t buffer[LONGEST_TEXT];
    size_t expected[LONGEST_TEXT], total = 0;
    for (size_t trial = 0; trial < TRIALS; trial++) {
        const ByteString text = nasty_text(&rng, buffer);
        const size_t count = plain_pretokens(expected, text), chunk_bytes = 1 + (size_t)rng_below(&rng, LONGEST_TEXT);
        FOR_EACH_ISA (isa) {
            assert_scan(PATTERN_GPT2, text.bytes, text.length, text.length, expected, count, "trial", trial);
            assert_scan(PATTERN_GPT2, text.bytes, text.length, chunk_bytes, expected, count, "trial", trial);
        }
        total += count;
    }
    ck_assert_uint_gt(total, 20 * TRIALS);
}
END_TEST

/* Each pair of bytes stands among letters, at all distances from the end of a group of 64 bytes. */
START_TEST(test_pretokens_around_every_pair_of_bytes)
{
    enum { LENGTH = 70, INDICES = LENGTH - 1 };
    const unsigned stride = test_is_instrumented() ? 7 : 1;
    uint8_t text[LENGTH];
    size_t expected[LENGTH];
    for (unsigned pair = 0; pair < 0x10000; pair += stride) {
        const unsigned index = 37 * pair % INDICES;
        memset(text, 'a', sizeof text);
        text[index] = (uint8_t)(pair >> 8);
        text[index + 1] = (uint8_t)pair;
        const size_t count = plain_pretokens(expected, (ByteString){.bytes = text, .length = LENGTH});
        FOR_EACH_ISA (isa)
            assert_scan(PATTERN_GPT2, text, LENGTH, LENGTH, expected, count, "pair", pair);
    }
}
END_TEST

START_TEST(test_pretokens_are_the_same_in_chunks_of_every_size)
{
    Rng rng = rng_seeded(65);
    uint8_t buffer[LONGEST_TEXT];
    size_t expected[LONGEST_TEXT];
    for (size_t trial = 0; trial < 40; trial++) {
        const ByteString text = nasty_text(&rng, buffer);
        const size_t count = plain_pretokens(expected, text);
        for (size_t chunk_bytes = 1; chunk_bytes <= text.length + 1; chunk_bytes++)
            assert_scan(PATTERN_GPT2, text.bytes, text.length, chunk_bytes, expected, count, "trial", trial);
    }
}
END_TEST

/* If each chunk began to scan at the start of its pre-token again, this test would take 10^11 steps. */
START_TEST(test_a_megabyte_of_one_class_is_scanned_once)
{
    const char runs[] = {'a', ' ', '7', '\n', '.', (char)0x80};
    uint8_t *text = malloc(MEGABYTE);
    const uint8_t *ends[PRETOKENS_PER_GROUP];
    for (size_t run = 0; run < sizeof runs; run++) {
        memset(text, runs[run], MEGABYTE);
        test_label("byte 0x%02X", (unsigned char)runs[run]);
        Pretokenizer p;
        pretokenizer_begin(&p, PATTERN_GPT2);
        size_t scanned = 0;
        for (size_t length = 1; length <= MEGABYTE; length++) {
            pretokenizer_feed(&p, text + scanned, length - scanned, false);
            if (pretokenizer_next(&p, ends, PRETOKENS_PER_GROUP) != 0)
                ck_abort_msg("run %zu ends after %zu bytes", run, length);
            if (length - (size_t)(p.unscanned - text) >= 80 || (size_t)(p.unscanned - text) < scanned)
                ck_abort_msg("run %zu: %zu of %zu bytes scanned", run, (size_t)(p.unscanned - text), length);
            scanned = (size_t)(p.unscanned - text);
        }
        pretokenizer_feed(&p, text + scanned, MEGABYTE - scanned, true);
        ck_assert_uint_eq(pretokenizer_next(&p, ends, PRETOKENS_PER_GROUP), 1);
        ck_assert_ptr_eq(ends[0], text + MEGABYTE);
        ck_assert_uint_eq(pretokenizer_next(&p, ends, PRETOKENS_PER_GROUP), 0);
    }
    free(text);
}
END_TEST

START_TEST(test_nothing_has_no_pretokens)
{
    const uint8_t *ends[PRETOKENS_PER_GROUP];
    Pretokenizer p;
    pretokenizer_begin(&p, PATTERN_GPT2);
    for (int ended = 0; ended < 2; ended++) {
        test_label(ended ? "at the end" : "before the end");
        pretokenizer_feed(&p, (const uint8_t *)"", 0, ended);
        ck_assert_uint_eq(pretokenizer_next(&p, ends, PRETOKENS_PER_GROUP), 0);
    }
}
END_TEST

static void mark_ends(bool *marks, const uint8_t *text, size_t length)
{
    size_t ends[LONGEST_TEXT];
    const size_t count = plain_pretokens(ends, (ByteString){.bytes = text, .length = length});
    for (size_t i = 0; i < count; i++)
        marks[ends[i]] = true;
}

/* Cuts a text in two. pretoken_surely_begins() sees all of it, or only some of the bytes behind the cut. */
START_TEST(test_cutting_where_a_pretoken_surely_begins_changes_nothing)
{
    Rng rng = rng_seeded(66);
    uint8_t buffer[LONGEST_TEXT];
    size_t cuts = 0, ends = 0;
    for (size_t trial = 0; trial < TRIALS / 4; trial++) {
        const ByteString text = nasty_text(&rng, buffer);
        bool uncut[LONGEST_TEXT + 1] = {false};
        mark_ends(uncut, text.bytes, text.length);
        ck_assert(!pretoken_surely_begins(PATTERN_GPT2, text.bytes, text.length, 0));
        ck_assert(!pretoken_surely_begins(PATTERN_GPT2, text.bytes, text.length, text.length));
        size_t last = 0;
        const size_t begin = (size_t)rng_below(&rng, 100);
        for (size_t cut = 1; cut < text.length; cut++) {
            const size_t shown = cut + (size_t)rng_below(&rng, text.length - cut + 1);
            ends += uncut[cut];
            if (pretoken_surely_begins(PATTERN_GPT2, text.bytes, text.length, cut) && cut > begin)
                last = cut;
            if (!pretoken_surely_begins(PATTERN_GPT2, text.bytes, shown, cut))
                continue;
            bool halves[LONGEST_TEXT + 1] = {false};
            mark_ends(halves, text.bytes, cut);
            mark_ends(halves + cut, text.bytes + cut, text.length - cut);
            ck_assert_msg(memcmp(halves, uncut, text.length) == 0, "trial %zu, cut at %zu of %zu", trial, cut, shown);
            cuts++;
        }
        test_label("trial %zu", trial);
        ck_assert_uint_eq(pretoken_last_cut(PATTERN_GPT2, text.bytes, text.length, begin), last);
    }
    ck_assert_msg(cuts > ends / 4, "%zu cuts of %zu ends", cuts, ends);
}
END_TEST

/* ---- the exercise pretokenizer, which splits a whole text at once ---- */

/* Asserts that run_pretokenize() splits a text into these ranges. */
static void assert_ranges(ByteString text, const ByteString *special, size_t special_count, const TextRange *expected,
                          size_t count, const char *what, size_t number)
{
    TextRangeList list = {0};
    uint8_t *copy = exact_copy(text.bytes, text.length);
    assert_ok(run_pretokenize(&list, (ByteString){.bytes = copy, .length = text.length}, special, special_count));
    for (size_t i = 0; i < list.count && i < count; i++) {
        const TextRange got = list.ranges[i], wanted = expected[i];
        if (got.begin != wanted.begin || got.end != wanted.end || got.special != wanted.special)
            ck_abort_msg("%s %zu: range %zu is %s [%zu, %zu), expected %s [%zu, %zu)", what, number, i,
                         got.special ? "special token" : "pre-token", got.begin, got.end,
                         wanted.special ? "special token" : "pre-token", wanted.begin, wanted.end);
    }
    ck_assert_msg(list.count == count, "%s %zu: %zu ranges, expected %zu", what, number, list.count, count);
    text_range_list_deinit(&list);
    free(copy);
}

START_TEST(test_run_pretokenize_matches_regex)
{
    Lines lines = lines_open("tokenizer/pretokens.txt");
    PretokenCase c;
    while (next_case(&lines, &c)) {
        TextRange expected[LINE_BYTES];
        for (size_t i = 0, begin = 0; i < c.count; begin += c.lengths[i++])
            expected[i] = (TextRange){.begin = begin, .end = begin + c.lengths[i]};
        assert_ranges((ByteString){.bytes = c.text, .length = c.length}, NULL, 0, expected, c.count, "line",
                      lines.number);
    }
    ck_assert_uint_gt(lines.number, 1500);
    lines_close(&lines);
}
END_TEST

/* Special tokens that are beginnings of each other, repeat, overlap, hold white space or are one byte. */
static const ByteString specials[] = {ATOM("<|a|>"), ATOM("<|a|><|a|>"), ATOM("<|a"), ATOM("aba"),
                                      ATOM("x y\n"), ATOM("\n<|a|>\n"),  ATOM("q")};
static const ByteString special_atoms[] = {ATOM("<|a|>"), ATOM("<|a"), ATOM("<|"), ATOM("a"),  ATOM("b"),
                                           ATOM("x y"),   ATOM(" "),   ATOM("\n"), ATOM("|>"), ATOM("x"),
                                           ATOM("q"),     ATOM("é"),   ATOM("'s"), ATOM("12"), ATOM("\xE4\xB8")};

START_TEST(test_run_pretokenize_takes_special_tokens_first)
{
    Rng rng = rng_seeded(67);
    uint8_t buffer[LONGEST_TEXT];
    TextRange expected[LONGEST_TEXT];
    size_t found = 0;
    for (size_t trial = 0; trial < TRIALS / 4; trial++) {
        const ByteString text = random_text(&rng, buffer, special_atoms, COUNT(special_atoms), 30);
        const size_t first = (size_t)rng_below(&rng, COUNT(specials));
        const size_t special_count = 1 + (size_t)rng_below(&rng, COUNT(specials) - first);
        const size_t count = plain_split(expected, text, specials + first, special_count, PRETOKENS_RIGHT);
        assert_ranges(text, specials + first, special_count, expected, count, "trial", trial);
        for (size_t i = 0; i < count; i++)
            found += expected[i].special;
    }
    ck_assert_uint_gt(found, TRIALS / 4);
}
END_TEST

START_TEST(test_run_pretokenize_of_any_bytes_equals_the_plain_reference)
{
    Rng rng = rng_seeded(68);
    uint8_t buffer[LONGEST_TEXT];
    TextRange expected[LONGEST_TEXT];
    for (size_t trial = 0; trial < TRIALS / 4; trial++) {
        const ByteString text = nasty_text(&rng, buffer);
        assert_ranges(text, NULL, 0, expected, plain_split(expected, text, NULL, 0, PRETOKENS_RIGHT), "trial", trial);
    }
}
END_TEST

START_TEST(test_run_pretokenize_adds_to_its_list)
{
    TextRangeList list = {0};
    assert_ok(run_pretokenize(&list, byte_string("a b"), NULL, 0));
    assert_ok(run_pretokenize(&list, byte_string(""), specials, COUNT(specials)));
    assert_ok(run_pretokenize(&list, byte_string("q"), specials, COUNT(specials)));
    const TextRange expected[] = {{.begin = 0, .end = 1}, {.begin = 1, .end = 3}, {.end = 1, .special = true}};
    ck_assert_uint_eq(list.count, COUNT(expected));
    for (size_t i = 0; i < COUNT(expected); i++) {
        test_label("range %zu", i);
        ck_assert_uint_eq(list.ranges[i].begin, expected[i].begin);
        ck_assert_uint_eq(list.ranges[i].end, expected[i].end);
        ck_assert_int_eq(list.ranges[i].special, expected[i].special);
    }
    text_range_list_deinit(&list);
}
END_TEST

const TestCase pretokenize_tests[] = {
    TEST(test_run_pretokenize_matches_regex, "pretokenizer"),
    TEST(test_run_pretokenize_takes_special_tokens_first, "pretokenizer"),
    TEST(test_run_pretokenize_of_any_bytes_equals_the_plain_reference, "pretokenizer"),
    TEST(test_run_pretokenize_adds_to_its_list, "pretokenizer"),
    TEST(test_white_space_is_the_25_code_points_of_the_property, "unicode"),
    TEST(test_every_code_point_has_tiktokens_class, "unicode"),
    TEST(test_every_code_point_decodes, "unicode"),
    TEST(test_malformed_utf8_is_cut_as_python_does, "unicode"),
    TEST(test_pretokens_match_regex, "pretokenize"),
    TEST(test_pretokens_of_any_bytes_equal_the_plain_reference, "pretokenize"),
    TEST(test_pretokens_around_every_pair_of_bytes, "pretokenize"),
    TEST(test_pretokens_are_the_same_in_chunks_of_every_size, "pretokenize"),
    TEST(test_a_megabyte_of_one_class_is_scanned_once, "pretokenize"),
    TEST(test_nothing_has_no_pretokens, "pretokenize"),
    TEST(test_cutting_where_a_pretoken_surely_begins_changes_nothing, "pretokenize"),
    {0},
};
