/*
 * Decoding: the model gives logits for the next token; temperature and top-p make a distribution of them; draw a token,
 * append it, and repeat.
 */
#include "generate/decode.h"
#include "generate/sample.h"
#include "tests/exercises/learn.h"

#include <math.h>
#include <stdlib.h>

/* Orders the likelier token first, and of two equally likely ones that of lower id, as qsort() wants it. */
static int compare(const void *left, const void *right)
{
    const SampleCandidate *a = left, *b = right;
    if (a->probability != b->probability)
        return a->probability > b->probability ? -1 : 1;
    return a->token < b->token ? -1 : 1;
}

Status sample_candidates(SampleCandidate *candidates, size_t *count, Tensor logits, const SampleConfig *config)
{
    const size_t vocab_size = columns(logits);
    const Status s = sample_check(config);
    if (s)
        return s;

    /* The largest logit; of equal ones, the one of lowest id. */
    size_t largest = 0;
    for (size_t i = 0; i < vocab_size; i++) {
        const float x = *at(logits, 0, i);
        if (isnan(x) || x == INFINITY)
            return status_fail(CS336_ERANGE, "sample_candidates: logit %zu is %g, expected a number", i, (double)x);
        if (x > *at(logits, 0, largest))
            largest = i;
    }
    const double max = (double)*at(logits, 0, largest);
    if (isinf(max))
        return status_fail(CS336_ERANGE, "sample_candidates: all %zu logits are -inf", vocab_size);

    /* Temperature 0 always takes the likeliest token. */
    if (config->temperature == 0) {
        candidates[0] = (SampleCandidate){.probability = 1, .token = (int32_t)largest};
        *count = 1;
        return CS336_OK;
    }

    /* q_i = e^((l_i - m) / temperature), not yet divided by their sum. Tokens of probability 0 cannot be drawn. */
    double sum = 0;
    *count = 0;
    for (size_t i = 0; i < vocab_size; i++) {
        const float q = expf((float)(((double)*at(logits, 0, i) - max) / config->temperature));
        if (q > 0)
            candidates[(*count)++] = (SampleCandidate){.probability = (double)q, .token = (int32_t)i};
        sum += (double)q;
    }

    /* top-p: sort, and keep the first tokens that together reach top_p of the sum. At least one is kept. */
    if (config->top_p < 1) {
        qsort(candidates, *count, sizeof *candidates, compare);
        double kept = candidates[0].probability;
        size_t n = 1;
        while (n < *count && kept < config->top_p * sum)
            kept += candidates[n++].probability;
        *count = n;
        sum = kept;
    }

    /* p_i = q_i / sum over the tokens that are left */
    for (size_t i = 0; i < *count; i++)
        candidates[i].probability /= sum;
    return CS336_OK;
}

Status sample_token(int32_t *token, Tensor logits, const SampleConfig *config, Rng *rng, Arena *scratch)
{
    const size_t mark = arena_mark(scratch);
    SampleCandidate *candidates = arena_take(scratch, columns(logits) * sizeof *candidates);
    size_t count = 0;
    Status s = arena_status(scratch);
    if (!s)
        s = sample_candidates(candidates, &count, logits, config);
    if (!s) {
        /* Lay the probabilities end to end on [0, 1). u falls on token i with probability p_i. */
        double u = rng_uniform(rng);
        size_t i = 0;
        while (i + 1 < count && u >= candidates[i].probability)
            u -= candidates[i++].probability;
        *token = candidates[i].token;
    }
    arena_release(scratch, mark);
    return s;
}

Status generate(size_t *count, Decoder *decoder, const int32_t *prompt, size_t prompt_length,
                const GenerateConfig *config, Rng *rng, TokenReceiver receiver)
{
    size_t generated = 0;
    Status s = sample_check(&config->sample);

    /* The model reads the prompt; decoder->logits are then those of the next token. */
    if (!s)
        s = decoder_feed(decoder, prompt, prompt_length);
    while (!s && generated < config->max_tokens) {
        /* Draw a token. The stop token ends the text and is not part of it. */
        int32_t token;
        s = sample_token(&token, tensor_select(decoder->logits, 0, 0), &config->sample, rng, &decoder->memory);
        if (s || token == config->stop_token)
            break;
        s = receiver.token(receiver.context, token);
        generated += !s;

        /* The model reads the token, unless it was the last. */
        if (!s && generated < config->max_tokens)
            s = decoder_feed(decoder, &token, 1);
    }
    if (count)
        *count = generated;
    return s;
}
