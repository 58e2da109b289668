#include "tests/bench/bench.h"

#include "core/memory.h"
#include "core/parallel.h"
#include "kernels/peak.h"
#include "kernels/vecmath.h"

#include <math.h>

enum { PEAK_STEPS = 5000000 }; /* of the measuring loop, which then takes about a hundredth of a second */

double bench_fma_peak(void)
{
    return peak_of_run(PEAK_FMA, PEAK_STEPS) / 1e9;
}

double bench_float32_peak(void)
{
    return peak_of_run(PEAK_FLOAT32, PEAK_STEPS) / 1e9;
}

double bench_bf16x3_peak(void)
{
    return peak_of_run(PEAK_BF16X3, PEAK_STEPS) / 1e9;
}

double bench_bf16_peak(void)
{
    return peak_of_run(PEAK_BF16, PEAK_STEPS) / 1e9;
}

/*
 * Reads x in four places at a time, one after the other a block at each. The core's prefetchers then run ahead in all
 * of them, and wait less for memory than in one place.
 */
static float max_of_streams(const float *x, size_t n)
{
    enum { STREAMS = 4, BLOCK = 1024 };
    const size_t each = n / STREAMS / BLOCK * BLOCK, done = each * STREAMS;
    float max = done < n ? vecmath()->max(x + done, n - done) : x[0];
    for (size_t i = 0; i < each; i += BLOCK)
        for (size_t stream = 0; stream < STREAMS; stream++)
            max = fmaxf(max, vecmath()->max(x + stream * each + i, BLOCK));
    return max;
}

double bench_read_bandwidth(size_t bytes)
{
    static float *x;
    static size_t count;
    const size_t n = bytes / sizeof *x;
    if (n > count) {
        memory_release(x);
        x = bench_numbers(n);
        count = n;
    }
    const int threads = parallel_threads();
    volatile float sink = 0;
    const double start = bench_now();
#pragma omp parallel for schedule(static)
    for (int i = 0; i < threads; i++) {
        const size_t first = n * (size_t)i / (size_t)threads, end = n * (size_t)(i + 1) / (size_t)threads;
        const float max = max_of_streams(x + first, end - first);
#pragma omp critical
        sink = sink + max;
    }
    return (double)n * sizeof(float) / (bench_now() - start) / 1e9;
}
