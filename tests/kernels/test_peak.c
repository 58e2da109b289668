/* Tests the measured peak of the machine against the matrix product, which comes near it and cannot exceed it. */
#define _POSIX_C_SOURCE 200809L
#include "core/memory.h"
#include "core/parallel.h"
#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "kernels/peak.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"

#include <math.h>
#include <time.h>

static double seconds_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* FLOP/s of the fastest of several products of square matrices, counted by hand: 2 n^3. */
static double product_flops(void)
{
    enum { N = 192, ROUNDS = 30 }; /* a product takes less than a millisecond: some are not interrupted */
    float *numbers = memory_allocate(3 * N * N * sizeof *numbers);
    ck_assert_ptr_nonnull(numbers);
    for (size_t i = 0; i < 3 * N * N; i++)
        numbers[i] = 0.5F;
    assert_ok(matmul_reserve());
    double best = INFINITY;
    for (int round = 0; round < ROUNDS; round++) {
        const double start = seconds_now();
        matmul((Matrix){numbers, N, 1}, (ConstMatrix){numbers + N * N, N, 1}, (ConstMatrix){numbers + 2 * N * N, N, 1},
               N, N, N, 1, 0);
        best = fmin(best, seconds_now() - start);
    }
    ck_assert_float_eq(numbers[0], 0.25F * N);
    memory_release(numbers);
    return 2.0 * N * N * N / best;
}

/*
 * Measured: the product reaches 0.6 of the peak with portable vectors, 0.9 with the others. The bounds are wide,
 * because other programs may use the processor during one of the two measurements; both are repeated until they fit. A
 * count that is wrong by the 2 operations of an FMA, the numbers of a vector or the number of sums is outside.
 */
START_TEST(test_peak_is_a_little_above_the_matrix_product)
{
    for (Isa isa = ISA_PORTABLE; isa <= ISA_AVX512; isa++) {
        if (!isa_choose(isa))
            continue;
        test_label("%s", isa_name(isa));
        parallel_set_threads(1);
        const double lowest = isa == ISA_PORTABLE ? 0.4 : 0.6, highest = 1.1;
        double share = 0, peak = 0, product = 0;
        for (int attempt = 0; attempt < 20 && (attempt < 3 || !(share > lowest && share < highest)); attempt++) {
            peak = fmax(peak, peak_measure(PEAK_FMA));
            product = fmax(product, product_flops());
            share = product / peak;
        }
        ck_assert_msg(share > lowest && share < highest, "the product reaches %g FLOP/s, the peak is %g", product,
                      peak);
    }
    test_label_end();
}
END_TEST

START_TEST(test_peak_is_measured_in_no_time)
{
    double least = INFINITY;
    for (int attempt = 0; attempt < 5; attempt++) {
        const double start = seconds_now();
        ck_assert(peak_measure(attempt % 2 ? PEAK_BF16 : PEAK_FLOAT32) > 0);
        least = fmin(least, seconds_now() - start);
    }
    ck_assert_double_lt(least, 0.05);
}
END_TEST

/* Emulated, bfloat16 has the multiply-adds of float32 and the rounding besides. Wide bounds: the machine may be busy.
 */
START_TEST(test_peak_time_of_bf16_is_a_ratio)
{
    ck_assert(isa_choose(ISA_PORTABLE));
    parallel_set_threads(2);
    double least = INFINITY;
    for (int attempt = 0; attempt < 5; attempt++)
        least = fmin(least, peak_time_of_bf16());
    ck_assert_msg(least > 0.7 && least < 1.5, "bf16 takes %g times as long", least);
    ck_assert_int_eq(parallel_threads(), 2);
}
END_TEST

const TestCase peak_tests[] = {
    TEST_UNLESS(test_peak_is_a_little_above_the_matrix_product, "kernels", timing_means_nothing),
    TEST_UNLESS(test_peak_is_measured_in_no_time, "kernels", timing_means_nothing),
    TEST_UNLESS(test_peak_time_of_bf16_is_a_ratio, "kernels", timing_means_nothing),
    {0},
};
