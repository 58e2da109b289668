/* The gradient of softmax and its mistakes. */
#include "nn/functional.h"
#include "tests/exercises/checker/exercise.h"
#include "tests/support/reference.h"

enum {
    WITHOUT_DOT = 1,
    DIAGONAL_ONLY,
    DOT_NOT_TIMES_Y,
    SUM_OF_GRAD_Y,
    MEAN_FOR_SUM,
    SIGN_REVERSED,
    DOT_OF_ALL_NUMBERS,
    ALWAYS_OF_THE_LAST_DIMENSION,
    READS_OVERWRITTEN_GRAD_Y,
};

static const Mistake MISTAKES[] = {
    {WITHOUT_DOT, "without_dot", "y grad_y: the dot product of grad_y and y is not subtracted"},
    {DIAGONAL_ONLY, "diagonal_only",
     "y (1 - y) grad_y, the derivative of each probability by its own score: a score moves all probabilities"},
    {DOT_NOT_TIMES_Y, "dot_not_times_y", "y grad_y - dot: the dot product, too, is multiplied by y"},
    {SUM_OF_GRAD_Y, "sum_of_grad_y", "y (grad_y - sum of grad_y): the sum is weighted by y, a dot product"},
    {MEAN_FOR_SUM, "mean_for_sum", "y (grad_y - dot / n): the dot product is a sum, not a mean"},
    {SIGN_REVERSED, "sign_reversed", "y (dot - grad_y), the right numbers with the wrong sign"},
    {DOT_OF_ALL_NUMBERS, "dot_of_all_numbers", "one dot product for the whole tensor: each row has its own"},
    {ALWAYS_OF_THE_LAST_DIMENSION, "always_of_the_last_dimension",
     "the gradient of softmax over the last dimension, whichever dimension was asked for"},
    {READS_OVERWRITTEN_GRAD_Y, "reads_overwritten_grad_y",
     "a dot product that reads grad_y after grad_x was written over it: compute it before the row is written"},
    {0},
};

/* The dot product that position j of one vector subtracts; `written` holds the first j numbers of its gradient. */
static double wrong_dot(const double *written, const double *grad_y, const double *y, size_t n, size_t step, size_t j,
                        int mistake)
{
    double dot = 0;
    for (size_t i = 0; i < n; i++) {
        const bool overwritten = mistake == READS_OVERWRITTEN_GRAD_Y && i < j;
        const double g = overwritten ? written[i * step] : grad_y[i * step];
        dot += mistake == SUM_OF_GRAD_Y ? g : g * y[i * step];
    }
    return mistake == MEAN_FOR_SUM ? dot / (double)n : dot;
}

/* Over the middle one of three dimensions (outer, n, inner). */
static void gradient(double *grad_x, const double *grad_y, const double *y, size_t outer, size_t n, size_t inner,
                     int mistake)
{
    const double all = reference_dot(grad_y, y, outer * n * inner);
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < inner; i++)
            for (size_t j = 0; j < n; j++) {
                const size_t first = o * n * inner + i, at = first + j * inner;
                double dot = wrong_dot(grad_x + first, grad_y + first, y + first, n, inner, j, mistake);
                if (mistake == DOT_OF_ALL_NUMBERS)
                    dot = all;
                if (mistake == WITHOUT_DOT)
                    dot = 0;
                if (mistake == DIAGONAL_ONLY)
                    dot = y[at] * grad_y[at];
                grad_x[at] = y[at] * (grad_y[at] - dot);
                if (mistake == DOT_NOT_TIMES_Y)
                    grad_x[at] = y[at] * grad_y[at] - dot;
                if (mistake == SIGN_REVERSED)
                    grad_x[at] = -grad_x[at];
            }
}

/* The tensors of a trial; the softmax is over the middle one of three dimensions, of which two may be 1. */
typedef struct {
    Tensor grad_x, grad_y, y;
    size_t outer, n, inner;
} Problem;

static void answer(Trial *t, const Problem *p)
{
    double *grad_x = trial_answer(t, p->grad_x);
    const double *grad_y = trial_doubles(t, p->grad_y), *y = trial_doubles(t, p->y);
    const bool in_place = p->grad_x.data == p->grad_y.data;
    if (t->mistake == ALWAYS_OF_THE_LAST_DIMENSION && p->inner > 1)
        gradient(grad_x, grad_y, y, p->outer * p->n, p->inner, 1, 0);
    else
        gradient(grad_x, grad_y, y, p->outer, p->n, p->inner,
                 t->mistake == READS_OVERWRITTEN_GRAD_Y && !in_place ? 0 : t->mistake);
}

