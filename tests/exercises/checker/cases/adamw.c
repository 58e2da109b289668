/* AdamW and its mistakes. */
#include "optim/adamw.h"
#include "tests/exercises/checker/exercise.h"

#include <math.h>

enum {
    EPS_BEFORE_THE_CORRECTION = 1,
    DECAY_LAST,
    EPS_BEFORE_AND_DECAY_LAST,
    EPS_INSIDE_THE_ROOT,
    DECAY_IN_THE_GRADIENT,
    DECAY_WITHOUT_THE_RATE,
    WITHOUT_DECAY,
    WITHOUT_BIAS_CORRECTION,
    CORRECTED_MOMENTS_KEPT,
    MOMENTS_ARE_SUMS,
    MOMENTS_NOT_KEPT,
    BETAS_EXCHANGED,
    ONE_STEP_AHEAD,
    WITHOUT_SQUARE_ROOT,
};

static const Mistake MISTAKES[] = {
    {EPS_BEFORE_THE_CORRECTION, "eps_before_the_correction",
     "AdamW as Algorithm 1 of the handout has it, with eps added to sqrt(v) before v is corrected. The algorithm is "
     "right, and the course's test accepts it; the contract in your file is PyTorch's order, which corrects v first: "
     "sqrt(v / (1 - beta2^t)) + eps"},
    {DECAY_LAST, "decay_last",
     "AdamW that decays the parameter after the step of the moments. The difference is small, and the course's test "
     "accepts it; PyTorch decays first"},
    {EPS_BEFORE_AND_DECAY_LAST, "eps_before_and_decay_last",
     "AdamW that adds eps to sqrt(v) before v is corrected, and decays last. The course's test accepts it; the "
     "contract in your file is PyTorch's order: decay first, then correct v, then add eps to its root"},
    {EPS_INSIDE_THE_ROOT, "eps_inside_the_root", "AdamW with eps inside of the square root"},
    {DECAY_IN_THE_GRADIENT, "decay_in_the_gradient",
     "Adam with L2 regularization: the weight decay is added to the gradient"},
    {DECAY_WITHOUT_THE_RATE, "decay_without_the_rate",
     "AdamW whose weight decay is not multiplied by the learning rate"},
    {WITHOUT_DECAY, "without_decay", "Adam without weight decay"},
    {WITHOUT_BIAS_CORRECTION, "without_bias_correction",
     "AdamW without the correction of the moments for their start at 0"},
    {CORRECTED_MOMENTS_KEPT, "corrected_moments_kept",
     "AdamW that stores the corrected moments: the next step must find m and v as they were before the correction"},
    {MOMENTS_ARE_SUMS, "moments_are_sums", "AdamW whose moments add the whole gradient, without the factors 1 - beta"},
    {MOMENTS_NOT_KEPT, "moments_not_kept",
     "AdamW that computes the moments but does not store them in first_moment and second_moment"},
    {BETAS_EXCHANGED, "betas_exchanged", "AdamW with beta1 and beta2 exchanged"},
    {ONE_STEP_AHEAD, "one_step_ahead",
     "AdamW that corrects the moments with t + 1: step is already 1 in the first step"},
    {WITHOUT_SQUARE_ROOT, "without_square_root", "AdamW that divides by the second moment instead of its square root"},
    {0},
};

/* One number of a parameter. */
typedef struct {
    double theta, m, v;
} Number;

/* The formula of adamw.h, without any mistake. */
static void right_step(Number *n, double g, size_t step, const AdamWConfig *c)
{
    n->theta *= 1 - c->lr * c->weight_decay;
    n->m += (1 - c->beta1) * (g - n->m);
    n->v += (1 - c->beta2) * (g * g - n->v);
    const double m = n->m / (1 - pow(c->beta1, (double)step)), v = n->v / (1 - pow(c->beta2, (double)step));
    n->theta -= c->lr * m / (sqrt(v) + c->eps);
}

