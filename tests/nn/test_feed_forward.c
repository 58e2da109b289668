/* SwiGLU, and SiLU without a gate: PyTorch's values and gradients, central differences, exact scratch. */
#include "nn/feed_forward.h"
#include "nn/functional.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/reference_layers.h"
#include "tests/support/sample.h"

#include <math.h>
#include <stdio.h>

static const Tensor NOT_WANTED = {0};

typedef struct {
    const char *name;
    Sample x, w1, w2, w3, grad_y;
    bool gated;
    FeedForward ffn;
} FeedForwardProblem;

static FeedForwardProblem feed_forward_problem(const char *layer, bool gated)
{
#define NAMED(what) (snprintf(name, sizeof name, "%s.%s", layer, what), name)
    char name[64];
    FeedForwardProblem p = {.name = layer, .gated = gated};
    p.x = sample(NAMED("x"), 0, 1, 2, 3, 6);
    p.w1 = sample(NAMED("w1"), 0, 0.5, 10, 6);
    p.w2 = sample(NAMED("w2"), 0, 0.5, 6, 10);
    p.w3 = sample(NAMED("w3"), 0, 0.5, 10, 6);
    p.grad_y = sample(NAMED("grad_y"), 0, 1, 2, 3, 6);
    p.ffn = (FeedForward){{.weight = p.w1.value}, {.weight = p.w2.value}, {.weight = gated ? p.w3.value : NOT_WANTED}};
    return p;
#undef NAMED
}

/* Copies w1 and w3 into one tensor, so that w3 follows w1 in memory, as in a model. */
static FeedForward beside(const FeedForward *ffn)
{
    const Tensor both = filled(0, 20, 6);
    const FeedForward neighbours = {
        {.weight = tensor(both.data, 10, 6)}, ffn->w2, {.weight = tensor(both.data + 60, 10, 6)}};
    tensor_copy(neighbours.w1.weight, ffn->w1.weight);
    tensor_copy(neighbours.w3.weight, ffn->w3.weight);
    return neighbours;
}

static FeedForward feed_forward_grad(bool gated)
{
    return (FeedForward){
        {.weight = filled(0, 10, 6)}, {.weight = filled(0, 6, 10)}, {.weight = gated ? filled(0, 10, 6) : NOT_WANTED}};
}

static double feed_forward_loss(void *context)
{
    const FeedForwardProblem *p = context;
    double y[36];
    reference_feed_forward(y, p->x.wide, p->w1.wide, p->w2.wide, p->gated ? p->w3.wide : NULL, 6, 6, 10);
    return reference_dot(y, p->grad_y.wide, 36);
}

/* Runs both passes with exactly the scratch that the functions ask for. */
static void run_feed_forward(Tensor y, Tensor grad_x, FeedForward *grad, const FeedForwardProblem *p,
                             const FeedForward *ffn)
{
    Arena memory, scratch;
    FeedForwardSaved saved;
    assert_ok(arena_init(&memory, 1 << 14));
    assert_ok(arena_init(&scratch, feed_forward_scratch(p->x.value, ffn, true)));
    assert_ok(feed_forward_bind_saved(&saved, &memory, p->x.value, ffn));
    assert_ok(feed_forward_forward(y, &saved, p->x.value, ffn, &scratch));
    assert_ok(feed_forward_backward(grad_x, grad, p->grad_y.value, &saved, p->x.value, ffn, &scratch));
    arena_deinit(&scratch);
    arena_deinit(&memory);
}

static void check_feed_forward(FeedForwardProblem *p, const FeedForward *ffn, FeedForward *grad)
{
    const Tensor y = filled_like(NAN, p->x.value), grad_x = filled_like(NAN, p->x.value);
    run_feed_forward(y, grad_x, grad, p, ffn);
    assert_pytorch(y, p->name, "y");
    assert_pytorch(grad_x, p->name, "grad_x");
    assert_pytorch(grad->w1.weight, p->name, "grad_w1");
    assert_pytorch(grad->w2.weight, p->name, "grad_w2");
    assert_differences("grad_x", grad_x, p->x, feed_forward_loss, p);
    assert_differences("grad_w1", grad->w1.weight, p->w1, feed_forward_loss, p);
    assert_differences("grad_w2", grad->w2.weight, p->w2, feed_forward_loss, p);
    if (!p->gated)
        return;
    assert_pytorch(grad->w3.weight, p->name, "grad_w3");
    assert_differences("grad_w3", grad->w3.weight, p->w3, feed_forward_loss, p);
}

