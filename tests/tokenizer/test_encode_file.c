#include "core/file.h"
#include "core/memory.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/compare_ids.h"
#include "tests/support/plain_pretokens.h"
#include "tests/support/split_texts.h"
#include "tokenizer/encode/encode_file.h"
#include "tokenizer/learn/bpe_train.h"
#include "tokenizer/split/pretokenize.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 4000 };

static bool same_ids(const TokenList *a, const TokenList *b)
{
    return a->count == b->count && (a->count == 0 || memcmp(a->ids, b->ids, a->count * sizeof *a->ids) == 0);
}

/* Applies the merges to each pre-token at once, without cache and sections. */
static TokenList encode_plainly(const Tokenizer *tokenizer, ByteString text)
{
    TokenList ids = {0};
    MergeScratch scratch = {0};
    Pretokenizer pretokenizer;
    const uint8_t *begin = text.bytes, *ends[8 * PRETOKENS_PER_GROUP];
    pretokenizer_begin(&pretokenizer, tokenizer->model.pattern);
    pretokenizer_feed(&pretokenizer, text.bytes, text.length, true);
    for (size_t count; (count = pretokenizer_next(&pretokenizer, ends, COUNT(ends))) > 0;)
        for (size_t i = 0; i < count; begin = ends[i++]) {
            const size_t length = (size_t)(ends[i] - begin);
            assert_ok(merge_scratch_reserve(&scratch, length));
            const size_t id_count = merge_table_apply(&tokenizer->merges, &scratch, begin, length);
            assert_ok(token_list_append(&ids, scratch.ids, id_count));
        }
    merge_scratch_deinit(&scratch);
    return ids;
}

/* ---- chunks and threads ---- */

START_TEST(test_threads_and_chunks_do_not_change_ids)
{
    static const size_t chunks[] = {1, 2, 7, 60, 300, 0};
    static const int threads[] = {1, 2, 3, 8};
    Rng rng = rng_seeded(6);
    for (size_t kind = 0; kind < 4; kind++) {
        Tokenizer *tokenizer = split_tokenizer((PretokenPattern)(kind % 2), split_specials, kind / 2 * SPLIT_SPECIALS);
        test_label("%s, %s special tokens", pattern_names[kind % 2], kind / 2 ? "with" : "without");
        for (size_t trial = 0; trial < 4 * COUNT(chunks); trial++) {
            const size_t chunk = chunks[trial % COUNT(chunks)];
            uint8_t bytes[TEXT_BYTES];
            const ByteString text = split_text_of_chunks(&rng, bytes, sizeof bytes, chunk);
            TokenList expected = {0};
            assert_ok(tokenizer_encode(tokenizer, &expected, text));
            for (size_t t = 0; t < COUNT(threads); t++) {
                const EncodeConfig config = {.threads = threads[t], .chunk_bytes = chunk};
                TokenList ids = {0};
                assert_ok(encode_text(tokenizer, text, token_list_sink, &ids, &config));
                if (!same_ids(&expected, &ids))
                    ck_abort_msg("text %zu, chunks of %zu, %d threads: %zu ids, expected %zu", trial, chunk, threads[t],
                                 ids.count, expected.count);
                token_list_deinit(&ids);
            }
            token_list_deinit(&expected);
        }
        tokenizer_destroy(tokenizer);
    }
}
END_TEST

/* A run of letters begins before each border of chunks and ends behind it, beyond the bytes that are searched for a
 * cut. */
START_TEST(test_a_run_may_reach_far_into_a_chunk)
{
    enum { CHUNKS = 4, BYTES = CHUNKS * ENCODE_CHUNK_BYTES, HALF_RUN = 30000 };
    Tokenizer *tokenizer = split_tokenizer(PATTERN_GPT2, split_specials, 0);
    uint8_t *bytes = malloc(BYTES);
    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t) "the cat sat "[i % 12];
    for (size_t chunk = 1; chunk < CHUNKS; chunk++)
        for (size_t i = chunk * ENCODE_CHUNK_BYTES - HALF_RUN; i < chunk * ENCODE_CHUNK_BYTES + HALF_RUN; i++)
            bytes[i] = (uint8_t) "abc"[i % 3];
    const ByteString text = {.bytes = bytes, .length = BYTES};
    TokenList expected = {0};
    assert_ok(tokenizer_encode(tokenizer, &expected, text));
    for (int threads = 1; threads <= 3; threads++) {
        const EncodeConfig config = {.threads = threads};
        TokenList ids = {0};
        assert_ok(encode_text(tokenizer, text, token_list_sink, &ids, &config));
        ck_assert_msg(same_ids(&expected, &ids), "%d threads: %zu ids, expected %zu", threads, ids.count,
                      expected.count);
        token_list_deinit(&ids);
    }
    token_list_deinit(&expected);
    free(bytes);
    tokenizer_destroy(tokenizer);
}
END_TEST

