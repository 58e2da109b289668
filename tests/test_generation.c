#include "core/parallel.h"
#include "generate/decode.h"
#include "generate/sample.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/tiny_lm.h"

#include <math.h>
#include <string.h>

/* ---- sampling ---- */

enum { SMALL = 8 };

static void probabilities(double *p, const float *logits, size_t count, double temperature)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += p[i] = exp((double)logits[i] / temperature);
    for (size_t i = 0; i < count; i++)
        p[i] /= sum;
}

/* Draws through the public function, with scratch of exactly the promised size. */
static void draw(size_t *counts, size_t vocab_size, const float *logits, SampleConfig config, size_t draws,
                 uint64_t seed)
{
    float copy[SMALL];
    memcpy(copy, logits, vocab_size * sizeof *copy);
    Arena scratch;
    assert_ok(arena_init(&scratch, sample_scratch(vocab_size)));
    Rng rng = rng_seeded(seed);
    for (size_t i = 0; i < draws; i++) {
        int32_t token;
        assert_ok(sample_token(&token, tensor(copy, vocab_size), &config, &rng, &scratch));
        ck_assert(token >= 0 && (size_t)token < vocab_size);
        counts[token]++;
    }
    ck_assert_uint_eq(scratch.used, 0);
    arena_deinit(&scratch);
}

static double chi_square(const size_t *counts, const double *p, size_t count, size_t draws)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        const double expected = p[i] * (double)draws, difference = (double)counts[i] - expected;
        sum += difference * difference / expected;
    }
    return sum;
}

static const float some_logits[SMALL] = {0.3F, -1.2F, 2.0F, 0.3F, 1.1F, -0.4F, 0.0F, -2.0F};

START_TEST(test_sampling_follows_the_softmax)
{
    enum { DRAWS = 40000 };
    const double temperatures[] = {0.5, 1, 2.5};
    for (size_t t = 0; t < 3; t++) {
        size_t counts[SMALL] = {0};
        double p[SMALL];
        probabilities(p, some_logits, SMALL, temperatures[t]);
        draw(counts, SMALL, some_logits, (SampleConfig){.temperature = temperatures[t], .top_p = 1}, DRAWS, 11 + t);
        /* 7 degrees of freedom: 29.9 is passed by chance once in 10 000. */
        ck_assert_double_lt(chi_square(counts, p, SMALL, DRAWS), 29.9);
    }
}
END_TEST

START_TEST(test_sampling_top_p_renormalises)
{
    enum { DRAWS = 40000 };
    /* Sorted, the probabilities are about 0.443, 0.180, 0.081 twice, ...: 0.7 needs three, 0 first of the equals. */
    size_t counts[SMALL] = {0};
    double p[SMALL];
    probabilities(p, some_logits, SMALL, 1);
    const double kept = p[2] + p[4] + p[0];
    ck_assert(p[2] + p[4] < 0.7 && kept >= 0.7);
    const double expected[3] = {p[2] / kept, p[4] / kept, p[0] / kept};
    draw(counts, SMALL, some_logits, (SampleConfig){.temperature = 1, .top_p = 0.7}, DRAWS, 5);
    const size_t seen[3] = {counts[2], counts[4], counts[0]};
    ck_assert_uint_eq(seen[0] + seen[1] + seen[2], DRAWS);
    /* 2 degrees of freedom: 18.4 is passed by chance once in 10 000. */
    ck_assert_double_lt(chi_square(seen, expected, 3, DRAWS), 18.4);
}
END_TEST

/* By enumeration: of all sets that reach p, the fewest members; of those, the likeliest; of those, the lowest ids. */
static unsigned smallest_set(const double *p, size_t count, double top_p)
{
    unsigned best = 0, best_size = (unsigned)count + 1;
    double best_sum = 0;
    for (unsigned set = 1; set < 1U << count; set++) {
        unsigned size = 0;
        double sum = 0;
        for (size_t i = 0; i < count; i++)
            if (set >> i & 1U)
                size++, sum += p[i];
        if (sum < top_p)
            continue;
        const bool equal = fabs(sum - best_sum) < 1e-12;
        /* Of two sets of equal size, the lowest differing id decides, that is the lowest differing bit. */
        const unsigned differ = set ^ best, lowest = differ & (~differ + 1U);
        if (size < best_size || (size == best_size && (equal ? (set & lowest) != 0 : sum > best_sum)))
            best = set, best_size = size, best_sum = sum;
    }
    return best;
}

