/* Attention in bf16: its products round their operands to bfloat16, with every instruction set. */
#include "core/parallel.h"
#include "nn/mha.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/attention_run.h"
#include "tests/support/kernels.h"
#include "tests/support/reference.h"
#include "tests/support/sample.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void check(AttentionCase problem)
{
    problem.bf16 = true;
    attention_check(&problem, 0, 0);
}

/* Lengths around the sides of register tiles, tiles and score blocks: 8, 16, 32 and 128. */
START_TEST(test_bf16_attention_agrees_with_rounded_operands)
{
    static const size_t lengths[] = {1, 5, 17, 33, 129, 261};
    enum { LENGTHS = sizeof lengths / sizeof *lengths };
    const size_t step = test_is_instrumented() ? 3 : 1;
    size_t turn = 0;
    FOR_EACH_ISA (isa)
        for (size_t i = 0; i < LENGTHS; i += step)
            for (size_t j = 0; j < LENGTHS; j += step) {
                const size_t q = lengths[i], k = lengths[j];
                if ((i + j + (size_t)isa) % 2 != 0 && !test_is_instrumented())
                    continue; /* the next instruction set takes it */
                bool *values = attention_random_mask(q * k, "mask", 30);
                const AttentionMask masks[] = {
                    {.kind = ATTEND_ALL}, {.kind = ATTEND_CAUSAL}, {ATTEND_WHERE, mask(values, q, k)}};
                check((AttentionCase){.queries = q, .keys = k, .d_k = 20, .d_v = 37, .mask = masks[turn++ % 3]});
                free(values);
            }
}
END_TEST

START_TEST(test_bf16_attention_with_any_head_dimension)
{
    static const size_t dimensions[][2] = {{1, 1}, {3, 5}, {17, 16}, {32, 33}, {64, 7}, {5, 130}, {100, 64}};
    FOR_EACH_ISA_AND_TWIN (isa)
        for (size_t i = 0; i < sizeof dimensions / sizeof *dimensions; i++)
            check((AttentionCase){.leading = {2},
                                  .queries = 35,
                                  .keys = 70,
                                  .d_k = dimensions[i][0],
                                  .d_v = dimensions[i][1],
                                  .mask = {.kind = i % 2 ? ATTEND_ALL : ATTEND_CAUSAL}});
}
END_TEST

START_TEST(test_bf16_attention_of_random_shapes)
{
    const bool slow = test_is_instrumented();
    attention_check_random(true, slow ? 3 : 9, slow ? 150 : 270, 0, 0);
}
END_TEST

START_TEST(test_bf16_attention_of_documents)
{
    FOR_EACH_ISA (isa)
        attention_check_documents(true, 0, 0);
}
END_TEST

/* Keys that do not fill a panel, and scores about -724: beyond the last key stands e^(0 + 724), which is infinite. */
START_TEST(test_bf16_attention_of_very_negative_scores)
{
    enum { Q = 40, K = 37, D = 8 };
    FOR_EACH_ISA (isa) {
        AttentionRun run;
        test_label("%s", isa_name(isa));
        attention_run_init(&run, &(AttentionCase){.queries = Q, .keys = K, .d_k = D, .d_v = D, .bf16 = true});
        tensor_fill(run.query, 16);
        tensor_fill(run.key, -16);
        attention_run(&run);
        attention_run_check(&run, 0, 0);
        attention_run_deinit(&run);
    }
}
END_TEST

/* Every probability, read through values that are the identity matrix, is a bfloat16 number over the sum of its row. */
START_TEST(test_bf16_attention_rounds_probabilities_before_it_divides)
{
    enum { N = 60 };
    FOR_EACH_ISA (isa) {
        AttentionRun run;
        attention_run_init(&run, &(AttentionCase){.queries = N, .keys = N, .d_k = 8, .d_v = N, .bf16 = true});
        tensor_fill(run.value, 0);
        for (size_t j = 0; j < N; j++)
            tensor_row(run.value, j)[j] = 1;
        attention_run(&run);
        for (size_t i = 0; i < N; i++) {
            /* The greatest probability of a row is 1 before the division. */
            float greatest = 0;
            for (size_t j = 0; j < N; j++)
                greatest = fmaxf(greatest, tensor_row(run.output, i)[j]);
            for (size_t j = 0; j < N; j++) {
                const double p = (double)tensor_row(run.output, i)[j] / (double)greatest;
                int exponent;
                const double bits = frexp(p, &exponent) * 256;
                ck_assert_msg(fabs(bits - nearbyint(bits)) < 1e-4, "%s: query %zu, key %zu: probability %a",
                              isa_name(isa), i, j, p);
            }
        }
        attention_run_deinit(&run);
    }
}
END_TEST

