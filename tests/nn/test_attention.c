#include "kernels/isa.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/attention_run.h"
#include "tests/support/fixture.h"
#include "tests/support/kernels.h"
#include "tests/support/reference.h"
#include "tests/support/sample.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double RTOL = 1e-4, ATOL = 1e-5;

/* ---- shapes and masks, against the reference ---- */

/* Lengths around the sides of a register tile (8, 32) and of a score block (32, 128). */
static const size_t lengths[] = {1, 7, 63, 64, 65, 129, 200};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

static size_t length_step(void)
{
    return test_is_instrumented() ? 2 : 1;
}

static void check_lengths(AttentionMask mask)
{
    for (size_t i = 0; i < LENGTHS; i += length_step())
        for (size_t j = 0; j < LENGTHS; j += length_step())
            attention_check(
                &(AttentionCase){.queries = lengths[i], .keys = lengths[j], .d_k = 20, .d_v = 20, .mask = mask}, RTOL,
                ATOL);
}

START_TEST(test_attention_all)
{
    check_lengths((AttentionMask){.kind = ATTEND_ALL});
}
END_TEST

START_TEST(test_attention_causal)
{
    check_lengths((AttentionMask){.kind = ATTEND_CAUSAL});
}
END_TEST

START_TEST(test_attention_where)
{
    for (size_t i = 0; i < LENGTHS; i += length_step())
        for (size_t j = 0; j < LENGTHS; j += length_step()) {
            bool *values = attention_random_mask(lengths[i] * lengths[j], "mask", 30);
            const AttentionMask where = {ATTEND_WHERE, mask(values, lengths[i], lengths[j])};
            attention_check(
                &(AttentionCase){.queries = lengths[i], .keys = lengths[j], .d_k = 20, .d_v = 20, .mask = where}, RTOL,
                ATOL);
            free(values);
        }
}
END_TEST

START_TEST(test_attention_with_any_leading_dimensions)
{
    static const size_t leading[][TENSOR_MAX_RANK - 2] = {
        {0}, {3}, {2, 3}, {2, 1, 3}, {2, 2, 1, 2}, {1, 2, 2, 1, 2}, {2, 1, 2, 1, 2, 1}};
    for (size_t i = 0; i < sizeof leading / sizeof *leading; i++)
        for (int kind = ATTEND_ALL; kind <= ATTEND_CAUSAL; kind++) {
            AttentionCase problem = {
                .queries = 9, .keys = 11, .d_k = 8, .d_v = 8, .mask = {.kind = (AttentionKind)kind}};
            memcpy(problem.leading, leading[i], sizeof problem.leading);
            attention_check(&problem, RTOL, ATOL);
        }
}
END_TEST

START_TEST(test_attention_mask_broadcasts)
{
    enum { B = 2, H = 3, Q = 10, K = 70 };
    bool *values = attention_random_mask((size_t)B * H * Q * K, "mask", 50);
    MaskTensor transposed = mask(values, K, Q); /* a view with the mask's dimensions exchanged */
    transposed.shape[0] = Q, transposed.shape[1] = K;
    transposed.stride[0] = 1, transposed.stride[1] = Q;
    const MaskTensor masks[] = {
        mask(values, B, H, Q, K), mask(values, H, Q, K), mask(values, B, 1, Q, K), mask(values, Q, K),
        mask(values, B, 1, 1, K), mask(values, K),       mask(values, Q, 1),       transposed,
    };
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++)
        attention_check(
            &(AttentionCase){
                .leading = {B, H}, .queries = Q, .keys = K, .d_k = 8, .d_v = 8, .mask = {ATTEND_WHERE, masks[i]}},
            RTOL, ATOL);
    free(values);
}
END_TEST

START_TEST(test_attention_with_any_head_dimension)
{
    static const size_t dimensions[][2] = {{1, 1},  {3, 5},   {17, 16},  {32, 33},
                                           {64, 7}, {5, 130}, {257, 40}, {300, 301}};
    for (size_t i = 0; i < sizeof dimensions / sizeof *dimensions; i++)
        for (int kind = ATTEND_ALL; kind <= ATTEND_CAUSAL; kind++)
            attention_check(&(AttentionCase){.leading = {2},
                                             .queries = 33,
                                             .keys = 70,
                                             .d_k = dimensions[i][0],
                                             .d_v = dimensions[i][1],
                                             .mask = {.kind = (AttentionKind)kind}},
                            RTOL, ATOL);
}
END_TEST

