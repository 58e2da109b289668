#define _POSIX_C_SOURCE 200809L
#include "cli/tokenizer_options.h"

#include "cli/commands.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

size_t texts_as_byte_strings(ByteString *strings, const TextList *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        strings[i] = byte_string(texts->items[i]);
    return texts->count;
}

Status tokenizer_options_load(Tokenizer **tokenizer, const TokenizerOptions *options)
{
    ByteString special[OPTION_MAX_TEXTS];
    const size_t count = texts_as_byte_strings(special, &options->special);
    *tokenizer = NULL;
    Status s = command_needs_file(options->vocab, "cs336 train-bpe");
    if (!s)
        s = command_needs_file(options->merges, "cs336 train-bpe");
    return s ? s : tokenizer_load(tokenizer, options->vocab, options->merges, special, count);
}

Status input_open(InputStream *input, const char *path, const char *maker)
{
    *input = (InputStream){.stream = stdin, .path = "standard input"};
    if (strcmp(path, "-") == 0)
        return CS336_OK;
    *input = (InputStream){.path = path};
    const Status s = command_needs_readable(path, maker);
    if (s)
        return s;
    /* The size is for the progress line. Pipes and devices have none. */
    struct stat info;
    input->stream = fopen(path, "rb");
    if (!input->stream)
        return status_fail(CS336_EIO, "%s: cannot read: %s", path, strerror(errno));
    if (fstat(fileno(input->stream), &info) == 0 && S_ISREG(info.st_mode))
        input->size = (size_t)info.st_size;
    return CS336_OK;
}

Status input_read(InputStream *input, void *buffer, size_t capacity, size_t *bytes)
{
    *bytes = fread(buffer, 1, capacity, input->stream);
    input->taken += *bytes;
    if (*bytes < capacity && ferror(input->stream))
        return status_fail(CS336_EIO, "%s: cannot read: %s", input->path, strerror(errno));
    return CS336_OK;
}

void input_close(InputStream *input)
{
    if (input->stream && input->stream != stdin)
        fclose(input->stream);
    input->stream = NULL;
}
