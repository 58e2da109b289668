#include "core/rng.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/kernels.h"
#include "tests/support/random_text.h"
#include "tests/support/special_examples.h"
#include "tokenizer/split/special_tokens.h"

#include <stdbool.h>
#include <string.h>

/* Returns the index of the earliest special token, the longest one there, and sets *begin; -1: there is none. */
static int64_t find_slowly(const SpecialTokens *special, ByteString text, size_t *begin)
{
    for (*begin = 0; *begin < text.length; ++*begin) {
        int64_t best = -1;
        for (size_t i = 0; i < special->count; i++) {
            const ByteString token = special->tokens[i];
            if (token.length <= text.length - *begin && memcmp(text.bytes + *begin, token.bytes, token.length) == 0 &&
                (best < 0 || token.length > special->tokens[best].length))
                best = (int64_t)i;
        }
        if (best >= 0)
            return best;
    }
    return -1;
}

START_TEST(test_special_tokens_are_found_earliest_and_longest_first)
{
    Rng rng = rng_seeded(1);
    uint8_t buffer[LONGEST_TEXT];
    for (int trial = 0; trial < 3000; trial++) {
        SpecialTokens special;
        const size_t first = (size_t)rng_below(&rng, COUNT(specials));
        const size_t count = 1 + (size_t)rng_below(&rng, COUNT(specials) - first);
        assert_ok(special_tokens_init(&special, specials + first, NULL, count));
        const ByteString text = random_text(&rng, buffer, special_atoms, COUNT(special_atoms), 12);
        size_t begin;
        const int64_t expected = find_slowly(&special, text, &begin);
        FOR_EACH_ISA (isa) {
            const SpecialMatch match = special_tokens_find(&special, text.bytes, text.length, 0, true);
            if (match.index != expected || match.begin != begin)
                ck_abort_msg("trial %d: token %d at %zu, expected %d at %zu", trial, (int)match.index, match.begin,
                             (int)expected, begin);
        }
        for (size_t shown = 0; shown <= text.length; shown++) {
            const SpecialMatch early = special_tokens_find(&special, text.bytes, shown, 0, false);
            if (early.index >= 0 ? early.index != expected || early.begin != begin : early.begin > begin)
                ck_abort_msg("trial %d, %zu bytes shown: token %d at %zu", trial, shown, (int)early.index, early.begin);
        }
        special_tokens_deinit(&special);
    }
}
END_TEST

/* True if a token begins at index `at` and ends after `end`, or may do so if the text goes on. */
static bool reaches_slowly(const SpecialTokens *special, ByteString text, size_t at, size_t end, bool ended)
{
    for (size_t i = 0; i < special->count; i++) {
        const ByteString token = special->tokens[i];
        const size_t left = text.length - at, shown = token.length < left ? token.length : left;
        if (memcmp(text.bytes + at, token.bytes, shown) == 0 && at + token.length > end &&
            (shown == token.length || !ended))
            return true;
    }
    return false;
}

static bool ends_slowly(const SpecialTokens *special, ByteString text, size_t at)
{
    for (size_t i = 0; i < special->count; i++) {
        const ByteString token = special->tokens[i];
        if (token.length <= at && memcmp(text.bytes + at - token.length, token.bytes, token.length) == 0)
            return true;
    }
    return false;
}

/* Where a text may be cut without cutting a token, and where tokens begin and end: each place, each token. */
START_TEST(test_special_tokens_at_a_place)
{
    Rng rng = rng_seeded(3);
    uint8_t buffer[LONGEST_TEXT];
    size_t crossed = 0;
    for (int trial = 0; trial < 3000; trial++) {
        SpecialTokens special;
        bool late[COUNT(specials)];
        for (size_t i = 0; i < COUNT(specials); i++)
            late[i] = rng_below(&rng, 2);
        assert_ok(special_tokens_init(&special, specials, late, (size_t)rng_below(&rng, COUNT(specials) + 1)));
        const ByteString text = random_text(&rng, buffer, special_atoms, COUNT(special_atoms), 12);
        const bool ended = rng_below(&rng, 2);
        for (size_t at = 0; at < text.length; at++) {
            bool expected = false;
            for (size_t begin = 0; begin < at; begin++)
                expected = expected || reaches_slowly(&special, text, begin, at, ended);
            crossed += expected;
            test_label("trial %d, byte %zu of %zu, ended %d", trial, at, text.length, ended);
            ck_assert_int_eq(special_tokens_cross(&special, text.bytes, text.length, at, ended), expected);
            ck_assert_int_eq(special_tokens_begin_at(&special, text.bytes, text.length, at, ended),
                             reaches_slowly(&special, text, at, at, ended));
            ck_assert_int_eq(special_tokens_end_at(&special, text.bytes, at), ends_slowly(&special, text, at));
        }
        special_tokens_deinit(&special);
    }
    test_label_end();
    ck_assert_uint_gt(crossed, 3000);
}
END_TEST