/* A chunk without a safe cut, of more ids than a thread keeps: the rest waits for its turn. */
START_TEST(test_a_chunk_of_many_ids_is_not_kept)
{
    const size_t half = 400000, length = 2 * half + 1;
    Tokenizer *tokenizer = split_tokenizer(PATTERN_GPT2, NULL, 0);
    uint8_t *text = malloc(length);
    memset(text, 'w', length);
    text[half] = ' ';
    const EncodeConfig config = {.threads = 2};
    TokenList ids = {0}, expected = {0};
    const ByteString all = {.bytes = text, .length = length};
    assert_ok(encode_text(tokenizer, all, token_list_sink, &ids, &config));
    assert_ok(tokenizer_encode(tokenizer, &expected, all));
    ck_assert_uint_gt(ids.count, half);
    ck_assert(same_ids(&expected, &ids));
    token_list_deinit(&ids);
    token_list_deinit(&expected);
    free(text);
    tokenizer_destroy(tokenizer);
}
END_TEST

/* ---- special tokens of any bytes ---- */

/* Merges each pre-token that plain_split_by() finds, and gives special tokens their ids. */
static TokenList encode_by_plain_split(const Tokenizer *tokenizer, ByteString text, const ByteString *special,
                                       size_t special_count)
{
    TokenList ids = {0};
    MergeScratch scratch = {0};
    TextRange *ranges = malloc((text.length + 1) * sizeof *ranges);
    const size_t count = plain_split_by(ranges, text, special, special_count, tokenizer->model.pattern);
    assert_ok(merge_scratch_reserve(&scratch, text.length + 1));
    for (size_t i = 0; i < count; i++) {
        const ByteString bytes = {.bytes = text.bytes + ranges[i].begin, .length = ranges[i].end - ranges[i].begin};
        const int32_t id = tokenizer_find(tokenizer, bytes);
        if (ranges[i].special)
            assert_ok(token_list_append(&ids, &id, 1));
        else
            assert_ok(token_list_append(&ids, scratch.ids,
                                        merge_table_apply(&tokenizer->merges, &scratch, bytes.bytes, bytes.length)));
    }
    merge_scratch_deinit(&scratch);
    free(ranges);
    return ids;
}

/* Compares the ids of the whole text, of a stream, and of threads that share it in chunks, with the expected ones. */
static void compare_ways(const Tokenizer *tokenizer, ByteString text, const TokenList *expected, Rng *rng)
{
    TokenList ids = {0};
    assert_ok(tokenizer_encode(tokenizer, &ids, text));
    ck_assert(same_ids(expected, &ids));
    Encoder *encoder;
    ids.count = 0;
    assert_ok(encoder_create_small(&encoder, tokenizer, 1 << 16, token_list_sink, &ids));
    Status s = CS336_OK;
    for (size_t i = 0, length; !s && i < text.length; i += length) {
        length = 1 + rng_below(rng, 12);
        length = length < text.length - i ? length : text.length - i;
        s = encoder_feed(encoder, text.bytes + i, length);
    }
    assert_ok(s);
    assert_ok(encoder_finish(encoder));
    encoder_destroy(encoder);
    ck_assert_msg(same_ids(expected, &ids), "a stream has other ids");
    for (size_t chunk = 1; chunk < 20; chunk += 3) {
        const EncodeConfig config = {.threads = 1 + (int)rng_below(rng, 2), .chunk_bytes = chunk};
        ids.count = 0;
        assert_ok(encode_text(tokenizer, text, token_list_sink, &ids, &config));
        ck_assert_msg(same_ids(expected, &ids), "chunks of %zu bytes have other ids", chunk);
    }
    token_list_deinit(&ids);
}

