#define _XOPEN_SOURCE 700
#include "tests/bench/llmc.h"

#include "core/directory.h"
#include "core/file.h"
#include "core/memory.h"
#include "tests/bench/process.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    BATCH = 8,
    CONTEXT = 256,
    VOCAB = 10000,
    PADDED_VOCAB = 10112,
    WIDTH = 512,
    LAYERS = 4,
    HEADS = 16,
    HEADER = 256,
    MODEL_MAGIC = 20240326,
    MODEL_VERSION = 3,
    TOKENS_MAGIC = 20240520,
    TOKENS_VERSION = 1,
    TOKENS = 40 * BATCH * CONTEXT + 1
};

/* Counts the parameters: embeddings, positions, final norm; per layer two norms, q k v, projection, and the two maps
 * of the feed-forward network. */
static const size_t weights =
    (size_t)(PADDED_VOCAB + CONTEXT + 2) * WIDTH + (size_t)LAYERS * (4 * WIDTH + (12 * (size_t)WIDTH + 9) * WIDTH);

static Status write_file(const char *path, const int32_t *header, const void *body, size_t bytes)
{
    FileWriter writer;
    Status s = file_create(&writer, path);
    if (!s)
        s = file_write(&writer, header, HEADER * sizeof *header);
    if (!s)
        s = file_write(&writer, body, bytes);
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    return s;
}

static Status write_model(const BenchDirectory *directory)
{
    const int32_t header[HEADER] = {MODEL_MAGIC, MODEL_VERSION, CONTEXT, VOCAB, LAYERS, HEADS, WIDTH, PADDED_VOCAB};
    char path[300];
    snprintf(path, sizeof path, "%s/gpt2_124M.bin", directory->path);
    float *numbers = bench_numbers(weights);
    for (size_t i = 0; i < weights; i++)
        numbers[i] *= 0.05f;
    const Status s = write_file(path, header, numbers, weights * sizeof *numbers);
    memory_release(numbers);
    return s;
}

static Status write_tokens(const BenchDirectory *directory)
{
    static const char *const names[] = {"train", "val"};
    const int32_t header[HEADER] = {TOKENS_MAGIC, TOKENS_VERSION, TOKENS};
    static uint16_t tokens[TOKENS];
    char path[300];
    snprintf(path, sizeof path, "%s/dev/data/tinyshakespeare", directory->path);
    Status s = directory_make(path);
    for (size_t i = 0; i < TOKENS; i++)
        tokens[i] = (uint16_t)(i * 7919 % VOCAB);
    for (int i = 0; !s && i < 2; i++) {
        snprintf(path, sizeof path, "%s/dev/data/tinyshakespeare/tiny_shakespeare_%s.bin", directory->path, names[i]);
        s = write_file(path, header, tokens, sizeof tokens);
    }
    return s;
}

static double run(const char *program, const BenchDirectory *directory)
{
    char line[1000];
    double batches, milliseconds[2];
    snprintf(line, sizeof line, "exec '%s'", program);
    if (bench_command(&batches, 1, "train dataset num_batches:", directory->path, line) != 1)
        return bench_failed("%s does not print its number of batches", program);
    if ((int)batches != TOKENS / (BATCH * CONTEXT))
        return bench_failed("%s is not built for B = 8, T = 256", program);
    if (bench_command(milliseconds, 2, "(took", directory->path, line) != 2)
        return bench_failed("%s ended before its second step", program);
    return milliseconds[1] / 1e3;
}

double llmc_step(void *unused)
{
    (void)unused;
    const char *wanted = getenv("CS336_LLMC");
    char *program = wanted && *wanted ? realpath(wanted, NULL) : NULL;
    if (!program || access(program, X_OK) != 0) {
        free(program);
        return bench_failed(BENCH_NOT_INSTALLED);
    }
    BenchDirectory directory = bench_make_directory();
    Status s = write_model(&directory);
    if (!s)
        s = write_tokens(&directory);
    const double seconds = s ? bench_failed("%s", status_message()) : run(program, &directory);
    bench_remove_directory(&directory);
    free(program);
    return seconds;
}
