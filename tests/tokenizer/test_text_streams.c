/* Texts that come as a stream: how it is cut into chunks, and that words and ids are those of the whole text. */
#include "core/memory.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/plain_pretokens.h"
#include "tests/support/random_text.h"
#include "tests/support/split_texts.h"
#include "tokenizer/encode/encode_file.h"
#include "tokenizer/learn/bpe_train.h"
#include "tokenizer/learn/word_count.h"
#include "tokenizer/split/cut.h"
#include "tokenizer/split/text_cutter.h"

#include <stdlib.h>
#include <string.h>

static const ByteString specials[] = {ATOM("<|a|>"), ATOM("aba"), ATOM("x y\n"), ATOM("\xB8\xD0")};
static const ByteString atoms[] = {ATOM("<|a|>"),    ATOM("<|a"),      ATOM("aab"), ATOM("ab"),  ATOM("x y"),
                                   ATOM(" "),        ATOM("\n"),       ATOM("é"),   ATOM("'s"),  ATOM("12"),
                                   ATOM("\xE4\xB8"), ATOM("\0"),       ATOM("东"),  ATOM("'ll"), ATOM("  "),
                                   ATOM("\xFF"),     ATOM("\xC2\xA0"), ATOM("\xD0")};

/* ---- a stream of bytes in memory, read in chunks of random lengths ---- */

typedef struct {
    ByteString text;
    size_t done;    /* bytes read */
    size_t fail_at; /* reading fails from this byte on; 0: never */
    size_t longest; /* bytes read at a time */
    Rng rng;
} MemoryStream;

static Status read_memory(void *context, uint8_t *bytes, size_t capacity, size_t *length)
{
    MemoryStream *m = context;
    const size_t left = m->text.length - m->done, most = left < capacity ? left : capacity;
    *length = 0;
    ck_assert_uint_gt(capacity, 0);
    if (m->fail_at && m->done >= m->fail_at)
        return status_fail(CS336_EFORMAT, "the stream breaks off");
    if (most == 0)
        return CS336_OK;
    *length = 1 + (size_t)rng_below(&m->rng, most < m->longest ? most : m->longest);
    memcpy(bytes, m->text.bytes + m->done, *length);
    m->done += *length;
    return CS336_OK;
}

static MemoryStream memory_stream(ByteString text, uint64_t seed)
{
    return (MemoryStream){.text = text, .rng = rng_seeded(seed), .longest = 1 << 20};
}

/* ---- chunks ---- */

static void assert_same_ranges(const TextRange *a, size_t a_count, const TextRange *b, size_t b_count)
{
    ck_assert_uint_eq(a_count, b_count);
    for (size_t i = 0; i < a_count; i++)
        ck_assert_msg(a[i].begin == b[i].begin && a[i].end == b[i].end && a[i].special == b[i].special,
                      "pre-token %zu of the chunks differs from that of the text", i);
}

/*
 * Splits each text of the chunks on its own, by the plain reference. A text begins with a chunk that begins at a safe
 * cut, and goes on until a chunk ends at one. Returns the number of pre-tokens.
 */
static size_t split_chunks(TextRange *ranges, MemoryStream *m, const SpecialTokens *special, size_t special_count,
                           size_t chunk_bytes, CutPolicy policy)
{
    const TextStream stream = {.read = read_memory, .context = m};
    TextCutter cutter;
    TextChunk chunk = {0};
    size_t count = 0, begin = 0, end = 0;
    text_cutter_begin(&cutter, &stream, special, PATTERN_GPT2, chunk_bytes, policy);
    bool inside = false;
    for (;;) {
        assert_ok(text_cutter_next(&cutter, &chunk));
        if (chunk.length) {
            ck_assert_mem_eq(chunk.bytes.bytes, m->text.bytes + end, chunk.length);
            ck_assert_uint_ge(chunk.bytes.length, chunk.length);
            ck_assert(chunk.begins == !inside);
            ck_assert(policy == CUT_CONTINUE || (chunk.begins && chunk.ends));
        }
        end += chunk.length;
        inside = !chunk.ends;
        if (inside)
            continue;
        const ByteString text = {m->text.bytes + begin, end - begin};
        const size_t added = plain_split(ranges + count, text, specials, special_count, PRETOKENS_RIGHT);
        for (size_t i = count; i < count + added; i++) {
            ranges[i].begin += begin;
            ranges[i].end += begin;
        }
        count += added;
        begin = end;
        if (chunk.length == 0)
            break;
    }
    ck_assert_uint_eq(end, m->text.length);
    byte_list_deinit(&chunk.bytes);
    text_cutter_end(&cutter);
    return count;
}

