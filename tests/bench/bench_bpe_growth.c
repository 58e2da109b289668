/*
 * Measures how the time and memory of training and encoding grow with the text, from 1 to 300 MB, and those of training
 * with the number of merges.
 *
 * The text is made of the documents of the first file that CS336_CORPORA names, in random order. When all are used,
 * they follow again in another order. Without a corpus the documents are stories. A longer text begins with the shorter
 * one.
 */
#define _POSIX_C_SOURCE 200809L
#include "core/file.h"
#include "core/memory.h"
#include "core/rng.h"
#include "story/story.h"
#include "tests/bench/bench.h"
#include "tests/bench/chart.h"
#include "tests/bench/report.h"
#include "tests/bench/work.h"
#include "tokenizer/files/bpe_files.h"
#include "tokenizer/learn/bpe_train.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEGABYTE = 1000000, MERGES = 10000, BYTES_AND_SEPARATOR = 257, MERGES_TEXT = 30, MODEL_TEXT = 10 };

/* ---- documents ---- */

typedef struct {
    LoadedFile file; /* size 0: stories instead */
    ByteString *documents;
    size_t document_count;
    StoryProgram program;
    char *story;
    uint64_t next; /* number of the next document or story */
} Corpus;

static const uint8_t *find(const uint8_t *text, const uint8_t *end, const char *what)
{
    const size_t length = strlen(what);
    while ((size_t)(end - text) >= length) {
        const uint8_t *found = memchr(text, what[0], (size_t)(end - text) - length + 1);
        if (!found)
            break;
        if (memcmp(found, what, length) == 0)
            return found;
        text = found + 1;
    }
    return NULL;
}

/* Splits a file into documents, each with the separator found its end. If `documents` is NULL it only counts them. */
static size_t split(LoadedFile file, ByteString *documents)
{
    const uint8_t *found = file.data, *const end = file.data + file.size;
    size_t count = 0;
    while (found < end) {
        const uint8_t *separator = find(found, end, STORY_SEPARATOR);
        const uint8_t *next = separator ? separator + strlen(STORY_SEPARATOR) : end;
        if (documents)
            documents[count] = (ByteString){.bytes = found, .length = (size_t)(next - found)};
        count++;
        found = next;
    }
    return count;
}

static Status open_corpus(Corpus *corpus)
{
    char path[1000];
    const char *names = getenv("CS336_CORPORA");
    *corpus = (Corpus){0};
    if (!names || !*names) {
        const Status s = story_compile(&corpus->program, &story_grammar);
        if (s)
            return s;
        corpus->story = memory_allocate(corpus->program.longest);
        return corpus->story ? CS336_OK : status_fail(CS336_ENOMEM, "no memory for a story");
    }
    snprintf(path, sizeof path, "%.*s", (int)strcspn(names, ":"), names);
    Status s = file_load(&corpus->file, path);
    if (!s && corpus->file.size == 0)
        s = status_fail(CS336_EFORMAT, "%s: empty, expected a text", path);
    if (s)
        return s;
    corpus->document_count = split(corpus->file, NULL);
    corpus->documents = memory_allocate(corpus->document_count * sizeof *corpus->documents);
    if (!corpus->documents)
        return status_fail(CS336_ENOMEM, "no memory for %zu documents", corpus->document_count);
    split(corpus->file, corpus->documents);
    return CS336_OK;
}

static void close_corpus(Corpus *corpus)
{
    file_unload(&corpus->file);
    memory_release(corpus->documents);
    memory_release(corpus->story);
    story_program_deinit(&corpus->program);
}

static void shuffle(Corpus *corpus, uint64_t round)
{
    Rng rng = rng_stream(1, round);
    for (size_t i = corpus->document_count; i > 1; i--) {
        const size_t other = (size_t)rng_below(&rng, i);
        const ByteString document = corpus->documents[i - 1];
        corpus->documents[i - 1] = corpus->documents[other];
        corpus->documents[other] = document;
    }
}

