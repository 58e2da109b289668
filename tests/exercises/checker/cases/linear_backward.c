/* The gradients of linear and their mistakes. */
#include "nn/linear.h"
#include "tests/exercises/checker/exercise.h"

#include <string.h>

enum {
    WEIGHT_GRADIENT_OVERWRITTEN = 1,
    WEIGHT_GRADIENT_OF_THE_LAST_ROW,
    WEIGHT_GRADIENT_TRANSPOSED,
    WEIGHT_GRADIENT_AVERAGED,
    WEIGHT_TRANSPOSED,
    INPUT_GRADIENT_OF_THE_LAST_OUTPUT,
    INPUT_GRADIENT_ADDED,
    ADD_OVERWRITES,
};

static const Mistake MISTAKES[] = {
    {WEIGHT_GRADIENT_OVERWRITTEN, "weight_gradient_overwritten",
     "a gradient of the weight that is overwritten: it is added to what grad->weight holds"},
    {WEIGHT_GRADIENT_OF_THE_LAST_ROW, "weight_gradient_of_the_last_row",
     "the gradient of the weight from the last row of x alone: = in place of +="},
    {WEIGHT_GRADIENT_TRANSPOSED, "weight_gradient_transposed",
     "a gradient of the weight that is written as (d_in, d_out): it is (d_out, d_in) like the weight"},
    {WEIGHT_GRADIENT_AVERAGED, "weight_gradient_averaged",
     "a gradient of the weight that is the mean over the rows: expected is the sum"},
    {WEIGHT_TRANSPOSED, "weight_transposed",
     "a gradient of x through the transposed weight: grad_x = grad_y W, with W (d_out, d_in)"},
    {INPUT_GRADIENT_OF_THE_LAST_OUTPUT, "input_gradient_of_the_last_output",
     "the gradient of x from the last output alone: = in place of +="},
    {INPUT_GRADIENT_ADDED, "input_gradient_added",
     "linear_backward() adding to what grad_x held before: it overwrites grad_x"},
    {ADD_OVERWRITES, "add_overwrites", "linear_backward_add() overwriting grad_x: it adds to what grad_x holds"},
    {0},
};

/* The tensors of a trial. Gradients that are not wanted have no data. */
typedef struct {
    Tensor grad_x, grad_weight, grad_y, x, weight;
    bool add; /* linear_backward_add() is called */
} Problem;

/* dL/dx_ni = sum_o dL/dy_no W_oi */
static void input_gradient(double *grad_x, const double *before, const double *grad_y, const double *weight,
                           const Problem *p, int mistake)
{
    const size_t d_in = p->weight.shape[1], d_out = p->weight.shape[0];
    const bool add = mistake == INPUT_GRADIENT_ADDED || (p->add && mistake != ADD_OVERWRITES);
    const size_t first = mistake == INPUT_GRADIENT_OF_THE_LAST_OUTPUT ? d_out - 1 : 0;
    for (size_t n = 0; n < tensor_rows(p->x); n++)
        for (size_t i = 0; i < d_in; i++) {
            double sum = 0;
            for (size_t o = first; o < d_out; o++)
                sum += grad_y[n * d_out + o] * weight[mistake == WEIGHT_TRANSPOSED ? i * d_out + o : o * d_in + i];
            const bool keeps = add && mistake != INPUT_GRADIENT_OF_THE_LAST_OUTPUT;
            grad_x[n * d_in + i] = keeps ? before[n * d_in + i] + sum : sum;
        }
}

/* dL/dW_oi = sum_n dL/dy_no x_ni */
static void weight_gradient(double *grad_weight, const double *before, const double *grad_y, const double *x,
                            const Problem *p, int mistake)
{
    const size_t d_in = p->weight.shape[1], d_out = p->weight.shape[0], n_rows = tensor_rows(p->x);
    const bool last_row = mistake == WEIGHT_GRADIENT_OF_THE_LAST_ROW && n_rows > 0;
    for (size_t o = 0; o < d_out; o++)
        for (size_t i = 0; i < d_in; i++) {
            const size_t place = mistake == WEIGHT_GRADIENT_TRANSPOSED ? i * d_out + o : o * d_in + i;
            double sum = 0;
            for (size_t n = last_row ? n_rows - 1 : 0; n < n_rows; n++)
                sum += grad_y[n * d_out + o] * x[n * d_in + i];
            if (mistake == WEIGHT_GRADIENT_AVERAGED && n_rows > 0)
                sum /= (double)n_rows;
            grad_weight[place] = last_row || mistake == WEIGHT_GRADIENT_OVERWRITTEN ? sum : before[place] + sum;
        }
}

static void answer(Trial *t, const Problem *p)
{
    const double *grad_y = trial_doubles(t, p->grad_y);
    /* A transposed view of a (d_out, d_in) tensor is stored as (d_in, d_out), so these mistakes are none there. */
    const bool stored_so = t->mistake == WEIGHT_TRANSPOSED || t->mistake == WEIGHT_GRADIENT_TRANSPOSED;
    const int mistake = stored_so && t->transposed ? 0 : t->mistake;
    if (p->grad_x.data)
        input_gradient(trial_answer(t, p->grad_x), trial_doubles(t, p->grad_x), grad_y, trial_doubles(t, p->weight), p,
                       mistake);
    if (p->grad_weight.data)
        weight_gradient(trial_answer(t, p->grad_weight), trial_doubles(t, p->grad_weight), grad_y,
                        trial_doubles(t, p->x), p, mistake);
}