START_TEST(test_chunks_are_split_like_the_whole)
{
    Rng rng = rng_seeded(21);
    uint8_t buffer[LONGEST_TEXT];
    const int trials = test_is_instrumented() ? 100 : 1000;
    for (int trial = 0; trial < trials; trial++) {
        TextRange whole[LONGEST_TEXT + 1], chunks[LONGEST_TEXT + 1];
        SpecialTokens special;
        const ByteString text = random_text(&rng, buffer, atoms, COUNT(atoms), 60);
        const size_t special_count = rng_below(&rng, COUNT(specials) + 1), chunk_bytes = 1 + rng_below(&rng, 40);
        assert_ok(special_tokens_init(&special, specials, NULL, special_count));
        const size_t expected = plain_split(whole, text, specials, special_count, PRETOKENS_RIGHT);
        for (int policy = CUT_GROW; policy <= CUT_CONTINUE; policy++) {
            MemoryStream m = memory_stream(text, (uint64_t)trial);
            m.longest = 1 + rng_below(&rng, 20);
            test_label("text %d, chunks of %zu bytes, policy %d", trial, chunk_bytes, policy);
            const size_t count = split_chunks(chunks, &m, &special, special_count, chunk_bytes, (CutPolicy)policy);
            assert_same_ranges(chunks, count, whole, expected);
        }
        special_tokens_deinit(&special);
    }
}
END_TEST

/* A cutter that always waits for the end would pass the test above. */
START_TEST(test_chunks_are_cut_near_their_nominal_length)
{
    enum { WORDS = 10000, BYTES = 6 * WORDS, CHUNK = 1000 };
    static uint8_t text[BYTES];
    SpecialTokens special;
    for (size_t i = 0; i < BYTES; i++)
        text[i] = (uint8_t)("words "[i % 6]);
    MemoryStream m = memory_stream((ByteString){text, BYTES}, 1);
    const TextStream stream = {.read = read_memory, .context = &m};
    TextCutter cutter;
    TextChunk chunk = {0};
    assert_ok(special_tokens_init(&special, NULL, NULL, 0));
    text_cutter_begin(&cutter, &stream, &special, PATTERN_GPT2, CHUNK, CUT_GROW);
    assert_ok(text_cutter_next(&cutter, &chunk));
    ck_assert_uint_ge(chunk.length, CHUNK - 20);
    ck_assert_uint_le(m.done, CHUNK + 20);
    text_cutter_end(&cutter);
    /* Without a safe cut a chunk grows, or ends without one. */
    memset(text, 'a', BYTES);
    for (int policy = CUT_GROW; policy <= CUT_CONTINUE; policy++) {
        m = memory_stream((ByteString){text, BYTES}, 1);
        text_cutter_begin(&cutter, &stream, &special, PATTERN_GPT2, CHUNK, (CutPolicy)policy);
        assert_ok(text_cutter_next(&cutter, &chunk));
        ck_assert_uint_eq(chunk.length, policy == CUT_GROW ? BYTES : m.done);
        ck_assert(policy == CUT_GROW || (m.done < CHUNK + 20 && !chunk.ends));
        text_cutter_end(&cutter);
    }
    byte_list_deinit(&chunk.bytes);
    special_tokens_deinit(&special);
}
END_TEST

/* ---- learning ---- */

