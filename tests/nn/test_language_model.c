/* The whole model: PyTorch's logits, gradients and loss curve, central differences of every variant.
 * How much memory it takes is in test_lm_memory.c. */
#include "core/memory.h"
#include "core/parallel.h"
#include "nn/functional.h"
#include "nn/transformer_lm.h"
#include "optim/adamw.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/fixture.h"
#include "tests/support/reference.h"
#include "tests/support/reference_layers.h"
#include "tests/support/sample.h"
#include "tests/support/small_model.h"
#include "tests/support/tiny_lm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void init(SmallModel *m, size_t batch, size_t seq)
{
    const TransformerLMConfig config = small_config();
    small_model_init(m, &config, batch, seq);
}

static Status loss_and_gradients(float *loss, SmallModel *m, TokenTensor ids, TokenTensor targets)
{
    return transformer_lm_loss(loss, &m->grad, &m->value, ids, targets, NULL, &m->scratch);
}

/* ---- against PyTorch ---- */

/* Makes the model of a fixture. */
static void init_for_fixture(SmallModel *m, bool tie_embeddings)
{
    TransformerLMConfig config = small_config();
    config.tie_embeddings = tie_embeddings;
    small_model_init(m, &config, 3, 10);
}

static void check_logits(bool tie_embeddings, const char *fixture)
{
    SmallModel m;
    TokenTensor ids, targets;
    init_for_fixture(&m, tie_embeddings);
    small_model_batch(&m, "lm.batch", &ids, &targets);
    const Tensor logits = filled(NAN, 3, 10, 40);
    assert_ok(transformer_lm_forward(logits, &m.value, ids, &m.scratch));
    assert_pytorch(logits, fixture, "logits");
    ck_assert_uint_eq(m.scratch.used, 0);
    small_model_deinit(&m);
}

static void check_gradients(bool tie_embeddings, const char *fixture)
{
    SmallModel m;
    TokenTensor ids, targets;
    init_for_fixture(&m, tie_embeddings);
    small_model_batch(&m, "lm.batch", &ids, &targets);
    const Tensor loss = filled(NAN, 1);
    assert_ok(loss_and_gradients(loss.data, &m, ids, targets));
    assert_pytorch(loss, fixture, "loss");
    for (size_t i = 0; i < m.parameters.count; i++) {
        char name[96];
        snprintf(name, sizeof name, "grad_%s", m.parameters.items[i].name);
        assert_pytorch(m.parameters.items[i].grad, fixture, name);
    }
    ck_assert_uint_eq(m.scratch.used, 0);
    small_model_deinit(&m);
}

START_TEST(test_lm_logits_match_pytorch)
{
    check_logits(false, "lm");
}
END_TEST

START_TEST(test_lm_gradients_match_pytorch)
{
    check_gradients(false, "lm");
}
END_TEST

/* The one matrix gets the sum of two gradients: that of the embeddings and that of the head. */
START_TEST(test_tied_lm_matches_pytorch)
{
    check_logits(true, "lm_tied");
    check_gradients(true, "lm_tied");
}
END_TEST

START_TEST(test_lm_follows_fifty_adamw_steps_of_pytorch)
{
    enum { STEPS = 50, BATCHES = 5 };
    const AdamWConfig adamw = {.lr = 3e-3, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1};
    float curve[STEPS];
    SmallModel m;
    init(&m, 3, 10);
    for (size_t step = 0; step < STEPS; step++) {
        char name[32];
        TokenTensor ids, targets;
        snprintf(name, sizeof name, "lm.batch%zu", step % BATCHES);
        small_model_batch(&m, name, &ids, &targets);
        parameters_zero_grad(m.parameters);
        assert_ok(loss_and_gradients(&curve[step], &m, ids, targets));
        assert_ok(adamw_step(m.parameters, step + 1, &adamw));
    }
    Fixture fixture;
    fixture_open(&fixture, "layers");
    assert_allclose_array("loss curve", curve, fixture_tensor(&fixture, "lm.curve").data, STEPS, 0, 1e-4);
    fixture_close(&fixture);
    small_model_deinit(&m);
}
END_TEST

/* ---- central differences ---- */

typedef struct {
    const SmallModel *model;
    ReferenceWeights weights;
    TokenTensor ids, targets;
    int32_t *packed_ids, *packed_targets;
    double *logits;
} LossContext;

