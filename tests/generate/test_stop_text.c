/* Stop texts against a plain search of all bytes. */
#include "core/memory.h"
#include "core/rng.h"
#include "generate/stop_text.h"
#include "tests/suites.h"
#include "tests/support/failures.h"

#include <string.h>

enum { MOST_STOPS = 3, MOST_BYTES = 60 };

/* True if the bytes end with the text. */
static bool ends_with(ByteString bytes, ByteString text)
{
    return text.length <= bytes.length &&
           memcmp(bytes.bytes + bytes.length - text.length, text.bytes, text.length) == 0;
}

/* Finds the shortest prefix that ends with a stop text, and returns its bytes before the longest such text. */
static ByteString plain_search(bool *found, ByteString bytes, const ByteString *stops, size_t count)
{
    for (size_t end = 1; end <= bytes.length; end++) {
        size_t longest = 0;
        for (size_t i = 0; i < count; i++)
            if (ends_with((ByteString){bytes.bytes, end}, stops[i]) && stops[i].length > longest)
                longest = stops[i].length;
        if (longest) {
            *found = true;
            return (ByteString){bytes.bytes, end - longest};
        }
    }
    *found = false;
    return bytes;
}

/* Returns the length of the longest end of the bytes that begins a stop text: no more may be held back. */
static size_t plain_begun(ByteString bytes, const ByteString *stops, size_t count)
{
    size_t most = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t n = 1; n < stops[i].length && n <= bytes.length; n++)
            if (n > most && ends_with(bytes, (ByteString){stops[i].bytes, n}))
                most = n;
    return most;
}

/* Pushes the bytes in random pieces, and compares what comes out with the plain search after every piece. */
static void check(ByteString bytes, const ByteString *stops, size_t count, Rng *rng)
{
    StopTexts texts;
    StopFilter filter;
    ByteList out = {0};
    bool found = false;
    assert_ok(stop_texts_init(&texts, stops, count));
    assert_ok(stop_filter_init(&filter, &texts));
    for (size_t taken = 0; taken < bytes.length;) {
        size_t n = rng_below(rng, 5);
        n = n < bytes.length - taken ? n : bytes.length - taken;
        ByteString released;
        assert_ok(stop_filter_push(&released, &filter, (ByteString){bytes.bytes + taken, n}));
        if (released.length)
            assert_ok(byte_list_append(&out, released.bytes, released.length));
        taken += n;
        const ByteString so_far = {bytes.bytes, taken}, expected = plain_search(&found, so_far, stops, count);
        ck_assert(filter.found == found);
        ck_assert_uint_eq(out.length, expected.length - (found ? 0 : plain_begun(so_far, stops, count)));
        ck_assert(out.length == 0 || memcmp(out.bytes, bytes.bytes, out.length) == 0);
    }
    const ByteString rest = stop_filter_rest(&filter), expected = plain_search(&found, bytes, stops, count);
    ck_assert_uint_eq(out.length + rest.length, expected.length);
    ck_assert(rest.length == 0 || memcmp(rest.bytes, bytes.bytes + out.length, rest.length) == 0);
    byte_list_deinit(&out);
    stop_filter_deinit(&filter);
    stop_texts_deinit(&texts);
}

START_TEST(test_stop_texts_that_overlap_themselves)
{
    static const struct {
        const char *bytes, *stops[MOST_STOPS];
    } cases[] = {
        {"aaab", {"aab"}},
        {"xaabaabaaabaab", {"aabaaab"}},
        {"abababac", {"ababac"}},
        {"aaaa", {"aaaaa"}},
        {"one two three", {"two three four", "two t", "o"}},
        {"abcd", {"abcd", "bc", "bcd"}},    /* the shorter one ends first */
        {"xabcd", {"abcd", "cd"}},          /* both end with the same byte: the longer one is left out */
        {"caf\xC3\xA9 \xC3\xA8", {"\xA8"}}, /* a byte inside a character */
        {"caf\xC3\xA9\xC3\xA9.", {"\xC3\xA9."}},
        {"", {"a"}},
        {"<|endoftext", {"<|endoftext|>"}},
        {"<<|endoftext|>tail", {"<|endoftext|>"}},
    };
    Rng rng = rng_seeded(1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ByteString stops[MOST_STOPS];
        size_t count = 0;
        while (count < MOST_STOPS && cases[i].stops[count]) {
            stops[count] = byte_string(cases[i].stops[count]);
            count++;
        }
        test_label("\"%s\"", cases[i].bytes);
        for (int round = 0; round < 20; round++)
            check(byte_string(cases[i].bytes), stops, count, &rng);
    }
    check(byte_string("no stop text"), NULL, 0, &rng);
}
END_TEST

START_TEST(test_stop_texts_agree_with_a_plain_search)
{
    Rng rng = rng_seeded(2);
    for (int round = 0; round < 3000; round++) {
        uint8_t bytes[MOST_BYTES], text[MOST_STOPS][9];
        ByteString stops[MOST_STOPS];
        /* Two letters: long partial matches are frequent. */
        for (size_t i = 0; i < MOST_BYTES; i++)
            bytes[i] = (uint8_t)('a' + rng_below(&rng, 2));
        const size_t count = 1 + rng_below(&rng, MOST_STOPS);
        for (size_t i = 0; i < count; i++) {
            stops[i] = (ByteString){text[i], 2 + rng_below(&rng, 8)};
            for (size_t k = 0; k < stops[i].length; k++)
                text[i][k] = (uint8_t)('a' + rng_below(&rng, 2));
        }
        test_label("round %d", round);
        check((ByteString){bytes, 1 + rng_below(&rng, MOST_BYTES)}, stops, count, &rng);
    }
}
END_TEST

START_TEST(test_stop_text_errors)
{
    StopTexts texts;
    StopFilter filter;
    const ByteString stops[] = {byte_string("a"), {.length = 0}};
    const size_t before = memory_in_use();
    assert_fails(stop_texts_init(&texts, stops, 2), CS336_ERANGE,
                 "stop_texts_init: a stop text is empty, expected at least one byte");
    memory_fail_at(1);
    assert_fails(stop_texts_init(&texts, stops, 1), CS336_ENOMEM, "stop_texts_init: no memory for 1 stop texts");
    memory_fail_at(2);
    assert_fails(stop_texts_init(&texts, stops, 1), CS336_ENOMEM,
                 "stop_texts_init: no memory for a stop text of 1 bytes");
    assert_ok(stop_texts_init(&texts, stops, 1));
    memory_fail_at(1);
    assert_fails(stop_filter_init(&filter, &texts), CS336_ENOMEM, "stop_filter_init: no memory for 1 stop texts");
    stop_texts_deinit(&texts);
    ck_assert_uint_eq(memory_in_use(), before);
}
END_TEST

const TestCase stop_text_tests[] = {
    TEST(test_stop_texts_that_overlap_themselves, "decoding"),
    TEST(test_stop_texts_agree_with_a_plain_search, "decoding"),
    TEST(test_stop_text_errors, "decoding"),
    {0},
};
