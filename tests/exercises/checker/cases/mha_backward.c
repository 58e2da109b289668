/* The backward pass of multi-head self-attention and its mistakes. */
#include "nn/mha.h"
#include "tests/exercises/checker/cases/mha_gradients.h"
#include "tests/exercises/checker/exercise.h"

#include <string.h>

static const Mistake MISTAKES[] = {
    {BACKWARD_GRAD_X_OF_THE_VALUE_ONLY, "grad_x_of_the_value_only",
     "a backward pass whose grad_x is that of v_proj alone: x is read by three maps, so grad_x is the sum of three"},
    {BACKWARD_GRAD_X_WITHOUT_THE_KEY, "grad_x_without_the_key",
     "a backward pass whose grad_x lacks what comes from k_proj"},
    {BACKWARD_GRAD_X_ADDED, "grad_x_added",
     "a backward pass that adds to what grad_x held before (nan here): grad_x is overwritten"},
    {BACKWARD_NOT_ROTATED_BACK, "not_rotated_back",
     "a backward pass without RoPE's: the gradients of query and key are rotated back"},
    {BACKWARD_ROTATED_FORWARDS, "rotated_forwards",
     "a backward pass that rotates the gradients of query and key forwards, by rope_forward()"},
    {BACKWARD_KEY_NOT_ROTATED_BACK, "key_not_rotated_back", "a backward pass in which only grad_query is rotated back"},
    {BACKWARD_VALUE_ROTATED_BACK, "value_rotated_back", "a backward pass that rotates the gradient of the value, too"},
    {BACKWARD_POSITIONS_IGNORED, "positions_ignored",
     "a backward pass with positions 0, 1, 2, ... whatever the positions say"},
    {BACKWARD_SEES_THE_FUTURE, "sees_the_future", "a backward pass whose attention is not causal"},
    {BACKWARD_OUTPUT_PROJ_OF_THE_VALUE, "output_proj_of_the_value",
     "a backward pass whose gradient of output_proj is computed from saved->value: its input was saved->attended"},
    {BACKWARD_WITHOUT_OUTPUT_PROJ, "without_output_proj",
     "a backward pass that takes grad_y for the gradient of attended: it goes through output_proj first"},
    {BACKWARD_WEIGHTS_OVERWRITTEN, "weights_overwritten",
     "a backward pass that overwrites the gradients of the weights: they are added to"},
    {0},
};

/* One problem: the forward pass's, and the tensors of the backward pass. */
typedef struct {
    MhaProblem forward;
    Tensor grad_y, grad_x, grad_weights[PROJECTIONS];
    MultiHeadSelfAttentionSaved saved;
} Problem;

/* ---- cases ---- */

/* Room for the answer of a gradient; it begins as what was there before the call, or as 0. */
static double *begun(Trial *t, Tensor gradient, Tensor like, bool added)
{
    double *numbers = gradient.data ? trial_answer(t, gradient) : trial_memory(t, tensor_count(like) * sizeof *numbers);
    if (gradient.data && added)
        memcpy(numbers, trial_doubles(t, gradient), tensor_count(gradient) * sizeof *numbers);
    return numbers;
}

/* Computes the answer of a problem whose function was called. */
static void answer(Trial *t, const Problem *p)
{
    const MhaProblem *f = &p->forward;
    MhaGradients a = {.grad_y = trial_doubles(t, p->grad_y), .x = trial_doubles(t, f->x)};
    a.grad_x = begun(t, p->grad_x, f->x, t->mistake == BACKWARD_GRAD_X_ADDED);
    for (int i = 0; i < PROJECTIONS; i++) {
        a.weights[i] = trial_doubles(t, f->weights[i]);
        a.grad_weights[i] = begun(t, p->grad_weights[i], f->weights[i], t->mistake != BACKWARD_WEIGHTS_OVERWRITTEN);
    }
    mha_in_double(t, trial_memory(t, tensor_count(f->x) * sizeof(double)), &a.saved, f, 0);
    if (t->mistake)
        mha_wrong_gradients(t, &a, f, t->mistake);
    else
        mha_central_differences(t, &a, f);
}

/* An input of float32 numbers that were computed in double. */
static Tensor rounded(Trial *t, const char *name, const double *numbers, int rank, const size_t *shape)
{
    size_t count = 1;
    for (int d = 0; d < rank; d++)
        count *= shape[d];
    float *narrow = trial_memory(t, count * sizeof *narrow);
    for (size_t i = 0; i < count; i++)
        narrow[i] = (float)numbers[i];
    return trial_input_of(t, name, narrow, rank, shape);
}

