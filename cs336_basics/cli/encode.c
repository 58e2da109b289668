#include "cli/commands.h"
#include "cli/encode_inputs.h"
#include "cli/options.h"
#include "cli/screen.h"
#include "cli/token_printer.h"
#include "cli/tokenizer_options.h"
#include "cli/work.h"
#include "core/parallel.h"
#include "core/plural.h"
#include "data/token_file.h"
#include "data/token_writer.h"
#include "distributed/ranks.h"

typedef struct {
    TokenizerOptions tokenizer;
    TextList inputs;
    const char *output, *text_field;
    bool pretty;
    size_t threads;
} EncodeOptions;

static int parse(EncodeOptions *o, int argc, char **argv)
{
    const Option options[] = {
        TOKENIZER_OPTION_LINES(o->tokenizer),
        OPTION_TEXTS("input", &o->inputs, "FILE", OPTION_REQUIRED,
                     "text to encode, each file separately, also .gz and .zst; - is standard input"),
        OPTION_TEXT_FIELD(&o->text_field),
        OPTION_TEXT("output", &o->output, "FILE", OPTION_UNSHOWN,
                    "file of ids to write: NumPy's format if the name ends in .npy; - is standard output"),
        OPTION_FLAG("pretty", &o->pretty, "print the text, each token in a colour of its own"),
        OPTION_THREADS(&o->threads),
    };
    const OptionTable table = OPTION_TABLE("encode",
                                           "Turns text into token ids: raw little-endian uint16, or uint32 when the "
                                           "vocabulary has more than 65536 tokens. FILE.json beside the ids says their "
                                           "width, their vocabulary and their number. Several processes under mpirun "
                                           "share the texts.",
                                           options);
    const int done = options_parse(&table, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    if (!o->output && !o->pretty)
        return options_bad_usage(&table, "--output or --pretty is missing");
    /* mpirun gives its processes a terminal of its own as standard output, whatever its own is. */
    if (o->output && ranks_count() == 1 && screen_is_terminal(o->output))
        return options_bad_usage(&table,
                                 "--output %s is a terminal, and ids are not text: redirect them to a file or "
                                 "a pipe, or give --pretty instead",
                                 o->output);
    if (o->pretty && o->output && strcmp(o->output, "-") == 0)
        return options_bad_usage(&table, "--pretty and --output - both write to standard output");
    return tokenizer_options_check(&table, &o->tokenizer);
}

/* ---- the output: a file of ids, coloured text, or both ---- */

typedef struct {
    TokenWriter output; /**< zeroed without --output */
    size_t count;       /**< ids so far */
    bool pretty;
    TokenPrinter printer;
} IdSink;

/* The encoder's TokenSink: it passes on the ids in the order of the text. */
static Status take_ids(void *context, const int32_t *ids, size_t count)
{
    IdSink *sink = context;
    sink->count += count;
    if (sink->pretty)
        token_printer_print(&sink->printer, ids, count);
    return sink->output.ids.stream ? token_writer_append(&sink->output, ids, count) : CS336_OK;
}

/* ---- the command ---- */

/* A text has ended. */
static void end_text(void *context)
{
    IdSink *sink = context;
    if (sink->pretty)
        token_printer_end_text(&sink->printer);
}

static Status encode_all(EncodeInputs *inputs, IdSink *sink, const Tokenizer *tokenizer)
{
    Status s = CS336_OK;
    if (ranks_count() > 1)
        return encode_inputs_with_ranks(inputs, tokenizer, take_ids, end_text, sink);
    for (size_t i = 0; !s && i < inputs->texts.count; i++) {
        s = encode_inputs_to(inputs, i, tokenizer, take_ids, sink);
        end_text(sink);
    }
    return s;
}

/* Opens the output and its sidecar. Until they are committed, no file has changed. */
static Status open_output(IdSink *sink, const EncodeOptions *o, const Tokenizer *tokenizer)
{
    const CommandFile files[] = {{.path = o->output, .what = "the output", .written = true},
                                 TOKENIZER_FILES(o->tokenizer)};
    Status s = command_files_differ(files, sizeof files / sizeof *files, &o->inputs);
    if (!s)
        s = token_writer_create(&sink->output, o->output, tokenizer_vocab_size(tokenizer));
    if (s || !sink->output.sidecar.path)
        return s;
    const CommandFile described[] = {{.path = sink->output.sidecar.path, .what = "the sidecar", .written = true},
                                     TOKENIZER_FILES(o->tokenizer)};
    return command_files_differ(described, sizeof described / sizeof *described, &o->inputs);
}

/* The summary goes to stderr if the results go to standard output. */
static void print_summary(const EncodeOptions *o, const IdSink *sink, size_t width, size_t bytes, double seconds)
{
    FILE *stream = work_summary_stream(o->pretty ? "-" : o->output);
    fprintf(stream, "%zu byte%s, %zu token%s", bytes, plural(bytes), sink->count, plural(sink->count));
    if (o->output)
        fprintf(stream, " of %zu bytes", width);
    if (sink->count)
        fprintf(stream, ", %.3f bytes per token", (double)bytes / (double)sink->count);
    fprintf(stream, ", %.2f s (%.1f MB/s)\n", seconds, work_megabytes_per_second((double)bytes, seconds));
}

int command_encode(int argc, char **argv)
{
    EncodeOptions o = {0};
    const int done = parse(&o, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    EncodeInputs inputs = {0};
    TextField field;
    IdSink sink = {.pretty = o.pretty};
    Tokenizer *tokenizer = NULL;
    parallel_set_threads((int)o.threads);
    work_stop_flag();
    WorkProgress progress = work_begin("encode");
    /* Check all inputs and open the output before the first byte is encoded. */
    Status s = encode_inputs_load(&tokenizer, &field, &o.tokenizer, o.text_field);
    if (!s)
        tokenizer_options_notes(&tokenizer->model, tokenizer_options_path(&o.tokenizer));
    if (!s)
        s = encode_inputs_begin(&inputs, "encode", &o.inputs, field, o.pretty ? NULL : &progress);
    const bool writes = ranks_own() == 0;
    if (!s && o.output && writes)
        s = open_output(&sink, &o, tokenizer);
    s = ranks_agree(s);
    /* Encode. The output gets its name once it is complete. */
    if (!s) {
        sink.printer = token_printer_begin(stdout, tokenizer);
        const bool lacks_end = !o.text_field && tokenizer_options_lack_end(tokenizer);
        inputs.hint.separator = lacks_end ? TOKENIZER_DOCUMENT_END : NULL;
        work_begin_phase(&progress);
        s = encode_all(&inputs, &sink, tokenizer);
    }
    const size_t width = token_file_width(sink.output.vocab_size);
    if (!s && o.output && writes)
        s = token_writer_commit(&sink.output);
    const double seconds = work_end(&progress);
    if (!s && writes)
        print_summary(&o, &sink, width, inputs.done, seconds);
    token_writer_abandon(&sink.output);
    encode_inputs_end(&inputs);
    tokenizer_destroy(tokenizer);
    return s ? command_failed("encode") : EXIT_OK;
}
