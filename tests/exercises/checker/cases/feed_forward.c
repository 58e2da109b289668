/* The position-wise feed-forward network, SwiGLU, and its mistakes. */
#include "nn/feed_forward.h"

#include "tests/exercises/checker/exercise.h"
#include "tests/support/reference_layers.h"

#include <math.h>

enum {
    GATES_EXCHANGED = 1,
    GLU,
    WITHOUT_GATE,
    GATE_OF_W1,
    GATE_ADDED,
    WITHOUT_SILU,
    SILU_OF_THE_PRODUCT,
    SILU_ON_BOTH,
    RELU_FOR_SILU,
    RESIDUAL_ADDED,
};

static const Mistake MISTAKES[] = {
    {GATES_EXCHANGED, "gates_exchanged", "W2 (silu(W3 x) * W1 x): SiLU is applied to W3 x in place of W1 x"},
    {GLU, "glu", "W2 (sigmoid(W1 x) * W3 x), which is GLU: the sigmoid in place of SiLU"},
    {WITHOUT_GATE, "without_gate", "W2 silu(W1 x): W3 is there, but the gate W3 x is not used"},
    {GATE_OF_W1, "gate_of_w1", "W2 (silu(W1 x) * W1 x): the gate must be W3 x"},
    {GATE_ADDED, "gate_added", "W2 (silu(W1 x) + W3 x): the gate must be multiplied"},
    {WITHOUT_SILU, "without_silu", "W2 (W1 x * W3 x): there is no SiLU"},
    {SILU_OF_THE_PRODUCT, "silu_of_the_product", "W2 silu(W1 x * W3 x): SiLU belongs to W1 x alone"},
    {SILU_ON_BOTH, "silu_on_both", "W2 (silu(W1 x) * silu(W3 x)): the gate W3 x has no activation"},
    {RELU_FOR_SILU, "relu_for_silu", "W2 (relu(W1 x) * W3 x), which is ReGLU: ReLU in place of SiLU"},
    {RESIDUAL_ADDED, "residual_added", "x + W2 (silu(W1 x) * W3 x): the Transformer block adds x, not this function"},
    {0},
};

typedef struct {
    Tensor y, x, w1, w2, w3; /* w3 without data: no gate */
} Problem;

static double silu(double x)
{
    return x / (1 + exp(-x));
}

/* One hidden number of up = (W1 x)_i and gate = (W3 x)_i, with the mistake. */
static double wrong_hidden(double up, double gate, int mistake)
{
    switch (mistake) {
    case GATES_EXCHANGED:
        return silu(gate) * up;
    case GLU:
        return gate / (1 + exp(-up));
    case WITHOUT_GATE:
        return silu(up);
    case GATE_OF_W1:
        return silu(up) * up;
    case GATE_ADDED:
        return silu(up) + gate;
    case WITHOUT_SILU:
        return up * gate;
    case SILU_OF_THE_PRODUCT:
        return silu(up * gate);
    case SILU_ON_BOTH:
        return silu(up) * silu(gate);
    case RELU_FOR_SILU:
        return fmax(up, 0) * gate;
    default:
        return silu(up) * gate;
    }
}

static double wrong_activation(double up, int mistake)
{
    return mistake == WITHOUT_SILU ? up : mistake == RELU_FOR_SILU ? fmax(up, 0) : silu(up);
}

/* W x for each row, in memory of the trial. */
static double *product(Trial *t, const double *x, Tensor weight, size_t rows)
{
    const size_t d_out = tensor_extent(weight, 0), d_in = tensor_extent(weight, 1);
    double *y = trial_memory(t, rows * d_out * sizeof *y);
    reference_linear(y, x, trial_doubles(t, weight), rows, d_in, d_out);
    return y;
}

static void answer(Trial *t, const Problem *p)
{
    const size_t rows = tensor_rows(p->x), d_model = tensor_extent(p->x, -1), d_ff = tensor_extent(p->w1, 0);
    const double *x = trial_doubles(t, p->x), *w1 = trial_doubles(t, p->w1), *w2 = trial_doubles(t, p->w2);
    double *y = trial_answer(t, p->y);
    if (t->mistake == 0) {
        reference_feed_forward(y, x, w1, w2, p->w3.data ? trial_doubles(t, p->w3) : NULL, rows, d_model, d_ff);
        return;
    }
    double *hidden = product(t, x, p->w1, rows);
    const double *gate = p->w3.data ? product(t, x, p->w3, rows) : NULL;
    for (size_t i = 0; i < rows * d_ff; i++)
        hidden[i] = gate ? wrong_hidden(hidden[i], gate[i], t->mistake) : wrong_activation(hidden[i], t->mistake);
    reference_linear(y, hidden, w2, rows, d_ff, d_model);
    for (size_t i = 0; i < rows * d_model && t->mistake == RESIDUAL_ADDED; i++)
        y[i] += x[i];
}