/* ---- infinities and NaN ---- */

static void check_poison(float poison, const AttentionCase *problem, size_t hidden, size_t blind)
{
    AttentionRun run;
    test_label("%zu queries, %g in what is hidden, %s", problem->queries, (double)poison, isa_name(isa_in_use()));
    attention_run_init(&run, problem);
    tensor_fill(tensor_slice(run.value, 0, hidden, 1), poison);
    tensor_fill(tensor_slice(run.key, 0, hidden, 1), poison);
    tensor_fill(tensor_slice(run.value, 0, hidden + 100, 1), poison);
    tensor_fill(tensor_slice(run.query, 0, blind, 1), poison);
    tensor_fill(tensor_slice(run.grad_output, 0, blind, 1), poison);
    spoil_workspace();
    attention_run(&run);
    attention_run_check(&run, 0, 0);
    attention_run_deinit(&run);
}

/* FLT_MAX rounds to an infinity. */
START_TEST(test_bf16_attention_hides_infinities_and_nan)
{
    enum { Q = 70, K = 140, D = 20, HIDDEN = 5 };
    static const float poison[] = {INFINITY, -INFINITY, NAN, FLT_MAX};
    static const size_t counts[] = {Q, 3};
    bool *visible = attention_random_mask(Q * K, "mask", 50);
    for (size_t i = 0; i < Q; i++)
        visible[i * K + HIDDEN] = visible[i * K + HIDDEN + 100] = false;
    FOR_EACH_ISA (isa)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            const size_t queries = counts[c], blind = queries - 1;
            bool *seen = visible + blind * K, kept[K];
            memcpy(kept, seen, sizeof kept);
            memset(seen, 0, sizeof kept);
            const AttentionCase problem = {.queries = queries,
                                           .keys = K,
                                           .d_k = D,
                                           .d_v = D,
                                           .mask = {ATTEND_WHERE, mask(visible, queries, K)},
                                           .bf16 = true};
            for (size_t i = 0; i < sizeof poison / sizeof *poison; i++)
                check_poison(poison[i], &problem, HIDDEN, blind);
            memcpy(seen, kept, sizeof kept);
        }
    free(visible);
}
END_TEST

START_TEST(test_bf16_attention_shows_infinities_and_nan_to_those_that_see_them)
{
    enum { SEQ = 150, D = 20, LATER = 77 };
    FOR_EACH_ISA (isa) {
        AttentionRun run;
        test_label("%s", isa_name(isa));
        attention_run_init(
            &run, &(AttentionCase){
                      .queries = SEQ, .keys = SEQ, .d_k = D, .d_v = D, .mask = {.kind = ATTEND_CAUSAL}, .bf16 = true});
        tensor_fill(tensor_slice(run.value, 0, LATER, 1), INFINITY);
        tensor_fill(tensor_slice(run.key, 0, LATER + 1, 1), NAN);
        attention_run(&run);
        for (size_t i = 0; i < LATER; i++)
            for (size_t d = 0; d < D; d++)
                ck_assert(isfinite(tensor_row(run.output, i)[d]) && isfinite(tensor_row(run.grad_query, i)[d]));
        ck_assert_msg(isinf(*tensor_row(run.output, LATER)), "the infinite value must reach the query that sees it");
        ck_assert_msg(isnan(*tensor_row(run.output, LATER + 1)), "the NaN must reach the query that sees it");
        attention_run_deinit(&run);
    }
}
END_TEST

/* ---- against float32 ---- */

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

