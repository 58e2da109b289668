#include "core/memory.h"
#include "core/parallel.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/attention_run.h"
#include "tests/support/failures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double RTOL = 1e-4, ATOL = 1e-5;

/* ---- hidden keys have no influence ---- */

static void assert_all_zero(const char *what, Tensor t)
{
    for (size_t row = 0; row < tensor_rows(t); row++)
        for (size_t i = 0; i < tensor_extent(t, -1); i++)
            ck_assert_msg(tensor_row(t, row)[i] == 0, "%s: row %zu, column %zu is %g", what, row, i,
                          (double)tensor_row(t, row)[i]);
}

/* Checks the probabilities. The values are the identity matrix, so the output is the matrix of probabilities. */
static void check_probabilities(AttentionMask mask_in_use, const bool *visible, size_t n)
{
    AttentionRun run;
    attention_run_init(&run, &(AttentionCase){.queries = n, .keys = n, .d_k = 8, .d_v = n, .mask = mask_in_use});
    tensor_fill(run.value, 0);
    for (size_t j = 0; j < n; j++)
        tensor_row(run.value, j)[j] = 1;
    attention_run(&run);
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t j = 0; j < n; j++) {
            const float p = tensor_row(run.output, i)[j];
            ck_assert_msg(visible[i * n + j] ? p > 0 : p == 0, "query %zu, key %zu: probability %g", i, j, (double)p);
            sum += (double)p;
        }
        ck_assert_double_eq_tol(sum, 1, 1e-5);
    }
    attention_run_deinit(&run);
}

START_TEST(test_attention_probabilities_are_zero_where_masked)
{
    enum { MANY = 100 };
    bool *visible = attention_random_mask(MANY * MANY, "mask", 50);
    for (size_t i = 0; i < MANY; i++)
        visible[i * MANY] = true;
    check_probabilities((AttentionMask){ATTEND_WHERE, mask(visible, MANY, MANY)}, visible, MANY);
    for (size_t i = 0; i < MANY * MANY; i++)
        visible[i] = i % MANY <= i / MANY;
    check_probabilities((AttentionMask){.kind = ATTEND_CAUSAL}, visible, MANY);
    free(visible);
}
END_TEST

START_TEST(test_attention_queries_that_see_no_key)
{
    enum { Q = 140, K = 70, D = 8 };
    bool *visible = attention_random_mask(Q * K, "mask", 50);
    memset(visible, 0, (size_t)(Q - K) * K * sizeof *visible);
    const AttentionMask masks[] = {{.kind = ATTEND_CAUSAL}, {ATTEND_WHERE, mask(visible, Q, K)}};
    for (int i = 0; i < 2; i++) {
        AttentionRun run;
        test_label("mask %s", i == 0 ? "causal" : "where");
        attention_run_init(&run, &(AttentionCase){.queries = Q, .keys = K, .d_k = D, .d_v = D, .mask = masks[i]});
        attention_run(&run);
        attention_run_check(&run, RTOL, ATOL);
        assert_all_zero("output", tensor_slice(run.output, 0, 0, Q - K));
        assert_all_zero("grad_query", tensor_slice(run.grad_query, 0, 0, Q - K));
        for (size_t row = 0; row < Q - K; row++)
            ck_assert(*tensor_row(run.log_sum_exp, row) == -INFINITY);
        attention_run_deinit(&run);
    }
    free(visible);
}
END_TEST

START_TEST(test_attention_where_no_query_sees_a_key)
{
    bool *visible = attention_random_mask(9 * 70, "mask", 0);
    AttentionRun run;
    attention_run_init(&run, &(AttentionCase){.leading = {2},
                                              .queries = 9,
                                              .keys = 70,
                                              .d_k = 8,
                                              .d_v = 8,
                                              .mask = {ATTEND_WHERE, mask(visible, 9, 70)}});
    attention_run(&run);
    assert_all_zero("output", run.output);
    assert_all_zero("grad_query", run.grad_query);
    assert_all_zero("grad_key", run.grad_key);
    assert_all_zero("grad_value", run.grad_value);
    attention_run_deinit(&run);
    free(visible);
}
END_TEST