START_TEST(test_top_p_keeps_the_smallest_set)
{
    Rng rng = rng_seeded(3);
    for (int round = 0; round < 200; round++) {
        float logits[SMALL];
        /* Multiples of a half: many equal ones. */
        for (size_t i = 0; i < SMALL; i++)
            logits[i] = (float)rng_below(&rng, 7) / 2;
        const SampleConfig config = {.temperature = 1, .top_p = 0.001 + 0.998 * rng_uniform(&rng)};
        double p[SMALL];
        probabilities(p, logits, SMALL, 1);
        Candidate candidates[SMALL];
        size_t count;
        assert_ok(sample_candidates(candidates, &count, tensor(logits, SMALL), &config));
        unsigned set = 0;
        double sum = 0;
        for (size_t i = 0; i < count; i++) {
            set |= 1U << candidates[i].token;
            sum += candidates[i].probability;
        }
        ck_assert_uint_eq(set, smallest_set(p, SMALL, config.top_p));
        ck_assert_double_eq_tol(sum, 1, 1e-12);
    }
}
END_TEST

START_TEST(test_top_p_limits)
{
    float logits[SMALL];
    memcpy(logits, some_logits, sizeof logits);
    Candidate candidates[SMALL];
    size_t count;
    assert_ok(sample_candidates(candidates, &count, tensor(logits, SMALL), &(SampleConfig){1, 1}));
    ck_assert_uint_eq(count, SMALL);
    const double tiny[] = {0, 1e-12};
    for (size_t i = 0; i < 2; i++) {
        assert_ok(sample_candidates(candidates, &count, tensor(logits, SMALL), &(SampleConfig){1, tiny[i]}));
        ck_assert_uint_eq(count, 1);
        ck_assert_int_eq(candidates[0].token, 2);
        ck_assert_double_eq(candidates[0].probability, 1);
    }
    float equal[SMALL] = {0};
    assert_ok(sample_candidates(candidates, &count, tensor(equal, SMALL), &(SampleConfig){1, 0.5}));
    ck_assert_uint_eq(count, 4);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(candidates[i].token, i);
}
END_TEST

START_TEST(test_temperature_zero_is_argmax)
{
    float logits[SMALL] = {1, 5, -3, 5, 2, 5, 0, 1};
    size_t counts[SMALL] = {0};
    draw(counts, SMALL, logits, (SampleConfig){.temperature = 0, .top_p = 1}, 50, 1);
    ck_assert_uint_eq(counts[1], 50);
}
END_TEST

START_TEST(test_temperature_limits)
{
    float logits[SMALL] = {100, 200, -300, 199, 2, 5, 0, 1};
    Candidate candidates[SMALL];
    size_t count;
    assert_ok(sample_candidates(candidates, &count, tensor(logits, SMALL), &(SampleConfig){1e-3, 1}));
    ck_assert_int_eq(candidates[0].token, 1);
    ck_assert_double_eq(candidates[0].probability, 1);
    assert_ok(sample_candidates(candidates, &count, tensor(logits, SMALL), &(SampleConfig){1e9, 1}));
    ck_assert_uint_eq(count, SMALL);
    for (size_t i = 0; i < SMALL; i++)
        ck_assert_double_eq_tol(candidates[i].probability, 1.0 / SMALL, 1e-6);
}
END_TEST