/* Makes the inputs that the forward pass wrote. */
static void run_forward(Trial *t, Problem *p)
{
    const MhaProblem *f = &p->forward;
    const ReferenceAttention n = f->sizes;
    MhaSaved saved;
    mha_in_double(t, trial_memory(t, tensor_count(f->x) * sizeof(double)), &saved, f, 0);
    p->saved.query = rounded(t, "saved.query", saved.query, f->x.rank, f->x.shape);
    p->saved.key = rounded(t, "saved.key", saved.key, f->x.rank, f->x.shape);
    p->saved.value = rounded(t, "saved.value", saved.value, f->x.rank, f->x.shape);
    p->saved.attended = rounded(t, "saved.attended", saved.attended, f->x.rank, f->x.shape);
    const size_t whole[] = {n.batch, n.heads, n.seq, 1}, *shape = whole + (f->x.rank == 2);
    p->saved.log_sum_exp = rounded(t, "saved.log_sum_exp", saved.log_sum_exp, f->x.rank + 1, shape);
}

/* Calls the function on the tensors of p, and computes the answer. */
static void call(Trial *t, const Problem *p)
{
    const Tensor grad_x = p->grad_x, grad_y = p->grad_y, x = p->forward.x;
    const MultiHeadSelfAttention mha = p->forward.mha;
    MultiHeadSelfAttention grad = {.num_heads = mha.num_heads,
                                   .q_proj.weight = p->grad_weights[Q_PROJ],
                                   .k_proj.weight = p->grad_weights[K_PROJ],
                                   .v_proj.weight = p->grad_weights[V_PROJ],
                                   .output_proj.weight = p->grad_weights[OUTPUT_PROJ]};
    const MultiHeadSelfAttentionSaved saved = p->saved;
    const RoPE *rope = p->forward.rope;
    const TokenTensor positions = p->forward.positions;
    Arena *scratch = trial_scratch(t);
    TRIAL_CALL(t, mha_backward(grad_x, &grad, grad_y, &saved, x, &mha, rope, positions, scratch));
    answer(t, p);
}

static const char *const GRADIENTS[] = {"grad.q_proj", "grad.k_proj", "grad.v_proj", "grad.output_proj"};

/* One head and weights that are the identity; the gradients of the weights begin at 0. */
static void by_hand(Trial *t)
{
    static const float X[] = {1, 0, 0, 1}, IDENTITY[] = {1, 0, 0, 1}, GRAD_Y[] = {0, 0, 1, 0};
    static const char *const NAMES[] = {"q_proj", "k_proj", "v_proj", "output_proj"};
    Problem p = {.forward.sizes = {.batch = 1, .seq = 2, .d_model = 2, .heads = 1}};
    p.forward.x = trial_input(t, "x", X, 2, 2);
    for (int i = 0; i < PROJECTIONS; i++)
        p.forward.weights[i] = trial_input(t, NAMES[i], IDENTITY, 2, 2);
    mha_bind(t, &p.forward);
    run_forward(t, &p);
    p.grad_y = trial_input(t, "grad_y", GRAD_Y, 2, 2);
    p.grad_x = trial_output(t, "grad_x", 2, 2);
    for (int i = 0; i < PROJECTIONS; i++)
        p.grad_weights[i] = trial_changed(t, GRADIENTS[i], NULL, 2, 2);
    call(t, &p);
}

/* Random inputs, what the forward pass saved, and gradients of the weights that hold old numbers. */
static void make_inputs(Trial *t, Problem *p)
{
    const ReferenceAttention n = p->forward.sizes;
    mha_inputs(t, &p->forward);
    run_forward(t, p);
    p->grad_y = trial_random(t, "grad_y", 1, n.batch, n.seq, n.d_model);
    for (int i = 0; i < PROJECTIONS; i++)
        p->grad_weights[i] = trial_changed_random(t, GRADIENTS[i], 1, n.d_model, n.d_model);
}

static void try_sizes(Trial *t, ReferenceAttention sizes)
{
    Problem p = {.forward.sizes = sizes};
    make_inputs(t, &p);
    p.grad_x = trial_output_like(t, "grad_x", p.forward.x);
    call(t, &p);
}

