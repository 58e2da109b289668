/* Several texts that advance together: each must be the text that it is alone. */
#include "core/memory.h"
#include "core/parallel.h"
#include "generate/batch.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/tiny_lm.h"

#include <math.h>
#include <string.h>

/* A window of 8 tokens moves while a prompt of up to MOST tokens is read, and while up to LONGEST are generated. */
enum { VOCAB = 13, TEXTS = 37, LONGEST = 14, MOST = 30 };

static size_t random_ids(int32_t *ids, Rng *rng)
{
    const size_t count = 1 + rng_below(rng, MOST);
    for (size_t i = 0; i < count; i++)
        ids[i] = (int32_t)rng_below(rng, VOCAB);
    return count;
}

/* Feeds random decoders of a batch in random company, and each token also to a decoder that is alone. */
START_TEST(test_feeding_each_equals_feeding_alone)
{
    enum { ROUNDS = 60 };
    for (int variant = 0; variant < TINY_LM_VARIANTS; variant++) {
        TinyLM tiny;
        const TransformerLMConfig config = tiny_lm_config(variant);
        tiny_lm_init(&tiny, &config, 1);
        Decoder alone[DECODER_TOGETHER], each[DECODER_TOGETHER];
        Arena memory[DECODER_TOGETHER], scratch;
        for (size_t i = 0; i < DECODER_TOGETHER; i++) {
            Arena measure = {0};
            assert_ok(decoder_init(&alone[i], &tiny.lm, true));
            assert_ok(decoder_bind(&each[i], &measure, &tiny.lm, tiny.lm.config.context_length));
            assert_ok(arena_init(&memory[i], measure.peak));
            assert_ok(decoder_bind(&each[i], &memory[i], &tiny.lm, tiny.lm.config.context_length));
        }
        assert_ok(arena_init(&scratch, decoder_scratch(&tiny.lm, DECODER_TOGETHER, tiny.lm.config.context_length)));
        Rng rng = rng_seeded(2);
        for (size_t round = 0; round < ROUNDS; round++) {
            DecoderFeed feeds[DECODER_TOGETHER];
            static int32_t ids[DECODER_TOGETHER][MOST];
            size_t count = 0, who[DECODER_TOGETHER];
            for (size_t i = 0; i < DECODER_TOGETHER; i++) {
                if (rng_below(&rng, 4) == 0 && (count || i + 1 < DECODER_TOGETHER))
                    continue;
                const size_t several = random_ids(ids[i], &rng);
                feeds[count] = (DecoderFeed){&each[i], ids[i], rng_below(&rng, 8) ? 1 : several};
                who[count++] = i;
            }
            const Tensor logits = filled(NAN, count, VOCAB);
            assert_ok(decoder_feed_each(feeds, count, logits, &scratch));
            for (size_t i = 0; i < count; i++) {
                test_label("%s, round %zu, decoder %zu of %zu", variant_text(&config), round, who[i], count);
                assert_ok(decoder_feed(&alone[who[i]], feeds[i].ids, feeds[i].count));
                ck_assert_uint_eq(each[who[i]].length, alone[who[i]].length);
                assert_allclose(each[who[i]].logits, alone[who[i]].logits, 0, 0);
            }
        }
        for (size_t i = 0; i < DECODER_TOGETHER; i++) {
            decoder_deinit(&alone[i]);
            arena_deinit(&memory[i]);
        }
        arena_deinit(&scratch);
        tiny_lm_deinit(&tiny);
    }
}
END_TEST

/* ---- texts ---- */

typedef struct {
    int32_t prompt[MOST], ids[MOST];
    double log_probability[MOST];
    size_t prompt_length, count, ends, end_at;
    bool stopped;
} Text;

static Status receive(void *context, int32_t token)
{
    Text *text = context;
    text->ids[text->count++] = token;
    return CS336_OK;
}

static Status receive_drawn(void *context, const DrawnToken *token, bool *end)
{
    Text *text = context;
    ck_assert(!text->ends && !text->stopped);
    text->stopped = token->stops;
    if (token->stops)
        return CS336_OK;
    text->log_probability[text->count] = sample_log_probability(token->logits, token->id);
    text->ids[text->count++] = token->id;
    *end = text->count == text->end_at;
    return CS336_OK;
}

static Status receive_end(void *context)
{
    Text *text = context;
    text->ends++;
    return CS336_OK;
}

static void make_texts(Text *texts, GenerateText *generations, size_t count)
{
    Rng rng = rng_seeded(3);
    memset(texts, 0, count * sizeof *texts);
    for (size_t i = 0; i < count; i++) {
        texts[i].prompt_length = random_ids(texts[i].prompt, &rng);
        generations[i] = (GenerateText){.prompt = texts[i].prompt,
                                        .prompt_length = texts[i].prompt_length,
                                        .rng = rng_stream(4, i),
                                        .receiver = {receive_drawn, receive_end, &texts[i]}};
    }
}