/* Pieces of characters of all classes: special tokens and texts made of them cut each other's characters in two. */
static const ByteString pieces[] = {ATOM("\xD0"), ATOM("\xB8"), ATOM("\xE4"), ATOM("\xB8\x9C"), ATOM("\xC2"),
                                    ATOM("\xA0"), ATOM("a"),    ATOM("&"),    ATOM(" "),        ATOM("1"),
                                    ATOM("'"),    ATOM("s"),    ATOM("\xF0"), ATOM("\x9F\x98"), ATOM("\x80"),
                                    ATOM("\xFF"), ATOM("\n"),   ATOM("\xD9"), ATOM("\xA1")};

/* Every two bytes of the pieces are a merge, so a pre-token that is cut in two has other ids. */
static BPEModel make_model_of_pieces(void)
{
    BPEModel model = {0};
    for (unsigned b = 0; b < BYTE_VALUES; b++) {
        const uint8_t byte = (uint8_t)b;
        assert_ok(bpe_model_add_token(&model, (ByteString){.bytes = &byte, .length = 1}));
    }
    for (size_t i = 0; i < COUNT(pieces); i++)
        for (size_t k = 0; k < COUNT(pieces); k++)
            assert_ok(bpe_model_merge(&model, pieces[i].bytes[pieces[i].length - 1], pieces[k].bytes[0]));
    return model;
}

START_TEST(test_special_tokens_may_begin_and_end_inside_characters)
{
    Rng rng = rng_seeded(11);
    const int trials = test_is_instrumented() ? 20 : 100;
    BPEModel model = make_model_of_pieces();
    for (int trial = 0; trial < trials; trial++) {
        uint8_t bytes[4][LONGEST_TEXT], buffer[LONGEST_TEXT];
        ByteString special[4];
        const size_t count = 1 + rng_below(&rng, 4);
        for (size_t i = 0; i < count; i++)
            do
                special[i] = random_text(&rng, bytes[i], pieces, COUNT(pieces), 3);
            while (special[i].length == 0);
        Tokenizer *tokenizer;
        model.pattern = (PretokenPattern)(trial % 2);
        assert_ok(tokenizer_create(&tokenizer, &model, special, count));
        for (int k = 0; k < 5; k++) {
            test_label("trial %d, text %d", trial, k);
            const ByteString text = random_text(&rng, buffer, pieces, COUNT(pieces), 60);
            TokenList expected = encode_by_plain_split(tokenizer, text, special, count);
            compare_ways(tokenizer, text, &expected, &rng);
            token_list_deinit(&expected);
        }
        tokenizer_destroy(tokenizer);
    }
    bpe_model_deinit(&model);
}
END_TEST

/* The longest token is late, and pre-tokens begin in it: a cut must not fall there. Early tokens take parts of it. */
START_TEST(test_no_cut_falls_into_a_late_special_token)
{
    static const ByteString late = ATOM("x x x x x x x x x x x x"), early = ATOM("&x");
    static const ByteString parts[] = {ATOM("x x x x x x x x x x x x"), ATOM("x x x x x"), ATOM(" x"), ATOM("&"),
                                       ATOM("x x x x x x x &x x x x x")};
    const ByteString special[] = {late, early};
    Rng rng = rng_seeded(12);
    BPEModel model = make_model_of_pieces();
    assert_ok(bpe_model_name_specials(&model, special, COUNT(special)));
    model.specials[0].late = true;
    Tokenizer *tokenizer;
    assert_ok(tokenizer_create(&tokenizer, &model, special, COUNT(special)));
    size_t found = 0;
    for (int trial = 0; trial < 200; trial++) {
        uint8_t buffer[LONGEST_TEXT];
        TokenList expected = {0};
        const ByteString text = random_text(&rng, buffer, parts, COUNT(parts), 12);
        test_label("text %d", trial);
        assert_ok(tokenizer_encode(tokenizer, &expected, text));
        for (size_t i = 0; i < expected.count; i++)
            found += expected.ids[i] == model.specials[0].id;
        compare_ways(tokenizer, text, &expected, &rng);
        token_list_deinit(&expected);
    }
    test_label_end();
    ck_assert_uint_gt(found, 100);
    tokenizer_destroy(tokenizer);
    bpe_model_deinit(&model);
}
END_TEST