/* Returns the longest token at a place, of those that are late or of those that are not, which ends at `end` at most.
 */
static int64_t longest_slowly(const SpecialTokens *special, bool late, ByteString text, size_t at, size_t end)
{
    int64_t best = -1;
    for (size_t i = late ? special->early_count : 0; i < (late ? special->count : special->early_count); i++) {
        const ByteString token = special->tokens[i];
        if (token.length <= end - at && memcmp(text.bytes + at, token.bytes, token.length) == 0 &&
            (best < 0 || token.length > special->tokens[best].length))
            best = (int64_t)i;
    }
    return best;
}

/*
 * Sets tokens[i] to the token that begins at byte i, else to -1: first those that are not late, in the whole text, from
 * left to right; then the late ones, in each text that is left between them.
 */
static void find_in_two_rounds(int64_t *tokens, const SpecialTokens *special, ByteString text)
{
    bool taken[LONGEST_TEXT + 1] = {[0] = false};
    for (size_t i = 0; i < text.length; i++)
        tokens[i] = -1;
    for (int late = 0; late <= 1; late++)
        for (size_t i = 0; i < text.length;) {
            size_t end = i;
            while (end < text.length && !taken[end])
                end++;
            const int64_t token = longest_slowly(special, late, text, i, end);
            const size_t length = token < 0 ? 0 : special->tokens[token].length;
            if (token >= 0)
                tokens[i] = token;
            for (size_t k = 0; !late && k < length; k++)
                taken[i + k] = true;
            i += length ? length : 1;
        }
}

/* Whatever is shown of a text that goes on, what is found is right, and nothing is passed over. */
START_TEST(test_late_special_tokens_are_found_between_the_others)
{
    static const ByteString overlapping[] = {ATOM("ab"), ATOM("bc"),  ATOM("abcab"), ATOM("cab"),
                                             ATOM("aa"), ATOM("bcb"), ATOM("ca c"),  ATOM("c")};
    static const ByteString letters[] = {ATOM("a"), ATOM("b"), ATOM("c"), ATOM("ab"), ATOM(" ")};
    Rng rng = rng_seeded(22);
    uint8_t buffer[LONGEST_TEXT];
    size_t found[2] = {0};
    for (int trial = 0; trial < 3000; trial++) {
        SpecialTokens special;
        int64_t expected[LONGEST_TEXT];
        bool late[COUNT(overlapping)];
        for (size_t i = 0; i < COUNT(overlapping); i++)
            late[i] = rng_below(&rng, 2);
        assert_ok(special_tokens_init(&special, overlapping, late, COUNT(overlapping) - rng_below(&rng, 2)));
        for (size_t i = 1; i < special.count; i++)
            ck_assert(i == special.early_count || byte_string_compare(special.tokens[i - 1], special.tokens[i]) < 0);
        const ByteString text = random_text(&rng, buffer, letters, COUNT(letters), 20);
        find_in_two_rounds(expected, &special, text);
        size_t begin = 0, shown = (size_t)rng_below(&rng, 4);
        while (begin < text.length) {
            const bool ended = shown >= text.length;
            const size_t length = ended ? text.length : shown;
            const SpecialMatch match = special_tokens_find(&special, text.bytes, length, begin, ended);
            ck_assert_uint_le(match.begin, length > begin ? length : begin);
            for (; begin < match.begin; begin++)
                if (expected[begin] >= 0)
                    ck_abort_msg("trial %d: token %d at %zu is passed over", trial, (int)expected[begin], begin);
            if (match.index >= 0 && expected[begin] != match.index)
                ck_abort_msg("trial %d: token %d at %zu, expected %d", trial, (int)match.index, begin,
                             (int)expected[begin]);
            if (match.index >= 0) {
                begin += special.tokens[match.index].length;
                found[match.index >= (int64_t)special.early_count]++;
            } else {
                shown += 1 + (size_t)rng_below(&rng, 5);
            }
        }
        special_tokens_deinit(&special);
    }
    ck_assert(found[0] > 3000 && found[1] > 3000);
}
END_TEST

const TestCase special_tokens_tests[] = {
    TEST(test_special_tokens_are_found_earliest_and_longest_first, "tokenizer"),
    TEST(test_special_tokens_at_a_place, "tokenizer"),
    TEST(test_late_special_tokens_are_found_between_the_others, "tokenizer"),
    {0},
};