static const bool drawable[VOCAB] = {[1] = true, [2] = true, [4] = true, [5] = true,  [6] = true,
                                     [7] = true, [8] = true, [9] = true, [10] = true, [11] = true};
static const GenerateConfig sampled = {.drawable = drawable,
                                       .max_tokens = LONGEST,
                                       .stop_token = 5,
                                       .sample = {.temperature = 1, .top_p = 0.95, .top_k = 9}};

/* Compares each text with the one that generate() makes of its prompt and random numbers. */
static void check_alone(const Text *texts, const GenerateText *generations, const TransformerLM *lm, const char *what)
{
    Decoder decoder;
    assert_ok(decoder_init(&decoder, lm, true));
    size_t stopped = 0;
    for (size_t i = 0; i < TEXTS; i++) {
        test_label("%s, text %zu", what, i);
        Text alone = {.count = 0};
        Rng rng = rng_stream(4, i);
        size_t count;
        decoder_reset(&decoder);
        assert_ok(generate(&count, &decoder, generations[i].prompt, generations[i].prompt_length, &sampled, &rng,
                           (TokenReceiver){receive, &alone}));
        ck_assert_uint_eq(texts[i].count, count);
        ck_assert_uint_eq(generations[i].generated, count);
        ck_assert_mem_eq(texts[i].ids, alone.ids, sizeof alone.ids);
        for (size_t k = 0; k < count; k++)
            ck_assert(drawable[texts[i].ids[k]]);
        ck_assert_uint_eq(texts[i].ends, 1);
        ck_assert(texts[i].stopped == (count < LONGEST));
        stopped += texts[i].stopped;
    }
    ck_assert(stopped > 0 && stopped < TEXTS); /* so that places were taken again at different times */
    decoder_deinit(&decoder);
}

START_TEST(test_texts_together_are_those_made_alone)
{
    for (int variant = 0; variant < TINY_LM_VARIANTS; variant++) {
        static Text texts[TEXTS];
        GenerateText generations[TEXTS];
        TinyLM tiny;
        const TransformerLMConfig config = tiny_lm_config(variant);
        tiny_lm_init(&tiny, &config, 5);
        parallel_set_threads(1 + variant % 3);
        make_texts(texts, generations, TEXTS);
        assert_ok(generate_all(generations, TEXTS, &tiny.lm, &sampled));
        check_alone(texts, generations, &tiny.lm, variant_text(&config));
        tiny_lm_deinit(&tiny);
    }
}
END_TEST

/* The caches have room for the longest text, not for the longest that the model could read. */
START_TEST(test_memory_grows_with_the_texts)
{
    enum { SHORT = MOST + LONGEST };
    static const size_t contexts[] = {SHORT, SHORT + 1, 100 * SHORT};
    size_t bytes[3];
    for (size_t i = 0; i < 3; i++) {
        static Text texts[TEXTS];
        GenerateText generations[TEXTS];
        TinyLM tiny;
        TransformerLMConfig config = tiny_lm_config(0);
        config.context_length = contexts[i];
        tiny_lm_init(&tiny, &config, 5);
        make_texts(texts, generations, TEXTS);
        generations[0].prompt_length = MOST;
        parallel_release(); /* the next product reserves its workspace again */
        memory_reset_peak();
        const size_t before = memory_peak();
        assert_ok(generate_all(generations, TEXTS, &tiny.lm, &sampled));
        bytes[i] = memory_peak() - before;
        check_alone(texts, generations, &tiny.lm, "context");
        tiny_lm_deinit(&tiny);
        ck_assert_uint_eq(bytes[i], bytes[0]);
    }
}
END_TEST

