/*
 * Encodes through the Python package beside the same work in C, and beside other Python libraries. The text is the
 * first file that CS336_CORPORA names, or stories; the vocabulary is GPT-2's from the directory COURSE, or learned from
 * the text. The package is that of the checkout: `CS336_PYTHON` needs numpy only.
 */
#define _POSIX_C_SOURCE 200809L
#include "core/file.h"
#include "core/parallel.h"
#include "data/token_writer.h"
#include "story/story.h"
#include "tests/bench/bench.h"
#include "tests/bench/process.h"
#include "tokenizer/encode/encode_file.h"
#include "tokenizer/files/bpe_files.h"
#include "tokenizer/learn/bpe_train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 240, STORIES = 40000 /* 20 MB */, LEARNED = 10000 };

#define PEER(name) "exec \"${CS336_PYTHON:-python3}\" tests/bench/peers/bpe_encode_peer.py " name " \"$COURSE\""
static BenchProcess python = {.name = "Python",
                              .line = "PYTHONPATH=cs336_basics/python exec \"${CS336_PYTHON:-python3}\" "
                                      "tests/bench/peers/python_peer.py \"$COURSE\"",
                              .variable = "COURSE"},
                    gigatoken = {.name = "gigatoken", .line = PEER("gigatoken"), .variable = "COURSE"},
                    tiktoken = {.name = "tiktoken", .line = PEER("tiktoken"), .variable = "COURSE"},
                    tokenizers = {.name = "tokenizers", .line = PEER("tokenizers"), .variable = "COURSE"};

typedef struct {
    BenchDirectory directory;
    char text[PATH_BYTES], vocab[PATH_BYTES], merges[PATH_BYTES], output[PATH_BYTES];
    LoadedFile file; /* the text */
    Tokenizer *tokenizer;
} PythonWork;

/* ---- the same in C ---- */

static double result_of(Status s, double start)
{
    return s ? bench_failed("%s", status_message()) : bench_now() - start;
}

/* Encodes the text to a list, as Tokenizer.encode() does. */
static double encode(void *context)
{
    const PythonWork *work = context;
    const EncodeConfig config = {.threads = parallel_threads()};
    TokenList ids = {0};
    const double start = bench_now();
    const double seconds =
        result_of(encode_text(work->tokenizer, (ByteString){.bytes = work->file.data, .length = work->file.size},
                              token_list_sink, &ids, &config),
                  start);
    token_list_deinit(&ids);
    return seconds;
}

/* Encodes the file to a file of ids, as Tokenizer.encode_file() and `cs336 encode` do. */
static double encode_to_file(void *context)
{
    const PythonWork *work = context;
    const EncodeConfig config = {.threads = parallel_threads()};
    TokenWriter writer;
    const double start = bench_now();
    Status s = token_writer_create(&writer, work->output, tokenizer_vocab_size(work->tokenizer));
    if (!s)
        s = encode_file(work->tokenizer, work->text, token_writer_sink, &writer, &config);
    if (!s)
        s = token_writer_commit(&writer);
    token_writer_abandon(&writer);
    return result_of(s, start);
}

/* ---- text and vocabulary ---- */

static Status write_stories(const char *path)
{
    StoryProgram program = {0};
    FileWriter writer = {0};
    Status s = story_compile(&program, &story_grammar);
    if (!s)
        s = file_create(&writer, path);
    if (!s)
        s = story_corpus_write(&writer, &program, 1, 0, STORIES);
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    story_program_deinit(&program);
    return s;
}

static Status learn(const PythonWork *work, ByteString separator)
{
    const BPETrainConfig config = {.vocab_size = LEARNED, .special_tokens = &separator, .special_count = 1};
    const char *paths[] = {work->text};
    BPEModel model;
    Status s = bpe_train_files(&model, NULL, paths, 1, &config);
    if (!s)
        s = bpe_model_write(&model, work->vocab, work->merges);
    bpe_model_deinit(&model);
    return s;
}

