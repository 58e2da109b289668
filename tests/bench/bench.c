#define _POSIX_C_SOURCE 200809L

#include "tests/bench/bench.h"

#include "core/memory.h"
#include "core/parallel.h"
#include "kernels/isa.h"
#include "kernels/vecmath.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHAINS = 12, PEAK_STEPS = 5000000 }; /* twelve sums hide the latency of one addition */

double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int bench_selected(const char *name)
{
    const char *pattern = getenv("K");
    return !pattern || !*pattern || strstr(name, pattern);
}

/*
 * PEAK_STEPS multiply-adds in each of CHAINS vectors, with the instructions of one set. Their first numbers are read
 * from volatile memory: the compiler must not find two chains to be equal, or their ends.
 */
#define PEAK(name, floats, instructions)                                \
    instructions static float name(void)                                \
    {                                                                   \
        typedef float Lanes __attribute__((vector_size(4 * (floats)))); \
        volatile float half = 0.5f;                                     \
        const Lanes a = half - (Lanes){0}, b = half - (Lanes){0};       \
        Lanes sum[CHAINS];                                              \
        for (int u = 0; u < CHAINS; u++)                                \
            sum[u] = half - (Lanes){0};                                 \
        for (int i = 0; i < PEAK_STEPS; i++)                            \
            for (int u = 0; u < CHAINS; u++)                            \
                sum[u] = sum[u] * a + b;                                \
        for (int u = 1; u < CHAINS; u++)                                \
            sum[0] += sum[u];                                           \
        return sum[0][0];                                               \
    }

PEAK(peak_portable, 4, )
#if defined(__x86_64__)
PEAK(peak_avx2, 8, __attribute__((target("avx2,fma"))))
PEAK(peak_avx512, 16, __attribute__((target("avx512f,fma"))))
#endif

static float run_peak(Isa isa)
{
#if defined(__x86_64__)
    if (isa == ISA_AVX512)
        return peak_avx512();
    if (isa == ISA_AVX2)
        return peak_avx2();
#endif
    (void)isa;
    return peak_portable();
}

double bench_fma_peak(void)
{
    static const int floats[ISA_COUNT] = {[ISA_PORTABLE] = 4, [ISA_AVX2] = 8, [ISA_AVX512] = 16};
    const Isa isa = isa_in_use();
    const int threads = parallel_threads();
    volatile float sink = 0;
    const double start = bench_now();
#pragma omp parallel for schedule(static)
    for (int i = 0; i < threads; i++) {
        const float result = run_peak(isa);
#pragma omp critical
        sink = sink + result;
    }
    return 2.0 * PEAK_STEPS * CHAINS * floats[isa] * threads / (bench_now() - start) / 1e9;
}

double bench_read_bandwidth(const float *x, size_t n)
{
    const int threads = parallel_threads();
    volatile float sink = 0;
    const double start = bench_now();
#pragma omp parallel for schedule(static)
    for (int i = 0; i < threads; i++) {
        const size_t first = n * (size_t)i / (size_t)threads, end = n * (size_t)(i + 1) / (size_t)threads;
        const float sum = vec_sum(x + first, end - first);
#pragma omp critical
        sink = sink + sum;
    }
    return (double)n * sizeof(float) / (bench_now() - start) / 1e9;
}

float *bench_numbers(size_t n)
{
    float *x = memory_allocate(n * sizeof *x);
    if (!x) {
        fprintf(stderr, "bench: no memory for %zu floats\n", n);
        exit(1);
    }
    unsigned state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) * 0x1p-24f - 0.5f;
    }
    return x;
}

void bench_header(void)
{
    printf("%-34s %7s %9s %9s %9s\n", isa_name(isa_in_use()), "threads", "rate", "limit", "fraction");
}

void bench_row(const char *name, int threads, double rate, double limit, const char *unit)
{
    printf("%-34s %7d %9.1f %9.1f %8.0f%%  %s\n", name, threads, rate, limit, 100 * rate / limit, unit);
    fflush(stdout);
}
