/* Which configurations are accepted, which parameters a model has, their order in memory and their initial values. */
#include "core/memory.h"
#include "core/parallel.h"
#include "core/rng.h"
#include "nn/transformer_lm.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/sample.h"
#include "tests/support/small_model.h"
#include "tests/support/tiny_lm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void assert_refused(TransformerLMConfig config, Status status, const char *message)
{
    TransformerLM lm;
    Arena measure = {0};
    assert_fails(transformer_lm_check(&config), status, message);
    assert_fails(transformer_lm_bind(&lm, &measure, &config), status, message);
}

#define WITH(field, new_value) (config = small_config(), config.field = (new_value), config)

START_TEST(test_model_check_names_bad_sizes)
{
    TransformerLMConfig config = small_config();
    assert_ok(transformer_lm_check(&config));
    assert_refused(WITH(vocab_size, 0), CS336_ESHAPE, "vocab_size is 0");
    assert_refused(WITH(context_length, 0), CS336_ESHAPE, "context_length is 0");
    assert_refused(WITH(d_model, 0), CS336_ESHAPE, "d_model is 0");
    assert_refused(WITH(num_layers, 0), CS336_ESHAPE, "num_layers is 0");
    assert_refused(WITH(num_heads, 0), CS336_ESHAPE, "num_heads is 0");
    assert_refused(WITH(d_ff, 0), CS336_ESHAPE, "d_ff is 0");
    config = small_config();
    config.d_model = 64;
    config.num_heads = 3;
    assert_refused(config, CS336_ESHAPE, "num_heads 3 does not divide d_model 64");
    config.d_model = 15;
    assert_refused(config, CS336_ESHAPE, "d_model / num_heads is 5, expected an even number for RoPE");
    config.position = POSITION_NONE;
    assert_ok(transformer_lm_check(&config));
}
END_TEST

/* The limits of the options hold for configurations from files too. */
START_TEST(test_model_check_names_sizes_beyond_the_limits)
{
    TransformerLMConfig config;
    assert_refused(WITH(vocab_size, (size_t)1 << 31), CS336_ERANGE,
                   "vocab_size is 2147483648, expected at most 2147483647");
    assert_refused(WITH(context_length, 1048577), CS336_ERANGE, "context_length is 1048577, expected at most 1048576");
    assert_refused(WITH(num_layers, 1000000000000), CS336_ERANGE,
                   "num_layers is 1000000000000, expected at most 65536");
    assert_refused(WITH(d_ff, SIZE_MAX), CS336_ERANGE, "d_ff is 18446744073709551615, expected at most 8589934588");
    /* The largest sizes: their parameters are more than a size_t counts. */
    config = small_config();
    config.d_model = config.vocab_size = INT32_MAX - 1;
    config.context_length = 1 << 20;
    config.num_heads = 1;
    config.d_ff = 4 * (size_t)INT32_MAX;
    config.num_layers = 65536;
    assert_ok(transformer_lm_check(&config));
    ck_assert_uint_eq(transformer_lm_parameter_count(&config), SIZE_MAX);
    Arena measure = {0};
    TransformerLM lm;
    assert_fails(transformer_lm_bind(&lm, &measure, &config), CS336_ENOMEM,
                 "arena_take: the sizes need more than the 18446744073709551615 bytes that a program can address");
}
END_TEST

