#include "cli/commands.h"
#include "cli/options.h"
#include "cli/tokenizer_options.h"
#include "cli/work.h"
#include "core/file.h"
#include "data/token_file.h"
#include "tokenizer/encode/utf8_replace.h"

enum {
    IDS_AT_ONCE = 1 << 14, /* ids decoded at a time: 64 KiB on the stack, some 60 KB of text */
    WIDEST_ID = 4          /* bytes of a uint32 id */
};

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
        OPTION_TEXT("input", &o->input, "FILE", OPTION_REQUIRED, "file of ids from cs336 encode; - is standard input"),
        OPTION_TEXT("output", &o->output, "FILE", OPTION_REQUIRED, "text file to write; - is standard output"),
        OPTION_CHOICE("errors", &o->errors, error_names, "keep|replace",
                      "malformed UTF-8: keep its bytes, or replace it by U+FFFD as Python does"),
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
    ByteList exact;    /**< the bytes of the latest ids */
    ByteList replaced; /**< the same with malformed UTF-8 replaced */
    size_t id_count, text_length;
} TextDecoder;

/* Reads up to IDS_AT_ONCE ids. *count is 0 at the end of the input. */
static Status read_ids(TextDecoder *d, int32_t *ids, size_t *count)
{
    uint8_t bytes[IDS_AT_ONCE * WIDEST_ID];
    const size_t vocab_size = tokenizer_vocab_size(d->tokenizer), width = token_file_width(vocab_size);
    size_t length;
    const Status s = input_read(d->input, bytes, IDS_AT_ONCE * width, &length);
    if (s)
        return s;
    if (length % width)
        return status_fail(CS336_EFORMAT,
                           "%s: %zu bytes, expected a multiple of %zu: ids are uint%zu for a vocabulary of %zu",
                           d->input->path, d->input->taken, width, 8 * width, vocab_size);
    *count = length / width;
    const size_t position = d->id_count;
    d->id_count += *count;
    return token_ids_from_bytes(ids, bytes, *count, width, vocab_size, d->input->path, position);
}

/* Decodes the ids and writes their text. A count of 0 ends the text: an incomplete character is then replaced. */
static Status write_text(TextDecoder *d, const int32_t *ids, size_t count)
{
    d->exact.length = d->replaced.length = 0;
    Status s = tokenizer_decode(d->tokenizer, &d->exact, ids, count);
    const ByteList *text = &d->exact;
    if (!s && d->replace) {
        s = utf8_replace(&d->replacer, &d->replaced, d->exact.bytes, d->exact.length, count == 0);
        text = &d->replaced;
    }
    if (!s && text->length)
        s = file_write(d->writer, text->bytes, text->length);
    d->text_length += text->length;
    return s;
}

static Status decode_all(TextDecoder *d, WorkProgress *progress)
{
    int32_t ids[IDS_AT_ONCE];
    Status s = CS336_OK;
    for (size_t count = 1; !s && count > 0;) {
        s = read_ids(d, ids, &count);
        if (!s)
            s = write_text(d, ids, count);
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
                                 TOKENIZER_FILES(o->tokenizer)};
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
    /* Check all inputs and open the output before the first id is decoded. */
    Status s = tokenizer_options_load(&tokenizer, &o.tokenizer);
    if (!s)
        tokenizer_options_notes(&tokenizer->model, o.tokenizer.vocab);
    if (!s)
        s = input_open(&input, o.input, "cs336 encode");
    if (!s)
        s = check_files(&o);
    if (!s)
        s = file_create(&writer, o.output);
    /* Decode. The output gets its name once it is complete. */
    TextDecoder decoder = {
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
    byte_list_deinit(&decoder.replaced);
    file_abandon(&writer);
    input_close(&input);
    tokenizer_destroy(tokenizer);
    return s ? command_failed("decode") : EXIT_OK;
}
