/* Cross-entropy, backward, and its mistakes. */
#include "nn/functional.h"
#include "tests/exercises/checker/exercise.h"
#include "tests/support/reference.h"

#include <math.h>

enum {
    SUM_FOR_MEAN = 1,
    BATCH_MEAN,
    MEAN_OVER_THE_VOCABULARY,
    WITHOUT_TARGET,
    ONLY_THE_TARGET,
    TARGET_NOT_DIVIDED,
    SIGN_EXCHANGED,
    NOT_NORMALISED,
    QUOTIENT_OVERFLOWS,
    FIRST_TARGET_FOR_ALL,
    ADDED,
};

static const Mistake MISTAKES[] = {
    {SUM_FOR_MEAN, "sum_for_mean", "the gradient of the sum: it is not divided by the number of rows"},
    {BATCH_MEAN, "batch_mean",
     "the gradient divided by the first dimension: the mean is over all leading dimensions, rows(logits)"},
    {MEAN_OVER_THE_VOCABULARY, "mean_over_the_vocabulary",
     "the gradient divided by the number of logits: each row has one loss, whatever the vocabulary"},
    {WITHOUT_TARGET, "without_target", "the probabilities alone: 1 is not subtracted at the target"},
    {ONLY_THE_TARGET, "only_the_target",
     "the gradient at the target alone: the other logits also have one, their probability"},
    {TARGET_NOT_DIVIDED, "target_not_divided",
     "p / N - 1 at the target: the 1 must be divided by the number of rows N, too"},
    {SIGN_EXCHANGED, "sign_exchanged", "the gradient with the opposite sign, which raises the loss"},
    {NOT_NORMALISED, "not_normalised", "e^x in place of the probability e^(x - log_sum_exp)"},
    {QUOTIENT_OVERFLOWS, "quotient_overflows",
     "e^x / e^log_sum_exp, which is inf / inf or 0 / 0 for large logits: subtract before the exponential"},
    {FIRST_TARGET_FOR_ALL, "first_target_for_all", "the gradient with the first target in every row"},
    {ADDED, "added", "a gradient that is added to what grad_logits held before: it must be overwritten"},
    {0},
};

/* The gradient of one logit, before the division by the number of rows, with the mistake. */
static double slope(double x, double l, bool is_target, int mistake)
{
    const double one = is_target ? 1 : 0;
    switch (mistake) {
    case WITHOUT_TARGET:
        return exp(x - l);
    case ONLY_THE_TARGET:
        return is_target ? exp(x - l) - 1 : 0;
    case SIGN_EXCHANGED:
        return one - exp(x - l);
    case NOT_NORMALISED:
        return exp(x) - one;
    case QUOTIENT_OVERFLOWS:
        return exp(x) / exp(l) - one;
    default:
        return exp(x - l) - one;
    }
}

/* What the gradient is divided by, with the mistake. */
static double divisor(Tensor logits, int mistake)
{
    if (mistake == SUM_FOR_MEAN)
        return 1;
    if (mistake == BATCH_MEAN)
        return (double)tensor_extent(logits, 0);
    return (double)(mistake == MEAN_OVER_THE_VOCABULARY ? tensor_count(logits) : tensor_rows(logits));
}

/* grad_logits may be the logits themselves: trial_doubles() are the numbers before the call. */
static void answer(Trial *t, Tensor grad_logits, Tensor log_sum_exp, Tensor logits, TokenTensor targets)
{
    double *to = trial_answer(t, grad_logits);
    const double *before = trial_doubles(t, grad_logits), *x = trial_doubles(t, logits);
    const double *l = trial_doubles(t, log_sum_exp), count = divisor(logits, t->mistake);
    const size_t vocab = tensor_extent(logits, -1);
    for (size_t i = 0; i < tensor_rows(logits); i++) {
        const size_t target = (size_t)targets.data[t->mistake == FIRST_TARGET_FOR_ALL ? 0 : i];
        for (size_t j = 0; j < vocab; j++) {
            const size_t at = i * vocab + j;
            if (t->mistake == TARGET_NOT_DIVIDED)
                to[at] = exp(x[at] - l[i]) / count - (j == target ? 1 : 0);
            else
                to[at] = slope(x[at], l[i], j == target, t->mistake) / count;
            if (t->mistake == ADDED)
                to[at] += before[at];
        }
    }
}

/* The log-sum-exp of each row, as the forward pass saves it. */
static Tensor saved_log_sum_exp(Trial *t, Tensor logits)
{
    const Tensor shape = tensor_with_last(logits, 1);
    const size_t rows = tensor_rows(logits);
    double *numbers = trial_memory(t, rows * sizeof *numbers);
    reference_log_sum_exp(numbers, trial_doubles(t, logits), rows, tensor_extent(logits, -1));
    return trial_input_of(t, "log_sum_exp", trial_floats(t, numbers, rows), shape.rank, shape.shape);
}

