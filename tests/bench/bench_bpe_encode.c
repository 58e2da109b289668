/*
 * Encodes and decodes the files that CS336_CORPORA names, beside other tokenizers. GPT-2's vocabulary is in the
 * directory COURSE. Two rows encode runs of letters, with vocabularies of their own. All rows but one use one thread:
 * `taskset -c 0 make bench K='bpe encode'` pins it to a core.
 */
#include "core/file.h"
#include "core/memory.h"
#include "tests/bench/bench.h"
#include "tests/bench/work.h"
#include "tokenizer/encode/encode_file.h"
#include "tokenizer/learn/bpe_train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 200, NAME_BYTES = 100 };

#define PEER(name) "exec \"${CS336_PYTHON:-python3}\" tests/bench/peers/bpe_encode_peer.py " name " \"$COURSE\""
static BenchProcess gigatoken = {.name = "gigatoken", .line = PEER("gigatoken")};
static BenchProcess tokie = {.name = "tokie", .line = PEER("tokie")};
static BenchProcess tiktoken = {.name = "tiktoken", .line = PEER("tiktoken")};

typedef struct {
    Tokenizer *tokenizer;
    LoadedFile file;
    Encoder *encoder; /* its cache has seen the text */
    TokenList ids;
    ByteList text;
} EncodeWork;

static Status load(Tokenizer **tokenizer)
{
    const char *directory = getenv("COURSE");
    const ByteString separator = byte_string("<|endoftext|>");
    char vocab[PATH_BYTES], merges[PATH_BYTES];
    snprintf(vocab, sizeof vocab, "%s/gpt2_vocab.json", directory);
    snprintf(merges, sizeof merges, "%s/gpt2_merges.txt", directory);
    return tokenizer_load(tokenizer, vocab, merges, &separator, 1);
}

static double result_of(Status s, double start)
{
    return s ? bench_failed("%s", status_message()) : bench_now() - start;
}

/* Asks a fresh process for its first pass over a text. Its memory is fresh, too, so page faults are included. */
double encode_first_pass(const char *path)
{
    Tokenizer *tokenizer;
    FileReader file;
    TokenList ids = {0};
    bench_require(load(&tokenizer));
    bench_require(file_open(&file, path));
    uint8_t *text = memory_allocate(file.size);
    if (!text)
        return bench_failed("no memory for %s", path);
    bench_require(file_read_at(&file, text, file.size, 0));
    const double start = bench_now();
    return result_of(tokenizer_encode(tokenizer, &ids, (ByteString){.bytes = text, .length = file.size}), start);
}

static double ask_fresh(void *context)
{
    const BenchQuestion *question = context;
    bench_process_end(question->process);
    return bench_ask(context);
}

static double encode_warm(void *context)
{
    EncodeWork *work = context;
    const double start = bench_now();
    work->ids.count = 0;
    Status s = encoder_feed(work->encoder, work->file.data, work->file.size);
    if (!s)
        s = encoder_finish(work->encoder);
    return result_of(s, start);
}

static Status count_ids(void *context, const int32_t *ids, size_t count)
{
    (void)ids;
    *(size_t *)context += count;
    return CS336_OK;
}

static double encode_by(const EncodeWork *work, int threads)
{
    const EncodeConfig config = {.threads = threads};
    size_t count = 0;
    const double start = bench_now();
    return result_of(encode_text(work->tokenizer, (ByteString){.bytes = work->file.data, .length = work->file.size},
                                 count_ids, &count, &config),
                     start);
}

static double encode_threads(void *context)
{
    return encode_by(context, 0);
}

static double encode_one_thread(void *context)
{
    return encode_by(context, 1);
}

static double decode(void *context)
{
    EncodeWork *work = context;
    work->text.length = 0;
    const double start = bench_now();
    return result_of(tokenizer_decode(work->tokenizer, &work->text, work->ids.ids, work->ids.count), start);
}

static double decode_replace(void *context)
{
    EncodeWork *work = context;
    work->text.length = 0;
    const double start = bench_now();
    return result_of(tokenizer_decode_replace(work->tokenizer, &work->text, work->ids.ids, work->ids.count), start);
}

/* Measures a row in megabytes of text a second, beside the peers. */
static BenchRow rate_row(char name[NAME_BYTES], const EncodeWork *work, const char *path, const char *what,
                         BenchSide ours)
{
    const char *slash = strrchr(path, '/');
    snprintf(name, NAME_BYTES, "bpe %s %.40s", what, slash ? slash + 1 : path);
    return (BenchRow){.name = name, .unit = "MB/s", .scale = (double)work->file.size / 1e6, .rate = true, .ours = ours};
}

static void scaling_row(EncodeWork *work, const char *path)
{
    char name[NAME_BYTES];
    BenchRow rate = rate_row(name, work, path, "encode against one thread", (BenchSide){NULL, encode_threads, work});
    rate.peers[0] = (BenchSide){"one thread", encode_one_thread, work};
    bench_row(&rate);
}

