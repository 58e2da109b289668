/* The feed-forward network, backward, and its mistakes. */
#include "nn/feed_forward.h"

#include "tests/exercises/checker/exercise.h"
#include "tests/support/reference.h"
#include "tests/support/reference_layers.h"

#include <math.h>
#include <string.h>

enum {
    SECOND_PART_OVERWRITES = 1,
    FIRST_PART_ONLY,
    INPUT_GRADIENT_ADDED,
    WEIGHTS_OVERWRITTEN,
    WITHOUT_SILU_SLOPE,
    SIGMOID_FOR_SLOPE,
    UP_WITHOUT_GATE,
    GATE_OF_UP,
    GRADIENTS_EXCHANGED,
    W2_OF_GRAD_HIDDEN,
    HIDDEN_WITHOUT_GATE,
};

static const Mistake MISTAKES[] = {
    {SECOND_PART_OVERWRITES, "second_part_overwrites",
     "grad_gate W3 alone in grad_x: it overwrites grad_up W1, and must be added to it"},
    {FIRST_PART_ONLY, "first_part_only", "grad_up W1 alone in grad_x: the gate is computed from x, too"},
    {INPUT_GRADIENT_ADDED, "input_gradient_added",
     "a gradient that is added to what grad_x held before: it must be overwritten"},
    {WEIGHTS_OVERWRITTEN, "weights_overwritten",
     "gradients that overwrite those of the weights: they must be added to them"},
    {WITHOUT_SILU_SLOPE, "without_silu_slope", "grad_up = grad_hidden * gate: the derivative of SiLU is missing"},
    {SIGMOID_FOR_SLOPE, "sigmoid_for_slope",
     "grad_up = grad_hidden * gate * p with the sigmoid p: the derivative of SiLU is p + up p (1 - p)"},
    {UP_WITHOUT_GATE, "up_without_gate", "grad_up = grad_hidden * silu'(up): the factor gate is missing"},
    {GATE_OF_UP, "gate_of_up", "grad_gate = grad_hidden * up: the gate was multiplied by silu(up)"},
    {GRADIENTS_EXCHANGED, "gradients_exchanged", "grad_gate in place of grad_up, and grad_up in place of grad_gate"},
    {W2_OF_GRAD_HIDDEN, "w2_of_grad_hidden",
     "the gradient of W2 from grad_hidden in place of hidden, the input that W2 had"},
    {HIDDEN_WITHOUT_GATE, "hidden_without_gate",
     "the gradient of W2 from silu(up): hidden, the input that W2 had, is silu(up) * gate"},
    {0},
};

enum { X, W1, W2, W3, INPUTS }; /* what has a gradient */

typedef struct {
    Tensor inputs[INPUTS]; /* w3 without data: no gate */
    Tensor grads[INPUTS];  /* without data: not wanted */
    Tensor grad_y;
    FeedForwardSaved saved;
    size_t rows, d_model, d_ff;
} Problem;

/* ---- the right gradients: central differences of the reference ---- */

typedef struct {
    double *inputs[INPUTS]; /* w3 may be NULL */
    const double *grad_y;
    double *y;
    const Problem *problem;
} Reference;

static double *doubles(Trial *t, size_t count)
{
    return trial_memory(t, count * sizeof(double));
}

/* Changeable numbers of an input, NULL if there is none. */
static double *widened(Trial *t, Tensor input)
{
    if (!input.data)
        return NULL;
    double *numbers = doubles(t, tensor_count(input));
    memcpy(numbers, trial_doubles(t, input), tensor_count(input) * sizeof *numbers);
    return numbers;
}

static double weighted_sum(void *context)
{
    const Reference *r = context;
    const Problem *p = r->problem;
    reference_feed_forward(r->y, r->inputs[X], r->inputs[W1], r->inputs[W2], r->inputs[W3], p->rows, p->d_model,
                           p->d_ff);
    return reference_dot(r->grad_y, r->y, p->rows * p->d_model);
}

static void right_gradients(Trial *t, double *gradients[INPUTS], const Problem *p)
{
    Reference r = {.grad_y = trial_doubles(t, p->grad_y), .y = doubles(t, p->rows * p->d_model), .problem = p};
    for (int i = 0; i < INPUTS; i++)
        r.inputs[i] = widened(t, p->inputs[i]);
    for (int i = 0; i < INPUTS; i++)
        if (gradients[i])
            central_difference(gradients[i], r.inputs[i], tensor_count(p->inputs[i]), 1e-5, weighted_sum, &r);
}

/* ---- the mistakes, by the chain rule ---- */

/* c += a b; a is (rows, n) and b is (n, columns). */
static void multiply(double *c, const double *a, const double *b, size_t rows, size_t n, size_t columns)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < n; k++)
            for (size_t j = 0; j < columns; j++)
                c[i * columns + j] += a[i * n + k] * b[k * columns + j];
}

/* grad_weight += grad_y^T x: what each row adds to the gradient of W in y = W x. */
static void multiply_rows(double *grad_weight, const double *grad_y, const double *x, size_t rows, size_t d_out,
                          size_t d_in)
{
    for (size_t r = 0; r < rows; r++)
        multiply(grad_weight, grad_y + r * d_out, x + r * d_in, d_out, 1, d_in);
}