/* Three texts, one of them in memory and two as streams. No pre-token reaches from one into the next. */
START_TEST(test_words_of_streams_are_those_of_their_texts)
{
    Rng rng = rng_seeded(22);
    SpecialTokens special;
    assert_ok(special_tokens_init(&special, specials, NULL, COUNT(specials)));
    for (int trial = 0; trial < 300; trial++) {
        uint8_t buffers[3][LONGEST_TEXT];
        WordSource memory[3], mixed[3];
        MemoryStream streams[3];
        for (size_t i = 0; i < 3; i++) {
            const ByteString text = random_text(&rng, buffers[i], atoms, COUNT(atoms), 60);
            streams[i] = memory_stream(text, (uint64_t)trial + i);
            memory[i] = mixed[i] = (WordSource){.content = text};
            if (i != (size_t)trial % 3)
                mixed[i] = (WordSource){.stream = {.read = read_memory, .context = &streams[i]}};
        }
        WordTable expected, words;
        WordCountConfig config = {.special = &special, .threads = 1};
        assert_ok(count_words(&expected, memory, 3, &config));
        config.threads = 1 + trial % 4;
        config.chunk_bytes = 1 + rng_below(&rng, 30);
        test_label("texts %d, chunks of %zu bytes, %d threads", trial, config.chunk_bytes, config.threads);
        assert_ok(count_words(&words, mixed, 3, &config));
        assert_same_words(&words, &expected);
        word_table_deinit(&words);
        word_table_deinit(&expected);
    }
    special_tokens_deinit(&special);
}
END_TEST

START_TEST(test_a_vocabulary_is_learned_from_a_stream)
{
    const ByteString text = byte_string("the cat<|a|>the hat, the bat and the rat");
    const BPETrainConfig config = {.vocab_size = 270, .special_tokens = specials, .special_count = 1};
    MemoryStream m = memory_stream(text, 1), empty = memory_stream((ByteString){0}, 1);
    const TextStream streams[] = {{.read = read_memory, .context = &empty}, {.read = read_memory, .context = &m}};
    const BPEText texts[] = {{.stream = &streams[0]}, {.stream = &streams[1]}};
    BPEModel model, expected;
    BPETrainStats stats, expected_stats;
    assert_ok(bpe_train(&expected, &expected_stats, &text, 1, &config));
    assert_ok(bpe_train_texts(&model, &stats, texts, 2, &config));
    ck_assert_uint_eq(stats.bytes, text.length);
    ck_assert_uint_eq(stats.pretokens, expected_stats.pretokens);
    ck_assert_uint_eq(stats.distinct_pretokens, expected_stats.distinct_pretokens);
    ck_assert_uint_eq(model.vocab_size, expected.vocab_size);
    for (size_t i = 0; i < model.vocab_size; i++)
        ck_assert(byte_string_equal(bpe_model_token(&model, (int32_t)i), bpe_model_token(&expected, (int32_t)i)));
    bpe_model_deinit(&model);
    bpe_model_deinit(&expected);
}
END_TEST

START_TEST(test_learning_ends_when_a_stream_fails)
{
    static uint8_t text[20000];
    SpecialTokens special;
    assert_ok(special_tokens_init(&special, NULL, NULL, 0));
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)("words "[i % 6]);
    for (int threads = 1; threads <= 4; threads++)
        for (size_t fail_at = 1; fail_at < sizeof text; fail_at += 4999) {
            MemoryStream m = memory_stream((ByteString){text, sizeof text}, 3);
            m.fail_at = fail_at;
            const WordSource sources[] = {{.stream = {.read = read_memory, .context = &m}},
                                          {.content = {text, sizeof text}}};
            const WordCountConfig config = {.special = &special, .threads = threads, .chunk_bytes = 500};
            WordTable words;
            test_label("%d threads, failure at byte %zu", threads, fail_at);
            assert_fails(count_words(&words, sources, 2, &config), CS336_EFORMAT, "the stream breaks off");
        }
    special_tokens_deinit(&special);
}
END_TEST

/* ---- encoding ---- */

