/* Cross-entropy and its mistakes. */
#include "nn/functional.h"
#include "tests/exercises/checker/exercise.h"
#include "tests/support/reference.h"

#include <math.h>

enum {
    SOFTMAX_TAKEN_TWICE = 1,
    SUM_FOR_MEAN,
    BATCH_MEAN,
    MEAN_OVER_THE_VOCABULARY,
    WITHOUT_MAXIMUM,
    MAXIMUM_NOT_ADDED_BACK,
    LOGARITHM_OF_SOFTMAX,
    WITHOUT_LOGARITHM,
    SIGN_EXCHANGED,
    LOGARITHM_OF_THE_MEAN,
    FIRST_TARGET_FOR_ALL,
    SUM_NOT_CLEARED,
};

enum { LOSS_BEFORE = 100 /* what loss holds before the call; far from every right loss */ };

static const Mistake MISTAKES[] = {
    {SOFTMAX_TAKEN_TWICE, "softmax_taken_twice",
     "the cross-entropy of probabilities: the softmax was taken before the log-sum-exp, which takes it again"},
    {SUM_FOR_MEAN, "sum_for_mean", "the sum of the rows' losses in place of their mean"},
    {BATCH_MEAN, "batch_mean", "the sum divided by the first dimension: the mean is over all leading dimensions"},
    {MEAN_OVER_THE_VOCABULARY, "mean_over_the_vocabulary",
     "the sum divided by the number of logits: each row has one loss, whatever the vocabulary"},
    {WITHOUT_MAXIMUM, "without_maximum",
     "the cross-entropy with a log-sum-exp that does not subtract the maximum, which overflows for large logits"},
    {MAXIMUM_NOT_ADDED_BACK, "maximum_not_added_back",
     "log sum_j e^(x_j - m) - x_t: the maximum m is subtracted from all logits, but not from the target's"},
    {LOGARITHM_OF_SOFTMAX, "logarithm_of_softmax",
     "the logarithm of a probability that was rounded to 0: l - x_t needs no softmax"},
    {WITHOUT_LOGARITHM, "without_logarithm", "minus the mean probability of the targets: the logarithm is missing"},
    {SIGN_EXCHANGED, "sign_exchanged", "the mean log-likelihood: the loss has the opposite sign"},
    {LOGARITHM_OF_THE_MEAN, "logarithm_of_the_mean",
     "minus the logarithm of the mean probability, in place of the mean of minus the logarithms"},
    {FIRST_TARGET_FOR_ALL, "first_target_for_all", "the cross-entropy with the first target in every row"},
    {SUM_NOT_CLEARED, "sum_not_cleared", "a sum that begins with what loss held before the call: it must begin with 0"},
    {0},
};

/* The log-sum-exp of a row of n logits. */
static double log_sum_exp_of(const double *x, size_t n, bool subtract_maximum)
{
    double max = subtract_maximum ? -INFINITY : 0, sum = 0;
    for (size_t j = 0; j < n && subtract_maximum; j++)
        max = fmax(max, x[j]);
    for (size_t j = 0; j < n; j++)
        sum += exp(x[j] - max);
    return max + log(sum);
}

/* What a row of n logits adds to the sum, with the mistake. */
static double wrong_loss(Trial *t, const double *x, size_t n, size_t target, int mistake)
{
    const double l = log_sum_exp_of(x, n, mistake != WITHOUT_MAXIMUM), p = exp(x[target] - l);
    double max = -INFINITY, *probabilities = trial_memory(t, n * sizeof *probabilities);
    for (size_t j = 0; j < n; j++) {
        max = fmax(max, x[j]);
        probabilities[j] = exp(x[j] - l);
    }
    switch (mistake) {
    case SOFTMAX_TAKEN_TWICE:
        return log_sum_exp_of(probabilities, n, true) - p;
    case MAXIMUM_NOT_ADDED_BACK:
        return l - max - x[target];
    case LOGARITHM_OF_SOFTMAX:
        return -log(p);
    case WITHOUT_LOGARITHM:
    case LOGARITHM_OF_THE_MEAN:
        return -p;
    case SIGN_EXCHANGED:
        return x[target] - l;
    default:
        return l - x[target];
    }
}

static double wrong_cross_entropy(Trial *t, Tensor logits, TokenTensor targets)
{
    const double *x = trial_doubles(t, logits);
    const size_t rows = tensor_rows(logits), vocab = tensor_extent(logits, -1);
    double sum = t->mistake == SUM_NOT_CLEARED ? LOSS_BEFORE : 0, count = (double)rows;
    for (size_t i = 0; i < rows; i++) {
        const int32_t target = targets.data[t->mistake == FIRST_TARGET_FOR_ALL ? 0 : i];
        sum += wrong_loss(t, x + i * vocab, vocab, (size_t)target, t->mistake);
    }
    if (t->mistake == SUM_FOR_MEAN)
        count = 1;
    if (t->mistake == BATCH_MEAN)
        count = (double)tensor_extent(logits, 0);
    if (t->mistake == MEAN_OVER_THE_VOCABULARY)
        count = (double)(rows * vocab);
    return t->mistake == LOGARITHM_OF_THE_MEAN ? -log(-sum / count) : sum / count;
}

