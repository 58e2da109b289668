#include "cli/encode_inputs.h"

#include "core/clock.h"
#include "core/input_stream.h"
#include "core/memory.h"
#include "distributed/ranks.h"
#include "distributed/watchdog.h"
#include "tokenizer/encode/encode_ranks.h"

enum { READ_BYTES = 1 << 16 /* bytes of text fed to the encoder at a time */ };

Status encode_inputs_begin(EncodeInputs *inputs, const char *command, const TextList *paths, TextField field,
                           WorkProgress *progress)
{
    *inputs = (EncodeInputs){.hint = {.command = command,
                                      .consequence = "is a token of the vocabulary but was split like other text; to "
                                                     "encode it as one token"},
                             .progress = progress};
    return text_options_begin(&inputs->texts, command, paths, field);
}

void encode_inputs_end(EncodeInputs *inputs)
{
    input_texts_end(&inputs->texts);
}

Status encode_inputs_field(TextField *field, const Tokenizer *tokenizer, const TokenizerOptions *options,
                           const char *field_name)
{
    *field =
        (TextField){.name = field_name, .ending = text_field_ending(options->special.items, options->special.count)};
    /* An ending that no option names must be a token of the vocabulary: a further id would surprise. */
    if (!field_name || options->special.count > 0 || tokenizer_find(tokenizer, byte_string(field->ending)) >= 0)
        return CS336_OK;
    return status_fail(CS336_EFORMAT,
                       "%s: has no token %s, which --text-field puts after each document; name the token that it has "
                       "between documents by --special-token",
                       tokenizer_options_path(options), field->ending);
}

Status encode_inputs_load(Tokenizer **tokenizer, TextField *field, const TokenizerOptions *options,
                          const char *field_name)
{
    const bool named = !field_name || options->special.count > 0;
    Status s = named ? tokenizer_options_load(tokenizer, options) : tokenizer_options_load_for(tokenizer, options);
    if (s)
        return s;
    s = tokenizer_options_encode(&(*tokenizer)->model, options, TOKENIZER_THAT_ENCODES);
    if (!s)
        s = encode_inputs_field(field, *tokenizer, options, field_name);
    if (s) {
        tokenizer_destroy(*tokenizer);
        *tokenizer = NULL;
    }
    return s;
}

/* ---- progress ---- */

/* Of a stream only the file's size is known, so the time left follows from the bytes of the files. */
static void show_progress(const EncodeInputs *inputs)
{
    WorkProgress *progress = inputs->progress;
    if (!progress || inputs->done == 0 || !work_is_due(progress))
        return;
    const size_t total = inputs->texts.total, taken = inputs->plain_done + input_texts_taken(&inputs->texts);
    const double megabytes = (double)inputs->done / 1e6;
    const double speed = work_megabytes_per_second((double)inputs->done, clock_seconds() - progress->phase_start);
    /* A file that grew since it was measured must not give a negative time. */
    WorkTime left = {""};
    if (total && taken)
        left = work_left(progress, taken, total > taken ? total : taken);
    if (!*left.text)
        work_show(progress, "%.1f MB, %.1f MB/s", megabytes, speed);
    else if (inputs->texts.has_streams)
        work_show(progress, "%.1f MB of text, %.1f MB/s, %s left", megabytes, speed, left.text);
    else
        work_show(progress, "%.1f of %.1f MB, %.1f MB/s, %s left", megabytes, (double)total / 1e6, speed, left.text);
}

/* ---- one file ---- */

Status encode_inputs_one(EncodeInputs *inputs, size_t index, Encoder *encoder, size_t *bytes)
{
    uint8_t text[READ_BYTES];
    SearchedStream stream = {.hint = &inputs->hint, .inner = inputs->texts.items[index].stream};
    Status s = CS336_OK;
    *bytes = 0;
    for (size_t length = 1; !s && length > 0;) {
        const double began = clock_seconds();
        s = separator_hint_read(&stream, text, sizeof text, &length);
        inputs->reading += clock_seconds() - began;
        if (!s)
            s = length ? encoder_feed(encoder, text, length) : encoder_finish(encoder);
        if (!s)
            s = work_check_stop();
        inputs->done += length;
        *bytes += length;
        show_progress(inputs);
    }
    return s;
}

