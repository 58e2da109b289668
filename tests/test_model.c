#include "tests/adapters.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/fixture.h"
#include "tests/support/hash_weights.h"
#include "tests/support/reference.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SEED = 336 }; /* of tests/tools/make_fixtures.py too */

/* The course's sizes. */
enum {
    BATCH = 4,
    QUERIES = 12,
    KEYS = 16,
    HEADS = 4,
    D_MODEL = 64,
    D_FF = 128,
    LAYERS = 3,
    VOCAB = 10000,
    COLUMNS = 500
};
static const float THETA = 1e4F;

/* Of the model's snapshots; the course gives SwiGLU and the language model other ones. */
static const double RTOL = 1e-4, ATOL = 1e-6;

static Tensor weight_of(Fixture *fixture, const char *name, int rank, const size_t *shape)
{
    const Tensor weight = fixture_output_of(fixture, rank, shape);
    hash_weights(weight, name, SEED);
    return weight;
}
#define WEIGHT(fixture, name, ...) weight_of((fixture), (name), TENSOR_EXTENTS(__VA_ARGS__))

static const char *const projections[] = {"layers.0.attn.q_proj.weight", "layers.0.attn.k_proj.weight",
                                          "layers.0.attn.v_proj.weight", "layers.0.attn.output_proj.weight"};

/* ---- The layers ---- */

START_TEST(test_linear)
{
    Fixture fixture;
    fixture_open(&fixture, "course");
    const Tensor y = fixture_output(&fixture, BATCH, QUERIES, D_FF);
    const Tensor weight = WEIGHT(&fixture, "layers.0.ffn.w1.weight", D_FF, D_MODEL);
    assert_ok(run_linear(y, D_MODEL, D_FF, weight, fixture_tensor(&fixture, "in_embeddings")));
    assert_allclose(y, fixture_tensor(&fixture, "linear"), RTOL, ATOL);
    fixture_close(&fixture);
}
END_TEST

START_TEST(test_embedding)
{
    Fixture fixture;
    fixture_open(&fixture, "course");
    const Tensor y = fixture_output(&fixture, BATCH, QUERIES, D_MODEL);
    const Tensor weight = WEIGHT(&fixture, "token_embeddings.weight", VOCAB, D_MODEL);
    assert_ok(run_embedding(y, VOCAB, D_MODEL, weight, fixture_tokens(&fixture, "in_indices")));
    assert_allclose(y, fixture_tensor(&fixture, "embedding"), RTOL, ATOL);
    fixture_close(&fixture);
}
END_TEST

START_TEST(test_swiglu)
{
    Fixture fixture;
    fixture_open(&fixture, "course");
    const Tensor y = fixture_output(&fixture, BATCH, QUERIES, D_MODEL);
    const Tensor w1 = WEIGHT(&fixture, "layers.0.ffn.w1.weight", D_FF, D_MODEL);
    const Tensor w2 = WEIGHT(&fixture, "layers.0.ffn.w2.weight", D_MODEL, D_FF);
    const Tensor w3 = WEIGHT(&fixture, "layers.0.ffn.w3.weight", D_FF, D_MODEL);
    assert_ok(run_swiglu(y, D_MODEL, D_FF, w1, w2, w3, fixture_tensor(&fixture, "in_embeddings")));
    assert_allclose(y, fixture_tensor(&fixture, "swiglu"), RTOL, 1e-5);
    fixture_close(&fixture);
}
END_TEST

START_TEST(test_rmsnorm)
{
    Fixture fixture;
    fixture_open(&fixture, "course");
    const Tensor x = fixture_tensor(&fixture, "in_embeddings"), y = fixture_output_like(&fixture, x);
    const Tensor gain = WEIGHT(&fixture, "layers.1.ln1.weight", D_MODEL);
    assert_ok(run_rmsnorm(y, D_MODEL, 1e-5F, gain, x));
    assert_allclose(y, fixture_tensor(&fixture, "rmsnorm"), RTOL, ATOL);

    /* Here eps is the larger part of the denominator. */
    for (size_t i = 0; i < tensor_count(x); i++)
        x.data[i] /= 1024;
    assert_ok(run_rmsnorm(y, D_MODEL, 1e-5F, gain, x));
    assert_allclose(y, fixture_tensor(&fixture, "rmsnorm.tiny"), RTOL, ATOL);
    fixture_close(&fixture);
}
END_TEST

