#include "core/rng.h"

#include "tests/suites.h"

#include <math.h>
#include <stdint.h>

/* The expected numbers are from tests/tools/rng_reference.py. */
START_TEST(test_rng_gives_the_numbers_of_its_definition)
{
    static const struct {
        uint64_t seed, stream, bits[3];
    } cases[] = {
        {0, 0, {0x7d9f69ac45981965, 0xc6ec6f2fc848091e, 0x30fa3d145bfb9c06}},
        {1, 0, {0x331ba21c36500019, 0x355971da8cfa615c, 0xfaf29c66c92dc3be}},
        {1, 2, {0x0415742f4b32d413, 0xcf1916a40e99f99d, 0x236890874a79f442}},
        {UINT64_MAX, UINT64_MAX, {0x75e86242f307e8c0, 0x0754abf6c6939afa, 0xf1efade006c9918b}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Rng rng = rng_stream(cases[i].seed, cases[i].stream), seeded = rng_seeded(cases[i].seed);
        test_label("generator %zu", i);
        for (int n = 0; n < 3; n++) {
            ck_assert_uint_eq(rng_bits(&rng), cases[i].bits[n]);
            if (cases[i].stream == 0)
                ck_assert_uint_eq(rng_bits(&seeded), cases[i].bits[n]);
        }
    }
    test_label_end();
    static const uint64_t below_ten[] = {9, 9, 8, 7, 8, 3, 3, 2, 4, 1, 9, 6};
    static const uint64_t below_large[] = {3834235159569805017, 6330659898132537899, 2004062754853907666,
                                           2663507528747800971, 7326711391720881172, 8619411915369275564};
    static const double uniforms[] = {0.9578543044912943, 0.34318576074110796, 0.11593441219839828};
    static const double normals[] = {-1.3907176823107252, 0.33227604175254877, 1.558343512948098, -0.5651517319897801};
    Rng a = rng_seeded(42), b = a, c = a, d = a;
    for (int i = 0; i < 12; i++)
        ck_assert_uint_eq(rng_below(&a, 10), below_ten[i]);
    for (int i = 0; i < 6; i++)
        ck_assert_uint_eq(rng_below(&b, (uint64_t)3 << 62), below_large[i]);
    for (int i = 0; i < 3; i++)
        ck_assert_double_eq(rng_uniform(&c), uniforms[i]);
    for (int i = 0; i < 4; i++)
        ck_assert_double_eq_tol(rng_normal(&d), normals[i], 1e-14);
}
END_TEST

START_TEST(test_rng_state_is_saved_by_copying_it)
{
    Rng rng = rng_seeded(5);
    for (int i = 0; i < 17; i++)
        rng_bits(&rng);
    Rng saved = rng;
    ck_assert_uint_eq(saved.counter, 17);
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(rng_bits(&rng), rng_bits(&saved));
}
END_TEST

/* Returns Pearson's chi-square statistic. Its expected value is bins - 1, its standard deviation sqrt(2 (bins - 1)). */
static double chi_square(const size_t *counts, size_t bins, double expected)
{
    double sum = 0;
    for (size_t i = 0; i < bins; i++)
        sum += ((double)counts[i] - expected) * ((double)counts[i] - expected) / expected;
    return sum;
}

START_TEST(test_rng_below_is_uniform)
{
    enum { DRAWS = 200000 };
    for (uint64_t bound = 1; bound <= 93; bound += 23) {
        test_label("bound %llu", (unsigned long long)bound);
        size_t counts[93] = {0};
        Rng rng = rng_stream(1, bound);
        for (int i = 0; i < DRAWS; i++)
            counts[rng_below(&rng, bound)]++;
        const double freedom = (double)bound - 1;
        ck_assert_double_le(chi_square(counts, (size_t)bound, DRAWS / (double)bound), freedom + 5 * sqrt(2 * freedom));
    }
}
END_TEST

/* With bits % bound, half of the draws would be in the lowest third. */
START_TEST(test_rng_below_a_large_bound_has_no_bias)
{
    enum { DRAWS = 30000 };
    size_t thirds[3] = {0};
    Rng rng = rng_seeded(2);
    for (int i = 0; i < DRAWS; i++)
        thirds[rng_below(&rng, (uint64_t)3 << 62) >> 62]++;
    ck_assert_double_le(chi_square(thirds, 3, DRAWS / 3.0), 20);
}
END_TEST

START_TEST(test_rng_uniform_fills_the_unit_interval)
{
    enum { DRAWS = 200000, BINS = 100 };
    size_t counts[BINS] = {0};
    double sum = 0, squares = 0;
    Rng rng = rng_seeded(3);
    for (int i = 0; i < DRAWS; i++) {
        const double u = rng_uniform(&rng);
        ck_assert(u >= 0 && u < 1);
        counts[(size_t)(u * BINS)]++;
        sum += u, squares += u * u;
    }
    ck_assert_double_eq_tol(sum / DRAWS, 0.5, 5 * sqrt(1 / 12.0 / DRAWS));
    ck_assert_double_eq_tol(squares / DRAWS, 1 / 3.0, 5 * sqrt(4 / 45.0 / DRAWS));
    ck_assert_double_le(chi_square(counts, BINS, (double)DRAWS / BINS), BINS - 1 + 5 * sqrt(2.0 * (BINS - 1)));
}
END_TEST

START_TEST(test_rng_normal_has_the_moments_of_a_normal)
{
    enum { DRAWS = 200000 };
    double moment[5] = {0};
    size_t within = 0;
    Rng rng = rng_seeded(4);
    for (int i = 0; i < DRAWS; i++) {
        const double z = rng_normal(&rng);
        within += fabs(z) < 1;
        for (int k = 1; k <= 4; k++)
            moment[k] += pow(z, k) / DRAWS;
    }
    /* Standard deviations of the moments: sqrt((E z^2k - (E z^k)^2) / n) with E z^2, z^4, z^6, z^8 = 1, 3, 15, 105 */
    ck_assert_double_eq_tol(moment[1], 0, 5 * sqrt(1.0 / DRAWS));
    ck_assert_double_eq_tol(moment[2], 1, 5 * sqrt(2.0 / DRAWS));
    ck_assert_double_eq_tol(moment[3], 0, 5 * sqrt(15.0 / DRAWS));
    ck_assert_double_eq_tol(moment[4], 3, 5 * sqrt(96.0 / DRAWS));
    ck_assert_double_eq_tol((double)within / DRAWS, erf(sqrt(0.5)), 5 * sqrt(0.25 / DRAWS));
}
END_TEST

/* Returns the variance of a standard normal truncated at +-L: 1 - 2 L phi(L) / (2 Phi(L) - 1). */
static double truncated_variance(double limit)
{
    const double density = exp(-limit * limit / 2) / sqrt(2 * acos(-1));
    return 1 - 2 * limit * density / erf(limit / sqrt(2));
}

START_TEST(test_rng_truncated_normal_stays_within_its_bounds)
{
    enum { DRAWS = 100000 };
    static float values[DRAWS];
    static const double limits[] = {3, 1, 0.5};
    const double sigma = 0.02;
    for (size_t k = 0; k < sizeof limits / sizeof *limits; k++) {
        test_label("limit %g", limits[k]);
        Rng rng = rng_seeded(k);
        rng_truncated_normal(&rng, values, DRAWS, sigma, limits[k]);
        double sum = 0, squares = 0, largest = 0;
        for (size_t i = 0; i < DRAWS; i++) {
            const double z = (double)values[i] / sigma;
            sum += z, squares += z * z;
            largest = fmax(largest, fabs(z));
        }
        const double variance = truncated_variance(limits[k]);
        ck_assert_double_le(largest, limits[k] * (1 + 1e-7));
        ck_assert_double_ge(largest, limits[k] * 0.98);
        ck_assert_double_eq_tol(sum / DRAWS, 0, 5 * sqrt(variance / DRAWS));
        ck_assert_double_eq_tol(squares / DRAWS, variance, 5 * sqrt(2.0 / DRAWS) * variance);
    }
}
END_TEST

START_TEST(test_rng_streams_and_neighbouring_seeds_are_independent)
{
    enum { DRAWS = 50000 };
    const Rng pairs[][2] = {
        {rng_stream(7, 0), rng_stream(7, 1)}, {rng_seeded(7), rng_seeded(8)},
        {rng_stream(7, 1), rng_stream(8, 0)}, {rng_seeded(0), rng_seeded(1)},
        {rng_stream(0, 1), rng_stream(1, 1)},
    };
    for (size_t k = 0; k < sizeof pairs / sizeof *pairs; k++) {
        Rng a = pairs[k][0], b = pairs[k][1];
        double product = 0, differing = 0;
        for (int i = 0; i < DRAWS; i++) {
            const uint64_t x = rng_bits(&a), y = rng_bits(&b);
            product += ((double)(x >> 11) * 0x1p-53 - 0.5) * ((double)(y >> 11) * 0x1p-53 - 0.5);
            for (uint64_t bits = x ^ y; bits; bits &= bits - 1)
                differing++;
        }
        ck_assert_double_eq_tol(product / DRAWS, 0, 5 / 12.0 / sqrt(DRAWS));
        ck_assert_double_eq_tol(differing / DRAWS, 32, 5 * 4 / sqrt(DRAWS));
    }
}
END_TEST

const TestCase rng_tests[] = {
    TEST(test_rng_gives_the_numbers_of_its_definition, "rng"),
    TEST(test_rng_state_is_saved_by_copying_it, "rng"),
    TEST(test_rng_below_is_uniform, "rng"),
    TEST(test_rng_below_a_large_bound_has_no_bias, "rng"),
    TEST(test_rng_uniform_fills_the_unit_interval, "rng"),
    TEST(test_rng_normal_has_the_moments_of_a_normal, "rng"),
    TEST(test_rng_truncated_normal_stays_within_its_bounds, "rng"),
    TEST(test_rng_streams_and_neighbouring_seeds_are_independent, "rng"),
    {0},
};
