#include "nn/rope.h"

#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/reference_layers.h"
#include "tests/support/sample.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const TokenTensor NO_POSITIONS = {0};

enum { ROPE_POSITIONS = 50 };

typedef struct {
    Sample x, grad_y;
    TokenTensor positions;
} RopeProblem;

static RopeProblem rope_problem(void)
{
    return (RopeProblem){sample("rope.x", 0, 1, 2, 3, 5, 8), sample("rope.grad_y", 0, 1, 2, 3, 5, 8),
                         sample_ids("rope.positions", ROPE_POSITIONS, 2, 1, 5)};
}

static RoPE rope_tables(Arena *arena, float theta, size_t d_k, size_t max_seq_len)
{
    RoPE rope;
    Arena measure = {0};
    assert_ok(rope_bind(&rope, &measure, theta, d_k, max_seq_len));
    assert_ok(arena_init(arena, measure.peak));
    assert_ok(rope_bind(&rope, arena, theta, d_k, max_seq_len));
    return rope;
}

static double rope_loss(void *context)
{
    const RopeProblem *p = context;
    double y[240];
    for (size_t b = 0; b < 2; b++)
        for (size_t h = 0; h < 3; h++)
            reference_rope(y + (b * 3 + h) * 40, p->x.wide + (b * 3 + h) * 40, p->positions.data + b * 5, 5, 8, 1e4);
    return reference_dot(y, p->grad_y.wide, 240);
}

START_TEST(test_rope_gradients)
{
    RopeProblem p = rope_problem();
    Arena arena;
    const RoPE rope = rope_tables(&arena, 1e4F, 8, ROPE_POSITIONS);
    const Tensor y = filled_like(NAN, p.x.value), grad_x = filled_like(NAN, p.x.value);
    assert_ok(rope_forward(y, p.x.value, p.positions, &rope));
    assert_ok(rope_backward(grad_x, p.grad_y.value, p.positions, &rope));
    assert_pytorch(y, "rope", "y");
    assert_pytorch(grad_x, "rope", "grad_x");
    assert_differences("grad_x", grad_x, p.x, rope_loss, &p);
    arena_deinit(&arena);
}
END_TEST

START_TEST(test_rope_in_place_on_head_views)
{
    const RopeProblem p = rope_problem();
    Arena arena;
    const RoPE rope = rope_tables(&arena, 1e4F, 8, ROPE_POSITIONS);
    /* The memory is (batch, seq, heads * d_k); the view is (batch, heads, seq, d_k). */
    const Tensor heads = tensor_transpose(tensor_split(filled(NAN, 2, 5, 24), -1, 3), -3, -2);
    const Tensor y = filled_like(NAN, p.x.value);
    tensor_copy(heads, p.x.value);
    assert_ok(rope_forward(heads, heads, p.positions, &rope));
    tensor_copy(y, heads);
    assert_pytorch(y, "rope", "y");
    tensor_copy(heads, p.grad_y.value);
    assert_ok(rope_backward(heads, heads, p.positions, &rope));
    tensor_copy(y, heads);
    assert_pytorch(y, "rope", "grad_x");
    arena_deinit(&arena);
}
END_TEST

START_TEST(test_rope_broadcasts_positions)
{
    const RopeProblem p = rope_problem();
    Arena arena;
    const RoPE rope = rope_tables(&arena, 1e4F, 8, ROPE_POSITIONS);
    const int32_t counted[] = {0, 1, 2, 3, 4};
    const Tensor none = filled_like(NAN, p.x.value), row = filled_like(NAN, p.x.value);
    assert_ok(rope_forward(none, p.x.value, NO_POSITIONS, &rope));
    assert_ok(rope_forward(row, p.x.value, tokens(counted, 5), &rope));
    assert_allclose(row, none, 0, 0);
    assert_ok(rope_forward(row, p.x.value, tokens(counted, 1, 5), &rope));
    assert_allclose(row, none, 0, 0);
    assert_ok(rope_forward(row, p.x.value, tokens(counted, 1, 1, 5), &rope));
    assert_allclose(row, none, 0, 0);
    double y[40];
    reference_rope(y, p.x.wide, counted, 5, 8, 1e4);
    assert_allclose_double("0 .. seq - 1", none.data, y, 40, 1e-5, 1e-6);
    arena_deinit(&arena);
}
END_TEST