START_TEST(test_attention_without_keys)
{
    float query[3 * 4] = {0}, nothing = 0, l[3] = {1, 2, 3};
    float output[3 * 2] = {1, 2, 3, 4, 5, 6};
    const Tensor none = tensor(&nothing, 0, 4), no_values = tensor(&nothing, 0, 2);
    assert_ok(scaled_dot_product_attention_forward(tensor(output, 3, 2), tensor(l, 3, 1), tensor(query, 3, 4), none,
                                                   no_values, (AttentionMask){.kind = ATTEND_ALL}));
    assert_all_zero("output", tensor(output, 3, 2));
    ck_assert(l[0] == -INFINITY && l[1] == -INFINITY && l[2] == -INFINITY);
}
END_TEST

static void check_poison(const AttentionCase *problem, float poison, size_t hidden, size_t blind)
{
    AttentionRun run;
    attention_run_init(&run, problem);
    test_label("%zu queries, %g in what is hidden", problem->queries, (double)poison);
    tensor_fill(tensor_slice(run.value, 0, hidden, 1), poison);
    tensor_fill(tensor_slice(run.key, 0, hidden, 1), poison);
    tensor_fill(tensor_slice(run.value, 0, hidden + 100, 1), poison);
    tensor_fill(tensor_slice(run.query, 0, blind, 1), poison);
    tensor_fill(tensor_slice(run.grad_output, 0, blind, 1), poison);
    attention_run(&run);
    attention_run_check(&run, RTOL, ATOL);
    attention_run_deinit(&run);
}

/* Infinities and NaN in hidden keys and values, and in a query that sees no key, reach no other result. */
START_TEST(test_attention_hides_infinities_and_nan)
{
    enum { Q = 70, K = 140, D = 20, HIDDEN = 5 };
    static const float poison[] = {INFINITY, -INFINITY, NAN, 1e30F};
    static const size_t counts[] = {Q, 3};
    bool *visible = attention_random_mask(Q * K, "mask", 50);
    for (size_t i = 0; i < Q; i++)
        visible[i * K + HIDDEN] = visible[i * K + HIDDEN + 100] = false;
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        const size_t queries = counts[c], blind = queries - 1;
        memset(visible + blind * K, 0, K * sizeof *visible);
        const AttentionCase problem = {
            .queries = queries, .keys = K, .d_k = D, .d_v = D, .mask = {ATTEND_WHERE, mask(visible, queries, K)}};
        for (size_t i = 0; i < sizeof poison / sizeof *poison; i++)
            check_poison(&problem, poison[i], HIDDEN, blind);
    }
    free(visible);
}
END_TEST

START_TEST(test_attention_causal_rows_do_not_see_later_infinities)
{
    enum { SEQ = 150, D = 20, LATER = 77 };
    const AttentionCase problem = {.queries = SEQ, .keys = SEQ, .d_k = D, .d_v = D, .mask = {.kind = ATTEND_CAUSAL}};
    AttentionRun clean, run;
    attention_run_init(&clean, &problem);
    attention_run(&clean);
    attention_run_init(&run, &problem);
    tensor_fill(tensor_slice(run.value, 0, LATER, 1), INFINITY);
    tensor_fill(tensor_slice(run.key, 0, LATER + 1, 1), NAN);
    attention_run(&run);
    assert_allclose(tensor_slice(run.output, 0, 0, LATER), tensor_slice(clean.output, 0, 0, LATER), 1e-5, 1e-6);
    assert_allclose(tensor_slice(run.grad_query, 0, 0, LATER), tensor_slice(clean.grad_query, 0, 0, LATER), 1e-5, 1e-6);
    ck_assert_msg(isinf(*tensor_row(run.output, LATER)), "the infinite value must reach the query that sees it");
    ck_assert_msg(isnan(*tensor_row(run.output, LATER + 1)), "the NaN must reach the query that sees it");
    attention_run_deinit(&run);
    attention_run_deinit(&clean);
}
END_TEST