/* A model and texts large enough that several threads attend and draw: the texts do not depend on their number. */
START_TEST(test_texts_do_not_depend_on_threads)
{
    static const int threads[] = {1, 2, 5};
    static const GenerateConfig endless = {
        .max_tokens = LONGEST, .stop_token = -1, .sample = {.temperature = 1, .top_p = 0.95}};
    static Text texts[DECODER_TOGETHER];
    GenerateText generations[DECODER_TOGETHER];
    TransformerLMConfig config = tiny_lm_config(0);
    config.vocab_size = 8000; /* a draw takes long enough for several to run at the same time */
    config.context_length = MOST + LONGEST;
    config.d_model = 64;
    config.num_heads = 4;
    TinyLM tiny;
    Decoder decoder;
    tiny_lm_init(&tiny, &config, 5);
    assert_ok(decoder_init(&decoder, &tiny.lm, true));
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        parallel_set_threads(threads[t]);
        make_texts(texts, generations, DECODER_TOGETHER);
        assert_ok(generate_all(generations, DECODER_TOGETHER, &tiny.lm, &endless));
        for (size_t i = 0; i < DECODER_TOGETHER; i++) {
            test_label("%d threads, text %zu", threads[t], i);
            Text alone = {.count = 0};
            Rng rng = rng_stream(4, i);
            decoder_reset(&decoder);
            assert_ok(generate(NULL, &decoder, generations[i].prompt, generations[i].prompt_length, &endless, &rng,
                               (TokenReceiver){receive, &alone}));
            ck_assert_uint_eq(texts[i].count, LONGEST);
            ck_assert_mem_eq(texts[i].ids, alone.ids, sizeof alone.ids);
        }
    }
    /* Threads that cannot draw report it, and no token is handed over. */
    tiny.lm.lm_head.weight.data[0] = NAN;
    make_texts(texts, generations, DECODER_TOGETHER);
    ck_assert_int_eq(generate_all(generations, DECODER_TOGETHER, &tiny.lm, &endless), CS336_ERANGE);
    ck_assert_msg(strstr(status_message(), "expected a number"), "%s", status_message());
    for (size_t i = 0; i < DECODER_TOGETHER; i++)
        ck_assert_uint_eq(texts[i].count, 0);
    decoder_deinit(&decoder);
    tiny_lm_deinit(&tiny);
}
END_TEST

/* Texts that begin together with the same prompt read it once; three prompts, up to one longer than the window. */
START_TEST(test_texts_with_one_prompt_are_those_made_alone)
{
    static Text texts[TEXTS];
    GenerateText generations[TEXTS];
    TinyLM tiny;
    const TransformerLMConfig config = tiny_lm_config(0);
    tiny_lm_init(&tiny, &config, 5);
    make_texts(texts, generations, TEXTS);
    for (size_t i = 0; i < TEXTS; i++) {
        static const size_t lengths[] = {1, 5, 13};
        generations[i].prompt = texts[i % 3].prompt;
        generations[i].prompt_length = lengths[i % 3];
    }
    assert_ok(generate_all(generations, TEXTS, &tiny.lm, &sampled));
    check_alone(texts, generations, &tiny.lm, "three prompts");
    tiny_lm_deinit(&tiny);
}
END_TEST

/* The logarithm of a softmax of one forward pass over prompt and text, in double precision. */
START_TEST(test_log_probabilities_are_those_of_a_forward_pass)
{
    static Text texts[TEXTS];
    GenerateText generations[TEXTS];
    TinyLM tiny;
    TransformerLMConfig config = tiny_lm_config(0);
    config.context_length = 2 * MOST; /* no window moves */
    tiny_lm_init(&tiny, &config, 6);
    make_texts(texts, generations, TEXTS);
    assert_ok(generate_all(generations, TEXTS, &tiny.lm, &sampled));
    Arena scratch;
    assert_ok(arena_init(&scratch, transformer_lm_forward_scratch(&tiny.lm, 1, config.context_length)));
    for (size_t i = 0; i < TEXTS; i++) {
        const Text *text = &texts[i];
        const size_t length = text->prompt_length + text->count;
        int32_t ids[2 * MOST];
        float logits[2 * MOST * VOCAB];
        memcpy(ids, text->prompt, text->prompt_length * sizeof *ids);
        memcpy(ids + text->prompt_length, text->ids, text->count * sizeof *ids);
        assert_ok(transformer_lm_forward(tensor(logits, 1, length, VOCAB), &tiny.lm, tokens(ids, 1, length), &scratch));
        for (size_t k = 0; k < text->count; k++) {
            const float *before = logits + (text->prompt_length + k - 1) * VOCAB;
            double sum = 0;
            for (size_t token = 0; token < VOCAB; token++)
                sum += exp((double)before[token]);
            test_label("text %zu, token %zu", i, k);
            ck_assert_double_eq_tol(text->log_probability[k], (double)before[text->ids[k]] - log(sum), 1e-5);
        }
    }
    arena_deinit(&scratch);
    tiny_lm_deinit(&tiny);
}
END_TEST

/* The function sums in chunks; a vocabulary of several chunks, with logits beyond the range of exp(). */
START_TEST(test_log_probability_of_a_large_vocabulary)
{
    enum { LARGE = 1300 };
    static float logits[LARGE];
    Rng rng = rng_seeded(7);
    for (double shift = -200; shift <= 200; shift += 200) {
        double sum = 0;
        for (size_t i = 0; i < LARGE; i++)
            sum += exp((double)(logits[i] = (float)(shift + 5 * rng_normal(&rng))) - shift);
        for (int32_t i = 0; i < LARGE; i += 100)
            ck_assert_double_eq_tol(sample_log_probability(tensor(logits, LARGE), i),
                                    (double)logits[i] - shift - log(sum), 1e-5);
    }
}
END_TEST