static bool write_next(Corpus *corpus, FILE *text)
{
    const uint64_t number = corpus->next++;
    if (corpus->documents) {
        const size_t index = (size_t)(number % corpus->document_count);
        if (index == 0)
            shuffle(corpus, number / corpus->document_count);
        const ByteString document = corpus->documents[index];
        return fwrite(document.bytes, 1, document.length, text) == document.length;
    }
    const size_t length = story_write(corpus->story, NULL, &corpus->program, 1, number);
    return fwrite(corpus->story, 1, length, text) == length && fputs(STORY_END, text) >= 0;
}

/* ---- the text ---- */

static BenchDirectory directory;

static const char *path_of(const char *name)
{
    static char path[sizeof directory.path + 20];
    snprintf(path, sizeof path, "%s/%s", directory.path, name);
    return path;
}

/* Appends documents until the text has found least this many bytes. Returns its bytes. */
static double grow_text(Corpus *corpus, size_t megabytes)
{
    FILE *text = fopen(path_of(BPE_TEXT), "ab");
    bool written = text && fseek(text, 0, SEEK_END) == 0;
    while (written && ftell(text) < (long)(megabytes * MEGABYTE)) {
        bench_leave_when_interrupted();
        written = write_next(corpus, text);
    }
    const double bytes = written ? (double)ftell(text) : 0;
    if (text && fclose(text) != 0)
        written = false;
    if (!written)
        bench_require(status_fail(CS336_EIO, "%s: %s", path_of(BPE_TEXT), strerror(errno)));
    return bytes;
}

static void restart_text(Corpus *corpus)
{
    corpus->next = 0;
    remove(path_of(BPE_TEXT));
}

/* ---- rows ---- */

static BenchProcess gigabpe = {.name = "gigabpe",
                               .line = "exec \"${CS336_PYTHON:-python3}\" tests/bench/peers/bpe_peer.py gigabpe"};

static BenchResult measured(BenchRow row)
{
    row.rounds = 1;
    const BenchResult result = bench_row(&row);
    bench_process_end(&bench_ours_in_a_child);
    bench_process_end(&gigabpe);
    bench_leave_when_interrupted();
    return result;
}

static BenchQuestion train_question(BenchProcess *process, size_t merges)
{
    return bench_question(process, "train %zu %s", BYTES_AND_SEPARATOR + merges, path_of(BPE_TEXT));
}

static BenchResult train_time_row(const char *name, size_t merges)
{
    BenchQuestion ours = train_question(&bench_ours_in_a_child, merges), theirs = train_question(&gigabpe, merges);
    return measured((BenchRow){.name = name,
                               .unit = "s",
                               .scale = 1,
                               .ours = {.run = bench_ask, .context = &ours},
                               .peers = {{gigabpe.name, bench_ask, &theirs}}});
}

static BenchResult train_memory_row(const char *name, size_t merges)
{
    BenchQuestion ours = train_question(&bench_ours_in_a_child, merges), theirs = train_question(&gigabpe, merges);
    return measured((BenchRow){.name = name,
                               BENCH_MEGABYTES,
                               .ours = {.run = bench_ask_peak, .context = &ours},
                               .peers = {{gigabpe.name, bench_ask_peak, &theirs}}});
}

static BenchResult encode_speed_row(const char *name, double bytes)
{
    BenchQuestion ours = bench_question(&bench_ours_in_a_child, "encode %s", directory.path);
    return measured((BenchRow){.name = name,
                               .unit = "MB/s",
                               .scale = bytes / MEGABYTE,
                               .rate = true,
                               .ours = {.run = bench_ask, .context = &ours}});
}

static BenchResult encode_memory_row(const char *name)
{
    BenchQuestion ours = bench_question(&bench_ours_in_a_child, "encode %s", directory.path);
    return measured((BenchRow){.name = name, BENCH_MEGABYTES, .ours = {.run = bench_ask_peak, .context = &ours}});
}

enum { SIZES = 6, MERGE_COUNTS = 5, NAME_BYTES = 80 };
static const size_t sizes[SIZES] = {1, 3, 10, 30, 100, 300};
static const size_t merge_counts[MERGE_COUNTS] = {4000, 8000, 16000, 32000, 64000};

