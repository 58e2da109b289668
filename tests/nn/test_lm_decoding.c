/* Decoding with a cache of keys and values: it must give the logits of the forward pass over all tokens. */
#include "core/parallel.h"
#include "nn/transformer_lm.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/sample.h"
#include "tests/support/small_model.h"
#include "tests/support/tiny_lm.h"

#include <math.h>
#include <stdio.h>

static KeyValueCache *caches_of(Arena *arena, const TransformerLM *lm, size_t batch)
{
    KeyValueCache *caches;
    Arena measure = {0};
    assert_ok(transformer_lm_bind_caches(&caches, &measure, lm, batch, lm->config.context_length));
    assert_ok(arena_init(arena, measure.peak));
    assert_ok(transformer_lm_bind_caches(&caches, arena, lm, batch, lm->config.context_length));
    return caches;
}

static TokenTensor columns(TokenTensor ids, size_t first, size_t n)
{
    ids.data += first;
    ids.shape[1] = n;
    return ids;
}

static void check_decoding(const TransformerLMConfig *config, size_t chunk)
{
    SmallModel m;
    TokenTensor ids, targets;
    Arena memory;
    small_model_init(&m, config, 3, 16);
    small_model_batch(&m, "decode", &ids, &targets);
    const Tensor logits = filled(NAN, 3, 16, 40), last = filled(NAN, 3, 40);
    assert_ok(transformer_lm_forward(logits, &m.value, ids, &m.scratch));
    KeyValueCache *caches = caches_of(&memory, &m.value, 3);
    for (size_t first = 0; first < 16; first += chunk) {
        const size_t n = first + chunk < 16 ? chunk : 16 - first;
        Arena scratch;
        assert_ok(arena_init(&scratch, transformer_lm_forward_scratch(&m.value, 3, n)));
        assert_ok(transformer_lm_decode(last, caches, &m.value, columns(ids, first, n), &scratch));
        test_label("%s, tokens %zu .. %zu", variant_text(config), first, first + n - 1);
        assert_allclose(last, tensor_select(logits, 1, first + n - 1), 0, 1e-4);
        ck_assert_uint_eq(scratch.used, 0);
        arena_deinit(&scratch);
    }
    arena_deinit(&memory);
    small_model_deinit(&m);
}

START_TEST(test_lm_decode_equals_forward)
{
    TransformerLMConfig config = small_config();
    for (size_t chunk = 1; chunk <= 16; chunk += chunk < 5 ? 1 : 5)
        check_decoding(&config, chunk);
    config.position = POSITION_NONE;
    check_decoding(&config, 3);
    config.norm = NORM_POST;
    check_decoding(&config, 5);
    config.norm = NORM_NONE;
    check_decoding(&config, 1);
}
END_TEST

