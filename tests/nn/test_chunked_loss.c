/*
 * linear_cross_entropy() computes lm_head and loss in chunks. It must equal the two functions that it replaces, and the
 * losses of single rows or tokens must be those of the reference in double precision.
 */
#include "core/memory.h"
#include "core/parallel.h"
#include "nn/functional.h"
#include "nn/linear_cross_entropy.h"
#include "nn/transformer_lm.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/reference_layers.h"
#include "tests/support/sample.h"
#include "tests/support/small_model.h"

#include <math.h>
#include <string.h>

enum { D = 12, VOCAB = 33 };

typedef struct {
    Tensor x;
    TokenTensor targets;
    Linear linear;
} Problem;

static Problem problem(size_t rows)
{
    return (Problem){sample("lce.x", 0, 1, rows, D).value,
                     sample_ids("lce.targets", VOCAB, rows),
                     {.weight = sample("lce.weight", 0, 1, VOCAB, D).value}};
}

/* Computes all logits, their loss, and the gradients, without chunks. */
static float without_chunks(Tensor grad_x, Linear *grad, const Problem *p)
{
    const size_t rows = tensor_rows(p->x);
    const Tensor logits = filled(NAN, rows, VOCAB), log_sum_exp = filled(NAN, rows, 1);
    float loss;
    assert_ok(linear_forward(logits, p->x, &p->linear));
    assert_ok(cross_entropy_forward(&loss, log_sum_exp, logits, p->targets));
    assert_ok(cross_entropy_backward(logits, log_sum_exp, logits, p->targets));
    assert_ok(linear_backward(grad_x, grad, logits, p->x, &p->linear));
    return loss;
}

static Status in_chunks(float *loss, Tensor grad_x, Linear *grad, const Problem *p)
{
    Arena scratch;
    assert_ok(arena_init(&scratch, linear_cross_entropy_scratch(p->x, &p->linear)));
    const Status s = linear_cross_entropy(loss, grad_x, grad, p->x, p->targets, &p->linear, &scratch);
    ck_assert_uint_eq(scratch.used, 0);
    arena_deinit(&scratch);
    return s;
}

START_TEST(test_linear_cross_entropy_equals_linear_and_cross_entropy)
{
    const size_t sizes[] = {1, 7, 511, 512, 513, 1100};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const Problem p = problem(sizes[i]);
        test_label("%zu rows", sizes[i]);
        const Tensor grad_x = filled_like(NAN, p.x), expected_x = filled_like(NAN, p.x);
        Linear grad = {.weight = filled(0.25F, VOCAB, D)}, expected = {.weight = filled(0.25F, VOCAB, D)};
        float loss;
        const float expected_loss = without_chunks(expected_x, &expected, &p);
        assert_ok(in_chunks(&loss, grad_x, &grad, &p));
        ck_assert_float_eq_tol(loss, expected_loss, 2e-6F);
        assert_allclose(grad_x, expected_x, 1e-4, 1e-7);
        assert_allclose(grad.weight, expected.weight, 1e-5, 1e-6);
    }
}
END_TEST

START_TEST(test_cross_entropy_is_log_sum_exp_less_the_target)
{
    enum { ROWS = 70 };
    const Tensor logits = sample("lce.logits", 0, 3, ROWS, VOCAB).value, l = filled(NAN, ROWS, 1);
    const Tensor grad = filled(NAN, ROWS, VOCAB), softmax = filled(NAN, ROWS, VOCAB), same = filled(NAN, ROWS, VOCAB);
    const TokenTensor targets = sample_ids("lce.targets", VOCAB, ROWS);
    assert_ok(log_sum_exp_forward(l, logits));
    /* The gradient of the log-sum-exp is the softmax. */
    assert_ok(log_sum_exp_backward(softmax, filled(1, ROWS, 1), l, logits));
    assert_ok(softmax_forward(same, logits, -1));
    assert_allclose(softmax, same, 1e-5, 1e-6);
    for (size_t row = 0; row < ROWS; row++) {
        const size_t target = (size_t)tokens_at(targets, row);
        test_label("row %zu", row);
        const float expected = *tensor_row(l, row), logit = tensor_row(logits, row)[target];
        float log_sum_exp;
        const double loss =
            cross_entropy_row(tensor_row(grad, row), &log_sum_exp, tensor_row(logits, row), VOCAB, target, 0.5);
        ck_assert_float_eq_tol(log_sum_exp, expected, 1e-5F);
        ck_assert_double_eq_tol(loss, (double)expected - (double)logit, 1e-5);
        for (size_t i = 0; i < VOCAB; i++)
            tensor_row(softmax, row)[i] = 0.5F * (tensor_row(softmax, row)[i] - (i == target ? 1.0F : 0.0F));
    }
    test_label_end();
    assert_allclose(grad, softmax, 1e-5, 1e-6);
}
END_TEST

