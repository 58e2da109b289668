#include "accounting/flops.h"
#include "accounting/parameters.h"
#include "inspect/attention_weights.h"
#include "inspect/next_tokens.h"
#include "inspect/trace.h"
#include "tests/inspect/reference_pass.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/sample.h"
#include "tests/support/small_model.h"
#include "tests/support/tiny_lm.h"

#include <math.h>
#include <string.h>

enum { BATCH = 2, SEQ = 11 };

/* The model of small_config() in one of TINY_LM_VARIANTS variants. */
static TransformerLMConfig small_variant(int variant)
{
    const TransformerLMConfig like = tiny_lm_config(variant);
    TransformerLMConfig config = small_config();
    config.norm = like.norm;
    config.position = like.position;
    config.ffn = like.ffn;
    config.tie_embeddings = like.tie_embeddings;
    config.num_layers = 3;
    return config;
}

/* ---- attention weights ---- */

START_TEST(test_attention_weights_are_those_of_the_reference)
{
    for (int variant = 0; variant < TINY_LM_VARIANTS; variant++) {
        const TransformerLMConfig config = small_variant(variant);
        test_label("%s", variant_text(&config));
        SmallModel model;
        small_model_init(&model, &config, 1, SEQ);
        const TokenTensor ids = sample_ids("inspect.ids", (uint32_t)config.vocab_size, SEQ);
        const Tensor weights = filled(NAN, config.num_layers, config.num_heads, SEQ, SEQ);
        const Tensor logits = filled(NAN, config.vocab_size);
        Arena scratch = arena_of(attention_weights_scratch(&model.value, SEQ));
        assert_ok(attention_weights(weights, logits, &model.value, ids, &scratch));
        ck_assert_uint_eq(scratch.used, 0);
        const ReferenceWeights wide = small_model_widen(&model);
        static ReferencePass pass;
        reference_pass(&pass, &wide, &config, ids.data, 1, SEQ);
        assert_allclose_wide("weights", weights, pass.weights, 1e-4, 1e-6);
        assert_allclose_wide("logits", logits, pass.logits + (SEQ - 1) * config.vocab_size, 1e-4, 1e-5);
        arena_deinit(&scratch);
        small_model_deinit(&model);
    }
}
END_TEST

/* Asserts that the rows of all weights of a sequence sum to 1, and that keys after the query have the weight 0. */
static void check_sums(const SmallModel *model, size_t seq)
{
    const TransformerLMConfig *config = &model->value.config;
    const Tensor weights = filled(NAN, config->num_layers, config->num_heads, seq, seq);
    Arena scratch = arena_of(attention_weights_scratch(&model->value, seq));
    assert_ok(attention_weights(weights, (Tensor){0}, &model->value,
                                sample_ids("inspect.ids", (uint32_t)config->vocab_size, seq), &scratch));
    size_t wrong = 0;
    for (size_t row = 0; row < tensor_rows(weights); row++) {
        double sum = 0;
        for (size_t key = 0; key < seq; key++) {
            sum += (double)tensor_row(weights, row)[key];
            wrong += key > row % seq && tensor_row(weights, row)[key] != 0;
        }
        wrong += !(fabs(sum - 1) < 1e-6);
    }
    ck_assert_uint_eq(wrong, 0);
    arena_deinit(&scratch);
}

START_TEST(test_attention_weights_of_a_query_sum_to_one)
{
    TransformerLMConfig config = small_config();
    config.context_length = 70; /* more than a score block has rows */
    SmallModel model;
    small_model_init(&model, &config, 1, 70);
    for (size_t seq = 1; seq <= 70; seq += 23) {
        test_label("seq = %zu", seq);
        check_sums(&model, seq);
    }
    small_model_deinit(&model);
}
END_TEST