/* The central differences are those of exact attention, so rounding is all of the distance: a few times 2^-9. */
START_TEST(test_bf16_attention_gradients_are_near_central_differences)
{
    enum { Q = 6, K = 7, D_K = 3, D_V = 4 };
    static const double near = 0.03;
    bool *visible = attention_random_mask((size_t)2 * Q * K, "mask", 50);
    memset(visible, 0, K * sizeof *visible);
    FOR_EACH_ISA (isa) {
        AttentionRun run;
        test_label("%s", isa_name(isa));
        attention_run_init(&run, &(AttentionCase){.leading = {2},
                                                  .queries = Q,
                                                  .keys = K,
                                                  .d_k = D_K,
                                                  .d_v = D_V,
                                                  .mask = {ATTEND_WHERE, mask(visible, 2, Q, K)},
                                                  .bf16 = true});
        attention_run(&run);
        double query[2 * Q * D_K], key[2 * K * D_K], value[2 * K * D_V], grad_output[2 * Q * D_V], output[2 * Q * D_V];
        reference_widen(query, run.query);
        reference_widen(key, run.key);
        reference_widen(value, run.value);
        reference_widen(grad_output, run.grad_output);
        WeightedOutput w = {query, key, value, grad_output, output, visible, {2, Q, K, D_K, D_V}};
        assert_gradient("grad_query", run.grad_query, query, weighted_output, &w, near, near);
        assert_gradient("grad_key", run.grad_key, key, weighted_output, &w, near, near);
        assert_gradient("grad_value", run.grad_value, value, weighted_output, &w, near, near);
        attention_run_deinit(&run);
    }
    free(visible);
}
END_TEST

/* Returns the root mean square of the differences over that of the expected numbers. */
static double relative_error(Tensor actual, const double *expected)
{
    double errors = 0, size = 0;
    for (size_t row = 0; row < tensor_rows(actual); row++)
        for (size_t i = 0; i < tensor_extent(actual, -1); i++, expected++) {
            errors += pow((double)tensor_row(actual, row)[i] - *expected, 2);
            size += *expected * *expected;
        }
    return sqrt(errors / size);
}

/* The figures of docs/performance.md, with room for other numbers: about 0.003 for outputs, 0.004 for gradients. */
START_TEST(test_bf16_attention_error_against_double_precision)
{
    enum { N = 200, D = 32 };
    static bool visible[N * N];
    static double query[N * D], key[N * D], value[N * D], grad_output[N * D], expected[N * D], grads[3][N * D];
    const AttentionSizes sizes = {1, N, N, D, D};
    reference_causal(visible, sizes);
    FOR_EACH_ISA (isa) {
        AttentionRun run;
        attention_run_init(
            &run, &(AttentionCase){
                      .queries = N, .keys = N, .d_k = D, .d_v = D, .mask = {.kind = ATTEND_CAUSAL}, .bf16 = true});
        attention_run(&run);
        reference_widen(query, run.query);
        reference_widen(key, run.key);
        reference_widen(value, run.value);
        reference_widen(grad_output, run.grad_output);
        reference_attention(expected, NULL, query, key, value, visible, sizes);
        reference_attention_backward(
            (AttentionReference){grads[0], grads[1], grads[2], grad_output, query, key, value, visible}, sizes);
        const double errors[] = {relative_error(run.output, expected), relative_error(run.grad_query, grads[0]),
                                 relative_error(run.grad_key, grads[1]), relative_error(run.grad_value, grads[2])};
        for (int i = 0; i < 4; i++)
            ck_assert_msg(errors[i] > 0.001 && errors[i] < 0.005, "%s: result %d: error %g", isa_name(isa), i,
                          errors[i]);
        attention_run_deinit(&run);
    }
}
END_TEST

/* ---- in a layer ---- */

enum { TOKENS = 9, D_MODEL = 12, HEADS = 2 };

static Tensor heads_of(Tensor t)
{
    return tensor_transpose(tensor_split(t, -1, HEADS), -3, -2);
}

/* Attention has the dtype of q_proj, and with bf16x3 it is float32. All maps compute in float32, but for the query's.
 */
