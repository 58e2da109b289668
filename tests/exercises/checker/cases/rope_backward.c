/* The backward pass of RoPE and its mistakes. */
#include "nn/rope.h"
#include "tests/exercises/checker/cases/mha_parts.h"
#include "tests/exercises/checker/exercise.h"
#include "tests/support/reference_layers.h"

#include <math.h>

enum {
    TURNS_FORWARDS = 1,
    ONE_SIGN_ONLY,
    HALVES_FOR_PAIRS,
    POSITIONS_IGNORED,
    COUNTS_THROUGH_HEADS,
    READS_WHAT_IT_WROTE,
    ADDED,
};

static const Mistake MISTAKES[] = {
    {TURNS_FORWARDS, "turns_forwards",
     "the forward rotation: a gradient goes back through the transpose, the rotation by the opposite angle"},
    {ONE_SIGN_ONLY, "one_sign_only", "a rotation in which only one of the two sines changed its sign"},
    {HALVES_FOR_PAIRS, "halves_for_pairs",
     "a rotation that pairs number k with k + d_k / 2: pairs are neighbours, 2k and 2k + 1"},
    {POSITIONS_IGNORED, "positions_ignored", "a rotation by 0, 1, 2, ... whatever the positions say"},
    {COUNTS_THROUGH_HEADS, "counts_through_heads",
     "a rotation whose positions go on counting in the next sequence or head, where they begin at 0 again"},
    {READS_WHAT_IT_WROTE, "reads_what_it_wrote",
     "a rotation in place whose second number is computed from the first one's result: grad_x may be grad_y"},
    {ADDED, "added", "a gradient that is added to what grad_x held before (nan here): grad_x is overwritten"},
    {0},
};

static const double THETA = 10000;

enum { MAX_POSITIONS = 64 /* more than any case has rows: who counts through all heads gets numbers, not an error */ };

/* One problem. */
typedef struct {
    Tensor grad_x, grad_y;
    size_t rows, seq, d_k;
    const int32_t *positions; /* (rows); NULL: 0 .. seq - 1 in each head */
} Problem;

static int32_t position_of(const Problem *p, size_t row, int mistake)
{
    if (p->positions && mistake != POSITIONS_IGNORED)
        return p->positions[row];
    return (int32_t)(!p->positions && mistake == COUNTS_THROUGH_HEADS ? row : row % p->seq);
}

/* grad_x holds what was there before the call. */
static void wrong_backward(double *grad_x, const double *grad_y, const Problem *p, int mistake)
{
    const bool in_place = p->grad_x.data == p->grad_y.data, halves = mistake == HALVES_FOR_PAIRS;
    for (size_t row = 0; row < p->rows; row++, grad_x += p->d_k, grad_y += p->d_k)
        for (size_t k = 0; k < p->d_k / 2; k++) {
            const double angle = position_of(p, row, mistake) * pow(THETA, -2 * (double)k / (double)p->d_k);
            const double s = mistake == TURNS_FORWARDS ? -sin(angle) : sin(angle), c = cos(angle);
            const size_t first = halves ? k : 2 * k, second = halves ? k + p->d_k / 2 : 2 * k + 1;
            const double a = grad_y[first] * c + grad_y[second] * s;
            const double read = mistake == READS_WHAT_IT_WROTE && in_place ? a : grad_y[first];
            const double b = grad_y[second] * c + (mistake == ONE_SIGN_ONLY ? read * s : -read * s);
            grad_x[first] = mistake == ADDED ? grad_x[first] + a : a;
            grad_x[second] = mistake == ADDED ? grad_x[second] + b : b;
        }
}

/* Computes the answer of a problem whose function was called: the reference, turned to the negative positions. */
static void answer(Trial *t, const Problem *p)
{
    double *grad_x = trial_answer(t, p->grad_x);
    const double *grad_y = trial_doubles(t, p->grad_y), *before = trial_doubles(t, p->grad_x);
    if (t->mistake) {
        for (size_t i = 0; i < p->rows * p->d_k; i++)
            grad_x[i] = before[i];
        wrong_backward(grad_x, grad_y, p, t->mistake);
        return;
    }
    int32_t *positions = trial_memory(t, p->rows * sizeof *positions);
    for (size_t row = 0; row < p->rows; row++)
        positions[row] = -position_of(p, row, 0);
    reference_rope(grad_x, grad_y, positions, p->rows, p->d_k, THETA);
}

/* ---- cases ---- */

