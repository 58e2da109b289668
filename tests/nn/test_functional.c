#include "core/parallel.h"
#include "nn/functional.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/fixture.h"
#include "tests/support/hash_weights.h"
#include "tests/support/kernels.h"
#include "tests/support/reference.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SEED = 7, A = 3, B = 5, C = 7, N = A * B * C, VOCAB = 50, ROWS = 6 };

static const double RTOL = 1e-4, ATOL = 1e-5;

/* ---- softmax ---- */

START_TEST(test_softmax_over_any_dimension)
{
    Fixture fixture;
    fixture_open(&fixture, "functional");
    float x[N], grad_y[N], y[N], grad_x[N];
    hash_normal(x, N, "x", SEED, 0, 2);
    hash_normal(grad_y, N, "grad_y", SEED, 0, 1);
    for (int dimension = -3; dimension < 3; dimension++) {
        test_label("dimension %d", dimension);
        char name[32];
        assert_ok(softmax_forward(tensor(y, A, B, C), tensor(x, A, B, C), dimension));
        snprintf(name, sizeof name, "softmax.%d.y", (dimension + 3) % 3);
        assert_allclose_tensor(name, tensor(y, A, B, C), fixture_tensor(&fixture, name), 1e-6, 1e-7);
        assert_ok(softmax_backward(tensor(grad_x, A, B, C), tensor(grad_y, A, B, C), tensor(y, A, B, C), dimension));
        snprintf(name, sizeof name, "softmax.%d.grad_x", (dimension + 3) % 3);
        assert_allclose_tensor(name, tensor(grad_x, A, B, C), fixture_tensor(&fixture, name), RTOL, ATOL);
    }
    fixture_close(&fixture);
}
END_TEST

START_TEST(test_softmax_of_strided_views)
{
    float x[N], y[N], straight[N], grad_y[N], grad_x[N], grad_straight[N];
    hash_normal(x, N, "x", SEED, 0, 2);
    hash_normal(grad_y, N, "grad_y", SEED, 0, 1);
    Tensor view = tensor(x, C, B, A), y_view = tensor(y, B, C, A), grad_view = tensor(grad_x, A, C, B);
    view = tensor_transpose(view, 0, 2);
    y_view = tensor_transpose(tensor_transpose(y_view, 0, 2), 1, 2);
    grad_view = tensor_transpose(grad_view, 1, 2);
    assert_ok(softmax_forward(y_view, view, 1));
    assert_ok(softmax_backward(grad_view, tensor(grad_y, A, B, C), y_view, 1));
    float copy[N];
    tensor_copy(tensor(copy, A, B, C), view);
    assert_ok(softmax_forward(tensor(straight, A, B, C), tensor(copy, A, B, C), 1));
    assert_ok(softmax_backward(tensor(grad_straight, A, B, C), tensor(grad_y, A, B, C), tensor(straight, A, B, C), 1));
    assert_allclose(y_view, tensor(straight, A, B, C), 1e-6, 1e-7);
    assert_allclose(grad_view, tensor(grad_straight, A, B, C), 1e-6, 1e-7);
}
END_TEST

START_TEST(test_softmax_in_place)
{
    for (int dimension = 0; dimension < 3; dimension++) {
        test_label("dimension %d", dimension);
        float x[N], y[N], grad_y[N], grad_x[N];
        hash_normal(x, N, "x", SEED, 0, 2);
        hash_normal(grad_y, N, "grad_y", SEED, 0, 1);
        const Tensor tx = tensor(x, A, B, C), ty = tensor(y, A, B, C), grad = tensor(grad_y, A, B, C);
        assert_ok(softmax_forward(ty, tx, dimension));
        assert_ok(softmax_backward(tensor(grad_x, A, B, C), grad, ty, dimension));
        assert_ok(softmax_forward(tx, tx, dimension));
        assert_ok(softmax_backward(grad, grad, ty, dimension));
        assert_allclose_array("in place", x, y, N, 0, 0);
        assert_allclose_array("gradient in place", grad_y, grad_x, N, 0, 0);
    }
}
END_TEST

