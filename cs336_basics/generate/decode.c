#include "generate/decode.h"

#include "core/memory.h"
#include "generate/draw.h"

#include <stdint.h>
#include <string.h>

/* Returns the bytes of scratch: the model's or that of drawing, which do not run at the same time. */
size_t decoder_scratch(const TransformerLM *lm, size_t count, size_t window)
{
    const size_t whole = transformer_lm_forward_scratch(lm, 1, window);
    const size_t each = transformer_lm_forward_scratch(lm, count, 1), model = whole > each ? whole : each;
    const size_t drawing = draw_scratch(lm->config.vocab_size);
    return model > drawing ? model : drawing;
}

Status decoder_bind(Decoder *decoder, Arena *arena, const TransformerLM *lm, size_t window)
{
    const size_t mark = arena_mark(arena);
    *decoder = (Decoder){.lm = lm};
    decoder->window = arena_take(arena, memory_product(window, sizeof *decoder->window));
    const Status s = arena_keep(arena, mark);
    return s ? s : transformer_lm_bind_caches(&decoder->caches, arena, lm, 1, window);
}

/* Takes everything that a decoder with memory of its own needs from the arena, which may only measure. */
static Status bind(Decoder *decoder, Arena *arena, const TransformerLM *lm, bool cached)
{
    const size_t mark = arena_mark(arena), vocab_size = lm->config.vocab_size;
    const size_t context_length = lm->config.context_length;
    if (cached) {
        const Status s = decoder_bind(decoder, arena, lm, context_length);
        if (s)
            return s;
        decoder->logits = arena_tensor(arena, 1, vocab_size);
    } else {
        *decoder = (Decoder){.lm = lm};
        decoder->window = arena_take(arena, memory_product(context_length, sizeof *decoder->window));
        decoder->all_logits = arena_tensor(arena, 1, context_length, vocab_size);
    }
    return arena_keep(arena, mark);
}

Status decoder_init(Decoder *decoder, const TransformerLM *lm, bool cached)
{
    Arena measure = {0}, memory = {0};
    Status s = bind(decoder, &measure, lm, cached);
    const size_t bytes = measure.peak, scratch = decoder_scratch(lm, 1, lm->config.context_length);
    const size_t machine = memory_machine();
    const size_t total = scratch < SIZE_MAX - bytes ? bytes + scratch : SIZE_MAX;
    if (!s && machine && total > machine)
        s = status_fail(CS336_ENOMEM,
                        "%s: a window of context_length %zu needs %.4g GB of memory, this machine has %.4g GB",
                        __func__, lm->config.context_length, (double)total / 1e9, (double)machine / 1e9);
    if (!s)
        s = arena_init(&memory, total);
    if (!s)
        s = bind(decoder, &memory, lm, cached);
    if (s) {
        arena_deinit(&memory);
        *decoder = (Decoder){0};
    } else {
        decoder->memory = memory;
    }
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

/* Returns the tokens that the window can hold: with caches, as many as they have rows. */
static size_t capacity_of(const Decoder *decoder)
{
    return decoder->caches ? tensor_extent(decoder->caches->key, -2) : decoder->lm->config.context_length;
}

/* Appends a token to the window. A full window first drops its first half. */
static void append(Decoder *decoder, int32_t id)
{
    const size_t capacity = capacity_of(decoder), half = capacity / 2;
    if (decoder->length == capacity) {
        memmove(decoder->window, decoder->window + capacity - half, half * sizeof *decoder->window);
        decoder->length = half;
        clear_caches(decoder);
    }
    decoder->window[decoder->length++] = id;
}

/* Appends the tokens of a feed. */
static Status append_all(const char *function, Decoder *decoder, const int32_t *ids, size_t count)
{
    if (count == 0)
        return status_fail(CS336_ERANGE, "%s: no token given, expected at least one", function);
    for (size_t i = 0; i < count; i++)
        append(decoder, ids[i]);
    return CS336_OK;
}

/* Computes the tokens that are not in the caches yet, and the logits of the next one. */
static Status compute(Decoder *decoder, Arena *scratch)
{
    const size_t length = decoder->length, vocab_size = decoder->lm->config.vocab_size;
    Status s;
    if (decoder->caches) {
        const TokenTensor uncached = tokens(decoder->window + decoder->computed, 1, length - decoder->computed);
        s = transformer_lm_decode(decoder->logits, decoder->caches, decoder->lm, uncached, scratch);
    } else {
        /* Compute the whole window and keep the logits of its last token. */
        const Tensor logits = tensor(decoder->all_logits.data, 1, length, vocab_size);
        s = transformer_lm_forward(logits, decoder->lm, tokens(decoder->window, 1, length), scratch);
        decoder->logits = tensor_select(logits, 1, length - 1);
    }
    if (!s)
        decoder->computed = length;
    return s;
}

Status decoder_feed(Decoder *decoder, const int32_t *ids, size_t count)
{
    const Status s = append_all(__func__, decoder, ids, count);
    return s ? s : compute(decoder, &decoder->memory);
}

Status decoder_feed_each(const DecoderFeed *feeds, size_t count, Tensor logits, Arena *scratch)
{
    KeyValueCache *caches[DECODER_TOGETHER];
    int32_t ids[DECODER_TOGETHER];
    Status s = CS336_OK;
    if (count < 1 || count > DECODER_TOGETHER)
        return status_fail(CS336_ERANGE, "%s: %zu decoders, expected 1 to %d", __func__, count, DECODER_TOGETHER);
    /* Append. The first rows of logits belong to the decoders with one token to compute, the last ones to the others.
     */
    size_t together = 0, alone = 0;
    for (size_t i = 0; !s && i < count; i++) {
        Decoder *decoder = feeds[i].decoder;
        s = append_all(__func__, decoder, feeds[i].ids, feeds[i].count);
        const bool single = !s && decoder->length - decoder->computed == 1;
        decoder->logits = tensor_slice(logits, 0, single ? together : count - 1 - alone, 1);
        if (single) {
            caches[together] = decoder->caches;
            ids[together++] = decoder->window[decoder->computed];
        } else {
            alone++;
        }
    }
    /* Compute: those with several tokens each for itself, the others in one pass. */
    for (size_t i = 0; !s && i < count; i++)
        if (feeds[i].decoder->length - feeds[i].decoder->computed > 1)
            s = compute(feeds[i].decoder, scratch);
    if (!s && together)
        s = transformer_lm_decode_each(tensor_slice(logits, 0, 0, together), caches, feeds[0].decoder->lm,
                                       tokens(ids, together, 1), scratch);
    for (size_t i = 0; !s && i < count; i++)
        feeds[i].decoder->computed = feeds[i].decoder->length;
    return s;
}

void decoder_copy(Decoder *to, const Decoder *from)
{
    memcpy(to->window, from->window, from->length * sizeof *to->window);
    to->length = from->length;
    to->computed = from->computed;
    to->logits = from->logits;
    for (size_t i = 0; i < from->lm->config.num_layers; i++) {
        const KeyValueCache *source = &from->caches[i];
        KeyValueCache *cache = &to->caches[i];
        cache->length = source->length;
        tensor_copy(tensor_slice(cache->key, -2, 0, cache->length), tensor_slice(source->key, -2, 0, cache->length));
        tensor_copy(tensor_slice(cache->value, -2, 0, cache->length),
                    tensor_slice(source->value, -2, 0, cache->length));
    }
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
        s = draw_token(&token, logits, config->drawable, &config->sample, rng, &decoder->memory);
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