static void check_nan_query(size_t queries, size_t bad)
{
    enum { SEQ = 70, D = 8 };
    const AttentionCase problem = {.leading = {2}, .queries = queries, .keys = SEQ, .d_k = D, .d_v = D};
    AttentionRun clean, run;
    attention_run_init(&clean, &problem);
    attention_run(&clean);
    attention_run_init(&run, &problem);
    tensor_row(run.query, bad)[3] = NAN;
    attention_run(&run);
    for (size_t row = 0; row < 2 * queries; row++) {
        test_label("%zu queries, row %zu", queries, row);
        if (row != bad) {
            ck_assert_mem_eq(tensor_row(run.output, row), tensor_row(clean.output, row), D * sizeof(float));
            continue;
        }
        for (size_t i = 0; i < D; i++)
            ck_assert(isnan(tensor_row(run.output, row)[i]));
        ck_assert(isnan(*tensor_row(run.log_sum_exp, row)));
        ck_assert(isnan(*tensor_row(run.grad_query, row)));
    }
    attention_run_deinit(&run);
    attention_run_deinit(&clean);
}

START_TEST(test_attention_keeps_nan_in_its_query)
{
    check_nan_query(70, 41);
    check_nan_query(2, 1);
}
END_TEST

START_TEST(test_attention_of_huge_scores)
{
    enum { SEQ = 70, D = 16 };
    for (int kind = ATTEND_ALL; kind <= ATTEND_CAUSAL; kind++) {
        AttentionRun run;
        attention_run_init(
            &run,
            &(AttentionCase){
                .queries = SEQ, .keys = SEQ, .d_k = D, .d_v = D, .sigma = 60, .mask = {.kind = (AttentionKind)kind}});
        test_label("mask %s", kind == ATTEND_ALL ? "all" : "causal");
        /* Integers: scores of 1e4 and more are then exact in float32, too. */
        for (size_t i = 0; i < SEQ * D; i++) {
            run.query.data[i] = rintf(run.query.data[i]);
            run.key.data[i] = rintf(run.key.data[i]);
        }
        attention_run(&run);
        attention_run_check(&run, 1e-3, 1e-4);
        attention_run_deinit(&run);
    }
}
END_TEST

/* ---- resources ---- */

START_TEST(test_attention_same_bytes_for_any_number_of_threads)
{
    static const int threads[] = {2, 3, 8};
    for (int kind = ATTEND_ALL; kind <= ATTEND_CAUSAL; kind++) {
        const size_t seq = test_is_instrumented() ? 140 : 300;
        const AttentionCase problem = {.leading = {5},
                                       .queries = seq,
                                       .keys = seq - 5,
                                       .d_k = 16,
                                       .d_v = 16,
                                       .mask = {.kind = (AttentionKind)kind}};
        AttentionRun one, many;
        parallel_set_threads(1);
        attention_run_init(&one, &problem);
        attention_run(&one);
        for (int i = 0; i < 3; i++) {
            parallel_set_threads(threads[i]);
            test_label("%d threads, mask %s", threads[i], kind == ATTEND_ALL ? "all" : "causal");
            attention_run_init(&many, &problem);
            attention_run(&many);
            ck_assert_uint_eq(one.arena.used, many.arena.used);
            ck_assert_mem_eq(one.arena.base, many.arena.base, one.arena.used);
            attention_run_deinit(&many);
        }
        attention_run_deinit(&one);
    }
}
END_TEST

START_TEST(test_attention_memory_does_not_hold_the_scores)
{
    enum { MOST = 1 << 20 }; /* bytes: a quarter of the score matrix in the smaller case */
    const size_t seq = test_is_instrumented() ? 1024 : 8192, d = test_is_instrumented() ? 8 : 64;
    AttentionRun run;
    parallel_set_threads(2);
    attention_run_init(
        &run, &(AttentionCase){.queries = seq, .keys = seq, .d_k = d, .d_v = d, .mask = {.kind = ATTEND_CAUSAL}});
    memory_reset_peak();
    const size_t before = memory_in_use();
    attention_run(&run);
    ck_assert_uint_lt(memory_peak() - before, MOST);
    ck_assert_uint_eq(scaled_dot_product_attention_scratch(run.query), seq * sizeof(float));
    attention_run_deinit(&run);
}
END_TEST