static void assert_encodes(const Tokenizer *tokenizer, MemoryStream m, size_t chunk_bytes, int threads)
{
    const TextStream stream = {.read = read_memory, .context = &m};
    const EncodeConfig config = {.threads = threads, .chunk_bytes = chunk_bytes};
    TokenList ids = {0}, expected = {0};
    assert_ok(tokenizer_encode(tokenizer, &expected, m.text));
    assert_ok(encode_stream(tokenizer, &stream, token_list_sink, &ids, &config));
    ck_assert_uint_eq(ids.count, expected.count);
    ck_assert(ids.count == 0 || memcmp(ids.ids, expected.ids, ids.count * sizeof *ids.ids) == 0);
    token_list_deinit(&ids);
    token_list_deinit(&expected);
}

START_TEST(test_ids_of_a_stream_are_those_of_the_text)
{
    Rng rng = rng_seeded(23);
    const int trials = test_is_instrumented() ? 20 : 150;
    for (size_t special_count = 0; special_count <= COUNT(specials); special_count += COUNT(specials)) {
        Tokenizer *tokenizer = split_tokenizer(PATTERN_GPT2, specials, special_count);
        for (int trial = 0; trial < trials; trial++) {
            static uint8_t text[4000];
            uint8_t buffer[LONGEST_TEXT];
            size_t length = 0;
            for (size_t i = rng_below(&rng, 12); i > 0; i--) {
                const ByteString more = random_text(&rng, buffer, atoms, COUNT(atoms), 60);
                memcpy(text + length, more.bytes, more.length);
                length += more.length;
            }
            MemoryStream m = memory_stream((ByteString){text, length}, (uint64_t)trial);
            m.longest = 1 + rng_below(&rng, 100);
            const size_t chunk_bytes = 1 + rng_below(&rng, 60);
            test_label("text %d, chunks of %zu bytes", trial, chunk_bytes);
            assert_encodes(tokenizer, m, chunk_bytes, 1 + trial % 5);
        }
        tokenizer_destroy(tokenizer);
    }
}
END_TEST

/* The longest special token is late, and pre-tokens begin in it: a cut must not fall there. */
START_TEST(test_no_cut_of_a_stream_falls_into_a_late_special_token)
{
    static const ByteString late = ATOM("x x x x x x x x x x x x"), early = ATOM("&x");
    static const ByteString parts[] = {ATOM("x x x x x x x x x x x x"), ATOM("x x x x x"), ATOM(" x"), ATOM("&")};
    const ByteString special[] = {late, early}, nothing = byte_string("");
    const BPETrainConfig config = {.vocab_size = BYTE_VALUES, .threads = 1};
    Rng rng = rng_seeded(24);
    BPEModel model;
    Tokenizer *tokenizer;
    assert_ok(bpe_train(&model, NULL, &nothing, 1, &config));
    assert_ok(bpe_model_name_specials(&model, special, COUNT(special)));
    model.specials[0].late = true;
    assert_ok(tokenizer_create(&tokenizer, &model, special, COUNT(special)));
    for (int trial = 0; trial < 200; trial++) {
        uint8_t buffer[LONGEST_TEXT];
        MemoryStream m = memory_stream(random_text(&rng, buffer, parts, COUNT(parts), 12), (uint64_t)trial);
        m.longest = 1 + rng_below(&rng, 50);
        test_label("text %d", trial);
        assert_encodes(tokenizer, m, 1 + rng_below(&rng, 30), 1 + trial % 3);
    }
    test_label_end();
    tokenizer_destroy(tokenizer);
    bpe_model_deinit(&model);
}
END_TEST

/* Encodes texts of five parts in all ways in which each part is words or one long pre-token. */
static void encode_parts(size_t part_bytes, size_t chunk_bytes)
{
    const size_t bytes = 5 * part_bytes;
    uint8_t *text = malloc(bytes);
    ck_assert_ptr_nonnull(text);
    Tokenizer *tokenizer = split_tokenizer(PATTERN_GPT2, specials, 1);
    for (unsigned pattern = 0; pattern < 32; pattern++) {
        for (size_t i = 0; i < bytes; i++) {
            const bool words = pattern >> (i / part_bytes) & 1;
            text[i] = words ? (uint8_t)("aab ab "[i % 7]) : (uint8_t)("ab"[i % 3 == 0]);
        }
        test_label("parts of %zu bytes, pattern %u", part_bytes, pattern);
        assert_encodes(tokenizer, memory_stream((ByteString){text, bytes}, pattern), chunk_bytes, 1 + (int)pattern % 4);
    }
    tokenizer_destroy(tokenizer);
    free(text);
}