START_TEST(test_linear_cross_entropy_skips_what_is_not_wanted)
{
    const Problem p = problem(1100);
    const Tensor grad_x = filled_like(NAN, p.x), expected_x = filled_like(NAN, p.x), nothing = {0};
    Linear grad = {.weight = filled(0, VOCAB, D)}, expected = {.weight = filled(0, VOCAB, D)},
           frozen = {.weight = nothing};
    float loss;
    const float expected_loss = without_chunks(expected_x, &expected, &p);
    assert_ok(in_chunks(&loss, nothing, NULL, &p));
    ck_assert_float_eq_tol(loss, expected_loss, 2e-6F);
    assert_ok(in_chunks(&loss, grad_x, NULL, &p));
    assert_allclose(grad_x, expected_x, 1e-4, 1e-7);
    assert_ok(in_chunks(&loss, grad_x, &frozen, &p));
    assert_allclose(grad_x, expected_x, 1e-4, 1e-7);
    assert_ok(in_chunks(&loss, nothing, &grad, &p));
    assert_allclose(grad.weight, expected.weight, 1e-5, 1e-6);
}
END_TEST

START_TEST(test_linear_cross_entropy_of_huge_logits)
{
    Problem p = problem(5);
    p.linear.weight = sample("lce.weight", 0, 1e4, VOCAB, D).value;
    const Tensor grad_x = filled_like(NAN, p.x), expected_x = filled_like(NAN, p.x);
    Linear grad = {.weight = filled(0, VOCAB, D)}, expected = {.weight = filled(0, VOCAB, D)};
    float loss;
    const float expected_loss = without_chunks(expected_x, &expected, &p);
    assert_ok(in_chunks(&loss, grad_x, &grad, &p));
    ck_assert(isfinite(loss) && loss > 1000);
    ck_assert_float_eq_tol(loss, expected_loss, 1e-6F * expected_loss);
    assert_allclose(grad_x, expected_x, 1e-4, 1e-2);
}
END_TEST

typedef struct {
    Problem problem;
    Tensor grad_x;
    Linear grad;
} Run;

static Status run(void *context, Arena *scratch)
{
    Run *r = context;
    float loss;
    return linear_cross_entropy(&loss, r->grad_x, &r->grad, r->problem.x, r->problem.targets, &r->problem.linear,
                                scratch);
}

START_TEST(test_linear_cross_entropy_takes_exactly_its_scratch)
{
    const size_t sizes[] = {3, 1800};
    for (size_t i = 0; i < 2; i++) {
        Run r = {problem(sizes[i]), filled(NAN, sizes[i], D), {.weight = filled(0, VOCAB, D)}};
        test_label("%zu rows", sizes[i]);
        assert_scratch(linear_cross_entropy_scratch(r.problem.x, &r.problem.linear), run, &r);
    }
}
END_TEST

static Status run_afresh(void *context)
{
    Run *r = context;
    Arena scratch = arena_of(linear_cross_entropy_scratch(r->problem.x, &r->problem.linear));
    parallel_release();
    const Status s = run(r, &scratch);
    ck_assert_uint_eq(scratch.used, 0);
    parallel_release();
    arena_deinit(&scratch);
    return s;
}

START_TEST(test_linear_cross_entropy_without_a_workspace_says_so)
{
    Run r = {problem(3), filled(NAN, 3, D), {.weight = filled(0, VOCAB, D)}};
    memory_fail_at(2);
    const Status s = run_afresh(&r);
    ck_assert_int_eq(s, CS336_ENOMEM);
    ck_assert_int_eq(strncmp(status_message(), "parallel_reserve: no memory for ", 32), 0);
    assert_allclose(r.grad.weight, filled(0, VOCAB, D), 0, 0);
}
END_TEST

