/* The gradients of one Transformer layer, and mistakes. */
#include "nn/transformer_block.h"

#include "tests/exercises/checker/exercise.h"
#include "tests/exercises/checker/trial_model.h"
#include "tests/support/zeroed.h"

#include <stdio.h>
#include <string.h>

enum {
    FEED_FORWARD_RESIDUAL_LOST = 1,
    ATTENTION_RESIDUAL_LOST,
    RESIDUALS_LOST,
    NORMS_LEFT_OUT,
    BRANCHES_READ_THE_SUM,
    SECOND_NORM_OF_THE_INPUT,
    ATTENTION_GETS_GRAD_Y,
    ORDER_OF_THE_FORWARD_PASS,
};

static const Mistake MISTAKES[] = {
    {FEED_FORWARD_RESIDUAL_LOST, "feed_forward_residual_lost",
     "a backward pass that loses the residual path around the feed-forward network: grad_z lacks grad_y"},
    {ATTENTION_RESIDUAL_LOST, "attention_residual_lost",
     "a backward pass that loses the residual path around attention: grad_x lacks grad_z"},
    {RESIDUALS_LOST, "residuals_lost",
     "a backward pass that loses both residual paths: rmsnorm_backward() overwrites, rmsnorm_backward_add() adds"},
    {NORMS_LEFT_OUT, "norms_left_out", "a backward pass that leaves the two norms out"},
    {BRANCHES_READ_THE_SUM, "branches_read_the_sum",
     "a backward pass that gives the branches z and x as inputs, which they read after a norm"},
    {SECOND_NORM_OF_THE_INPUT, "second_norm_of_the_input",
     "a backward pass that gives x to the backward pass of norm2, whose input was z"},
    {ATTENTION_GETS_GRAD_Y, "attention_gets_grad_y", "a backward pass that gives attention grad_y in place of grad_z"},
    {ORDER_OF_THE_FORWARD_PASS, "order_of_the_forward_pass",
     "a backward pass that begins with attention, in the order of the forward pass"},
    {0},
};

/* What the forward pass computed, and the gradients: `grad` is grad_y at first, and grad_x at last. */
typedef struct {
    PlainSizes sizes;
    double *const *weights, *const *grads;
    const double *x;
    double *normed1, *z, *normed2, *grad, *grad_y;
} Pass;

/* The gradient of norm2 or norm1, whose input is `sum`, and the residual path. */
static void norm_and_residual(Pass *p, int norm, const double *grad_normed, const double *told, const double *sum,
                              bool residual, int mistake)
{
    const size_t count = plain_count(p->sizes);
    if (!residual)
        memset(p->grad, 0, count * sizeof *p->grad);
    if (mistake == NORMS_LEFT_OUT)
        plain_add(p->grad, grad_normed, count);
    else
        plain_norm_backward(p->grad, p->grads[norm], grad_normed, told, sum, p->weights[norm], p->sizes);
}

/* y = z + FFN(norm2(z)) */
static void feed_forward_part(Pass *p, int mistake)
{
    double *grad_normed = zeroed(plain_count(p->sizes), sizeof *grad_normed);
    plain_feed_backward(grad_normed, p->grads, p->grad, p->normed2,
                        mistake == BRANCHES_READ_THE_SUM ? p->z : p->normed2, p->weights, p->sizes);
    norm_and_residual(p, LN2, grad_normed, mistake == SECOND_NORM_OF_THE_INPUT ? p->x : p->z, p->z,
                      mistake != FEED_FORWARD_RESIDUAL_LOST && mistake != RESIDUALS_LOST, mistake);
    free(grad_normed);
}

/* z = x + MHA(norm1(x)) */
static void attention_part(Pass *p, int mistake)
{
    double *grad_normed = zeroed(plain_count(p->sizes), sizeof *grad_normed);
    plain_attend_backward(grad_normed, p->grads, mistake == ATTENTION_GETS_GRAD_Y ? p->grad_y : p->grad, p->normed1,
                          mistake == BRANCHES_READ_THE_SUM ? p->x : p->normed1, p->weights, p->sizes);
    norm_and_residual(p, LN1, grad_normed, p->x, p->x, mistake != ATTENTION_RESIDUAL_LOST && mistake != RESIDUALS_LOST,
                      mistake);
    free(grad_normed);
}