static void by_hand(Trial *t)
{
    static const float X[] = {1, 2}, W1[] = {1, 0, 0, 1, 1, -1}, W2[] = {1, 0, 1, 0, 1, 0}, W3[] = {1, 1, 2, 0, 0, 1};
    Problem p = {0};
    const Tensor x = p.x = trial_input(t, "x", X, 1, 2);
    p.w1 = trial_input(t, "w1", W1, 3, 2);
    p.w3 = trial_input(t, "w3", W3, 3, 2);
    p.w2 = trial_input(t, "w2", W2, 2, 3);
    const Tensor y = p.y = trial_output(t, "y", 1, 2);
    const FeedForward ffn = {.w1.weight = p.w1, .w2.weight = p.w2, .w3.weight = p.w3};
    Arena *scratch = trial_scratch(t);
    TRIAL_CALL(t, feed_forward_forward(y, NULL, x, &ffn, scratch));
    answer(t, &p);
}

/* Random weights. Those of w1 and w3 make numbers near 1 of rows near 1, and those of w2 of the hidden numbers. */
static void make_weights(Trial *t, Problem *p, size_t d_model, size_t d_ff, bool gated)
{
    p->w1 = trial_random(t, "w1", 1 / sqrt((double)d_model), d_ff, d_model);
    p->w2 = trial_random(t, "w2", 1 / sqrt((double)d_ff), d_model, d_ff);
    if (gated)
        p->w3 = trial_random(t, "w3", 1 / sqrt((double)d_model), d_ff, d_model);
}

/* Calls the function on x, without anything for a backward pass. */
static void feed(Trial *t, Tensor x, size_t d_ff, bool gated)
{
    Problem p = {.x = x};
    make_weights(t, &p, tensor_extent(x, -1), d_ff, gated);
    p.y = trial_output_like(t, "y", x);
    const FeedForward ffn = {.w1.weight = p.w1, .w2.weight = p.w2, .w3.weight = p.w3};
    TRIAL_CALL(t, feed_forward_forward(p.y, NULL, x, &ffn, trial_scratch(t)));
    answer(t, &p);
}

static void course_sizes(Trial *t)
{
    feed(t, trial_random(t, "x", 1, 4, 12, 64), 128, true);
}

static void one_row(Trial *t)
{
    feed(t, trial_random(t, "x", 1, 6), 8, true);
}

static void without_w3(Trial *t)
{
    feed(t, trial_random(t, "x", 1, 2, 3, 6), 8, false);
}

static void strides(Trial *t)
{
    t->gap = 3;
    feed(t, trial_random(t, "x", 1, 3, 6), 8, true);
}

static void no_rows(Trial *t)
{
    feed(t, trial_random(t, "x", 1, 0, 6), 8, true);
}

static void saved_numbers(Trial *t)
{
    enum { ROWS = 3, D_MODEL = 6, D_FF = 8 };
    Problem p = {.x = trial_random(t, "x", 1, ROWS, D_MODEL)};
    make_weights(t, &p, D_MODEL, D_FF, true);
    p.y = trial_output_like(t, "y", p.x);
    FeedForwardSaved saved = {.up = trial_output(t, "saved.up", ROWS, D_FF),
                              .gate = trial_output(t, "saved.gate", ROWS, D_FF)};
    const FeedForward ffn = {.w1.weight = p.w1, .w2.weight = p.w2, .w3.weight = p.w3};
    TRIAL_CALL(t, feed_forward_forward(p.y, &saved, p.x, &ffn, trial_scratch(t)));
    answer(t, &p);
    const double *x = trial_doubles(t, p.x);
    reference_linear(trial_answer(t, saved.up), x, trial_doubles(t, p.w1), ROWS, D_MODEL, D_FF);
    reference_linear(trial_answer(t, saved.gate), x, trial_doubles(t, p.w3), ROWS, D_MODEL, D_FF);
}

static const Case CASES[] = {
    CASE("one row, d_model 2, d_ff 3", by_hand),
    CASE("the sizes of the course's test", course_sizes),
    CASE("a tensor of one dimension", one_row),
    CASE("without w3: SiLU alone, for the ablation", without_w3),
    CASE("rows that do not follow each other in memory", strides),
    CASE("no rows", no_rows),
    {.what = "saved, which the backward pass reads", .run = saved_numbers, .optional = true},
    {0},
};

const Exercise exercise_feed_forward = {"feed_forward", .rtol = 1e-4, .atol = 1e-5, .cases = CASES,
                                        .mistakes = MISTAKES};