START_TEST(test_softmax_of_huge_numbers)
{
    float x[N], shifted[N], y[N], y_shifted[N];
    hash_normal(x, N, "x", SEED, 0, 2);
    for (int i = 0; i < N; i++) {
        x[i] = roundf(x[i] * 256) / 256; /* multiples of 1/256, to which 100 or 10 000 is added without rounding */
        shifted[i] = x[i] + 100;
    }
    for (int dimension = 0; dimension < 3; dimension++) {
        test_label("dimension %d", dimension);
        assert_ok(softmax_forward(tensor(y, A, B, C), tensor(x, A, B, C), dimension));
        assert_ok(softmax_forward(tensor(y_shifted, A, B, C), tensor(shifted, A, B, C), dimension));
        assert_allclose_array("softmax(x + 100), against softmax(x)", y_shifted, y, N, 0, 0);
    }
    test_label_end();
    float extreme[] = {-3e38F, 10000, -1e4F, 10000, -INFINITY, 3e38F};
    assert_ok(softmax_forward(tensor(extreme, 2, 3), tensor(extreme, 2, 3), -1));
    const float expected[] = {0, 1, 0, 0, 0, 1};
    assert_allclose_array("extreme", extreme, expected, 6, 0, 0);
}
END_TEST

START_TEST(test_softmax_of_nan_is_nan)
{
    float x[] = {1, NAN, 2, 3, 4, 5};
    assert_ok(softmax_forward(tensor(x, 2, 3), tensor(x, 2, 3), -1));
    ck_assert_msg(isnan(x[0]) && isnan(x[1]) && isnan(x[2]), "a NaN must reach its whole row");
    ck_assert_float_eq_tol(x[3] + x[4] + x[5], 1, 1e-6F);
}
END_TEST

/* ---- SiLU ---- */

START_TEST(test_silu)
{
    enum { ROW = 300, COUNT = 4 * ROW };
    Fixture fixture;
    fixture_open(&fixture, "functional");
    float x[COUNT], y[COUNT], grad_y[COUNT], grad_x[COUNT];
    hash_normal(x, COUNT, "x", SEED, 0, 4);
    hash_normal(grad_y, COUNT, "grad_y", SEED, 0, 1);
    const Tensor tx = tensor(x, 4, ROW), grad = tensor(grad_y, 4, ROW);
    assert_ok(silu_forward(tensor(y, 4, ROW), tx));
    assert_allclose(tensor(y, 4, ROW), fixture_tensor(&fixture, "silu.y"), 1e-6, 1e-6);
    assert_ok(silu_backward(tensor(grad_x, 4, ROW), grad, tx));
    assert_allclose(tensor(grad_x, 4, ROW), fixture_tensor(&fixture, "silu.grad_x"), RTOL, ATOL);
    assert_ok(silu_backward(grad, grad, tx));
    assert_ok(silu_forward(tx, tx));
    ck_assert_mem_eq(grad_y, grad_x, sizeof grad_x);
    ck_assert_mem_eq(x, y, sizeof y);
    fixture_close(&fixture);
}
END_TEST

START_TEST(test_silu_far_from_zero)
{
    float x[] = {-3e38F, -1000, 0, 1000, 3e38F}, y[5], grad_x[5], one[] = {1, 1, 1, 1, 1};
    const float expected[] = {0, 0, 0, 1000, 3e38F}, slopes[] = {0, 0, 0.5F, 1, 1};
    assert_ok(silu_forward(tensor(y, 5), tensor(x, 5)));
    assert_allclose_array("silu", y, expected, 5, 1e-6, 0);
    assert_ok(silu_backward(tensor(grad_x, 5), tensor(one, 5), tensor(x, 5)));
    assert_allclose_array("slope", grad_x, slopes, 5, 1e-6, 0);
}
END_TEST