/* The course's layer. `grad` is the gradient of y, and becomes that of x. */
static void wrong_backward(Trial *t, double *grad, double *const grads[], const double *x, double *const weights[],
                           PlainSizes sizes)
{
    const size_t count = plain_count(sizes);
    Pass p = {.sizes = sizes, .weights = weights, .grads = grads, .x = x, .grad = grad};
    p.normed1 = trial_memory(t, count * sizeof *p.normed1);
    p.normed2 = trial_memory(t, count * sizeof *p.normed2);
    p.z = trial_memory(t, count * sizeof *p.z);
    p.grad_y = trial_memory(t, count * sizeof *p.grad_y);
    memcpy(p.grad_y, grad, count * sizeof *grad);
    plain_norm(p.normed1, x, weights[LN1], sizes);
    plain_attend(p.z, p.normed1, weights, sizes);
    plain_add(p.z, x, count);
    plain_norm(p.normed2, p.z, weights[LN2], sizes);
    if (t->mistake == ORDER_OF_THE_FORWARD_PASS)
        attention_part(&p, t->mistake);
    feed_forward_part(&p, t->mistake);
    if (t->mistake != ORDER_OF_THE_FORWARD_PASS)
        attention_part(&p, t->mistake);
}

/* One call: its tensors. */
typedef struct {
    TransformerLMConfig config;
    size_t batch, seq;
    const int32_t *given; /* positions; NULL: none */
    Tensor x, grad_y, grad_x;
    TrialModel *m;
} Problem;

/* The forward pass before, which is the learner's if it is passed; nothing of it is compared. */
static void forward(const Trial *t, const Problem *p, TransformerBlockSaved *saved, const RoPE *rope,
                    TokenTensor positions, Tensor y, Arena *scratch)
{
    const TransformerBlock *block = &p->m->lm.layers[0];
    if (t->calls && (transformer_block_bind_saved(saved, scratch, p->x, block) ||
                     transformer_block_forward(y, saved, p->x, block, rope, positions, scratch))) {
        fprintf(stderr, "checker: the forward pass failed: %s\n", status_message());
        exit(2);
    }
}

static void call(Trial *t, const Problem *p)
{
    const bool rotates = p->config.position == POSITION_ROPE;
    const TransformerBlock *block = &p->m->lm.layers[0];
    TransformerBlock *grad = &p->m->grad.layers[0];
    const RoPE *rope = rotates ? &p->m->lm.rope : NULL;
    const TokenTensor positions = p->given ? trial_ids(t, "positions", p->given, p->seq) : (TokenTensor){0};
    const Tensor x = p->x, grad_y = p->grad_y, grad_x = p->grad_x;
    Arena *scratch = trial_scratch(t);
    TransformerBlockSaved saved = {.sum1 = {0}};
    forward(t, p, &saved, rope, positions, trial_tensor_of(t, x.rank, x.shape), scratch);
    TRIAL_CALL(t, transformer_block_backward(grad_x, grad, grad_y, &saved, x, block, rope, positions, scratch));
}

static void answer(Trial *t, const Problem *p)
{
    const PlainSizes sizes = {p->batch, p->seq, &p->config, p->given};
    double **grads = trial_gradient_answers(t, p->m), *grad = trial_answer(t, p->grad_x);
    double *const *weights = p->m->weights + layer_weights(0);
    const double *x = trial_doubles(t, p->x);
    memcpy(grad, trial_doubles(t, p->grad_y), plain_count(sizes) * sizeof *grad);
    if (t->mistake == 0 || p->config.norm != NORM_PRE)
        plain_block_backward(grad, grads + layer_weights(0), x, x, weights, sizes);
    else
        wrong_backward(t, grad, grads + layer_weights(0), x, weights, sizes);
}

/* ---- cases ---- */

