#include "generate/sample.h"

#include "kernels/vecmath.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    WEIGHTS_AT_ONCE = 512, /* exponentials in a buffer of 2 KiB on the stack, which stays in the L1 cache */
    BUCKET_SHIFT = 19,     /* low bits of a weight that do not select its bucket: the exponent and 4 of the 23 fraction
                              bits do, which makes 16 buckets for each power of two */
    BUCKETS = (0x3f800000 >> BUCKET_SHIFT) + 1, /* the last is that of 1.0f, 0x3f800000: no weight is greater */
};

Status sample_check(const SampleConfig *config)
{
    if (!(config->temperature >= 0 && isfinite(config->temperature)))
        return status_fail(CS336_ERANGE, "%s: temperature is %g, expected a finite number of at least 0", __func__,
                           config->temperature);
    if (!(config->top_p >= 0 && config->top_p <= 1))
        return status_fail(CS336_ERANGE, "%s: top_p is %g, expected a number from 0 to 1", __func__, config->top_p);
    return CS336_OK;
}

static SampleCandidate *take_candidates(Arena *arena, size_t vocab_size)
{
    return arena_take(arena, vocab_size * sizeof(SampleCandidate));
}

size_t sample_scratch(size_t vocab_size)
{
    Arena measure = {0};
    take_candidates(&measure, vocab_size);
    return measure.peak;
}

/* Finds the index of the largest logit. Fails if a logit is NaN or +inf, or all are -inf. */
static Status find_largest(size_t *largest, const char *function, const float *logits, size_t vocab_size)
{
    /* Count NaN and +inf without a branch, so that the loop is vectorised. If there are any, find the first. */
    int unusable = 0;
    for (size_t i = 0; i < vocab_size; i++)
        unusable += !(logits[i] < INFINITY);
    for (size_t i = 0; unusable && i < vocab_size; i++)
        if (!(logits[i] < INFINITY))
            return status_fail(CS336_ERANGE, "%s: logit %zu is %g, expected a number", function, i, (double)logits[i]);
    /* The maximum, then the lowest index at which it stands. */
    const float maximum = vecmath()->max(logits, vocab_size);
    if (isinf(maximum))
        return status_fail(CS336_ERANGE, "%s: all %zu logits are -inf", function, vocab_size);
    *largest = 0;
    while (logits[*largest] != maximum)
        ++*largest;
    return CS336_OK;
}

/*
 * Orders the likelier candidate first, and of two equally likely ones that of the lower id. No two candidates are equal
 * then, so the result does not depend on how qsort() orders equal ones.
 */
static int compare(const void *left, const void *right)
{
    const SampleCandidate *a = left, *b = right;
    if (a->probability != b->probability)
        return a->probability > b->probability ? -1 : 1;
    return (a->token > b->token) - (a->token < b->token);
}

static double sum_of_weights(const SampleCandidate *candidates, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += candidates[i].probability;
    return sum;
}

/* Divides the weights by their sum: they become probabilities. */
static void normalise(SampleCandidate *candidates, size_t count)
{
    const double sum = sum_of_weights(candidates, count);
    for (size_t i = 0; i < count; i++)
        candidates[i].probability /= sum;
}

/* What is enough: so many candidates (top-k), or so much weight (top-p). */
typedef enum { COUNTED, WEIGHED } Measure;

/* Returns what a candidate adds. Sums of ones are exact. */
static double measured(const SampleCandidate *candidate, Measure measure)
{
    return measure == COUNTED ? 1 : candidate->probability;
}

/* Returns how many of the sorted candidates are enough, or all if rounding keeps the sum of their weights below it. */
static size_t first_enough(const SampleCandidate *candidates, size_t count, Measure measure, double enough)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += measured(&candidates[i], measure);
        if (sum >= enough)
            return i + 1;
    }
    return count;
}

/*
 * Returns the bucket of a weight: floats with the same exponent and the same first 4 fraction bits share one. The bits
 * of positive floats, read as integers, are ordered like the floats; so the buckets are in the order of the weights.
 */
static size_t bucket_of(double weight)
{
    const float w = (float)weight;
    uint32_t bits;
    memcpy(&bits, &w, sizeof bits);
    return bits >> BUCKET_SHIFT;
}

/*
 * Moves the candidates of the buckets from `first` on to the front, in their order, and returns how many there are. It
 * exchanges without a branch, which the CPU could not predict: a candidate that stays is exchanged again with the next.
 */
static size_t move_to_front(SampleCandidate *candidates, size_t count, size_t first)
{
    size_t moved = 0;
    for (size_t i = 0; i < count; i++) {
        const SampleCandidate c = candidates[i];
        candidates[i] = candidates[moved];
        candidates[moved] = c;
        moved += bucket_of(c.probability) >= first;
    }
    return moved;
}

/*
 * Moves the smallest set of likeliest candidates that is enough to the front, and returns how many they are. Sorting a
 * whole vocabulary would take longer than the model itself. So this is a bucket sort: the buckets of the largest
 * weights are taken whole while they are not enough, and only the bucket that is too much is sorted.
 */