static void differentiate(Trial *t, Tensor grad_logits, Tensor logits, TokenTensor targets)
{
    const Tensor log_sum_exp = saved_log_sum_exp(t, logits);
    TRIAL_CALL(t, cross_entropy_backward(grad_logits, log_sum_exp, logits, targets));
    answer(t, grad_logits, log_sum_exp, logits, targets);
}

static void by_hand(Trial *t)
{
    static const float X[] = {2, 1, -1, 0, 0, 0};
    static const int32_t TARGETS[] = {0, 2};
    const Tensor logits = trial_input(t, "logits", X, 2, 3), log_sum_exp = saved_log_sum_exp(t, logits);
    const TokenTensor targets = trial_ids(t, "targets", TARGETS, 2);
    const Tensor grad_logits = trial_output_like(t, "grad_logits", logits);
    TRIAL_CALL(t, cross_entropy_backward(grad_logits, log_sum_exp, logits, targets));
    answer(t, grad_logits, log_sum_exp, logits, targets);
}

static void sequences(Trial *t)
{
    const Tensor logits = trial_random(t, "logits", 2, 3, 4, 10);
    const Tensor grad_logits = trial_output_like(t, "grad_logits", logits);
    differentiate(t, grad_logits, logits, trial_random_ids(t, "targets", 10, 3, 4));
}

static void huge_logits(Trial *t)
{
    static const float X[] = {1000, 1001, 999, -1000, -1000, -1003};
    static const int32_t TARGETS[] = {1, 2};
    const Tensor logits = trial_input(t, "logits", X, 2, 3), grad_logits = trial_output_like(t, "grad_logits", logits);
    differentiate(t, grad_logits, logits, trial_ids(t, "targets", TARGETS, 2));
}

static void in_place(Trial *t)
{
    const Tensor logits = trial_changed_random(t, "logits", 1, 3, 5);
    differentiate(t, logits, logits, trial_random_ids(t, "targets", 5, 3));
}

static void one_token(Trial *t)
{
    static const float X[] = {7, -7};
    static const int32_t TARGETS[] = {0, 0};
    const Tensor logits = trial_input(t, "logits", X, 2, 1), grad_logits = trial_output_like(t, "grad_logits", logits);
    differentiate(t, grad_logits, logits, trial_ids(t, "targets", TARGETS, 2));
}

static void strides(Trial *t)
{
    t->gap = 3;
    const Tensor logits = trial_random(t, "logits", 1, 3, 5), grad_logits = trial_output_like(t, "grad_logits", logits);
    differentiate(t, grad_logits, logits, trial_random_ids(t, "targets", 5, 3));
}

static void target_outside(Trial *t)
{
    static const float X[] = {2, 1, -1, 0, 0, 0};
    static const int32_t TARGETS[] = {0, 3};
    const Tensor logits = trial_input(t, "logits", X, 2, 3), log_sum_exp = saved_log_sum_exp(t, logits);
    const Tensor grad_logits = trial_output_like(t, "grad_logits", logits);
    const TokenTensor targets = trial_ids(t, "targets", TARGETS, 2);
    TRIAL_CALL(t, cross_entropy_backward(grad_logits, log_sum_exp, logits, targets));
    trial_must_fail(t);
}

typedef struct {
    Tensor loss, logits;
    TokenTensor targets;
} Forward;

static Status forward(void *context)
{
    const Forward *f = context;
    return cross_entropy_forward(f->loss.data, (Tensor){0}, f->logits, f->targets);
}

static void finite_differences(Trial *t)
{
    const Tensor logits = trial_random(t, "logits", 1, 2, 4), grad_logits = trial_output_like(t, "grad_logits", logits);
    const TokenTensor targets = trial_random_ids(t, "targets", 4, 2);
    differentiate(t, grad_logits, logits, targets);
    const Tensor grad_loss = trial_tensor(t, 1);
    grad_loss.data[0] = 1;
    Forward f = {.loss = trial_tensor(t, 1), .logits = logits, .targets = targets};
    if (t->mistake == 0)
        trial_differences(t, trial_answer(t, grad_logits), logits, grad_loss, f.loss, forward, &f);
}

static const Case CASES[] = {
    CASE("two rows of three logits", by_hand),
    CASE("three sequences of four tokens", sequences),
    CASE("logits of 1000 and of -1000", huge_logits),
    CASE("grad_logits in the memory of the logits", in_place),
    CASE("a vocabulary of a single token: no gradient", one_token),
    CASE("rows that do not follow each other in memory", strides),
    CASE("a target that is not below the vocabulary's size: an error", target_outside),
    {.what = "finite differences of your own forward pass", .run = finite_differences, .loosely = 30},
    {0},
};

const Exercise exercise_cross_entropy_backward = {"cross_entropy_backward", .rtol = 1e-4, .atol = 1e-5, .cases = CASES,
                                                  .mistakes = MISTAKES};