START_TEST(test_linear_cross_entropy_names_what_does_not_fit)
{
    const Problem p = problem(6);
    const Tensor good_x = p.x, nothing = {0}, wide = filled(0, 6, D + 1);
    int32_t targets[6] = {0, 1, 2, 3, -4, 5};
    Arena scratch;
    float loss = -1;
    assert_ok(arena_init(&scratch, linear_cross_entropy_scratch(p.x, &p.linear)));
    assert_fails(linear_cross_entropy(&loss, nothing, NULL, wide, p.targets, &p.linear, &scratch), CS336_ESHAPE,
                 "linear_cross_entropy: x is (6, 13), weight is (33, 12)");
    assert_fails(
        linear_cross_entropy(&loss, nothing, NULL, tensor(good_x.data, 0, D), tokens(targets, 0), &p.linear, &scratch),
        CS336_ESHAPE, "linear_cross_entropy: x is (0, 12), weight is (33, 12)");
    assert_fails(linear_cross_entropy(&loss, nothing, NULL, good_x, tokens(targets, 2, 3), &p.linear, &scratch),
                 CS336_ESHAPE, "linear_cross_entropy: targets are (2, 3), x is (6, 12)");
    assert_fails(linear_cross_entropy(&loss, filled(0, 5, D), NULL, good_x, p.targets, &p.linear, &scratch),
                 CS336_ESHAPE, "linear_cross_entropy: grad_x is (5, 12), x is (6, 12)");
    assert_fails(
        linear_cross_entropy(&loss, nothing, NULL, tensor_slice(wide, 1, 0, D), p.targets, &p.linear, &scratch),
        CS336_ESHAPE, "linear_cross_entropy: x and grad_x must be contiguous");
    assert_fails(linear_cross_entropy(&loss, nothing, NULL, good_x, tokens(targets, 6), &p.linear, &scratch),
                 CS336_ERANGE, "linear_cross_entropy: target -4 at (4) is not in [0, 33)");
    ck_assert_float_eq(loss, -1);
    ck_assert_uint_eq(scratch.used, 0);
    arena_deinit(&scratch);
}
END_TEST

/* ---- the losses of single rows and tokens ---- */

START_TEST(test_linear_cross_entropy_rows_are_those_of_the_reference)
{
    const size_t sizes[] = {1, 7, 511, 512, 513, 1100};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const size_t rows = sizes[i];
        const Sample x = sample("lce.x", 0, 1, rows, D), weight = sample("lce.weight", 0, 1, VOCAB, D);
        const Linear linear = {.weight = weight.value};
        const TokenTensor targets = sample_ids("lce.targets", VOCAB, rows);
        const Tensor losses = filled(NAN, rows, 1);
        double *z = sample_doubles(rows * VOCAB), *expected = sample_doubles(rows);
        Arena scratch = arena_of(linear_cross_entropy_scratch(x.value, &linear));
        float loss;
        test_label("%zu rows", rows);
        assert_ok(linear_cross_entropy_rows(losses, x.value, targets, &linear, &scratch));
        assert_ok(linear_cross_entropy(&loss, (Tensor){0}, NULL, x.value, targets, &linear, &scratch));
        ck_assert_uint_eq(scratch.used, 0);
        reference_linear(z, x.wide, weight.wide, rows, D, VOCAB);
        for (size_t row = 0; row < rows; row++)
            expected[row] = reference_cross_entropy(z + row * VOCAB, targets.data + row, 1, VOCAB);
        assert_allclose_wide("losses", losses, expected, 1e-6, 1e-5);
        ck_assert_double_eq_tol((double)loss, reference_cross_entropy(z, targets.data, rows, VOCAB), 1e-6);
        arena_deinit(&scratch);
    }
}
END_TEST

static Status run_rows(void *context, Arena *scratch)
{
    const Problem *p = context;
    return linear_cross_entropy_rows(filled(NAN, tensor_rows(p->x), 1), p->x, p->targets, &p->linear, scratch);
}

START_TEST(test_linear_cross_entropy_rows_names_what_does_not_fit)
{
    Problem p = problem(6);
    int32_t targets[6] = {0, 1, 2, 3, VOCAB, 5};
    const Tensor losses = filled(NAN, 6, 1);
    Arena scratch = arena_of(linear_cross_entropy_scratch(p.x, &p.linear));
    assert_scratch(linear_cross_entropy_scratch(p.x, &p.linear), run_rows, &p);
    assert_fails(linear_cross_entropy_rows(filled(NAN, 6), p.x, p.targets, &p.linear, &scratch), CS336_ESHAPE,
                 "linear_cross_entropy_rows: losses is (6), expected (6, 1)");
    assert_fails(linear_cross_entropy_rows(losses, p.x, tokens(targets, 3, 2), &p.linear, &scratch), CS336_ESHAPE,
                 "linear_cross_entropy_rows: targets are (3, 2), x is (6, 12)");
    assert_fails(linear_cross_entropy_rows(losses, p.x, tokens(targets, 6), &p.linear, &scratch), CS336_ERANGE,
                 "linear_cross_entropy_rows: target 33 at (4) is not in [0, 33)");
    ck_assert(isnan(losses.data[0]));
    ck_assert_uint_eq(scratch.used, 0);
    arena_deinit(&scratch);
}
END_TEST