/* A run that diverges has scores of thousands, which float32 rounds by 1e-4 and more. */
START_TEST(test_attention_weights_sum_to_one_for_huge_scores)
{
    TransformerLMConfig config = small_config();
    config.context_length = 70;
    SmallModel model;
    small_model_init(&model, &config, 1, 70);
    for (size_t i = 0; i < model.parameters.count; i++) {
        const Parameter *p = &model.parameters.items[i];
        const bool scored = strstr(p->name, "q_proj") || strstr(p->name, "k_proj");
        for (size_t j = 0; scored && j < tensor_count(p->value); j++)
            p->value.data[j] *= 100;
    }
    check_sums(&model, 70);
    small_model_deinit(&model);
}
END_TEST

START_TEST(test_attention_weights_errors)
{
    const TransformerLMConfig config = small_config();
    SmallModel model;
    small_model_init(&model, &config, 1, SEQ);
    Arena scratch = arena_of(attention_weights_scratch(&model.value, SEQ));
    const Tensor weights = filled(0, 2, 2, 3, 3), none = {0};
    int32_t ids[17] = {0};
    assert_fails(attention_weights(weights, none, &model.value, tokens(ids, 17), &scratch), CS336_ESHAPE,
                 "attention_weights: ids are (17), expected 1 to 16 ids");
    assert_fails(attention_weights(weights, none, &model.value, tokens(ids, 1, 3), &scratch), CS336_ESHAPE,
                 "attention_weights: ids are (1, 3), expected 1 to 16 ids");
    assert_fails(attention_weights(weights, none, &model.value, tokens(ids, 4), &scratch), CS336_ESHAPE,
                 "attention_weights: weights are (2, 2, 3, 3), expected contiguous (2, 2, 4, 4)");
    assert_fails(attention_weights(weights, filled(0, 3), &model.value, tokens(ids, 3), &scratch), CS336_ESHAPE,
                 "attention_weights: logits are (3), expected (40)");
    ids[1] = 40;
    assert_fails(attention_weights(weights, none, &model.value, tokens(ids, 3), &scratch), CS336_ERANGE,
                 "embedding_forward: id 40 at (1) is not in [0, 40)");
    arena_deinit(&scratch);
    small_model_deinit(&model);
}
END_TEST

START_TEST(test_next_tokens_are_the_softmax_in_order)
{
    float logits[] = {0.5F, 3, -INFINITY, 1, 3, -2, 0.25F};
    static const int32_t order[] = {1, 4, 3, 0, 6, 5};
    SampleCandidate likeliest[7];
    Arena scratch = arena_of(sample_scratch(7));
    double sum = 0;
    for (size_t i = 0; i < 7; i++)
        sum += exp((double)logits[i]);
    for (size_t wanted = 0; wanted <= 7; wanted++) {
        size_t count = wanted;
        assert_ok(next_tokens(likeliest, &count, tensor(logits, 7), &scratch));
        ck_assert_uint_eq(count, wanted < 6 ? wanted : 6);
        for (size_t i = 0; i < count; i++) {
            ck_assert_int_eq(likeliest[i].token, order[i]);
            ck_assert_double_eq_tol(likeliest[i].probability, exp((double)logits[order[i]]) / sum, 1e-6);
        }
    }
    logits[2] = NAN;
    size_t count = 3;
    assert_fails(next_tokens(likeliest, &count, tensor(logits, 7), &scratch), CS336_ERANGE,
                 "sample_candidates: logit 2 is nan, expected a number");
    arena_deinit(&scratch);
}
END_TEST

/* ---- trace ---- */

typedef struct {
    TraceStep *steps;
    const TransformerLM *lm;
    TokenTensor ids, targets;
} TraceCall;

static Status run_trace(void *context, Arena *scratch)
{
    const TraceCall *call = context;
    return trace_run(call->steps, call->lm, call->ids, call->targets, scratch);
}