START_TEST(test_swiglu_gradients)
{
    FeedForwardProblem p = feed_forward_problem("swiglu", true);
    FeedForward grad = feed_forward_grad(true);
    check_feed_forward(&p, &p.ffn, &grad);
}
END_TEST

START_TEST(test_swiglu_gradients_of_neighbouring_weights)
{
    FeedForwardProblem p = feed_forward_problem("swiglu", true);
    const FeedForward together = beside(&p.ffn), zero = feed_forward_grad(true);
    FeedForward grad = beside(&zero), apart = feed_forward_grad(true);
    test_label("adjacent gradients");
    check_feed_forward(&p, &together, &grad);
    test_label("separate gradients");
    check_feed_forward(&p, &together, &apart);
}
END_TEST

START_TEST(test_swiglu_adds_to_the_weight_gradients)
{
    const FeedForwardProblem p = feed_forward_problem("swiglu", true);
    FeedForward once = feed_forward_grad(true), twice = feed_forward_grad(true);
    const Tensor y = filled_like(NAN, p.x.value), grad_x = filled_like(NAN, p.x.value);
    run_feed_forward(y, grad_x, &once, &p, &p.ffn);
    for (int i = 0; i < 2; i++)
        run_feed_forward(y, grad_x, &twice, &p, &p.ffn);
    assert_pytorch(grad_x, "swiglu", "grad_x"); /* overwritten */
    const Tensor once_of[] = {once.w1.weight, once.w2.weight, once.w3.weight};
    const Tensor twice_of[] = {twice.w1.weight, twice.w2.weight, twice.w3.weight};
    for (int i = 0; i < 3; i++) {
        for (size_t k = 0; k < tensor_count(once_of[i]); k++)
            once_of[i].data[k] *= 2;
        assert_allclose(twice_of[i], once_of[i], 1e-6, 1e-7);
    }
}
END_TEST

START_TEST(test_silu_feed_forward_gradients)
{
    FeedForwardProblem p = feed_forward_problem("silu_ffn", false);
    FeedForward grad = feed_forward_grad(false);
    check_feed_forward(&p, &p.ffn, &grad);
}
END_TEST

START_TEST(test_feed_forward_is_silu_between_two_maps)
{
    FeedForwardProblem p = feed_forward_problem("silu_ffn", false);
    const Tensor x = p.x.value, y = filled_like(NAN, x), grad_x = filled_like(NAN, x);
    FeedForward grad = feed_forward_grad(false), expected = feed_forward_grad(false);
    run_feed_forward(y, grad_x, &grad, &p, &p.ffn);
    /* y = W2 hidden with hidden = SiLU(up) and up = W1 x, and back. */
    const Tensor up = filled(NAN, 2, 3, 10), hidden = filled(NAN, 2, 3, 10), grad_hidden = filled(NAN, 2, 3, 10);
    const Tensor expected_y = filled_like(NAN, x), expected_x = filled_like(NAN, x);
    assert_ok(linear_forward(up, x, &p.ffn.w1));
    assert_ok(silu_forward(hidden, up));
    assert_ok(linear_forward(expected_y, hidden, &p.ffn.w2));
    assert_ok(linear_backward(grad_hidden, &expected.w2, p.grad_y.value, hidden, &p.ffn.w2));
    assert_ok(silu_backward(grad_hidden, grad_hidden, up));
    assert_ok(linear_backward(expected_x, &expected.w1, grad_hidden, x, &p.ffn.w1));
    assert_allclose(y, expected_y, 1e-6, 1e-7);
    assert_allclose(grad_x, expected_x, 1e-6, 1e-7);
    assert_allclose(grad.w1.weight, expected.w1.weight, 1e-6, 1e-7);
    assert_allclose(grad.w2.weight, expected.w2.weight, 1e-6, 1e-7);
}
END_TEST

START_TEST(test_swiglu_skips_what_is_not_wanted)
{
    const FeedForwardProblem p = feed_forward_problem("swiglu", true);
    FeedForward frozen = {{.weight = NOT_WANTED}, {.weight = NOT_WANTED}, {.weight = NOT_WANTED}},
                grad = feed_forward_grad(true);
    const Tensor y = filled_like(NAN, p.x.value), grad_x = filled_like(NAN, p.x.value);
    run_feed_forward(y, grad_x, &frozen, &p, &p.ffn);
    run_feed_forward(y, NOT_WANTED, &grad, &p, &p.ffn);
    assert_pytorch(grad_x, "swiglu", "grad_x");
    assert_pytorch(grad.w1.weight, "swiglu", "grad_w1");
    assert_pytorch(grad.w3.weight, "swiglu", "grad_w3");
}
END_TEST

