#include "cli/commands.h"
#include "cli/encode_inputs.h"
#include "cli/options.h"
#include "cli/tokenizer_options.h"
#include "cli/work.h"
#include "core/clock.h"
#include "core/memory.h"
#include "core/plural.h"
#include "core/printable.h"
#include "data/token_file.h"
#include "tokenizer/encode/encoder.h"
#include "tokenizer/files/token_text.h"

#include <inttypes.h>
#include <string.h>

enum {
    MAX_TOKENIZERS = 8, /* a table of 134 columns, which fits a wide terminal */
    LONGEST_SHOWN = 5,
    UNUSED_SHOWN = 8,
    LABEL_COLUMNS = 26, /* width of the first column; long names of files widen it */
    SIZE_COLUMNS = 12,
    NUMBER_COLUMNS = 12
};

/* The Pile, a corpus of 825 GB: the course asks how long tokenizing it would take. */
static const double PILE_BYTES = 825e9;

typedef struct {
    TextList files, vocab, merges, special, inputs;
    const char *text_field;
    int pattern;
} ReportOptions;

static size_t count_tokenizers(const ReportOptions *o)
{
    return o->files.count + o->vocab.count;
}

static int parse(ReportOptions *o, int argc, char **argv)
{
    const Option options[] = {
        OPTION_TEXTS("tokenizer", &o->files, "FILE", OPTION_UNSHOWN, TOKENIZER_FILE_HELP "; several are compared"),
        OPTION_TEXTS("vocab", &o->vocab, "FILE", OPTION_UNSHOWN,
                     "vocab.json, in place of --tokenizer or besides it, with --merges; several are compared"),
        OPTION_TEXTS("merges", &o->merges, "FILE", OPTION_UNSHOWN, "merges.txt of each vocab.json, in the same order"),
        OPTION_TEXTS("special-token", &o->special, "TOKEN", OPTION_UNSHOWN, SPECIAL_TOKEN_HELP),
        OPTION_CHOICE("pattern", &o->pattern, tokenizer_pattern_choices, "file|gpt2|gpt4", TOKENIZER_PATTERN_HELP),
        OPTION_TEXTS("input", &o->inputs, "FILE", OPTION_REQUIRED,
                     "texts to measure on, also .gz and .zst; - is standard input"),
        OPTION_TEXT_FIELD(&o->text_field),
    };
    const OptionTable table =
        OPTION_TABLE("tokenizer-report",
                     "Measures tokenizers on texts: bytes per token, speed and the time for the Pile, "
                     "tokens never used, longest tokens.",
                     options);
    const int done = options_parse(&table, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    /* One merges file per vocabulary. */
    if (o->vocab.count != o->merges.count)
        return options_bad_usage(&table, "--vocab has %zu file%s, --merges has %zu, expected one of each per tokenizer",
                                 o->vocab.count, plural(o->vocab.count), o->merges.count);
    if (count_tokenizers(o) == 0)
        return options_bad_usage(&table, "--tokenizer FILE is missing (or --vocab FILE and --merges FILE)");
    if (count_tokenizers(o) > MAX_TOKENIZERS)
        return options_bad_usage(&table, "%zu tokenizers, expected at most %d", count_tokenizers(o), MAX_TOKENIZERS);
    return done;
}

/* ---- measuring ---- */

/* A tokenizer and its measurements. */
typedef struct {
    Tokenizer *tokenizer;
    uint64_t *uses;        /* occurrences of each id in all files */
    uint64_t *file_tokens; /* tokens of each file */
    uint64_t tokens;       /* of all files so far */
    double seconds;        /* of encoding, without reading and decompressing */
    TextField field;
} Subject;

typedef struct {
    Subject subjects[MAX_TOKENIZERS];
    size_t count;
    size_t *file_bytes; /* bytes of each file */
    size_t bytes;       /* of all files */
} Report;

/* The encoder's TokenSink. */
static Status count_ids(void *context, const int32_t *ids, size_t count)
{
    Subject *subject = context;
    for (size_t i = 0; i < count; i++)
        subject->uses[ids[i]]++;
    subject->tokens += count;
    return CS336_OK;
}

static Status load_tokenizer(Subject *subject, const ReportOptions *o, size_t index)
{
    TokenizerOptions options = {.pattern = o->pattern, .special = o->special};
    if (index < o->files.count) {
        options.file = o->files.items[index];
    } else {
        options.vocab = o->vocab.items[index - o->files.count];
        options.merges = o->merges.items[index - o->files.count];
    }
    const Status s = encode_inputs_load(&subject->tokenizer, &subject->field, &options, o->text_field);
    if (s)
        return s;
    tokenizer_options_notes(&subject->tokenizer->model, tokenizer_options_path(&options));
    const size_t vocab_size = tokenizer_vocab_size(subject->tokenizer);
    subject->uses = memory_allocate_zeroed(vocab_size, sizeof *subject->uses);
    subject->file_tokens = memory_allocate_zeroed(o->inputs.count, sizeof *subject->file_tokens);
    if (!subject->uses || !subject->file_tokens)
        return status_fail(CS336_ENOMEM, "no memory for the counts of %zu tokens", vocab_size);
    return CS336_OK;
}

/* Encodes all files with one tokenizer and one thread, so that speeds compare. Notes about files are printed once. */
static Status measure(Report *report, Subject *subject, const TextList *paths, WorkProgress *progress)
{
    EncodeInputs inputs;
    Encoder *encoder;
    const char *command = subject == report->subjects ? "tokenizer-report" : NULL;
    Status s = encode_inputs_begin(&inputs, command, paths, subject->field, progress);
    if (s)
        return s;
    s = encoder_create(&encoder, subject->tokenizer, count_ids, subject);
    work_begin_phase(progress);
    const double began = clock_seconds();
    for (size_t i = 0; !s && i < paths->count; i++) {
        const uint64_t previous = subject->tokens;
        s = encode_inputs_one(&inputs, i, encoder, &report->file_bytes[i]);
        subject->file_tokens[i] = subject->tokens - previous;
    }
    subject->seconds = clock_seconds() - began - inputs.reading;
    report->bytes = inputs.done;
    encoder_destroy(encoder);
    encode_inputs_end(&inputs);
    return s;
}

static Status measure_all(Report *report, const ReportOptions *o, WorkProgress *progress)
{
    Status s = CS336_OK;
    report->file_bytes = memory_allocate_zeroed(o->inputs.count, sizeof *report->file_bytes);
    if (!report->file_bytes)
        return status_fail(CS336_ENOMEM, "no memory for %zu files", o->inputs.count);
    /* Standard input cannot be read once for each tokenizer. */
    for (size_t i = 0; !s && i < o->inputs.count; i++)
        if (count_tokenizers(o) > 1 && strcmp(o->inputs.items[i], "-") == 0)
            s = status_fail(CS336_EIO, "standard input: can be read only once, not by %zu tokenizers",
                            count_tokenizers(o));
    /* Load all tokenizers before the first measurement, so that a missing file is reported at once. */
    for (; !s && report->count < count_tokenizers(o); report->count++)
        s = load_tokenizer(&report->subjects[report->count], o, report->count);
    for (size_t i = 0; !s && i < report->count; i++)
        s = measure(report, &report->subjects[i], &o->inputs, progress);
    if (!s && report->bytes == 0)
        s = status_fail(CS336_EIO, "%s: is empty, expected a text to measure", o->inputs.items[0]);
    return s;
}

static void report_deinit(Report *report)
{
    for (size_t i = 0; i < MAX_TOKENIZERS; i++) {
        memory_release(report->subjects[i].uses);
        memory_release(report->subjects[i].file_tokens);
        tokenizer_destroy(report->subjects[i].tokenizer);
    }
    memory_release(report->file_bytes);
}

/* ---- the rows of the second table, one function each ---- */

static size_t id_bytes(const Subject *subject)
{
    return token_file_width(tokenizer_vocab_size(subject->tokenizer));
}

static double bytes_per_token(const Report *report, const Subject *subject)
{
    return (double)report->bytes / (double)subject->tokens;
}

static double megabytes_per_second(const Report *report, const Subject *subject)
{
    return work_megabytes_per_second((double)report->bytes, subject->seconds);
}

static double pile_hours(const Report *report, const Subject *subject)
{
    return PILE_BYTES / (double)report->bytes * subject->seconds / 3600;
}

static double pile_gigabytes(const Report *report, const Subject *subject)
{
    return PILE_BYTES / bytes_per_token(report, subject) * (double)id_bytes(subject) / 1e9;
}

static double unused_tokens(const Report *report, const Subject *subject)
{
    size_t count = 0;
    (void)report;
    for (size_t id = 0; id < tokenizer_vocab_size(subject->tokenizer); id++)
        count += subject->uses[id] == 0 && tokenizer_token(subject->tokenizer, (int32_t)id).length > 0;
    return (double)count;
}

static double unused_percent(const Report *report, const Subject *subject)
{
    return 100 * unused_tokens(report, subject) / (double)tokenizer_vocab_size(subject->tokenizer);
}

/* Text bytes minus the lengths of all tokens used. It is 0, because every byte is in the vocabulary. */
static double unknown_bytes(const Report *report, const Subject *subject)
{
    double covered = 0;
    for (size_t id = 0; id < tokenizer_vocab_size(subject->tokenizer); id++)
        covered += (double)subject->uses[id] * (double)tokenizer_token(subject->tokenizer, (int32_t)id).length;
    return (double)report->bytes - covered;
}

/* ---- tables ---- */

/* Returns the width of the first column. */
static int label_columns(const TextList *inputs)
{
    size_t columns = LABEL_COLUMNS;
    for (size_t i = 0; i < inputs->count; i++) {
        const size_t length = strlen(printable(inputs->items[i]).text);
        columns = length > columns ? length : columns;
    }
    return (int)columns;
}

static void print_heading(const Report *report, int columns, const char *label, const char *size)
{
    printf("\n%-*s%*s", columns, label, SIZE_COLUMNS, size);
    for (size_t i = 0; i < report->count; i++)
        printf("%*c", NUMBER_COLUMNS, (int)('A' + i));
    putchar('\n');
}

static void print_compression(const Report *report, const TextList *paths, int columns)
{
    print_heading(report, columns, "bytes per token", "MB");
    for (size_t f = 0; f < paths->count; f++) {
        printf("%-*s%*.3f", columns, printable(paths->items[f]).text, SIZE_COLUMNS,
               (double)report->file_bytes[f] / 1e6);
        for (size_t i = 0; i < report->count; i++)
            if (report->file_bytes[f])
                printf("%*.3f", NUMBER_COLUMNS,
                       (double)report->file_bytes[f] / (double)report->subjects[i].file_tokens[f]);
            else
                printf("%*s", NUMBER_COLUMNS, "-");
        putchar('\n');
    }
    if (paths->count == 1)
        return;
    printf("%-*s%*.3f", columns, "all", SIZE_COLUMNS, (double)report->bytes / 1e6);
    for (size_t i = 0; i < report->count; i++)
        printf("%*.3f", NUMBER_COLUMNS, bytes_per_token(report, &report->subjects[i]));
    putchar('\n');
}

static void print_measurements(const Report *report, int columns)
{
    static const struct {
        const char *label;
        double (*value)(const Report *report, const Subject *subject);
        int decimals;
    } rows[] = {
        {"MB/s", megabytes_per_second, 1},
        {"hours for the Pile, 825 GB", pile_hours, 2},
        {"GB of its ids", pile_gigabytes, 0},
        {"tokens never used", unused_tokens, 0},
        {"  % of the vocabulary", unused_percent, 1},
        {"bytes without a token", unknown_bytes, 0},
    };
    print_heading(report, columns, "on all texts, one thread", "");
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        printf("%-*s%*s", columns, rows[r].label, SIZE_COLUMNS, "");
        for (size_t i = 0; i < report->count; i++)
            printf("%*.*f", NUMBER_COLUMNS, rows[r].decimals, rows[r].value(report, &report->subjects[i]));
        putchar('\n');
    }
}

