#define _POSIX_C_SOURCE 200809L
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/screen.h"
#include "cli/tokenizer_options.h"
#include "cli/work.h"
#include "core/file.h"
#include "core/input_stream.h"
#include "core/plural.h"
#include "data/token_file.h"
#include "data/token_form.h"
#include "data/token_npy.h"
#include "tokenizer/encode/utf8_replace.h"

#include <string.h>
#include <sys/stat.h>

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
        OPTION_TEXT("input", &o->input, "FILE", OPTION_REQUIRED,
                    "file of ids from cs336 encode, raw or .npy; - is standard input, raw"),
        OPTION_TEXT("output", &o->output, "FILE", OPTION_REQUIRED, "text file to write; - is standard output"),
        OPTION_CHOICE("errors", &o->errors, error_names, "keep|replace",
                      "malformed UTF-8: keep its bytes, or replace it by U+FFFD as Python does"),
    };
    const OptionTable table = OPTION_TABLE("decode",
                                           "Turns token ids back into text. A file or a pipe gets every byte of it. A "
                                           "terminal gets \\xNN for control characters, which it would obey.",
                                           options);
    const int done = options_parse(&table, argc, argv);
    return done == OPTIONS_PARSED ? tokenizer_options_check(&table, &o->tokenizer) : done;
}

/* ---- the input: a file of ids, or a stream ---- */

typedef struct {
    TokenFile file;             /**< closed if the ids come from a stream */
    InputStream stream;         /**< closed if the ids come from a file */
    const char *path;           /**< of either, for messages */
    const Tokenizer *tokenizer; /**< every id must have a token */
    size_t vocab_size;          /**< of the tokenizer */
    size_t taken;               /**< ids so far */
} IdSource;

/* A regular file may be an .npy file or have a sidecar. Standard input and pipes are raw ids. */
static Status source_open(IdSource *source, const char *path, const Tokenizer *tokenizer)
{
    struct stat info;
    const size_t vocab_size = tokenizer_vocab_size(tokenizer);
    *source = (IdSource){
        .path = strcmp(path, "-") == 0 ? TEXT_STANDARD_INPUT : path, .tokenizer = tokenizer, .vocab_size = vocab_size};
    const bool exists = strcmp(path, "-") != 0 && stat(path, &info) == 0;
    if (strcmp(path, "-") == 0 || (exists && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)))
        return input_open(&source->stream, path);
    /* The file may have no ids: cs336 encode writes such a file for an empty text. */
    const Status s = command_needs_readable(path, "cs336 encode");
    return s ? s : token_file_open_any(&source->file, path, vocab_size);
}

/* Checks the first bytes of a stream: nothing else says what kind of ids they are. */
static Status check_stream(const IdSource *source, const uint8_t *bytes, size_t length, size_t width)
{
    if (token_npy_begins(bytes, length))
        return status_fail(CS336_EFORMAT, "%s: .npy, expected raw ids: give the name of the file instead",
                           source->stream.path);
    const Status s = token_form_check(bytes, length, source->vocab_size, source->stream.path);
    return s ? s : token_ids_check_width(bytes, length, width, source->vocab_size, source->stream.path);
}

static Status read_stream(IdSource *source, int32_t *ids, size_t *count)
{
    uint8_t bytes[IDS_AT_ONCE * WIDEST_ID];
    const size_t width = token_file_width(source->vocab_size);
    size_t length;
    Status s = input_read(&source->stream, bytes, IDS_AT_ONCE * width, &length);
    if (!s && source->taken == 0)
        s = check_stream(source, bytes, length, width);
    if (s)
        return s;
    if (length % width)
        return status_fail(CS336_EFORMAT,
                           "%s: %zu byte%s, expected a multiple of %zu: ids are uint%zu for a vocabulary of %zu",
                           source->stream.path, source->stream.taken, plural(source->stream.taken), width, 8 * width,
                           source->vocab_size);
    *count = length / width;
    return token_ids_from_bytes(ids, bytes, *count, width, source->vocab_size, source->stream.path, source->taken);
}

