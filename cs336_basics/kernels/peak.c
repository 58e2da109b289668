#define _POSIX_C_SOURCE 200809L
#include "kernels/peak.h"

#include "core/memory.h"
#include "core/parallel.h"
#include "kernels/isa.h"
#include "kernels/matmul.h"

#include <math.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>

/* In peak_amx.c: adds the product of two tiles `steps` times, to four tiles in turn. */
float peak_amx(size_t steps);
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum {
    CHAINS = 12,      /* independent sums: enough to hide the latency of an FMA */
    BF16_CHAINS = 16, /* the same for pairs of bfloat16 numbers, which take longer */
    NEON_CHAINS = 16  /* Apple's CPUs begin 4 FMAs a cycle and take 4 cycles for each */
};

/*
 * Does `steps` multiply-adds in each of CHAINS vectors, with the instructions of one set. The first numbers come
 * from volatile memory, so that the compiler cannot compute the sums itself or find two of them equal.
 */
#define PEAK(name, floats, instructions)                                \
    instructions static float name(size_t steps)                        \
    {                                                                   \
        typedef float Lanes __attribute__((vector_size(4 * (floats)))); \
        volatile float half = 0.5f;                                     \
        const Lanes a = half - (Lanes){0}, b = half - (Lanes){0};       \
        Lanes sum[CHAINS];                                              \
        for (int u = 0; u < CHAINS; u++)                                \
            sum[u] = half - (Lanes){0};                                 \
        for (size_t i = 0; i < steps; i++)                              \
            for (int u = 0; u < CHAINS; u++)                            \
                sum[u] = sum[u] * a + b;                                \
        for (int u = 1; u < CHAINS; u++)                                \
            sum[0] += sum[u];                                           \
        return sum[0][0];                                               \
    }

#if defined(__aarch64__)
/* The same with NEON, whose FMA overwrites the number that it adds to: that is the sum, as in a product. */
static float peak_neon(size_t steps)
{
    volatile float half = 0.5f;
    const float32x4_t a = vdupq_n_f32(half), b = vdupq_n_f32(half);
    float32x4_t sum[NEON_CHAINS];
    for (int u = 0; u < NEON_CHAINS; u++)
        sum[u] = vdupq_n_f32(half);
    for (size_t i = 0; i < steps; i++)
        for (int u = 0; u < NEON_CHAINS; u++)
            sum[u] = vfmaq_f32(sum[u], a, b);
    for (int u = 1; u < NEON_CHAINS; u++)
        sum[0] += sum[u];
    return sum[0][0];
}
#else
PEAK(peak_portable, 4, )
#endif
#if defined(__x86_64__)
PEAK(peak_avx2, 8, __attribute__((target("avx2,fma"))))
PEAK(peak_avx512, 16, __attribute__((target("avx512f,fma"))))
#endif

#if defined(__x86_64__)
/* Does the same with pairs of bfloat16 numbers: two multiply-adds into each of 16 sums. */
__attribute__((target("avx512f,avx512bf16"))) static float peak_bf16(size_t steps)
{
    volatile float half = 0.5f;
    const __m512bh a = (__m512bh)_mm512_set1_epi32(0x3f003f00), b = (__m512bh)_mm512_set1_epi32(0x3e803e80);
    __m512 sum[BF16_CHAINS];
    for (int u = 0; u < BF16_CHAINS; u++)
        sum[u] = _mm512_set1_ps(half);
    for (size_t i = 0; i < steps; i++)
        for (int u = 0; u < BF16_CHAINS; u++)
            sum[u] = _mm512_dpbf16_ps(sum[u], a, b);
    for (int u = 1; u < BF16_CHAINS; u++)
        sum[0] = _mm512_add_ps(sum[0], sum[u]);
    return _mm512_cvtss_f32(sum[0]);
}

#endif

/* A loop of multiply-adds, and what one of its steps does. */
typedef struct {
    float (*run)(size_t steps);
    double flops; /* operations of a step: 2 for each multiply-add, times the numbers of a vector, times the vectors */
} PeakLoop;