/* Prints the longest tokens. Of two equally long tokens, the one with the lower id comes first. */
static void print_longest(const Subject *subject, char letter)
{
    /* Insertion sort: longest[] holds the best ids so far, the longest token first. */
    int32_t longest[LONGEST_SHOWN];
    size_t count = 0;
    const size_t vocab_size = tokenizer_vocab_size(subject->tokenizer);
    for (size_t id = 0; id < vocab_size; id++) {
        const size_t length = tokenizer_token(subject->tokenizer, (int32_t)id).length;
        size_t index = count;
        while (index > 0 && tokenizer_token(subject->tokenizer, longest[index - 1]).length < length)
            index--;
        if (index == LONGEST_SHOWN)
            continue;
        count += count < LONGEST_SHOWN;
        memmove(longest + index + 1, longest + index, (count - index - 1) * sizeof *longest);
        longest[index] = (int32_t)id;
    }
    /* A table of them. */
    printf("\n%8s%8s%12s  longest tokens of %c\n", "id", "bytes", "uses", letter);
    for (size_t i = 0; i < count; i++) {
        const ByteString token = tokenizer_token(subject->tokenizer, longest[i]);
        const ShownToken shown = token_shown(token);
        printf("%8d%8zu%12" PRIu64 "  \"%s\"%s\n", (int)longest[i], token.length, subject->uses[longest[i]], shown.text,
               shown.bytes < token.length ? "..." : "");
    }
}