static int32_t *pack(TokenTensor t)
{
    int32_t *packed = (int32_t *)(void *)sample_doubles(tokens_count(t));
    for (size_t i = 0; i < tokens_count(t); i++)
        packed[i] = tokens_at(t, i);
    return packed;
}

static double model_loss(void *context)
{
    const LossContext *c = context;
    const SmallModel *m = c->model;
    const TransformerLMConfig *config = &m->value.config;
    reference_transformer_lm(c->logits, c->packed_ids, &c->weights, m->batch, m->seq, config);
    return reference_cross_entropy(c->logits, c->packed_targets, m->batch * m->seq, config->vocab_size);
}

static LossContext loss_context(const SmallModel *m, const char *batch)
{
    LossContext c = {.model = m, .weights = small_model_widen(m)};
    small_model_batch(m, batch, &c.ids, &c.targets);
    c.packed_ids = pack(c.ids);
    c.packed_targets = pack(c.targets);
    c.logits = sample_doubles(m->batch * m->seq * m->value.config.vocab_size);
    return c;
}

/* Checks one variant. The model is so small that central differences of every parameter take no time. */
static void check_variant(int variant)
{
    const TransformerLMConfig like = tiny_lm_config(variant), config = {.vocab_size = 5,
                                                                        .context_length = 3,
                                                                        .d_model = 4,
                                                                        .num_layers = 2,
                                                                        .num_heads = 2,
                                                                        .d_ff = 3,
                                                                        .rope_theta = 1e2F,
                                                                        .norm_eps = 1e-5F,
                                                                        .norm = like.norm,
                                                                        .position = like.position,
                                                                        .ffn = like.ffn,
                                                                        .tie_embeddings = like.tie_embeddings};
    SmallModel m;
    float loss;
    test_label("%s", variant_text(&config));
    small_model_init(&m, &config, 2, 3);
    LossContext c = loss_context(&m, "variant");
    assert_ok(loss_and_gradients(&loss, &m, c.ids, c.targets));
    ck_assert_double_eq_tol((double)loss / model_loss(&c), 1, 1e-5); /* tied and without norms, the loss is 31 */
    for (size_t i = 0; i < m.parameters.count; i++) {
        const Parameter *p = &m.parameters.items[i];
        assert_gradient(p->name, p->grad, c.weights.values[i], model_loss, &c, 1e-4, 1e-5);
    }
    small_model_deinit(&m);
}

START_TEST(test_lm_gradients_of_every_variant)
{
    for (int variant = 0; variant < TINY_LM_VARIANTS; variant++)
        check_variant(variant);
}
END_TEST

START_TEST(test_lm_gradients_match_central_differences)
{
    SmallModel m;
    float loss;
    init(&m, 1, 4);
    LossContext c = loss_context(&m, "lm.batch");
    assert_ok(loss_and_gradients(&loss, &m, c.ids, c.targets));
    for (size_t i = 0; i < m.parameters.count; i++) {
        const Parameter *p = &m.parameters.items[i];
        const size_t some = tensor_count(p->grad) < 100 ? tensor_count(p->grad) : 100;
        assert_gradient(p->name, tensor(p->grad.data, some), c.weights.values[i], model_loss, &c, 1e-4, 1e-5);
    }
    small_model_deinit(&m);
}
END_TEST

/* ---- the loss ---- */

START_TEST(test_lm_loss_is_the_cross_entropy_of_the_logits)
{
    SmallModel m;
    TokenTensor ids, targets;
    float with_gradients, alone, expected;
    /* 1136 tokens: more than one chunk of rows */
    init(&m, 71, 16);
    small_model_batch(&m, "many", &ids, &targets);
    const Tensor logits = filled(NAN, 71, 16, 40);
    assert_ok(transformer_lm_forward(logits, &m.value, ids, &m.scratch));
    assert_ok(cross_entropy_forward(&expected, (Tensor){0}, logits, targets));
    assert_ok(loss_and_gradients(&with_gradients, &m, ids, targets));
    assert_ok(transformer_lm_loss(&alone, NULL, &m.value, ids, targets, NULL, &m.scratch));
    ck_assert_float_eq_tol(with_gradients, expected, 1e-6F);
    ck_assert_float_eq_tol(alone, expected, 1e-6F);
    small_model_deinit(&m);
}
END_TEST