/* Calls the function, and computes the answer. */
static void rotate_back(Trial *t, const Problem *p, TokenTensor positions)
{
    const RoPE rope = rope_tables_of(t, THETA, p->d_k, MAX_POSITIONS);
    const Tensor grad_x = p->grad_x, grad_y = p->grad_y;
    TRIAL_CALL(t, rope_backward(grad_x, grad_y, positions, &rope));
    answer(t, p);
}

static void by_hand(Trial *t)
{
    static const float GRAD_Y[] = {1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1};
    static const int32_t POSITIONS[] = {0, 1, 2};
    Problem p = {.rows = 3, .seq = 3, .d_k = 4, .positions = POSITIONS};
    p.grad_y = trial_input(t, "grad_y", GRAD_Y, 3, 4);
    const TokenTensor positions = trial_ids(t, "positions", POSITIONS, 3);
    p.grad_x = trial_output(t, "grad_x", 3, 4);
    rotate_back(t, &p, positions);
}

static void heads_without_positions(Trial *t)
{
    Problem p = {.rows = 48, .seq = 12, .d_k = 16};
    p.grad_y = trial_random(t, "grad_y", 1, 1, 4, 12, 16);
    p.grad_x = trial_output_like(t, "grad_x", p.grad_y);
    rotate_back(t, &p, (TokenTensor){0});
}

static void positions_of_each_sequence(Trial *t)
{
    static const int32_t POSITIONS[] = {63, 0, 5, 2, 2, 1};
    Problem p = {.rows = 12, .seq = 3, .d_k = 6};
    int32_t *in_full = trial_memory(t, p.rows * sizeof *in_full);
    for (size_t row = 0; row < p.rows; row++) /* (batch 2, heads 2, seq 3) */
        in_full[row] = POSITIONS[row / 6 * 3 + row % 3];
    p.positions = in_full;
    p.grad_y = trial_random(t, "grad_y", 1, 2, 2, 3, 6);
    p.grad_x = trial_output_like(t, "grad_x", p.grad_y);
    rotate_back(t, &p, trial_ids(t, "positions", POSITIONS, 2, 1, 3));
}

static void over_old_numbers(Trial *t)
{
    Problem p = {.rows = 4, .seq = 4, .d_k = 6};
    p.grad_y = trial_random(t, "grad_y", 1, 4, 6);
    p.grad_x = trial_changed_random(t, "grad_x", 1, 4, 6);
    rotate_back(t, &p, (TokenTensor){0});
}

static void in_place(Trial *t)
{
    Problem p = {.rows = 4, .seq = 4, .d_k = 6};
    p.grad_x = p.grad_y = trial_changed_random(t, "grad_y", 1, 4, 6);
    rotate_back(t, &p, (TokenTensor){0});
}

static void strides(Trial *t)
{
    t->gap = 3;
    Problem p = {.rows = 10, .seq = 5, .d_k = 4};
    p.grad_y = trial_random(t, "grad_y", 1, 2, 5, 4);
    p.grad_x = trial_output_like(t, "grad_x", p.grad_y);
    rotate_back(t, &p, (TokenTensor){0});
}

/* ---- finite differences ---- */

typedef struct {
    Tensor y, x;
    const RoPE *rope;
} Forward;

static Status forward(void *context)
{
    const Forward *f = context;
    return rope_forward(f->y, f->x, (TokenTensor){0}, f->rope);
}

static void differences(Trial *t)
{
    const Tensor x = trial_random(t, "x", 1, 2, 4, 6);
    Problem p = {.rows = 8, .seq = 4, .d_k = 6};
    p.grad_y = trial_random(t, "grad_y", 1, 2, 4, 6);
    p.grad_x = trial_output_like(t, "grad_x", p.grad_y);
    rotate_back(t, &p, (TokenTensor){0});
    if (t->mistake)
        return;
    const RoPE rope = rope_tables_of(t, THETA, p.d_k, MAX_POSITIONS);
    Forward f = {.y = trial_tensor(t, 2, 4, 6), .x = x, .rope = &rope};
    trial_differences(t, trial_answer(t, p.grad_x), x, p.grad_y, f.y, forward, &f);
}

static const Case CASES[] = {
    CASE("positions 0, 1 and 2", by_hand),
    CASE("four heads without positions: 0, 1, 2, ... in each", heads_without_positions),
    CASE("positions of each sequence, shared by its heads", positions_of_each_sequence),
    CASE("grad_x holds old numbers", over_old_numbers),
    CASE("in place: grad_x is grad_y", in_place),
    CASE("rows that do not follow each other in memory", strides),
    {.what = "finite differences of your own forward pass", .run = differences, .loosely = 100},
    {0},
};

const Exercise exercise_rope_backward = {"rope_backward", .rtol = 1e-5, .atol = 2e-6, .cases = CASES,
                                         .mistakes = MISTAKES};