/* ---- all of them ---- */

typedef struct {
    double x[N], weight[N], y[N];
    int32_t targets[A * B];
    int kind;
} Loss;

static double loss_of(void *context)
{
    Loss *loss = context;
    switch (loss->kind) {
    case 0:
        reference_softmax(loss->y, loss->x, A, B, C);
        return reference_dot(loss->weight, loss->y, N);
    case 1:
        reference_log_sum_exp(loss->y, loss->x, (size_t)A * B, C);
        return reference_dot(loss->weight, loss->y, (size_t)A * B);
    case 2:
        reference_silu(loss->y, loss->x, N);
        return reference_dot(loss->weight, loss->y, N);
    default:
        return reference_cross_entropy(loss->x, loss->targets, (size_t)A * B, C);
    }
}

START_TEST(test_functional_gradients_are_central_differences)
{
    static Loss loss;
    float x[N], weight[N], y[N], grad[N], l[A * B], value;
    hash_normal(x, N, "x", SEED, 0, 2);
    hash_normal(weight, N, "grad_y", SEED, 0, 1);
    hash_integers(loss.targets, A * B, "targets", SEED, C);
    const Tensor tx = tensor(x, A, B, C), ty = tensor(y, A, B, C), tg = tensor(grad, A, B, C);
    const Tensor tw = tensor(weight, A, B, C), tl = tensor(l, A, B, 1);
    const TokenTensor targets = tokens(loss.targets, A, B);
    reference_widen(loss.x, tx);
    reference_widen(loss.weight, tw);

    assert_ok(softmax_forward(ty, tx, 1));
    assert_ok(softmax_backward(tg, tw, ty, 1));
    assert_gradient("softmax", tensor(grad, N), loss.x, loss_of, &loss, RTOL, ATOL);

    loss.kind = 1;
    assert_ok(log_sum_exp_forward(tl, tx));
    assert_ok(log_sum_exp_backward(tg, tensor(weight, A, B, 1), tl, tx));
    assert_gradient("log_sum_exp", tensor(grad, N), loss.x, loss_of, &loss, RTOL, ATOL);

    loss.kind = 2;
    assert_ok(silu_backward(tg, tw, tx));
    assert_gradient("silu", tensor(grad, N), loss.x, loss_of, &loss, RTOL, ATOL);

    loss.kind = 3;
    assert_ok(cross_entropy_forward(&value, tl, tx, targets));
    ck_assert_double_eq_tol((double)value, loss_of(&loss), 1e-6);
    assert_ok(cross_entropy_backward(tg, tl, tx, targets));
    assert_gradient("cross_entropy", tensor(grad, N), loss.x, loss_of, &loss, RTOL, ATOL);
}
END_TEST

enum { MANY = 150, WIDE = 333 };

typedef struct {
    float softmax[MANY * WIDE], grad_softmax[MANY * WIDE], silu[MANY * WIDE], grad_silu[MANY * WIDE];
    float l[MANY], loss, grad_loss[MANY * WIDE];
} Results;

static void compute_all(Results *results)
{
    static float x[MANY * WIDE], grad_y[MANY * WIDE];
    static int32_t ids[MANY];
    hash_normal(x, MANY * WIDE, "x", SEED, 0, 2);
    hash_normal(grad_y, MANY * WIDE, "grad_y", SEED, 0, 1);
    hash_integers(ids, MANY, "targets", SEED, WIDE);
    const Tensor tx = tensor(x, MANY, WIDE), grad = tensor(grad_y, MANY, WIDE), tl = tensor(results->l, MANY, 1);
    const Tensor y = tensor(results->softmax, MANY, WIDE);
    assert_ok(softmax_forward(y, tx, 1));
    assert_ok(softmax_backward(tensor(results->grad_softmax, MANY, WIDE), grad, y, 1));
    assert_ok(silu_forward(tensor(results->silu, MANY, WIDE), tx));
    assert_ok(silu_backward(tensor(results->grad_silu, MANY, WIDE), grad, tx));
    assert_ok(cross_entropy_forward(&results->loss, tl, tx, tokens(ids, MANY)));
    assert_ok(cross_entropy_backward(tensor(results->grad_loss, MANY, WIDE), tl, tx, tokens(ids, MANY)));
}