START_TEST(test_a_receiver_ends_its_own_text)
{
    static Text all[TEXTS], texts[TEXTS];
    GenerateText generations[TEXTS];
    TinyLM tiny;
    const TransformerLMConfig config = tiny_lm_config(0);
    tiny_lm_init(&tiny, &config, 8);
    make_texts(all, generations, TEXTS);
    assert_ok(generate_all(generations, TEXTS, &tiny.lm, &sampled));
    make_texts(texts, generations, TEXTS);
    for (size_t i = 0; i < TEXTS; i += 3)
        texts[i].end_at = 1 + i % 4;
    assert_ok(generate_all(generations, TEXTS, &tiny.lm, &sampled));
    for (size_t i = 0; i < TEXTS; i++) {
        const size_t count = texts[i].end_at && texts[i].end_at < all[i].count ? texts[i].end_at : all[i].count;
        test_label("text %zu", i);
        ck_assert_uint_eq(texts[i].count, count);
        ck_assert_mem_eq(texts[i].ids, all[i].ids, count * sizeof *texts[i].ids);
        ck_assert_uint_eq(texts[i].ends, 1);
    }
    /* No tokens, and no texts. */
    GenerateConfig none = sampled;
    none.max_tokens = 0;
    make_texts(texts, generations, TEXTS);
    assert_ok(generate_all(generations, TEXTS, &tiny.lm, &none));
    for (size_t i = 0; i < TEXTS; i++)
        ck_assert(texts[i].ends == 1 && texts[i].count == 0);
    assert_ok(generate_all(NULL, 0, &tiny.lm, &sampled));
    tiny_lm_deinit(&tiny);
}
END_TEST

static Status refuse(void *context, const DrawnToken *token, bool *end)
{
    (void)context, (void)token, (void)end;
    return status_fail(CS336_EIO, "refuse: no room");
}

START_TEST(test_batch_errors)
{
    static Text texts[3];
    GenerateText generations[3];
    TinyLM tiny;
    const TransformerLMConfig config = tiny_lm_config(0);
    tiny_lm_init(&tiny, &config, 9);
    const size_t before = memory_in_use();
    GenerateConfig bad = sampled;
    bad.sample.top_p = 2;
    make_texts(texts, generations, 3);
    assert_fails(generate_all(generations, 3, &tiny.lm, &bad), CS336_ERANGE,
                 "sample_check: top_p is 2, expected a number from 0 to 1");
    generations[1].prompt_length = 0;
    assert_fails(generate_all(generations, 3, &tiny.lm, &sampled), CS336_ERANGE,
                 "decoder_feed_each: no token given, expected at least one");
    make_texts(texts, generations, 3);
    texts[2].prompt[0] = VOCAB;
    texts[2].prompt_length = generations[2].prompt_length = 1;
    ck_assert_int_eq(generate_all(generations, 3, &tiny.lm, &sampled), CS336_ERANGE);
    make_texts(texts, generations, 3);
    generations[2].receiver.token = refuse;
    assert_fails(generate_all(generations, 3, &tiny.lm, &sampled), CS336_EIO, "refuse: no room");
    make_texts(texts, generations, 3);
    memory_fail_at(1);
    ck_assert_int_eq(generate_all(generations, 3, &tiny.lm, &sampled), CS336_ENOMEM);
    memory_fail_at(0);
    parallel_release();
    ck_assert_uint_eq(memory_in_use(), before);
    DecoderFeed none;
    assert_fails(decoder_feed_each(&none, 0, (Tensor){0}, NULL), CS336_ERANGE,
                 "decoder_feed_each: 0 decoders, expected 1 to 16");
    tiny_lm_deinit(&tiny);
}
END_TEST

const TestCase batch_tests[] = {
    TEST(test_feeding_each_equals_feeding_alone, "decoding"),
    TEST(test_texts_together_are_those_made_alone, "decoding"),
    TEST(test_memory_grows_with_the_texts, "decoding"),
    TEST(test_texts_do_not_depend_on_threads, "decoding"),
    TEST(test_texts_with_one_prompt_are_those_made_alone, "decoding"),
    TEST(test_log_probabilities_are_those_of_a_forward_pass, "decoding"),
    TEST(test_log_probability_of_a_large_vocabulary, "decoding"),
    TEST(test_a_receiver_ends_its_own_text, "decoding"),
    TEST(test_batch_errors, "decoding"),
    {0},
};