/* Only the output: without log_sum_exp, which a backward pass reads, and without a backward pass. */
START_TEST(test_attention_is_scaled_by_the_width_of_the_keys)
{
    enum { B = 2, Q = 3, K = 5, MOST = 16 };
    static const size_t widths[][2] = {{2, 8}, {16, 4}, {9, 1}, {1, 4}}; /* d_k, d_v */
    bool visible[B * Q * K];
    memset(visible, true, sizeof visible);
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        const size_t d_k = widths[i][0], d_v = widths[i][1];
        const Sample query = sample("width.query", 0, 1, B, Q, d_k), key = sample("width.key", 0, 1, B, K, d_k);
        const Sample value = sample("width.value", 0, 1, B, K, d_v);
        const Tensor output = filled(NAN, B, Q, d_v);
        double expected[B * Q * MOST];
        reference_attention(expected, NULL, query.wide, key.wide, value.wide, visible,
                            (AttentionSizes){B, Q, K, d_k, d_v});
        assert_ok(scaled_dot_product_attention_forward(output, (Tensor){0}, query.value, key.value, value.value,
                                                       (AttentionMask){.kind = ATTEND_ALL}));
        test_label("d_k %zu, d_v %zu", d_k, d_v);
        assert_allclose_wide("output", output, expected, RTOL, ATOL);
    }
}
END_TEST

START_TEST(test_attention_of_heads_as_views)
{
    for (int kind = ATTEND_ALL; kind <= ATTEND_CAUSAL; kind++)
        attention_check(&(AttentionCase){.leading = {2, 3},
                                         .queries = 130,
                                         .keys = 130,
                                         .d_k = 16,
                                         .d_v = 24,
                                         .mask = {.kind = (AttentionKind)kind},
                                         .interleaved = true},
                        RTOL, ATOL);
}
END_TEST

START_TEST(test_attention_shares_keys_between_heads)
{
    AttentionRun run;
    attention_run_init(&run, &(AttentionCase){.leading = {2, 3}, .queries = 9, .keys = 70, .d_k = 8, .d_v = 6});
    run.key.stride[1] = run.value.stride[1] = 0;
    attention_run(&run);
    attention_run_check(&run, RTOL, ATOL);
    attention_run_deinit(&run);
}
END_TEST

START_TEST(test_attention_of_random_shapes_on_every_instruction_set)
{
    const bool slow = test_is_instrumented();
    /* The absolute tolerance is that of sums of up to 300 terms that cancel. */
    attention_check_random(false, slow ? 6 : 40, slow ? 150 : 300, RTOL, 5 * ATOL);
}
END_TEST

/* Few queries, as when decoding, have kernels of their own: up to ATTENTION_FEW_QUERIES, and two more than that. */
START_TEST(test_attention_of_few_queries)
{
    static const size_t keys[] = {1, 40, 63, 130}, widths[][2] = {{20, 37}, {16, 64}, {3, 1}, {33, 8}}; /* d_k, d_v */
    bool *values = attention_random_mask(6 * 130, "mask", 50);
    for (int i = 0; i < ISA_COUNT; i++) {
        if (!isa_choose((Isa)i))
            continue;
        for (size_t q = 1; q <= 6; q++)
            for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
                MaskTensor transposed = mask(values, keys[k], q);
                transposed.shape[0] = q, transposed.shape[1] = keys[k];
                transposed.stride[0] = 1, transposed.stride[1] = (ptrdiff_t)q;
                const AttentionMask masks[] = {{.kind = ATTEND_ALL},
                                               {.kind = ATTEND_CAUSAL},
                                               {ATTEND_WHERE, mask(values, q, keys[k])},
                                               {ATTEND_WHERE, transposed}};
                for (size_t m = 0; m < sizeof masks / sizeof *masks; m++)
                    attention_check(&(AttentionCase){.leading = {2},
                                                     .queries = q,
                                                     .keys = keys[k],
                                                     .d_k = widths[(q + k) % 4][0],
                                                     .d_v = widths[(q + k) % 4][1],
                                                     .mask = masks[m],
                                                     .interleaved = (q + k) / 4 % 2 == 1},
                                    RTOL, ATOL);
            }
    }
    free(values);
}
END_TEST

