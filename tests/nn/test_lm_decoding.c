/* Decoding with a cache of keys and values: it must give the logits of the forward pass over all tokens. */
#include "nn/transformer_lm.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/sample.h"
#include "tests/support/small_model.h"
#include "tests/support/tiny_lm.h"

#include <math.h>
#include <stdio.h>

static KeyValueCache *caches_of(Arena *arena, const TransformerLM *lm, size_t batch)
{
    KeyValueCache *caches;
    Arena measure = {0};
    assert_ok(transformer_lm_bind_caches(&caches, &measure, lm, batch));
    assert_ok(arena_init(arena, measure.peak));
    assert_ok(transformer_lm_bind_caches(&caches, arena, lm, batch));
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
    assert_fails(transformer_lm_bind_caches(&caches, &memory, &m.value, 2), CS336_ENOMEM, message);
    ck_assert_uint_eq(memory.used, 0);
    arena_deinit(&memory);
    small_model_deinit(&m);
}
END_TEST

const TestCase lm_decoding_tests[] = {
    TEST(test_lm_decode_equals_forward, "decoding"),
    TEST(test_lm_decode_names_what_does_not_fit, "decoding"),
    {0},
};
