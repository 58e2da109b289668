/**
 * @file
 * @brief What the benchmarks share: rows that time us beside a peer and beside the machine's limit.
 *
 * - Machines are shared and noisy, so ours, the peers and the limit take turns, and the best run of each counts.
 * - A run is a function that returns its own seconds (or bytes). A row says how these become its unit.
 * - A group is one function, bench_NAME() in bench_NAME.c, that calls bench_row() for each of its rows. Rows whose name
 *   K does not select return at once; what is expensive to prepare asks bench_selected() first.
 * - A peer that is missing or breaks never yields a number: its cell says why.
 */
#ifndef CS336_TESTS_BENCH_H
#define CS336_TESTS_BENCH_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

/** @brief Every group, in the table's order. */
#define BENCH_GROUPS(X) \
    X(matmul)           \
    X(sdpa)             \
    X(step)             \
    X(generate)         \
    X(memory)           \
    X(growth)           \
    X(bpe_train)        \
    X(bpe_encode)       \
    X(bpe_growth)       \
    X(ladder_matmul)    \
    X(ladder_attention) \
    X(ladder_step)

#define BENCH_DECLARE(name) void bench_##name(void);
BENCH_GROUPS(BENCH_DECLARE)
#undef BENCH_DECLARE

/** @brief One run: its seconds (or bytes), measured by itself; or what bench_failed() returns. */
typedef double BenchRun(void *context);

/** @brief What a peer's cell says when it is not here. */
#define BENCH_NOT_INSTALLED "not installed"

/** @brief Notes why a run has no result, and returns the NAN that stands for it. */
double bench_failed(const char *format, ...) CS336_PRINTF_LIKE(1, 2);

/** @brief What the latest bench_failed() noted. */
const char *bench_failure(void);

typedef struct {
    const char *name; /**< of the peer; ours needs none */
    BenchRun *run;    /**< NULL: there is none */
    void *context;
} BenchSide;

/** @brief With what the machine bounds a row; measured in turn with it, by as many threads, with the same instructions.
 */
typedef enum { BENCH_NO_LIMIT, BENCH_FMA, BENCH_BF16, BENCH_BANDWIDTH } BenchLimit;

enum { BENCH_PEERS = 3 };

typedef struct {
    const char *name; /**< unique and lasting: people select and compare by it */
    const char *unit; /**< of the row's figures */
    double scale;     /**< figure = scale * run, or scale / run for a rate */
    bool rate;        /**< more is better; else less is better (times, bytes) */
    BenchSide ours;
    BenchSide peers[BENCH_PEERS]; /**< the best of them is the row's peer */
    BenchLimit limit;
    double amount; /**< operations (a multiply-add is two) for BENCH_FMA and BENCH_BF16, bytes for BENCH_BANDWIDTH; of
                      one run */
    double passes; /**< for BENCH_BANDWIDTH: how often one run reads the same memory; 0: once */
    int rounds;    /**< turns of each at least; 0: three */
} BenchRow;

/** @brief A row's figures; NAN where there is none. */
typedef struct {
    double ours, peer, limit;
} BenchResult;

/** @brief Measures, prints and records one row; nothing but NANs when K does not select it. */
BenchResult bench_row(const BenchRow *row);

/** @brief The rest of a row whose runs return seconds, or bytes, and that shows milliseconds, or megabytes. */
#define BENCH_MILLISECONDS .unit = "ms", .scale = 1e3
#define BENCH_MEGABYTES .unit = "MB", .scale = 1e-6

/** @brief Whether K selects the row of this name. */
bool bench_selected(const char *name);

/** @brief Seconds of a steady clock. */
double bench_now(void);

/** @brief Random numbers in [-0.5, 0.5), to be given to memory_release(); exits when memory is exhausted. */
float *bench_numbers(size_t n);

/** @brief Ends the program with one line when @p status is a failure: for what prepares a run. */
void bench_require(Status status);

/** @brief Fused multiply-adds that all threads do in registers, once: billions of operations (two each) a second. */
double bench_fma_peak(void);

/** @brief The same of bfloat16 pairs added to float32 sums; where the CPU has no such instructions, bench_fma_peak().
 */
double bench_bf16_peak(void);

/** @brief Gigabytes a second at which all threads add up so much memory, which they did before: of as much as a row
 * reads, the caches hold the same share. */
double bench_read_bandwidth(size_t bytes);

#endif
