/* Gradient clipping and its mistakes. */
#include "optim/clip.h"
#include "tests/exercises/checker/exercise.h"

#include <math.h>

enum {
    EACH_TENSOR_ALONE = 1,
    EACH_NUMBER_ALONE,
    SMALL_GRADIENTS_GROW,
    MEAN_OF_SQUARES,
    SUM_OF_ABSOLUTE_VALUES,
    WITHOUT_SQUARE_ROOT,
    SQUARES_IN_FLOAT,
    TO_THE_NORM_1,
    WITHOUT_THE_SMALL_NUMBER,
    NORM_AFTER_CLIPPING,
};

static const Mistake MISTAKES[] = {
    {EACH_TENSOR_ALONE, "each_tensor_alone", "clipping each gradient by its own norm"},
    {EACH_NUMBER_ALONE, "each_number_alone",
     "clipping each number to the limit, as torch.nn.utils.clip_grad_value_ does"},
    {SMALL_GRADIENTS_GROW, "small_gradients_grow", "clipping that also scales small gradients up to the limit"},
    {MEAN_OF_SQUARES, "mean_of_squares", "clipping by the root of the mean square instead of the sum of squares"},
    {SUM_OF_ABSOLUTE_VALUES, "sum_of_absolute_values", "clipping by the sum of absolute values (the L1 norm)"},
    {WITHOUT_SQUARE_ROOT, "without_square_root", "clipping by the sum of squares, without its square root"},
    {SQUARES_IN_FLOAT, "squares_in_float",
     "clipping whose squares are computed in float32, where those of large numbers are infinite"},
    {TO_THE_NORM_1, "to_the_norm_1", "clipping to the norm 1, whatever the limit is"},
    {WITHOUT_THE_SMALL_NUMBER, "without_the_small_number", "clipping without the 1e-6 that is added to the norm"},
    {NORM_AFTER_CLIPPING, "norm_after_clipping", "clipping that reports the norm after it has clipped"},
    {0},
};

enum { PARAMETERS = 3 };

/* What the answer is computed from: the gradients before the call, in double. */
typedef struct {
    size_t parameters, counts[PARAMETERS];
    const double *grads[PARAMETERS]; /* NULL: frozen */
} Gradients;

static double wrong_norm(const Gradients *g, int mistake)
{
    double sum = 0, count = 0;
    for (size_t p = 0; p < g->parameters; p++)
        for (size_t i = 0; g->grads[p] && i < g->counts[p]; i++, count++) {
            const double x = g->grads[p][i];
            const float square = (float)x * (float)x;
            sum += mistake == SUM_OF_ABSOLUTE_VALUES ? fabs(x) : mistake == SQUARES_IN_FLOAT ? (double)square : x * x;
        }
    if (mistake == SUM_OF_ABSOLUTE_VALUES || mistake == WITHOUT_SQUARE_ROOT)
        return sum;
    return mistake == MEAN_OF_SQUARES ? (count > 0 ? sqrt(sum / count) : 0) : sqrt(sum);
}

static double wrong_factor(double norm, double max_norm, int mistake)
{
    if (norm <= max_norm && !(mistake == SMALL_GRADIENTS_GROW && norm > 0))
        return 1;
    return (mistake == TO_THE_NORM_1 ? 1 : max_norm) / (mistake == WITHOUT_THE_SMALL_NUMBER ? norm : norm + 1e-6);
}

/* Computes the answer of clip_gradients() for the gradients of a trial, and of the norm that it reports, if wanted. */
static void answer(Trial *t, ParameterList parameters, const double *norm, double max_norm)
{
    Gradients g = {.parameters = parameters.count};
    for (size_t p = 0; p < parameters.count; p++) {
        g.counts[p] = tensor_count(parameters.items[p].value);
        g.grads[p] = parameters.items[p].grad.data ? trial_doubles(t, parameters.items[p].grad) : NULL;
    }
    const double total = wrong_norm(&g, t->mistake);
    double after = 0;
    for (size_t p = 0; p < parameters.count; p++) {
        const Gradients own = {1, {g.counts[p]}, {g.grads[p]}};
        const double of = t->mistake == EACH_TENSOR_ALONE && total > max_norm ? wrong_norm(&own, 0) : total;
        double *clipped = g.grads[p] ? trial_answer(t, parameters.items[p].grad) : NULL;
        for (size_t i = 0; clipped && i < g.counts[p]; i++) {
            clipped[i] = g.grads[p][i] * wrong_factor(of, max_norm, t->mistake);
            if (t->mistake == EACH_NUMBER_ALONE)
                clipped[i] = total > max_norm ? fmax(-max_norm, fmin(max_norm, g.grads[p][i])) : g.grads[p][i];
            after += clipped[i] * clipped[i];
        }
    }
    if (norm)
        trial_number(t, "norm", *norm, t->mistake == NORM_AFTER_CLIPPING ? sqrt(after) : total);
}