/* What is subtracted from the parameter: lr m^ / (sqrt(v^) + eps). Corrects the moments. */
static double wrong_move(Number *n, size_t step, const AdamWConfig *c, double beta1, double beta2, int mistake)
{
    const double t = (double)step + (mistake == ONE_STEP_AHEAD);
    const bool corrects = mistake != WITHOUT_BIAS_CORRECTION;
    const double correction1 = corrects ? 1 - pow(beta1, t) : 1, correction2 = corrects ? 1 - pow(beta2, t) : 1;
    const double v = n->v;
    n->m /= correction1;
    n->v /= correction2;
    switch (mistake) {
    case EPS_BEFORE_THE_CORRECTION:
    case EPS_BEFORE_AND_DECAY_LAST:
        return c->lr * n->m * sqrt(correction2) / (sqrt(v) + c->eps);
    case EPS_INSIDE_THE_ROOT:
        return c->lr * n->m / sqrt(n->v + c->eps);
    case WITHOUT_SQUARE_ROOT:
        return c->lr * n->m / (n->v + c->eps);
    default:
        return c->lr * n->m / (sqrt(n->v) + c->eps);
    }
}

static void wrong_step(Number *n, double g, size_t step, const AdamWConfig *c, int mistake)
{
    const bool exchanged = mistake == BETAS_EXCHANGED, sums = mistake == MOMENTS_ARE_SUMS;
    const double beta1 = exchanged ? c->beta2 : c->beta1, beta2 = exchanged ? c->beta1 : c->beta2;
    const double decay = mistake == WITHOUT_DECAY || mistake == DECAY_IN_THE_GRADIENT ? 0
                         : mistake == DECAY_WITHOUT_THE_RATE                          ? c->weight_decay
                                                                                      : c->lr * c->weight_decay;
    const bool decays_last = mistake == DECAY_LAST || mistake == EPS_BEFORE_AND_DECAY_LAST;
    const Number before = *n;
    if (mistake == DECAY_IN_THE_GRADIENT)
        g += c->weight_decay * n->theta;
    if (!decays_last)
        n->theta -= decay * n->theta;
    n->m = beta1 * n->m + (sums ? 1 : 1 - beta1) * g;
    n->v = beta2 * n->v + (sums ? 1 : 1 - beta2) * g * g;
    const Number moments = *n;
    n->theta -= wrong_move(n, step, c, beta1, beta2, mistake);
    if (decays_last)
        n->theta -= decay * n->theta;
    if (mistake != CORRECTED_MOMENTS_KEPT) {
        n->m = mistake == MOMENTS_NOT_KEPT ? before.m : moments.m;
        n->v = mistake == MOMENTS_NOT_KEPT ? before.v : moments.v;
    }
}

/* Computes the answer for a parameter after `steps` steps from step `first` on; grads has a row for each step. */
static void answer(Trial *t, const Parameter *p, const double *grads, size_t first, size_t steps,
                   const AdamWConfig *config)
{
    const size_t count = tensor_count(p->value);
    double *theta = trial_answer(t, p->value);
    double *m = trial_answer(t, p->first_moment), *v = trial_answer(t, p->second_moment);
    const double *start = trial_doubles(t, p->value), *first_m = trial_doubles(t, p->first_moment);
    const double *first_v = trial_doubles(t, p->second_moment);
    for (size_t i = 0; i < count; i++) {
        Number n = {start[i], first_m[i], first_v[i]};
        for (size_t step = 0; grads && step < steps; step++)
            if (t->mistake)
                wrong_step(&n, grads[step * count + i], first + step, config, t->mistake);
            else
                right_step(&n, grads[step * count + i], first + step, config);
        theta[i] = n.theta;
        m[i] = n.m;
        v[i] = n.v;
    }
}

