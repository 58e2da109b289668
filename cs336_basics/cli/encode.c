#include "cli/commands.h"
#include "cli/encode_inputs.h"
#include "cli/options.h"
#include "cli/token_pieces.h"
#include "cli/tokenizer_options.h"
#include "cli/work.h"
#include "core/file.h"
#include "core/parallel.h"
#include "data/token_file.h"

enum { IDS_AT_ONCE = 1024, WIDEST_ID = 4 };

typedef struct {
    TokenizerOptions tokenizer;
    TextList inputs;
    const char *output;
    bool pretty;
    size_t threads;
} EncodeOptions;

static int parse(EncodeOptions *o, int argc, char **argv)
{
    const Option options[] = {
        TOKENIZER_OPTION_LINES(o->tokenizer),
        OPTION_TEXTS("input", &o->inputs, "FILE", OPTION_REQUIRED,
                     "text; several files are encoded in their order, each as a text of its own; - is standard input"),
        OPTION_TEXT("output", &o->output, "FILE", OPTION_UNSHOWN, "ids to write; - is standard output"),
        OPTION_FLAG("pretty", &o->pretty, "print the tokens as coloured pieces of text"),
        OPTION_THREADS(&o->threads),
    };
    const OptionTable table = OPTION_TABLE("encode",
                                           "Turns text into token ids: raw little-endian uint16, or uint32 when the "
                                           "vocabulary has more than 65536 tokens.",
                                           options);
    const int done = options_parse(&table, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    if (!o->output && !o->pretty)
        return options_bad_usage(&table, "--output or --pretty is missing");
    if (o->pretty && o->output && strcmp(o->output, "-") == 0)
        return options_bad_usage(&table, "--pretty and --output - both write to standard output");
    return done;
}

/* ---- where the encoder's ids go ---- */

typedef struct {
    FileWriter file; /**< zeroed: no file is wanted */
    size_t width, count;
    bool pretty;
    TokenPieces pieces;
} IdSink;

static Status write_ids(IdSink *sink, const int32_t *ids, size_t count)
{
    uint8_t bytes[IDS_AT_ONCE * WIDEST_ID];
    Status s = CS336_OK;
    for (size_t first = 0; !s && first < count; first += IDS_AT_ONCE) {
        const size_t some = count - first < IDS_AT_ONCE ? count - first : IDS_AT_ONCE;
        for (size_t i = 0; i < some; i++)
            for (size_t k = 0; k < sink->width; k++)
                bytes[i * sink->width + k] = (uint8_t)((uint32_t)ids[first + i] >> 8 * k);
        s = file_write(&sink->file, bytes, some * sink->width);
    }
    return s;
}

static Status take_ids(void *context, const int32_t *ids, size_t count)
{
    IdSink *sink = context;
    sink->count += count;
    if (sink->pretty)
        token_pieces_print(&sink->pieces, ids, count);
    return sink->file.stream ? write_ids(sink, ids, count) : CS336_OK;
}

/* ---- the command ---- */

static Status encode_all(EncodeInputs *inputs, IdSink *sink, const Tokenizer *tokenizer)
{
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < inputs->paths->count; i++) {
        s = encode_inputs_to(inputs, i, tokenizer, take_ids, sink);
        if (sink->pretty)
            token_pieces_end_text(&sink->pieces);
    }
    return s;
}

static Status open_output(IdSink *sink, const EncodeOptions *o)
{
    const CommandFile files[] = {{.path = o->output, .what = "the output", .written = true},
                                 {.path = o->tokenizer.vocab, .what = "the vocabulary"},
                                 {.path = o->tokenizer.merges, .what = "the list of merges"}};
    const Status s = command_files_differ(files, sizeof files / sizeof *files, &o->inputs);
    return s ? s : file_create(&sink->file, o->output);
}

/* Beside pieces on the terminal, figures have no place on standard output. */
static void print_summary(const EncodeOptions *o, const IdSink *sink, size_t bytes, double seconds)
{
    FILE *stream = work_summary_stream(o->pretty ? "-" : o->output);
    fprintf(stream, "%zu bytes, %zu tokens", bytes, sink->count);
    if (o->output)
        fprintf(stream, " of %zu bytes", sink->width);
    fprintf(stream, ", %.3f bytes a token, %.2f s (%.1f MB/s)\n", (double)bytes / (double)sink->count, seconds,
            work_megabytes_per_second((double)bytes, seconds));
}

int command_encode(int argc, char **argv)
{
    EncodeOptions o = {0};
    const int done = parse(&o, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    EncodeInputs inputs;
    IdSink sink = {.pretty = o.pretty};
    Tokenizer *tokenizer = NULL;
    parallel_set_threads((int)o.threads);
    work_stop_flag();
    WorkProgress progress = work_begin("encode");
    Status s = tokenizer_options_load(&tokenizer, &o.tokenizer);
    if (!s)
        s = encode_inputs_begin(&inputs, &o.inputs, o.pretty ? NULL : &progress);
    if (!s && o.output)
        s = open_output(&sink, &o);
    if (!s) {
        sink.width = token_file_width(tokenizer_vocab_size(tokenizer));
        sink.pieces = token_pieces_begin(stdout, tokenizer, &o.tokenizer.special);
        work_begin_phase(&progress);
        s = encode_all(&inputs, &sink, tokenizer);
    }
    if (!s && o.output)
        s = file_commit(&sink.file);
    const double seconds = work_end(&progress);
    if (!s)
        print_summary(&o, &sink, inputs.done, seconds);
    file_abandon(&sink.file);
    tokenizer_destroy(tokenizer);
    return s ? command_failed("encode") : EXIT_OK;
}
