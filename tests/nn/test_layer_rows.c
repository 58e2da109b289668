/* The work on single rows between the matrix products: fused kernels, added gradients, sums in a fixed order. */
#include "core/parallel.h"
#include "kernels/vecmath.h"
#include "nn/rmsnorm.h"
#include "nn/rope.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/kernels.h"
#include "tests/support/reference_layers.h"
#include "tests/support/sample.h"

#include <math.h>
#include <string.h>

enum { LONGEST = 150, AFTER = 77 };

/* Calls `run` with each length, on every instruction set. */
static void for_each_length(void (*run)(size_t n))
{
    FOR_EACH_ISA (isa) {
        for (size_t n = 0; n <= LONGEST; n += n < 40 ? 1 : 1 + random_below(20)) {
            test_label("n = %zu on %s", n, isa_name(isa));
            run(n);
        }
    }
}

static void random_row(float *x, double *wide, size_t n, float scale)
{
    random_fill(x, n);
    for (size_t i = 0; i < n; i++)
        wide[i] = (double)(x[i] *= scale);
    x[n] = AFTER;
}

/* ---- SwiGLU ---- */

static double swiglu(double up, double gate)
{
    double silu;
    reference_silu(&silu, &up, 1);
    return silu * gate;
}

static void check_swiglu(size_t n)
{
    enum { STEP = 1 << 17 };
    const double h = 1.0 / STEP;
    float up[LONGEST + 1], gate[LONGEST + 1], hidden[LONGEST + 1], grad[LONGEST + 1];
    double u[LONGEST], g[LONGEST], d[LONGEST], product[LONGEST], to_up[LONGEST], to_gate[LONGEST];
    for (int gated = 0; gated < 2; gated++) {
        random_row(up, u, n, 20);
        random_row(gate, g, n, 2);
        random_row(grad, d, n, 1);
        for (size_t i = 0; i < n; i++) {
            const double factor = gated ? g[i] : 1;
            product[i] = swiglu(u[i], factor);
            to_up[i] = d[i] * (swiglu(u[i] + h, factor) - swiglu(u[i] - h, factor)) / (2 * h);
            to_gate[i] = d[i] * swiglu(u[i], 1);
        }
        hidden[n] = AFTER;
        vecmath()->swiglu(hidden, up, gated ? gate : NULL, n);
        assert_allclose_double(gated ? "hidden, gated" : "hidden, no gate", hidden, product, n, 1e-6, 1e-7);
        vecmath()->swiglu_backward(up, gate, grad, grad, up, gated ? gate : NULL, n);
        assert_allclose_double("hidden again", grad, product, n, 1e-6, 1e-7);
        assert_allclose_double("grad_up", up, to_up, n, 1e-5, 1e-6);
        assert_allclose_double("grad_gate", gate, gated ? to_gate : g, n, 1e-6, 1e-7);
        ck_assert(hidden[n] == AFTER && grad[n] == AFTER && up[n] == AFTER && gate[n] == AFTER);
    }
}

START_TEST(test_vec_swiglu_and_its_gradients_at_every_length)
{
    for_each_length(check_swiglu);
}
END_TEST

START_TEST(test_vec_swiglu_passes_nan_on)
{
    FOR_EACH_ISA (isa) {
        test_label("%s", isa_name(isa));
        volatile float not_a_number = NAN;
        float up[3] = {1, not_a_number, 1}, gate[3] = {1, 1, not_a_number}, hidden[3];
        vecmath()->swiglu(hidden, up, gate, 3);
        ck_assert(!isnan(hidden[0]) && isnan(hidden[1]) && isnan(hidden[2]));
        vecmath()->swiglu_backward(up, gate, hidden, hidden, up, gate, 3);
        ck_assert(!isnan(up[0]) && isnan(up[1]) && isnan(up[2]) && isnan(gate[1]));
    }
}
END_TEST

/* ---- RMSNorm ---- */

typedef struct {
    double x[LONGEST], gain[LONGEST], grad_y[LONGEST];
    size_t n;
} NormRow;

static double norm_row_loss(void *context)
{
    const NormRow *row = context;
    double y[LONGEST];
    reference_rmsnorm(y, row->x, row->gain, 1, row->n, 1e-5);
    return reference_dot(y, row->grad_y, row->n);
}