static void by_hand(Trial *t)
{
    static const float VALUE[] = {1, 1, -1, 0.5F}, GRAD[] = {2, -2, 0.5F, 0};
    const AdamWConfig config = {.lr = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1};
    Parameter weight = {.name = "weight"};
    weight.value = trial_changed(t, "weight.value", VALUE, 2, 2);
    weight.grad = trial_input(t, "weight.grad", GRAD, 2, 2);
    weight.first_moment = trial_changed(t, "weight.first_moment", NULL, 2, 2);
    weight.second_moment = trial_changed(t, "weight.second_moment", NULL, 2, 2);
    const ParameterList parameters = {&weight, 1};
    TRIAL_CALL(t,
               adamw_step(parameters, 1,
                          &(AdamWConfig){.lr = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1}));
    answer(t, &weight, trial_doubles(t, weight.grad), 1, 1, &config);
}

/* Makes the first steps of a (5, 13) weight, each with a gradient of its own. */
static void first_steps(Trial *t, size_t steps, AdamWConfig config)
{
    const Tensor grads = trial_random(t, "gradients of all steps", 1, steps, 5, 13);
    Parameter weight = {.name = "weight"};
    weight.value = trial_changed_random(t, "weight.value", 1, 5, 13);
    weight.first_moment = trial_changed(t, "weight.first_moment", NULL, 5, 13);
    weight.second_moment = trial_changed(t, "weight.second_moment", NULL, 5, 13);
    const ParameterList parameters = {&weight, 1};
    for (size_t step = 1; step <= steps; step++) {
        weight.grad = tensor_select(grads, 0, step - 1);
        TRIAL_CALL(t, adamw_step(parameters, step, &config));
    }
    answer(t, &weight, trial_doubles(t, grads), 1, steps, &config);
}

static void ten_steps(Trial *t)
{
    first_steps(t, 10, (AdamWConfig){.lr = 0.02, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.1});
}
static void large_eps(Trial *t)
{
    first_steps(t, 3, (AdamWConfig){.lr = 0.1, .beta1 = 0.5, .beta2 = 0.9, .eps = 0.5, .weight_decay = 1});
}
static void no_memory(Trial *t)
{
    first_steps(t, 2, (AdamWConfig){.lr = 0.1, .beta1 = 0, .beta2 = 0, .eps = 0.1, .weight_decay = 0.5});
}

static void frozen_parameter(Trial *t)
{
    const AdamWConfig config = {.lr = 1e-2, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.5};
    Parameter items[2] = {{.name = "frozen"}, {.name = "weight"}};
    items[0].value = trial_changed_random(t, "frozen.value", 1, 3);
    items[0].first_moment = trial_changed_random(t, "frozen.first_moment", 1, 3);
    items[0].second_moment = trial_changed(t, "frozen.second_moment", NULL, 3);
    items[1].value = trial_changed_random(t, "weight.value", 1, 64, 12);
    items[1].grad = trial_random(t, "weight.grad", 1, 64, 12);
    items[1].first_moment = trial_changed_random(t, "weight.first_moment", 1, 64, 12);
    items[1].second_moment = trial_changed(t, "weight.second_moment", NULL, 64, 12);
    const ParameterList parameters = {items, 2};
    TRIAL_CALL(t, adamw_step(parameters, 1000, &config));
    answer(t, &items[0], NULL, 0, 0, &config);
    answer(t, &items[1], trial_doubles(t, items[1].grad), 1000, 1, &config);
}

static const Case CASES[] = {
    CASE("the first step of a (2, 2) weight", by_hand),
    CASE("ten steps of a (5, 13) weight", ten_steps),
    CASE("eps of 0.5", large_eps),
    CASE("beta1 and beta2 of 0: m = g and v = g^2", no_memory),
    CASE("step 1000, and a frozen parameter", frozen_parameter),
    {0},
};

const Exercise exercise_adamw = {"adamw", .rtol = 1e-5, .atol = 1e-6, .cases = CASES, .mistakes = MISTAKES};