START_TEST(test_silu_matches_pytorch)
{
    Fixture fixture;
    fixture_open(&fixture, "course");
    const Tensor x = fixture_tensor(&fixture, "small_inputs"), y = fixture_output_like(&fixture, x);
    assert_ok(run_silu(y, x));
    assert_allclose(y, fixture_tensor(&fixture, "silu"), 1e-7, 1e-6);
    fixture_close(&fixture);
}
END_TEST

START_TEST(test_rope)
{
    Fixture fixture;
    fixture_open(&fixture, "course");
    const Tensor x = fixture_tensor(&fixture, "in_embeddings"), y = fixture_output_like(&fixture, x);
    int32_t ascending[QUERIES];
    for (int32_t i = 0; i < QUERIES; i++)
        ascending[i] = i;
    assert_ok(run_rope(y, D_MODEL, THETA, QUERIES, x, tokens(ascending, QUERIES)));
    assert_allclose(y, fixture_tensor(&fixture, "rope"), RTOL, ATOL);

    /* Other positions for each sequence. */
    assert_ok(run_rope(y, D_MODEL, THETA, QUERIES, x, fixture_tokens(&fixture, "positions")));
    assert_allclose(y, fixture_tensor(&fixture, "rope.positions"), RTOL, ATOL);
    fixture_close(&fixture);
}
END_TEST

/* ---- Attention ---- */

START_TEST(test_scaled_dot_product_attention)
{
    Fixture fixture;
    fixture_open(&fixture, "course");
    const Tensor q = fixture_tensor(&fixture, "q"), k = fixture_tensor(&fixture, "k");
    const Tensor v = fixture_tensor(&fixture, "v"), y = fixture_output_like(&fixture, q);
    assert_ok(run_scaled_dot_product_attention(y, q, k, v, fixture_mask(&fixture, "mask")));
    assert_allclose(y, fixture_tensor(&fixture, "attention"), RTOL, ATOL);

    tensor_fill(y, NAN);
    assert_ok(run_scaled_dot_product_attention(y, q, k, v, (MaskTensor){0}));
    assert_allclose(y, fixture_tensor(&fixture, "attention.unmasked"), RTOL, ATOL);
    fixture_close(&fixture);
}
END_TEST

/* The batch of 4 as 2 x 2: the same memory. */
static Tensor with_heads(Tensor t)
{
    return tensor_split(t, 0, 2);
}

START_TEST(test_4d_scaled_dot_product_attention)
{
    Fixture fixture;
    fixture_open(&fixture, "course");
    const Tensor q = with_heads(fixture_tensor(&fixture, "q")), k = with_heads(fixture_tensor(&fixture, "k"));
    const Tensor v = with_heads(fixture_tensor(&fixture, "v")), y = fixture_output_like(&fixture, q);
    const MaskTensor where = mask(fixture_mask(&fixture, "mask").data, 2, 2, QUERIES, KEYS);
    assert_ok(run_scaled_dot_product_attention(y, q, k, v, where));
    assert_allclose(y, with_heads(fixture_tensor(&fixture, "attention")), RTOL, ATOL);
    fixture_close(&fixture);
}
END_TEST

START_TEST(test_multihead_self_attention)
{
    Fixture fixture;
    Tensor w[4];
    fixture_open(&fixture, "course");
    const Tensor x = fixture_tensor(&fixture, "in_embeddings"), y = fixture_output_like(&fixture, x);
    for (size_t i = 0; i < 4; i++)
        w[i] = WEIGHT(&fixture, projections[i], D_MODEL, D_MODEL);
    assert_ok(run_multihead_self_attention(y, D_MODEL, HEADS, w[0], w[1], w[2], w[3], x));
    assert_allclose(y, fixture_tensor(&fixture, "mha"), RTOL, ATOL);
    fixture_close(&fixture);
}
END_TEST