START_TEST(test_model_check_names_bad_numbers_and_kinds)
{
    TransformerLMConfig config;
    assert_refused(WITH(rope_theta, 0), CS336_ERANGE, "rope_theta is 0, expected 0.001 to 1e+30");
    assert_refused(WITH(rope_theta, NAN), CS336_ERANGE, "rope_theta is nan, expected 0.001 to 1e+30");
    assert_refused(WITH(rope_theta, 1e31F), CS336_ERANGE, "rope_theta is 1e+31, expected 0.001 to 1e+30");
    config.position = POSITION_NONE;
    assert_ok(transformer_lm_check(&config));
    assert_refused(WITH(norm_eps, -1), CS336_ERANGE, "norm_eps is -1, expected 1e-30 to 1");
    assert_refused(WITH(norm_eps, 0), CS336_ERANGE, "norm_eps is 0, expected 1e-30 to 1");
    assert_refused(WITH(norm_eps, 3.5F), CS336_ERANGE, "norm_eps is 3.5, expected 1e-30 to 1");
    assert_refused(WITH(norm_eps, NAN), CS336_ERANGE, "norm_eps is nan, expected 1e-30 to 1");
    /* The limits themselves, as float32. */
    (void)WITH(norm_eps, (float)TRANSFORMER_LM_MIN_NORM_EPS);
    assert_ok(transformer_lm_check(&config));
    (void)WITH(norm_eps, 1);
    assert_ok(transformer_lm_check(&config));
    (void)WITH(norm_eps, -1);
    config.norm = NORM_NONE;
    assert_ok(transformer_lm_check(&config));
    assert_refused(WITH(norm, (NormPlacement)3), CS336_ERANGE, "norm is 3, the last kind is 2");
    assert_refused(WITH(position, (PositionKind)2), CS336_ERANGE, "position is 2, the last kind is 1");
    assert_refused(WITH(ffn, (FeedForwardKind)2), CS336_ERANGE, "ffn is 2, the last kind is 1");
    assert_refused(WITH(dtype, (DType)3), CS336_ERANGE, "dtype is 3, the last kind is 2");
}
END_TEST

/* ---- the list ---- */

static void assert_named(const Parameter *p, const char *name, size_t rows, size_t columns)
{
    test_label("%s", name);
    ck_assert_str_eq(p->name, name);
    ck_assert_int_eq(p->value.rank, rows ? 2 : 1);
    ck_assert_uint_eq(tensor_extent(p->value, -1), columns);
    ck_assert_uint_eq(tensor_count(p->value), columns * (rows ? rows : 1));
    ck_assert(tensor_same_shape(p->grad, p->value) && tensor_same_shape(p->first_moment, p->value) &&
              tensor_same_shape(p->second_moment, p->value));
}

START_TEST(test_model_lists_parameters_in_memory_order)
{
    SmallModel m;
    const TransformerLMConfig config = small_config();
    small_model_init(&m, &config, 1, 1);
    const Parameter *p = m.parameters.items;
    ck_assert_uint_eq(m.parameters.count, 21);
    assert_named(&p[0], "token_embeddings.weight", 40, 16);
    assert_named(&p[1], "layers.0.attn.q_proj.weight", 16, 16);
    assert_named(&p[2], "layers.0.attn.k_proj.weight", 16, 16);
    assert_named(&p[3], "layers.0.attn.v_proj.weight", 16, 16);
    assert_named(&p[4], "layers.0.attn.output_proj.weight", 16, 16);
    assert_named(&p[5], "layers.0.ln1.weight", 0, 16);
    assert_named(&p[6], "layers.0.ln2.weight", 0, 16);
    assert_named(&p[7], "layers.0.ffn.w1.weight", 24, 16);
    assert_named(&p[8], "layers.0.ffn.w3.weight", 24, 16);
    assert_named(&p[9], "layers.0.ffn.w2.weight", 16, 24);
    assert_named(&p[10], "layers.1.attn.q_proj.weight", 16, 16);
    assert_named(&p[19], "ln_final.weight", 0, 16);
    assert_named(&p[20], "lm_head.weight", 40, 16);
    test_label_end();
    ck_assert_ptr_eq(p[10].grad.data, m.grad.layers[1].attn.q_proj.weight.data);
    ck_assert_ptr_eq(p[10].first_moment.data, m.first.layers[1].attn.q_proj.weight.data);
    ck_assert_ptr_eq(p[10].second_moment.data, m.second.layers[1].attn.q_proj.weight.data);
    for (size_t i = 1; i < m.parameters.count; i++)
        ck_assert_msg(p[i - 1].value.data < p[i].value.data, "%s lies behind %s", p[i - 1].name, p[i].name);
    ck_assert_ptr_eq(p[2].value.data, p[1].value.data + 256);
    ck_assert_ptr_eq(p[3].value.data, p[2].value.data + 256);
    ck_assert_ptr_eq(p[8].value.data, p[7].value.data + 384);
    small_model_deinit(&m);
}
END_TEST

