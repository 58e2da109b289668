#include "tests/bench/bench.h"

#include "core/parallel.h"
#include "kernels/isa.h"
#include "kernels/vecmath.h"

enum {
    CHAINS = 12, /* sums that hide the latency of one addition */
    PEAK_STEPS = 5000000,
    READ_NUMBERS = 1 << 24 /* 64 MiB: beyond the caches of most machines */
};

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
    if (isa >= ISA_AVX512)
        return peak_avx512();
    if (isa == ISA_AVX2)
        return peak_avx2();
#endif
    (void)isa;
    return peak_portable();
}

double bench_fma_peak(void)
{
    static const int floats[ISA_COUNT] = {
        [ISA_PORTABLE] = 4, [ISA_AVX2] = 8, [ISA_AVX512] = 16, [ISA_AVX512_BF16] = 16};
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

double bench_read_bandwidth(void)
{
    static float *x;
    if (!x)
        x = bench_numbers(READ_NUMBERS);
    const size_t n = READ_NUMBERS;
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
