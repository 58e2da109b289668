#include "generate/sample.h"

#include "kernels/vecmath.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Weights are at most 1: buckets end with that number's. */
enum { CHUNK = 512, BUCKET_SHIFT = 19, BUCKETS = (0x3f800000 >> BUCKET_SHIFT) + 1 };

Status sample_check(const SampleConfig *config)
{
    if (!(config->temperature >= 0 && isfinite(config->temperature)))
        return status_fail(CS336_ERANGE, "sample_check: temperature is %g, expected a finite number of at least 0",
                           config->temperature);
    if (!(config->top_p >= 0 && config->top_p <= 1))
        return status_fail(CS336_ERANGE, "sample_check: top_p is %g, expected a number from 0 to 1", config->top_p);
    return CS336_OK;
}

size_t sample_scratch(size_t vocab_size)
{
    Arena measure = {0};
    void *candidates;
    if (arena_take(&measure, &candidates, vocab_size * sizeof(Candidate)))
        return 0;
    return measure.peak;
}

static Status find_largest(size_t *largest, const float *logits, size_t vocab_size)
{
    int unusable = 0;
    for (size_t i = 0; i < vocab_size; i++)
        unusable += !(logits[i] < INFINITY);
    for (size_t i = 0; unusable && i < vocab_size; i++)
        if (!(logits[i] < INFINITY))
            return status_fail(CS336_ERANGE, "sample_candidates: logit %zu is %g, expected a number", i,
                               (double)logits[i]);
    const float maximum = vecmath()->max(logits, vocab_size);
    if (isinf(maximum))
        return status_fail(CS336_ERANGE, "sample_candidates: all %zu logits are -inf", vocab_size);
    *largest = 0;
    while (logits[*largest] != maximum)
        ++*largest;
    return CS336_OK;
}

/* Likelier first, of equals the lower id: a total order, so that the sort's own order of equals never shows. */
static int compare(const void *left, const void *right)
{
    const Candidate *a = left, *b = right;
    if (a->probability != b->probability)
        return a->probability > b->probability ? -1 : 1;
    return (a->token > b->token) - (a->token < b->token);
}

static void normalise(Candidate *candidates, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += candidates[i].probability;
    for (size_t i = 0; i < count; i++)
        candidates[i].probability /= sum;
}

/* How many of the sorted candidates it takes to reach the weight; all, should rounding keep the sum below it. */
static size_t nucleus(const Candidate *candidates, size_t count, double top_p)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += candidates[i].probability;
        if (sum >= top_p)
            return i + 1;
    }
    return count;
}

/* Weights of about the same size share a bucket: floats of one exponent and one beginning of the fraction. */
static size_t bucket_of(double weight)
{
    const float w = (float)weight;
    uint32_t bits;
    memcpy(&bits, &w, sizeof bits);
    return bits >> BUCKET_SHIFT;
}

/* Moves the candidates of buckets from `first` on before the others, and keeps their order. Returns how many. */
static size_t move_to_front(Candidate *candidates, size_t count, size_t first)
{
    size_t moved = 0;
    for (size_t i = 0; i < count; i++)
        if (bucket_of(candidates[i].probability) >= first) {
            const Candidate c = candidates[i];
            candidates[i] = candidates[moved];
            candidates[moved++] = c;
        }
    return moved;
}

/*
 * Moves the likeliest candidates that together reach the weight to the front. Sorting all of a large vocabulary would
 * take longer than the model: whole buckets are taken while they fit, and only the one where the limit lies is sorted.
 */
static size_t select_likeliest(Candidate *candidates, size_t count, double weight)
{
    double in_bucket[BUCKETS] = {0}, taken = 0;
    for (size_t i = 0; i < count; i++)
        in_bucket[bucket_of(candidates[i].probability)] += candidates[i].probability;
    size_t limit = BUCKETS - 1;
    while (limit > 0 && taken + in_bucket[limit] < weight)
        taken += in_bucket[limit--];
    const size_t certain = move_to_front(candidates, count, limit + 1);
    Candidate *rest = candidates + certain;
    const size_t close = move_to_front(rest, count - certain, limit);
    qsort(rest, close, sizeof *rest, compare);
    return certain + nucleus(rest, close, weight - taken);
}

/* e^((logit - maximum) / temperature) for all tokens that can come; returns how many, and the sum of these weights. */
static size_t weigh(Candidate *candidates, double *sum, const float *logits, size_t vocab_size, double maximum,
                    double temperature)
{
    const VecmathKernels *vec = vecmath();
    size_t count = 0;
    *sum = 0;
    for (size_t first = 0; first < vocab_size; first += CHUNK) {
        const size_t n = vocab_size - first < CHUNK ? vocab_size - first : CHUNK;
        float weight[CHUNK];
        for (size_t i = 0; i < n; i++)
            weight[i] = (float)(((double)logits[first + i] - maximum) / temperature);
        *sum += (double)vec->exp_shifted(weight, weight, 0, n);
        for (size_t i = 0; i < n; i++)
            if (weight[i] > 0)
                candidates[count++] = (Candidate){.probability = (double)weight[i], .token = (int32_t)(first + i)};
    }
    return count;
}

Status sample_candidates(Candidate *candidates, size_t *count, Tensor logits, const SampleConfig *config)
{
    const size_t vocab_size = tensor_extent(logits, -1);
    size_t largest;
    Status s = sample_check(config);
    if (!s)
        s = find_largest(&largest, logits.data, vocab_size);
    if (s)
        return s;
    if (config->temperature == 0) {
        candidates[0] = (Candidate){.probability = 1, .token = (int32_t)largest};
        *count = 1;
        return CS336_OK;
    }
    double sum;
    *count = weigh(candidates, &sum, logits.data, vocab_size, (double)logits.data[largest], config->temperature);
    if (config->top_p < 1)
        *count = select_likeliest(candidates, *count, config->top_p * sum);
    normalise(candidates, *count);
    return CS336_OK;
}

Status sample_token(int32_t *token, Tensor logits, const SampleConfig *config, Rng *rng, Arena *scratch)
{
    const size_t mark = arena_mark(scratch);
    Candidate *candidates;
    size_t count = 0;
    Status s = arena_take(scratch, &candidates, tensor_extent(logits, -1) * sizeof *candidates);
    if (!s)
        s = sample_candidates(candidates, &count, logits, config);
    if (!s) {
        /* The sum may end below u by rounding: then the last candidate is meant. */
        double u = rng_uniform(rng);
        size_t i = 0;
        while (i + 1 < count && u >= candidates[i].probability)
            u -= candidates[i++].probability;
        *token = candidates[i].token;
    }
    arena_release(scratch, mark);
    return s;
}