/* Chunks without a safe cut at the start, in the middle and at the end of the text, and nothing else. */
START_TEST(test_long_pretokens_of_a_stream_are_not_cut)
{
    encode_parts(3000, 500);
}
END_TEST

/* The last safe cut of a chunk is before the bytes that are searched, so its pre-token goes on in the next chunk. */
START_TEST(test_a_chunk_is_not_searched_whole)
{
    encode_parts(CUT_SEARCH_MOST + 2000, 2 * CUT_SEARCH_MOST);
}
END_TEST

/* More chunks than one parallel loop takes. */
START_TEST(test_a_stream_of_many_chunks)
{
    enum { BYTES = 40000 };
    static uint8_t text[BYTES];
    Tokenizer *tokenizer = split_tokenizer(PATTERN_GPT2, specials, 1);
    for (size_t i = 0; i < BYTES; i++)
        text[i] = (uint8_t)("aab ab 12 <|a|> x"[i * i % 17]);
    for (int threads = 1; threads <= 3; threads++)
        assert_encodes(tokenizer, memory_stream((ByteString){text, BYTES}, 5), 20, threads);
    tokenizer_destroy(tokenizer);
}
END_TEST

static Status refuse_ids(void *context, const int32_t *ids, size_t count)
{
    (void)ids;
    size_t *left = context;
    if (count > *left)
        return status_fail(CS336_EIO, "no room");
    *left -= count;
    return CS336_OK;
}

static void count_progress(void *context, size_t done, size_t total)
{
    size_t *progress = context;
    ck_assert_uint_gt(done, *progress);
    ck_assert_uint_eq(total, 0);
    *progress = done;
}

START_TEST(test_encoding_a_stream_says_how_far_it_is_and_why_it_ends)
{
    static uint8_t text[5000];
    Tokenizer *tokenizer = split_tokenizer(PATTERN_GPT2, specials, 0);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)("ab "[i % 3]);
    for (int threads = 1; threads <= 4; threads++) {
        MemoryStream m = memory_stream((ByteString){text, sizeof text}, 3);
        const TextStream stream = {.read = read_memory, .context = &m};
        atomic_int stop = 0;
        size_t progress = 0, room = 1000;
        TokenList ids = {0};
        const EncodeConfig config = {
            .threads = threads, .chunk_bytes = 100, .stop = &stop, .progress = count_progress, .context = &progress};
        test_label("%d threads", threads);
        assert_ok(encode_stream(tokenizer, &stream, token_list_sink, &ids, &config));
        ck_assert_uint_eq(progress, sizeof text);
        m.done = progress = 0;
        assert_fails(encode_stream(tokenizer, &stream, refuse_ids, &room, &config), CS336_EIO, "no room");
        for (size_t fail_at = 1; fail_at < sizeof text; fail_at += 1111) {
            m.done = progress = 0;
            m.fail_at = fail_at;
            assert_fails(encode_stream(tokenizer, &stream, token_list_sink, &ids, &config), CS336_EFORMAT,
                         "the stream breaks off");
        }
        m = memory_stream((ByteString){text, sizeof text}, 3);
        stop = 1;
        assert_fails(encode_stream(tokenizer, &stream, token_list_sink, &ids, &config), CS336_EINTERRUPTED,
                     "interrupted after 0 bytes");
        token_list_deinit(&ids);
    }
    tokenizer_destroy(tokenizer);
}
END_TEST

/* ---- memory ---- */

static Status drop_ids(void *context, const int32_t *ids, size_t count)
{
    (void)context;
    (void)ids;
    (void)count;
    return CS336_OK;
}

