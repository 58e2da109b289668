#define _POSIX_C_SOURCE 200809L
#include "tests/bench/bench.h"

#include "core/memory.h"
#include "core/parallel.h"
#include "kernels/isa.h"
#include "tests/bench/openblas.h"
#include "tests/bench/report.h"
#include "tests/bench/work.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FEWEST_ROUNDS = 3, MOST_ROUNDS = 100, WHY_BYTES = 160 };
static const double ROW_SECONDS = 2, TURN_SECONDS = 0.1;

static char failure[WHY_BYTES];
static size_t rows_shown, rows_without_ours;

/* ---- small helpers ---- */

double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

bool bench_selected(const char *name)
{
    const char *pattern = getenv("K");
    return !pattern || !*pattern || strstr(name, pattern);
}

double bench_failed(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure, sizeof failure, format, arguments);
    va_end(arguments);
    return NAN;
}

const char *bench_failure(void)
{
    return failure;
}

void bench_require(Status status)
{
    if (!status)
        return;
    fprintf(stderr, "bench: %s\n", status_message());
    exit(1);
}

float *bench_numbers(size_t n)
{
    float *x = memory_allocate(n * sizeof *x);
    if (!x)
        bench_require(status_fail(CS336_ENOMEM, "no memory for %zu floats", n));
    memory_ask_for_huge_pages(x);
    unsigned state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) * 0x1p-24f - 0.5f;
    }
    return x;
}

/* ---- taking turns ---- */

typedef struct {
    double best; /* least figure (seconds or bytes) of all runs so far; INFINITY before the first */
    char why[WHY_BYTES];
} Turns;

/*
 * After a product, the threads of OpenMP and OpenBLAS spin for many milliseconds while they wait for more work. They
 * would take the processors from the next side, so this waits until they sleep.
 */
static void let_threads_fall_asleep(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 40 * 1000000}, NULL);
}

static void take_turn(Turns *turns, const BenchSide *side)
{
    if (!side->run || *turns->why)
        return;
    const double start = bench_now();
    do {
        const double figure = side->run(side->context);
        bench_leave_when_interrupted();
        if (!(figure > 0)) {
            snprintf(turns->why, sizeof turns->why, "%s", isnan(figure) ? failure : "took no time");
            break;
        }
        turns->best = fmin(turns->best, figure);
    } while (bench_now() - start < TURN_SECONDS);
    let_threads_fall_asleep();
}

static double limit_run(void *context)
{
    const BenchRow *row = context;
    const double peak = row->limit == BENCH_FMA       ? bench_fma_peak()
                        : row->limit == BENCH_FLOAT32 ? bench_float32_peak()
                        : row->limit == BENCH_BF16    ? bench_bf16_peak()
                        : row->limit == BENCH_BF16X3
                            ? bench_bf16x3_peak()
                            : bench_read_bandwidth((size_t)(row->amount / fmax(row->passes, 1)));
    return row->amount / (1e9 * peak);
}

static double figure_of(const BenchRow *row, const Turns *turns)
{
    if (*turns->why || !isfinite(turns->best))
        return NAN;
    return row->rate ? row->scale / turns->best : row->scale * turns->best;
}

/* Returns how many times better x is than y. */
static double times_better(const BenchRow *row, double x, double y)
{
    return row->rate ? x / y : y / x;
}

/* ---- the table ---- */

static Isa machine_isa;
static int machine_threads;

static void show_header(void)
{
    printf("%s, %d threads. ratio: how many times better ours is (peer / ours for times and bytes, ours / peer for\n"
           "rates). limit: the share that ours reaches of what this machine can do, measured in the same minute.\n\n",
           isa_name(machine_isa), machine_threads);
    printf("%-46s %10s %-9s %10s  %-22s %6s %6s\n", "name", "ours", "unit", "peer", "peer's name", "ratio", "limit");
}

void bench_skip(const char *name, const char *why)
{
    if (!bench_selected(name))
        return;
    if (rows_shown++ == 0)
        show_header();
    printf("%-46s skipped: %s\n", name, why);
}

static const char *cell(char *text, size_t capacity, double x, const char *format)
{
    if (isfinite(x))
        snprintf(text, capacity, format, x);
    else
        snprintf(text, capacity, "-");
    return text;
}