START_TEST(test_lm_gradients_add_up)
{
    SmallModel m;
    TokenTensor ids, targets;
    float loss;
    init(&m, 3, 10);
    small_model_batch(&m, "lm.batch", &ids, &targets);
    assert_ok(loss_and_gradients(&loss, &m, ids, targets));
    assert_ok(loss_and_gradients(&loss, &m, ids, targets));
    for (size_t i = 0; i < m.parameters.count; i++) {
        char name[96];
        const Tensor grad = m.parameters.items[i].grad;
        for (size_t j = 0; j < tensor_count(grad); j++)
            grad.data[j] /= 2;
        snprintf(name, sizeof name, "grad_%s", m.parameters.items[i].name);
        assert_pytorch(grad, "lm", name);
    }
    small_model_deinit(&m);
}
END_TEST

static void count_gradient(void *context, Tensor grad)
{
    ck_assert_ptr_nonnull(grad.data);
    ++*(size_t *)context;
}

START_TEST(test_lm_leaves_frozen_parameters_out)
{
    enum { FROZEN = 6 };
    SmallModel m;
    TokenTensor ids, targets;
    float loss;
    size_t told = 0;
    const GradientObserver observer = {.ready = count_gradient, .context = &told};
    init(&m, 3, 10);
    small_model_batch(&m, "lm.batch", &ids, &targets);
    m.grad.token_embeddings.weight.data = m.grad.lm_head.weight.data = m.grad.ln_final.weight.data = NULL;
    m.grad.layers[0].attn.k_proj.weight.data = m.grad.layers[0].ffn.w3.weight.data = NULL;
    m.grad.layers[1].ln1.weight.data = NULL;
    assert_ok(loss_and_gradients(&loss, &m, ids, targets));
    assert_pytorch(m.grad.layers[0].attn.q_proj.weight, "lm", "grad_layers.0.attn.q_proj.weight");
    assert_pytorch(m.grad.layers[0].ffn.w1.weight, "lm", "grad_layers.0.ffn.w1.weight");
    assert_ok(transformer_lm_loss(&loss, &m.grad, &m.value, ids, targets, &observer, &m.scratch));
    ck_assert_uint_eq(told, m.parameters.count - FROZEN);
    small_model_deinit(&m);
}
END_TEST

START_TEST(test_lm_loss_is_the_same_for_any_threads)
{
    static const int threads[] = {1, 2, 3, 8};
    float loss[4];
    SmallModel m[4];
    for (int i = 0; i < 4; i++) {
        TokenTensor ids, targets;
        init(&m[i], 71, 16);
        small_model_batch(&m[i], "many", &ids, &targets);
        parallel_set_threads(threads[i]);
        test_label("%d threads", threads[i]);
        assert_ok(loss_and_gradients(&loss[i], &m[i], ids, targets));
        ck_assert_mem_eq(&loss[i], &loss[0], sizeof loss[0]);
        for (size_t p = 0; p < m[i].parameters.count; p++) {
            const Tensor grad = m[i].parameters.items[p].grad;
            test_label("%d threads, gradient of %s", threads[i], m[i].parameters.items[p].name);
            ck_assert_mem_eq(grad.data, m[0].parameters.items[p].grad.data, tensor_count(grad) * sizeof(float));
        }
    }
    for (int i = 0; i < 4; i++)
        small_model_deinit(&m[i]);
}
END_TEST

/* ---- who is told when a gradient is final ---- */

typedef struct {
    const SmallModel *m;
    size_t left;
    float *copies[64];
} Told;

static void tell(void *context, Tensor grad)
{
    Told *told = context;
    ck_assert_uint_gt(told->left, 0);
    told->left--;
    ck_assert_ptr_eq(grad.data, told->m->parameters.items[told->left].grad.data);
    told->copies[told->left] = (float *)(void *)sample_doubles(tensor_count(grad));
    memcpy(told->copies[told->left], grad.data, tensor_count(grad) * sizeof(float));
}

START_TEST(test_lm_reports_finished_gradients_from_last_to_first)
{
    for (int variant = 0; variant < TINY_LM_VARIANTS; variant++) {
        SmallModel m;
        TokenTensor ids, targets;
        float loss;
        const TransformerLMConfig config = tiny_lm_config(variant);
        test_label("%s", variant_text(&config));
        small_model_init(&m, &config, 2, 8);
        small_model_batch(&m, "many", &ids, &targets);
        Told told = {.m = &m, .left = m.parameters.count};
        const GradientObserver observer = {.ready = tell, .context = &told}, nobody = {.ready = NULL};
        assert_ok(transformer_lm_loss(&loss, &m.grad, &m.value, ids, targets, &observer, &m.scratch));
        ck_assert_uint_eq(told.left, 0);
        for (size_t i = 0; i < m.parameters.count; i++) {
            const Tensor grad = m.parameters.items[i].grad;
            ck_assert_mem_eq(told.copies[i], grad.data, tensor_count(grad) * sizeof(float));
        }
        assert_ok(transformer_lm_loss(&loss, &m.grad, &m.value, ids, targets, &nobody, &m.scratch));
        small_model_deinit(&m);
    }
}
END_TEST