/* Prints the first tokens that were never used. */
static void print_unused(const Subject *subject, char letter)
{
    size_t count = 0;
    for (size_t id = 0; id < tokenizer_vocab_size(subject->tokenizer) && count <= UNUSED_SHOWN; id++) {
        if (subject->uses[id] || tokenizer_token(subject->tokenizer, (int32_t)id).length == 0) /* or a hole */
            continue;
        if (count == 0)
            printf("\nnever used of %c:", letter);
        if (count == UNUSED_SHOWN)
            fputs(" ...", stdout);
        else
            printf(" \"%s\"", token_shown(tokenizer_token(subject->tokenizer, (int32_t)id)).text);
        count++;
    }
    if (count)
        putchar('\n');
}

/* Prints the letter of a tokenizer, its files and its sizes. */
static void print_name(const Report *report, const ReportOptions *o, size_t index)
{
    const Subject *subject = &report->subjects[index];
    printf("%c  ", (char)('A' + index));
    if (index < o->files.count)
        printf("%s", printable(o->files.items[index]).text);
    else
        printf("%s, %s", printable(o->vocab.items[index - o->files.count]).text,
               printable(o->merges.items[index - o->files.count]).text);
    printf(": %zu tokens, ids of %zu bytes\n", tokenizer_vocab_size(subject->tokenizer), id_bytes(subject));
}

static void print_report(const Report *report, const ReportOptions *o)
{
    /* Each tokenizer gets a letter. */
    const int columns = label_columns(&o->inputs);
    for (size_t i = 0; i < report->count; i++)
        print_name(report, o, i);
    print_compression(report, &o->inputs, columns);
    print_measurements(report, columns);
    for (size_t i = 0; i < report->count; i++)
        print_longest(&report->subjects[i], (char)('A' + i));
    for (size_t i = 0; i < report->count; i++)
        print_unused(&report->subjects[i], (char)('A' + i));
}

int command_tokenizer_report(int argc, char **argv)
{
    ReportOptions o = {0};
    const int done = parse(&o, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    Report report = {0};
    work_stop_flag();
    WorkProgress progress = work_begin("tokenizer-report");
    const Status s = measure_all(&report, &o, &progress);
    work_end(&progress);
    if (!s)
        print_report(&report, &o);
    report_deinit(&report);
    return s ? command_failed("tokenizer-report") : EXIT_OK;
}