static Status infer_feed_forward(void *context, Arena *scratch)
{
    const FeedForwardProblem *p = context;
    const Tensor y = filled_like(NAN, p->x.value);
    const Status s = feed_forward_forward(y, NULL, p->x.value, &p->ffn, scratch);
    if (!s)
        assert_pytorch(y, p->name, "y");
    return s;
}

START_TEST(test_feed_forward_inference_takes_exactly_its_scratch)
{
    FeedForwardProblem swiglu = feed_forward_problem("swiglu", true), silu = feed_forward_problem("silu_ffn", false);
    assert_scratch(feed_forward_scratch(swiglu.x.value, &swiglu.ffn, false), infer_feed_forward, &swiglu);
    assert_scratch(feed_forward_scratch(silu.x.value, &silu.ffn, false), infer_feed_forward, &silu);
}
END_TEST

static Status back_feed_forward(void *context, Arena *scratch)
{
    const FeedForwardProblem *p = context;
    FeedForwardSaved saved;
    FeedForward grad = feed_forward_grad(true);
    Arena memory;
    assert_ok(arena_init(&memory, 1 << 14));
    assert_ok(feed_forward_bind_saved(&saved, &memory, p->x.value, &p->ffn));
    const Status s = feed_forward_backward(filled_like(NAN, p->x.value), &grad, p->grad_y.value, &saved, p->x.value,
                                           &p->ffn, scratch);
    arena_deinit(&memory);
    return s;
}

START_TEST(test_feed_forward_backward_takes_exactly_its_scratch)
{
    FeedForwardProblem p = feed_forward_problem("swiglu", true);
    assert_scratch(feed_forward_scratch(p.x.value, &p.ffn, true), back_feed_forward, &p);
}
END_TEST

START_TEST(test_feed_forward_names_the_shapes_that_differ)
{
    FeedForwardProblem p = feed_forward_problem("swiglu", true);
    const Tensor x = p.x.value, y = filled_like(0, x);
    FeedForwardSaved saved = {0};
    FeedForward bad = p.ffn, grad = feed_forward_grad(true);
    Arena scratch;
    assert_ok(arena_init(&scratch, 64));
    assert_fails(feed_forward_forward(filled(0, 6, 6), NULL, x, &p.ffn, &scratch), CS336_ESHAPE,
                 "feed_forward_forward: y is (6, 6), x is (2, 3, 6), w1 is (10, 6)");
    assert_fails(feed_forward_backward(y, &grad, filled(0, 6, 6), &saved, x, &p.ffn, &scratch), CS336_ESHAPE,
                 "feed_forward_backward: grad_y is (6, 6), x is (2, 3, 6), w1 is (10, 6)");
    assert_fails(feed_forward_bind_saved(&saved, &scratch, x, &p.ffn), CS336_ENOMEM,
                 "arena_take: 480 bytes asked for, 64 of 64 left");
    bad.w3.weight = filled(0, 10, 5);
    assert_fails(feed_forward_forward(y, NULL, x, &bad, &scratch), CS336_ESHAPE,
                 "feed_forward_forward: w1 is (10, 6), w2 is (6, 10), w3 is (10, 5)");
    assert_fails(feed_forward_backward(y, &grad, y, &saved, x, &bad, &scratch), CS336_ESHAPE,
                 "feed_forward_backward: w1 is (10, 6), w2 is (6, 10), w3 is (10, 5)");
    bad.w3.weight = NOT_WANTED;
    bad.w2.weight = filled(0, 6, 9);
    assert_fails(feed_forward_forward(y, NULL, x, &bad, &scratch), CS336_ESHAPE,
                 "feed_forward_forward: w1 is (10, 6), w2 is (6, 9), w3 is absent");
    arena_deinit(&scratch);
}
END_TEST

const TestCase feed_forward_tests[] = {
    TEST(test_swiglu_gradients, "positionwise_feedforward"),
    TEST(test_swiglu_gradients_of_neighbouring_weights, "positionwise_feedforward"),
    TEST(test_swiglu_adds_to_the_weight_gradients, "positionwise_feedforward"),
    TEST(test_silu_feed_forward_gradients, "swiglu_ablation"),
    TEST(test_feed_forward_is_silu_between_two_maps, "swiglu_ablation"),
    TEST(test_swiglu_skips_what_is_not_wanted, "positionwise_feedforward"),
    TEST(test_feed_forward_inference_takes_exactly_its_scratch, "positionwise_feedforward"),
    TEST(test_feed_forward_backward_takes_exactly_its_scratch, "positionwise_feedforward"),
    TEST(test_feed_forward_names_the_shapes_that_differ, "positionwise_feedforward"),
    {0},
};
