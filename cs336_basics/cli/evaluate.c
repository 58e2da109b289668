#include "train/evaluate.h"

#include "cli/commands.h"
#include "cli/encode_inputs.h"
#include "cli/options.h"
#include "cli/tokenizer_options.h"
#include "cli/work.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/json.h"
#include "core/parallel.h"
#include "core/plural.h"
#include "data/token_file.h"
#include "inspect/token_label.h"
#include "tokenizer/encode/encoder.h"
#include "train/model_checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LOSS_DIGITS = 9 }; /* significant digits that identify every float32 */

typedef struct {
    const char *checkpoint, *input, *text_field, *tokens, *per_token;
    TokenizerOptions tokenizer;
    size_t stride, batch_size, threads;
} EvaluateOptions;

static int parse(EvaluateOptions *o, int argc, char **argv)
{
    const Option options[] = {
        OPTION_TEXT("checkpoint", &o->checkpoint, "FILE", OPTION_REQUIRED, "the model, from cs336 train"),
        OPTION_TEXT("input", &o->input, "FILE", OPTION_UNSHOWN,
                    "text to predict, also .gz and .zst; - is standard input"),
        OPTION_TEXT_FIELD(&o->text_field),
        OPTION_TEXT("tokens", &o->tokens, "FILE", OPTION_UNSHOWN,
                    "instead of --input: ids from cs336 encode, raw or .npy"),
        OPTION_HEADING("The tokenizer; with --tokens only for bytes and token texts"),
        TOKENIZER_OPTION_LINES(o->tokenizer),
        OPTION_HEADING("Windows and output"),
        OPTION_SIZE_UNSHOWN("stride", &o->stride, "N", 1,
                            "tokens from one window to the next (default: the model's context length)"),
        OPTION_SIZE("batch-size", &o->batch_size, "N", 1, "windows that are computed at the same time"),
        OPTION_TEXT("per-token", &o->per_token, "FILE", OPTION_UNSHOWN,
                    "also write the loss of each token, as JSON lines; - is standard output"),
        OPTION_THREADS(&o->threads),
    };
    const OptionTable table = OPTION_TABLE(
        "evaluate",
        "Measures how well a model predicts a text: loss, perplexity, bits per token and per byte. Every token but the "
        "first is predicted exactly once, from the tokens before it in a window of context length tokens. Windows "
        "follow one another. With --stride N below the context length they overlap, and only the last N predictions of "
        "each window count; so every token but the first ones has at least context length - N + 1 tokens before it. "
        "<|endoftext|> is predicted like any other token.",
        options);
    const int done = options_parse(&table, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    if ((o->input != NULL) == (o->tokens != NULL))
        return options_bad_usage(&table, "expected either --input FILE or --tokens FILE");
    if (o->text_field && !o->input)
        return options_bad_usage(&table, "--text-field belongs to --input");
    return o->input || tokenizer_options_given(&o->tokenizer) ? tokenizer_options_check(&table, &o->tokenizer) : done;
}

/* ---- the text ---- */

/* The ids to predict: read from a file of ids, or encoded from a text. */
typedef struct {
    Tokenizer *tokenizer; /* owned; NULL with --tokens alone */
    TokenList encoded;    /* owned; empty with --tokens */
    TokenFile tokens;     /* the file, which is owned, or a view of encoded */
} Text;

/* A model with more ids than tokens is fine, because ids without a token only take part in the softmax. */
static Status load_tokenizer(Text *text, const EvaluateOptions *o, size_t vocab_size)
{
    Status s = tokenizer_options_load_for(&text->tokenizer, &o->tokenizer);
    if (!s && o->input)
        s = tokenizer_options_encode(&text->tokenizer->model, &o->tokenizer, "give its ids by --tokens FILE");
    if (s)
        return s;
    tokenizer_options_notes(&text->tokenizer->model, tokenizer_options_path(&o->tokenizer));
    return tokenizer_options_fit(text->tokenizer, &o->tokenizer, vocab_size, o->checkpoint);
}

static Status encode_input(Text *text, const EvaluateOptions *o, WorkProgress *progress)
{
    const TextList paths = {.items = {o->input}, .count = 1};
    EncodeInputs inputs = {.progress = NULL};
    TextField field;
    Status s = encode_inputs_field(&field, text->tokenizer, &o->tokenizer, o->text_field);
    if (!s)
        s = encode_inputs_begin(&inputs, "evaluate", &paths, field, progress);
    if (!s)
        s = encode_inputs_to(&inputs, 0, text->tokenizer, token_list_sink, &text->encoded);
    encode_inputs_end(&inputs);
    if (!s)
        text->tokens = token_file_view(text->encoded.ids, text->encoded.count, tokenizer_vocab_size(text->tokenizer));
    return s;
}

/* Ids must be below the vocabulary size of the tokenizer, if there is one, so that each has a text. */
static Status read_text(Text *text, const EvaluateOptions *o, size_t vocab_size, WorkProgress *progress)
{
    const bool standard_input = o->input && strcmp(o->input, "-") == 0;
    const char *name = standard_input ? "standard input" : o->input ? o->input : o->tokens;
    Status s = tokenizer_options_path(&o->tokenizer) ? load_tokenizer(text, o, vocab_size) : CS336_OK;
    if (!s && o->tokens)
        s = token_file_open(&text->tokens, o->tokens,
                            text->tokenizer ? tokenizer_vocab_size(text->tokenizer) : vocab_size);
    else if (!s)
        s = encode_input(text, o, progress);
    if (!s && o->tokens)
        s = token_file_check_ids(&text->tokens);
    if (!s && text->tokens.count < 2)
        s = status_fail(CS336_ERANGE, "%s: %zu token%s, expected at least 2: the first one is not predicted", name,
                        text->tokens.count, plural(text->tokens.count));
    return s;
}

static void text_deinit(Text *text)
{
    token_file_close(&text->tokens);
    token_list_deinit(&text->encoded);
    tokenizer_destroy(text->tokenizer);
}

/* ---- the losses ---- */

/* What is done with the losses of a batch. */
typedef struct {
    const Text *text;
    FileWriter writer; /* of --per-token; zeroed without it */
    ByteList label;    /* text of the latest token */
    WorkProgress progress;
    size_t done, /* tokens predicted so far */
        bytes;   /* in them; 0 without a tokenizer */
} LossSink;

/* Writes {"position":1,"id":411,"loss":3.25,"token":"Once"} as a line. */
static Status write_loss(LossSink *sink, size_t position, int32_t id, double loss)
{
    json_t *line = json_pack("{s:I, s:i, s:f}", "position", (json_int_t)position, "id", (int)id, "loss", loss);
    bool complete = line != NULL;
    Status s = CS336_OK;
    sink->label.length = 0;
    if (sink->text->tokenizer)
        s = token_label(&sink->label, tokenizer_token(sink->text->tokenizer, id));
    if (!s && sink->text->tokenizer)
        complete =
            complete &&
            json_object_set_new(line, "token", json_stringn((const char *)sink->label.bytes, sink->label.length)) == 0;
    if (!s && !complete)
        s = status_fail(CS336_ENOMEM, "%s: no memory for a line", sink->writer.path);
    if (!s)
        s = json_write(&sink->writer, line, JSON_COMPACT | JSON_REAL_PRECISION(LOSS_DIGITS));
    if (!s)
        s = file_write(&sink->writer, "\n", 1);
    json_decref(line);
    return s;
}

/* The LossReceiver of evaluate(). */
static Status take_losses(void *context, const float *losses, const int32_t *ids, size_t count)
{
    LossSink *sink = context;
    const size_t total = sink->text->tokens.count - 1;
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < count; i++) {
        if (sink->text->tokenizer)
            sink->bytes += tokenizer_token(sink->text->tokenizer, ids[i]).length;
        if (sink->writer.stream)
            s = write_loss(sink, sink->done + i + 1, ids[i], (double)losses[i]);
    }
    sink->done += count;
    if (!s)
        s = work_check_stop();
    if (!s && work_is_due(&sink->progress))
        work_show(&sink->progress, "%zu of %zu tokens, %s left", sink->done, total,
                  work_left(&sink->progress, sink->done, total).text);
    return s;
}