/* Overwrites up, gate (both as the forward pass saved them) and grad_hidden by grad_up, grad_gate and hidden. */
static void wrong_activation(double *up, double *gate, double *grad_hidden, bool gated, int mistake)
{
    const double u = *up, g = gated ? *gate : 1, p = 1 / (1 + exp(-u)), silu = u * p, incoming = *grad_hidden;
    double slope = p + u * p * (1 - p);
    if (mistake == WITHOUT_SILU_SLOPE)
        slope = 1;
    if (mistake == SIGMOID_FOR_SLOPE)
        slope = p;
    *up = incoming * slope * (mistake == UP_WITHOUT_GATE ? 1 : g);
    *gate = gated ? incoming * (mistake == GATE_OF_UP ? u : silu) : 0;
    if (mistake == GRADIENTS_EXCHANGED && gated) {
        const double exchanged = *up;
        *up = *gate;
        *gate = exchanged;
    }
    if (mistake != W2_OF_GRAD_HIDDEN)
        *grad_hidden = mistake == HIDDEN_WITHOUT_GATE ? silu : silu * g;
}

static void wrong_gradients(Trial *t, double *gradients[INPUTS], const Problem *p)
{
    const size_t rows = p->rows, d_model = p->d_model, d_ff = p->d_ff;
    const double *x = trial_doubles(t, p->inputs[X]), *grad_y = trial_doubles(t, p->grad_y);
    const bool gated = p->inputs[W3].data != NULL;
    double *up = widened(t, p->saved.up), *gate = gated ? widened(t, p->saved.gate) : doubles(t, rows * d_ff);
    double *hidden = doubles(t, rows * d_ff);
    multiply(hidden, grad_y, trial_doubles(t, p->inputs[W2]), rows, d_model, d_ff);
    for (size_t i = 0; i < rows * d_ff; i++)
        wrong_activation(&up[i], &gate[i], &hidden[i], gated, t->mistake);
    if (gradients[X] && (t->mistake != SECOND_PART_OVERWRITES || !gated))
        multiply(gradients[X], up, trial_doubles(t, p->inputs[W1]), rows, d_ff, d_model);
    if (gradients[X] && t->mistake != FIRST_PART_ONLY && gated)
        multiply(gradients[X], gate, trial_doubles(t, p->inputs[W3]), rows, d_ff, d_model);
    if (gradients[W1])
        multiply_rows(gradients[W1], up, x, rows, d_ff, d_model);
    if (gradients[W2])
        multiply_rows(gradients[W2], grad_y, hidden, rows, d_model, d_ff);
    if (gradients[W3])
        multiply_rows(gradients[W3], gate, x, rows, d_ff, d_model);
}

/* ---- cases ---- */

/* The gradients of the weights are added to what is there, that of the input is not. */
static bool is_added(int input, int mistake)
{
    return input == X ? mistake == INPUT_GRADIENT_ADDED : mistake != WEIGHTS_OVERWRITTEN;
}

static void answer(Trial *t, const Problem *p)
{
    double *gradients[INPUTS] = {0};
    for (int i = 0; i < INPUTS; i++)
        gradients[i] = p->grads[i].data ? trial_answer(t, p->grads[i]) : NULL;
    if (t->mistake == 0)
        right_gradients(t, gradients, p);
    else
        wrong_gradients(t, gradients, p);
    for (int i = 0; i < INPUTS; i++) {
        const double *before = gradients[i] ? trial_doubles(t, p->grads[i]) : NULL;
        for (size_t k = 0; before && is_added(i, t->mistake) && k < tensor_count(p->grads[i]); k++)
            gradients[i][k] += before[k];
    }
}

/* What the forward pass saved: W x, which the function may overwrite. */
static Tensor saved_product(Trial *t, const char *name, const Problem *p, Tensor weight)
{
    double *numbers = doubles(t, p->rows * p->d_ff);
    reference_linear(numbers, trial_doubles(t, p->inputs[X]), trial_doubles(t, weight), p->rows, p->d_model, p->d_ff);
    return trial_changed(t, name, trial_floats(t, numbers, p->rows * p->d_ff), p->rows, p->d_ff);
}

