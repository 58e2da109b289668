#include "cli/commands.h"
#include "cli/options.h"
#include "cli/tokenizer_options.h"
#include "cli/work.h"
#include "tokenizer/bpe_files.h"
#include "tokenizer/bpe_train.h"

#include <string.h>

enum { SHOWN_BYTES = 32 };

typedef struct {
    TextList inputs, special;
    size_t vocab_size, threads;
    const char *vocab, *merges;
} TrainBPEOptions;

static int parse(TrainBPEOptions *o, int argc, char **argv)
{
    const Option options[] = {
        OPTION_TEXTS("input", &o->inputs, "FILE", OPTION_REQUIRED, "text to learn from; several files are one corpus"),
        OPTION_SIZE_REQUIRED("vocab-size", &o->vocab_size, "N", 1, "tokens: special tokens, 256 bytes, merges"),
        OPTION_TEXTS("special-token", &o->special, "T", OPTION_UNSHOWN,
                     "text that is one token and a boundary, as <|endoftext|>"),
        OPTION_TEXT("vocab", &o->vocab, "FILE", OPTION_REQUIRED, "vocab.json to write"),
        OPTION_TEXT("merges", &o->merges, "FILE", OPTION_REQUIRED, "merges.txt to write"),
        OPTION_THREADS(&o->threads),
    };
    const OptionTable table = OPTION_TABLE("train-bpe", "Learns a byte-level byte-pair encoding from text.", options);
    return options_parse(&table, argc, argv);
}

static void show_progress(void *context, BPEPhase phase, size_t done, size_t total)
{
    WorkProgress *progress = context;
    if (!work_is_due(progress))
        return;
    if (phase == BPE_COUNTING)
        work_show(progress, "%.1f of %.1f MB counted", (double)done / 1e6, (double)total / 1e6);
    else
        work_show(progress, "%zu of %zu merges", done, total);
}

/* The beginning of a token between quotes; control characters, which a terminal would obey, as \xNN. */
static void print_token(FILE *stream, ByteString token)
{
    const size_t shown = token.length < SHOWN_BYTES ? token.length : SHOWN_BYTES;
    fputc('"', stream);
    for (size_t i = 0; i < shown; i++) {
        const uint8_t byte = token.bytes[i];
        if (byte < ' ' || byte == 0x7F)
            fprintf(stream, "\\x%02X", (unsigned)byte);
        else
            fputc(byte, stream);
    }
    fputc('"', stream);
    if (shown < token.length)
        fprintf(stream, " and %zu bytes more", token.length - shown);
    fputc('\n', stream);
}

static void print_summary(FILE *stream, const BPEModel *model, const BPETrainStats *stats, double seconds)
{
    size_t longest = 0;
    for (size_t i = 1; i < model->vocab_size; i++)
        if (bpe_model_token(model, (int32_t)i).length > bpe_model_token(model, (int32_t)longest).length)
            longest = i;
    fprintf(stream, "%zu tokens (%zu merges) from %.1f MB, %zu distinct pre-tokens, in %.2f s (%.1f MB/s); longest ",
            model->vocab_size, model->merge_count, (double)stats->bytes / 1e6, stats->distinct_pretokens, seconds,
            work_megabytes_per_second((double)stats->bytes, seconds));
    print_token(stream, bpe_model_token(model, (int32_t)longest));
}

static Status check_input(const TrainBPEOptions *o, const char *input)
{
    Status s = command_needs_file(input, "cs336 story");
    if (!s)
        s = command_needs_two_files(o->vocab, input, "the input");
    return s ? s : command_needs_two_files(o->merges, input, "the input");
}

int command_train_bpe(int argc, char **argv)
{
    TrainBPEOptions o = {0};
    const int done = parse(&o, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    ByteString special[OPTION_MAX_TEXTS];
    WorkProgress progress = work_begin("train-bpe");
    const BPETrainConfig config = {
        .vocab_size = o.vocab_size,
        .special_tokens = special,
        .special_count = texts_as_byte_strings(special, &o.special),
        .threads = (int)o.threads,
        .progress = show_progress,
        .progress_context = &progress,
        .stop = work_stop_flag(),
    };
    BPEModel model = {0};
    BPETrainStats stats;
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < o.inputs.count; i++)
        s = check_input(&o, o.inputs.items[i]);
    if (!s)
        s = command_needs_two_files(o.merges, o.vocab, "the vocabulary");
    if (!s)
        s = bpe_train_files(&model, &stats, o.inputs.items, o.inputs.count, &config);
    if (!s)
        s = bpe_model_write(&model, o.vocab, o.merges);
    const double seconds = work_end(&progress);
    if (!s)
        print_summary(work_summary_stream(strcmp(o.merges, "-") ? o.vocab : "-"), &model, &stats, seconds);
    bpe_model_deinit(&model);
    return s ? command_failed("train-bpe") : EXIT_OK;
}
