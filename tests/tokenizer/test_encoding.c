#include "core/memory.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/lines.h"
#include "tests/support/plain_bpe.h"
#include "tests/support/random_text.h"
#include "tokenizer/encode/encoder.h"
#include "tokenizer/encode/utf8_replace.h"
#include "tokenizer/learn/bpe_train.h"

#include <stdlib.h>
#include <string.h>

enum { MEGABYTE = 1 << 20 };

static ByteString view(const ByteList *list)
{
    return (ByteString){.bytes = list->bytes, .length = list->length};
}

/* Special tokens that are beginnings of each other, repeat, overlap, hold white space or are one byte. */
static const ByteString specials[] = {ATOM("<|a|>"), ATOM("<|a|><|a|>"), ATOM("<|a"), ATOM("aba"),
                                      ATOM("x y\n"), ATOM("\n<|a|>\n"),  ATOM("q")};
static const ByteString atoms[] = {ATOM("<|a|>"), ATOM("<|a"), ATOM("<|"),   ATOM("a"),   ATOM("b"),        ATOM("aab"),
                                   ATOM("x y"),   ATOM(" "),   ATOM("\n"),   ATOM("|>"),  ATOM("x"),        ATOM("q"),
                                   ATOM("é"),     ATOM("'s"),  ATOM("12"),   ATOM("  "),  ATOM("\xE4\xB8"), ATOM("\0"),
                                   ATOM("东"),    ATOM("'"),   ATOM("\xFF"), ATOM("'ll"), ATOM("\xC2\xA0")};

/* A vocabulary of a few hundred merges, many of them of a's and b's. */
static BPEModel make_model(void)
{
    static const char text[] =
        "aab aabaab abab aaaa aaab bbab abba aaaaaaaabbbbabab xxyx é éé 东 'll it's he's 12 1212 "
        "<|a|> <| |> |>x x|> \xFF\xFF \n\n\n  \n x y\n aa\xC2\xA0 a\xC2\xA0 aabb ab qqq aq";
    const ByteString texts[] = {byte_string(text)};
    const BPETrainConfig config = {.vocab_size = 400, .threads = 1};
    BPEModel model;
    assert_ok(bpe_train(&model, NULL, texts, 1, &config));
    return model;
}

static Tokenizer *make_tokenizer(size_t special_count)
{
    BPEModel model = make_model();
    Tokenizer *tokenizer;
    assert_ok(tokenizer_create(&tokenizer, &model, specials, special_count));
    bpe_model_deinit(&model);
    return tokenizer;
}

/* The 256 bytes alone. */
static Tokenizer *make_byte_tokenizer(void)
{
    const BPETrainConfig config = {.vocab_size = 256, .threads = 1};
    BPEModel model;
    Tokenizer *tokenizer;
    assert_ok(bpe_train(&model, NULL, NULL, 0, &config));
    assert_ok(tokenizer_create(&tokenizer, &model, NULL, 0));
    bpe_model_deinit(&model);
    return tokenizer;
}

static TokenList encode(const Tokenizer *tokenizer, ByteString text)
{
    TokenList ids = {0};
    assert_ok(tokenizer_encode(tokenizer, &ids, text));
    return ids;
}

static bool same_ids(const TokenList *a, const TokenList *b)
{
    return a->count == b->count && (a->count == 0 || memcmp(a->ids, b->ids, a->count * sizeof *a->ids) == 0);
}

/* ---- merges ---- */