static void by_hand(Trial *t)
{
    static const float XS[] = {1, 2}, W1S[] = {1, 0, 0, 1, 1, -1}, W2S[] = {1, 0, 1, 0, 1, 0};
    static const float W3S[] = {1, 1, 2, 0, 0, 1}, GRAD_Y[] = {1, 0};
    Problem p = {.rows = 1, .d_model = 2, .d_ff = 3};
    const Tensor x = p.inputs[X] = trial_input(t, "x", XS, 1, 2);
    p.inputs[W1] = trial_input(t, "w1", W1S, 3, 2);
    p.inputs[W3] = trial_input(t, "w3", W3S, 3, 2);
    p.inputs[W2] = trial_input(t, "w2", W2S, 2, 3);
    p.saved.up = saved_product(t, "saved.up", &p, p.inputs[W1]);
    p.saved.gate = saved_product(t, "saved.gate", &p, p.inputs[W3]);
    const Tensor grad_y = p.grad_y = trial_input(t, "grad_y", GRAD_Y, 1, 2);
    const Tensor grad_x = p.grads[X] = trial_output(t, "grad_x", 1, 2);
    p.grads[W2] = trial_changed(t, "grad.w2", NULL, 2, 3);
    const FeedForward ffn = {.w1.weight = p.inputs[W1], .w2.weight = p.inputs[W2], .w3.weight = p.inputs[W3]};
    FeedForward grad = {.w2.weight = p.grads[W2]}; /* of the others we want none: all would not fit the screen */
    FeedForwardSaved saved = p.saved;
    Arena *scratch = trial_scratch(t);
    TRIAL_CALL(t, feed_forward_backward(grad_x, &grad, grad_y, &saved, x, &ffn, scratch));
    answer(t, &p);
}

/* Random inputs, what the forward pass saved, and gradients of the weights that are not 0 before the call. */
static Problem random_problem(Trial *t, size_t rows, bool gated)
{
    Problem p = {.rows = rows, .d_model = 6, .d_ff = 8};
    p.inputs[X] = trial_random(t, "x", 1, rows, p.d_model);
    p.inputs[W1] = trial_random(t, "w1", 0.5, p.d_ff, p.d_model);
    p.inputs[W2] = trial_random(t, "w2", 0.5, p.d_model, p.d_ff);
    p.saved.up = saved_product(t, "saved.up", &p, p.inputs[W1]);
    p.grad_y = trial_random(t, "grad_y", 1, rows, p.d_model);
    p.grads[X] = trial_output(t, "grad_x", rows, p.d_model);
    p.grads[W1] = trial_changed_random(t, "grad.w1", 1, p.d_ff, p.d_model);
    p.grads[W2] = trial_changed_random(t, "grad.w2", 1, p.d_model, p.d_ff);
    if (gated) {
        p.inputs[W3] = trial_random(t, "w3", 0.5, p.d_ff, p.d_model);
        p.saved.gate = saved_product(t, "saved.gate", &p, p.inputs[W3]);
        p.grads[W3] = trial_changed_random(t, "grad.w3", 1, p.d_ff, p.d_model);
    }
    return p;
}

static FeedForward network(const Tensor tensors[INPUTS])
{
    return (FeedForward){.w1.weight = tensors[W1], .w2.weight = tensors[W2], .w3.weight = tensors[W3]};
}

static void differentiate(Trial *t, Problem *p)
{
    const FeedForward ffn = network(p->inputs);
    FeedForward grad = network(p->grads);
    TRIAL_CALL(t,
               feed_forward_backward(p->grads[X], &grad, p->grad_y, &p->saved, p->inputs[X], &ffn, trial_scratch(t)));
    answer(t, p);
}

static void several_rows(Trial *t)
{
    Problem p = random_problem(t, 5, true);
    differentiate(t, &p);
}

static void without_w3(Trial *t)
{
    Problem p = random_problem(t, 4, false);
    differentiate(t, &p);
}

static void strides(Trial *t)
{
    t->gap = 3;
    Problem p = random_problem(t, 3, true);
    differentiate(t, &p);
}

static void only_some_are_wanted(Trial *t)
{
    Problem p = random_problem(t, 3, true);
    p.grads[X] = p.grads[W2] = p.grads[W3] = (Tensor){0};
    differentiate(t, &p);
}

typedef struct {
    Tensor y, x;
    FeedForward ffn;
    Arena *scratch;
} Forward;

static Status forward(void *context)
{
    const Forward *f = context;
    return feed_forward_forward(f->y, NULL, f->x, &f->ffn, f->scratch);
}

static void finite_differences(Trial *t)
{
    Problem p = random_problem(t, 2, true);
    differentiate(t, &p);
    Forward f = {.y = trial_tensor(t, 2, 6), .x = p.inputs[X], .ffn = network(p.inputs), .scratch = trial_scratch(t)};
    for (int i = 0; i < INPUTS && t->mistake == 0; i++) {
        double *to = trial_answer(t, p.grads[i]);
        const double *before = trial_doubles(t, p.grads[i]);
        trial_differences(t, to, p.inputs[i], p.grad_y, f.y, forward, &f);
        for (size_t k = 0; k < tensor_count(p.grads[i]) && is_added(i, 0); k++)
            to[k] += before[k];
    }
}

static const Case CASES[] = {
    CASE("one row, d_model 2, d_ff 3", by_hand),
    CASE("five rows, added to other gradients of the weights", several_rows),
    CASE("without w3: SiLU alone, for the ablation", without_w3),
    CASE("rows that do not follow each other in memory", strides),
    CASE("only the gradient of w1 is wanted", only_some_are_wanted),
    {.what = "finite differences of your own forward pass", .run = finite_differences, .loosely = 30},
    {0},
};

const Exercise exercise_feed_forward_backward = {"feed_forward_backward", .rtol = 1e-4, .atol = 1e-5, .cases = CASES,
                                                 .mistakes = MISTAKES};