/* As many outputs as inputs, so that a transposed weight gives wrong numbers and no access outside its memory. */
static void by_hand(Trial *t)
{
    static const float X[] = {1, 2, 3, 0, 1, -1}, W[] = {1, 0, 2, -1, 1, 0, 0, 3, 1}, GRAD_Y[] = {1, 0, 0, 2, -1, 1};
    static const float BEFORE[] = {10, 10, 10, 10, 10, 10, 10, 10, 10};
    const Tensor x = trial_input(t, "x", X, 2, 3), weight = trial_input(t, "linear.weight", W, 3, 3);
    const Tensor grad_y = trial_input(t, "grad_y", GRAD_Y, 2, 3), grad_x = trial_output(t, "grad_x", 2, 3);
    const Linear linear = {.weight = weight};
    Linear grad = {.weight = trial_changed(t, "grad.weight", BEFORE, 3, 3)};
    TRIAL_CALL(t, linear_backward(grad_x, &grad, grad_y, x, &linear));
    answer(t, &(Problem){.grad_x = grad_x, .grad_weight = grad.weight, .grad_y = grad_y, .x = x, .weight = weight});
}

typedef enum { BOTH, ONLY_THE_INPUT, ONLY_THE_WEIGHT } Wanted;

/* Makes a random problem whose x has a shape, given as TENSOR_EXTENTS(), and calls one of the functions. */
static Problem random_problem(Trial *t, Wanted wanted, bool add, size_t d_out, int rank, const size_t *shape)
{
    size_t y_shape[TENSOR_MAX_RANK];
    memcpy(y_shape, shape, (size_t)rank * sizeof *shape);
    y_shape[rank - 1] = d_out;
    Problem p = {.add = add};
    p.x = trial_random_of(t, "x", 1, rank, shape);
    p.weight = trial_random(t, "linear.weight", 0.25, d_out, shape[rank - 1]);
    p.grad_y = trial_random_of(t, "grad_y", 1, rank, y_shape);
    if (wanted != ONLY_THE_WEIGHT)
        p.grad_x =
            add ? trial_changed_random_of(t, "grad_x", 1, rank, shape) : trial_output_of(t, "grad_x", rank, shape);
    if (wanted != ONLY_THE_INPUT)
        p.grad_weight = trial_changed_random(t, "grad.weight", 1, d_out, shape[rank - 1]);
    const Linear linear = {.weight = p.weight};
    Linear grad = {.weight = p.grad_weight};
    if (add)
        TRIAL_CALL(t, linear_backward_add(p.grad_x, &grad, p.grad_y, p.x, &linear));
    else
        TRIAL_CALL(t, linear_backward(p.grad_x, &grad, p.grad_y, p.x, &linear));
    return p;
}

static void try_random(Trial *t, Wanted wanted, bool add, size_t d_out, int rank, const size_t *shape)
{
    const Problem p = random_problem(t, wanted, add, d_out, rank, shape);
    answer(t, &p);
}

static void many_numbers(Trial *t)
{
    try_random(t, BOTH, false, 24, TENSOR_EXTENTS(4, 12, 16));
}

static void added(Trial *t)
{
    try_random(t, BOTH, true, 4, TENSOR_EXTENTS(2, 3, 5));
}

static void fewer_outputs(Trial *t)
{
    try_random(t, BOTH, false, 2, TENSOR_EXTENTS(3, 4));
}

static void only_the_input(Trial *t)
{
    try_random(t, ONLY_THE_INPUT, false, 4, TENSOR_EXTENTS(3, 5));
}

static void only_the_weight(Trial *t)
{
    try_random(t, ONLY_THE_WEIGHT, false, 4, TENSOR_EXTENTS(3, 5));
}

static void no_rows(Trial *t)
{
    try_random(t, BOTH, false, 2, TENSOR_EXTENTS(0, 3));
}

static void rows_apart(Trial *t)
{
    t->gap = 3;
    try_random(t, BOTH, false, 4, TENSOR_EXTENTS(2, 3, 5));
}

static void transposed(Trial *t)
{
    t->transposed = true;
    try_random(t, BOTH, true, 4, TENSOR_EXTENTS(2, 3, 5));
}

typedef struct {
    Tensor y, x;
    Linear linear;
} Forward;

static Status forward(void *context)
{
    const Forward *f = context;
    return linear_forward(f->y, f->x, &f->linear);
}

static void differences(Trial *t)
{
    const Problem p = random_problem(t, BOTH, false, 3, TENSOR_EXTENTS(2, 4));
    answer(t, &p);
    if (t->mistake)
        return;
    Forward f = {.y = trial_tensor(t, 2, 3), .x = p.x, .linear = {.weight = p.weight}};
    trial_differences(t, trial_answer(t, p.grad_x), p.x, p.grad_y, f.y, forward, &f);
    double *grad_weight = trial_answer(t, p.grad_weight);
    const double *before = trial_doubles(t, p.grad_weight);
    trial_differences(t, grad_weight, p.weight, p.grad_y, f.y, forward, &f);
    for (size_t i = 0; i < tensor_count(p.grad_weight); i++)
        grad_weight[i] += before[i];
}

static const Case CASES[] = {
    CASE("two rows, three inputs, three outputs", by_hand),
    CASE("(4, 12, 16) numbers, 24 outputs", many_numbers),
    CASE("linear_backward_add()", added),
    CASE("fewer outputs than inputs", fewer_outputs),
    CASE("only the gradient of x is wanted", only_the_input),
    CASE("only the gradient of the weight is wanted", only_the_weight),
    CASE("no rows", no_rows),
    CASE("rows that do not follow each other in memory", rows_apart),
    CASE("transposed views, in which the numbers of a row are not adjacent", transposed),
    {.what = "finite differences of your own forward pass", .run = differences, .loosely = 50},
    {0},
};

const Exercise exercise_linear_backward = {"linear_backward", .rtol = 1e-5, .atol = 1e-5, .cases = CASES,
                                           .mistakes = MISTAKES};