/* ---- the command ---- */

/* Checks that the inputs exist, and opens the output, before anything is loaded. */
static Status open_files(LossSink *sink, const EvaluateOptions *o)
{
    const CommandFile files[] = {{.path = o->per_token, .what = "the output", .written = true},
                                 {.path = o->checkpoint, .what = "the checkpoint"},
                                 {.path = o->input, .what = "the input"},
                                 {.path = o->tokens, .what = "the file of ids"},
                                 TOKENIZER_FILES(o->tokenizer)};
    Status s = command_needs_file(o->checkpoint, "cs336 train");
    if (!s && o->tokens)
        s = command_needs_file(o->tokens, "cs336 encode");
    if (!s && o->input)
        s = command_needs_text(&(TextList){.items = {o->input}, .count = 1}, NULL);
    if (!s && o->per_token)
        s = command_files_differ(files, sizeof files / sizeof *files, NULL);
    return !s && o->per_token ? file_create(&sink->writer, o->per_token) : s;
}

static void print_result(const EvaluateOptions *o, const LossSink *sink, size_t context, double loss, double seconds)
{
    FILE *stream = o->per_token ? work_summary_stream(o->per_token) : stdout;
    const double bits = loss / log(2), tokens = (double)sink->done;
    const size_t stride = o->stride ? o->stride : context;
    fprintf(stream, "loss            %.6f nats per token\n", loss);
    fprintf(stream, "perplexity      %.6g\n", exp(loss));
    fprintf(stream, "bits per token  %.6f\n", bits);
    if (sink->bytes)
        fprintf(stream, "bits per byte   %.6f\n", bits * tokens / (double)sink->bytes);
    fprintf(stream, "tokens          %zu predicted, all but the first\n", sink->done);
    if (sink->bytes)
        fprintf(stream, "bytes           %zu in these tokens, %.3f per token\n", sink->bytes,
                (double)sink->bytes / tokens);
    fprintf(stream, "windows         %zu of up to %zu token%s, stride %zu\n",
            evaluate_windows(sink->done + 1, context, stride), context, plural(context), stride);
    fprintf(stream, "time            %.2f s, %.0f tokens per second\n", seconds, seconds > 0 ? tokens / seconds : 0);
}