static void row(const EncodeWork *work, const char *path, const char *what, BenchSide ours, const char *request,
                BenchProcess *const *peers)
{
    char name[NAME_BYTES];
    BenchQuestion questions[BENCH_PEERS];
    BenchRow rate = rate_row(name, work, path, what, ours);
    for (int i = 0; i < BENCH_PEERS && peers[i]; i++) {
        questions[i] = bench_question(peers[i], "%s %s", request, path);
        rate.peers[i] = (BenchSide){peers[i]->name, ours.run == ask_fresh ? ask_fresh : bench_ask, &questions[i]};
    }
    bench_row(&rate);
    for (int i = 0; i < BENCH_PEERS && peers[i]; i++)
        bench_process_end(peers[i]);
}

static void rows(EncodeWork *work, const char *path)
{
    BenchProcess *const all[BENCH_PEERS + 1] = {&gigatoken, &tokie, &tiktoken},
                                          *const warm[BENCH_PEERS + 1] = {&gigatoken},
                                          *const decoders[BENCH_PEERS + 1] = {&tiktoken};
    BenchQuestion first = bench_question(&bench_ours_in_a_child, "first %s", path);
    bench_require(file_load(&work->file, path));
    bench_require(encoder_create(&work->encoder, work->tokenizer, token_list_sink, &work->ids));
    row(work, path, "encode first pass", (BenchSide){.run = ask_fresh, .context = &first}, "cold", all);
    bench_process_end(&bench_ours_in_a_child);
    if (isnan(encode_warm(work)))
        bench_require(status_fail(CS336_ENOMEM, "%s", bench_failure()));
    row(work, path, "encode again", (BenchSide){.run = encode_warm, .context = work}, "warm", warm);
    row(work, path, "encode threads", (BenchSide){.run = encode_threads, .context = work}, "file", warm);
    scaling_row(work, path);
    row(work, path, "decode exact", (BenchSide){.run = decode, .context = work}, "decode", decoders);
    row(work, path, "decode replace", (BenchSide){.run = decode_replace, .context = work}, "decode", decoders);
    encoder_destroy(work->encoder);
    file_unload(&work->file);
}

/* ---- one pre-token without end ---- */

enum { RUN_BYTES = 10000000, RUN_LEARNED = 320000, RUN_VOCABULARY = 300 };

static double encode_run(void *context)
{
    const EncodeWork *work = context;
    size_t count = 0;
    Encoder *encoder;
    const double start = bench_now();
    Status s = encoder_create(&encoder, work->tokenizer, count_ids, &count);
    if (!s)
        s = encoder_feed(encoder, work->text.bytes, work->text.length);
    if (!s)
        s = encoder_finish(encoder);
    encoder_destroy(encoder);
    return result_of(s, start);
}

/* Learns a vocabulary from a run of one or two letters, until 320 000 bytes are one token, and encodes 10 MB of it. */
static void run_row(const char *name, const char *letters)
{
    EncodeWork work = {0};
    BPEModel model;
    const BPETrainConfig config = {.vocab_size = RUN_VOCABULARY, .threads = 1};
    if (!bench_selected(name))
        return;
    while (work.text.length < RUN_BYTES)
        bench_require(byte_list_append_text(&work.text, letters));
    const ByteString learned = {.bytes = work.text.bytes, .length = RUN_LEARNED};
    bench_require(bpe_train(&model, NULL, &learned, 1, &config));
    bench_require(tokenizer_create(&work.tokenizer, &model, NULL, 0));
    const BenchRow rate = {.name = name,
                           .unit = "MB/s",
                           .scale = RUN_BYTES / 1e6,
                           .rate = true,
                           .ours = {.run = encode_run, .context = &work}};
    bench_row(&rate);
    bpe_model_deinit(&model);
    byte_list_deinit(&work.text);
    tokenizer_destroy(work.tokenizer);
}

void bench_bpe_encode(void)
{
    run_row("bpe encode a run of a", "a");
    run_row("bpe encode a run of ab", "ab");
    const char *paths = getenv("CS336_CORPORA"), *pattern = getenv("K");
    const bool asked =
        pattern && !strstr(pattern, "a run") && (strstr(pattern, "bpe encode") || strstr(pattern, "bpe decode"));
    if (!bench_selected("bpe encode") && !bench_selected("bpe decode") && !asked)
        return;
    if (!paths || !*paths || !getenv("COURSE")) {
        if (asked)
            fprintf(stderr, "bench: bpe encode: CS336_CORPORA names texts with : between them, COURSE the directory of "
                            "gpt2_vocab.json\n");
        return;
    }
    EncodeWork work = {0};
    bench_require(load(&work.tokenizer));
    while (*paths) {
        char path[PATH_BYTES];
        const size_t length = strcspn(paths, ":");
        if (length > 0 && length < sizeof path) {
            snprintf(path, sizeof path, "%.*s", (int)length, paths);
            rows(&work, path);
        }
        paths += length + (paths[length] == ':');
    }
    token_list_deinit(&work.ids);
    byte_list_deinit(&work.text);
    tokenizer_destroy(work.tokenizer);
}