START_TEST(test_lm_decode_names_what_does_not_fit)
{
    SmallModel m;
    TokenTensor ids, targets;
    Arena memory;
    const TransformerLMConfig config = small_config();
    small_model_init(&m, &config, 2, 10);
    small_model_batch(&m, "decode", &ids, &targets);
    KeyValueCache *caches = caches_of(&memory, &m.value, 2);
    const Tensor logits = filled(0, 2, 40);
    assert_ok(transformer_lm_decode(logits, caches, &m.value, ids, &m.scratch));
    assert_fails(transformer_lm_decode(logits, caches, &m.value, ids, &m.scratch), CS336_ESHAPE,
                 "mha_decode: cache holds 10 of 16 rows, 10 more do not fit");
    assert_fails(transformer_lm_decode(filled(0, 2, 39), caches, &m.value, columns(ids, 0, 3), &m.scratch),
                 CS336_ESHAPE, "linear_forward: y is (2, 39), x is (2, 16), weight is (40, 16)");
    ck_assert_uint_eq(caches[0].length, 10);
    ck_assert_uint_eq(caches[1].length, 10);
    ck_assert_uint_eq(m.scratch.used, 0);
    caches[1].length = 4;
    assert_fails(transformer_lm_decode(logits, caches, &m.value, ids, &m.scratch), CS336_ESHAPE,
                 "transformer_lm_decode: layer 1 has 4 rows in its cache, layer 0 has 10");
    assert_fails(transformer_lm_decode(logits, caches, &m.value, columns(ids, 0, 0), &m.scratch), CS336_ESHAPE,
                 "transformer_lm_decode: ids are (2, 0), expected (..., seq) of rank 1 to 6");
    TokenTensor long_ids = ids;
    long_ids.shape[1] = 17;
    assert_fails(transformer_lm_decode(logits, caches, &m.value, long_ids, &m.scratch), CS336_ESHAPE,
                 "transformer_lm_decode: a sequence of 17 ids, context_length is 16");
    const int32_t strange[] = {40, 0};
    caches[0].length = caches[1].length = 0;
    assert_fails(transformer_lm_decode(logits, caches, &m.value, tokens(strange, 2, 1), &m.scratch), CS336_ERANGE,
                 "embedding_forward: id 40 at (0, 0) is not in [0, 40)");
    ck_assert_uint_eq(caches[0].length, 0);
    arena_deinit(&memory);
    assert_ok(arena_init(&memory, 64));
    char message[96];
    snprintf(message, sizeof message, "arena_take: %zu bytes asked for, 64 of 64 left", 2 * sizeof *caches);
    assert_fails(transformer_lm_bind_caches(&caches, &memory, &m.value, 2, 16), CS336_ENOMEM, message);
    ck_assert_uint_eq(memory.used, 0);
    arena_deinit(&memory);
    small_model_deinit(&m);
}
END_TEST

/*
 * Several sequences of different lengths, each with caches of its own, advance together: the logits have the same bits
 * as those of each sequence alone, for any number of sequences up to 16.
 */
static void check_each(const TransformerLMConfig *config, int threads)
{
    enum { MOST = 16, STEPS = 3 };
    SmallModel m;
    TokenTensor ids, targets;
    Arena memory[MOST], memory_alone[MOST];
    KeyValueCache *together[MOST], *alone[MOST];
    small_model_init(&m, config, MOST, 16);
    parallel_set_threads(threads);
    small_model_batch(&m, "each", &ids, &targets);
    for (size_t count = 1; count <= MOST; count += count < 7 ? 1 : 3) {
        const Tensor logits = filled(NAN, count, 40), expected = filled(NAN, 1, 40);
        Arena scratch, scratch_alone;
        assert_ok(arena_init(&scratch, transformer_lm_forward_scratch(&m.value, count, 1)));
        assert_ok(arena_init(&scratch_alone, transformer_lm_forward_scratch(&m.value, 1, 16)));
        /* Sequence i has read 1 + 5 i mod 13 tokens of its row. */
        for (size_t i = 0; i < count; i++) {
            together[i] = caches_of(&memory[i], &m.value, 1);
            alone[i] = caches_of(&memory_alone[i], &m.value, 1);
            const TokenTensor read = tokens(ids.data + (ptrdiff_t)i * ids.stride[0], 1, 1 + 5 * i % 13);
            assert_ok(transformer_lm_decode(expected, together[i], &m.value, read, &scratch_alone));
            assert_ok(transformer_lm_decode(expected, alone[i], &m.value, read, &scratch_alone));
        }
        for (size_t step = 0; step < STEPS; step++) {
            int32_t next[MOST];
            for (size_t i = 0; i < count; i++)
                next[i] = ids.data[(ptrdiff_t)i * ids.stride[0] + (ptrdiff_t)(1 + 5 * i % 13 + step)];
            assert_ok(transformer_lm_decode_each(logits, together, &m.value, tokens(next, count, 1), &scratch));
            ck_assert_uint_eq(scratch.used, 0);
            for (size_t i = 0; i < count; i++) {
                test_label("%s, sequence %zu of %zu, step %zu, %d threads", variant_text(config), i, count, step,
                           threads);
                assert_ok(transformer_lm_decode(expected, alone[i], &m.value, tokens(&next[i], 1, 1), &scratch_alone));
                assert_allclose(tensor_slice(logits, 0, i, 1), expected, 0, 0);
                for (size_t layer = 0; layer < config->num_layers; layer++)
                    ck_assert_uint_eq(together[i][layer].length, alone[i][layer].length);
            }
        }
        for (size_t i = 0; i < count; i++) {
            arena_deinit(&memory[i]);
            arena_deinit(&memory_alone[i]);
        }
        arena_deinit(&scratch);
        arena_deinit(&scratch_alone);
    }
    small_model_deinit(&m);
}

