#include "nn/functional.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/fixture.h"
#include "tests/support/hash_weights.h"

#include <math.h>
#include <stdio.h>

enum { SEED = 7, A = 3, B = 5, C = 7, N = A * B * C, VOCAB = 50, ROWS = 6 };

static const double RTOL = 1e-4, ATOL = 1e-5;

/* ---- log-sum-exp ---- */

START_TEST(test_log_sum_exp)
{
    Fixture fixture;
    fixture_open(&fixture, "functional");
    float x[N], grad_l[A * B], l[A * B], grad_x[N];
    hash_normal(x, N, "x", SEED, 0, 2);
    hash_normal(grad_l, A * B, "grad_y", SEED, 0, 1);
    const Tensor tx = tensor(x, A, B, C), tl = tensor(l, A, B, 1);
    assert_ok(log_sum_exp_forward(tl, tx));
    assert_allclose(tl, fixture_tensor(&fixture, "log_sum_exp.y"), 1e-6, 1e-6);
    assert_ok(log_sum_exp_backward(tensor(grad_x, A, B, C), tensor(grad_l, A, B, 1), tl, tx));
    assert_allclose(tensor(grad_x, A, B, C), fixture_tensor(&fixture, "log_sum_exp.grad_x"), RTOL, ATOL);
    assert_ok(log_sum_exp_backward(tx, tensor(grad_l, A, B, 1), tl, tx));
    ck_assert_mem_eq(x, grad_x, sizeof x);
    fixture_close(&fixture);
}
END_TEST

START_TEST(test_log_sum_exp_of_infinities)
{
    float x[] = {-INFINITY, -INFINITY, INFINITY, -INFINITY, NAN, -INFINITY, 1e4F, 1e4F}, l[4];
    assert_ok(log_sum_exp_forward(tensor(l, 4, 1), tensor(x, 4, 2)));
    ck_assert_msg(l[0] == -INFINITY, "the sum of no exponential is 0");
    ck_assert_msg(l[1] == INFINITY, "an infinite number is its own log-sum-exp");
    ck_assert_msg(isnan(l[2]), "NaN must come through");
    ck_assert_float_eq_tol(l[3], 1e4F + 0.6931472F, 1e-2F);
}
END_TEST

/* Exponentials of these numbers are infinite, or 0. */
START_TEST(test_log_sum_exp_of_huge_numbers)
{
    float x[] = {1e4F, 1e4F, -1e4F, -1e4F}, l[2], grad_l[] = {2, -4}, grad_x[4];
    const float log_2 = 0.6931472F, expected_l[] = {1e4F + log_2, -1e4F + log_2}, expected_grad[] = {1, 1, -2, -2};
    assert_ok(log_sum_exp_forward(tensor(l, 2, 1), tensor(x, 2, 2)));
    assert_allclose_array("l", l, expected_l, 2, 1e-6, 0);
    assert_ok(log_sum_exp_backward(tensor(grad_x, 2, 2), tensor(grad_l, 2, 1), tensor(l, 2, 1), tensor(x, 2, 2)));
    /* float32 numbers around 1e4 are 1e-3 apart, and so is the exponent x - l */
    assert_allclose_array("grad_x", grad_x, expected_grad, 4, 1e-3, 0);
}
END_TEST

/* ---- cross-entropy ---- */

static void check_cross_entropy(float factor, const char *name)
{
    Fixture fixture;
    fixture_open(&fixture, "functional");
    float logits[ROWS * VOCAB], grad[ROWS * VOCAB], l[ROWS], loss, loss_alone;
    int32_t ids[ROWS];
    hash_normal(logits, ROWS * VOCAB, "logits", SEED, 0, 3);
    hash_integers(ids, ROWS, "targets", SEED, VOCAB);
    for (int i = 0; i < ROWS * VOCAB; i++)
        logits[i] *= factor;
    const Tensor x = tensor(logits, 2, 3, VOCAB), tl = tensor(l, 2, 3, 1);
    const TokenTensor targets = tokens(ids, 2, 3);
    assert_ok(cross_entropy_forward(&loss, tl, x, targets));
    assert_ok(cross_entropy_forward(&loss_alone, (Tensor){0}, x, targets));
    ck_assert_mem_eq(&loss, &loss_alone, sizeof loss);
    char key[64];
    snprintf(key, sizeof key, "%s.loss", name);
    assert_allclose_array("loss", &loss, fixture_tensor(&fixture, key).data, 1, 1e-6, 1e-6);
    snprintf(key, sizeof key, "%s.grad_logits", name);
    assert_ok(cross_entropy_backward(tensor(grad, 2, 3, VOCAB), tl, x, targets));
    assert_allclose(tensor(grad, 2, 3, VOCAB), fixture_tensor(&fixture, key), RTOL, ATOL);
    assert_ok(cross_entropy_backward(x, tl, x, targets));
    ck_assert_mem_eq(logits, grad, sizeof grad);
    fixture_close(&fixture);
}

START_TEST(test_cross_entropy_matches_pytorch)
{
    check_cross_entropy(1, "cross_entropy.1");
}
END_TEST

START_TEST(test_cross_entropy_of_huge_logits)
{
    check_cross_entropy(1000, "cross_entropy.1000");
}
END_TEST

