#include "core/parallel.h"
#include "generate/decode.h"
#include "generate/draw.h"
#include "generate/sample.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/tiny_lm.h"

#include <math.h>
#include <string.h>

enum { CONTEXT = 8, TEXT = 30, VOCAB = 13 };

static void random_ids(int32_t *ids, size_t count, uint64_t seed)
{
    Rng rng = rng_seeded(seed);
    for (size_t i = 0; i < count; i++)
        ids[i] = (int32_t)rng_below(&rng, VOCAB);
}

/* Returns where the window begins after n tokens. It holds up to 8 tokens; when it is full it keeps its last half. */
static size_t window_start(size_t n)
{
    return n <= CONTEXT ? 0 : (n - CONTEXT + 3) / 4 * 4;
}

START_TEST(test_uncached_logits_are_those_of_the_window)
{
    TinyLM tiny;
    const TransformerLMConfig config = tiny_lm_config(0);
    tiny_lm_init(&tiny, &config, 1);
    Decoder decoder;
    assert_ok(decoder_init(&decoder, &tiny.lm, false));
    Arena scratch;
    assert_ok(arena_init(&scratch, transformer_lm_forward_scratch(&tiny.lm, 1, CONTEXT)));
    int32_t ids[TEXT];
    random_ids(ids, TEXT, 2);
    for (size_t n = 1; n <= TEXT; n++) {
        const size_t start = window_start(n), length = n - start;
        test_label("after %zu tokens", n);
        float logits[CONTEXT * VOCAB];
        assert_ok(decoder_feed(&decoder, &ids[n - 1], 1));
        assert_ok(transformer_lm_forward(tensor(logits, 1, length, VOCAB), &tiny.lm, tokens(ids + start, 1, length),
                                         &scratch));
        ck_assert_uint_eq(decoder.length, length);
        assert_allclose_array("logits", decoder.logits.data, logits + (length - 1) * VOCAB, VOCAB, 0, 0);
    }
    arena_deinit(&scratch);
    decoder_deinit(&decoder);
    tiny_lm_deinit(&tiny);
}
END_TEST

static double largest(Tensor logits)
{
    double most = 1;
    for (size_t i = 0; i < VOCAB; i++)
        most = fmax(most, fabs((double)logits.data[i]));
    return most;
}

START_TEST(test_cached_logits_equal_uncached)
{
    for (int variant = 0; variant < TINY_LM_VARIANTS; variant++) {
        TinyLM tiny;
        const TransformerLMConfig config = tiny_lm_config(variant);
        tiny_lm_init(&tiny, &config, 3);
        Decoder cached, uncached;
        assert_ok(decoder_init(&cached, &tiny.lm, true));
        assert_ok(decoder_init(&uncached, &tiny.lm, false));
        int32_t ids[TEXT];
        random_ids(ids, TEXT, 4);
        for (size_t n = 0; n < TEXT; n++) {
            test_label("%s, after %zu tokens", variant_text(&config), n + 1);
            assert_ok(decoder_feed(&cached, &ids[n], 1));
            assert_ok(decoder_feed(&uncached, &ids[n], 1));
            /* Without norms logits reach 70, so rounding errors are larger. */
            const double scale = config.norm == NORM_NONE ? largest(uncached.logits) : 1;
            assert_allclose_array("logits", cached.logits.data, uncached.logits.data, VOCAB, 0, 1e-4 * scale);
        }
        decoder_deinit(&cached);
        decoder_deinit(&uncached);
        tiny_lm_deinit(&tiny);
    }
}
END_TEST

/* A prompt that is fed at once gives the logits of the same tokens one by one, for every length, beyond the window,
 * too. */
START_TEST(test_prompt_at_once_equals_one_by_one)
{
    TinyLM tiny;
    const TransformerLMConfig config = tiny_lm_config(0);
    tiny_lm_init(&tiny, &config, 5);
    Decoder all_at_once, one_by_one;
    assert_ok(decoder_init(&all_at_once, &tiny.lm, true));
    assert_ok(decoder_init(&one_by_one, &tiny.lm, true));
    int32_t ids[TEXT];
    random_ids(ids, TEXT, 6);
    for (size_t n = 1; n <= TEXT; n++) {
        test_label("after %zu tokens", n);
        decoder_reset(&all_at_once);
        assert_ok(decoder_feed(&all_at_once, ids, n));
        assert_ok(decoder_feed(&one_by_one, &ids[n - 1], 1));
        ck_assert_uint_eq(all_at_once.length, one_by_one.length);
        assert_allclose_array("logits", all_at_once.logits.data, one_by_one.logits.data, VOCAB, 0, 1e-4);
    }
    decoder_deinit(&all_at_once);
    decoder_deinit(&one_by_one);
    tiny_lm_deinit(&tiny);
}
END_TEST

