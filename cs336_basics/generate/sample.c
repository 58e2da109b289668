#include "generate/sample.h"

#include <math.h>
#include <stdlib.h>

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
    *largest = 0;
    for (size_t i = 0; i < vocab_size; i++) {
        if (isnan(logits[i]) || (isinf(logits[i]) && logits[i] > 0))
            return status_fail(CS336_ERANGE, "sample_candidates: logit %zu is %g, expected a number", i,
                               (double)logits[i]);
        if (logits[i] > logits[*largest])
            *largest = i;
    }
    if (isinf(logits[*largest]))
        return status_fail(CS336_ERANGE, "sample_candidates: all %zu logits are -inf", vocab_size);
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

/* How many of the sorted candidates it takes to reach the probability; all, should rounding keep the sum below it. */
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
    const double maximum = (double)logits.data[largest];
    for (size_t i = 0; i < vocab_size; i++)
        candidates[i] = (Candidate){.probability = exp(((double)logits.data[i] - maximum) / config->temperature),
                                    .token = (int32_t)i};
    qsort(candidates, vocab_size, sizeof *candidates, compare);
    normalise(candidates, vocab_size);
    *count = config->top_p < 1 ? nucleus(candidates, vocab_size, config->top_p) : vocab_size;
    while (candidates[*count - 1].probability == 0)
        --*count;
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
