#include "generate/sample.h"
#include "nn/functional.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL = 8 };

static void probabilities(double *p, const float *logits, size_t count, double temperature)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += p[i] = exp((double)logits[i] / temperature);
    for (size_t i = 0; i < count; i++)
        p[i] /= sum;
}

/* Draws with the public function, with exactly the scratch that it asks for. */
static void draw(size_t *counts, size_t vocab_size, const float *logits, SampleConfig config, size_t draws,
                 uint64_t seed)
{
    float copy[SMALL];
    memcpy(copy, logits, vocab_size * sizeof *copy);
    Arena scratch;
    assert_ok(arena_init(&scratch, sample_scratch(vocab_size)));
    Rng rng = rng_seeded(seed);
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < draws; i++) {
        int32_t token = -1;
        s = sample_token(&token, tensor(copy, vocab_size), &config, &rng, &scratch);
        /* Each ck_assert writes to a pipe, so one for each draw would take seconds. */
        if (!s && (token < 0 || (size_t)token >= vocab_size))
            ck_abort_msg("draw %zu gives token %d, expected one below %zu", i, (int)token, vocab_size);
        counts[s ? 0 : token]++;
    }
    assert_ok(s);
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
        test_label("temperature %g", temperatures[t]);
        probabilities(p, some_logits, SMALL, temperatures[t]);
        draw(counts, SMALL, some_logits, (SampleConfig){.temperature = temperatures[t], .top_p = 1}, DRAWS, 11 + t);
        /* A chi-square variable of 7 degrees of freedom exceeds 29.9 once in 10 000 times. */
        ck_assert_double_lt(chi_square(counts, p, SMALL, DRAWS), 29.9);
    }
}
END_TEST

START_TEST(test_sampling_probabilities_are_the_softmax)
{
    enum { VOCAB = 1500 };
    static const double temperatures[] = {0.3, 1, 4};
    static float logits[VOCAB], scaled[VOCAB], softmax[VOCAB];
    static SampleCandidate candidates[VOCAB];
    Rng rng = rng_seeded(23);
    for (size_t t = 0; t < 3; t++) {
        for (size_t i = 0; i < VOCAB; i++) {
            logits[i] = (float)(8 * rng_uniform(&rng) - 4);
            scaled[i] = (float)((double)logits[i] / temperatures[t]);
        }
        assert_ok(softmax_forward(tensor(softmax, VOCAB), tensor(scaled, VOCAB), -1));
        size_t count;
        assert_ok(sample_candidates(candidates, &count, tensor(logits, VOCAB),
                                    &(SampleConfig){.temperature = temperatures[t], .top_p = 1}));
        ck_assert_uint_eq(count, VOCAB);
        for (size_t i = 0; i < VOCAB; i++) {
            test_label("temperature %g, token %d", temperatures[t], (int)candidates[i].token);
            ck_assert_double_eq_tol(candidates[i].probability / (double)softmax[candidates[i].token], 1, 1e-5);
        }
    }
}
END_TEST

START_TEST(test_sampling_top_p_renormalises)
{
    enum { DRAWS = 40000 };
    /* Sorted, the probabilities are about 0.443, 0.180, 0.081, 0.081, ... Top-p 0.7 keeps three; id 0 is the first of
     * the equal ones. */
    size_t counts[SMALL] = {0};
    double p[SMALL];
    probabilities(p, some_logits, SMALL, 1);
    const double kept = p[2] + p[4] + p[0];
    ck_assert(p[2] + p[4] < 0.7 && kept >= 0.7);
    const double expected[3] = {p[2] / kept, p[4] / kept, p[0] / kept};
    draw(counts, SMALL, some_logits, (SampleConfig){.temperature = 1, .top_p = 0.7}, DRAWS, 5);
    const size_t seen[3] = {counts[2], counts[4], counts[0]};
    ck_assert_uint_eq(seen[0] + seen[1] + seen[2], DRAWS);
    /* A chi-square variable of 2 degrees of freedom exceeds 18.4 once in 10 000 times. */
    ck_assert_double_lt(chi_square(seen, expected, 3, DRAWS), 18.4);
}
END_TEST

/*
 * Finds the smallest set by enumeration: of all sets that reach p those with the fewest members, of these the most
 * probable, of these the one with the lowest ids.
 */
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
        /* Of two equal sets the lowest id that only one has decides: the lowest differing bit. */
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
        /* Multiples of 1/2: many logits are equal. */
        for (size_t i = 0; i < SMALL; i++)
            logits[i] = (float)rng_below(&rng, 7) / 2;
        const SampleConfig config = {.temperature = 1, .top_p = 0.001 + 0.998 * rng_uniform(&rng)};
        double p[SMALL];
        probabilities(p, logits, SMALL, 1);
        SampleCandidate candidates[SMALL];
        size_t count;
        assert_ok(sample_candidates(candidates, &count, tensor(logits, SMALL), &config));
        unsigned set = 0;
        double sum = 0;
        for (size_t i = 0; i < count; i++) {
            set |= 1U << candidates[i].token;
            sum += candidates[i].probability;
        }
        test_label("round %d, top_p %g", round, config.top_p);
        ck_assert_uint_eq(set, smallest_set(p, SMALL, config.top_p));
        ck_assert_double_eq_tol(sum, 1, 1e-12);
    }
}
END_TEST