typedef struct {
    int32_t ids[TEXT];
    size_t count, fail_at;
} Received;

static Status receive(void *context, int32_t token)
{
    Received *received = context;
    if (received->count == received->fail_at)
        return status_fail(CS336_EIO, "receive: no room");
    received->ids[received->count++] = token;
    return CS336_OK;
}

static Status continue_prompt(Received *received, size_t *count, Decoder *decoder, GenerateConfig config, uint64_t seed)
{
    const int32_t prompt[] = {3, 1, 4};
    Rng rng = rng_seeded(seed);
    *received = (Received){.fail_at = TEXT};
    decoder_reset(decoder);
    return generate(count, decoder, prompt, 3, &config, &rng, (TokenReceiver){receive, received});
}

/*
 * One forward pass over the prompt and all generated tokens gives the logits after each of them, because attention is
 * causal. The likeliest token of each row must be the token that greedy generation has put next.
 */
START_TEST(test_generation_reads_its_own_tokens)
{
    enum { PROMPT = 3, NEW = CONTEXT - PROMPT, MODELS = 10 };
    size_t models_that_vary = 0;
    for (uint64_t seed = 1; seed <= MODELS; seed++) {
        TinyLM tiny;
        const TransformerLMConfig config = tiny_lm_config(0);
        tiny_lm_init(&tiny, &config, seed);
        Decoder decoder;
        Arena scratch;
        assert_ok(decoder_init(&decoder, &tiny.lm, true));
        assert_ok(arena_init(&scratch, transformer_lm_forward_scratch(&tiny.lm, 1, CONTEXT)));
        const GenerateConfig greedy = {.max_tokens = NEW, .stop_token = -1, .sample = {.top_p = 1}};
        Received received;
        size_t count;
        assert_ok(continue_prompt(&received, &count, &decoder, greedy, 1));
        ck_assert_uint_eq(count, NEW);

        int32_t ids[CONTEXT] = {3, 1, 4};
        float logits[CONTEXT * VOCAB];
        memcpy(ids + PROMPT, received.ids, NEW * sizeof *ids);
        assert_ok(
            transformer_lm_forward(tensor(logits, 1, CONTEXT, VOCAB), &tiny.lm, tokens(ids, 1, CONTEXT), &scratch));
        bool varies = false;
        for (size_t n = PROMPT; n < CONTEXT; n++) {
            const float *after = logits + (n - 1) * VOCAB;
            int32_t likeliest = 0;
            for (int32_t token = 1; token < VOCAB; token++)
                likeliest = after[token] > after[likeliest] ? token : likeliest;
            ck_assert_msg(ids[n] == likeliest, "model %d: token %zu is %d, expected %d", (int)seed, n, ids[n],
                          likeliest);
            varies = varies || ids[n] != ids[PROMPT];
        }
        models_that_vary += varies;
        arena_deinit(&scratch);
        decoder_deinit(&decoder);
        tiny_lm_deinit(&tiny);
    }
    /* A model that always prints the same token would not tell whether it reads its own. */
    ck_assert_uint_ge(models_that_vary, MODELS / 2);
}
END_TEST

START_TEST(test_greedy_ids_equal_with_and_without_cache)
{
    for (int variant = 0; variant < TINY_LM_VARIANTS; variant++) {
        TinyLM tiny;
        const TransformerLMConfig config = tiny_lm_config(variant);
        test_label("%s", variant_text(&config));
        tiny_lm_init(&tiny, &config, 7);
        Decoder cached, uncached;
        assert_ok(decoder_init(&cached, &tiny.lm, true));
        assert_ok(decoder_init(&uncached, &tiny.lm, false));
        const GenerateConfig greedy = {.max_tokens = TEXT, .stop_token = -1, .sample = {.top_p = 1}};
        Received a, b;
        size_t count;
        assert_ok(continue_prompt(&a, &count, &cached, greedy, 1));
        ck_assert_uint_eq(count, TEXT);
        assert_ok(continue_prompt(&b, &count, &uncached, greedy, 1));
        ck_assert_uint_eq(a.count, TEXT);
        ck_assert_mem_eq(a.ids, b.ids, sizeof a.ids);
        decoder_deinit(&cached);
        decoder_deinit(&uncached);
        tiny_lm_deinit(&tiny);
    }
}
END_TEST