/* 64 MB of words, and as much without a place to cut: the same few megabytes. */
START_TEST(test_a_stream_takes_bounded_memory)
{
    const size_t bytes = test_is_instrumented() ? 8 << 20 : 64 << 20;
    uint8_t *text = malloc(bytes);
    Tokenizer *tokenizer = split_tokenizer(PATTERN_GPT2, specials, 0);
    TokenList ids = {0};
    memset(text, 'a', 5000); /* what the tokenizer keeps for long pre-tokens is made once */
    assert_ok(tokenizer_encode(tokenizer, &ids, (ByteString){text, 5000}));
    token_list_deinit(&ids);
    for (int words = 0; words < 2; words++) {
        for (size_t i = 0; i < bytes; i++)
            text[i] = (uint8_t)(words ? "aab ab "[i % 7] : "ab"[i % 2]);
        MemoryStream m = memory_stream((ByteString){text, bytes}, 3);
        const TextStream stream = {.read = read_memory, .context = &m};
        const size_t before = memory_in_use();
        memory_reset_peak();
        assert_ok(encode_stream(tokenizer, &stream, drop_ids, NULL, &(EncodeConfig){.threads = 2}));
        const size_t taken = memory_peak() - before;
        ck_assert_msg(taken < (size_t)52 << 20, "%zu bytes taken for %s", taken, words ? "words" : "one pre-token");
        ck_assert_uint_eq(memory_in_use(), before);
    }
    tokenizer_destroy(tokenizer);
    free(text);
}
END_TEST

static Status attempt_encoding(void *context)
{
    MemoryStream m = memory_stream(byte_string("ab aab 12 words and more words aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), 1);
    const TextStream stream = {.read = read_memory, .context = &m};
    TokenList ids = {0};
    const EncodeConfig config = {.threads = 1, .chunk_bytes = 8};
    const Status s = encode_stream(context, &stream, token_list_sink, &ids, &config);
    token_list_deinit(&ids);
    return s;
}

static Status attempt_learning(void *context)
{
    MemoryStream m = memory_stream(byte_string("ab aab 12 words and more words"), 1);
    const TextStream stream = {.read = read_memory, .context = &m};
    const BPETrainConfig config = {.vocab_size = 270, .threads = 1};
    BPEModel model;
    (void)context;
    const Status s = bpe_train_texts(&model, NULL, &(BPEText){.stream = &stream}, 1, &config);
    bpe_model_deinit(&model);
    return s;
}

START_TEST(test_streams_survive_every_failed_allocation)
{
    Tokenizer *tokenizer = split_tokenizer(PATTERN_GPT2, specials, 0);
    assert_allocation_failures_are_clean(attempt_encoding, tokenizer);
    assert_allocation_failures_are_clean(attempt_learning, NULL);
    tokenizer_destroy(tokenizer);
}
END_TEST

const TestCase text_streams_tests[] = {
    TEST(test_chunks_are_split_like_the_whole, "text_streams"),
    TEST(test_chunks_are_cut_near_their_nominal_length, "text_streams"),
    TEST(test_words_of_streams_are_those_of_their_texts, "text_streams"),
    TEST(test_a_vocabulary_is_learned_from_a_stream, "text_streams"),
    TEST(test_learning_ends_when_a_stream_fails, "text_streams"),
    TEST(test_ids_of_a_stream_are_those_of_the_text, "text_streams"),
    TEST(test_no_cut_of_a_stream_falls_into_a_late_special_token, "text_streams"),
    TEST(test_long_pretokens_of_a_stream_are_not_cut, "text_streams"),
    TEST(test_a_chunk_is_not_searched_whole, "text_streams"),
    TEST(test_a_stream_of_many_chunks, "text_streams"),
    TEST(test_encoding_a_stream_says_how_far_it_is_and_why_it_ends, "text_streams"),
    TEST(test_a_stream_takes_bounded_memory, "text_streams"),
    TEST(test_streams_survive_every_failed_allocation, "text_streams"),
    {0},
};