static double answer(Trial *t, Tensor logits, TokenTensor targets)
{
    if (t->mistake)
        return wrong_cross_entropy(t, logits, targets);
    return reference_cross_entropy(trial_doubles(t, logits), targets.data, tensor_rows(logits),
                                   tensor_extent(logits, -1));
}

/* Calls cross_entropy_forward() for the loss alone. */
static void lose(Trial *t, Tensor logits, TokenTensor targets)
{
    float loss = LOSS_BEFORE;
    const Tensor unwanted = {0};
    TRIAL_CALL(t, cross_entropy_forward(&loss, unwanted, logits, targets));
    trial_number(t, "loss", (double)loss, answer(t, logits, targets));
}

static void by_hand(Trial *t)
{
    static const float X[] = {2, 1, -1, 0, 0, 0};
    static const int32_t TARGETS[] = {0, 2};
    const Tensor logits = trial_input(t, "logits", X, 2, 3);
    lose(t, logits, trial_ids(t, "targets", TARGETS, 2));
}

static void course_sizes(Trial *t)
{
    const Tensor logits = trial_random(t, "logits", 1, 8, 5);
    lose(t, logits, trial_random_ids(t, "targets", 5, 8));
}

static void sequences(Trial *t)
{
    const Tensor logits = trial_random(t, "logits", 2, 3, 4, 10);
    lose(t, logits, trial_random_ids(t, "targets", 10, 3, 4));
}

static void huge_logits(Trial *t)
{
    static const float X[] = {1000, 1001, 999, 0, 1000, 0};
    static const int32_t TARGETS[] = {0, 1};
    const Tensor logits = trial_input(t, "logits", X, 2, 3);
    lose(t, logits, trial_ids(t, "targets", TARGETS, 2));
}

/* The target's probability is e^-2000, which is 0 in every format. */
static void unlikely_target(Trial *t)
{
    static const float X[] = {0, -2000, 1};
    static const int32_t TARGETS[] = {1};
    const Tensor logits = trial_input(t, "logits", X, 1, 3);
    lose(t, logits, trial_ids(t, "targets", TARGETS, 1));
}

static void one_token(Trial *t)
{
    static const float X[] = {7, -7};
    static const int32_t TARGETS[] = {0, 0};
    const Tensor logits = trial_input(t, "logits", X, 2, 1);
    lose(t, logits, trial_ids(t, "targets", TARGETS, 2));
}

static void strides(Trial *t)
{
    t->gap = 3;
    const Tensor logits = trial_random(t, "logits", 1, 3, 5);
    lose(t, logits, trial_random_ids(t, "targets", 5, 3));
}

static void target_outside(Trial *t)
{
    static const float X[] = {2, 1, -1, 0, 0, 0};
    static const int32_t TARGETS[] = {0, 3};
    float loss = LOSS_BEFORE;
    const Tensor logits = trial_input(t, "logits", X, 2, 3), unwanted = {0};
    const TokenTensor targets = trial_ids(t, "targets", TARGETS, 2);
    TRIAL_CALL(t, cross_entropy_forward(&loss, unwanted, logits, targets));
    trial_must_fail(t);
}

static void log_sum_exp(Trial *t)
{
    float loss = LOSS_BEFORE;
    const Tensor logits = trial_random(t, "logits", 1, 3, 5), saved = trial_output(t, "log_sum_exp", 3, 1);
    const TokenTensor targets = trial_random_ids(t, "targets", 5, 3);
    TRIAL_CALL(t, cross_entropy_forward(&loss, saved, logits, targets));
    trial_number(t, "loss", (double)loss, answer(t, logits, targets));
    reference_log_sum_exp(trial_answer(t, saved), trial_doubles(t, logits), 3, 5);
}

static const Case CASES[] = {
    CASE("two rows of three logits", by_hand),
    CASE("the sizes of the course's test", course_sizes),
    CASE("three sequences of four tokens", sequences),
    /* float32 numbers around 1000 are 6e-5 apart, and so is the log-sum-exp */
    {.what = "logits of 1000", .run = huge_logits, .loosely = 10},
    CASE("a target whose probability rounds to 0", unlikely_target),
    CASE("a vocabulary of a single token: no loss", one_token),
    CASE("rows that do not follow each other in memory", strides),
    CASE("a target that is not below the vocabulary's size: an error", target_outside),
    {.what = "log_sum_exp, which the backward pass reads", .run = log_sum_exp, .optional = true},
    {0},
};

const Exercise exercise_cross_entropy = {"cross_entropy", .rtol = 1e-5, .atol = 1e-6, .cases = CASES,
                                         .mistakes = MISTAKES};