START_TEST(test_generation_is_seeded)
{
    TinyLM tiny;
    const TransformerLMConfig config = tiny_lm_config(0);
    tiny_lm_init(&tiny, &config, 8);
    Decoder decoder;
    assert_ok(decoder_init(&decoder, &tiny.lm, true));
    const GenerateConfig sampled = {.max_tokens = TEXT, .stop_token = -1, .sample = {.temperature = 1, .top_p = 0.95}};
    Received first, again, other;
    size_t count;
    assert_ok(continue_prompt(&first, &count, &decoder, sampled, 1));
    assert_ok(continue_prompt(&again, &count, &decoder, sampled, 1));
    assert_ok(continue_prompt(&other, &count, &decoder, sampled, 2));
    ck_assert_mem_eq(first.ids, again.ids, sizeof first.ids);
    ck_assert_mem_ne(first.ids, other.ids, sizeof first.ids);
    decoder_deinit(&decoder);
    tiny_lm_deinit(&tiny);
}
END_TEST

START_TEST(test_generation_ends_at_the_stop_token)
{
    TinyLM tiny;
    const TransformerLMConfig config = tiny_lm_config(0);
    tiny_lm_init(&tiny, &config, 9);
    Decoder decoder;
    assert_ok(decoder_init(&decoder, &tiny.lm, true));
    GenerateConfig sampled = {.max_tokens = TEXT, .stop_token = -1, .sample = {.temperature = 1, .top_p = 1}};
    Received all, stopped;
    size_t count;
    assert_ok(continue_prompt(&all, &count, &decoder, sampled, 1));
    sampled.stop_token = all.ids[9];
    size_t expected = 0;
    while (all.ids[expected] != sampled.stop_token)
        expected++;
    assert_ok(continue_prompt(&stopped, &count, &decoder, sampled, 1));
    ck_assert_uint_eq(count, expected);
    ck_assert_uint_eq(stopped.count, expected);
    ck_assert_mem_eq(stopped.ids, all.ids, expected * sizeof *all.ids);
    sampled.max_tokens = 0;
    assert_ok(continue_prompt(&stopped, &count, &decoder, sampled, 1));
    ck_assert_uint_eq(count, 0);
    decoder_deinit(&decoder);
    tiny_lm_deinit(&tiny);
}
END_TEST

START_TEST(test_generation_does_not_depend_on_threads)
{
    TinyLM tiny;
    const TransformerLMConfig config = tiny_lm_config(0);
    tiny_lm_init(&tiny, &config, 10);
    static const int threads[] = {1, 2, 3, 8};
    float logits[4][VOCAB];
    for (int i = 0; i < 4; i++) {
        parallel_set_threads(threads[i]);
        Decoder decoder;
        assert_ok(decoder_init(&decoder, &tiny.lm, true));
        const GenerateConfig sampled = {.max_tokens = TEXT, .stop_token = -1, .sample = {.temperature = 1, .top_p = 1}};
        Received received;
        size_t count;
        assert_ok(continue_prompt(&received, &count, &decoder, sampled, 1));
        memcpy(logits[i], decoder.logits.data, sizeof logits[0]);
        decoder_deinit(&decoder);
    }
    for (int i = 1; i < 4; i++)
        ck_assert_msg(memcmp(logits[0], logits[i], sizeof logits[0]) == 0, "logits differ with %d threads", threads[i]);
    tiny_lm_deinit(&tiny);
}
END_TEST

START_TEST(test_generation_with_a_window_of_one_token)
{
    TransformerLMConfig config = tiny_lm_config(0);
    config.context_length = 1;
    TinyLM tiny;
    tiny_lm_init(&tiny, &config, 11);
    Decoder cached, uncached;
    assert_ok(decoder_init(&cached, &tiny.lm, true));
    assert_ok(decoder_init(&uncached, &tiny.lm, false));
    const GenerateConfig greedy = {.max_tokens = TEXT, .stop_token = -1, .sample = {.top_p = 1}};
    Received a, b;
    size_t count;
    assert_ok(continue_prompt(&a, &count, &cached, greedy, 1));
    assert_ok(continue_prompt(&b, &count, &uncached, greedy, 1));
    ck_assert_mem_eq(a.ids, b.ids, sizeof a.ids);
    decoder_deinit(&cached);
    decoder_deinit(&uncached);
    tiny_lm_deinit(&tiny);
}
END_TEST