static size_t select_likeliest(SampleCandidate *candidates, size_t count, Measure measure, double enough)
{
    /* Sum what is in each bucket. */
    double in_bucket[BUCKETS] = {0}, taken = 0;
    for (size_t i = 0; i < count; i++)
        in_bucket[bucket_of(candidates[i].probability)] += measured(&candidates[i], measure);
    /* Find the bucket with which it is enough. */
    size_t limit = BUCKETS - 1;
    while (limit > 0 && taken + in_bucket[limit] < enough)
        taken += in_bucket[limit--];
    /* All buckets above it come first; then the bucket itself, sorted, as far as it is needed. */
    const size_t above = move_to_front(candidates, count, limit + 1);
    SampleCandidate *crossing = candidates + above;
    const size_t crossing_count = move_to_front(crossing, count - above, limit);
    qsort(crossing, crossing_count, sizeof *crossing, compare);
    return above + first_enough(crossing, crossing_count, measure, enough - taken);
}

/*
 * Computes the weight e^((logit - maximum) / temperature) of each token, and their sum. Stores the tokens whose weight
 * is not 0 as candidates, and returns how many they are.
 */
static size_t compute_weights(SampleCandidate *candidates, double *sum, const float *logits, size_t vocab_size,
                              double maximum, double temperature)
{
    const VecmathKernels *vec = vecmath();
    size_t count = 0;
    *sum = 0;
    for (size_t first = 0; first < vocab_size; first += WEIGHTS_AT_ONCE) {
        /* The exponents in double, the exponentials in float32. */
        const size_t n = vocab_size - first < WEIGHTS_AT_ONCE ? vocab_size - first : WEIGHTS_AT_ONCE;
        float weight[WEIGHTS_AT_ONCE];
        for (size_t i = 0; i < n; i++)
            weight[i] = (float)(((double)logits[first + i] - maximum) / temperature);
        *sum += (double)vec->exp_shifted(weight, weight, 0, n);
        /* Keep the tokens that can be drawn. */
        for (size_t i = 0; i < n; i++)
            if (weight[i] > 0)
                candidates[count++] =
                    (SampleCandidate){.probability = (double)weight[i], .token = (int32_t)(first + i)};
    }
    return count;
}

Status sample_candidates(SampleCandidate *candidates, size_t *count, Tensor logits, const SampleConfig *config)
{
    const size_t vocab_size = tensor_extent(logits, -1);
    size_t largest;
    Status s = sample_check(config);
    if (!s)
        s = find_largest(&largest, __func__, logits.data, vocab_size);
    if (s)
        return s;
    /* Temperature 0: the largest logit alone. */
    if (config->temperature == 0) {
        candidates[0] = (SampleCandidate){.probability = 1, .token = (int32_t)largest};
        *count = 1;
        return CS336_OK;
    }
    /*
     * The weights of all tokens; with top_k, only the greatest; with top_p, only those of these that reach its share of
     * their sum; then divide by the sum of those that are left.
     */
    double sum;
    *count =
        compute_weights(candidates, &sum, logits.data, vocab_size, (double)logits.data[largest], config->temperature);
    if (config->top_k > 0 && config->top_k < *count) {
        *count = select_likeliest(candidates, *count, COUNTED, (double)config->top_k);
        sum = sum_of_weights(candidates, *count);
    }
    if (config->top_p < 1)
        *count = select_likeliest(candidates, *count, WEIGHED, config->top_p * sum);
    normalise(candidates, *count);
    return CS336_OK;
}

Status sample_token(int32_t *token, Tensor logits, const SampleConfig *config, Rng *rng, Arena *scratch)
{
    const size_t mark = arena_mark(scratch);
    SampleCandidate *candidates = take_candidates(scratch, tensor_extent(logits, -1));
    size_t count = 0;
    Status s = arena_status(scratch);
    if (!s)
        s = sample_candidates(candidates, &count, logits, config);
    if (!s) {
        /*
         * Draw by inverting the cumulative distribution: u, uniform in [0, 1), falls into the interval of one
         * candidate. Rounding may leave the sum of all probabilities below u: then the last candidate is drawn.
         */
        double u = rng_uniform(rng);
        size_t i = 0;
        while (i + 1 < count && u >= candidates[i].probability)
            u -= candidates[i++].probability;
        *token = candidates[i].token;
    }
    arena_release(scratch, mark);
    return s;
}

double sample_log_probability(Tensor logits, int32_t token)
{
    const VecmathKernels *vec = vecmath();
    const size_t vocab_size = tensor_extent(logits, -1);
    const float maximum = vec->max(logits.data, vocab_size);
    double sum = 0;
    for (size_t first = 0; first < vocab_size; first += WEIGHTS_AT_ONCE) {
        const size_t n = vocab_size - first < WEIGHTS_AT_ONCE ? vocab_size - first : WEIGHTS_AT_ONCE;
        float weight[WEIGHTS_AT_ONCE];
        sum += (double)vec->exp_shifted(weight, logits.data + first, maximum, n);
    }
    return (double)logits.data[token] - (double)maximum - log(sum);
}
