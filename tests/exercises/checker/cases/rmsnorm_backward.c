/* The gradients of RMSNorm and their mistakes. */
#include "nn/rmsnorm.h"
#include "tests/exercises/checker/exercise.h"

#include <math.h>

#define EPS 1e-5F /* the course's */

enum {
    ROOT_IS_CONSTANT = 1,
    SECOND_TERM_ADDED,
    SECOND_TERM_NOT_DIVIDED_BY_D,
    SQUARE_FOR_CUBE,
    DOT_WITHOUT_GAIN,
    WITHOUT_GAIN,
    DOT_NEVER_RESET,
    WEIGHT_GRADIENT_WITHOUT_ROOT,
    WEIGHT_GRADIENT_TIMES_GAIN,
    WEIGHT_GRADIENT_OVERWRITTEN,
    WEIGHT_GRADIENT_OF_THE_LAST_ROW,
    READS_OVERWRITTEN_GRAD_Y,
    INPUT_GRADIENT_ADDED,
    ADD_OVERWRITES,
};

static const Mistake MISTAKES[] = {
    {ROOT_IS_CONSTANT, "root_is_constant", "grad_y g / r: x also changes r, and this second term is missing"},
    {SECOND_TERM_ADDED, "second_term_added", "a gradient of x whose second term is added: it is subtracted"},
    {SECOND_TERM_NOT_DIVIDED_BY_D, "second_term_not_divided_by_d",
     "a gradient of x whose second term is not divided by d: the root is that of the mean of squares"},
    {SQUARE_FOR_CUBE, "square_for_cube", "a gradient of x with 1/r^2 in place of 1/r^3 in its second term"},
    {DOT_WITHOUT_GAIN, "dot_without_gain",
     "a gradient of x whose dot product is that of grad_y and x, without the gain"},
    {WITHOUT_GAIN, "without_gain", "a gradient of x without the gain: norm->weight is not used"},
    {DOT_NEVER_RESET, "dot_never_reset", "a dot product that goes on from the row before: each row begins at 0"},
    {WEIGHT_GRADIENT_WITHOUT_ROOT, "weight_gradient_without_root",
     "a gradient of the gain that is the sum of grad_y x: expected is grad_y x / r"},
    {WEIGHT_GRADIENT_TIMES_GAIN, "weight_gradient_times_gain",
     "a gradient of the gain that is the sum of grad_y y: y already contains the gain"},
    {WEIGHT_GRADIENT_OVERWRITTEN, "weight_gradient_overwritten",
     "a gradient of the gain that is overwritten: it is added to what grad->weight holds"},
    {WEIGHT_GRADIENT_OF_THE_LAST_ROW, "weight_gradient_of_the_last_row",
     "the gradient of the gain from the last row alone: = in place of +="},
    {READS_OVERWRITTEN_GRAD_Y, "reads_overwritten_grad_y",
     "a gradient of the gain that reads grad_y after grad_x was written over it"},
    {INPUT_GRADIENT_ADDED, "input_gradient_added",
     "rmsnorm_backward() adding to what grad_x held before: it overwrites grad_x"},
    {ADD_OVERWRITES, "add_overwrites", "rmsnorm_backward_add() overwriting grad_x: it adds to what grad_x holds"},
    {0},
};

/* The tensors of a trial. Gradients that are not wanted have no data. */
typedef struct {
    Tensor grad_x, grad_weight, grad_y, inverse_rms, x;
    RMSNorm norm;
    bool add; /* rmsnorm_backward_add() is called */
} Problem;

/* ---- the gradients, in double precision ---- */

static double inverse_root(const double *x, size_t d)
{
    double sum = 0;
    for (size_t j = 0; j < d; j++)
        sum += x[j] * x[j];
    return 1 / sqrt(sum / (double)d + (double)EPS);
}

/* grad_x_i = s h_i - s^3 / d x_i dot, with h = grad_y g and dot = sum_j h_j x_j. Returns the dot product. */
static double input_gradient(double *grad_x, double dot, const double *grad_y, const double *x, const double *gain,
                             size_t d, int mistake)
{
    const double s = inverse_root(x, d);
    dot = mistake == DOT_NEVER_RESET ? dot : 0;
    for (size_t j = 0; j < d; j++)
        dot += grad_y[j] * x[j] * (mistake == DOT_WITHOUT_GAIN || mistake == WITHOUT_GAIN ? 1 : gain[j]);
    double factor = mistake == SQUARE_FOR_CUBE ? s * s * dot : s * s * s * dot;
    if (mistake != SECOND_TERM_NOT_DIVIDED_BY_D)
        factor /= (double)d;
    if (mistake == SECOND_TERM_ADDED)
        factor = -factor;
    if (mistake == ROOT_IS_CONSTANT)
        factor = 0;
    for (size_t i = 0; i < d; i++)
        grad_x[i] = s * grad_y[i] * (mistake == WITHOUT_GAIN ? 1 : gain[i]) - factor * x[i];
    return dot;
}