static void check_rmsnorm(size_t n)
{
    float x[LONGEST + 1], gain[LONGEST + 1], grad_y[LONGEST + 1], y[LONGEST + 1], to_gain[LONGEST + 1];
    double expected[LONGEST], square = 0;
    NormRow row = {.n = n};
    if (n == 0)
        return;
    random_row(x, row.x, n, 3);
    random_row(gain, row.gain, n, 2);
    random_row(grad_y, row.grad_y, n, 1);
    for (size_t i = 0; i < n; i++)
        square += row.x[i] * row.x[i];
    const float inverse_rms = (float)(1 / sqrt(square / (double)n + 1e-5));
    reference_rmsnorm(expected, row.x, row.gain, 1, n, 1e-5);
    y[n] = to_gain[n] = AFTER;
    vecmath()->scale_each(y, inverse_rms, x, gain, n);
    assert_allclose_double("y", y, expected, n, 1e-6, 1e-7);

    for (int add = 0; add < 2; add++) {
        for (size_t i = 0; i < n; i++)
            y[i] = to_gain[i] = 1;
        vecmath()->rmsnorm_backward(y, add, to_gain, grad_y, x, gain, inverse_rms, n);
        central_difference(expected, row.x, n, 1e-5, norm_row_loss, &row);
        for (size_t i = 0; add && i < n; i++)
            expected[i] += 1;
        assert_allclose_double(add ? "grad_x, added" : "grad_x", y, expected, n, 1e-4, 1e-5);
        central_difference(expected, row.gain, n, 1e-5, norm_row_loss, &row);
        for (size_t i = 0; i < n; i++)
            expected[i] += 1;
        assert_allclose_double("grad_gain", to_gain, expected, n, 1e-5, 1e-6);
    }
    vecmath()->rmsnorm_backward(NULL, false, NULL, grad_y, x, gain, inverse_rms, n);
    memcpy(y, grad_y, n * sizeof *y);
    vecmath()->rmsnorm_backward(grad_y, false, NULL, grad_y, x, gain, inverse_rms, n);
    vecmath()->rmsnorm_backward(to_gain, false, NULL, y, x, gain, inverse_rms, n);
    ck_assert_mem_eq(grad_y, to_gain, n * sizeof *y);
    ck_assert(y[n] == AFTER && to_gain[n] == AFTER && grad_y[n] == AFTER);
}

START_TEST(test_vec_rmsnorm_gradients_at_every_length)
{
    for_each_length(check_rmsnorm);
}
END_TEST

START_TEST(test_rmsnorm_adds_to_the_input_gradient)
{
    const Sample x = sample("x", 0, 1, 7, 10), weight = sample("weight", 1, 0.3, 10), grad_y = sample("g", 0, 1, 7, 10);
    const RMSNorm norm = {weight.value, 1e-5F};
    const Tensor y = filled(NAN, 7, 10), inverse_rms = filled(NAN, 7, 1);
    const Tensor alone = filled(NAN, 7, 10), added = filled(2, 7, 10);
    RMSNorm grad = {filled(0, 10), 0}, again = {filled(3, 10), 0};
    assert_ok(rmsnorm_forward(y, inverse_rms, x.value, &norm));
    assert_ok(rmsnorm_backward(alone, &grad, grad_y.value, inverse_rms, x.value, &norm));
    assert_ok(rmsnorm_backward_add(added, &again, grad_y.value, inverse_rms, x.value, &norm));
    for (size_t i = 0; i < 70; i++)
        alone.data[i] += 2;
    assert_allclose(added, alone, 1e-6, 1e-6);
    for (size_t i = 0; i < 10; i++)
        grad.weight.data[i] += 3;
    assert_allclose(again.weight, grad.weight, 1e-6, 1e-6);
    assert_fails(rmsnorm_backward_add(filled(0, 7, 9), &grad, grad_y.value, inverse_rms, x.value, &norm), CS336_ESHAPE,
                 "rmsnorm_backward_add: grad_x is (7, 9), x is (7, 10)");
}
END_TEST

START_TEST(test_rmsnorm_gradients_are_the_same_for_any_threads)
{
    enum { ROWS = 501, D = 77 };
    static const int threads[] = {1, 2, 3, 8};
    const Sample x = sample("x", 0, 1, ROWS, D), weight = sample("weight", 1, 0.3, D);
    const Sample grad_y = sample("g", 0, 1, ROWS, D);
    const RMSNorm norm = {weight.value, 1e-5F};
    const Tensor y = filled(NAN, ROWS, D), inverse_rms = filled(NAN, ROWS, 1);
    Tensor grad_x[4];
    RMSNorm grad[4];
    assert_ok(rmsnorm_forward(y, inverse_rms, x.value, &norm));
    for (size_t i = 0; i < 4; i++) {
        parallel_set_threads(threads[i]);
        test_label("%d threads", threads[i]);
        grad_x[i] = filled(NAN, ROWS, D);
        grad[i].weight = filled(0.25F, D);
        assert_ok(rmsnorm_backward(grad_x[i], &grad[i], grad_y.value, inverse_rms, x.value, &norm));
        ck_assert_mem_eq(grad[0].weight.data, grad[i].weight.data, D * sizeof(float));
        ck_assert_mem_eq(grad_x[0].data, grad_x[i].data, ROWS * D * sizeof(float));
    }
}
END_TEST