/* Selects the candidates without shortcuts: it sorts all tokens. */
static int likelier(const void *left, const void *right)
{
    const SampleCandidate *a = left, *b = right;
    if (a->probability != b->probability)
        return a->probability > b->probability ? -1 : 1;
    return a->token - b->token;
}

START_TEST(test_top_p_of_a_large_vocabulary_agrees_with_sorting)
{
    enum { VOCAB = 5003 };
    static float logits[VOCAB];
    static SampleCandidate sorted[VOCAB], candidates[VOCAB];
    static double p[VOCAB];
    static const double spreads[] = {0, 0.1, 1, 10, 100}, rates[] = {0.001, 0.5, 0.9, 0.999};
    Rng rng = rng_seeded(17);
    for (size_t s = 0; s < sizeof spreads / sizeof *spreads; s++)
        for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
            for (size_t i = 0; i < VOCAB; i++)
                logits[i] = i % 50 == 7 ? -INFINITY : (float)(spreads[s] * rng_normal(&rng));
            probabilities(p, logits, VOCAB, 1);
            for (size_t i = 0; i < VOCAB; i++)
                sorted[i] = (SampleCandidate){p[i], (int32_t)i};
            qsort(sorted, VOCAB, sizeof *sorted, likelier);
            test_label("logits of deviation %g, top_p %g", spreads[s], rates[r]);
            size_t expected = 0, count;
            double sum = 0;
            while (sum < rates[r])
                sum += sorted[expected++].probability;
            assert_ok(sample_candidates(candidates, &count, tensor(logits, VOCAB),
                                        &(SampleConfig){.temperature = 1, .top_p = rates[r]}));
            /* Exponentials are rounded to float32, which may add or drop one candidate where the sum just reaches
             * top_p. */
            ck_assert_msg(count + 1 >= expected && count <= expected + 1, "%zu candidates, expected %zu", count,
                          expected);
            double total = 0;
            for (size_t i = 0; i < count; i++) {
                const double kept = p[candidates[i].token], least = sorted[expected - 1].probability;
                ck_assert_msg(kept >= least * (1 - 1e-6) || count > expected, "token %d of %g, least %g",
                              candidates[i].token, kept, least);
                ck_assert_double_eq_tol(candidates[i].probability, kept / sum, 2e-3 * kept / sum);
                total += candidates[i].probability;
                p[candidates[i].token] = -1; /* a candidate that came twice would fail here */
            }
            ck_assert_double_eq_tol(total, 1, 1e-12);
        }
}
END_TEST

/* Selects with a sort of all tokens: first the top_k likeliest, then of these the nucleus of top_p. */
static size_t select_by_sorting(SampleCandidate *sorted, const float *logits, size_t count, SampleConfig config)
{
    double p[SMALL], sum = 0, kept = 0;
    probabilities(p, logits, count, config.temperature);
    for (size_t i = 0; i < count; i++)
        sorted[i] = (SampleCandidate){p[i], (int32_t)i};
    qsort(sorted, count, sizeof *sorted, likelier);
    const size_t k = config.top_k && config.top_k < count ? config.top_k : count;
    for (size_t i = 0; i < k; i++)
        sum += sorted[i].probability;
    size_t left = 0;
    while (left < k && (left == 0 || kept < config.top_p * sum))
        kept += sorted[left++].probability;
    for (size_t i = 0; i < left; i++)
        sorted[i].probability /= kept;
    return left;
}