START_TEST(test_impossible_tokens_are_never_candidates)
{
    float logits[4] = {-INFINITY, 0, -INFINITY, 0};
    Candidate candidates[4];
    size_t count;
    assert_ok(sample_candidates(candidates, &count, tensor(logits, 4), &(SampleConfig){1, 1}));
    ck_assert_uint_eq(count, 2);
    ck_assert_int_eq(candidates[0].token, 1);
    ck_assert_int_eq(candidates[1].token, 3);
}
END_TEST

START_TEST(test_sampling_is_seeded)
{
    size_t a[SMALL] = {0}, b[SMALL] = {0}, c[SMALL] = {0};
    const SampleConfig config = {.temperature = 1, .top_p = 0.9};
    draw(a, SMALL, some_logits, config, 500, 7);
    draw(b, SMALL, some_logits, config, 500, 7);
    draw(c, SMALL, some_logits, config, 500, 8);
    ck_assert_mem_eq(a, b, sizeof a);
    ck_assert_mem_ne(a, c, sizeof a);
}
END_TEST

START_TEST(test_sampling_errors)
{
    float logits[3] = {0, NAN, 1}, infinite[2] = {0, INFINITY}, none[2] = {-INFINITY, -INFINITY};
    Candidate candidates[3];
    size_t count;
    assert_fails(sample_check(&(SampleConfig){-1, 1}), CS336_ERANGE,
                 "sample_check: temperature is -1, expected a finite number of at least 0");
    assert_fails(sample_check(&(SampleConfig){NAN, 1}), CS336_ERANGE,
                 "sample_check: temperature is nan, expected a finite number of at least 0");
    assert_fails(sample_check(&(SampleConfig){1, 1.5}), CS336_ERANGE,
                 "sample_check: top_p is 1.5, expected a number from 0 to 1");
    assert_fails(sample_candidates(candidates, &count, tensor(logits, 3), &(SampleConfig){1, -0.5}), CS336_ERANGE,
                 "sample_check: top_p is -0.5, expected a number from 0 to 1");
    assert_fails(sample_candidates(candidates, &count, tensor(logits, 3), &(SampleConfig){1, 1}), CS336_ERANGE,
                 "sample_candidates: logit 1 is nan, expected a number");
    assert_fails(sample_candidates(candidates, &count, tensor(infinite, 2), &(SampleConfig){1, 1}), CS336_ERANGE,
                 "sample_candidates: logit 1 is inf, expected a number");
    assert_fails(sample_candidates(candidates, &count, tensor(none, 2), &(SampleConfig){1, 1}), CS336_ERANGE,
                 "sample_candidates: all 2 logits are -inf");
    Arena empty;
    assert_ok(arena_init(&empty, 0));
    Rng rng = rng_seeded(1);
    int32_t token;
    assert_fails(sample_token(&token, tensor(none, 2), &(SampleConfig){1, 1}, &rng, &empty), CS336_ENOMEM,
                 "arena_take: 32 bytes asked for, 0 of 0 left");
    arena_deinit(&empty);
    assert_ok(arena_init(&empty, sample_scratch(2)));
    assert_fails(sample_token(&token, tensor(none, 2), &(SampleConfig){1, 1}, &rng, &empty), CS336_ERANGE,
                 "sample_candidates: all 2 logits are -inf");
    ck_assert_uint_eq(empty.used, 0);
    ck_assert_uint_eq(rng.counter, 0);
    arena_deinit(&empty);
}
END_TEST

/* ---- generating ---- */

enum { CONTEXT = 8, TEXT = 30, VOCAB = 13 };

static void random_ids(int32_t *ids, size_t count, uint64_t seed)
{
    Rng rng = rng_seeded(seed);
    for (size_t i = 0; i < count; i++)
        ids[i] = (int32_t)rng_below(&rng, VOCAB);
}

/* The window after n tokens, by the rule: 1 to 8 tokens, then 5 to 8 again and again. */
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
            assert_ok(decoder_feed(&cached, &ids[n], 1));
            assert_ok(decoder_feed(&uncached, &ids[n], 1));
            /* Without norms logits are as large as 70, and rounding with them. */
            const double scale = config.norm == NORM_NONE ? largest(uncached.logits) : 1;
            assert_allclose_array("logits", cached.logits.data, uncached.logits.data, VOCAB, 0, 1e-4 * scale);
        }
        decoder_deinit(&cached);
        decoder_deinit(&uncached);
        tiny_lm_deinit(&tiny);
    }
}
END_TEST