/* ---- what does not fit ---- */

START_TEST(test_lm_names_what_does_not_fit)
{
    SmallModel m;
    float loss;
    int32_t numbers[34] = {0};
    init(&m, 2, 4);
    const TokenTensor ids = tokens(numbers, 2, 4), long_ids = tokens(numbers, 2, 17);
    assert_fails(transformer_lm_forward(filled(0, 2, 17, 40), &m.value, long_ids, &m.scratch), CS336_ESHAPE,
                 "transformer_lm_forward: a sequence of 17 ids, context_length is 16");
    assert_fails(transformer_lm_forward(filled(0, 40), &m.value, (TokenTensor){numbers, 0, {0}, {0}}, &m.scratch),
                 CS336_ESHAPE, "transformer_lm_forward: ids are (), expected (..., seq) of rank 1 to 6");
    assert_fails(transformer_lm_loss(&loss, NULL, &m.value, tokens(numbers, 0), tokens(numbers, 0), NULL, &m.scratch),
                 CS336_ESHAPE, "transformer_lm_loss: ids are (0), expected (..., seq) of rank 1 to 6");
    assert_fails(transformer_lm_loss(&loss, NULL, &m.value, long_ids, long_ids, NULL, &m.scratch), CS336_ESHAPE,
                 "transformer_lm_loss: a sequence of 17 ids, context_length is 16");
    assert_fails(transformer_lm_forward(filled(0, 2, 4, 39), &m.value, ids, &m.scratch), CS336_ESHAPE,
                 "linear_forward: y is (2, 4, 39), x is (2, 4, 16), weight is (40, 16)");
    assert_fails(transformer_lm_loss(&loss, &m.grad, &m.value, ids, tokens(numbers, 4, 2), NULL, &m.scratch),
                 CS336_ESHAPE, "linear_cross_entropy: targets are (4, 2), x is (2, 4, 16)");
    numbers[5] = 40;
    assert_fails(transformer_lm_forward(filled(0, 2, 4, 40), &m.value, ids, &m.scratch), CS336_ERANGE,
                 "embedding_forward: id 40 at (1, 1) is not in [0, 40)");
    assert_fails(transformer_lm_loss(&loss, &m.grad, &m.value, tokens(numbers + 8, 2, 4), ids, NULL, &m.scratch),
                 CS336_ERANGE, "linear_cross_entropy: target 40 at (1, 1) is not in [0, 40)");
    for (size_t i = 0; i < m.parameters.count; i++)
        assert_allclose_tensor(m.parameters.items[i].name, m.parameters.items[i].grad,
                               filled_like(0, m.parameters.items[i].grad), 0, 0);
    ck_assert_uint_eq(m.scratch.used, 0);
    small_model_deinit(&m);
}
END_TEST

const TestCase language_model_tests[] = {
    TEST(test_lm_logits_match_pytorch, "transformer_lm"),
    TEST(test_lm_gradients_match_pytorch, "transformer_lm"),
    TEST(test_tied_lm_matches_pytorch, "transformer_lm"),
    TEST(test_lm_follows_fifty_adamw_steps_of_pytorch, "training_together"),
    TEST(test_lm_gradients_of_every_variant, "transformer_lm"),
    TEST(test_lm_gradients_match_central_differences, "transformer_lm"),
    TEST(test_lm_loss_is_the_cross_entropy_of_the_logits, "cross_entropy"),
    TEST(test_lm_gradients_add_up, "transformer_lm"),
    TEST(test_lm_leaves_frozen_parameters_out, "transformer_lm"),
    TEST(test_lm_loss_is_the_same_for_any_threads, "transformer_lm"),
    TEST(test_lm_reports_finished_gradients_from_last_to_first, "transformer_lm"),
    TEST(test_lm_names_what_does_not_fit, "transformer_lm"),
    {0},
};