START_TEST(test_trace_measures_what_the_reference_computes)
{
    for (int variant = 0; variant < TINY_LM_VARIANTS; variant++) {
        const TransformerLMConfig config = small_variant(variant);
        test_label("%s", variant_text(&config));
        SmallModel model;
        small_model_init(&model, &config, BATCH, SEQ);
        const TokenTensor ids = sample_ids("inspect.ids", (uint32_t)config.vocab_size, BATCH, SEQ),
                          targets = sample_ids("inspect.targets", (uint32_t)config.vocab_size, BATCH, SEQ);
        TraceStep steps[REFERENCE_PASS_MAX];
        TraceCall call = {steps, &model.value, ids, targets};
        assert_scratch(trace_scratch(&model.value, BATCH, SEQ), run_trace, &call);
        const ReferenceWeights wide = small_model_widen(&model);
        static ReferencePass pass;
        reference_pass(&pass, &wide, &config, ids.data, BATCH, SEQ);
        ck_assert_uint_eq(trace_count(&config, false), pass.count);
        ck_assert_uint_eq(trace_count(&config, true), pass.count + 1);
        for (size_t i = 0; i < pass.count; i++)
            ck_assert_msg(fabs(steps[i].rms - pass.rms[i]) < 1e-5 * pass.rms[i], "%s: %.9g, expected %.9g",
                          steps[i].name, steps[i].rms, pass.rms[i]);
        const double loss = reference_cross_entropy(pass.logits, targets.data, BATCH * SEQ, config.vocab_size);
        ck_assert_str_eq(steps[pass.count].name, "loss");
        ck_assert_double_eq_tol(steps[pass.count].rms, loss, 1e-5 * fmax(1, loss));
        small_model_deinit(&model);
    }
}
END_TEST

START_TEST(test_trace_adds_up_to_the_accounting)
{
    for (int variant = 0; variant < TINY_LM_VARIANTS; variant++) {
        const TransformerLMConfig config = small_variant(variant);
        test_label("%s", variant_text(&config));
        SmallModel model;
        small_model_init(&model, &config, BATCH, SEQ);
        TraceStep steps[REFERENCE_PASS_MAX];
        TraceCall call = {steps, &model.value, sample_ids("inspect.ids", (uint32_t)config.vocab_size, BATCH, SEQ), {0}};
        Arena scratch = arena_of(trace_scratch(&model.value, BATCH, SEQ));
        assert_ok(run_trace(&call, &scratch));
        double flops = 0, attention = 0;
        size_t parameters = 0;
        for (size_t i = 0; i < trace_count(&config, false); i++) {
            flops += steps[i].flops;
            parameters += steps[i].parameters;
            attention += strcmp(steps[i].name, "attention") == 0 ? steps[i].flops : 0;
        }
        const AccountFlops expected = account_forward_flops(&config, BATCH, SEQ);
        ck_assert_double_eq(flops, expected.total);
        ck_assert_double_eq(attention, expected.attention_scores + expected.attention_values);
        ck_assert_double_eq((double)parameters, account_parameters(&config).total);
        arena_deinit(&scratch);
        small_model_deinit(&model);
    }
}
END_TEST