static const char *row_name(const char *what, size_t x, const char *unit)
{
    static char names[2][NAME_BYTES];
    static int turn;
    char *name = names[turn ^= 1];
    snprintf(name, NAME_BYTES, "bpe growth %s, %zu%s", what, x, unit);
    return name;
}

static const char *const train_time = "train time", *const train_memory = "train memory",
                         *const encode_speed = "encode speed", *const encode_memory = "encode memory",
                         *const merges_time = "train time, merges";

static bool wants(const char *what, size_t x, const char *unit)
{
    return bench_selected(row_name(what, x, unit));
}

/* Learns the vocabulary for encoding from the first 10 MB. */
static void write_model(Corpus *corpus)
{
    char vocab[sizeof directory.path + 20], merges[sizeof directory.path + 20];
    strcpy(vocab, path_of(BPE_VOCAB));
    strcpy(merges, path_of(BPE_MERGES));
    grow_text(corpus, MODEL_TEXT);
    const ByteString separator = {.bytes = (const uint8_t *)STORY_SEPARATOR, .length = strlen(STORY_SEPARATOR)};
    const BPETrainConfig config = {
        .vocab_size = BYTES_AND_SEPARATOR + MERGES, .special_tokens = &separator, .special_count = 1};
    const char *paths[] = {path_of(BPE_TEXT)};
    BPEModel model;
    bench_require(bpe_train_files(&model, NULL, paths, 1, &config));
    bench_require(bpe_model_write(&model, vocab, merges));
    bpe_model_deinit(&model);
    restart_text(corpus);
}

static void add(ChartCurve *curve, size_t x, BenchResult result)
{
    chart_add(curve, (double)x, result.ours, result.peer);
}

static void measure_size(ChartCurve curves[4], Corpus *corpus, size_t size)
{
    const double bytes = grow_text(corpus, size);
    add(&curves[0], size, train_time_row(row_name(train_time, size, " MB"), MERGES));
    add(&curves[1], size, train_memory_row(row_name(train_memory, size, " MB"), MERGES));
    add(&curves[2], size, encode_speed_row(row_name(encode_speed, size, " MB"), bytes));
    add(&curves[3], size, encode_memory_row(row_name(encode_memory, size, " MB")));
}

static bool wants_size(size_t size)
{
    return wants(train_time, size, " MB") || wants(train_memory, size, " MB") || wants(encode_speed, size, " MB") ||
           wants(encode_memory, size, " MB");
}

void bench_bpe_growth(void)
{
    size_t wanted = 0;
    for (size_t i = 0; i < SIZES; i++)
        wanted += wants_size(sizes[i]);
    for (size_t i = 0; i < MERGE_COUNTS; i++)
        wanted += wants(merges_time, merge_counts[i], "");
    if (wanted == 0)
        return;
    ChartCurve curves[] = {
        {.x = "text, MB", .y = "s, training 10 000 merges", .peer = "gigabpe", .log_y = true},
        {.x = "text, MB", .y = "MB, peak of training", .peer = "gigabpe"},
        {.x = "text, MB", .y = "MB/s, encoding, one thread"},
        {.x = "text, MB", .y = "MB, peak of encoding"},
        {.x = "merges", .y = "s, training on 30 MB", .peer = "gigabpe"},
    };
    Corpus corpus;
    directory = bench_make_directory();
    bench_require(open_corpus(&corpus));
    write_model(&corpus);
    for (size_t i = 0; i < SIZES; i++)
        if (wants_size(sizes[i]))
            measure_size(curves, &corpus, sizes[i]);
    restart_text(&corpus);
    for (size_t i = 0; i < MERGE_COUNTS; i++) {
        if (!wants(merges_time, merge_counts[i], ""))
            continue;
        grow_text(&corpus, MERGES_TEXT);
        add(&curves[4], merge_counts[i], train_time_row(row_name(merges_time, merge_counts[i], ""), merge_counts[i]));
    }
    close_corpus(&corpus);
    bench_remove_directory(&directory);
    bench_require(chart_curves(report_path("growth_bpe.svg"), "Byte-pair encoding",
                               (const ChartCurve *[]){&curves[0], &curves[1], &curves[2], &curves[3], &curves[4]}, 5));
}
