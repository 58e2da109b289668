#define _POSIX_C_SOURCE 200809L
#include "cli/encode_inputs.h"

#include "cli/commands.h"
#include "cli/tokenizer_options.h"
#include "tokenizer/encode/encode_file.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
    READ_BYTES = 1 << 16,    /* bytes of text fed to the encoder at a time */
    SEARCHED_BYTES = 1 << 20 /* bytes of each text in which the separator is looked for */
};

/* True if the path is a regular file, whose size is known; false for standard input, pipes and devices. */
static bool is_regular(const char *path, size_t *size)
{
    struct stat info;
    if (strcmp(path, "-") == 0 || stat(path, &info) != 0 || !S_ISREG(info.st_mode))
        return false;
    *size = (size_t)info.st_size;
    return true;
}

Status encode_inputs_begin(EncodeInputs *inputs, const TextList *paths, WorkProgress *progress)
{
    *inputs = (EncodeInputs){.paths = paths, .progress = progress};
    size_t standard_inputs = 0;
    bool total_known = true;
    for (size_t i = 0; i < paths->count; i++) {
        const bool standard_input = strcmp(paths->items[i], "-") == 0;
        const Status s = standard_input ? CS336_OK : command_needs_readable(paths->items[i], NULL);
        if (s)
            return s;
        size_t size = 0;
        total_known = is_regular(paths->items[i], &size) && total_known;
        inputs->total += size;
        standard_inputs += standard_input;
    }
    if (standard_inputs > 1)
        return status_fail(CS336_EIO, "standard input: can be read only once, given %zu times", standard_inputs);
    if (!total_known)
        inputs->total = 0;
    return CS336_OK;
}

/* ---- the hint about a separator that is no special token ---- */

/* Prints the hint if the bytes hold the separator, and then stops looking for it. */
static void look_for_separator(EncodeInputs *inputs, const uint8_t *bytes, size_t length)
{
    const size_t wanted = inputs->separator ? strlen(inputs->separator) : length + 1;
    for (size_t i = 0; i + wanted <= length; i++) {
        const uint8_t *found = memchr(bytes + i, *inputs->separator, length - wanted + 1 - i);
        if (!found)
            return;
        i = (size_t)(found - bytes);
        if (memcmp(found, inputs->separator, wanted) != 0)
            continue;
        fprintf(stderr,
                "cs336 encode: the text has %s, which is a token of the vocabulary but was split like other text; to "
                "encode it as one token, give --special-token '%s'\n",
                inputs->separator, inputs->separator);
        inputs->separator = NULL;
        return;
    }
}

static void look_at_start_of_file(EncodeInputs *inputs, const char *path)
{
    uint8_t text[READ_BYTES];
    FILE *stream = inputs->separator ? fopen(path, "rb") : NULL;
    for (size_t done = 0, length = 1; stream && length > 0 && done < SEARCHED_BYTES; done += length) {
        length = fread(text, 1, sizeof text, stream);
        look_for_separator(inputs, text, length);
    }
    if (stream)
        fclose(stream);
}

static void show_progress(const EncodeInputs *inputs)
{
    WorkProgress *progress = inputs->progress;
    if (!progress || inputs->done == 0 || !work_is_due(progress))
        return;
    const double megabytes = (double)inputs->done / 1e6;
    const double speed = work_megabytes_per_second((double)inputs->done, work_seconds() - progress->phase_start);
    /* A file that grew since it was measured must not give a negative time. */
    if (inputs->total)
        work_show(progress, "%.1f of %.1f MB, %.1f MB/s, %s left", megabytes, (double)inputs->total / 1e6, speed,
                  work_left(progress, inputs->done, inputs->total > inputs->done ? inputs->total : inputs->done).text);
    else
        work_show(progress, "%.1f MB, %.1f MB/s", megabytes, speed);
}

Status encode_inputs_one(EncodeInputs *inputs, size_t index, Encoder *encoder, size_t *bytes)
{
    uint8_t text[READ_BYTES];
    InputStream input;
    Status s = input_open(&input, inputs->paths->items[index], NULL);
    for (size_t length = 1; !s && length > 0;) {
        s = input_read(&input, text, sizeof text, &length);
        if (!s && input.taken <= SEARCHED_BYTES)
            look_for_separator(inputs, text, length);
        if (!s)
            s = length ? encoder_feed(encoder, text, length) : encoder_finish(encoder);
        if (!s)
            s = work_check_stop();
        inputs->done += length;
        show_progress(inputs);
    }
    *bytes = input.taken;
    input_close(&input);
    return s;
}

typedef struct {
    EncodeInputs *inputs;
    size_t previous; /* bytes of the files before this one */
} FileProgress;

static void show_file(void *context, size_t done, size_t total)
{
    const FileProgress *file = context;
    (void)total;
    file->inputs->done = file->previous + done;
    show_progress(file->inputs);
}

Status encode_inputs_to(EncodeInputs *inputs, size_t index, const Tokenizer *tokenizer, TokenSink *sink, void *context)
{
    const char *path = inputs->paths->items[index];
    /* A regular file can be mapped and cut into chunks, one thread each. */
    size_t size;
    if (is_regular(path, &size)) {
        look_at_start_of_file(inputs, path);
        FileProgress progress = {.inputs = inputs, .previous = inputs->done};
        const EncodeConfig config = {.stop = work_stop_flag(), .progress = show_file, .context = &progress};
        const Status s = encode_file(tokenizer, path, sink, context, &config);
        return s == CS336_EINTERRUPTED ? work_check_stop() : s;
    }
    /* Anything else is a stream. */
    Encoder *encoder;
    size_t bytes;
    Status s = encoder_create(&encoder, tokenizer, sink, context);
    if (!s)
        s = encode_inputs_one(inputs, index, encoder, &bytes);
    encoder_destroy(encoder);
    return s;
}