START_TEST(test_mha_attends_in_the_dtype_of_its_query)
{
    static const DType dtypes[] = {DTYPE_FLOAT32, DTYPE_BF16, DTYPE_BF16X3};
    const Tensor x = sample("mha.x", 0, 1, 2, TOKENS, D_MODEL).value,
                 grad_y = sample("mha.grad_y", 0, 1, 2, TOKENS, D_MODEL).value;
    Arena memory = arena_of(1 << 20), scratch = arena_of(mha_scratch(x, HEADS));
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        const MultiHeadSelfAttention mha = {
            .num_heads = HEADS,
            .q_proj = {.weight = sample("mha.q", 0, 0.2, D_MODEL, D_MODEL).value, .dtype = dtypes[i]},
            .k_proj = {.weight = sample("mha.k", 0, 0.2, D_MODEL, D_MODEL).value},
            .v_proj = {.weight = sample("mha.v", 0, 0.2, D_MODEL, D_MODEL).value},
            .output_proj = {.weight = sample("mha.output", 0, 0.2, D_MODEL, D_MODEL).value}};
        MultiHeadSelfAttention as_float32 = mha, grad = {.num_heads = HEADS}, grad_float32 = grad;
        MultiHeadSelfAttentionSaved saved;
        const Tensor y = filled_like(NAN, x), attended = filled_like(NAN, x), none = {0};
        const bool bf16 = dtypes[i] == DTYPE_BF16;
        test_label("dtype %d", (int)dtypes[i]);
        assert_ok(mha_bind_saved(&saved, &memory, x, HEADS));
        assert_ok(mha_forward(y, &saved, x, &mha, NULL, (TokenTensor){0}, &scratch));
        assert_ok((bf16 ? scaled_dot_product_attention_bf16_forward : scaled_dot_product_attention_forward)(
            heads_of(attended), none, heads_of(saved.query), heads_of(saved.key), heads_of(saved.value),
            (AttentionMask){.kind = ATTEND_CAUSAL}));
        assert_allclose(saved.attended, attended, 0, 0);

        /* The gradient of k_proj is that of float32 attention, but for the rounding of bf16. */
        as_float32.q_proj.dtype = DTYPE_FLOAT32;
        grad.k_proj.weight = filled(0, D_MODEL, D_MODEL);
        grad_float32.k_proj.weight = filled(0, D_MODEL, D_MODEL);
        assert_ok(mha_backward(none, &grad, grad_y, &saved, x, &mha, NULL, (TokenTensor){0}, &scratch));
        assert_ok(mha_backward(none, &grad_float32, grad_y, &saved, x, &as_float32, NULL, (TokenTensor){0}, &scratch));
        const Tensor actual = grad.k_proj.weight, exact = grad_float32.k_proj.weight;
        ck_assert_int_eq(memcmp(actual.data, exact.data, tensor_count(exact) * sizeof(float)) != 0, bf16);
        assert_allclose(actual, exact, 0.05, 0.05);
    }
    arena_deinit(&memory);
    arena_deinit(&scratch);
}
END_TEST

/* ---- threads ---- */

START_TEST(test_bf16_attention_same_bytes_for_any_number_of_threads)
{
    static const int threads[] = {2, 3, 8};
    FOR_EACH_ISA (isa)
        for (int kind = ATTEND_ALL; kind <= ATTEND_CAUSAL; kind++) {
            const size_t seq = test_is_instrumented() ? 140 : 300;
            const AttentionCase problem = {.leading = {5},
                                           .queries = seq,
                                           .keys = seq - 5,
                                           .d_k = 16,
                                           .d_v = 16,
                                           .mask = {.kind = (AttentionKind)kind},
                                           .bf16 = true};
            AttentionRun one, many;
            parallel_set_threads(1);
            attention_run_init(&one, &problem);
            attention_run(&one);
            for (int i = 0; i < 3; i++) {
                parallel_set_threads(threads[i]);
                test_label("%d threads, mask %s, %s", threads[i], kind == ATTEND_ALL ? "all" : "causal", isa_name(isa));
                attention_run_init(&many, &problem);
                attention_run(&many);
                ck_assert_mem_eq(one.arena.base, many.arena.base, one.arena.used);
                attention_run_deinit(&many);
            }
            attention_run_deinit(&one);
        }
}
END_TEST

#define SDPA "scaled_dot_product_attention"

const TestCase attention_bf16_tests[] = {
    TEST(test_bf16_attention_agrees_with_rounded_operands, SDPA),
    TEST(test_bf16_attention_with_any_head_dimension, SDPA),
    TEST(test_bf16_attention_of_random_shapes, SDPA),
    TEST(test_bf16_attention_of_documents, SDPA),
    TEST(test_bf16_attention_of_very_negative_scores, SDPA),
    TEST(test_bf16_attention_rounds_probabilities_before_it_divides, SDPA),
    TEST(test_bf16_attention_hides_infinities_and_nan, SDPA),
    TEST(test_bf16_attention_shows_infinities_and_nan_to_those_that_see_them, SDPA),
    TEST(test_bf16_attention_gradients_are_near_central_differences, SDPA),
    TEST(test_bf16_attention_error_against_double_precision, SDPA),
    TEST(test_mha_attends_in_the_dtype_of_its_query, "multihead_self_attention"),
    TEST(test_bf16_attention_same_bytes_for_any_number_of_threads, SDPA),
    {0},
};