static void by_hand(Trial *t)
{
    static const float Y[] = {0.5F, 0.25F, 0.25F, 0.2F, 0.3F, 0.5F}, GRAD_Y[] = {1, 0, 0, 1, 2, 3};
    const Tensor y = trial_input(t, "y", Y, 2, 3), grad_y = trial_input(t, "grad_y", GRAD_Y, 2, 3);
    const Tensor grad_x = trial_output_like(t, "grad_x", y);
    TRIAL_CALL(t, softmax_backward(grad_x, grad_y, y, -1));
    answer(t, &(Problem){.grad_x = grad_x, .grad_y = grad_y, .y = y, .outer = 2, .n = 3, .inner = 1});
}

/* What the forward pass writes for x (outer, n, inner). */
static Tensor probabilities(Trial *t, Tensor x, size_t outer, size_t n, size_t inner)
{
    const size_t count = tensor_count(x);
    double *exact = trial_memory(t, count * sizeof *exact);
    float *numbers = trial_memory(t, count * sizeof *numbers);
    reference_softmax(exact, trial_doubles(t, x), outer, n, inner);
    for (size_t i = 0; i < count; i++)
        numbers[i] = (float)exact[i];
    return trial_input_of(t, "y", numbers, x.rank, x.shape);
}

/* Makes a random problem (outer, n, inner), or (outer, n) if inner is 1, and calls the function. */
static void try_random(Trial *t, bool in_place, size_t outer, size_t n, size_t inner)
{
    const size_t shape[] = {outer, n, inner};
    const int rank = inner > 1 ? 3 : 2;
    Problem p = {.outer = outer, .n = n, .inner = inner};
    p.y = probabilities(t, trial_random_of(t, "x", 1, rank, shape), outer, n, inner);
    p.grad_y = (in_place ? trial_changed_random_of : trial_random_of)(t, "grad_y", 1, rank, shape);
    p.grad_x = in_place ? p.grad_y : trial_output_of(t, "grad_x", rank, shape);
    TRIAL_CALL(t, softmax_backward(p.grad_x, p.grad_y, p.y, 1));
    answer(t, &p);
}

static void many_numbers(Trial *t)
{
    try_random(t, false, 48, 64, 1);
}

static void middle_dimension(Trial *t)
{
    try_random(t, false, 2, 3, 4);
}

static void one_number(Trial *t)
{
    try_random(t, false, 3, 1, 1);
}

static void no_rows(Trial *t)
{
    try_random(t, false, 0, 3, 1);
}

static void in_place(Trial *t)
{
    try_random(t, true, 2, 5, 1);
}

static void rows_apart(Trial *t)
{
    t->gap = 3;
    try_random(t, false, 2, 3, 5);
}

static void transposed(Trial *t)
{
    t->transposed = true;
    try_random(t, false, 2, 3, 5);
}

typedef struct {
    Tensor y, x;
} Forward;

static Status forward(void *context)
{
    const Forward *f = context;
    return softmax_forward(f->y, f->x, -1);
}

static void differences(Trial *t)
{
    const Tensor x = trial_random(t, "x", 1, 3, 4), y = probabilities(t, x, 3, 4, 1);
    const Tensor grad_y = trial_random(t, "grad_y", 1, 3, 4), grad_x = trial_output_like(t, "grad_x", x);
    TRIAL_CALL(t, softmax_backward(grad_x, grad_y, y, -1));
    answer(t, &(Problem){.grad_x = grad_x, .grad_y = grad_y, .y = y, .outer = 3, .n = 4, .inner = 1});
    if (t->mistake)
        return;
    Forward f = {.y = trial_tensor(t, 3, 4), .x = x};
    trial_differences(t, trial_answer(t, grad_x), x, grad_y, f.y, forward, &f);
}

static const Case CASES[] = {
    CASE("two rows of three probabilities", by_hand),
    CASE("48 rows of 64 probabilities", many_numbers),
    CASE("the middle one of three dimensions", middle_dimension),
    CASE("rows of a single probability", one_number),
    CASE("no rows", no_rows),
    CASE("in place: grad_x is grad_y itself", in_place),
    CASE("rows that do not follow each other in memory", rows_apart),
    CASE("transposed views, in which the numbers of a row are not adjacent", transposed),
    {.what = "finite differences of your own forward pass", .run = differences, .loosely = 100},
    {0},
};

const Exercise exercise_softmax_backward = {"softmax_backward", .rtol = 1e-5, .atol = 1e-6, .cases = CASES,
                                            .mistakes = MISTAKES};