START_TEST(test_functional_same_bytes_for_any_number_of_threads)
{
    static Results one, many;
    static const int threads[] = {2, 3, 8};
    parallel_set_threads(1);
    compute_all(&one);
    for (int i = 0; i < 3; i++) {
        memset(&many, 0xff, sizeof many);
        parallel_set_threads(threads[i]);
        test_label("%d threads", threads[i]);
        compute_all(&many);
        ck_assert_mem_eq(&one, &many, sizeof one);
    }
}
END_TEST

/* Runs all functions on one row of n numbers, forward and backward, and compares with double precision. */
static void check_row(size_t n)
{
    float x[WIDE], w[WIDE], y[WIDE], grad[WIDE], l, loss;
    double wx[WIDE], exact_y[WIDE], exact[WIDE], exact_l, dot = 0;
    random_fill(x, n);
    random_fill(w, n);
    for (size_t i = 0; i < n; i++)
        wx[i] = (double)(x[i] *= 8);
    const int32_t target = (int32_t)random_below(n);
    const Tensor tx = tensor(x, 1, n), tw = tensor(w, 1, n), ty = tensor(y, 1, n), tg = tensor(grad, 1, n);
    const Tensor tl = tensor(&l, 1, 1);

    reference_softmax(exact_y, wx, 1, n, 1);
    assert_ok(softmax_forward(ty, tx, -1));
    assert_allclose_double("softmax", y, exact_y, n, 1e-5, 1e-7);
    for (size_t i = 0; i < n; i++)
        dot += exact_y[i] * (double)w[i];
    for (size_t i = 0; i < n; i++)
        exact[i] = exact_y[i] * ((double)w[i] - dot);
    assert_ok(softmax_backward(tg, tw, ty, -1));
    assert_allclose_double("softmax backward", grad, exact, n, 1e-5, 1e-6);

    reference_log_sum_exp(&exact_l, wx, 1, n);
    exact[0] = exact_l - wx[target];
    assert_ok(cross_entropy_forward(&loss, tl, tx, tokens(&target, 1)));
    assert_allclose_double("log_sum_exp", &l, &exact_l, 1, 1e-6, 1e-6);
    assert_allclose_double("loss", &loss, exact, 1, 1e-6, 2e-6);
    exact_y[target] -= 1;
    assert_ok(cross_entropy_backward(tg, tl, tx, tokens(&target, 1)));
    assert_allclose_double("cross_entropy backward", grad, exact_y, n, 1e-5, 2e-6);

    reference_silu(exact_y, wx, n);
    assert_ok(silu_forward(ty, tx));
    assert_allclose_double("silu", y, exact_y, n, 1e-5, 1e-6);
    for (size_t i = 0; i < n; i++) {
        const double sigmoid = 1 / (1 + exp(-wx[i]));
        exact[i] = (double)w[i] * sigmoid * (1 + wx[i] * (1 - sigmoid));
    }
    assert_ok(silu_backward(tg, tw, tx));
    assert_allclose_double("silu backward", grad, exact, n, 1e-5, 1e-6);
}

START_TEST(test_functional_every_length_on_every_instruction_set)
{
    FOR_EACH_ISA (isa) {
        for (size_t n = 1; n <= WIDE; n += n < 70 ? 1 : 1 + random_below(30)) {
            test_label("n = %zu on %s", n, isa_name(isa));
            check_row(n);
        }
    }
}
END_TEST

