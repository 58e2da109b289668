/**
 * @file
 * @brief The frame of all benchmarks: rows that time our code beside a peer and beside the machine's limit.
 *
 * - Machines are shared and noisy. So ours, the peers and the limit run in turn, and the best run of each counts.
 * - A run is a function that returns its own seconds (or bytes). A row says how these become its unit.
 * - A group is one function, bench_NAME() in bench_NAME.c, that calls bench_row() for each of its rows. bench_row()
 *   returns at once if K does not select the row. A row whose preparation is expensive asks bench_selected() first.
 * - A peer that is missing or fails gives no number, and the row says why.
 */
#ifndef CS336_TESTS_BENCH_H
#define CS336_TESTS_BENCH_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

/** @brief All groups, in the order of the table. */
#define BENCH_GROUPS(X) \
    X(matmul)           \
    X(sdpa)             \
    X(step)             \
    X(gpt2)             \
    X(generate)         \
    X(memory)           \
    X(whole)            \
    X(growth)           \
    X(bpe_train)        \
    X(bpe_encode)       \
    X(bpe_growth)       \
    X(python)           \
    X(ladder_matmul)    \
    X(ladder_attention) \
    X(ladder_step)

#define BENCH_DECLARE(name) void bench_##name(void);
BENCH_GROUPS(BENCH_DECLARE)
#undef BENCH_DECLARE

/** @brief Runs once. Returns the seconds (or bytes) that it measured itself, or what bench_failed() returned. */
typedef double BenchRun(void *context);

/** @brief The text of a row whose peer is not installed. */
#define BENCH_NOT_INSTALLED "not installed"

/** @brief Records why a run has no result. Returns NAN, which stands for a missing result. */
double bench_failed(const char *format, ...) CS336_PRINTF_LIKE(1, 2);

/** @brief Returns the text of the latest bench_failed(). */
const char *bench_failure(void);

typedef struct {
    const char *name; /**< of the peer; ours needs none */
    BenchRun *run;    /**< NULL: there is none */
    void *context;
} BenchSide;

/** @brief What limits a row on this machine. It is measured in turn with the row, with the same threads and
 * instructions. */
typedef enum { BENCH_NO_LIMIT, BENCH_FMA, BENCH_FLOAT32, BENCH_BF16, BENCH_BF16X3, BENCH_BANDWIDTH } BenchLimit;

enum { BENCH_PEERS = 3 };

typedef struct {
    const char *name; /**< unique, and the same in all versions: people select and compare rows by it */
    const char *unit; /**< of the row's figures */
    double scale;     /**< figure = scale * run, or scale / run for a rate */
    bool rate;        /**< more is better; else less is better (times, bytes) */
    BenchSide ours;
    BenchSide peers[BENCH_PEERS]; /**< the best of them is the row's peer */
    BenchLimit limit;
    double amount; /**< of one run: bytes for BENCH_BANDWIDTH, else operations (a multiply-add is two) */
    double passes; /**< for BENCH_BANDWIDTH: how often one run reads the same memory; 0: once */
    int rounds;    /**< turns of each at least; 0: three */
} BenchRow;

/** @brief A row's figures; NAN where there is none. */
typedef struct {
    double ours, peer, limit;
} BenchResult;

/** @brief Measures, prints and records one row. If K does not select it, all figures are NAN. */
BenchResult bench_row(const BenchRow *row);

/** @brief Prints, in place of a row that K selects, why this machine cannot measure it. */
void bench_skip(const char *name, const char *why);

/** @brief Fields of a row whose runs return seconds and that shows milliseconds, or bytes and megabytes. */
#define BENCH_MILLISECONDS .unit = "ms", .scale = 1e3
#define BENCH_MEGABYTES .unit = "MB", .scale = 1e-6

/** @brief True if K selects the row of this name. */
bool bench_selected(const char *name);

/** @brief Returns the seconds of a monotonic clock. */
double bench_now(void);

/** @brief Returns random numbers in [-0.5, 0.5), for memory_release(). Ends the program when memory is exhausted. */
float *bench_numbers(size_t n);

/** @brief Ends the program with a message if @p status is a failure. For the preparation of runs. */
void bench_require(Status status);

/** @brief Measures the fused multiply-adds of all threads in registers. Returns 10^9 operations a second, two for each.
 */
double bench_fma_peak(void);

/** @brief Measures the same for what a matrix product of a type is made of: with AMX tiles, else pairs or FMA (PeakOf).
 */
double bench_float32_peak(void);
double bench_bf16_peak(void);
double bench_bf16x3_peak(void);

/**
 * @brief Measures the gigabytes a second at which all threads read @p bytes of memory to find a maximum.
 *
 * The threads have read the memory before, and it is as much as the row reads. So the caches hold the same share of it.
 */
double bench_read_bandwidth(size_t bytes);

#endif