static void by_hand(Trial *t)
{
    static const float X[] = {3, 4}, GRAD_Y[] = {1, 0};
    Problem p = {.batch = 1, .seq = 1};
    p.x = trial_input(t, "x", X, 1, 2);
    p.m = trial_toy_layer(t);
    p.config = p.m->lm.config;
    p.grad_y = trial_input(t, "grad_y", GRAD_Y, 1, 2);
    p.grad_x = trial_output(t, "grad_x", 1, 2);
    call(t, &p); /* the gradients of the weights are not wanted */
    answer(t, &p);
}

static Problem random_problem(Trial *t, NormPlacement norm, size_t batch, size_t seq)
{
    Problem p = {.config = trial_small_config(norm, 1), .batch = batch, .seq = seq};
    p.x = trial_random(t, "x", 1, batch, seq, p.config.d_model);
    p.grad_y = trial_random(t, "grad_y", 1, batch, seq, p.config.d_model);
    p.grad_x = trial_output_like(t, "grad_x", p.x);
    t->gap = 0;
    p.m = trial_layer(t, &p.config, NULL);
    return p;
}

static void try_layer(Trial *t, NormPlacement norm, size_t batch, size_t seq, const int32_t *positions)
{
    Problem p = random_problem(t, norm, batch, seq);
    p.given = positions;
    trial_gradients(t, p.m, GRADIENTS_RANDOM);
    call(t, &p);
    answer(t, &p);
}

static void random_layer(Trial *t)
{
    try_layer(t, NORM_PRE, 2, 5, NULL);
}

static void own_positions(Trial *t)
{
    static const int32_t POSITIONS[] = {0, 2, 3, 9, 11};
    try_layer(t, NORM_PRE, 2, 5, POSITIONS);
}

static void strides(Trial *t)
{
    t->gap = 3;
    try_layer(t, NORM_PRE, 2, 3, NULL);
}

static void post_norm(Trial *t)
{
    try_layer(t, NORM_POST, 2, 5, NULL);
}

static void no_norm(Trial *t)
{
    try_layer(t, NORM_NONE, 2, 5, NULL);
}

static void in_place(Trial *t)
{
    Problem p = random_problem(t, NORM_PRE, 2, 3);
    p.grad_y = p.grad_x = trial_changed_random(t, "grad_y, then grad_x", 1, 2, 3, p.config.d_model);
    call(t, &p);
    answer(t, &p);
}

/* ---- finite differences ---- */

typedef struct {
    const Problem *problem;
    Tensor y;
    Arena *scratch;
} Forward;

static Status run_forward(void *context)
{
    const Forward *f = context;
    return transformer_block_forward(f->y, NULL, f->problem->x, &f->problem->m->lm.layers[0], &f->problem->m->lm.rope,
                                     (TokenTensor){0}, f->scratch);
}

static void finite_differences(Trial *t)
{
    Problem p = random_problem(t, NORM_PRE, 1, 3);
    call(t, &p);
    answer(t, &p);
    Forward f = {&p, trial_tensor(t, 1, 3, p.config.d_model), trial_scratch(t)};
    if (t->mistake == 0 && !t->calls)
        trial_differences(t, trial_answer(t, p.grad_x), p.x, p.grad_y, f.y, run_forward, &f);
}

static const Case CASES[] = {
    CASE("one token; MHA(u) is 0.5 u, and FFN(u) is -u", by_hand),
    CASE("random weights, whose gradients are added to", random_layer),
    CASE("positions that the caller gives", own_positions),
    CASE("rows that do not follow each other in memory", strides),
    CASE("grad_x is grad_y itself", in_place),
    {.what = "finite differences of your own forward pass", .run = finite_differences, .loosely = 100},
    {.what = "post-norm, an ablation", .run = post_norm, .optional = true},
    {.what = "no norms, an ablation", .run = no_norm, .optional = true},
    {0},
};

const Exercise exercise_transformer_block_backward = {"transformer_block_backward", .rtol = 1e-4, .atol = 1e-5,
                                                      .cases = CASES, .mistakes = MISTAKES};