START_TEST(test_encoding_equals_applying_each_merge_in_turn)
{
    BPEModel model = make_model();
    Tokenizer *tokenizer;
    assert_ok(tokenizer_create(&tokenizer, &model, NULL, 0));
    ByteString left[400], right[400], tokens[LONGEST_TEXT];
    for (size_t i = 0; i < model.merge_count; i++) {
        left[i] = bpe_model_token(&model, model.merges[i].left);
        right[i] = bpe_model_token(&model, model.merges[i].right);
    }
    const ByteString letters[] = {ATOM("a"), ATOM("b"), ATOM("aab"), ATOM("abab"), ATOM("x")};
    Rng rng = rng_seeded(4);
    uint8_t buffer[LONGEST_TEXT];
    size_t longest = 0;
    for (int trial = 0; trial < 1000; trial++) {
        const ByteString word = random_text(&rng, buffer, letters, COUNT(letters), trial % 2 ? 8 : 80);
        const size_t count = plain_bpe_apply(tokens, word, left, right, model.merge_count, TOKENIZER_RIGHT);
        TokenList ids = encode(tokenizer, word);
        if (ids.count != count)
            ck_abort_msg("word %d: %zu tokens, expected %zu", trial, ids.count, count);
        for (size_t i = 0; i < count; i++)
            if (!byte_string_equal(tokenizer_token(tokenizer, ids.ids[i]), tokens[i]))
                ck_abort_msg("word %d: token %zu is %d, expected \"%.*s\"", trial, i, (int)ids.ids[i],
                             (int)tokens[i].length, (const char *)tokens[i].bytes);
        longest = word.length > longest ? word.length : longest;
        token_list_deinit(&ids);
    }
    ck_assert_uint_gt(longest, 200);
    tokenizer_destroy(tokenizer);
    bpe_model_deinit(&model);
}
END_TEST

/* Quadratic time would be hours here, whether in merging, in scanning again or in searching again. */
START_TEST(test_a_word_of_a_megabyte_takes_no_quadratic_time)
{
    Tokenizer *tokenizer = make_tokenizer(2);
    const char letters[] = {'a', ' ', '<', '\xE4'};
    const size_t length = test_is_instrumented() ? MEGABYTE / 8 : MEGABYTE;
    uint8_t *text = malloc(length);
    for (size_t k = 0; k < COUNT(letters); k++) {
        memset(text, letters[k], length);
        test_label("byte 0x%02X", (unsigned char)letters[k]);
        TokenList whole = encode(tokenizer, (ByteString){.bytes = text, .length = length}), streamed = {0};
        Encoder *encoder;
        assert_ok(encoder_create(&encoder, tokenizer, token_list_sink, &streamed));
        Status s = CS336_OK;
        for (size_t i = 0; !s && i < length; i++)
            s = encoder_feed(encoder, text + i, 1);
        assert_ok(s);
        assert_ok(encoder_finish(encoder));
        encoder_destroy(encoder);
        ck_assert(same_ids(&whole, &streamed));
        ByteList decoded = {0};
        assert_ok(tokenizer_decode(tokenizer, &decoded, whole.ids, whole.count));
        ck_assert(byte_string_equal(view(&decoded), (ByteString){.bytes = text, .length = length}));
        byte_list_deinit(&decoded);
        token_list_deinit(&whole);
        token_list_deinit(&streamed);
    }
    free(text);
    tokenizer_destroy(tokenizer);
}
END_TEST

/* ---- streaming ---- */

static Status stream(Encoder *encoder, ByteString text, size_t size)
{
    Status s = CS336_OK;
    for (size_t at = 0; !s && at < text.length; at += size)
        s = encoder_feed(encoder, text.bytes + at, size < text.length - at ? size : text.length - at);
    return s ? s : encoder_finish(encoder);
}

START_TEST(test_streaming_gives_the_same_ids_for_every_chunk_size)
{
    Rng rng = rng_seeded(5);
    uint8_t buffer[LONGEST_TEXT];
    for (size_t special_count = 0; special_count <= COUNT(specials); special_count += COUNT(specials)) {
        Tokenizer *tokenizer = make_tokenizer(special_count);
        TokenList streamed = {0};
        Encoder *encoder;
        assert_ok(encoder_create(&encoder, tokenizer, token_list_sink, &streamed));
        for (int trial = 0; trial < 200; trial++) {
            const ByteString text = random_text(&rng, buffer, atoms, COUNT(atoms), 30);
            TokenList whole = encode(tokenizer, text);
            for (size_t size = 1; size <= text.length; size++) {
                streamed.count = 0;
                const Status s = stream(encoder, text, size);
                if (s || !same_ids(&whole, &streamed))
                    ck_abort_msg("text %d in chunks of %zu: %zu ids, expected %zu", trial, size, streamed.count,
                                 whole.count);
            }
            token_list_deinit(&whole);
        }
        encoder_destroy(encoder);
        token_list_deinit(&streamed);
        tokenizer_destroy(tokenizer);
    }
}
END_TEST

/* "q", and a pre-token that is longer than the look-ahead. */
static const char goes_on[] =
    "q xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

