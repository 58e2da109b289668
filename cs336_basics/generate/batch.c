#include "generate/batch.h"

#include "core/memory.h"
#include "core/parallel.h"
#include "generate/draw.h"

#include <stdint.h>

/* To draw from one logit takes as long as so many elements of an elementwise loop; see PARALLEL_NUMBERS. */
enum { NUMBERS_PER_LOGIT = 8 };

/* A place in the batch, and the text that has it. */
typedef struct {
    Decoder decoder;
    GenerateText *text; /* NULL: the place is free */
    Arena drawing;      /* memory for draw_token(), borrowed from the batch: threads draw at the same time */
    int32_t token;      /* the latest of the text */
    bool fresh;         /* the decoder has not read the prompt yet */
} Place;

typedef struct {
    const TransformerLM *lm;
    const GenerateConfig *config;
    Place places[DECODER_TOGETHER];
    size_t count;  /* places */
    size_t window; /* tokens that the window of each place can hold */
    Tensor logits; /* (count, vocab_size) */
    Arena memory;
} Batch;

static Status bind(Batch *batch, Arena *arena)
{
    const size_t mark = arena_mark(arena), vocab_size = batch->lm->config.vocab_size;
    const size_t drawing = draw_scratch(vocab_size);
    batch->logits = arena_tensor(arena, batch->count, vocab_size);
    for (size_t i = 0; i < batch->count; i++)
        batch->places[i].drawing = (Arena){.base = arena_take(arena, drawing), .capacity = drawing};
    Status s = arena_keep(arena, mark);
    for (size_t i = 0; !s && i < batch->count; i++)
        s = decoder_bind(&batch->places[i].decoder, arena, batch->lm, batch->window);
    return s;
}

/* Measures the memory of a batch with so many places. */
static Status measure(size_t *bytes, Batch *batch, size_t count)
{
    Arena arena = {0};
    batch->count = count;
    const Status s = bind(batch, &arena);
    const size_t scratch = decoder_scratch(batch->lm, count, batch->window);
    *bytes = scratch < SIZE_MAX - arena.peak ? arena.peak + scratch : SIZE_MAX;
    return s;
}

/* Returns the tokens that the longest text can have, at most context_length: the caches need no more room. */
static size_t longest_window(const Batch *batch, const GenerateText *texts, size_t count)
{
    const size_t context_length = batch->lm->config.context_length, max_tokens = batch->config->max_tokens;
    size_t prompt = 1;
    for (size_t i = 0; i < count; i++)
        prompt = texts[i].prompt_length > prompt ? texts[i].prompt_length : prompt;
    return prompt < context_length && max_tokens < context_length - prompt ? prompt + max_tokens : context_length;
}

/* Makes a place for each text, up to DECODER_TOGETHER; fewer if their caches do not fit the machine. */
static Status init(Batch *batch, const GenerateText *texts, size_t text_count)
{
    const size_t machine = memory_machine();
    size_t bytes = 0, count = text_count < DECODER_TOGETHER ? text_count : DECODER_TOGETHER;
    batch->window = longest_window(batch, texts, text_count);
    Status s = measure(&bytes, batch, count);
    while (!s && machine && bytes > machine && count > 1)
        s = measure(&bytes, batch, count /= 2);
    if (!s && machine && bytes > machine)
        s = status_fail(CS336_ENOMEM, "%s: a window of %zu tokens needs %.4g GB of memory, this machine has %.4g GB",
                        "generate_all", batch->window, (double)bytes / 1e9, (double)machine / 1e9);
    if (!s)
        s = arena_init(&batch->memory, bytes);
    return s ? s : bind(batch, &batch->memory);
}

/* Returns the first place whose text begins now with the same prompt as that of `place`; or `place` itself. */
static Place *same_prompt(Batch *batch, Place *place)
{
    const GenerateText *text = place->text;
    for (Place *other = batch->places; other < place; other++)
        if (other->text && other->fresh && other->text->prompt == text->prompt &&
            other->text->prompt_length == text->prompt_length)
            return other;
    return place;
}