/* Angles reach some thousand radians. Computed in float, they would be wrong in the fourth decimal. */
START_TEST(test_rope_tables_are_exact_at_large_positions)
{
    enum { FAR = 4096, PAIRS = 4 };
    Arena arena;
    const RoPE rope = rope_tables(&arena, 1e4F, 2 * PAIRS, FAR);
    for (size_t position = 0; position < FAR; position++)
        for (size_t k = 0; k < PAIRS; k++) {
            test_label("position %zu, pair %zu", position, k);
            const double angle = (double)position / pow(10, (double)k); /* 10000^(k / 4) */
            const float expected[] = {(float)cos(angle), (float)sin(angle)};
            const float actual[] = {tensor_row(rope.cosine, position)[k], tensor_row(rope.sine, position)[k]};
            assert_allclose_array("{cosine, sine}", actual, expected, 2, 0, 1e-6);
        }
    arena_deinit(&arena);
}
END_TEST

START_TEST(test_rope_names_what_does_not_fit)
{
    Arena arena, full;
    const RoPE rope = rope_tables(&arena, 1e4F, 8, 4);
    const Tensor x = filled(0, 2, 3, 8);
    const int32_t positions[] = {0, 4, 2, -1, 0, 0};
    assert_fails(rope_forward(x, x, tokens(positions, 3), &rope), CS336_ERANGE,
                 "rope_forward: position 4 is not in [0, 4)");
    assert_fails(rope_backward(x, x, tokens(positions + 3, 3), &rope), CS336_ERANGE,
                 "rope_backward: position -1 is not in [0, 4)");
    assert_fails(rope_forward(filled(0, 5, 8), filled(0, 5, 8), NO_POSITIONS, &rope), CS336_ERANGE,
                 "rope_forward: position 4 is not in [0, 4)");
    assert_fails(rope_forward(x, x, tokens(positions + 4, 2), &rope), CS336_ESHAPE,
                 "rope_forward: positions are (2), x is (2, 3, 8)");
    assert_fails(rope_forward(filled(0, 2, 3, 6), filled(0, 2, 3, 6), NO_POSITIONS, &rope), CS336_ESHAPE,
                 "rope_forward: x is (2, 3, 6), the tables are for d_k 8");
    assert_fails(rope_forward(filled(0, 8), filled(0, 8), NO_POSITIONS, &rope), CS336_ESHAPE,
                 "rope_forward: x is (8), the tables are for d_k 8");
    assert_fails(rope_backward(filled(0, 3, 8), x, NO_POSITIONS, &rope), CS336_ESHAPE,
                 "rope_backward: grad_x is (3, 8), grad_y is (2, 3, 8)");
    assert_fails(rope_forward(x, tensor_transpose(filled(0, 2, 8, 3), 1, 2), NO_POSITIONS, &rope), CS336_ESHAPE,
                 "rope_forward: rows of x are not contiguous");
    assert_fails(rope_forward(filled(0, 3, 8), x, NO_POSITIONS, &rope), CS336_ESHAPE,
                 "rope_forward: y is (3, 8), x is (2, 3, 8)");
    assert_fails(rope_backward(filled(0, 3, 6), filled(0, 3, 6), NO_POSITIONS, &rope), CS336_ESHAPE,
                 "rope_backward: grad_y is (3, 6), the tables are for d_k 8");
    assert_fails(rope_backward(x, tensor_transpose(filled(0, 2, 8, 3), 1, 2), NO_POSITIONS, &rope), CS336_ESHAPE,
                 "rope_backward: rows of grad_y are not contiguous");
    assert_fails(rope_backward(x, x, tokens(positions + 4, 2), &rope), CS336_ESHAPE,
                 "rope_backward: positions are (2), grad_y is (2, 3, 8)");
    RoPE other;
    assert_ok(arena_init(&full, 64));
    assert_fails(rope_bind(&other, &full, 1e4F, 7, 4), CS336_ESHAPE, "rope_bind: d_k is 7, pairs need an even number");
    assert_fails(rope_bind(&other, &full, 0, 8, 4), CS336_ERANGE, "rope_bind: theta is 0, must be positive");
    assert_fails(rope_bind(&other, &full, NAN, 8, 4), CS336_ERANGE, "rope_bind: theta is nan, must be positive");
    assert_fails(rope_bind(&other, &full, 1e4F, 8, 4), CS336_ENOMEM, "arena_take: 64 bytes asked for, 0 of 64 left");
    ck_assert_uint_eq(full.used, 0);
    arena_deinit(&full);
    arena_deinit(&arena);
}
END_TEST

const TestCase rope_tests[] = {
    TEST(test_rope_gradients, "rope"),
    TEST(test_rope_in_place_on_head_views, "rope"),
    TEST(test_rope_broadcasts_positions, "rope"),
    TEST(test_rope_tables_are_exact_at_large_positions, "rope"),
    TEST(test_rope_names_what_does_not_fit, "rope"),
    {0},
};