/* grad_g_i += grad_y_i x_i s, for one row */
static void weight_gradient(double *grad_gain, const double *grad_y, const double *x, const double *gain, size_t d,
                            int mistake)
{
    const double s = mistake == WEIGHT_GRADIENT_WITHOUT_ROOT ? 1 : inverse_root(x, d);
    for (size_t i = 0; i < d; i++) {
        const double g = grad_y[i] * x[i] * s * (mistake == WEIGHT_GRADIENT_TIMES_GAIN ? gain[i] : 1);
        grad_gain[i] = mistake == WEIGHT_GRADIENT_OF_THE_LAST_ROW ? g : grad_gain[i] + g;
    }
}

static void answer(Trial *t, const Problem *p)
{
    const int mistake = t->mistake;
    const size_t d = tensor_extent(p->x, -1);
    const double *x = trial_doubles(t, p->x), *grad_y = trial_doubles(t, p->grad_y);
    const double *gain = trial_doubles(t, p->norm.weight), *before = NULL;
    double *grad_x = NULL, *grad_gain = NULL, dot = 0;
    double *row = trial_memory(t, d * sizeof *row);
    if (p->grad_x.data) {
        grad_x = trial_answer(t, p->grad_x);
        before = trial_doubles(t, p->grad_x);
    }
    if (p->grad_weight.data) {
        grad_gain = trial_answer(t, p->grad_weight);
        const double *gain_before = trial_doubles(t, p->grad_weight);
        for (size_t i = 0; i < d && mistake != WEIGHT_GRADIENT_OVERWRITTEN; i++)
            grad_gain[i] = gain_before[i];
    }
    const bool add = mistake == INPUT_GRADIENT_ADDED || (p->add && mistake != ADD_OVERWRITES);
    const bool overwritten = mistake == READS_OVERWRITTEN_GRAD_Y && p->grad_x.data == p->grad_y.data;
    for (size_t n = 0; n < tensor_rows(p->x); n++) {
        dot = input_gradient(row, dot, grad_y + n * d, x + n * d, gain, d, mistake);
        for (size_t i = 0; grad_x && i < d; i++)
            grad_x[n * d + i] = add ? before[n * d + i] + row[i] : row[i];
        if (grad_gain)
            weight_gradient(grad_gain, overwritten ? row : grad_y + n * d, x + n * d, gain, d, mistake);
    }
}

/* ---- cases ---- */

/* What the forward pass saves for x. */
static Tensor saved(Trial *t, Tensor x)
{
    const size_t d = tensor_extent(x, -1), n_rows = tensor_rows(x);
    const double *numbers = trial_doubles(t, x);
    float *inverse_rms = trial_memory(t, n_rows * sizeof *inverse_rms);
    for (size_t n = 0; n < n_rows; n++)
        inverse_rms[n] = (float)inverse_root(numbers + n * d, d);
    size_t shape[TENSOR_MAX_RANK];
    for (int i = 0; i < x.rank; i++)
        shape[i] = i < x.rank - 1 ? x.shape[i] : 1;
    return trial_input_of(t, "inverse_rms", inverse_rms, x.rank, shape);
}

static void by_hand(Trial *t)
{
    static const float X[] = {3, 4, 1, -1}, GAIN[] = {1, 2}, GRAD_Y[] = {1, 0, 1, 1}, BEFORE[] = {10, 10};
    const Tensor x = trial_input(t, "x", X, 2, 2), inverse_rms = saved(t, x);
    const RMSNorm norm = {.weight = trial_input(t, "norm.weight", GAIN, 2), .eps = EPS};
    const Tensor grad_y = trial_input(t, "grad_y", GRAD_Y, 2, 2), grad_x = trial_output(t, "grad_x", 2, 2);
    RMSNorm grad = {.weight = trial_changed(t, "grad.weight", BEFORE, 2)};
    TRIAL_CALL(t, rmsnorm_backward(grad_x, &grad, grad_y, inverse_rms, x, &norm));
    answer(t, &(Problem){.grad_x = grad_x, .grad_weight = grad.weight, .grad_y = grad_y, .x = x, .norm = norm});
}

