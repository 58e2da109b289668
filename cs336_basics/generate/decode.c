#include "generate/decode.h"

#include "core/memory.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Returns the bytes of scratch: the model's or the sampler's, which do not run at the same time. */
static size_t scratch_bytes(const TransformerLM *lm)
{
    const size_t model = transformer_lm_forward_scratch(lm, 1, lm->config.context_length);
    const size_t sample = sample_scratch(lm->config.vocab_size);
    return model > sample ? model : sample;
}

/* Takes everything that the decoder owns from the arena, which may only measure. */
static Status bind(Decoder *decoder, Arena *arena, bool cached)
{
    const TransformerLMConfig *config = &decoder->lm->config;
    const size_t mark = arena_mark(arena);
    decoder->window = arena_take(arena, memory_product(config->context_length, sizeof *decoder->window));
    if (cached)
        decoder->logits = arena_tensor(arena, 1, config->vocab_size);
    else
        decoder->all_logits = arena_tensor(arena, 1, config->context_length, config->vocab_size);
    const Status s = arena_keep(arena, mark);
    return s || !cached ? s : transformer_lm_bind_caches(&decoder->caches, arena, decoder->lm, 1);
}

Status decoder_init(Decoder *decoder, const TransformerLM *lm, bool cached)
{
    *decoder = (Decoder){.lm = lm};
    Arena measure = {0};
    Status s = bind(decoder, &measure, cached);
    const size_t bytes = measure.peak, scratch = scratch_bytes(lm), machine = memory_machine();
    const size_t total = scratch < SIZE_MAX - bytes ? bytes + scratch : SIZE_MAX;
    if (!s && machine && total > machine)
        s = status_fail(CS336_ENOMEM,
                        "%s: a window of context_length %zu needs %.4g GB of memory, this machine has %.4g GB",
                        __func__, lm->config.context_length, (double)total / 1e9, (double)machine / 1e9);
    if (!s)
        s = arena_init(&decoder->memory, total);
    if (!s)
        s = bind(decoder, &decoder->memory, cached);
    if (s)
        decoder_deinit(decoder);
    return s;
}

void decoder_deinit(Decoder *decoder)
{
    arena_deinit(&decoder->memory);
    *decoder = (Decoder){0};
}

/*
 * Empties the caches. The cached keys were rotated by their positions in the window: when tokens move to other
 * positions, all must be computed again.
 */
static void clear_caches(Decoder *decoder)
{
    decoder->computed = 0;
    if (decoder->caches)
        for (size_t i = 0; i < decoder->lm->config.num_layers; i++)
            decoder->caches[i].length = 0;
}

void decoder_reset(Decoder *decoder)
{
    decoder->length = 0;
    clear_caches(decoder);
}

/* Appends a token to the window. A full window first drops its first half. */
static void append(Decoder *decoder, int32_t id)
{
    const size_t capacity = decoder->lm->config.context_length, half = capacity / 2;
    if (decoder->length == capacity) {
        memmove(decoder->window, decoder->window + capacity - half, half * sizeof *decoder->window);
        decoder->length = half;
        clear_caches(decoder);
    }
    decoder->window[decoder->length++] = id;
}

Status decoder_feed(Decoder *decoder, const int32_t *ids, size_t count)
{
    if (count == 0)
        return status_fail(CS336_ERANGE, "%s: no token given, expected at least one", __func__);
    for (size_t i = 0; i < count; i++)
        append(decoder, ids[i]);
    const size_t length = decoder->length, vocab_size = decoder->lm->config.vocab_size;
    Status s;
    if (decoder->caches) {
        /* Compute only the tokens that are not in the caches yet. */
        const TokenTensor uncached = tokens(decoder->window + decoder->computed, 1, length - decoder->computed);
        s = transformer_lm_decode(decoder->logits, decoder->caches, decoder->lm, uncached, &decoder->memory);
    } else {
        /* Compute the whole window and keep the logits of its last token. */
        const Tensor logits = tensor(decoder->all_logits.data, 1, length, vocab_size);
        s = transformer_lm_forward(logits, decoder->lm, tokens(decoder->window, 1, length), &decoder->memory);
        decoder->logits = tensor_select(logits, 1, length - 1);
    }
    if (!s)
        decoder->computed = length;
    return s;
}

Status generate(size_t *count, Decoder *decoder, const int32_t *prompt, size_t prompt_length,
                const GenerateConfig *config, Rng *rng, TokenReceiver receiver)
{
    size_t generated = 0;
    Status s = sample_check(&config->sample);
    if (!s)
        s = decoder_feed(decoder, prompt, prompt_length);
    while (!s && generated < config->max_tokens) {
        int32_t token;
        /* Choose a token, hand it over, and compute the logits of the next one unless this was the last. */
        const Tensor logits = tensor_select(decoder->logits, 0, 0);
        for (size_t id = config->token_count; config->token_count && id < tensor_extent(logits, -1); id++)
            logits.data[id] = -INFINITY;
        s = sample_token(&token, logits, &config->sample, rng, &decoder->memory);
        if (s || token == config->stop_token)
            break;
        s = receiver.token(receiver.context, token);
        if (!s && ++generated < config->max_tokens)
            s = decoder_feed(decoder, &token, 1);
    }
    if (count)
        *count = generated;
    return s;
}