/* Returns true for ids in the middle; the first, the last and every third one are holes. */
static bool is_drawable(int32_t id)
{
    return id > 0 && id < VOCAB - 2 && id % 3 != 1;
}

/*
 * The oracle has no mask: it draws from the logits of the drawable ids alone, which stand one after the other. Logits
 * of ids that are not drawable may be anything.
 */
START_TEST(test_only_drawable_ids_are_drawn)
{
    static const float others[] = {1e30F, INFINITY, NAN, -INFINITY, 0};
    static const SampleConfig configs[] = {
        {.temperature = 0, .top_p = 1},   {.temperature = 1, .top_p = 1},
        {.temperature = 1, .top_p = 0.8}, {.temperature = 2, .top_p = 1, .top_k = 3},
        {.temperature = 1, .top_p = 0},   {.temperature = 0.3, .top_p = 0.5, .top_k = 4},
    };
    Arena scratch;
    assert_ok(arena_init(&scratch, draw_scratch(VOCAB)));
    Rng numbers = rng_seeded(21);
    for (size_t round = 0; round < 2000; round++) {
        const SampleConfig *config = &configs[round % (sizeof configs / sizeof *configs)];
        float logits[VOCAB], alone[VOCAB];
        int32_t ids[VOCAB], drawn, expected;
        bool drawable[VOCAB];
        size_t count = 0;
        for (int32_t id = 0; id < VOCAB; id++) {
            drawable[id] = is_drawable(id);
            logits[id] = drawable[id] ? (float)rng_normal(&numbers) : others[rng_below(&numbers, 5)];
            if (drawable[id]) {
                ids[count] = id;
                alone[count++] = logits[id];
            }
        }
        float before[VOCAB];
        memcpy(before, logits, sizeof logits);
        Rng a = rng_seeded(round), b = a;
        assert_ok(draw_token(&drawn, tensor(logits, VOCAB), drawable, config, &a, &scratch));
        assert_ok(sample_token(&expected, tensor(alone, count), config, &b, &scratch));
        ck_assert_int_eq(drawn, ids[expected]);
        ck_assert_mem_eq(logits, before, sizeof logits);
        ck_assert_double_eq(rng_uniform(&a), rng_uniform(&b));
    }
    /* Without a mask it is sample_token(); with an empty one nothing can be drawn. */
    float logits[VOCAB] = {[4] = 30};
    const bool none[VOCAB] = {false};
    int32_t token;
    Rng rng = rng_seeded(1);
    assert_ok(draw_token(&token, tensor(logits, VOCAB), NULL, &configs[1], &rng, &scratch));
    ck_assert_int_eq(token, 4);
    assert_fails(draw_token(&token, tensor(logits, VOCAB), none, &configs[1], &rng, &scratch), CS336_ERANGE,
                 "sample_candidates: all 13 logits are -inf");
    ck_assert_uint_eq(scratch.used, 0);
    arena_deinit(&scratch);
}
END_TEST

/* Only drawable ids are drawn. If all are, nothing changes. */
START_TEST(test_generation_draws_only_ids_with_a_token)
{
    bool drawable[VOCAB];
    TinyLM tiny;
    const TransformerLMConfig config = tiny_lm_config(0);
    tiny_lm_init(&tiny, &config, 14);
    Decoder decoder;
    assert_ok(decoder_init(&decoder, &tiny.lm, true));
    GenerateConfig all = {.max_tokens = TEXT, .stop_token = -1, .sample = {.temperature = 50, .top_p = 1}}, some = all;
    Received a, b;
    size_t count;
    assert_ok(continue_prompt(&a, &count, &decoder, all, 1));
    for (size_t i = 0; i < VOCAB; i++)
        drawable[i] = true;
    some.drawable = drawable;
    assert_ok(continue_prompt(&b, &count, &decoder, some, 1));
    ck_assert_mem_eq(a.ids, b.ids, sizeof a.ids);
    size_t excluded = 0;
    for (size_t i = 0; i < VOCAB; i++)
        drawable[i] = is_drawable((int32_t)i);
    for (size_t i = 0; i < count; i++)
        excluded += !drawable[a.ids[i]];
    ck_assert_uint_gt(excluded, 3); /* else this test would prove nothing */
    assert_ok(continue_prompt(&b, &count, &decoder, some, 1));
    ck_assert_uint_eq(count, TEXT);
    for (size_t i = 0; i < count; i++)
        ck_assert(drawable[b.ids[i]]);
    some.sample.temperature = 0;
    assert_ok(continue_prompt(&b, &count, &decoder, some, 1));
    for (size_t i = 0; i < count; i++)
        ck_assert(drawable[b.ids[i]]);
    decoder_deinit(&decoder);
    tiny_lm_deinit(&tiny);
}
END_TEST