START_TEST(test_attention_of_documents)
{
    attention_check_documents(false, RTOL, ATOL);
}
END_TEST

/* ---- against PyTorch ---- */

static void check_fixture(const char *name, const AttentionCase *problem)
{
    static const char *const result_names[] = {"y", "grad_query", "grad_key", "grad_value"};
    Fixture fixture;
    AttentionRun run;
    fixture_open(&fixture, "attention");
    attention_run_init(&run, problem);
    attention_run(&run);
    const Tensor results[] = {run.output, run.grad_query, run.grad_key, run.grad_value};
    for (int i = 0; i < 4; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s.%s", name, result_names[i]);
        assert_allclose_tensor(key, results[i], fixture_tensor(&fixture, key), RTOL, ATOL);
    }
    attention_run_deinit(&run);
    fixture_close(&fixture);
}

START_TEST(test_attention_matches_pytorch)
{
    bool *values = attention_random_mask((size_t)2 * 20 * 130, "mask", 30);
    const MaskTensor where = mask(values, 2, 1, 20, 130);
    const AttentionMask causal = {.kind = ATTEND_CAUSAL};
    check_fixture("all", &(AttentionCase){.leading = {2, 1, 2, 1}, .queries = 5, .keys = 9, .d_k = 4, .d_v = 6});
    check_fixture("causal", &(AttentionCase){{2}, .queries = 70, .keys = 70, .d_k = 16, .d_v = 16, .mask = causal});
    check_fixture("decoding", &(AttentionCase){{1, 2}, .queries = 3, .keys = 140, .d_k = 8, .d_v = 8, .mask = causal});
    check_fixture(
        "where",
        &(AttentionCase){
            .leading = {2, 2}, .queries = 20, .keys = 130, .d_k = 12, .d_v = 5, .mask = {ATTEND_WHERE, where}});
    free(values);
}
END_TEST

/* ---- central differences ---- */

typedef struct {
    double *query, *key, *value, *grad_output, *output;
    const bool *visible;
    AttentionSizes sizes;
} WeightedOutput;

static double weighted_output(void *context)
{
    const WeightedOutput *w = context;
    reference_attention(w->output, NULL, w->query, w->key, w->value, w->visible, w->sizes);
    return reference_dot(w->output, w->grad_output, w->sizes.batch * w->sizes.queries * w->sizes.d_v);
}

START_TEST(test_attention_gradients_are_central_differences)
{
    enum { Q = 5, K = 7, D_K = 3, D_V = 4 };
    bool *visible = attention_random_mask((size_t)2 * Q * K, "mask", 50);
    memset(visible, 0, K * sizeof *visible);
    AttentionRun run;
    attention_run_init(&run, &(AttentionCase){.leading = {2},
                                              .queries = Q,
                                              .keys = K,
                                              .d_k = D_K,
                                              .d_v = D_V,
                                              .mask = {ATTEND_WHERE, mask(visible, 2, Q, K)}});
    attention_run(&run);
    double query[2 * Q * D_K], key[2 * K * D_K], value[2 * K * D_V], grad_output[2 * Q * D_V], output[2 * Q * D_V];
    reference_widen(query, run.query);
    reference_widen(key, run.key);
    reference_widen(value, run.value);
    reference_widen(grad_output, run.grad_output);
    WeightedOutput w = {query, key, value, grad_output, output, visible, {2, Q, K, D_K, D_V}};
    assert_gradient("grad_query", run.grad_query, query, weighted_output, &w, RTOL, ATOL);
    assert_gradient("grad_key", run.grad_key, key, weighted_output, &w, RTOL, ATOL);
    assert_gradient("grad_value", run.grad_value, value, weighted_output, &w, RTOL, ATOL);
    attention_run_deinit(&run);
    free(visible);
}
END_TEST