START_TEST(test_model_lists_only_what_a_variant_has)
{
    SmallModel m;
    TransformerLMConfig config = small_config();
    config.norm = NORM_NONE;
    config.ffn = FFN_SILU;
    config.position = POSITION_NONE;
    small_model_init(&m, &config, 1, 1);
    ck_assert_uint_eq(m.parameters.count, 14);
    for (size_t i = 0; i < m.parameters.count; i++) {
        ck_assert_ptr_null(strstr(m.parameters.items[i].name, "ln"));
        ck_assert_ptr_null(strstr(m.parameters.items[i].name, "w3"));
    }
    ck_assert_ptr_null(m.value.ln_final.weight.data);
    ck_assert_ptr_null(m.value.layers[0].ffn.w3.weight.data);
    ck_assert_ptr_null(m.value.rope.cosine.data);
    small_model_deinit(&m);
}
END_TEST

START_TEST(test_model_lists_values_alone)
{
    SmallModel m;
    ParameterList list;
    Arena arena;
    const TransformerLMConfig config = small_config();
    small_model_init(&m, &config, 1, 1);
    assert_ok(arena_init(&arena, 1 << 15));
    assert_ok(transformer_lm_parameters(&list, &arena, &m.value, NULL, NULL, NULL));
    ck_assert_ptr_eq(list.items[20].value.data, m.value.lm_head.weight.data);
    ck_assert_ptr_null(list.items[20].grad.data);
    ck_assert_ptr_null(list.items[20].first_moment.data);
    ck_assert_ptr_null(list.items[20].second_moment.data);
    arena_deinit(&arena);
    small_model_deinit(&m);
}
END_TEST

START_TEST(test_model_counts_its_parameters)
{
    for (int variant = 0; variant < TINY_LM_VARIANTS; variant++) {
        SmallModel m;
        const TransformerLMConfig config = tiny_lm_config(variant);
        size_t count = 0;
        test_label("%s", variant_text(&config));
        small_model_init(&m, &config, 1, 1);
        for (size_t i = 0; i < m.parameters.count; i++)
            count += tensor_count(m.parameters.items[i].value);
        ck_assert_uint_eq(transformer_lm_parameter_count(&config), count);
        small_model_deinit(&m);
    }
    test_label_end();
    /* The course's XL: 50257 (1600 + 1600) + 48 (4 1600^2 + 3 1600 4288 + 2 1600) + 1600 */
    const TransformerLMConfig xl = {.vocab_size = 50257, .d_model = 1600, .num_layers = 48, .d_ff = 4288};
    ck_assert_uint_eq(transformer_lm_parameter_count(&xl), 1640452800);
}
END_TEST

/* ---- memory ---- */

static Status bind_all(Arena *arena)
{
    const TransformerLMConfig config = small_config();
    TransformerLM lm;
    ParameterList list;
    Status s = transformer_lm_bind(&lm, arena, &config);
    if (!s)
        s = transformer_lm_bind_rope(&lm, arena);
    if (!s)
        s = transformer_lm_parameters(&list, arena, &lm, &lm, NULL, NULL);
    return s;
}

START_TEST(test_model_binds_in_exactly_the_measured_memory)
{
    Arena measure = {0}, arena;
    assert_ok(bind_all(&measure));
    assert_ok(arena_init(&arena, measure.peak));
    assert_ok(bind_all(&arena));
    ck_assert_uint_eq(arena.used, measure.used);
    arena_deinit(&arena);
    for (size_t bytes = 0; bytes < measure.peak; bytes += 64) {
        test_label("%zu of %zu bytes", bytes, measure.peak);
        assert_ok(arena_init(&arena, bytes));
        ck_assert_int_eq(bind_all(&arena), CS336_ENOMEM);
        arena_deinit(&arena);
    }
}
END_TEST

typedef struct {
    SmallModel model;
    KeyValueCache *caches;
    enum { LOGITS, LOSS, NEXT } what;
} Use;