/* Reads up to IDS_AT_ONCE ids. *count is 0 at the end of the input. */
static Status source_read(IdSource *source, int32_t *ids, size_t *count)
{
    Status s;
    if (source->stream.stream) {
        s = read_stream(source, ids, count);
    } else {
        const size_t left = source->file.count - source->taken;
        *count = left < IDS_AT_ONCE ? left : IDS_AT_ONCE;
        s = token_file_read(ids, &source->file, source->taken, *count);
    }
    if (!s)
        s = tokenizer_check_ids(source->tokenizer, ids, *count, source->path, source->taken);
    if (!s)
        source->taken += *count;
    return s;
}

static void source_close(IdSource *source)
{
    token_file_close(&source->file);
    input_close(&source->stream);
}

/* ---- the text ---- */

typedef struct {
    const Tokenizer *tokenizer;
    IdSource *source;
    FileWriter *writer;
    bool replace;
    Utf8Replacer replacer;
    ByteList exact;    /**< the bytes of the latest ids */
    ByteList replaced; /**< the same with malformed UTF-8 replaced */
    Screen screen;     /**< makes the text safe for a terminal */
    size_t text_length;
    int32_t previous; /**< the last id so far, or -1 */
} TextDecoder;

/* Decodes the ids and writes their text. A count of 0 ends the text: an incomplete character is then replaced. */
static Status write_text(TextDecoder *d, const int32_t *ids, size_t count)
{
    d->exact.length = d->replaced.length = 0;
    Status s = tokenizer_decode_after(d->tokenizer, &d->exact, d->previous, ids, count);
    if (count)
        d->previous = ids[count - 1];
    const ByteList *text = &d->exact;
    if (!s && d->replace) {
        s = utf8_replace(&d->replacer, &d->replaced, d->exact.bytes, d->exact.length, count == 0);
        text = &d->replaced;
    }
    ByteString shown;
    if (!s)
        s = screen_text(&shown, &d->screen, byte_list_view(text), count == 0);
    if (!s && shown.length)
        s = file_write(d->writer, shown.bytes, shown.length);
    d->text_length += text->length;
    return s;
}

static Status decode_all(TextDecoder *d, WorkProgress *progress)
{
    int32_t ids[IDS_AT_ONCE];
    Status s = CS336_OK;
    for (size_t count = 1; !s && count > 0;) {
        s = source_read(d->source, ids, &count);
        if (!s)
            s = write_text(d, ids, count);
        if (!s)
            s = work_check_stop();
        if (!s && work_is_due(progress))
            work_show(progress, "%zu token%s, %.1f MB of text", d->source->taken, plural(d->source->taken),
                      (double)d->text_length / 1e6);
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
    IdSource source = {0};
    FileWriter writer = {0};
    Tokenizer *tokenizer = NULL;
    work_stop_flag();
    WorkProgress progress = work_begin("decode");
    /* Check all inputs and open the output before the first id is decoded. */
    Status s = tokenizer_options_load(&tokenizer, &o.tokenizer);
    if (!s)
        tokenizer_options_notes(&tokenizer->model, tokenizer_options_path(&o.tokenizer));
    if (!s)
        s = source_open(&source, o.input, tokenizer);
    if (!s)
        s = check_files(&o);
    if (!s)
        s = file_create(&writer, o.output);
    /* Decode. The output gets its name once it is complete. */
    TextDecoder decoder = {.tokenizer = tokenizer,
                           .source = &source,
                           .writer = &writer,
                           .replace = o.errors == ERRORS_REPLACE,
                           .previous = -1};
    decoder.screen.terminal = screen_is_terminal(o.output);
    if (!s)
        s = decode_all(&decoder, &progress);
    if (!s)
        s = file_commit(&writer);
    const double seconds = work_end(&progress);
    if (!s)
        fprintf(work_summary_stream(o.output), "%zu token%s, %zu byte%s of text, %.2f s (%.1f MB/s)\n", source.taken,
                plural(source.taken), decoder.text_length, plural(decoder.text_length), seconds,
                work_megabytes_per_second((double)decoder.text_length, seconds));
    byte_list_deinit(&decoder.exact);
    byte_list_deinit(&decoder.replaced);
    screen_deinit(&decoder.screen);
    file_abandon(&writer);
    source_close(&source);
    tokenizer_destroy(tokenizer);
    return s ? command_failed("decode") : EXIT_OK;
}
