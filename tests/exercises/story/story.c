#include "tests/exercises/story/story.h"

#include "core/memory.h"
#include "generate/decode.h"
#include "tokenizer/encode/encoder.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char STOP[] = "<|endoftext|>";

const char *path_in(const Settings *settings, const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", settings->directory, name);
    return path;
}

/* ---- the tokenizer and the prompt ---- */

Status text_init(Text *text, const Settings *settings)
{
    *text = (Text){0};
    Status s = tokenizer_load_file(&text->tokenizer, path_in(settings, "tokenizer.json"), PATTERN_UNKNOWN, NULL, 0);
    if (s)
        return s;
    text->stop_token = tokenizer_find(text->tokenizer, byte_string(STOP));
    /* In training, a stop token stands before each story. */
    if (*settings->prompt)
        return tokenizer_encode(text->tokenizer, &text->prompt, byte_string(settings->prompt));
    return token_list_append(&text->prompt, &text->stop_token, 1);
}

void text_deinit(Text *text)
{
    tokenizer_destroy(text->tokenizer);
    token_list_deinit(&text->prompt);
}

/* ---- writing a story ---- */

typedef struct {
    Story *story;
    const Decoder *decoder;
    const Tokenizer *tokenizer;
    bool printed;
} Receiver;

/* Keeps the logits from which the next token was chosen. */
static Status keep_logits(Story *story, const Decoder *decoder)
{
    const size_t n = story->vocab_size;
    const float *logits = decoder->logits.data;
    float *larger = memory_resize(story->logits, (story->rows + 1) * n * sizeof *larger);
    if (!larger)
        return status_fail(CS336_ENOMEM, "no memory for %zu logits", n);
    story->logits = larger;
    memcpy(larger + story->rows++ * n, logits, n * sizeof *larger);
    for (size_t i = 0; i < n; i++)
        if (isnan(logits[i]))
            return status_fail(CS336_ERANGE, "the logit of token %zu is NaN after %zu tokens, expected a number", i,
                               story->rows - 1);
    return CS336_OK;
}

static Status receive(void *context, int32_t token)
{
    const Receiver *receiver = context;
    Status s = keep_logits(receiver->story, receiver->decoder);
    if (!s)
        s = token_list_append(&receiver->story->ids, &token, 1);
    if (!s && receiver->printed) {
        const ByteString bytes = tokenizer_token(receiver->tokenizer, token);
        fwrite(bytes.bytes, 1, bytes.length, stdout);
        fflush(stdout);
    }
    return s;
}

Status write_story(Story *story, const TransformerLM *lm, const Text *text, const Settings *settings)
{
    Decoder decoder;
    *story = (Story){.vocab_size = lm->config.vocab_size};
    Status s = decoder_init(&decoder, lm, false);
    if (s)
        return s;
    const GenerateConfig config = {
        .max_tokens = settings->max_tokens,
        .stop_token = text->stop_token,
        /* With top-p, candidates may be drawn in any order, and right functions would choose other tokens. */
        .sample = {.temperature = settings->seed ? 0.7 : 0, .top_p = 1},
    };
    Rng rng = rng_seeded(settings->seed);
    Receiver receiver = {story, &decoder, text->tokenizer, settings->printed};
    if (settings->printed)
        fputs(settings->prompt, stdout);
    s = generate(NULL, &decoder, text->prompt.ids, text->prompt.count, &config, &rng,
                 (TokenReceiver){.token = receive, .context = &receiver});
    if (settings->printed)
        putchar('\n');
    story->ended = !s && story->ids.count < settings->max_tokens;
    if (story->ended)
        s = keep_logits(story, &decoder);
    decoder_deinit(&decoder);
    return s;
}

void free_story(Story *story)
{
    token_list_deinit(&story->ids);
    memory_release(story->logits);
    *story = (Story){0};
}

void print_story(const Story *story, const Text *text, const Settings *settings)
{
    fputs(settings->prompt, stdout);
    for (size_t i = 0; i < story->ids.count; i++) {
        const ByteString bytes = tokenizer_token(text->tokenizer, story->ids.ids[i]);
        fwrite(bytes.bytes, 1, bytes.length, stdout);
    }
    putchar('\n');
}

/* ---- the file of a story: four numbers, ids, logits ---- */

Status save_story(const Story *story, const char *path)
{
    const uint64_t sizes[] = {story->ids.count, story->ended, story->rows, story->vocab_size};
    FILE *file = fopen(path, "wb");
    if (!file)
        return status_fail(CS336_EIO, "%s: cannot write: %s", path, strerror(errno));
    bool written = fwrite(sizes, sizeof sizes, 1, file) == 1;
    written = written && fwrite(story->ids.ids, sizeof(int32_t), sizes[0], file) == sizes[0];
    written = written && fwrite(story->logits, sizeof(float) * sizes[3], sizes[2], file) == sizes[2];
    if (fclose(file) || !written)
        return status_fail(CS336_EIO, "%s: cannot write: %s", path, strerror(errno));
    return CS336_OK;
}

Status load_story(Story *story, const char *path)
{
    uint64_t sizes[4];
    *story = (Story){0};
    FILE *file = fopen(path, "rb");
    if (!file)
        return status_fail(CS336_EIO, "%s: cannot read: %s", path, strerror(errno));
    bool read = fread(sizes, sizeof sizes, 1, file) == 1;
    Status s = CS336_OK;
    for (size_t i = 0; read && !s && i < sizes[0]; i++) {
        int32_t id;
        read = fread(&id, sizeof id, 1, file) == 1;
        if (read)
            s = token_list_append(&story->ids, &id, 1);
    }
    if (read && !s) {
        story->ended = sizes[1] != 0;
        story->rows = sizes[2];
        story->vocab_size = sizes[3];
        story->logits = memory_allocate_zeroed(sizes[2] * sizes[3], sizeof *story->logits);
        read = story->logits && fread(story->logits, sizeof(float) * sizes[3], sizes[2], file) == sizes[2];
    }
    fclose(file);
    if (!s && !read)
        s = status_fail(CS336_EFORMAT, "%s: cut short; delete it and run make story again", path);
    return s;
}