/* Feeds every text: its prompt, or its latest token. Texts that begin with the same prompt read it once. */
static Status feed(Batch *batch)
{
    DecoderFeed feeds[DECODER_TOGETHER];
    Place *reader[DECODER_TOGETHER]; /* of the prompt of a fresh place */
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        Place *place = &batch->places[i];
        const GenerateText *text = place->text;
        reader[i] = text && place->fresh ? same_prompt(batch, place) : place;
        if (text && reader[i] == place)
            feeds[count++] = place->fresh ? (DecoderFeed){&place->decoder, text->prompt, text->prompt_length}
                                          : (DecoderFeed){&place->decoder, &place->token, 1};
    }
    const Status s = decoder_feed_each(feeds, count, tensor_slice(batch->logits, 0, 0, count), &batch->memory);
    for (size_t i = 0; !s && i < batch->count; i++) {
        if (reader[i] != &batch->places[i])
            decoder_copy(&batch->places[i].decoder, &reader[i]->decoder);
        batch->places[i].fresh = false;
    }
    return s;
}

/* Draws the next token of each text. The texts are independent of each other, so threads share them out. */
static Status draw_each(Batch *batch)
{
    const GenerateConfig *config = batch->config;
    const size_t count = batch->count;
    ParallelFailure failure = {0};
#pragma omp parallel for num_threads( \
    parallel_threads_for((count - 1) * batch->lm->config.vocab_size * NUMBERS_PER_LOGIT))
    for (size_t i = 0; i < count; i++) {
        Place *place = &batch->places[i];
        if (!place->text)
            continue;
        const Tensor logits = tensor_select(place->decoder.logits, 0, 0);
        const Status s =
            draw_token(&place->token, logits, config->drawable, &config->sample, &place->text->rng, &place->drawing);
        if (s)
            parallel_fail(&failure, s);
    }
    return parallel_result(&failure);
}

/* Hands the token that was drawn over. Sets *end if the text ends with it. */
static Status hand_over(const Batch *batch, Place *place, bool *end)
{
    GenerateText *text = place->text;
    const DrawnToken token = {.id = place->token,
                              .stops = place->token == batch->config->stop_token,
                              .logits = tensor_select(place->decoder.logits, 0, 0)};
    *end = token.stops || ++text->generated == batch->config->max_tokens;
    bool wanted = false; /* by the receiver */
    const Status received = text->receiver.token(text->receiver.context, &token, &wanted);
    *end = *end || wanted;
    return received;
}

/* Gives the free places to the texts from *next on. Returns the number of texts that have a place. */
static size_t take_places(Batch *batch, GenerateText *texts, size_t count, size_t *next)
{
    size_t taken = 0;
    for (size_t i = 0; i < batch->count; i++) {
        Place *place = &batch->places[i];
        if (!place->text && *next < count) {
            decoder_reset(&place->decoder);
            place->text = &texts[(*next)++];
            place->fresh = true;
        }
        taken += place->text != NULL;
    }
    return taken;
}

static Status advance(Batch *batch)
{
    const bool nothing_wanted = batch->config->max_tokens == 0;
    Status s = feed(batch);
    if (!s && !nothing_wanted)
        s = draw_each(batch);
    for (size_t i = 0; !s && i < batch->count; i++) {
        Place *place = &batch->places[i];
        bool end = nothing_wanted;
        if (!place->text)
            continue;
        if (!end)
            s = hand_over(batch, place, &end);
        if (s || !end)
            continue;
        const TextReceiver receiver = place->text->receiver;
        place->text = NULL;
        s = receiver.end ? receiver.end(receiver.context) : CS336_OK;
    }
    return s;
}

Status generate_all(GenerateText *texts, size_t count, const TransformerLM *lm, const GenerateConfig *config)
{
    Batch batch = {.lm = lm, .config = config};
    size_t next = 0;
    Status s = sample_check(&config->sample);
    for (size_t i = 0; i < count; i++)
        texts[i].generated = 0;
    if (!s && count > 0)
        s = init(&batch, texts, count);
    while (!s && count > 0 && take_places(&batch, texts, count, &next) > 0)
        s = advance(&batch);
    arena_deinit(&batch.memory);
    return s;
}