START_TEST(test_decode_each_equals_one_by_one)
{
    TransformerLMConfig config = small_config();
    check_each(&config, 1);
    check_each(&config, 3);
    config.dtype = DTYPE_BF16;
    check_each(&config, 1);
    config.dtype = DTYPE_FLOAT32;
    config.position = POSITION_NONE;
    config.ffn = FFN_SILU;
    check_each(&config, 1);
    config.norm = NORM_POST;
    check_each(&config, 1);
    config.norm = NORM_NONE;
    check_each(&config, 1);
}
END_TEST

START_TEST(test_decode_each_names_what_does_not_fit)
{
    const TransformerLMConfig config = small_config();
    SmallModel m;
    Arena memory[2];
    small_model_init(&m, &config, 2, 16);
    KeyValueCache *caches[2] = {caches_of(&memory[0], &m.value, 1), caches_of(&memory[1], &m.value, 1)};
    int32_t ids[] = {1, 2};
    const Tensor logits = filled(0, 2, 40);
    assert_fails(transformer_lm_decode_each(logits, caches, &m.value, tokens(ids, 2), &m.scratch), CS336_ESHAPE,
                 "transformer_lm_decode_each: ids are (2), expected (sequences, 1)");
    /* Tables for another d_k. */
    const Tensor cosine = m.value.rope.cosine;
    m.value.rope.cosine.shape[1]--;
    assert_fails(transformer_lm_decode_each(logits, caches, &m.value, tokens(ids, 2, 1), &m.scratch), CS336_ESHAPE,
                 "mha_decode_each: the tables of rope are for d_k 6, x has d_k 8");
    m.value.rope.cosine = cosine;
    assert_ok(transformer_lm_decode_each(logits, caches, &m.value, tokens(ids, 2, 1), &m.scratch));
    caches[1][1].length = 4;
    assert_fails(transformer_lm_decode_each(logits, caches, &m.value, tokens(ids, 2, 1), &m.scratch), CS336_ESHAPE,
                 "transformer_lm_decode_each: layer 1 has 4 rows in its cache, layer 0 has 1");
    for (size_t layer = 0; layer < config.num_layers; layer++)
        caches[1][layer].length = 16;
    assert_fails(transformer_lm_decode_each(logits, caches, &m.value, tokens(ids, 2, 1), &m.scratch), CS336_ESHAPE,
                 "mha_decode_each: cache holds 16 of 16 rows, 1 more do not fit");
    /* Nothing has changed: the lengths stay when a pass fails in its last product. */
    for (size_t layer = 0; layer < config.num_layers; layer++)
        caches[1][layer].length = 1;
    assert_fails(transformer_lm_decode_each(filled(0, 2, 39), caches, &m.value, tokens(ids, 2, 1), &m.scratch),
                 CS336_ESHAPE, "linear_forward: y is (2, 39), x is (2, 16), weight is (40, 16)");
    for (size_t i = 0; i < 2; i++)
        for (size_t layer = 0; layer < config.num_layers; layer++)
            ck_assert_uint_eq(caches[i][layer].length, 1);
    arena_deinit(&memory[0]);
    arena_deinit(&memory[1]);
    small_model_deinit(&m);
}
END_TEST

const TestCase lm_decoding_tests[] = {
    TEST(test_lm_decode_equals_forward, "decoding"),
    TEST(test_lm_decode_names_what_does_not_fit, "decoding"),
    TEST(test_decode_each_equals_one_by_one, "decoding"),
    TEST(test_decode_each_names_what_does_not_fit, "decoding"),
    {0},
};