/* Prompts of every length, also longer than the window, give what the same tokens one by one give. */
START_TEST(test_prompt_at_once_equals_one_by_one)
{
    TinyLM tiny;
    const TransformerLMConfig config = tiny_lm_config(0);
    tiny_lm_init(&tiny, &config, 5);
    Decoder whole, single;
    assert_ok(decoder_init(&whole, &tiny.lm, true));
    assert_ok(decoder_init(&single, &tiny.lm, true));
    int32_t ids[TEXT];
    random_ids(ids, TEXT, 6);
    for (size_t n = 1; n <= TEXT; n++) {
        decoder_reset(&whole);
        assert_ok(decoder_feed(&whole, ids, n));
        assert_ok(decoder_feed(&single, &ids[n - 1], 1));
        ck_assert_uint_eq(whole.length, single.length);
        assert_allclose_array("logits", whole.logits.data, single.logits.data, VOCAB, 0, 1e-4);
    }
    decoder_deinit(&whole);
    decoder_deinit(&single);
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

START_TEST(test_greedy_ids_equal_with_and_without_cache)
{
    for (int variant = 0; variant < TINY_LM_VARIANTS; variant++) {
        TinyLM tiny;
        const TransformerLMConfig config = tiny_lm_config(variant);
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
    float logits[3][VOCAB];
    for (int threads = 1; threads <= 3; threads++) {
        parallel_set_threads(threads);
        Decoder decoder;
        assert_ok(decoder_init(&decoder, &tiny.lm, true));
        const GenerateConfig sampled = {.max_tokens = TEXT, .stop_token = -1, .sample = {.temperature = 1, .top_p = 1}};
        Received received;
        size_t count;
        assert_ok(continue_prompt(&received, &count, &decoder, sampled, 1));
        memcpy(logits[threads - 1], decoder.logits.data, sizeof logits[0]);
        decoder_deinit(&decoder);
    }
    ck_assert_mem_eq(logits[0], logits[1], sizeof logits[0]);
    ck_assert_mem_eq(logits[0], logits[2], sizeof logits[0]);
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
        assert_ok(decoder_init(&decoder, &tiny.lm, cached));
        parallel_release();
        assert_allocation_failures_say(feed_afresh, &decoder, "parallel_reserve: no memory for *[0-9] bytes");
        decoder_deinit(&decoder);
    }
    tiny_lm_deinit(&tiny);
}
END_TEST

const TestCase generation_tests[] = {
    TEST(test_sampling_follows_the_softmax, "decoding"),
    TEST(test_sampling_top_p_renormalises, "decoding"),
    TEST(test_top_p_keeps_the_smallest_set, "decoding"),
    TEST(test_top_p_limits, "decoding"),
    TEST(test_temperature_zero_is_argmax, "decoding"),
    TEST(test_temperature_limits, "decoding"),
    TEST(test_impossible_tokens_are_never_candidates, "decoding"),
    TEST(test_sampling_is_seeded, "decoding"),
    TEST(test_sampling_errors, "decoding"),
    TEST(test_uncached_logits_are_those_of_the_window, "decoding"),
    TEST(test_cached_logits_equal_uncached, "decoding"),
    TEST(test_prompt_at_once_equals_one_by_one, "decoding"),
    TEST(test_greedy_ids_equal_with_and_without_cache, "decoding"),
    TEST(test_generation_is_seeded, "decoding"),
    TEST(test_generation_ends_at_the_stop_token, "decoding"),
    TEST(test_generation_does_not_depend_on_threads, "decoding"),
    TEST(test_generation_with_a_window_of_one_token, "decoding"),
    TEST(test_generation_errors, "decoding"),
    TEST(test_decoder_allocation_failures, "decoding"),
    {0},
};
