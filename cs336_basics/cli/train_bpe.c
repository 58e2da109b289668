#include "cli/commands.h"
#include "cli/options.h"
#include "cli/separator_hint.h"
#include "cli/text_options.h"
#include "cli/tokenizer_options.h"
#include "cli/work.h"
#include "core/memory.h"
#include "core/plural.h"
#include "core/printable.h"
#include "distributed/ranks.h"
#include "tokenizer/files/bpe_files.h"
#include "tokenizer/files/special_text.h"
#include "tokenizer/files/token_text.h"
#include "tokenizer/files/tokenizer_json.h"
#include "tokenizer/learn/bpe_train_inputs.h"
#include "tokenizer/learn/bpe_train_ranks.h"

#include <inttypes.h>
#include <string.h>

typedef struct {
    TextList inputs, special;
    size_t vocab_size, threads;
    int pattern;                            /* a PretokenPattern */
    const char *tokenizer, *vocab, *merges; /* files to write; NULL: not asked for */
    const char *text_field; /* of --text-field: the field that has the text of a line of JSON; NULL: the inputs are
                               plain text */
} TrainBPEOptions;

static int parse(TrainBPEOptions *o, int argc, char **argv)
{
    const Option options[] = {
        OPTION_TEXTS("input", &o->inputs, "FILE", OPTION_REQUIRED,
                     "text to learn from, also .gz and .zst; several files are one corpus; - is standard input"),
        OPTION_TEXT_FIELD(&o->text_field),
        OPTION_SIZE_REQUIRED("vocab-size", &o->vocab_size, "N", 1,
                             "entries of the vocabulary: special tokens, 256 bytes, merges"),
        OPTION_TEXTS("special-token", &o->special, "TOKEN", OPTION_UNSHOWN,
                     "text that is one token and never merged with its neighbours, as <|endoftext|>"),
        OPTION_CHOICE("pattern", &o->pattern, pattern_names, "gpt2|gpt4",
                      "how text is split before pairs are counted: as for GPT-2, or as for GPT-4 and Llama 3"),
        OPTION_TEXT("tokenizer", &o->tokenizer, "FILE", OPTION_UNSHOWN,
                    "tokenizer.json to write: the whole tokenizer in one file, special tokens included"),
        OPTION_TEXT("vocab", &o->vocab, "FILE", OPTION_UNSHOWN,
                    "vocab.json to write, in place of --tokenizer or besides it, with --merges"),
        OPTION_TEXT("merges", &o->merges, "FILE", OPTION_UNSHOWN, "merges.txt to write, with --vocab"),
        OPTION_THREADS(&o->threads),
    };
    const OptionTable table = OPTION_TABLE(
        "train-bpe",
        "Learns a byte-level byte-pair encoding from text. It takes up to 36 bytes of memory for each byte of "
        "the distinct pre-tokens: few in a text of words, 36 times the size of a file without white space. Several "
        "processes under mpirun share the counting.",
        options);
    const int done = options_parse(&table, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    if (!o->tokenizer && !o->vocab && !o->merges)
        return options_bad_usage(&table, "--tokenizer FILE is missing (or --vocab FILE and --merges FILE)");
    if (!o->vocab && o->merges)
        return options_bad_usage(&table, "--vocab FILE is missing");
    if (o->vocab && !o->merges)
        return options_bad_usage(&table, "--merges FILE is missing");
    if (o->text_field && o->special.count == 0) {
        /* The ending of documents is a special token, whether it is named or not. */
        o->special.items[0] = TOKENIZER_DOCUMENT_END;
        o->special.count = 1;
    }
    return done;
}

/* ---- progress ---- */

typedef struct {
    WorkProgress line;
    BPEPhase phase;
    size_t counted; /**< bytes of text counted so far */
    const InputTexts *texts;
} TrainBPEProgress;

/* Of a stream only the file's size is known, so the time left follows from the bytes of the files. */
static void show_counting(TrainBPEProgress *progress, size_t done, size_t total)
{
    const InputTexts *texts = progress->texts;
    const double megabytes = (double)done / 1e6;
    const size_t taken = input_texts_taken(texts);
    if (total)
        work_show(&progress->line, "%.1f of %.1f MB counted, %s left, then the merges", megabytes, (double)total / 1e6,
                  work_left(&progress->line, done, total).text);
    else if (ranks_count() > 1) /* what the others have counted of their streams is not known */
        work_show(&progress->line, "%.1f MB counted by rank 0, then the merges", megabytes);
    else if (taken && texts->total >= taken && !texts->has_plain)
        work_show(&progress->line, "%.1f MB counted, %s left, then the merges", megabytes,
                  work_left(&progress->line, taken, texts->total).text);
    else
        work_show(&progress->line, "%.1f MB counted, then the merges", megabytes);
}

static void show_progress(void *context, BPEPhase phase, size_t done, size_t total)
{
    TrainBPEProgress *progress = context;
    /* Counting and merging have speeds of their own. */
    if (phase != progress->phase)
        work_begin_phase(&progress->line);
    progress->phase = phase;
    if (phase == BPE_COUNTING)
        progress->counted = done;
    if (done == 0 || !work_is_due(&progress->line))
        return;
    if (phase == BPE_COUNTING)
        show_counting(progress, done, total);
    else
        work_show(&progress->line, "%.1f MB counted, %zu of %zu merges, %s left", (double)progress->counted / 1e6, done,
                  total, work_left(&progress->line, done, total).text);
}

static void print_summary(FILE *stream, const BPEModel *model, const BPETrainStats *stats, size_t asked, double seconds)
{
    /* The longest token; of equally long ones the first. */
    size_t longest = 0;
    for (size_t i = 1; i < model->vocab_size; i++)
        if (bpe_model_token(model, (int32_t)i).length > bpe_model_token(model, (int32_t)longest).length)
            longest = i;
    const ByteString token = bpe_model_token(model, (int32_t)longest);
    const ShownToken shown = token_shown(token);
    /* Two lines: what was learned, and what it cost. */
    fprintf(stream, "%zu tokens (%zu merge%s) from %.1f MB: %" PRIu64 " pre-token%s, %zu of them distinct\n",
            model->vocab_size, model->merge_count, plural(model->merge_count), (double)stats->bytes / 1e6,
            stats->pretokens, plural((size_t)stats->pretokens), stats->distinct_pretokens);
    fprintf(stream, "%.2f s (%.1f MB/s), peak memory %s%.0f MB, longest token \"%s\"", seconds,
            work_megabytes_per_second((double)stats->bytes, seconds), ranks_count() > 1 ? "of rank 0 " : "",
            (double)memory_process_peak() / 1e6, shown.text);
    if (shown.bytes < token.length)
        fprintf(stream, " and %zu byte%s more", token.length - shown.bytes, plural(token.length - shown.bytes));
    fputc('\n', stream);
    if (model->vocab_size < asked)
        fprintf(stream, "%zu tokens, not the %zu of --vocab-size: in this text no pair of tokens is left to merge\n",
                model->vocab_size, asked);
}

/* ---- files ---- */

/* Everything that can be wrong before a text is read, so that no note comes before the message about it. */
static Status check(const TrainBPEOptions *o, const BPETrainConfig *config)
{
    const CommandFile outputs[] = {{.path = o->vocab, .what = "the vocabulary", .written = true},
                                   {.path = o->merges, .what = "the list of merges", .written = true},
                                   {.path = o->tokenizer, .what = "the tokenizer.json", .written = true}};
    enum { OUTPUTS = sizeof outputs / sizeof *outputs };
    const bool writes = ranks_own() == 0;
    Status s = command_needs_text(&o->inputs, "cs336 story");
    if (!s && writes)
        s = command_files_differ(outputs, OUTPUTS, &o->inputs);
    for (size_t i = 0; !s && writes && i < OUTPUTS; i++)
        if (outputs[i].path)
            s = command_needs_writable(outputs[i].path);
    if (!s && o->tokenizer)
        s = tokenizer_json_check(config->special_tokens, config->special_count);
    if (!s)
        s = bpe_train_check(config);
    return s;
}

/*
 * Hours of training are not thrown away because tokenizer.json cannot hold a special token: the other files can. If
 * they were not asked for, they get names of their own beside it.
 */
static Status write_without_json(const TrainBPEOptions *o, const BPEModel *model)
{
    enum { MOST_BYTES = 4096 + 16 }; /* a path, and an ending */
    char reason[512], vocab[MOST_BYTES], merges[MOST_BYTES];
    snprintf(reason, sizeof reason, "%s", status_message());
    snprintf(vocab, sizeof vocab, "%s%s", o->vocab ? o->vocab : o->tokenizer, o->vocab ? "" : ".vocab.json");
    snprintf(merges, sizeof merges, "%s%s", o->vocab ? o->merges : o->tokenizer, o->vocab ? "" : ".merges.txt");
    const Status s = bpe_model_write(model, vocab, merges);
    if (s)
        return s;
    return status_fail(CS336_ERANGE, "%s; only %s and %s are written", reason, vocab, merges);
}

/*
 * Writes all files or none. tokenizer.json is complete under a temporary name before the others get their names, so a
 * full disk cannot leave only some of them. A kill between the renames leaves no tokenizer.json rather than an old one.
 */
static Status write_files(const TrainBPEOptions *o, const BPEModel *model, const BPETrainConfig *config)
{
    if (!o->tokenizer)
        return bpe_model_write(model, o->vocab, o->merges);
    FileWriter json;
    Status s = file_create(&json, o->tokenizer);
    if (s)
        return s;
    s = tokenizer_json_write(&json, model, config->special_tokens, config->special_count);
    if (s == CS336_ERANGE) {
        file_abandon(&json);
        return write_without_json(o, model);
    }
    if (!s)
        s = file_flush(&json);
    if (!s && o->vocab)
        s = file_remove_old(&json);
    if (!s && o->vocab)
        s = bpe_model_write(model, o->vocab, o->merges);
    if (!s)
        s = file_commit(&json);
    file_abandon(&json);
    return s;
}

static bool is_stdout(const char *path)
{
    return path && strcmp(path, "-") == 0;
}

/* vocab.json and merges.txt cannot name a pattern, and are read as GPT-2's unless an option says otherwise. */
static void note_pattern(const TrainBPEOptions *o)
{
    if (o->pattern != PATTERN_GPT2)
        fprintf(stderr, "note: %s and %s do not name their pattern; read them with --pattern %s\n",
                printable(o->vocab).text, printable(o->merges).text, pattern_names[o->pattern]);
}

/* Prints a line for each special token that is not written as it stands, and which other programs therefore miss. */
static Status note_spelled_tokens(const BPEModel *model, const char *vocab)
{
    SpecialTexts special;
    const Status s = special_texts_init(&special, model);
    for (size_t i = 0; !s && i < special.count; i++) {
        const ByteString text = bpe_model_special_text(model, i), written = byte_list_view(&special.texts[i]);
        if (!byte_string_equal(text, written))
            fprintf(stderr,
                    "note: %s: special token \"%s\" is written \"%s\", since its own text %s; other programs do not "
                    "read it so\n",
                    printable(vocab).text, token_shown(text).text, token_shown(written).text,
                    special_text_is_utf8(text) ? "is what other bytes are written as" : "is not UTF-8");
    }
    special_texts_deinit(&special);
    return s;
}

/* True if the token between documents is one that the caller has not named. Documents of JSON Lines have no such text.
 */
static bool lacks_end(const TrainBPEOptions *o)
{
    bool named = o->text_field != NULL;
    for (size_t i = 0; i < o->special.count; i++)
        named = named || strcmp(o->special.items[i], TOKENIZER_DOCUMENT_END) == 0;
    return !named;
}

/*
 * Looks for the separator of documents at the start of each file, and lets streams be searched while they are read: one
 * thread at a time reads them. searched: (texts->count), which the caller frees after the texts.
 */
static Status look_for_separator(SearchedStream **searched, SeparatorHint *hint, InputTexts *texts)
{
    *searched = memory_allocate_zeroed(texts->count, sizeof **searched);
    if (!*searched)
        return status_fail(CS336_ENOMEM, "no memory for %zu texts", texts->count);
    for (size_t i = 0; i < texts->count; i++) {
        InputText *text = &texts->items[i];
        (*searched)[i] = (SearchedStream){.hint = hint, .inner = text->stream};
        if (text->is_plain)
            separator_hint_file(hint, text->path);
        else
            text->stream = (TextStream){.read = separator_hint_read, .context = &(*searched)[i]};
    }
    return CS336_OK;
}

/* Says which streams are not shared, because there are more ranks than streams. */
static void note_streams(const InputTexts *texts)
{
    size_t streams = 0;
    const InputText *last = NULL;
    for (size_t i = 0; i < texts->count; i++)
        if (!texts->items[i].is_plain) {
            streams++;
            last = &texts->items[i];
        }
    if (last && streams < (size_t)ranks_count())
        fprintf(
            stderr,
            "note: %s is compressed, JSON Lines or a pipe, so one of the %d ranks reads all of it; several such files "
            "are shared by whole files, plain text by parts\n",
            strcmp(last->path, "-") == 0 ? TEXT_STANDARD_INPUT : printable(last->path).text, ranks_count());
}

/* Learns from all texts. That they are empty shows only when a stream has been read. */
static Status learn(BPEModel *model, BPETrainStats *stats, const InputTexts *texts, const BPETrainConfig *config)
{
    Status s;
    if (ranks_count() > 1) {
        note_streams(texts);
        s = bpe_train_ranks(model, stats, texts, config);
    } else {
        s = bpe_train_inputs(model, stats, texts, config);
    }
    if (!s && stats->bytes == 0)
        s = status_fail(CS336_EIO, "%s: is empty, expected a text to learn from",
                        strcmp(texts->items->path, "-") == 0 ? TEXT_STANDARD_INPUT : texts->items->path);
    return s;
}

int command_train_bpe(int argc, char **argv)
{
    TrainBPEOptions o = {0};
    const int done = parse(&o, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    ByteString special[OPTION_MAX_TEXTS];
    InputTexts texts = {0};
    SearchedStream *searched = NULL;
    SeparatorHint hint = {.command = "train-bpe",
                          .separator = lacks_end(&o) ? TOKENIZER_DOCUMENT_END : NULL,
                          .consequence = "is learned from like other text; to make it one token"};
    TrainBPEProgress progress = {.line = work_begin("train-bpe"), .texts = &texts};
    const BPETrainConfig config = {
        .vocab_size = o.vocab_size,
        .special_tokens = special,
        .special_count = texts_as_byte_strings(special, &o.special),
        .pattern = (PretokenPattern)o.pattern,
        .threads = (int)o.threads,
        .progress = show_progress,
        .progress_context = &progress,
        .stop = work_stop_flag(),
    };
    /* Check everything before hours of work. */
    BPEModel model = {0};
    BPETrainStats stats;
    Status s = check(&o, &config);
    if (!s)
        s = text_options_begin(
            &texts, "train-bpe", &o.inputs,
            (TextField){.name = o.text_field, .ending = text_field_ending(o.special.items, o.special.count)});
    if (!s)
        s = look_for_separator(&searched, &hint, &texts);
    s = ranks_agree(s);
    if (!s)
        s = learn(&model, &stats, &texts, &config);
    const bool writes = ranks_own() == 0;
    if (!s && writes)
        s = write_files(&o, &model, &config);
    const double seconds = work_end(&progress.line);
    if (!s && writes && o.vocab)
        s = note_spelled_tokens(&model, o.vocab);
    if (!s && writes && o.vocab)
        note_pattern(&o);
    const bool to_stdout = is_stdout(o.tokenizer) || is_stdout(o.vocab) || is_stdout(o.merges);
    if (!s && writes)
        print_summary(work_summary_stream(to_stdout ? "-" : "file"), &model, &stats, o.vocab_size, seconds);
    bpe_model_deinit(&model);
    input_texts_end(&texts);
    memory_release(searched);
    return s ? command_failed("train-bpe") : EXIT_OK;
}