static Status use_afresh(void *context)
{
    Use *use = context;
    SmallModel *m = &use->model;
    const int32_t numbers[] = {3, 1, 4, 1};
    const TokenTensor ids = tokens(numbers, 1, 4);
    float loss;
    parallel_release();
    Status s;
    if (use->what == LOGITS)
        s = transformer_lm_forward(filled(0, 1, 4, 40), &m->value, ids, &m->scratch);
    else if (use->what == LOSS)
        s = transformer_lm_loss(&loss, &m->grad, &m->value, ids, ids, NULL, &m->scratch);
    else
        s = transformer_lm_decode(filled(0, 1, 40), use->caches, &m->value, ids, &m->scratch);
    ck_assert_uint_eq(m->scratch.used, 0);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_uint_eq(use->caches[i].length, !s && use->what == NEXT ? 4 : 0);
        use->caches[i].length = 0;
    }
    parallel_release();
    return s;
}

START_TEST(test_model_without_a_workspace_says_so)
{
    Use use;
    const TransformerLMConfig config = small_config();
    small_model_init(&use.model, &config, 1, 4);
    Arena memory = arena_of(1 << 14);
    assert_ok(
        transformer_lm_bind_caches(&use.caches, &memory, &use.model.value, 1, use.model.value.config.context_length));
    static const char *const names[] = {[LOGITS] = "logits", [LOSS] = "loss", [NEXT] = "decoding"};
    for (use.what = LOGITS; use.what <= NEXT; use.what++) {
        test_label("%s", names[use.what]);
        assert_allocation_failures_say(use_afresh, &use, "parallel_reserve: no memory for *[0-9] bytes");
    }
    arena_deinit(&memory);
    small_model_deinit(&use.model);
}
END_TEST

START_TEST(test_model_releases_its_memory_when_an_allocation_fails)
{
    SmallModel m;
    const TransformerLMConfig config = small_config();
    small_model_init(&m, &config, 1, 1);
    TransformerLM lm = m.value;
    ParameterList list;
    Arena arena;
    char message[96];
    assert_ok(arena_init(&arena, 2048));
    snprintf(message, sizeof message, "arena_take: %zu bytes asked for, 2048 of 2048 left", 2 * sizeof *lm.layers);
    assert_fails(transformer_lm_bind(&lm, &arena, &config), CS336_ENOMEM, message);
    ck_assert_uint_eq(arena.used, 0);
    snprintf(message, sizeof message, "arena_take: %zu bytes asked for, 2048 of 2048 left",
             m.parameters.count * sizeof *list.items);
    assert_fails(transformer_lm_parameters(&list, &arena, &m.value, NULL, NULL, NULL), CS336_ENOMEM, message);
    ck_assert_uint_eq(arena.used, 0);
    ck_assert_uint_eq(list.count, 0);
    arena_deinit(&arena);
    assert_ok(arena_init(&arena, 128));
    assert_fails(transformer_lm_bind_rope(&m.value, &arena), CS336_ENOMEM,
                 "arena_take: 256 bytes asked for, 128 of 128 left");
    arena_deinit(&arena);
    small_model_deinit(&m);
}
END_TEST

/* ---- initialisation ---- */

/* A normal truncated at +-3 has variance 1 - 6 phi(3) / (2 Phi(3) - 1). */
static const double TRUNCATED_DEVIATION = 0.98658;

static void assert_truncated_normal(const Parameter *p, double sigma)
{
    const size_t count = tensor_count(p->value);
    double sum = 0, squares = 0, largest = 0;
    for (size_t i = 0; i < count; i++) {
        const double z = (double)p->value.data[i] / sigma;
        sum += z;
        squares += z * z;
        largest = fmax(largest, fabs(z));
    }
    const double n = (double)count, deviation = sqrt(squares / n);
    ck_assert_msg(largest <= 3 * (1 + 1e-6) && largest > 2.5, "%s: largest %g sigma", p->name, largest);
    ck_assert_msg(fabs(sum / n) < 5 / sqrt(n), "%s: mean %g sigma", p->name, sum / n);
    ck_assert_msg(fabs(deviation - TRUNCATED_DEVIATION) < 5 * 0.7 / sqrt(n), "%s: deviation %g sigma", p->name,
                  deviation);
}

