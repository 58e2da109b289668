/* Learns a vocabulary from each file that CS336_CORPORA names, beside other trainers: time and peak memory. */
#include "core/file.h"
#include "core/parallel.h"
#include "tests/bench/bench.h"
#include "tests/bench/work.h"
#include "tokenizer/learn/word_count.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL_BYTES = 20000000, SMALL_VOCABULARY = 10000, VOCABULARY = 32000, PATH_BYTES = 200, NAME_BYTES = 80 };

#define PEER(name) "exec \"${CS336_PYTHON:-python3}\" tests/bench/peers/bpe_peer.py " name
static BenchProcess gigabpe = {.name = "gigabpe", .line = PEER("gigabpe")};
static BenchProcess rustbpe = {.name = "rustbpe", .line = PEER("rustbpe")};
static BenchProcess tokenizers = {.name = "tokenizers", .line = PEER("tokenizers")};

/* ---- the first half of it alone, to see what threads gain ---- */

typedef struct {
    WordSource source;
    WordCountConfig config;
} Counting;

static double count(void *context)
{
    const Counting *counting = context;
    WordTable words;
    const double start = bench_now();
    if (count_words(&words, &counting->source, 1, &counting->config))
        return bench_failed("%s", status_message());
    const double seconds = bench_now() - start;
    word_table_deinit(&words);
    return seconds;
}

static void counting_row(const char *name, const char *path, size_t bytes)
{
    const ByteString separator = byte_string("<|endoftext|>");
    SpecialTokens special;
    bench_require(special_tokens_init(&special, &separator, NULL, 1));
    Counting all = {{.path = path, .content = {.length = bytes}}, {.special = &special, .threads = parallel_threads()}},
             one = all;
    one.config.threads = 1;
    bench_row(&(BenchRow){.name = name,
                          .unit = "MB/s",
                          .scale = (double)bytes / 1e6,
                          .rate = true,
                          .ours = {.run = count, .context = &all},
                          .peers = {{"one thread", count, &one}}});
    special_tokens_deinit(&special);
}

/* ---- beside others ---- */

static void rows(const char *path)
{
    FileReader file;
    bench_require(file_open(&file, path));
    const int vocabulary = file.size < SMALL_BYTES ? SMALL_VOCABULARY : VOCABULARY;
    const double megabytes = (double)file.size / 1e6;
    const char *slash = strrchr(path, '/'), *file_name = slash ? slash + 1 : path;
    char what[NAME_BYTES], name[NAME_BYTES + 20];
    snprintf(what, sizeof what, "%.40s %d", file_name, vocabulary);
    snprintf(name, sizeof name, "bpe train counting %.40s", file_name);
    counting_row(name, path, file.size);
    file_close(&file);

    BenchQuestion ours = bench_question(&bench_ours_in_a_child, "train %d %s", vocabulary, path);
    BenchProcess *peers[BENCH_PEERS] = {&gigabpe, &rustbpe, &tokenizers};
    BenchQuestion theirs[BENCH_PEERS];
    BenchRow time = {.unit = "MB/s", .scale = megabytes, .rate = true, .ours = {.run = bench_ask, .context = &ours}};
    BenchRow memory = {BENCH_MEGABYTES, .ours = {.run = bench_ask_peak, .context = &ours}, .rounds = 1};
    for (int i = 0; i < BENCH_PEERS; i++) {
        theirs[i] = bench_question(peers[i], "train %d %s", vocabulary, path);
        time.peers[i] = (BenchSide){peers[i]->name, bench_ask, &theirs[i]};
    }
    memory.peers[0] = (BenchSide){peers[0]->name, bench_ask_peak, &theirs[0]};
    snprintf(name, sizeof name, "bpe train %s", what);
    time.name = name;
    bench_row(&time);
    for (int i = 0; i < BENCH_PEERS; i++)
        bench_process_end(peers[i]);
    snprintf(name, sizeof name, "bpe train memory %s", what);
    memory.name = name;
    bench_row(&memory);
}

void bench_bpe_train(void)
{
    const char *paths = getenv("CS336_CORPORA");
    if ((!paths || !*paths) && getenv("K") && strstr(getenv("K"), "bpe train"))
        fprintf(stderr, "bench: bpe train: no corpus; CS336_CORPORA names files with : between them\n");
    while (paths && *paths) {
        char path[PATH_BYTES];
        const size_t length = strcspn(paths, ":");
        if (length > 0 && length < sizeof path) {
            snprintf(path, sizeof path, "%.*s", (int)length, paths);
            rows(path);
        }
        paths += length + (paths[length] == ':');
    }
}