/* In chunks of 512 KiB: the second one would begin with a letter if the special token did not begin inside it. */
START_TEST(test_a_special_token_inside_the_first_character_of_a_chunk)
{
    static const uint8_t end[] = {0x26, 0xD0, 0xB8, 0xD0};
    static const ByteString special[] = {ATOM("\xB8\xD0")};
    const size_t letters = 524287, length = letters + sizeof end;
    BPEModel model = make_model_of_pieces();
    Tokenizer *tokenizer;
    uint8_t *text = malloc(length);
    memset(text, 'a', letters);
    memcpy(text + letters, end, sizeof end);
    assert_ok(tokenizer_create(&tokenizer, &model, special, 1));
    const ByteString all = {.bytes = text, .length = length};
    TokenList expected = encode_by_plain_split(tokenizer, all, special, 1), ids = {0};
    assert_ok(encode_text(tokenizer, all, token_list_sink, &ids, &(EncodeConfig){.threads = 2}));
    ck_assert(same_ids(&expected, &ids));
    token_list_deinit(&expected);
    token_list_deinit(&ids);
    free(text);
    tokenizer_destroy(tokenizer);
    bpe_model_deinit(&model);
}
END_TEST

/* ---- bounded memory ---- */

static void assert_encodes_within(const Tokenizer *tokenizer, ByteString text, size_t cache_bytes, size_t limit)
{
    TokenList expected = encode_plainly(tokenizer, text);
    IdComparison comparison = {.expected = &expected};
    Encoder *encoder;
    const size_t before = memory_in_use();
    memory_set_limit(before + limit);
    assert_ok(encoder_create_small(&encoder, tokenizer, cache_bytes, compare_ids, &comparison));
    for (size_t i = 0; i < text.length; i += 1000)
        assert_ok(encoder_feed(encoder, text.bytes + i, text.length - i < 1000 ? text.length - i : 1000));
    assert_ok(encoder_finish(encoder));
    encoder_destroy(encoder);
    memory_set_limit(0);
    assert_ids_equal(&comparison);
    token_list_deinit(&expected);
}

/* Pre-tokens of many lengths, of few and many tokens. Each comes twice: when it is new, and after the cache evicted it.
 */
START_TEST(test_distinct_pretokens_without_end_take_bounded_memory)
{
    const size_t words = test_is_instrumented() ? 20000 : 100000, most = 2 * words * 60;
    Tokenizer *tokenizer = split_tokenizer(PATTERN_GPT2, NULL, 0);
    uint8_t *text = malloc(most);
    size_t length = 0;
    for (size_t turn = 0; turn < 2; turn++) {
        Rng rng = rng_seeded(7);
        for (size_t i = 0; i < words; i++) {
            text[length++] = ' ';
            for (size_t k = rng_below(&rng, 8) ? rng_below(&rng, 12) + 1 : rng_below(&rng, 50) + 1; k > 0; k--)
                text[length++] = (uint8_t)("abwors"[rng_below(&rng, 6)]);
        }
    }
    const ByteString all = {.bytes = text, .length = length};
    test_label("cache of 128 KiB");
    assert_encodes_within(tokenizer, all, 1 << 17, 1 << 20); /* the cache is bounded */
    test_label("cache of 1 GiB");
    assert_encodes_within(tokenizer, all, 1 << 30, 1 << 20); /* memory is */
    free(text);
    tokenizer_destroy(tokenizer);
}
END_TEST

START_TEST(test_pretokens_without_end_take_bounded_memory)
{
    static const char *const letters[] = {"a", "ab", "aab", "abwors", "\xE4\xB8\x9C"};
    const size_t length = test_is_instrumented() ? 60000 : 600000;
    Tokenizer *tokenizer = split_tokenizer(PATTERN_GPT2, NULL, 0);
    uint8_t *text = malloc(length);
    for (size_t k = 0; k < COUNT(letters); k++)
        for (int random = 0; random < 2; random++) {
            Rng rng = rng_seeded(8);
            const size_t period = strlen(letters[k]);
            test_label("%s, %s", letters[k], random ? "in random order" : "repeated");
            for (size_t i = 0; i < length; i++)
                text[i] = (uint8_t)letters[k][random ? rng_below(&rng, period) : i % period];
            assert_encodes_within(tokenizer, (ByteString){.bytes = text, .length = length}, 1 << 17, 1 << 20);
        }
    free(text);
    tokenizer_destroy(tokenizer);
}
END_TEST

/* ---- what goes wrong ---- */

static Status full(void *context, const int32_t *ids, size_t count)
{
    (void)context;
    (void)ids;
    (void)count;
    return status_fail(CS336_EIO, "no room");
}

static void count_progress(void *context, size_t done, size_t total)
{
    size_t *progress = context;
    ck_assert_uint_gt(done, *progress);
    ck_assert_uint_eq(total, 1000);
    *progress = done;
}