static void prepare(PythonWork *work)
{
    const char *corpora = getenv("CS336_CORPORA"), *course = getenv("COURSE");
    const ByteString separator = byte_string(STORY_SEPARATOR);
    work->directory = bench_make_directory();
    const char *files = course && *course ? course : work->directory.path;
    snprintf(work->vocab, PATH_BYTES, "%s/gpt2_vocab.json", files);
    snprintf(work->merges, PATH_BYTES, "%s/gpt2_merges.txt", files);
    snprintf(work->output, PATH_BYTES, "%s/ids.bin", work->directory.path);
    if (corpora && *corpora) {
        snprintf(work->text, PATH_BYTES, "%.*s", (int)strcspn(corpora, ":"), corpora);
    } else {
        snprintf(work->text, PATH_BYTES, "%s/text.txt", work->directory.path);
        bench_require(write_stories(work->text));
    }
    if (files == work->directory.path)
        bench_require(learn(work, separator));
    bench_require(tokenizer_load(&work->tokenizer, work->vocab, work->merges, &separator, 1));
    bench_require(file_load(&work->file, work->text));
    /* The peers find the vocabulary's files in the directory COURSE. */
    BenchProcess *const all[] = {&python, &gigatoken, &tiktoken, &tokenizers};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        all[i]->value = files == course ? course : work->directory.path;
}

/* ---- rows ---- */

static BenchRow rate(const PythonWork *work, const char *name, BenchQuestion *ours)
{
    return (BenchRow){.name = name,
                      .unit = "MB/s",
                      .scale = (double)work->file.size / 1e6,
                      .rate = true,
                      .ours = {.run = bench_ask, .context = ours}};
}

/* Compares with C, by as many threads as parallel_threads() says: each question tells Python so. */
static void beside_c(PythonWork *work, const char *name, const char *request, BenchRun *same_in_c)
{
    BenchQuestion ours = bench_question(&python, "%s", request);
    BenchRow row = rate(work, name, &ours);
    row.peers[0] = (BenchSide){"C", same_in_c, work};
    bench_row(&row);
}

static void beside_libraries(const PythonWork *work, const char *name, const char *our_request,
                             const char *their_request, BenchProcess *const *libraries)
{
    BenchQuestion ours = bench_question(&python, "%s %s", our_request, work->text), theirs[BENCH_PEERS];
    BenchRow row = rate(work, name, &ours);
    for (int i = 0; i < BENCH_PEERS && libraries[i]; i++) {
        theirs[i] = bench_question(libraries[i], "%s %s", their_request, work->text);
        row.peers[i] = (BenchSide){libraries[i]->name, bench_ask, &theirs[i]};
    }
    bench_row(&row);
    for (int i = 0; i < BENCH_PEERS && libraries[i]; i++)
        bench_process_end(libraries[i]);
}

static const char *const rows[] = {"python encode, one thread",         "python encode, all threads",
                                   "python encode file, all threads",   "python encode str beside libraries",
                                   "python encode documents, one each", NULL};

void bench_python(void)
{
    BenchProcess *const encoders[BENCH_PEERS + 1] = {&gigatoken, &tiktoken, &tokenizers},
                                               *const for_documents[BENCH_PEERS + 1] = {&tiktoken, &tokenizers};
    char encode_request[PATH_BYTES + 10], file_request[2 * PATH_BYTES + 10];
    bool wanted = false;
    for (int i = 0; rows[i]; i++)
        wanted = wanted || bench_selected(rows[i]);
    if (!wanted)
        return;
    PythonWork work = {0};
    prepare(&work);
    snprintf(encode_request, sizeof encode_request, "bytes %s", work.text);
    snprintf(file_request, sizeof file_request, "file %s", work.text);
    const int before = parallel_threads();
    parallel_set_threads(1);
    beside_c(&work, rows[0], encode_request, encode);
    beside_libraries(&work, rows[3], "str", "cold", encoders);
    beside_libraries(&work, rows[4], "documents", "documents", for_documents);
    parallel_set_threads(before);
    beside_c(&work, rows[1], encode_request, encode);
    beside_c(&work, rows[2], file_request, encode_to_file);
    bench_process_end(&python);
    tokenizer_destroy(work.tokenizer);
    file_unload(&work.file);
    bench_remove_directory(&work.directory);
}