START_TEST(test_streaming_emits_ids_when_nothing_can_change_them)
{
    Tokenizer *tokenizer = make_tokenizer(1);
    TokenList ids = {0};
    Encoder *encoder;
    assert_ok(encoder_create(&encoder, tokenizer, token_list_sink, &ids));
    assert_ok(encoder_feed(encoder, (const uint8_t *)goes_on, sizeof goes_on - 1));
    ck_assert_uint_eq(ids.count, 1);
    assert_ok(encoder_feed(encoder, (const uint8_t *)"<|a|>", 5));
    ck_assert_int_eq(ids.ids[ids.count - 1], tokenizer_find(tokenizer, byte_string("<|a|>")));
    assert_ok(encoder_finish(encoder));
    encoder_destroy(encoder);
    token_list_deinit(&ids);
    tokenizer_destroy(tokenizer);
}
END_TEST

static Status full(void *context, const int32_t *ids, size_t count)
{
    (void)ids;
    return status_fail(CS336_EIO, "no room for %zu ids after %d", count, *(const int *)context);
}

START_TEST(test_what_the_sink_returns_ends_the_encoding)
{
    Tokenizer *tokenizer = make_tokenizer(0);
    Encoder *encoder;
    int number = 7;
    assert_ok(encoder_create(&encoder, tokenizer, full, &number));
    assert_fails(encoder_feed(encoder, (const uint8_t *)goes_on, sizeof goes_on - 1), CS336_EIO,
                 "no room for 1 ids after 7");
    encoder_destroy(encoder);
    encoder_destroy(NULL);
    tokenizer_destroy(tokenizer);
    tokenizer_destroy(NULL);
}
END_TEST

/* ---- special tokens and the vocabulary ---- */

START_TEST(test_special_tokens_that_are_absent_are_appended)
{
    BPEModel model = make_model();
    const size_t size = model.vocab_size;
    const ByteString wanted[] = {ATOM("<|b|>"), ATOM("aab"), ATOM("<|c|>"), ATOM("<|b|>"), ATOM("a")};
    Tokenizer *tokenizer;
    assert_ok(tokenizer_create(&tokenizer, &model, wanted, COUNT(wanted)));
    ck_assert_uint_eq(tokenizer_vocab_size(tokenizer), size + 2);
    ck_assert_int_eq(tokenizer_find(tokenizer, byte_string("<|b|>")), (int)size);
    ck_assert_int_eq(tokenizer_find(tokenizer, byte_string("<|c|>")), (int)size + 1);
    ck_assert_int_eq(tokenizer_find(tokenizer, byte_string("<|d|>")), -1);
    ck_assert(byte_string_equal(tokenizer_token(tokenizer, (int32_t)size), byte_string("<|b|>")));
    TokenList ids = encode(tokenizer, byte_string("<|c|>aab<|b|>a"));
    const int32_t expected[] = {(int32_t)size + 1, tokenizer_find(tokenizer, byte_string("aab")), (int32_t)size,
                                tokenizer_find(tokenizer, byte_string("a"))};
    ck_assert(same_ids(&ids, &(TokenList){.ids = (int32_t *)(uintptr_t)expected, .count = COUNT(expected)}));
    token_list_deinit(&ids);
    tokenizer_destroy(tokenizer);
    bpe_model_deinit(&model);
}
END_TEST

START_TEST(test_all_bytes_come_back)
{
    Tokenizer *tokenizers[] = {make_tokenizer(2), make_byte_tokenizer()};
    uint8_t text[2 * 256 * 256];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i % 2 ? i >> 9 : i >> 1);
    for (size_t k = 0; k < COUNT(tokenizers); k++) {
        test_label("tokenizer %zu", k);
        TokenList ids = encode(tokenizers[k], (ByteString){.bytes = text, .length = sizeof text});
        ByteList decoded = {0};
        assert_ok(tokenizer_decode(tokenizers[k], &decoded, ids.ids, ids.count));
        ck_assert(byte_string_equal(view(&decoded), (ByteString){.bytes = text, .length = sizeof text}));
        byte_list_deinit(&decoded);
        token_list_deinit(&ids);
        tokenizer_destroy(tokenizers[k]);
    }
}
END_TEST

