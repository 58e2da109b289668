#include "cli/commands.h"
#include "cli/options.h"
#include "cli/tokenizer_options.h"
#include "cli/work.h"
#include "core/file.h"
#include "data/token_file.h"
#include "tokenizer/encode/utf8_replace.h"

enum { IDS_AT_ONCE = 1 << 14, WIDEST_ID = 4 };

typedef struct {
    TokenizerOptions tokenizer;
    const char *input, *output;
    int errors;
} DecodeOptions;

enum { ERRORS_KEEP, ERRORS_REPLACE };
static const char *const error_names[] = {"keep", "replace", NULL};

static int parse(DecodeOptions *o, int argc, char **argv)
{
    const Option options[] = {
        TOKENIZER_OPTION_LINES(o->tokenizer),
        OPTION_TEXT("input", &o->input, "FILE", OPTION_REQUIRED, "ids from cs336 encode; - is standard input"),
        OPTION_TEXT("output", &o->output, "FILE", OPTION_REQUIRED, "text to write; - is standard output"),
        OPTION_CHOICE("errors", &o->errors, error_names, "keep|replace",
                      "malformed UTF-8: the exact bytes, or U+FFFD as Python has it"),
    };
    const OptionTable table = OPTION_TABLE("decode", "Turns token ids back into text.", options);
    return options_parse(&table, argc, argv);
}

typedef struct {
    const Tokenizer *tokenizer;
    InputStream *input;
    FileWriter *writer;
    bool replace;
    Utf8Replacer replacer;
    ByteList exact, text; /**< of the ids at hand: their bytes, and what is written */
    size_t id_count, text_length;
} Decoder;

/* Reads as many ids as fit; *count is 0 at the end. */
static Status read_ids(Decoder *d, int32_t *ids, size_t *count)
{
    uint8_t bytes[IDS_AT_ONCE * WIDEST_ID];
    const size_t vocab_size = tokenizer_vocab_size(d->tokenizer), width = token_file_width(vocab_size);
    size_t length;
    const Status s = input_read(d->input, bytes, IDS_AT_ONCE * width, &length);
    if (s)
        return s;
    if (length % width)
        return status_fail(CS336_EFORMAT, "%s: %zu bytes are no whole number of ids of %zu bytes", d->input->path,
                           d->input->taken, width);
    *count = length / width;
    for (size_t i = 0; i < *count; i++) {
        uint32_t id = 0;
        for (size_t k = 0; k < width; k++)
            id |= (uint32_t)bytes[i * width + k] << 8 * k;
        if (id >= vocab_size)
            return status_fail(CS336_ERANGE, "%s: id %u at place %zu, the vocabulary has %zu tokens", d->input->path,
                               (unsigned)id, d->id_count + i, vocab_size);
        ids[i] = (int32_t)id;
    }
    d->id_count += *count;
    return CS336_OK;
}

static Status decode_ids(Decoder *d, const int32_t *ids, size_t count)
{
    d->exact.length = d->text.length = 0;
    Status s = tokenizer_decode(d->tokenizer, &d->exact, ids, count);
    const ByteList *text = &d->exact;
    if (!s && d->replace) {
        s = utf8_replace(&d->replacer, &d->text, d->exact.bytes, d->exact.length, count == 0);
        text = &d->text;
    }
    if (!s && text->length)
        s = file_write(d->writer, text->bytes, text->length);
    d->text_length += text->length;
    return s;
}

static Status decode_all(Decoder *d, WorkProgress *progress)
{
    int32_t ids[IDS_AT_ONCE];
    Status s = CS336_OK;
    for (size_t count = 1; !s && count > 0;) {
        s = read_ids(d, ids, &count);
        if (!s)
            s = decode_ids(d, ids, count);
        if (!s)
            s = work_check_stop();
        if (!s && work_is_due(progress))
            work_show(progress, "%zu tokens, %.1f MB of text", d->id_count, (double)d->text_length / 1e6);
    }
    return s;
}

static Status check_files(const DecodeOptions *o)
{
    const CommandFile files[] = {{.path = o->output, .what = "the output", .written = true},
                                 {.path = o->input, .what = "the input"},
                                 {.path = o->tokenizer.vocab, .what = "the vocabulary"},
                                 {.path = o->tokenizer.merges, .what = "the list of merges"}};
    return command_files_differ(files, sizeof files / sizeof *files, NULL);
}

int command_decode(int argc, char **argv)
{
    DecodeOptions o = {.errors = ERRORS_KEEP};
    const int done = parse(&o, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    InputStream input = {0};
    FileWriter writer = {0};
    Tokenizer *tokenizer = NULL;
    work_stop_flag();
    WorkProgress progress = work_begin("decode");
    Status s = tokenizer_options_load(&tokenizer, &o.tokenizer);
    if (!s)
        s = input_open(&input, o.input, "cs336 encode");
    if (!s)
        s = check_files(&o);
    if (!s)
        s = file_create(&writer, o.output);
    Decoder decoder = {
        .tokenizer = tokenizer, .input = &input, .writer = &writer, .replace = o.errors == ERRORS_REPLACE};
    if (!s)
        s = decode_all(&decoder, &progress);
    if (!s)
        s = file_commit(&writer);
    const double seconds = work_end(&progress);
    if (!s)
        fprintf(work_summary_stream(o.output), "%zu tokens, %zu bytes of text, %.2f s (%.1f MB/s)\n", decoder.id_count,
                decoder.text_length, seconds, work_megabytes_per_second((double)decoder.text_length, seconds));
    byte_list_deinit(&decoder.exact);
    byte_list_deinit(&decoder.text);
    file_abandon(&writer);
    input_close(&input);
    tokenizer_destroy(tokenizer);
    return s ? command_failed("decode") : EXIT_OK;
}