START_TEST(test_attention_skips_gradients_without_data)
{
    const AttentionCase problem = {.queries = 70, .keys = 130, .d_k = 8, .d_v = 8, .mask = {.kind = ATTEND_CAUSAL}};
    AttentionRun all, run;
    attention_run_init(&all, &problem);
    attention_run(&all);
    for (int wanted = 0; wanted < 3; wanted++) {
        attention_run_init(&run, &problem);
        static const char *const names[] = {"grad_query", "grad_key", "grad_value"};
        Tensor *grads[] = {&run.grad_query, &run.grad_key, &run.grad_value};
        const Tensor *expected[] = {&all.grad_query, &all.grad_key, &all.grad_value};
        for (int i = 0; i < 3; i++)
            if (i != wanted)
                grads[i]->data = NULL;
        attention_run(&run);
        assert_allclose_tensor(names[wanted], *grads[wanted], *expected[wanted], 0, 0);
        attention_run_deinit(&run);
    }
    attention_run_deinit(&all);
}
END_TEST

static Status both_passes(void *context)
{
    AttentionRun *run = context;
    parallel_release();
    Status s = scaled_dot_product_attention_forward(run->output, run->log_sum_exp, run->query, run->key, run->value,
                                                    run->mask);
    parallel_release();
    if (!s)
        s = scaled_dot_product_attention_backward(run->grad_query, run->grad_key, run->grad_value, run->grad_output,
                                                  run->output, run->log_sum_exp, run->query, run->key, run->value,
                                                  run->mask, &run->scratch);
    parallel_release();
    return s;
}

START_TEST(test_attention_without_memory)
{
    AttentionRun run;
    attention_run_init(&run, &(AttentionCase){.queries = 9, .keys = 9, .d_k = 8, .d_v = 8});
    parallel_release();
    assert_allocation_failures_say(both_passes, &run, "parallel_reserve: no memory for *[0-9] bytes");
    run.scratch.capacity = 0;
    assert_fails(both_passes(&run), CS336_ENOMEM, "arena_take: 36 bytes asked for, 0 of 0 left");
    attention_run_deinit(&run);
}
END_TEST

/* ---- what is refused ---- */

static void refused(const AttentionRun *run, const char *complaint)
{
    char message[256];
    AttentionRun r = *run;
    snprintf(message, sizeof message, "scaled_dot_product_attention_forward: %s", complaint);
    assert_fails(scaled_dot_product_attention_forward(r.output, r.log_sum_exp, r.query, r.key, r.value, r.mask),
                 CS336_ESHAPE, message);
    snprintf(message, sizeof message, "scaled_dot_product_attention_backward: %s", complaint);
    assert_fails(scaled_dot_product_attention_backward(r.grad_query, r.grad_key, r.grad_value, r.grad_output, r.output,
                                                       r.log_sum_exp, r.query, r.key, r.value, r.mask, &r.scratch),
                 CS336_ESHAPE, message);
}

static void refused_backward(const AttentionRun *run, const char *complaint)
{
    char message[256];
    AttentionRun r = *run;
    snprintf(message, sizeof message, "scaled_dot_product_attention_backward: %s", complaint);
    assert_fails(scaled_dot_product_attention_backward(r.grad_query, r.grad_key, r.grad_value, r.grad_output, r.output,
                                                       r.log_sum_exp, r.query, r.key, r.value, r.mask, &r.scratch),
                 CS336_ESHAPE, message);
}

/* Returns a view whose rows are not contiguous. */
static Tensor sideways(Tensor t)
{
    t.stride[t.rank - 1] = 2;
    return t;
}

static Tensor repeated(Tensor t)
{
    t.stride[0] = 0;
    return t;
}

static Tensor resized(Tensor t, int dimension, size_t extent)
{
    t.shape[dimension] = extent;
    return t;
}