typedef struct {
    EncodeInputs *inputs;
    size_t previous; /* bytes of text of the files before this one */
    bool plain;
    size_t previous_plain;
} FileProgress;

static void show_file(void *context, size_t done, size_t total)
{
    const FileProgress *file = context;
    (void)total;
    file->inputs->done = file->previous + done;
    if (file->plain)
        file->inputs->plain_done = file->previous_plain + done;
    show_progress(file->inputs);
}

Status encode_inputs_to(EncodeInputs *inputs, size_t index, const Tokenizer *tokenizer, TokenSink *sink, void *context)
{
    InputText *text = &inputs->texts.items[index];
    FileProgress progress = {
        .inputs = inputs, .previous = inputs->done, .plain = text->is_plain, .previous_plain = inputs->plain_done};
    const EncodeConfig config = {.stop = work_stop_flag(), .progress = show_file, .context = &progress};
    SearchedStream searched = {.hint = &inputs->hint, .inner = text->stream};
    const TextStream stream = {.read = separator_hint_read, .context = &searched};
    Status s;
    if (text->is_plain) {
        separator_hint_file(&inputs->hint, text->path);
        s = encode_file(tokenizer, text->path, sink, context, &config);
    } else {
        s = encode_stream(tokenizer, &stream, sink, context, &config);
    }
    /* The command's message of a signal says no more than that. */
    return s == CS336_EINTERRUPTED && work_check_stop() ? CS336_EINTERRUPTED : s;
}

/* ---- all files, by several ranks ---- */

typedef struct {
    EncodeInputs *inputs;
    TokenSink *sink;
    void (*text_ended)(void *context);
    void *context;
} Output;

static Status pass_ids(void *context, const int32_t *ids, size_t count)
{
    const Output *output = context;
    return output->sink(output->context, ids, count);
}

static void end_text(void *context, size_t index)
{
    const Output *output = context;
    InputText *text = &output->inputs->texts.items[index];
    /* Another rank may have read the stream. */
    if (!text->is_plain)
        atomic_store_explicit(&text->taken, text->size, memory_order_relaxed);
    output->text_ended(output->context);
}

static void add_progress(void *context, size_t index, size_t bytes)
{
    const Output *output = context;
    output->inputs->done += bytes;
    if (output->inputs->texts.items[index].is_plain)
        output->inputs->plain_done += bytes;
    show_progress(output->inputs);
}

Status encode_inputs_with_ranks(EncodeInputs *inputs, const Tokenizer *tokenizer, TokenSink *sink,
                                void (*text_ended)(void *context), void *context)
{
    InputTexts *texts = &inputs->texts;
    Output output = {.inputs = inputs, .sink = sink, .text_ended = text_ended, .context = context};
    const EncodeOutput to = {.sink = pass_ids, .text_ended = end_text, .progress = add_progress, .context = &output};
    const EncodeConfig config = {.stop = work_stop_flag()};
    SearchedStream *searched = memory_allocate_zeroed(texts->count, sizeof *searched);
    Status s = CS336_OK;
    if (!searched)
        s = status_fail(CS336_ENOMEM, "no memory for %zu texts", texts->count);
    for (size_t i = 0; !s && i < texts->count; i++) {
        InputText *text = &texts->items[i];
        searched[i] = (SearchedStream){.hint = &inputs->hint, .inner = text->stream};
        if (text->is_plain)
            separator_hint_file(&inputs->hint, text->path);
        else
            text->stream = (TextStream){.read = separator_hint_read, .context = &searched[i]};
    }
    s = ranks_agree(s);
    watchdog_activity("encoding");
    if (!s)
        s = encode_ranks(tokenizer, texts, &to, &config);
    memory_release(searched);
    return s;
}
