/* The figure of section 7.5: temperature, top-p, and samples. */
#include "live.h"

#include "generate/sample.h"

enum { MOST_TOKENS = 64 };

static Status check_count(const char *function, int n)
{
    if (n > 0 && n <= MOST_TOKENS)
        return CS336_OK;
    return status_fail(CS336_ERANGE, "%s: %d tokens, expected 1 to %d", function, n, MOST_TOKENS);
}

/* probabilities (n): what each token is drawn with; 0 if it cannot be drawn */
LIVE live_top_p(double *probabilities, float *logits, int n, double temperature, double top_p)
{
    SampleCandidate candidates[MOST_TOKENS];
    size_t count = 0;
    Status s = check_count(__func__, n);
    if (!s)
        s = sample_candidates(candidates, &count, tensor(logits, (size_t)n),
                              &(SampleConfig){.temperature = temperature, .top_p = top_p});
    for (int i = 0; !s && i < n; i++)
        probabilities[i] = 0;
    for (size_t i = 0; !s && i < count; i++)
        probabilities[candidates[i].token] = candidates[i].probability;
    return s;
}

/* counts (n): how often each token comes among `draws` samples */
LIVE live_samples(int32_t *counts, float *logits, int n, double temperature, double top_p, int draws, uint32_t seed)
{
    const SampleConfig config = {.temperature = temperature, .top_p = top_p};
    Rng rng = rng_seeded(seed);
    Arena scratch = {0};
    Status s = check_count(__func__, n);
    if (!s)
        s = arena_init(&scratch, sample_scratch((size_t)n));
    for (int i = 0; !s && i < n; i++)
        counts[i] = 0;
    for (int i = 0; !s && i < draws; i++) {
        int32_t token = 0;
        s = sample_token(&token, tensor(logits, (size_t)n), &config, &rng, &scratch);
        if (!s)
            counts[token]++;
    }
    arena_deinit(&scratch);
    return s;
}