/* The names, the layers and the shapes of the course's model. */
START_TEST(test_trace_names_operations_and_shapes)
{
    static const struct {
        const char *name, *input, *output;
    } expected[] = {
        {"embedding", "(2, 11)", "(2, 11, 16)"},
        {"norm ln1", "(2, 11, 16)", "(2, 11, 16)"},
        {"query", "(2, 11, 16)", "(2, 11, 16)"},
        {"key", "(2, 11, 16)", "(2, 11, 16)"},
        {"value", "(2, 11, 16)", "(2, 11, 16)"},
        {"rope query", "(2, 2, 11, 8)", "(2, 2, 11, 8)"},
        {"rope key", "(2, 2, 11, 8)", "(2, 2, 11, 8)"},
        {"attention", "(2, 2, 11, 8)", "(2, 2, 11, 8)"},
        {"output", "(2, 11, 16)", "(2, 11, 16)"},
        {"add", "(2, 11, 16)", "(2, 11, 16)"},
        {"norm ln2", "(2, 11, 16)", "(2, 11, 16)"},
        {"ffn w1", "(2, 11, 16)", "(2, 11, 24)"},
        {"ffn w3", "(2, 11, 16)", "(2, 11, 24)"},
        {"ffn silu(w1 x) * w3 x", "(2, 11, 24)", "(2, 11, 24)"},
        {"ffn w2", "(2, 11, 24)", "(2, 11, 16)"},
        {"add", "(2, 11, 16)", "(2, 11, 16)"},
        {"final norm", "(2, 11, 16)", "(2, 11, 16)"},
        {"lm head", "(2, 11, 16)", "(2, 11, 40)"},
        {"loss", "(2, 5, 40)", "()"},
    };
    enum { STEPS = sizeof expected / sizeof *expected };
    TransformerLMConfig config = small_config();
    config.num_layers = 1;
    SmallModel model;
    small_model_init(&model, &config, BATCH, SEQ);
    const TokenTensor ids = sample_ids("inspect.ids", 40, BATCH, SEQ), targets = sample_ids("inspect.t", 40, BATCH, 5);
    TraceStep steps[STEPS];
    Arena scratch = arena_of(trace_scratch(&model.value, BATCH, SEQ));
    ck_assert_uint_eq(trace_count(&config, true), STEPS);
    assert_ok(trace_run(steps, &model.value, ids, targets, &scratch));
    for (size_t i = 0; i < STEPS; i++) {
        ck_assert_str_eq(steps[i].name, expected[i].name);
        ck_assert_str_eq(tensor_shape_text(steps[i].input), expected[i].input);
        ck_assert_str_eq(tensor_shape_text(steps[i].output), expected[i].output);
        ck_assert_uint_eq(steps[i].layer, i > 0 && i < STEPS - 3 ? 0 : SIZE_MAX);
    }
    arena_deinit(&scratch);
    small_model_deinit(&model);
}
END_TEST

START_TEST(test_trace_errors)
{
    const TransformerLMConfig config = small_config();
    SmallModel model;
    small_model_init(&model, &config, 1, SEQ);
    TraceStep steps[REFERENCE_PASS_MAX];
    Arena scratch = arena_of(trace_scratch(&model.value, 1, SEQ));
    int32_t ids[17] = {0};
    const TokenTensor none = {0};
    assert_fails(trace_run(steps, &model.value, tokens(ids, 1, 17), none, &scratch), CS336_ESHAPE,
                 "trace_run: ids are (1, 17), expected (batch, seq) with seq at most 16");
    assert_fails(trace_run(steps, &model.value, tokens(ids, 3), none, &scratch), CS336_ESHAPE,
                 "trace_run: ids are (3), expected (batch, seq) with seq at most 16");
    assert_fails(trace_run(steps, &model.value, tokens(ids, 1, 3), tokens(ids, 1, 4), &scratch), CS336_ESHAPE,
                 "trace_run: targets are (1, 4), ids are (1, 3)");
    ids[2] = -1;
    assert_fails(trace_run(steps, &model.value, tokens(ids, 1, 3), none, &scratch), CS336_ERANGE,
                 "embedding_forward: id -1 at (0, 2) is not in [0, 40)");
    assert_fails(trace_run(steps, &model.value, tokens(ids, 1, 2), tokens(ids + 1, 1, 2), &scratch), CS336_ERANGE,
                 "cross_entropy_forward: target -1 at (0, 1) is not in [0, 40)");
    arena_deinit(&scratch);
    small_model_deinit(&model);
}
END_TEST

const TestCase inspect_tests[] = {
    TEST(test_attention_weights_are_those_of_the_reference, "inspect"),
    TEST(test_attention_weights_of_a_query_sum_to_one, "inspect"),
    TEST(test_attention_weights_sum_to_one_for_huge_scores, "inspect"),
    TEST(test_attention_weights_errors, "inspect"),
    TEST(test_next_tokens_are_the_softmax_in_order, "inspect"),
    TEST(test_trace_measures_what_the_reference_computes, "inspect"),
    TEST(test_trace_adds_up_to_the_accounting, "inspect"),
    TEST(test_trace_names_operations_and_shapes, "inspect"),
    TEST(test_trace_errors, "inspect"),
    {0},
};