static const char *figure_cell(char *text, size_t capacity, double x)
{
    return cell(text, capacity, x, x < 10 ? "%.3f" : x < 100 ? "%.2f" : x < 1000 ? "%.1f" : "%.0f");
}

static void show_row(const BenchRow *row, BenchResult result, const char *peer_name, double ratio, const char *why)
{
    char ours[32], peer[32], times[32], share[32];
    printf("%-46s %10s %-9s %10s  %-22s %6s %6s", row->name, figure_cell(ours, sizeof ours, result.ours), row->unit,
           figure_cell(peer, sizeof peer, result.peer), peer_name ? peer_name : "",
           cell(times, sizeof times, ratio, "%.2f"),
           cell(share, sizeof share, 100 * times_better(row, result.ours, result.limit), "%.0f%%"));
    if (*why)
        printf("  %s%s", strcmp(why, BENCH_NOT_INSTALLED) == 0 ? "" : "failed: ", why);
    putchar('\n');
    fflush(stdout);
}

/* Shows on a terminal which row is measured now. */
static void show_progress(const char *name)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, name ? "\r\033[K%s ..." : "\r\033[K", name);
}

BenchResult bench_row(const BenchRow *row)
{
    BenchResult result = {NAN, NAN, NAN};
    if (!bench_selected(row->name))
        return result;
    if (rows_shown++ == 0)
        show_header();
    show_progress(row->name);
    Turns ours = {.best = INFINITY}, limit = ours, peers[BENCH_PEERS] = {ours, ours, ours};
    const BenchSide machine = {.run = row->limit == BENCH_NO_LIMIT ? NULL : limit_run, .context = (void *)row};
    const double start = bench_now();
    const int fewest = row->rounds ? row->rounds : FEWEST_ROUNDS;
    for (int round = 0; round < MOST_ROUNDS && (round < fewest || bench_now() - start < ROW_SECONDS); round++) {
        take_turn(&ours, &row->ours);
        for (int i = 0; i < BENCH_PEERS; i++)
            take_turn(&peers[i], &row->peers[i]);
        take_turn(&limit, &machine);
    }
    int best = 0;
    for (int i = 1; i < BENCH_PEERS; i++)
        if (peers[i].best < peers[best].best)
            best = i;
    result = (BenchResult){figure_of(row, &ours), figure_of(row, &peers[best]), figure_of(row, &limit)};
    const double ratio = times_better(row, result.ours, result.peer);
    const char *peer_name = row->peers[best].run ? row->peers[best].name : NULL;
    show_progress(NULL);
    show_row(row, result, peer_name, ratio, *ours.why ? ours.why : peers[best].why);
    rows_without_ours += isnan(result.ours) != 0;
    bench_require(report_add(row, result, peer_name, ratio));
    return result;
}

/* ---- the program ---- */

static int run_groups(const char *directory)
{
    if (isa_check_override())
        fprintf(stderr, "bench: %s\n", status_message());
    machine_isa = isa_in_use();
    machine_threads = parallel_threads();
    bench_require(report_begin(directory));
#define RUN(name) bench_##name();
    BENCH_GROUPS(RUN)
#undef RUN
    if (rows_shown == 0) {
#define NAME(name) " " #name
        fprintf(stderr, "bench: no row's name contains K=%s; rows begin with" BENCH_GROUPS(NAME) "\n", getenv("K"));
#undef NAME
        return 2;
    }
    bench_require(report_end());
    parallel_release();
    if (fflush(stdout) != 0 || ferror(stdout))
        bench_require(status_fail(CS336_EIO, "standard output: the table could not be written"));
    return rows_without_ours > 0;
}

int main(int argc, char **argv)
{
    bench_program = argv[0];
    const char *role = argc == 3 && strcmp(argv[1], "--peer") == 0 ? argv[2] : "";
    if (strcmp(role, openblas_default.role) == 0)
        return openblas_peer();
    if (strcmp(role, bench_ours_in_a_child.role) == 0)
        return bench_serve(ours_answer, parallel_set_threads);
    if (argc == 2 && argv[1][0] != '-')
        return run_groups(argv[1]);
    fprintf(stderr, "usage: run_bench DIRECTORY\n");
    return 2;
}