/* ---- the functions that attention fuses ---- */

/* Computes y = factor x z^T, (rows, columns) from (rows, depth) and (columns, depth), by plain loops. */
static void multiply(Tensor y, Tensor x, Tensor z, float factor)
{
    for (size_t i = 0; i < tensor_extent(y, 0); i++)
        for (size_t j = 0; j < tensor_extent(y, 1); j++) {
            float sum = 0;
            for (ptrdiff_t k = 0; k < (ptrdiff_t)tensor_extent(x, 1); k++)
                sum += tensor_row(x, i)[k * x.stride[1]] * tensor_row(z, j)[k * z.stride[1]];
            tensor_row(y, i)[(ptrdiff_t)j * y.stride[1]] = factor * sum;
        }
}

START_TEST(test_attention_is_softmax_between_two_products)
{
    enum { Q = 9, K = 150, D_K = 6, D_V = 5 };
    const float scale = 1 / sqrtf(D_K);
    AttentionRun run;
    attention_run_init(&run, &(AttentionCase){.queries = Q, .keys = K, .d_k = D_K, .d_v = D_V});
    attention_run(&run);
    /* O = P V with P = softmax(S) and S = Q K^T / sqrt(d_k) */
    const Tensor s = filled(NAN, Q, K), p = filled(NAN, Q, K), grad_p = filled(NAN, Q, K), grad_s = filled(NAN, Q, K);
    const Tensor output = filled(NAN, Q, D_V), log_sum_exp = filled(NAN, Q, 1);
    multiply(s, run.query, run.key, scale);
    assert_ok(softmax_forward(p, s, -1));
    assert_ok(log_sum_exp_forward(log_sum_exp, s));
    multiply(output, p, tensor_transpose(run.value, 0, 1), 1);
    assert_allclose(run.output, output, RTOL, ATOL);
    assert_allclose(run.log_sum_exp, log_sum_exp, RTOL, ATOL);
    /* dV = P^T dO, dP = dO V^T, dQ = dS K / sqrt(d_k), dK = dS^T Q / sqrt(d_k) */
    const Tensor grad_query = filled(NAN, Q, D_K), grad_key = filled(NAN, K, D_K), grad_value = filled(NAN, K, D_V);
    multiply(grad_value, tensor_transpose(p, 0, 1), tensor_transpose(run.grad_output, 0, 1), 1);
    multiply(grad_p, run.grad_output, run.value, 1);
    assert_ok(softmax_backward(grad_s, grad_p, p, -1));
    multiply(grad_query, grad_s, tensor_transpose(run.key, 0, 1), scale);
    multiply(grad_key, tensor_transpose(grad_s, 0, 1), tensor_transpose(run.query, 0, 1), scale);
    assert_allclose(run.grad_query, grad_query, RTOL, ATOL);
    assert_allclose(run.grad_key, grad_key, RTOL, ATOL);
    assert_allclose(run.grad_value, grad_value, RTOL, ATOL);
    attention_run_deinit(&run);
}
END_TEST

#define SDPA "scaled_dot_product_attention"

const TestCase attention_tests[] = {
    TEST(test_attention_all, SDPA),
    TEST(test_attention_causal, SDPA),
    TEST(test_attention_where, SDPA),
    TEST(test_attention_with_any_leading_dimensions, SDPA),
    TEST(test_attention_mask_broadcasts, SDPA),
    TEST(test_attention_with_any_head_dimension, SDPA),
    TEST(test_attention_is_scaled_by_the_width_of_the_keys, SDPA),
    TEST(test_attention_of_heads_as_views, SDPA),
    TEST(test_attention_shares_keys_between_heads, SDPA),
    TEST(test_attention_of_random_shapes_on_every_instruction_set, SDPA),
    TEST(test_attention_of_few_queries, SDPA),
    TEST(test_attention_of_documents, SDPA),
    TEST(test_attention_matches_pytorch, SDPA),
    TEST(test_attention_gradients_are_central_differences, SDPA),
    TEST(test_attention_is_softmax_between_two_products, SDPA),
    {0},
};
