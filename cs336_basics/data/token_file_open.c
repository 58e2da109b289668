#include "core/memory.h"
#include "core/plural.h"
#include "data/token_file.h"
#include "data/token_form.h"
#include "data/token_npy.h"
#include "data/token_sidecar.h"

#include <string.h>

enum { SAMPLE_BYTES = 16384 /* first bytes of a raw file, whose pattern is looked at */ };

static const char HOW_TO_MAKE[] = "cs336 encode --tokenizer FILE --input FILE --output FILE makes one";

static Status open_npy(TokenFile *tokens)
{
    TokenNpy npy;
    const Status s = token_npy_read(&npy, &tokens->file);
    if (s)
        return s;
    tokens->offset = npy.offset;
    tokens->count = npy.count;
    tokens->width = npy.width;
    return CS336_OK;
}

/* Takes the width from the vocabulary size, unless the first bytes speak against it. */
static Status guess_width(TokenFile *tokens, const uint8_t *sample, size_t sample_bytes)
{
    const size_t width = token_file_width(tokens->vocab_size), other = sizeof(uint16_t) + sizeof(uint32_t) - width;
    const Status s = token_ids_check_width(sample, sample_bytes, width, tokens->vocab_size, tokens->path);
    if (s)
        return status_fail(s,
                           "%s, or write their width into %s.json: {\"dtype\":\"uint%zu\",\"vocab_size\":%zu,"
                           "\"tokens\":%zu}",
                           status_message(), tokens->path, 8 * other, tokens->vocab_size, tokens->file.size / other);
    tokens->width = width;
    if (tokens->file.size % width != 0)
        return status_fail(
            CS336_EFORMAT, "%s: %zu byte%s, expected a multiple of %zu: ids are uint%zu for a vocabulary of %zu",
            tokens->path, tokens->file.size, plural(tokens->file.size), width, 8 * width, tokens->vocab_size);
    return CS336_OK;
}

static Status open_raw(TokenFile *tokens, const uint8_t *sample, size_t sample_bytes)
{
    TokenSidecar sidecar;
    Status s = token_sidecar_read(&sidecar, tokens->path, tokens->file.size);
    if (!s && sidecar.vocab_size > tokens->vocab_size)
        s = status_fail(CS336_ERANGE,
                        "%s: the ids come from a vocabulary of %zu tokens, as its .json says; expected at most the "
                        "vocabulary size %zu",
                        tokens->path, sidecar.vocab_size, tokens->vocab_size);
    tokens->width = sidecar.width;
    tokens->source_size = sidecar.vocab_size;
    if (!s && !sidecar.found)
        s = token_form_check(sample, sample_bytes, tokens->vocab_size, tokens->path);
    if (!s && !sidecar.found)
        s = guess_width(tokens, sample, sample_bytes);
    if (!s)
        tokens->count = tokens->file.size / tokens->width;
    return s;
}

Status token_file_open_any(TokenFile *tokens, const char *path, size_t vocab_size)
{
    uint8_t sample[SAMPLE_BYTES];
    *tokens = (TokenFile){.vocab_size = vocab_size};
    tokens->path = memory_copy_text(path);
    if (!tokens->path)
        return status_fail(CS336_ENOMEM, "token_file_open: no memory for the path %s", path);
    Status s = file_open(&tokens->file, tokens->path);
    if (s)
        s = status_fail(s, "%s; %s", status_message(), HOW_TO_MAKE);
    /* The first bytes say what kind of file it is. */
    const size_t sample_bytes = tokens->file.size < sizeof sample ? tokens->file.size : sizeof sample;
    if (!s)
        s = file_read_at(&tokens->file, sample, sample_bytes, 0);
    if (!s)
        s = token_npy_begins(sample, sample_bytes) ? open_npy(tokens) : open_raw(tokens, sample, sample_bytes);
    if (s)
        token_file_close(tokens);
    return s;
}

Status token_file_open(TokenFile *tokens, const char *path, size_t vocab_size)
{
    const Status s = token_file_open_any(tokens, path, vocab_size);
    if (s || tokens->count > 0)
        return s;
    token_file_close(tokens);
    return status_fail(CS336_EFORMAT, "%s: no token ids; %s", path, HOW_TO_MAKE);
}
