#include "kernels/bytes.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/kernels.h"
#include "tests/support/random_text.h"
#include "tokenizer/special_tokens.h"

#include <ctype.h>
#include <stdlib.h>

START_TEST(test_every_byte_at_every_place_is_classified)
{
    uint8_t text[2 * BLOCK_BYTES];
    FOR_EACH_ISA (isa)
        for (unsigned trial = 0; trial < 256; trial++) {
            ByteClasses classes[2];
            for (unsigned i = 0; i < sizeof text; i++)
                text[i] = (uint8_t)(trial + 37 * i);
            bytes_classify(classes, text, 2);
            for (unsigned i = 0; i < sizeof text; i++) {
                const ByteClasses *c = &classes[i / BLOCK_BYTES];
                const int b = text[i], ascii = b < 0x80; /* what <ctype.h> says of ASCII in the C locale */
                const uint64_t words[] = {c->letters, c->digits, c->spaces,       c->blanks,
                                          c->quotes,  c->beyond, c->continuations};
                const bool expected[] = {
                    ascii && isalpha(b),      ascii && isdigit(b), ascii && isspace(b), b == ' ', b == '\'', !ascii,
                    !ascii && (b & 0x40) == 0};
                for (size_t k = 0; k < COUNT(words); k++)
                    if ((words[k] >> i % BLOCK_BYTES & 1) != expected[k])
                        ck_abort_msg("%s: class %zu of byte 0x%02x at %u", isa_name(isa), k, (unsigned)b, i);
            }
        }
}
END_TEST

START_TEST(test_pairs_of_bytes_are_found_where_they_first_stand)
{
    static const BytePair pairs[] = {{'<', '|'}, {'a', 'a'}, {0, 0xFF}, {0x80, 0}};
    static const uint8_t alphabet[] = {'<', '|', 'a', 0, 0xFF, 0x80, 'b', 'b', 'b', 'b', 'b', 'b'};
    size_t found = 0;
    for (int trial = 0; trial < 4000; trial++) {
        const size_t length = random_below(300), pair_count = 1 + random_below(COUNT(pairs));
        uint8_t *text = malloc(length ? length : 1); /* exactly what may be read */
        ck_assert_ptr_nonnull(text);
        for (size_t i = 0; i < length; i++)
            text[i] = random_below(4) == 0 ? 'b' : alphabet[random_below(sizeof alphabet)];
        const size_t from = random_below(length + 1);
        size_t expected = length;
        for (size_t i = from; i + 1 < length && expected == length; i++)
            for (size_t k = 0; k < pair_count; k++)
                if (text[i] == pairs[k].first && text[i + 1] == pairs[k].second)
                    expected = i;
        FOR_EACH_ISA (isa)
            ck_assert_uint_eq(bytes_find_pair(text, length, from, pairs, pair_count), expected);
        found += expected < length;
        free(text);
    }
    ck_assert_uint_gt(found, 1000);
    ck_assert_uint_lt(found, 3900);
}
END_TEST

/* More beginnings than are searched for in vectors. */
START_TEST(test_special_tokens_may_begin_in_many_ways)
{
    enum { TOKENS = 3 * SPECIAL_TOKEN_PAIRS, TEXT = 200 };
    uint8_t names[TOKENS][3], text[TEXT];
    ByteString tokens[TOKENS];
    for (size_t i = 0; i < TOKENS; i++) {
        names[i][0] = (uint8_t)('A' + i);
        names[i][1] = (uint8_t)('a' + i);
        names[i][2] = '>';
        tokens[i] = (ByteString){.bytes = names[i], .length = 3};
    }
    for (size_t count = SPECIAL_TOKEN_PAIRS - 1; count <= TOKENS; count++) {
        SpecialTokens special;
        assert_ok(special_tokens_init(&special, tokens, count));
        for (size_t i = 0; i < TOKENS; i++)
            for (size_t at = 0; at + 3 <= TEXT; at += 7) {
                memset(text, 'A', sizeof text);
                memcpy(text + at, names[i], 3);
                const SpecialMatch match = special_tokens_find(&special, text, sizeof text, 0, true);
                ck_assert_uint_eq(match.at, i < count ? at : (size_t)TEXT);
                ck_assert(i < count ? byte_string_equal(special.tokens[match.index], tokens[i]) : match.index < 0);
            }
        special_tokens_deinit(&special);
    }
}
END_TEST

const TestCase bytes_tests[] = {
    TEST(test_every_byte_at_every_place_is_classified, "kernels"),
    TEST(test_pairs_of_bytes_are_found_where_they_first_stand, "kernels"),
    TEST(test_special_tokens_may_begin_in_many_ways, "tokenizer"),
    {0},
};