START_TEST(test_top_k_comes_before_top_p)
{
    Rng rng = rng_seeded(29);
    size_t both = 0;
    for (int round = 0; round < 400; round++) {
        float logits[SMALL];
        /* Multiples of 1/2: many logits are equal, so the ids decide. */
        for (size_t i = 0; i < SMALL; i++)
            logits[i] = (float)rng_below(&rng, 7) / 2;
        const SampleConfig config = {.temperature = 0.5 + rng_uniform(&rng),
                                     .top_p = round % 3 ? 0.001 + 0.998 * rng_uniform(&rng) : 1,
                                     .top_k = rng_below(&rng, SMALL + 2)};
        SampleCandidate candidates[SMALL], sorted[SMALL];
        size_t count;
        assert_ok(sample_candidates(candidates, &count, tensor(logits, SMALL), &config));
        const size_t expected = select_by_sorting(sorted, logits, SMALL, config);
        qsort(candidates, count, sizeof *candidates, likelier);
        test_label("round %d, top_k %zu, top_p %g", round, config.top_k, config.top_p);
        ck_assert_uint_eq(count, expected);
        for (size_t i = 0; i < count; i++) {
            ck_assert_int_eq(candidates[i].token, sorted[i].token);
            ck_assert_double_eq_tol(candidates[i].probability, sorted[i].probability, 1e-6);
        }
        /* Rounds in which top_p taken of all tokens would have kept others. */
        SampleConfig alone = config;
        alone.top_k = 0;
        both += config.top_k && select_by_sorting(sorted, logits, SMALL, alone) < config.top_k &&
                select_by_sorting(sorted, logits, SMALL, alone) != count;
    }
    ck_assert_uint_ge(both, 5); /* else the order of the two would not matter here */
}
END_TEST

START_TEST(test_top_k_of_a_large_vocabulary_agrees_with_sorting)
{
    enum { VOCAB = 5003 };
    static float logits[VOCAB];
    static SampleCandidate sorted[VOCAB], candidates[VOCAB];
    static const double spreads[] = {0, 0.1, 1, 10};
    static const size_t ks[] = {1, 2, 40, 1000, VOCAB - 1, VOCAB, VOCAB + 1};
    Rng rng = rng_seeded(31);
    for (size_t s = 0; s < sizeof spreads / sizeof *spreads; s++)
        for (size_t k = 0; k < sizeof ks / sizeof *ks; k++) {
            for (size_t i = 0; i < VOCAB; i++) {
                logits[i] = (float)(spreads[s] * rng_normal(&rng));
                sorted[i] = (SampleCandidate){(double)logits[i], (int32_t)i};
            }
            qsort(sorted, VOCAB, sizeof *sorted, likelier);
            size_t count;
            test_label("logits of deviation %g, top_k %zu", spreads[s], ks[k]);
            assert_ok(sample_candidates(candidates, &count, tensor(logits, VOCAB),
                                        &(SampleConfig){.temperature = 1, .top_p = 1, .top_k = ks[k]}));
            ck_assert_uint_eq(count, ks[k] < VOCAB ? ks[k] : VOCAB);
            /* No logit is below the k-th largest. Exponentials are float32, so logits that differ by less are equal. */
            const double least = sorted[count - 1].probability - 1e-6;
            double total = 0;
            for (size_t i = 0; i < count; i++) {
                float *logit = &logits[candidates[i].token];
                ck_assert_msg((double)*logit >= least, "token %d of %g, least %g", candidates[i].token, (double)*logit,
                              least);
                *logit = -INFINITY; /* a candidate that came twice would fail here */
                total += candidates[i].probability;
            }
            ck_assert_double_eq_tol(total, 1, 1e-12);
        }
}
END_TEST

START_TEST(test_sampling_top_k_renormalises)
{
    enum { DRAWS = 40000 };
    /* Ids 2 and 4 are the likeliest; ids 0 and 3 are equal, and the lower one is the third. */
    size_t counts[SMALL] = {0};
    double p[SMALL];
    probabilities(p, some_logits, SMALL, 1);
    const double kept = p[2] + p[4] + p[0];
    const double expected[3] = {p[2] / kept, p[4] / kept, p[0] / kept};
    draw(counts, SMALL, some_logits, (SampleConfig){.temperature = 1, .top_p = 1, .top_k = 3}, DRAWS, 6);
    const size_t seen[3] = {counts[2], counts[4], counts[0]};
    ck_assert_uint_eq(seen[0] + seen[1] + seen[2], DRAWS);
    /* A chi-square variable of 2 degrees of freedom exceeds 18.4 once in 10 000 times. */
    ck_assert_double_lt(chi_square(seen, expected, 3, DRAWS), 18.4);
}
END_TEST

START_TEST(test_top_p_limits)
{
    float logits[SMALL];
    memcpy(logits, some_logits, sizeof logits);
    SampleCandidate candidates[SMALL];
    size_t count;
    assert_ok(
        sample_candidates(candidates, &count, tensor(logits, SMALL), &(SampleConfig){.temperature = 1, .top_p = 1}));
    ck_assert_uint_eq(count, SMALL);
    const double tiny[] = {0, 1e-12};
    for (size_t i = 0; i < 2; i++) {
        test_label("top_p %g", tiny[i]);
        assert_ok(sample_candidates(candidates, &count, tensor(logits, SMALL),
                                    &(SampleConfig){.temperature = 1, .top_p = tiny[i]}));
        ck_assert_uint_eq(count, 1);
        ck_assert_int_eq(candidates[0].token, 2);
        ck_assert_double_eq(candidates[0].probability, 1);
    }
    test_label("equal logits");
    float equal[SMALL] = {0};
    assert_ok(
        sample_candidates(candidates, &count, tensor(equal, SMALL), &(SampleConfig){.temperature = 1, .top_p = 0.5}));
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
    SampleCandidate candidates[SMALL];
    size_t count;
    assert_ok(
        sample_candidates(candidates, &count, tensor(logits, SMALL), &(SampleConfig){.temperature = 1e-3, .top_p = 1}));
    ck_assert_int_eq(candidates[0].token, 1);
    ck_assert_double_eq(candidates[0].probability, 1);
    assert_ok(
        sample_candidates(candidates, &count, tensor(logits, SMALL), &(SampleConfig){.temperature = 1e9, .top_p = 1}));
    ck_assert_uint_eq(count, SMALL);
    for (size_t i = 0; i < SMALL; i++)
        ck_assert_double_eq_tol(candidates[i].probability, 1.0 / SMALL, 1e-6);
}
END_TEST