START_TEST(test_lists_are_appended_to)
{
    Tokenizer *tokenizer = make_byte_tokenizer();
    TokenList ids = encode(tokenizer, byte_string("ab"));
    assert_ok(tokenizer_encode(tokenizer, &ids, byte_string("c")));
    ck_assert_uint_eq(ids.count, 3);
    ByteList text = {0};
    assert_ok(byte_list_append(&text, (const uint8_t *)"> ", 2));
    assert_ok(tokenizer_decode(tokenizer, &text, ids.ids, ids.count));
    ck_assert(byte_string_equal(view(&text), byte_string("> abc")));
    assert_ok(tokenizer_decode_replace(tokenizer, &text, ids.ids, 1));
    ck_assert(byte_string_equal(view(&text), byte_string("> abca")));
    byte_list_deinit(&text);
    token_list_deinit(&ids);
    tokenizer_destroy(tokenizer);
}
END_TEST

/* ---- malformed UTF-8 ---- */

START_TEST(test_decoding_replaces_as_python_does)
{
    Tokenizer *tokenizer = make_byte_tokenizer();
    Lines lines = lines_open("tokenizer/replaced.txt");
    uint8_t bytes[LINE_BYTES], expected[LINE_BYTES];
    ByteList text = {0};
    while (lines_next(&lines)) {
        const size_t length = line_bytes(&lines, bytes), wanted = line_bytes(&lines, expected);
        TokenList ids = encode(tokenizer, (ByteString){.bytes = bytes, .length = length});
        text.length = 0;
        if (tokenizer_decode_replace(tokenizer, &text, ids.ids, ids.count) || text.length != wanted ||
            memcmp(text.bytes, expected, wanted) != 0)
            ck_abort_msg("line %zu", lines.number);
        for (size_t cut = 0; cut <= length; cut++) {
            Utf8Replacer replacer = {0};
            text.length = 0;
            if (utf8_replace(&replacer, &text, bytes, cut, false) ||
                utf8_replace(&replacer, &text, bytes + cut, length - cut, true) || text.length != wanted ||
                memcmp(text.bytes, expected, wanted) != 0)
                ck_abort_msg("line %zu cut at %zu", lines.number, cut);
        }
        token_list_deinit(&ids);
    }
    byte_list_deinit(&text);
    lines_close(&lines);
    tokenizer_destroy(tokenizer);
}
END_TEST

/* ---- errors ---- */

START_TEST(test_decoding_an_unknown_id_names_it)
{
    Tokenizer *tokenizer = make_byte_tokenizer();
    ByteList text = {0};
    const int32_t large[] = {3, 256}, negative[] = {-1};
    assert_fails(tokenizer_decode(tokenizer, &text, large, 2), CS336_ERANGE,
                 "tokenizer_decode: id 256 at position 1, expected below the vocabulary size 256");
    assert_fails(tokenizer_decode_replace(tokenizer, &text, negative, 1), CS336_ERANGE,
                 "tokenizer_decode: id -1 at position 0, expected below the vocabulary size 256");
    ck_assert_uint_eq(text.length, 0);
    byte_list_deinit(&text);
    tokenizer_destroy(tokenizer);
}
END_TEST

START_TEST(test_a_tokenizer_needs_every_byte_and_sound_merges)
{
    BPEModel model = {0};
    Tokenizer *tokenizer;
    assert_fails(tokenizer_create(&tokenizer, &model, NULL, 0), CS336_ERANGE,
                 "tokenizer_create: no token for byte 0x00 among 0 tokens");
    ck_assert_ptr_null(tokenizer);
    model = make_model();
    const ByteString empty = {0};
    assert_fails(tokenizer_create(&tokenizer, &model, &empty, 1), CS336_ERANGE,
                 "special_tokens_init: special token 1 of 1 is empty");
    const BPEMerge merge = model.merges[1];
    model.merges[1].left = merge.right;
    model.merges[1].right = merge.left;
    char message[128];
    snprintf(message, sizeof message, "tokenizer_create: merge 1 makes token %d from %d and %d, which it is not",
             (int)merge.merged, (int)merge.right, (int)merge.left);
    if (merge.left != merge.right)
        assert_fails(tokenizer_create(&tokenizer, &model, NULL, 0), CS336_ERANGE, message);
    model.merges[1] = (BPEMerge){.left = 1, .right = 1000, .merged = 2};
    assert_fails(tokenizer_create(&tokenizer, &model, NULL, 0), CS336_ERANGE,
                 "tokenizer_create: merge 1 makes token 2 from 1 and 1000, which it is not");
    bpe_model_deinit(&model);
}
END_TEST