START_TEST(test_multihead_self_attention_with_rope)
{
    Fixture fixture;
    Tensor w[4];
    fixture_open(&fixture, "course");
    const Tensor x = fixture_tensor(&fixture, "in_embeddings"), y = fixture_output_like(&fixture, x);
    int32_t ascending[QUERIES];
    for (int32_t i = 0; i < QUERIES; i++)
        ascending[i] = i;
    for (size_t i = 0; i < 4; i++)
        w[i] = WEIGHT(&fixture, projections[i], D_MODEL, D_MODEL);
    const struct {
        TokenTensor positions;
        const char *expected;
    } cases[] = {{tokens(ascending, 1, QUERIES), "mha_rope"},
                 {{.data = NULL}, "mha_rope"},
                 {fixture_tokens(&fixture, "positions"), "mha_rope.positions"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_label("%s", cases[i].expected);
        tensor_fill(y, NAN);
        assert_ok(run_multihead_self_attention_with_rope(y, D_MODEL, HEADS, KEYS, THETA, w[0], w[1], w[2], w[3], x,
                                                         cases[i].positions));
        assert_allclose(y, fixture_tensor(&fixture, cases[i].expected), RTOL, ATOL);
    }
    fixture_close(&fixture);
}
END_TEST

/* ---- The whole model ---- */

enum { NAME_BYTES = 48, BLOCK_WEIGHTS = 9, MODEL_WEIGHTS = LAYERS * BLOCK_WEIGHTS + 3 };

/* A state dict of the hash's weights. */
typedef struct {
    NamedTensor items[MODEL_WEIGHTS];
    char names[MODEL_WEIGHTS][NAME_BYTES];
    size_t count;
} Weights;

static void add_weight(Weights *weights, Fixture *fixture, const char *prefix, const char *name, size_t rows,
                       size_t columns)
{
    char *joined = weights->names[weights->count];
    snprintf(joined, NAME_BYTES, "%s%s", prefix, name);
    const size_t shape[] = {rows, columns};
    const Tensor value = columns ? weight_of(fixture, joined, 2, shape) : weight_of(fixture, joined, 1, shape);
    weights->items[weights->count++] = (NamedTensor){joined, value};
}

static void add_block(Weights *weights, Fixture *fixture, const char *prefix)
{
    add_weight(weights, fixture, prefix, "attn.q_proj.weight", D_MODEL, D_MODEL);
    add_weight(weights, fixture, prefix, "attn.k_proj.weight", D_MODEL, D_MODEL);
    add_weight(weights, fixture, prefix, "attn.v_proj.weight", D_MODEL, D_MODEL);
    add_weight(weights, fixture, prefix, "attn.output_proj.weight", D_MODEL, D_MODEL);
    add_weight(weights, fixture, prefix, "ln1.weight", D_MODEL, 0);
    add_weight(weights, fixture, prefix, "ffn.w1.weight", D_FF, D_MODEL);
    add_weight(weights, fixture, prefix, "ffn.w2.weight", D_MODEL, D_FF);
    add_weight(weights, fixture, prefix, "ffn.w3.weight", D_FF, D_MODEL);
    add_weight(weights, fixture, prefix, "ln2.weight", D_MODEL, 0);
}

START_TEST(test_transformer_block)
{
    static const char prefix[] = "layers.0.";
    Fixture fixture;
    Weights weights = {.count = 0};
    fixture_open(&fixture, "course");
    add_block(&weights, &fixture, prefix);
    for (size_t i = 0; i < weights.count; i++)
        weights.items[i].name += strlen(prefix);
    const Tensor x = fixture_tensor(&fixture, "in_embeddings"), y = fixture_output_like(&fixture, x);
    assert_ok(
        run_transformer_block(y, D_MODEL, HEADS, D_FF, KEYS, THETA, (StateDict){weights.items, weights.count}, x));
    assert_allclose(y, fixture_tensor(&fixture, "block"), RTOL, ATOL);
    fixture_close(&fixture);
}
END_TEST

static void add_model(Weights *weights, Fixture *fixture)
{
    add_weight(weights, fixture, "", "token_embeddings.weight", VOCAB, D_MODEL);
    for (int layer = 0; layer < LAYERS; layer++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "layers.%d.", layer);
        add_block(weights, fixture, prefix);
    }
    add_weight(weights, fixture, "", "ln_final.weight", D_MODEL, 0);
    add_weight(weights, fixture, "", "lm_head.weight", VOCAB, D_MODEL);
}

