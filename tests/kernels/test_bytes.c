#include "kernels/bytes.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/kernels.h"
#include "tests/support/random_text.h"
#include "tokenizer/split/special_tokens.h"

#include <stdlib.h>

START_TEST(test_pairs_of_bytes_are_found_at_their_first_occurrence)
{
    static const BytePair pairs[] = {{'<', '|'}, {'a', 'a'}, {0, 0xFF}, {0x80, 0}};
    static const uint8_t alphabet[] = {'<', '|', 'a', 0, 0xFF, 0x80, 'b', 'b', 'b', 'b', 'b', 'b'};
    size_t found = 0;
    for (int trial = 0; trial < 4000; trial++) {
        const size_t length = random_below(300), pair_count = 1 + random_below(COUNT(pairs));
        uint8_t *text = malloc(length ? length : 1); /* exactly the bytes that may be read */
        ck_assert_ptr_nonnull(text);
        for (size_t i = 0; i < length; i++)
            text[i] = random_below(4) == 0 ? 'b' : alphabet[random_below(sizeof alphabet)];
        const size_t begin = random_below(length + 1);
        size_t expected = length;
        for (size_t i = begin; i + 1 < length && expected == length; i++)
            for (size_t k = 0; k < pair_count; k++)
                if (text[i] == pairs[k].first && text[i + 1] == pairs[k].second)
                    expected = i;
        FOR_EACH_ISA (isa) {
            test_label("%zu pairs in %zu bytes from %zu on, %s", pair_count, length, begin, isa_name(isa));
            ck_assert_uint_eq(bytes_find_pair(text, length, begin, pairs, pair_count), expected);
        }
        found += expected < length;
        free(text);
    }
    test_label_end();
    ck_assert_uint_gt(found, 1000);
    ck_assert_uint_lt(found, 3900);
}
END_TEST

/* With more than SPECIAL_TOKEN_PAIRS different first bytes, the search cannot test 64 bytes at a time any more. */
START_TEST(test_special_tokens_with_many_first_bytes_are_found)
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
        assert_ok(special_tokens_init(&special, tokens, NULL, count));
        for (size_t i = 0; i < TOKENS; i++)
            for (size_t begin = 0; begin + 3 <= TEXT; begin += 7) {
                memset(text, 'A', sizeof text);
                memcpy(text + begin, names[i], 3);
                test_label("%zu special tokens, number %zu at %zu", count, i, begin);
                const SpecialMatch match = special_tokens_find(&special, text, sizeof text, 0, true);
                ck_assert_uint_eq(match.begin, i < count ? begin : (size_t)TEXT);
                ck_assert(i < count ? byte_string_equal(special.tokens[match.index], tokens[i]) : match.index < 0);
            }
        special_tokens_deinit(&special);
    }
}
END_TEST

const TestCase bytes_tests[] = {
    TEST(test_pairs_of_bytes_are_found_at_their_first_occurrence, "kernels"),
    TEST(test_special_tokens_with_many_first_bytes_are_found, "tokenizer"),
    {0},
};