START_TEST(test_encoding_says_how_far_it_is_and_why_it_ends)
{
    Tokenizer *tokenizer = split_tokenizer(PATTERN_GPT2, NULL, 0);
    uint8_t text[1000];
    size_t progress = 0;
    TokenList ids = {0};
    atomic_int stop = 0;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)("ab "[i % 3]);
    const ByteString all = {.bytes = text, .length = sizeof text};
    EncodeConfig config = {
        .threads = 3, .chunk_bytes = 100, .stop = &stop, .progress = count_progress, .context = &progress};
    assert_ok(encode_text(tokenizer, all, token_list_sink, &ids, &config));
    ck_assert_uint_eq(progress, sizeof text);
    assert_fails(encode_text(tokenizer, all, full, NULL, &config), CS336_EIO, "no room");
    stop = 1;
    assert_fails(encode_text(tokenizer, all, token_list_sink, &ids, &config), CS336_EINTERRUPTED,
                 "interrupted after 0 of 1000 bytes");
    assert_fails(encode_file(tokenizer, "tests/fixtures/none", token_list_sink, &ids, &config), CS336_EIO,
                 "tests/fixtures/none: cannot read: No such file or directory");
    token_list_deinit(&ids);
    tokenizer_destroy(tokenizer);
}
END_TEST

START_TEST(test_a_file_is_encoded_as_its_text)
{
    const char *path = "tests/fixtures/tokenizer/story.txt";
    Tokenizer *tokenizer = split_tokenizer(PATTERN_GPT2, split_specials, SPLIT_SPECIALS);
    LoadedFile file;
    TokenList ids = {0}, expected = {0};
    const EncodeConfig config = {.chunk_bytes = 500};
    assert_ok(file_load(&file, path));
    assert_ok(tokenizer_encode(tokenizer, &expected, (ByteString){.bytes = file.data, .length = file.size}));
    assert_ok(encode_file(tokenizer, path, token_list_sink, &ids, &config));
    ck_assert(ids.count > 0 && same_ids(&expected, &ids));
    ids.count = 0;
    assert_ok(encode_text(tokenizer, (ByteString){0}, token_list_sink, &ids, &config));
    ck_assert_uint_eq(ids.count, 0);
    file_unload(&file);
    token_list_deinit(&ids);
    token_list_deinit(&expected);
    tokenizer_destroy(tokenizer);
}
END_TEST

static Status attempt(void *context)
{
    TokenList ids = {0};
    const EncodeConfig config = {.threads = 1, .chunk_bytes = 16};
    const Status s =
        encode_text(context, byte_string("ab aab 12 words and more words"), token_list_sink, &ids, &config);
    token_list_deinit(&ids);
    return s;
}

START_TEST(test_encoding_a_text_survives_every_failed_allocation)
{
    Tokenizer *tokenizer = split_tokenizer(PATTERN_GPT2, NULL, 0);
    assert_allocation_failures_say(attempt, tokenizer, "encode_text: no memory for 1 threads",
                                   "encoder_create: no memory", "word_cache_init: no memory for 2048 pre-tokens",
                                   "tokenizer_encode: no memory for a pre-token of 4096 bytes",
                                   "array_reserve: no memory for *[0-9] elements of *[0-9] bytes");
    tokenizer_destroy(tokenizer);
}
END_TEST

const TestCase encode_file_tests[] = {
    TEST(test_threads_and_chunks_do_not_change_ids, "tokenizer"),
    TEST(test_a_run_may_reach_far_into_a_chunk, "tokenizer"),
    TEST(test_a_chunk_of_many_ids_is_not_kept, "tokenizer"),
    TEST(test_no_cut_falls_into_a_late_special_token, "tokenizer"),
    TEST(test_special_tokens_may_begin_and_end_inside_characters, "tokenizer"),
    TEST(test_a_special_token_inside_the_first_character_of_a_chunk, "tokenizer"),
    TEST(test_distinct_pretokens_without_end_take_bounded_memory, "tokenizer"),
    TEST(test_pretokens_without_end_take_bounded_memory, "tokenizer"),
    TEST(test_encoding_says_how_far_it_is_and_why_it_ends, "tokenizer"),
    TEST(test_a_file_is_encoded_as_its_text, "tokenizer"),
    TEST(test_encoding_a_text_survives_every_failed_allocation, "tokenizer"),
    {0},
};