START_TEST(test_generation_errors)
{
    TinyLM tiny;
    const TransformerLMConfig config = tiny_lm_config(0);
    tiny_lm_init(&tiny, &config, 12);
    Decoder decoder;
    assert_ok(decoder_init(&decoder, &tiny.lm, true));
    const GenerateConfig good = {.max_tokens = 5, .stop_token = -1, .sample = {.temperature = 1, .top_p = 1}};
    GenerateConfig bad = good;
    bad.sample.top_p = 2;
    const int32_t outside = VOCAB;
    Received received = {.fail_at = 2};
    const TokenReceiver receiver = {receive, &received};
    Rng rng = rng_seeded(1);
    assert_fails(generate(NULL, &decoder, &outside, 0, &good, &rng, receiver), CS336_ERANGE,
                 "decoder_feed: no token given, expected at least one");
    assert_fails(generate(NULL, &decoder, &outside, 1, &bad, &rng, receiver), CS336_ERANGE,
                 "sample_check: top_p is 2, expected a number from 0 to 1");
    ck_assert_int_eq(generate(NULL, &decoder, &outside, 1, &good, &rng, receiver), CS336_ERANGE);
    const int32_t inside = 0;
    decoder_reset(&decoder);
    size_t count;
    assert_fails(generate(&count, &decoder, &inside, 1, &good, &rng, receiver), CS336_EIO, "receive: no room");
    ck_assert_uint_eq(count, 2);
    decoder_deinit(&decoder);
    tiny_lm_deinit(&tiny);
}
END_TEST

static Status feed_afresh(void *context)
{
    const int32_t ids[] = {1, 2, 3};
    Decoder *decoder = context;
    decoder_reset(decoder);
    parallel_release();
    const Status s = decoder_feed(decoder, ids, 3);
    parallel_release();
    return s;
}

static Status make_decoder(void *context)
{
    Decoder decoder;
    const Status s = decoder_init(&decoder, context, true);
    decoder_deinit(&decoder);
    return s;
}

START_TEST(test_decoder_allocation_failures)
{
    TinyLM tiny;
    const TransformerLMConfig config = tiny_lm_config(0);
    tiny_lm_init(&tiny, &config, 13);
    assert_allocation_failures_say(make_decoder, &tiny.lm, "arena_init: no memory for *[0-9] bytes");
    for (int cached = 0; cached < 2; cached++) {
        Decoder decoder;
        test_label(cached ? "with a cache" : "without a cache");
        assert_ok(decoder_init(&decoder, &tiny.lm, cached));
        parallel_release();
        assert_allocation_failures_say(feed_afresh, &decoder, "parallel_reserve: no memory for *[0-9] bytes");
        decoder_deinit(&decoder);
    }
    tiny_lm_deinit(&tiny);
}
END_TEST

const TestCase generation_tests[] = {
    TEST(test_uncached_logits_are_those_of_the_window, "decoding"),
    TEST(test_cached_logits_equal_uncached, "decoding"),
    TEST(test_prompt_at_once_equals_one_by_one, "decoding"),
    TEST(test_generation_reads_its_own_tokens, "decoding"),
    TEST(test_greedy_ids_equal_with_and_without_cache, "decoding"),
    TEST(test_generation_is_seeded, "decoding"),
    TEST(test_generation_ends_at_the_stop_token, "decoding"),
    TEST(test_generation_does_not_depend_on_threads, "decoding"),
    TEST(test_generation_with_a_window_of_one_token, "decoding"),
    TEST(test_only_drawable_ids_are_drawn, "decoding"),
    TEST(test_generation_draws_only_ids_with_a_token, "decoding"),
    TEST(test_generation_errors, "decoding"),
    TEST(test_decoder_allocation_failures, "decoding"),
    {0},
};