START_TEST(test_model_starts_as_the_handout_says)
{
    const TransformerLMConfig config = {.vocab_size = 300,
                                        .context_length = 4,
                                        .d_model = 64,
                                        .num_layers = 2,
                                        .num_heads = 4,
                                        .d_ff = 128,
                                        .rope_theta = 1e4F,
                                        .norm_eps = 1e-5F};
    SmallModel m;
    Rng rng = rng_seeded(1);
    small_model_init(&m, &config, 1, 1);
    transformer_lm_initialise(&m.value, &rng);
    for (size_t i = 0; i < m.parameters.count; i++) {
        const Parameter *p = &m.parameters.items[i];
        if (strstr(p->name, "ln"))
            assert_allclose_tensor(p->name, p->value, filled_like(1, p->value), 0, 0);
        else if (strcmp(p->name, "token_embeddings.weight") == 0)
            assert_truncated_normal(p, 1);
        else
            assert_truncated_normal(p, sqrt(2.0 / (double)(p->value.shape[0] + p->value.shape[1])));
    }
    small_model_deinit(&m);
}
END_TEST

/* ---- tied embeddings ---- */

START_TEST(test_tied_model_has_one_matrix)
{
    TransformerLMConfig config = small_config();
    config.tie_embeddings = true;
    SmallModel m;
    Rng rng = rng_seeded(1);
    small_model_init(&m, &config, 1, 1);
    for (size_t i = 0; i < m.parameters.count; i++)
        ck_assert_str_ne(m.parameters.items[i].name, "lm_head.weight");
    const TransformerLM *both[] = {&m.value, &m.grad};
    for (size_t i = 0; i < 2; i++) {
        ck_assert_ptr_eq(both[i]->lm_head.weight.data, both[i]->token_embeddings.weight.data);
        ck_assert(tensor_same_shape(both[i]->lm_head.weight, both[i]->token_embeddings.weight));
    }
    TransformerLMConfig untied = config;
    untied.tie_embeddings = false;
    ck_assert_uint_eq(transformer_lm_parameter_count(&untied) - transformer_lm_parameter_count(&config), 40 * 16);
    /* Logits begin with size 1: the deviation is 1 / sqrt(16). */
    transformer_lm_initialise(&m.value, &rng);
    assert_truncated_normal(&m.parameters.items[0], 0.25);
    small_model_deinit(&m);
}
END_TEST

START_TEST(test_model_starts_the_same_from_the_same_seed)
{
    const TransformerLMConfig config = small_config();
    SmallModel a, b;
    Rng rng_a = rng_seeded(3), rng_b = rng_seeded(3), other = rng_seeded(4);
    small_model_init(&a, &config, 1, 1);
    small_model_init(&b, &config, 1, 1);
    transformer_lm_initialise(&a.value, &rng_a);
    transformer_lm_initialise(&b.value, &rng_b);
    ck_assert_uint_eq(rng_a.counter, rng_b.counter);
    for (size_t i = 0; i < a.parameters.count; i++)
        assert_allclose_tensor(a.parameters.items[i].name, a.parameters.items[i].value, b.parameters.items[i].value, 0,
                               0);
    ck_assert_float_ne(a.value.layers[0].attn.q_proj.weight.data[0], a.value.layers[1].attn.q_proj.weight.data[0]);
    transformer_lm_initialise(&b.value, &other);
    ck_assert_float_ne(a.value.lm_head.weight.data[0], b.value.lm_head.weight.data[0]);
    small_model_deinit(&a);
    small_model_deinit(&b);
}
END_TEST

const TestCase parameters_tests[] = {
    TEST(test_model_check_names_bad_sizes, "transformer_lm"),
    TEST(test_model_check_names_sizes_beyond_the_limits, "transformer_lm"),
    TEST(test_model_check_names_bad_numbers_and_kinds, "transformer_lm"),
    TEST(test_model_lists_parameters_in_memory_order, "transformer_lm"),
    TEST(test_model_lists_only_what_a_variant_has, "layer_norm_ablation"),
    TEST(test_model_lists_values_alone, "transformer_lm"),
    TEST(test_model_counts_its_parameters, "transformer_accounting"),
    TEST(test_model_binds_in_exactly_the_measured_memory, "transformer_lm"),
    TEST(test_model_without_a_workspace_says_so, "transformer_lm"),
    TEST(test_model_releases_its_memory_when_an_allocation_fails, "transformer_lm"),
    TEST(test_model_starts_as_the_handout_says, "linear"),
    TEST(test_tied_model_has_one_matrix, "transformer_lm"),
    TEST(test_model_starts_the_same_from_the_same_seed, "transformer_lm"),
    {0},
};