/* ---- RoPE ---- */

enum { ROWS = 3 };

static void check_rotate(size_t pairs)
{
    float cosine[LONGEST + 1], sine[LONGEST + 1], x[ROWS][2 * LONGEST], y[2 * ROWS][2 * LONGEST];
    for (size_t k = 0; k < pairs; k++) {
        cosine[k] = (float)cos((double)k + 0.5);
        sine[k] = (float)sin((double)k + 0.5);
    }
    for (int direction = -1; direction <= 1; direction += 2) {
        double expected[ROWS][2 * LONGEST];
        for (size_t row = 0; row < ROWS; row++) {
            random_fill(x[row], 2 * pairs);
            for (size_t k = 0; k < pairs; k++) {
                const double a = (double)x[row][2 * k], b = (double)x[row][2 * k + 1];
                const double angle = direction * ((double)k + 0.5);
                expected[row][2 * k] = a * cos(angle) - b * sin(angle);
                expected[row][2 * k + 1] = a * sin(angle) + b * cos(angle);
            }
        }
        for (size_t row = 0; row < 2 * (size_t)ROWS; row++)
            for (size_t i = 0; i < 2 * LONGEST; i++)
                y[row][i] = AFTER;
        /* writes every second row of y */
        vecmath()->rotate(y[0], 2 * 2 * LONGEST, x[0], 2 * LONGEST, ROWS, cosine, sine, (float)direction, pairs);
        for (size_t row = 0; row < ROWS; row++) {
            assert_allclose_double("y", y[2 * row], expected[row], 2 * pairs, 1e-6, 1e-6);
            for (size_t i = 0; i < 2 * LONGEST; i++)
                ck_assert(y[2 * row + 1][i] == AFTER && (i < 2 * pairs || y[2 * row][i] == AFTER));
        }
        vecmath()->rotate(x[0], 2 * LONGEST, x[0], 2 * LONGEST, ROWS, cosine, sine, (float)direction, pairs);
        for (size_t row = 0; row < ROWS; row++)
            ck_assert_mem_eq(x[row], y[2 * row], 2 * pairs * sizeof(float));
    }
}

START_TEST(test_vec_rotate_at_every_length)
{
    for_each_length(check_rotate);
}
END_TEST

START_TEST(test_rope_of_heads_with_positions_of_their_own)
{
    enum { BATCH = 2, HEADS = 3, SEQ = 5, D = 6, FAR = 40 };
    const Sample x = sample("x", 0, 1, BATCH, HEADS, SEQ, D);
    const TokenTensor positions = sample_ids("positions", FAR, BATCH, HEADS, SEQ);
    const Tensor y = filled(NAN, BATCH, HEADS, SEQ, D);
    double expected[BATCH * HEADS * SEQ * D];
    RoPE rope;
    Arena arena = arena_of(1 << 14);
    assert_ok(rope_bind(&rope, &arena, 1e4F, D, FAR));
    assert_ok(rope_forward(y, x.value, positions, &rope));
    reference_rope(expected, x.wide, positions.data, BATCH * HEADS * SEQ, D, 1e4);
    assert_allclose_wide("y with positions of its own", y, expected, 1e-5, 1e-6);
    assert_ok(rope_forward(tensor(y.data, BATCH, 0, SEQ, D), tensor(x.value.data, BATCH, 0, SEQ, D), (TokenTensor){0},
                           &rope));             /* no rows */
    for (size_t head = 0; head < HEADS; head++) /* tensors of rank 2 have no head dimension */
        assert_ok(rope_forward(tensor_select(tensor_select(y, 0, 1), 0, head),
                               tensor_select(tensor_select(x.value, 0, 1), 0, head),
                               tokens(positions.data + (HEADS + head) * SEQ, SEQ), &rope));
    assert_allclose_wide("y, one head at a time", y, expected, 1e-5, 1e-6);
    arena_deinit(&arena);
}
END_TEST

const TestCase layer_rows_tests[] = {
    TEST(test_vec_swiglu_and_its_gradients_at_every_length, "positionwise_feedforward"),
    TEST(test_vec_swiglu_passes_nan_on, "positionwise_feedforward"),
    TEST(test_vec_rmsnorm_gradients_at_every_length, "rmsnorm"),
    TEST(test_rmsnorm_adds_to_the_input_gradient, "rmsnorm"),
    TEST(test_rmsnorm_gradients_are_the_same_for_any_threads, "rmsnorm"),
    TEST(test_vec_rotate_at_every_length, "rope"),
    TEST(test_rope_of_heads_with_positions_of_their_own, "rope"),
    {0},
};