/* Evaluates, writes the output, and prints the result. */
static Status run(const EvaluateOptions *o, const TransformerLM *lm, Text *text, LossSink *sink)
{
    const size_t context = lm->config.context_length;
    if (o->stride > context)
        return status_fail(CS336_ERANGE, "--stride: %zu is too large, expected at most the context length %zu of %s",
                           o->stride, context, o->checkpoint);
    double loss;
    Status s = read_text(text, o, lm->config.vocab_size, &sink->progress);
    if (s)
        return s;
    work_begin_phase(&sink->progress);
    const double start = clock_seconds();
    s = evaluate(&loss, lm, &text->tokens, &(EvaluateConfig){.stride = o->stride, .batch_size = o->batch_size},
                 (LossReceiver){.losses = take_losses, .context = sink});
    const double seconds = clock_seconds() - start;
    if (s == CS336_ERANGE) /* a run that diverged leaves weights that are no numbers */
        s = status_fail(s, "%s: %s", o->checkpoint, status_message());
    if (!s && sink->writer.stream)
        s = file_commit(&sink->writer);
    work_end(&sink->progress);
    if (!s)
        print_result(o, sink, context, loss, seconds);
    return s;
}

int command_evaluate(int argc, char **argv)
{
    static EvaluateOptions o = {.batch_size = 4}; /* static: large and zeroed */
    const int done = parse(&o, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    parallel_set_threads((int)o.threads);
    work_stop_flag();
    TrainedModel model = {0};
    Text text = {.tokenizer = NULL};
    LossSink sink = {.text = &text, .progress = work_begin("evaluate")};
    Status s = open_files(&sink, &o);
    if (!s)
        s = trained_model_load(&model, o.checkpoint);
    if (!s)
        s = run(&o, &model.lm, &text, &sink);
    work_end(&sink.progress);
    file_abandon(&sink.writer);
    byte_list_deinit(&sink.label);
    text_deinit(&text);
    trained_model_deinit(&model);
    parallel_release();
    return s ? command_failed("evaluate") : EXIT_OK;
}
