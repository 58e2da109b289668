#include "tests/bench/bench.h"

#include "core/memory.h"
#include "core/parallel.h"
#include "kernels/isa.h"
#include "kernels/vecmath.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
    CHAINS = 12,      /* independent sums: enough to hide the latency of an FMA */
    BF16_CHAINS = 16, /* the same for pairs of bfloat16 numbers, which take longer */
    PEAK_STEPS = 5000000
};

/*
 * Does PEAK_STEPS multiply-adds in each of CHAINS vectors, with the instructions of one set. The first numbers come
 * from volatile memory, so that the compiler cannot compute the sums itself or find two of them equal.
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

#if defined(__x86_64__)
/* Does the same with pairs of bfloat16 numbers: two multiply-adds into each of 16 sums. */
__attribute__((target("avx512f,avx512bf16"))) static float peak_bf16(void)
{
    volatile float half = 0.5f;
    const __m512bh a = (__m512bh)_mm512_set1_epi32(0x3f003f00), b = (__m512bh)_mm512_set1_epi32(0x3e803e80);
    __m512 sum[BF16_CHAINS];
    for (int u = 0; u < BF16_CHAINS; u++)
        sum[u] = _mm512_set1_ps(half);
    for (int i = 0; i < PEAK_STEPS; i++)
        for (int u = 0; u < BF16_CHAINS; u++)
            sum[u] = _mm512_dpbf16_ps(sum[u], a, b);
    for (int u = 1; u < BF16_CHAINS; u++)
        sum[0] = _mm512_add_ps(sum[0], sum[u]);
    return _mm512_cvtss_f32(sum[0]);
}

static float run_bf16_peak(Isa isa)
{
    (void)isa;
    return peak_bf16();
}
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

/* Runs `run` on all threads. Returns 10^9 operations a second; a step does `operations` of them in each of `sums`. */
static double peak_of_all(float (*run)(Isa), Isa isa, int sums, int operations)
{
    const int threads = parallel_threads();
    volatile float sink = 0;
    const double start = bench_now();
#pragma omp parallel for schedule(static)
    for (int i = 0; i < threads; i++) {
        const float result = run(isa);
#pragma omp critical
        sink = sink + result;
    }
    return (double)operations * PEAK_STEPS * sums * threads / (bench_now() - start) / 1e9;
}

double bench_fma_peak(void)
{
    static const int floats[ISA_COUNT] = {
        [ISA_PORTABLE] = 4, [ISA_AVX2] = 8, [ISA_AVX512] = 16, [ISA_AVX512_BF16] = 16};
    const Isa isa = isa_in_use();
    return peak_of_all(run_peak, isa, CHAINS * floats[isa], 2);
}

double bench_bf16_peak(void)
{
#if defined(__x86_64__)
    if (isa_in_use() == ISA_AVX512_BF16)
        return peak_of_all(run_bf16_peak, ISA_AVX512_BF16, BF16_CHAINS * 16, 4);
#endif
    return bench_fma_peak();
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
        const float max = vecmath()->max(x + first, end - first);
#pragma omp critical
        sink = sink + max;
    }
    return (double)n * sizeof(float) / (bench_now() - start) / 1e9;
}
