#include "cli/commands.h"
#include "cli/options.h"
#include "cli/tokenizer_options.h"
#include "cli/work.h"
#include "tokenizer/bpe_files.h"
#include "tokenizer/bpe_train.h"

#include <limits.h>

typedef struct {
    TextList inputs, special;
    size_t vocab_size, threads;
    const char *vocab, *merges;
} TrainBPEOptions;

static int parse(TrainBPEOptions *o, int argc, char **argv)
{
    const Option options[] = {
        OPTION_TEXTS("input", &o->inputs, "FILE", "text to learn from; several files are one corpus"),
        OPTION_SIZE_REQUIRED("vocab-size", &o->vocab_size, "N", 1, "tokens: special tokens, 256 bytes, merges"),
        OPTION_TEXTS("special-token", &o->special, "T", "text that is one token and a boundary, as <|endoftext|>"),
        OPTION_TEXT("vocab", &o->vocab, "FILE", OPTION_REQUIRED, "vocab.json to write"),
        OPTION_TEXT("merges", &o->merges, "FILE", OPTION_REQUIRED, "merges.txt to write"),
        OPTION_SIZE("threads", &o->threads, "N", 0, "threads, 0: all; the result does not depend on it"),
    };
    const OptionTable table = OPTION_TABLE("train-bpe", "Learns a byte-level byte-pair encoding from text.", options);
    const int done = options_parse(&table, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    if (o->inputs.count == 0)
        return options_bad_usage(&table, "--input is missing");
    if (texts_have_empty(&o->special))
        return options_bad_usage(&table, "--special-token is empty");
    if (o->threads > INT_MAX)
        return options_bad_usage(&table, "--threads is too large");
    return OPTIONS_PARSED;
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

static void print_summary(const BPEModel *model, const BPETrainStats *stats, double seconds)
{
    size_t longest = 0;
    for (size_t i = 1; i < model->vocab_size; i++)
        if (bpe_model_token(model, (int32_t)i).length > bpe_model_token(model, (int32_t)longest).length)
            longest = i;
    const ByteString token = bpe_model_token(model, (int32_t)longest);
    printf("%zu tokens (%zu merges) from %.1f MB, %zu distinct pre-tokens, in %.2f s (%.1f MB/s); longest \"%.*s\"\n",
           model->vocab_size, model->merge_count, (double)stats->bytes / 1e6, stats->distinct_pretokens, seconds,
           work_megabytes_per_second((double)stats->bytes, seconds), (int)token.length, (const char *)token.bytes);
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
        s = command_needs_file(o.inputs.items[i], "cs336 story");
    if (!s)
        s = bpe_train_files(&model, &stats, o.inputs.items, o.inputs.count, &config);
    if (!s)
        s = bpe_model_write(&model, o.vocab, o.merges);
    const double seconds = work_end(&progress);
    if (!s)
        print_summary(&model, &stats, seconds);
    bpe_model_deinit(&model);
    return s ? command_failed("train-bpe") : EXIT_OK;
}