static const double THETA = 10000;

static void without_rope(Trial *t)
{
    try_sizes(t, (ReferenceAttention){.batch = 2, .seq = 4, .d_model = 6, .heads = 3});
}

static void with_rope(Trial *t)
{
    try_sizes(t, (ReferenceAttention){.batch = 2, .seq = 4, .d_model = 8, .heads = 2, .theta = THETA});
}

static void one_token(Trial *t)
{
    try_sizes(t, (ReferenceAttention){.batch = 2, .seq = 1, .d_model = 4, .heads = 2, .theta = THETA});
}

static void strides(Trial *t)
{
    t->gap = 3;
    try_sizes(t, (ReferenceAttention){.batch = 1, .seq = 3, .d_model = 4, .heads = 2, .theta = THETA});
}

static void positions_of_each_sequence(Trial *t)
{
    static const int32_t POSITIONS[] = {0, 2, 7, 31, 5, 5, 6, 4};
    Problem p = {
        .forward = {.sizes = {.batch = 2, .seq = 4, .d_model = 8, .heads = 2, .theta = THETA}, .in_full = POSITIONS}};
    make_inputs(t, &p);
    p.forward.positions = trial_ids(t, "positions", POSITIONS, 2, 4);
    p.grad_x = trial_output_like(t, "grad_x", p.forward.x);
    call(t, &p);
}

static void over_old_numbers(Trial *t)
{
    Problem p = {.forward.sizes = {.batch = 1, .seq = 3, .d_model = 4, .heads = 2}};
    make_inputs(t, &p);
    p.grad_x = trial_changed_random(t, "grad_x", 1, 1, 3, 4);
    call(t, &p);
}

/* Frozen weights have no gradient, and the first layer of a model needs none of its input. */
static void some_gradients(Trial *t)
{
    Problem p = {.forward.sizes = {.batch = 1, .seq = 3, .d_model = 4, .heads = 2, .theta = THETA}};
    make_inputs(t, &p);
    p.grad_weights[Q_PROJ] = p.grad_weights[V_PROJ] = p.grad_weights[OUTPUT_PROJ] = (Tensor){0};
    call(t, &p);
}

/* ---- finite differences ---- */

typedef struct {
    Problem *problem;
    Tensor y;
    Arena *scratch;
} Forward;

static Status forward(void *context)
{
    const Forward *f = context;
    const MhaProblem *p = &f->problem->forward;
    return mha_forward(f->y, NULL, p->x, &p->mha, p->rope, p->positions, f->scratch);
}

static void differences(Trial *t)
{
    Problem p = {.forward.sizes = {.batch = 1, .seq = 3, .d_model = 4, .heads = 2, .theta = THETA}};
    make_inputs(t, &p);
    p.grad_x = trial_output(t, "grad_x", 1, 3, 4);
    call(t, &p);
    if (t->mistake)
        return;
    Forward f = {.problem = &p, .y = trial_tensor(t, 1, 3, 4), .scratch = trial_scratch(t)};
    trial_differences(t, trial_answer(t, p.grad_x), p.forward.x, p.grad_y, f.y, forward, &f);
    for (int i = 0; i < PROJECTIONS; i++) {
        double *answer = trial_answer(t, p.grad_weights[i]);
        const double *before = trial_doubles(t, p.grad_weights[i]);
        trial_differences(t, answer, p.forward.weights[i], p.grad_y, f.y, forward, &f);
        for (size_t k = 0; k < tensor_count(p.grad_weights[i]); k++)
            answer[k] += before[k];
    }
}

static const Case CASES[] = {
    CASE("two tokens, one head, no RoPE", by_hand),
    CASE("three heads without RoPE", without_rope),
    CASE("two heads with RoPE", with_rope),
    CASE("positions of each sequence", positions_of_each_sequence),
    CASE("a single token", one_token),
    CASE("rows that do not follow each other in memory", strides),
    CASE("grad_x holds old numbers", over_old_numbers),
    CASE("only the gradient of k_proj is wanted: the data of the others is NULL", some_gradients),
    {.what = "finite differences of your own forward pass", .run = differences, .loosely = 100},
    {0},
};

const Exercise exercise_mha_backward = {"mha_backward", .rtol = 1e-4, .atol = 1e-5, .cases = CASES,
                                        .mistakes = MISTAKES};