START_TEST(test_impossible_tokens_are_never_candidates)
{
    float logits[4] = {-INFINITY, 0, -INFINITY, 0};
    SampleCandidate candidates[4];
    size_t count;
    assert_ok(sample_candidates(candidates, &count, tensor(logits, 4), &(SampleConfig){.temperature = 1, .top_p = 1}));
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
    SampleCandidate candidates[3];
    size_t count;
    assert_fails(sample_check(&(SampleConfig){.temperature = -1, .top_p = 1}), CS336_ERANGE,
                 "sample_check: temperature is -1, expected a finite number of at least 0");
    assert_fails(sample_check(&(SampleConfig){.temperature = NAN, .top_p = 1}), CS336_ERANGE,
                 "sample_check: temperature is nan, expected a finite number of at least 0");
    assert_fails(sample_check(&(SampleConfig){.temperature = 1, .top_p = 1.5}), CS336_ERANGE,
                 "sample_check: top_p is 1.5, expected a number from 0 to 1");
    assert_fails(
        sample_candidates(candidates, &count, tensor(logits, 3), &(SampleConfig){.temperature = 1, .top_p = -0.5}),
        CS336_ERANGE, "sample_check: top_p is -0.5, expected a number from 0 to 1");
    assert_fails(
        sample_candidates(candidates, &count, tensor(logits, 3), &(SampleConfig){.temperature = 1, .top_p = 1}),
        CS336_ERANGE, "sample_candidates: logit 1 is nan, expected a number");
    assert_fails(
        sample_candidates(candidates, &count, tensor(infinite, 2), &(SampleConfig){.temperature = 1, .top_p = 1}),
        CS336_ERANGE, "sample_candidates: logit 1 is inf, expected a number");
    assert_fails(sample_candidates(candidates, &count, tensor(none, 2), &(SampleConfig){.temperature = 1, .top_p = 1}),
                 CS336_ERANGE, "sample_candidates: all 2 logits are -inf");
    Arena empty;
    assert_ok(arena_init(&empty, 0));
    Rng rng = rng_seeded(1);
    int32_t token;
    assert_fails(sample_token(&token, tensor(none, 2), &(SampleConfig){.temperature = 1, .top_p = 1}, &rng, &empty),
                 CS336_ENOMEM, "arena_take: 32 bytes asked for, 0 of 0 left");
    arena_deinit(&empty);
    assert_ok(arena_init(&empty, sample_scratch(2)));
    assert_fails(sample_token(&token, tensor(none, 2), &(SampleConfig){.temperature = 1, .top_p = 1}, &rng, &empty),
                 CS336_ERANGE, "sample_candidates: all 2 logits are -inf");
    ck_assert_uint_eq(empty.used, 0);
    ck_assert_uint_eq(rng.counter, 0);
    arena_deinit(&empty);
}
END_TEST

const TestCase sampling_tests[] = {
    TEST(test_sampling_follows_the_softmax, "decoding"),
    TEST(test_sampling_probabilities_are_the_softmax, "decoding"),
    TEST(test_sampling_top_p_renormalises, "decoding"),
    TEST(test_top_p_keeps_the_smallest_set, "decoding"),
    TEST(test_top_p_of_a_large_vocabulary_agrees_with_sorting, "decoding"),
    TEST(test_top_k_comes_before_top_p, "decoding"),
    TEST(test_top_k_of_a_large_vocabulary_agrees_with_sorting, "decoding"),
    TEST(test_sampling_top_k_renormalises, "decoding"),
    TEST(test_top_p_limits, "decoding"),
    TEST(test_temperature_zero_is_argmax, "decoding"),
    TEST(test_temperature_limits, "decoding"),
    TEST(test_impossible_tokens_are_never_candidates, "decoding"),
    TEST(test_sampling_is_seeded, "decoding"),
    TEST(test_sampling_errors, "decoding"),
    {0},
};