/* The last `counted` tokens of three sequences of 9, for each number of them. */
START_TEST(test_lm_token_losses_are_those_of_the_reference)
{
    enum { BATCH = 3, SEQ = 9, IDS = 40 };
    const TransformerLMConfig config = small_config();
    const TokenTensor ids = sample_ids("lm.tokens", IDS, BATCH, SEQ);
    SmallModel m;
    small_model_init(&m, &config, BATCH, SEQ);
    const ReferenceWeights weights = small_model_widen(&m);
    double *logits = sample_doubles((size_t)BATCH * SEQ * IDS);
    reference_transformer_lm(logits, ids.data, &weights, BATCH, SEQ, &config);
    for (size_t counted = 1; counted <= SEQ; counted++) {
        const TokenTensor targets = sample_ids("lm.targets", IDS, BATCH, counted);
        const Tensor losses = filled(NAN, BATCH, counted, 1);
        double *expected = sample_doubles(BATCH * counted);
        test_label("the last %zu", counted);
        for (size_t i = 0; i < BATCH * counted; i++) {
            const size_t row = i / counted * SEQ + SEQ - counted + i % counted;
            expected[i] = reference_cross_entropy(logits + row * IDS, targets.data + i, 1, IDS);
        }
        Arena scratch = arena_of(transformer_lm_loss_scratch(&m.value, BATCH, SEQ, false));
        assert_ok(transformer_lm_token_losses(losses, &m.value, ids, targets, &scratch));
        assert_allclose_wide("losses", losses, expected, 1e-5, 1e-5);
        ck_assert_uint_eq(scratch.used, 0);
        arena_deinit(&scratch);
    }
    small_model_deinit(&m);
}
END_TEST

START_TEST(test_lm_token_losses_names_what_does_not_fit)
{
    const TransformerLMConfig config = small_config();
    int32_t numbers[40] = {0};
    const TokenTensor ids = tokens(numbers, 2, 4);
    const Tensor losses = filled(NAN, 2, 4, 1);
    SmallModel m;
    small_model_init(&m, &config, 2, 4);
    assert_fails(transformer_lm_token_losses(losses, &m.value, tokens(numbers, 2, 17), ids, &m.scratch), CS336_ESHAPE,
                 "transformer_lm_token_losses: a sequence of 17 ids, context_length is 16");
    assert_fails(transformer_lm_token_losses(losses, &m.value, ids, tokens(numbers, 2, 5), &m.scratch), CS336_ESHAPE,
                 "transformer_lm_token_losses: targets are (2, 5), ids are (2, 4)");
    assert_fails(transformer_lm_token_losses(losses, &m.value, ids, tokens(numbers, 8), &m.scratch), CS336_ESHAPE,
                 "transformer_lm_token_losses: targets are (8), ids are (2, 4)");
    assert_fails(transformer_lm_token_losses(losses, &m.value, ids, tokens(numbers, 3, 4), &m.scratch), CS336_ESHAPE,
                 "linear_cross_entropy_rows: targets are (3, 4), x is (2, 4, 16)");
    assert_fails(transformer_lm_token_losses(losses, &m.value, ids, tokens(numbers, 2, 3), &m.scratch), CS336_ESHAPE,
                 "linear_cross_entropy_rows: losses is (2, 4, 1), expected (2, 3, 1)");
    numbers[30] = 40;
    assert_fails(transformer_lm_token_losses(losses, &m.value, ids, tokens(numbers + 28, 2, 4), &m.scratch),
                 CS336_ERANGE, "linear_cross_entropy_rows: target 40 at (0, 2) is not in [0, 40)");
    ck_assert_uint_eq(m.scratch.used, 0);
    small_model_deinit(&m);
}
END_TEST

const TestCase chunked_loss_tests[] = {
    TEST(test_linear_cross_entropy_equals_linear_and_cross_entropy, "cross_entropy"),
    TEST(test_cross_entropy_is_log_sum_exp_less_the_target, "cross_entropy"),
    TEST(test_linear_cross_entropy_skips_what_is_not_wanted, "cross_entropy"),
    TEST(test_linear_cross_entropy_of_huge_logits, "cross_entropy"),
    TEST(test_linear_cross_entropy_takes_exactly_its_scratch, "cross_entropy"),
    TEST(test_linear_cross_entropy_without_a_workspace_says_so, "cross_entropy"),
    TEST(test_linear_cross_entropy_names_what_does_not_fit, "cross_entropy"),
    TEST(test_linear_cross_entropy_rows_are_those_of_the_reference, "cross_entropy"),
    TEST(test_linear_cross_entropy_rows_names_what_does_not_fit, "cross_entropy"),
    TEST(test_lm_token_losses_are_those_of_the_reference, "cross_entropy"),
    TEST(test_lm_token_losses_names_what_does_not_fit, "cross_entropy"),
    {0},
};