START_TEST(test_cross_entropy_names_a_target_outside_the_vocabulary)
{
    float logits[ROWS * VOCAB] = {0}, loss, l[ROWS] = {0};
    int32_t ids[ROWS] = {0, 1, 2, 3, 4, VOCAB};
    const Tensor x = tensor(logits, 2, 3, VOCAB);
    assert_fails(cross_entropy_forward(&loss, (Tensor){0}, x, tokens(ids, 2, 3)), CS336_ERANGE,
                 "cross_entropy_forward: target 50 at (1, 2) is not in [0, 50)");
    ids[1] = -1;
    assert_fails(cross_entropy_backward(x, tensor(l, 2, 3, 1), x, tokens(ids, 2, 3)), CS336_ERANGE,
                 "cross_entropy_backward: target -1 at (0, 1) is not in [0, 50)");
}
END_TEST

START_TEST(test_log_sum_exp_refuses)
{
    float x[N] = {0};
    const Tensor a = tensor(x, B, C), turned = tensor_transpose(tensor(x, C, B), 0, 1), l = tensor(x, B, 1);
    assert_fails(log_sum_exp_forward(a, a), CS336_ESHAPE,
                 "log_sum_exp_forward: log_sum_exp is (5, 7), expected (5, 1)");
    assert_fails(log_sum_exp_forward(l, turned), CS336_ESHAPE, "log_sum_exp_forward: rows of x are not contiguous");
    assert_fails(log_sum_exp_backward(l, l, l, a), CS336_ESHAPE, "log_sum_exp_backward: grad_x is (5, 1), x is (5, 7)");
    assert_fails(log_sum_exp_backward(a, a, l, a), CS336_ESHAPE,
                 "log_sum_exp_backward: grad_log_sum_exp is (5, 7), expected (5, 1)");
    assert_fails(log_sum_exp_backward(a, l, a, a), CS336_ESHAPE,
                 "log_sum_exp_backward: log_sum_exp is (5, 7), expected (5, 1)");
    assert_fails(log_sum_exp_backward(a, l, l, turned), CS336_ESHAPE,
                 "log_sum_exp_backward: rows of x are not contiguous");
    assert_fails(log_sum_exp_backward(turned, l, l, a), CS336_ESHAPE,
                 "log_sum_exp_backward: rows of grad_x are not contiguous");
}
END_TEST

START_TEST(test_cross_entropy_refuses)
{
    float x[N] = {0}, loss;
    const int32_t ids[N] = {0};
    const Tensor a = tensor(x, A, B, C), l = tensor(x, A, B, 1), turned = tensor_transpose(tensor(x, A, C, B), 1, 2);
    const TokenTensor targets = tokens(ids, A, B);
    assert_fails(cross_entropy_forward(&loss, l, a, tokens(ids, B, A)), CS336_ESHAPE,
                 "cross_entropy_forward: targets are (5, 3), logits are (3, 5, 7)");
    assert_fails(cross_entropy_forward(&loss, l, a, tokens(ids, A)), CS336_ESHAPE,
                 "cross_entropy_forward: targets are (3), logits are (3, 5, 7)");
    assert_fails(cross_entropy_forward(&loss, a, a, targets), CS336_ESHAPE,
                 "cross_entropy_forward: log_sum_exp is (3, 5, 7), expected (3, 5, 1)");
    assert_fails(cross_entropy_forward(&loss, l, turned, targets), CS336_ESHAPE,
                 "cross_entropy_forward: rows of logits are not contiguous");
    assert_fails(cross_entropy_backward(a, l, a, tokens(ids, A)), CS336_ESHAPE,
                 "cross_entropy_backward: targets are (3), logits are (3, 5, 7)");
    assert_fails(cross_entropy_backward(l, l, a, targets), CS336_ESHAPE,
                 "cross_entropy_backward: grad_logits is (3, 5, 1), logits is (3, 5, 7)");
    assert_fails(cross_entropy_backward(a, a, a, targets), CS336_ESHAPE,
                 "cross_entropy_backward: log_sum_exp is (3, 5, 7), expected (3, 5, 1)");
    assert_fails(cross_entropy_backward(a, l, turned, targets), CS336_ESHAPE,
                 "cross_entropy_backward: rows of logits are not contiguous");
    assert_fails(cross_entropy_backward(turned, l, a, targets), CS336_ESHAPE,
                 "cross_entropy_backward: rows of grad_logits are not contiguous");
}
END_TEST

const TestCase cross_entropy_tests[] = {
    TEST(test_log_sum_exp, "cross_entropy"),
    TEST(test_log_sum_exp_of_infinities, "cross_entropy"),
    TEST(test_log_sum_exp_of_huge_numbers, "cross_entropy"),
    TEST(test_log_sum_exp_refuses, "cross_entropy"),
    TEST(test_cross_entropy_matches_pytorch, "cross_entropy"),
    TEST(test_cross_entropy_of_huge_logits, "cross_entropy"),
    TEST(test_cross_entropy_names_a_target_outside_the_vocabulary, "cross_entropy"),
    TEST(test_cross_entropy_refuses, "cross_entropy"),
    {0},
};