START_TEST(test_attention_refuses)
{
    AttentionRun good, bad;
    bool visible[12] = {true};
    attention_run_init(&good, &(AttentionCase){.leading = {2}, .queries = 4, .keys = 6, .d_k = 8, .d_v = 5});
#define REFUSED(check, field, value, complaint) \
    do {                                        \
        bad = good;                             \
        bad.field = (value);                    \
        check(&bad, complaint);                 \
    } while (0)
    REFUSED(refused, query, tensor(good.query.data, 8), "query is (8), expected (..., q, d_k)");
    REFUSED(refused, key, resized(good.key, 0, 3), "key is (3, 6, 8), query is (2, 4, 8)");
    REFUSED(refused, key, resized(good.key, 2, 7), "key has d_k 7, query has d_k 8");
    REFUSED(refused, value, resized(good.value, 1, 5), "value is (2, 5, 5), key is (2, 6, 8)");
    REFUSED(refused, query, sideways(good.query), "rows of query are not contiguous");
    REFUSED(refused, key, sideways(good.key), "rows of key are not contiguous");
    REFUSED(refused, value, sideways(good.value), "rows of value are not contiguous");
    REFUSED(refused, output, resized(good.output, 2, 4), "output is (2, 4, 4), expected (2, 4, 5)");
    REFUSED(refused, output, sideways(good.output), "rows of output are not contiguous");
    REFUSED(refused, output, repeated(good.output), "output repeats dimension 0, and is written");
    REFUSED(refused, log_sum_exp, resized(good.log_sum_exp, 1, 3), "log_sum_exp is (2, 3, 1), expected (2, 4, 1)");
    REFUSED(refused, mask, ((AttentionMask){.kind = ATTEND_WHERE}), "ATTEND_WHERE needs a mask");
    REFUSED(refused, mask, ((AttentionMask){ATTEND_WHERE, mask(visible, 2, 6)}),
            "mask is (2, 6), scores are (2, 4, 6)");

    REFUSED(refused_backward, log_sum_exp.data, NULL, "log_sum_exp is missing: the forward pass must have kept it");
    REFUSED(refused_backward, grad_output, resized(good.grad_output, 1, 3),
            "grad_output is (2, 3, 5), expected (2, 4, 5)");
    REFUSED(refused_backward, grad_output, sideways(good.grad_output), "rows of grad_output are not contiguous");
    REFUSED(refused_backward, grad_query, good.grad_key, "grad_query is (2, 6, 8), expected (2, 4, 8)");
    REFUSED(refused_backward, grad_key, good.grad_query, "grad_key is (2, 4, 8), expected (2, 6, 8)");
    REFUSED(refused_backward, grad_value, good.grad_key, "grad_value is (2, 6, 8), expected (2, 6, 5)");
    REFUSED(refused_backward, grad_query, sideways(good.grad_query), "rows of grad_query are not contiguous");
    REFUSED(refused_backward, grad_key, repeated(good.grad_key), "grad_key repeats dimension 0, and is written");
    REFUSED(refused_backward, grad_value, sideways(good.grad_value), "rows of grad_value are not contiguous");
#undef REFUSED
    attention_run_deinit(&good);
}
END_TEST

#define SDPA "scaled_dot_product_attention"

const TestCase attention_edges_tests[] = {
    TEST(test_attention_probabilities_are_zero_where_masked, SDPA),
    TEST(test_attention_queries_that_see_no_key, SDPA),
    TEST(test_attention_where_no_query_sees_a_key, SDPA),
    TEST(test_attention_without_keys, SDPA),
    TEST(test_attention_hides_infinities_and_nan, SDPA),
    TEST(test_attention_causal_rows_do_not_see_later_infinities, SDPA),
    TEST(test_attention_keeps_nan_in_its_query, SDPA),
    TEST(test_attention_of_huge_scores, SDPA),
    TEST(test_attention_same_bytes_for_any_number_of_threads, SDPA),
    TEST(test_attention_memory_does_not_hold_the_scores, SDPA),
    TEST(test_attention_skips_gradients_without_data, SDPA),
    TEST(test_attention_without_memory, SDPA),
    TEST(test_attention_refuses, SDPA),
    {0},
};