static Status attempt_create(void *context)
{
    Tokenizer *tokenizer;
    const Status s = tokenizer_create(&tokenizer, context, specials, COUNT(specials));
    tokenizer_destroy(tokenizer);
    return s;
}

static const char *const attempted_text =
    "ab<|a|>aabaabx y\n aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";

static Status attempt_encode(void *context)
{
    TokenList ids = {0};
    const Status s = tokenizer_encode(context, &ids, byte_string(attempted_text));
    ck_assert(!s || ids.count == 0);
    token_list_deinit(&ids);
    return s;
}

static Status attempt_stream(void *context)
{
    TokenList ids = {0};
    Encoder *encoder;
    Status s = encoder_create(&encoder, context, token_list_sink, &ids);
    if (!s)
        s = stream(encoder, byte_string(attempted_text), 7);
    encoder_destroy(encoder);
    token_list_deinit(&ids);
    return s;
}

static Status attempt_decode(void *context)
{
    const int32_t ids[] = {7, 8, 200, 300};
    ByteList text = {0};
    Status s = tokenizer_decode(context, &text, ids, COUNT(ids));
    if (!s)
        s = tokenizer_decode_replace(context, &text, ids, COUNT(ids));
    byte_list_deinit(&text);
    return s;
}

#define NO_ELEMENTS "array_reserve: no memory for *[0-9] elements of *[0-9] bytes"

START_TEST(test_tokenizing_survives_every_failed_allocation)
{
    BPEModel model = make_model();
    assert_allocation_failures_say(
        attempt_create, &model, NO_ELEMENTS, "tokenizer_create: no memory",
        "special_tokens_init: no memory for 7 tokens of 33 bytes", "token_index_init: no memory for 3[12][0-9] tokens",
        "tokenizer_create: no memory for 60 merges", "word_cache_init: no memory for 2048 pre-tokens",
        "tokenizer_encode: no memory for a pre-token of 256 bytes", "tokenizer_create: no memory for 7 special tokens",
        "text_table_add: no memory for 512 slots");
    bpe_model_deinit(&model);
    Tokenizer *tokenizer = make_tokenizer(COUNT(specials));
    assert_allocation_failures_say(attempt_encode, tokenizer, NO_ELEMENTS, "encoder_create: no memory",
                                   "word_cache_init: no memory for 2048 pre-tokens",
                                   "tokenizer_encode: no memory for a pre-token of 4096 bytes");
    assert_allocation_failures_say(attempt_stream, tokenizer, NO_ELEMENTS, "encoder_create: no memory",
                                   "word_cache_init: no memory for 2048 pre-tokens",
                                   "tokenizer_encode: no memory for a pre-token of 4096 bytes");
    assert_allocation_failures_say(attempt_decode, tokenizer, NO_ELEMENTS);
    tokenizer_destroy(tokenizer);
}
END_TEST

const TestCase encoding_tests[] = {
    TEST(test_encoding_equals_applying_each_merge_in_turn, "tokenizer"),
    TEST(test_a_word_of_a_megabyte_takes_no_quadratic_time, "tokenizer"),
    TEST(test_streaming_gives_the_same_ids_for_every_chunk_size, "tokenizer"),
    TEST(test_streaming_emits_ids_when_nothing_can_change_them, "tokenizer"),
    TEST(test_what_the_sink_returns_ends_the_encoding, "tokenizer"),
    TEST(test_special_tokens_that_are_absent_are_appended, "tokenizer"),
    TEST(test_all_bytes_come_back, "tokenizer"),
    TEST(test_lists_are_appended_to, "tokenizer"),
    TEST(test_decoding_replaces_as_python_does, "tokenizer"),
    TEST(test_decoding_an_unknown_id_names_it, "tokenizer"),
    TEST(test_a_tokenizer_needs_every_byte_and_sound_merges, "tokenizer"),
    TEST(test_tokenizing_survives_every_failed_allocation, "tokenizer"),
    {0},
};