/* Some columns of the logits, the log-sum-exp of each row, and each row's product with a fixed random vector, which
   one wrong logit anywhere changes. */
static void compare_logits(Fixture *fixture, const char *name, Tensor logits, double rtol, double atol)
{
    const size_t rows = tensor_rows(logits);
    int32_t columns[COLUMNS];
    static float probe[VOCAB];
    char key[NAME_BYTES];
    hash_integers(columns, COLUMNS, "columns", SEED, VOCAB);
    hash_normal(probe, VOCAB, "probe", SEED, 0, 1);
    const size_t picked_shape[] = {logits.shape[0], logits.shape[1], COLUMNS};
    const Tensor picked = fixture_output_of(fixture, 3, picked_shape);
    const Tensor log_sum_exp = fixture_output(fixture, rows), product = fixture_output(fixture, rows);
    for (size_t row = 0; row < rows; row++) {
        const float *logit = tensor_row(logits, row);
        double wide[VOCAB], sum = 0, dot = 0;
        for (size_t i = 0; i < VOCAB; i++)
            wide[i] = (double)logit[i], dot += wide[i] * (double)probe[i];
        for (size_t i = 0; i < COLUMNS; i++)
            tensor_row(picked, row)[i] = logit[columns[i]];
        reference_log_sum_exp(&sum, wide, 1, VOCAB);
        log_sum_exp.data[row] = (float)sum;
        product.data[row] = (float)dot;
    }
    snprintf(key, sizeof key, "%s.columns", name);
    assert_allclose_tensor(key, picked, fixture_tensor(fixture, key), rtol, atol);
    snprintf(key, sizeof key, "%s.log_sum_exp", name);
    assert_allclose_double(key, log_sum_exp.data, fixture_doubles(fixture, key, rows), rows, 1e-6, 0);
    snprintf(key, sizeof key, "%s.probe", name);
    assert_allclose_double(key, product.data, fixture_doubles(fixture, key, rows), rows, 1e-6, 1e-3);
}

static void run_and_compare_logits(const char *name, size_t seq, double rtol, double atol)
{
    Fixture fixture;
    Weights weights = {.count = 0};
    int32_t ids[BATCH * QUERIES];
    fixture_open(&fixture, "course");
    add_model(&weights, &fixture);
    const TokenTensor all = fixture_tokens(&fixture, "in_indices");
    for (size_t row = 0; row < BATCH; row++)
        memcpy(ids + row * seq, all.data + row * QUERIES, seq * sizeof *ids);
    const Tensor logits = fixture_output(&fixture, BATCH, seq, VOCAB);
    assert_ok(run_transformer_lm(logits, VOCAB, KEYS, D_MODEL, LAYERS, HEADS, D_FF, THETA,
                                 (StateDict){weights.items, weights.count}, tokens(ids, BATCH, seq)));
    compare_logits(&fixture, name, logits, rtol, atol);
    fixture_close(&fixture);
}

START_TEST(test_transformer_lm)
{
    run_and_compare_logits("lm", QUERIES, 1e-2, 1e-4);
}
END_TEST

START_TEST(test_transformer_lm_truncated_input)
{
    run_and_compare_logits("lm_truncated", QUERIES / 2, 1e-4, 1e-4);
}
END_TEST

const TestCase model_tests[] = {
    TEST(test_linear, "linear"),
    TEST(test_embedding, "embedding"),
    TEST(test_swiglu, "positionwise_feedforward"),
    TEST(test_scaled_dot_product_attention, "scaled_dot_product_attention"),
    TEST(test_4d_scaled_dot_product_attention, "scaled_dot_product_attention"),
    TEST(test_multihead_self_attention, "multihead_self_attention"),
    TEST(test_multihead_self_attention_with_rope, "multihead_self_attention"),
    TEST(test_transformer_lm, "transformer_lm"),
    TEST(test_transformer_lm_truncated_input, "transformer_lm"),
    TEST(test_transformer_block, "transformer_block"),
    TEST(test_rmsnorm, "rmsnorm"),
    TEST(test_rope, "rope"),
    TEST(test_silu_matches_pytorch, "positionwise_feedforward"),
    {0},
};
