#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/lines.h"
#include "tokenizer/encode/utf8_replace.h"

#include <stdlib.h>
#include <string.h>

/* A million byte strings, drawn as tests/tools/make_replace_digests.py draws them, whose digests are Python's. */
enum { BATCHES = 1000, STRINGS = 1000, LONGEST = 12, RANGE_COUNT = 12 };

static const uint8_t ranges[RANGE_COUNT][2] = {{0x00, 0xFF}, {0x00, 0x7F}, {0x80, 0xBF}, {0x80, 0xBF},
                                               {0xC0, 0xDF}, {0xE0, 0xEF}, {0xF0, 0xF5}, {0x8F, 0x90},
                                               {0x9F, 0xA0}, {0xE0, 0xE0}, {0xED, 0xED}, {0xF4, 0xF4}};

static uint32_t below(uint64_t *state, uint32_t n)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)((*state * 0x2545F4914F6CDD1DU >> 33) % n);
}

static size_t draw(uint64_t *state, uint8_t *bytes)
{
    const size_t length = below(state, LONGEST + 1);
    for (size_t i = 0; i < length; i++) {
        const uint8_t *range = ranges[below(state, RANGE_COUNT)];
        bytes[i] = (uint8_t)(range[0] + below(state, (uint32_t)(range[1] - range[0]) + 1));
    }
    return length;
}

static uint64_t add_to_digest(uint64_t digest, const ByteList *text)
{
    for (size_t i = 0; i < text->length; i++)
        digest = (digest ^ text->bytes[i]) * 0x100000001B3U;
    return (digest ^ 0xFF) * 0x100000001B3U;
}

/* Replaces in the whole string, and again in two chunks of it. */
static void replace_both_ways(ByteList *text, ByteList *again, const uint8_t *bytes, size_t length, size_t cut)
{
    Utf8Replacer whole = {0}, chunks = {0};
    text->length = again->length = 0;
    if (utf8_replace(&whole, text, bytes, length, true) || utf8_replace(&chunks, again, bytes, cut, false) ||
        utf8_replace(&chunks, again, bytes + cut, length - cut, true))
        ck_abort_msg("%s", status_message());
}

START_TEST(test_a_million_byte_strings_are_replaced_as_python_does)
{
    Lines lines = lines_open("tokenizer/replaced_digests.txt");
    ByteList text = {0}, again = {0};
    uint64_t state = 1;
    for (size_t batch = 0; batch < BATCHES; batch++) {
        uint64_t digest = 0xCBF29CE484222325U, expected = 0;
        for (size_t i = 0; i < STRINGS; i++) {
            uint8_t bytes[LONGEST];
            const size_t length = draw(&state, bytes);
            replace_both_ways(&text, &again, bytes, length, i % (length + 1));
            if (text.length != again.length || (text.length && memcmp(text.bytes, again.bytes, text.length) != 0))
                ck_abort_msg("batch %zu, string %zu: other text in two chunks", batch, i);
            digest = add_to_digest(digest, &text);
        }
        uint8_t wanted[LINE_BYTES];
        ck_assert(lines_next(&lines));
        ck_assert_uint_eq(line_bytes(&lines, wanted), sizeof expected);
        for (size_t i = 0; i < sizeof expected; i++)
            expected = expected << 8 | wanted[i];
        if (digest != expected)
            ck_abort_msg("batch %zu of %d: digest %016llx, Python's is %016llx", batch, (int)BATCHES,
                         (unsigned long long)digest, (unsigned long long)expected);
    }
    ck_assert(!lines_next(&lines));
    lines_close(&lines);
    byte_list_deinit(&text);
    byte_list_deinit(&again);
}
END_TEST

const TestCase replace_tests[] = {
    TEST(test_a_million_byte_strings_are_replaced_as_python_does, "tokenizer"),
    {0},
};
