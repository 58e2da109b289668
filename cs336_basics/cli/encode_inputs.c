#define _POSIX_C_SOURCE 200809L
#include "cli/encode_inputs.h"

#include "cli/commands.h"
#include "cli/tokenizer_options.h"
#include "tokenizer/encode/encode_file.h"

#include <string.h>
#include <sys/stat.h>

enum { CHUNK_BYTES = 1 << 16 };

Status encode_inputs_begin(EncodeInputs *inputs, const TextList *paths, WorkProgress *progress)
{
    *inputs = (EncodeInputs){.paths = paths, .progress = progress};
    size_t streams = 0, standard_input = 0;
    for (size_t i = 0; i < paths->count; i++) {
        struct stat about;
        if (strcmp(paths->items[i], "-") == 0) {
            standard_input++;
            continue;
        }
        const Status s = command_needs_file(paths->items[i], NULL);
        if (s)
            return s;
        if (stat(paths->items[i], &about) == 0 && S_ISREG(about.st_mode))
            inputs->total += (size_t)about.st_size;
        else
            streams++;
    }
    if (standard_input > 1)
        return status_fail(CS336_EIO, "standard input: can be read only once");
    if (streams + standard_input)
        inputs->total = 0;
    return CS336_OK;
}

static void show(const EncodeInputs *inputs)
{
    WorkProgress *progress = inputs->progress;
    if (!progress || inputs->done == 0 || !work_is_due(progress))
        return;
    const double megabytes = (double)inputs->done / 1e6,
                 speed = work_megabytes_per_second((double)inputs->done, work_seconds() - progress->phase_began);
    if (inputs->total)
        work_show(progress, "%.1f of %.1f MB, %.1f MB/s, %s left", megabytes, (double)inputs->total / 1e6, speed,
                  work_left(progress, inputs->done, inputs->total > inputs->done ? inputs->total : inputs->done).text);
    else
        work_show(progress, "%.1f MB, %.1f MB/s", megabytes, speed);
}

Status encode_inputs_one(EncodeInputs *inputs, size_t index, Encoder *encoder, size_t *bytes)
{
    uint8_t chunk[CHUNK_BYTES];
    InputStream input;
    Status s = input_open(&input, inputs->paths->items[index], NULL);
    for (size_t length = 1; !s && length > 0;) {
        s = input_read(&input, chunk, sizeof chunk, &length);
        if (!s)
            s = length ? encoder_feed(encoder, chunk, length) : encoder_finish(encoder);
        if (!s)
            s = work_check_stop();
        inputs->done += length;
        show(inputs);
    }
    *bytes = input.taken;
    input_close(&input);
    return s;
}

typedef struct {
    EncodeInputs *inputs;
    size_t before; /* bytes of the files before this one */
} FileProgress;

static void show_file(void *context, size_t done, size_t total)
{
    const FileProgress *file = context;
    (void)total;
    file->inputs->done = file->before + done;
    show(file->inputs);
}

static bool is_regular(const char *path)
{
    struct stat about;
    return strcmp(path, "-") != 0 && stat(path, &about) == 0 && S_ISREG(about.st_mode);
}

Status encode_inputs_to(EncodeInputs *inputs, size_t index, const Tokenizer *tokenizer, TokenSink *sink, void *context)
{
    const char *path = inputs->paths->items[index];
    if (is_regular(path)) {
        FileProgress progress = {.inputs = inputs, .before = inputs->done};
        const EncodeConfig config = {.stop = work_stop_flag(), .progress = show_file, .context = &progress};
        const Status s = encode_file(tokenizer, path, sink, context, &config);
        return s == CS336_EINTERRUPTED ? work_check_stop() : s;
    }
    Encoder *encoder;
    size_t bytes;
    Status s = encoder_create(&encoder, tokenizer, sink, context);
    if (!s)
        s = encode_inputs_one(inputs, index, encoder, &bytes);
    encoder_destroy(encoder);
    return s;
}