static void by_hand(Trial *t)
{
    static const float WEIGHT[] = {3, 0}, BIAS[] = {4};
    double norm = 0;
    Parameter items[2] = {{.name = "weight", .value = trial_tensor(t, 2)},
                          {.name = "bias", .value = trial_tensor(t, 1)}};
    items[0].grad = trial_changed(t, "weight.grad", WEIGHT, 2);
    items[1].grad = trial_changed(t, "bias.grad", BIAS, 1);
    const ParameterList parameters = {items, 2};
    TRIAL_CALL(t, clip_gradients(&norm, parameters, 2));
    answer(t, parameters, &norm, 2);
}

/* Three parameters, of which the second is frozen. */
static void clip_three(Trial *t, double sigma, double max_norm)
{
    double norm = 0;
    Parameter items[PARAMETERS] = {{.name = "weight", .value = trial_tensor(t, 16, 12)},
                                   {.name = "frozen", .value = trial_tensor(t, 3)},
                                   {.name = "bias", .value = trial_tensor(t, 5)}};
    items[0].grad = trial_changed_random(t, "weight.grad", sigma, 16, 12);
    items[2].grad = trial_changed_random(t, "bias.grad", sigma, 5);
    const ParameterList parameters = {items, PARAMETERS};
    TRIAL_CALL(t, clip_gradients(&norm, parameters, max_norm));
    answer(t, parameters, &norm, max_norm);
}

static void large_gradients(Trial *t)
{
    clip_three(t, 1, 0.5);
}
static void small_gradients(Trial *t)
{
    clip_three(t, 0.01, 1e3);
}
static void huge_gradients(Trial *t)
{
    clip_three(t, 1e20, 4);
}

static void norm_alone(Trial *t)
{
    double norm = 0;
    Parameter weight = {.name = "weight", .value = trial_tensor(t, 4, 5)};
    weight.grad = trial_random(t, "weight.grad", 2, 4, 5);
    const ParameterList parameters = {&weight, 1};
    TRIAL_CALL(t, gradient_norm(&norm, parameters));
    const Gradients g = {1, {20}, {trial_doubles(t, weight.grad)}};
    trial_number(t, "norm", norm, wrong_norm(&g, t->mistake));
}

static void norm_of_zeros(Trial *t)
{
    double norm = -1;
    Parameter weight = {.name = "weight", .value = trial_tensor(t, 3)};
    weight.grad = trial_changed(t, "weight.grad", NULL, 3);
    const ParameterList parameters = {&weight, 1};
    TRIAL_CALL(t, clip_gradients(&norm, parameters, 1));
    answer(t, parameters, &norm, 1);
}

static void norm_not_wanted(Trial *t)
{
    static const float GRAD[] = {6, 8};
    Parameter weight = {.name = "weight", .value = trial_tensor(t, 2)};
    weight.grad = trial_changed(t, "weight.grad", GRAD, 2);
    const ParameterList parameters = {&weight, 1};
    TRIAL_CALL(t, clip_gradients(NULL, parameters, 4));
    answer(t, parameters, NULL, 4);
}

static void factors(Trial *t)
{
    enum { COUNT = 6 };
    static const double NORMS[COUNT] = {0, 1, 2, 2.5, 8, 1e-6}, LIMITS[COUNT] = {1, 1, 4, 2, 2, 5e-7};
    double yours[COUNT], right[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        TRIAL_VALUE(t, yours[i], clip_factor(NORMS[i], LIMITS[i]));
        right[i] = wrong_factor(NORMS[i], LIMITS[i], t->mistake);
    }
    trial_list(t, "factor", yours, COUNT, right, COUNT);
}

static const Case CASES[] = {
    CASE("two gradients whose common norm is 5, and a limit of 2", by_hand),
    CASE("three parameters, of which one is frozen", large_gradients),
    CASE("gradients below the limit", small_gradients),
    CASE("gradients of 1e20", huge_gradients),
    CASE("gradients of 0", norm_of_zeros),
    CASE("gradient_norm()", norm_alone),
    CASE("clip_factor()", factors),
    CASE("a caller who does not want the norm", norm_not_wanted),
    {0},
};

const Exercise exercise_clipping = {"clipping", .rtol = 1e-5, .atol = 1e-7, .cases = CASES, .mistakes = MISTAKES};