/* ---- what is refused ---- */

/* Returns the number of threads of this process as Linux counts them; 0 on other systems. */
static int thread_count(void)
{
    char line[200];
    int count = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status) && sscanf(line, "Threads: %d", &count) != 1) {
    }
    if (status)
        fclose(status);
    return count;
}

START_TEST(test_functional_small_calls_start_no_threads)
{
    parallel_set_threads(2);
    const int before = thread_count();
    check_row(15);
    ck_assert_int_eq(thread_count(), before);
}
END_TEST

START_TEST(test_softmax_refuses)
{
    float x[N] = {0};
    const Tensor a = tensor(x, A, B, C), b = tensor(x, A, C, B);
    assert_fails(softmax_forward(b, a, 0), CS336_ESHAPE, "softmax_forward: y is (3, 7, 5), x is (3, 5, 7)");
    assert_fails(softmax_forward(a, a, 3), CS336_ESHAPE, "softmax_forward: no dimension 3, x is (3, 5, 7)");
    assert_fails(softmax_forward(a, a, -4), CS336_ESHAPE, "softmax_forward: no dimension -4, x is (3, 5, 7)");
    assert_fails(softmax_backward(a, b, a, 0), CS336_ESHAPE, "softmax_backward: grad_y is (3, 7, 5), y is (3, 5, 7)");
    assert_fails(softmax_backward(b, a, a, 0), CS336_ESHAPE, "softmax_backward: grad_x is (3, 7, 5), y is (3, 5, 7)");
    assert_fails(softmax_backward(a, a, a, 4), CS336_ESHAPE, "softmax_backward: no dimension 4, y is (3, 5, 7)");
}
END_TEST

START_TEST(test_silu_refuses)
{
    float x[N] = {0};
    const Tensor a = tensor(x, B, C), b = tensor(x, C, B), turned = tensor_transpose(b, 0, 1);
    assert_fails(silu_forward(b, a), CS336_ESHAPE, "silu_forward: y is (7, 5), x is (5, 7)");
    assert_fails(silu_forward(a, turned), CS336_ESHAPE, "silu_forward: rows of x are not contiguous");
    assert_fails(silu_forward(turned, a), CS336_ESHAPE, "silu_forward: rows of y are not contiguous");
    assert_fails(silu_backward(b, a, a), CS336_ESHAPE, "silu_backward: grad_x is (7, 5), x is (5, 7)");
    assert_fails(silu_backward(a, b, a), CS336_ESHAPE, "silu_backward: grad_y is (7, 5), x is (5, 7)");
    assert_fails(silu_backward(a, a, turned), CS336_ESHAPE, "silu_backward: rows of x are not contiguous");
    assert_fails(silu_backward(a, turned, a), CS336_ESHAPE, "silu_backward: rows of grad_y are not contiguous");
    assert_fails(silu_backward(turned, a, a), CS336_ESHAPE, "silu_backward: rows of grad_x are not contiguous");
}
END_TEST

const TestCase functional_tests[] = {
    TEST(test_softmax_over_any_dimension, "softmax"),
    TEST(test_softmax_of_strided_views, "softmax"),
    TEST(test_softmax_in_place, "softmax"),
    TEST(test_softmax_of_huge_numbers, "softmax"),
    TEST(test_softmax_of_nan_is_nan, "softmax"),
    TEST(test_softmax_refuses, "softmax"),
    TEST(test_silu, "positionwise_feedforward"),
    TEST(test_silu_far_from_zero, "positionwise_feedforward"),
    TEST(test_silu_refuses, "positionwise_feedforward"),
    TEST(test_functional_gradients_are_central_differences, "functional"),
    TEST(test_functional_same_bytes_for_any_number_of_threads, "functional"),
    TEST(test_functional_every_length_on_every_instruction_set, "functional"),
    TEST(test_functional_small_calls_start_no_threads, "functional"),
    {0},
};