static PeakLoop loop_for(PeakOf what)
{
#if defined(__x86_64__)
    const Isa isa = isa_in_use();
    if (what != PEAK_FMA && isa == ISA_AMX) {
        const double products = what == PEAK_FLOAT32 ? 6 : what == PEAK_BF16X3 ? 3 : 1;
        return (PeakLoop){peak_amx, 2 * 16 * 16 * 32 / products};
    }
    if (what == PEAK_BF16 && isa == ISA_AVX512_BF16)
        return (PeakLoop){peak_bf16, 2 * 32 * BF16_CHAINS};
    if (isa >= ISA_AVX512 && isa <= ISA_AMX)
        return (PeakLoop){peak_avx512, 2 * 16 * CHAINS};
    if (isa == ISA_AVX2)
        return (PeakLoop){peak_avx2, 2 * 8 * CHAINS};
#endif
    (void)what;
#if defined(__aarch64__)
    return (PeakLoop){peak_neon, 2 * 4 * NEON_CHAINS};
#else
    return (PeakLoop){peak_portable, 2 * 4 * CHAINS};
#endif
}

static double seconds_of(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

double peak_of_run(PeakOf what, size_t steps)
{
    const PeakLoop loop = loop_for(what);
    const int threads = parallel_threads();
    const double flops = loop.flops * (double)steps; /* of one thread */
    volatile float sink = 0;                         /* the compiler must not drop a loop whose result nobody reads */
    double peak = 0;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int i = 0; i < threads; i++) {
        const double start = seconds_of(CLOCK_THREAD_CPUTIME_ID);
        const float result = loop.run(steps);
        const double seconds = seconds_of(CLOCK_THREAD_CPUTIME_ID) - start;
#pragma omp critical
        {
            sink = sink + result;
            peak += flops / seconds;
        }
    }
    return peak;
}

double peak_measure(PeakOf what)
{
    enum { RUNS = 8 };         /* the first ones wake the threads and raise the clock frequency */
    enum { STEPS = 200000 };   /* half a millisecond to a millisecond */
    const double limit = 0.02; /* seconds after which no further run begins, on a slow or busy machine */
    const double start = seconds_of(CLOCK_MONOTONIC);
    double peak = 0;
    for (int i = 0; i < RUNS && (i == 0 || seconds_of(CLOCK_MONOTONIC) - start < limit); i++) {
        const double flops = peak_of_run(what, STEPS);
        peak = flops > peak ? flops : peak;
    }
    return peak;
}

double peak_time_of_bf16(void)
{
    enum { SIDE = 256, NUMBERS = SIDE * SIDE, ROUNDS = 6 };
    float *x = matmul_reserve() ? NULL : memory_allocate(3 * NUMBERS * sizeof *x);
    if (!x)
        return NAN;
    for (size_t i = 0; i < 3 * NUMBERS; i++)
        x[i] = 0.5F;
    const Matrix c = {x, SIDE, 1};
    const ConstMatrix a = {x + NUMBERS, SIDE, 1}, b = {x + 2 * NUMBERS, 1, SIDE};
    const int threads = parallel_threads();
    parallel_set_threads(1);
    /* The least of several times, in turn: the first ones raise the clock frequency. */
    double bf16 = INFINITY, float32 = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        const double start = seconds_of(CLOCK_THREAD_CPUTIME_ID);
        matmul(c, a, b, SIDE, SIDE, SIDE, 1, 0);
        const double middle = seconds_of(CLOCK_THREAD_CPUTIME_ID);
        matmul_bf16(c, a, b, SIDE, SIDE, SIDE, 1, 0);
        float32 = fmin(float32, middle - start);
        bf16 = fmin(bf16, seconds_of(CLOCK_THREAD_CPUTIME_ID) - middle);
    }
    parallel_set_threads(threads);
    memory_release(x);
    return bf16 / float32;
}