typedef enum { BOTH, ONLY_THE_INPUT, ONLY_THE_GAIN, IN_PLACE, ADDED } Wanted;

/* Makes a random problem whose x has a shape, given as TENSOR_EXTENTS(), calls one of the functions, and answers. */
static Problem random_problem(Trial *t, Wanted wanted, int rank, const size_t *shape)
{
    const size_t d = shape[rank - 1];
    Problem p = {.add = wanted == ADDED, .x = trial_random_of(t, "x", 1, rank, shape)};
    p.inverse_rms = saved(t, p.x);
    p.norm = (RMSNorm){.weight = trial_random(t, "norm.weight", 1, d), .eps = EPS};
    p.grad_y = (wanted == IN_PLACE ? trial_changed_random_of : trial_random_of)(t, "grad_y", 1, rank, shape);
    if (wanted == IN_PLACE)
        p.grad_x = p.grad_y;
    else if (wanted == ADDED)
        p.grad_x = trial_changed_random_of(t, "grad_x", 1, rank, shape);
    else if (wanted != ONLY_THE_GAIN)
        p.grad_x = trial_output_of(t, "grad_x", rank, shape);
    if (wanted != ONLY_THE_INPUT)
        p.grad_weight = trial_changed_random(t, "grad.weight", 1, d);
    RMSNorm grad = {.weight = p.grad_weight};
    if (p.add)
        TRIAL_CALL(t, rmsnorm_backward_add(p.grad_x, &grad, p.grad_y, p.inverse_rms, p.x, &p.norm));
    else
        TRIAL_CALL(t, rmsnorm_backward(p.grad_x, &grad, p.grad_y, p.inverse_rms, p.x, &p.norm));
    answer(t, &p);
    return p;
}

static void many_numbers(Trial *t)
{
    random_problem(t, BOTH, TENSOR_EXTENTS(4, 12, 64));
}

static void added(Trial *t)
{
    random_problem(t, ADDED, TENSOR_EXTENTS(2, 3, 5));
}

static void in_place(Trial *t)
{
    random_problem(t, IN_PLACE, TENSOR_EXTENTS(3, 4));
}

static void only_the_input(Trial *t)
{
    random_problem(t, ONLY_THE_INPUT, TENSOR_EXTENTS(3, 4));
}

static void only_the_gain(Trial *t)
{
    random_problem(t, ONLY_THE_GAIN, TENSOR_EXTENTS(3, 4));
}

static void no_rows(Trial *t)
{
    random_problem(t, BOTH, TENSOR_EXTENTS(0, 3));
}

static void rows_apart(Trial *t)
{
    t->gap = 3;
    random_problem(t, BOTH, TENSOR_EXTENTS(2, 3, 5));
}

typedef struct {
    Tensor y, x;
    RMSNorm norm;
} Forward;

static Status forward(void *context)
{
    const Forward *f = context;
    return rmsnorm_forward(f->y, (Tensor){0}, f->x, &f->norm);
}

static void differences(Trial *t)
{
    const Problem p = random_problem(t, BOTH, TENSOR_EXTENTS(2, 4));
    if (t->mistake)
        return;
    Forward f = {.y = trial_tensor(t, 2, 4), .x = p.x, .norm = p.norm};
    trial_differences(t, trial_answer(t, p.grad_x), p.x, p.grad_y, f.y, forward, &f);
    double *grad_gain = trial_answer(t, p.grad_weight);
    const double *before = trial_doubles(t, p.grad_weight);
    trial_differences(t, grad_gain, p.norm.weight, p.grad_y, f.y, forward, &f);
    for (size_t i = 0; i < tensor_count(p.grad_weight); i++)
        grad_gain[i] += before[i];
}

static const Case CASES[] = {
    CASE("two rows of two numbers", by_hand),
    CASE("a (4, 12, 64) tensor", many_numbers),
    CASE("rmsnorm_backward_add()", added),
    CASE("in place: grad_x is grad_y itself", in_place),
    CASE("only the gradient of x is wanted", only_the_input),
    CASE("only the gradient of the gain is wanted", only_the_gain),
    CASE("no rows", no_rows),
    CASE("rows that do not follow each other in memory", rows_apart),
    {.what = "finite differences of your own forward pass", .run = differences, .loosely = 100},
    {0},
};

const Exercise exercise_rmsnorm_backward = {"rmsnorm_backward", .rtol = 1e-5, .atol = 1e-5, .cases = CASES,
                                            .mistakes = MISTAKES};
