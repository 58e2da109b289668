#include "kernels/normal.h"

#include "core/parallel.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/kernels.h"
#include "tests/support/random_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Draws `count` numbers in both ways and asserts that all bytes and the generators are equal, and the end untouched. */
static void assert_same_numbers(const Rng *start, size_t count, double sigma, double limit)
{
    const float guard = 1234;
    float *expected = malloc((count + 1) * sizeof *expected), *found = malloc((count + 1) * sizeof *found);
    ck_assert_ptr_nonnull(expected);
    ck_assert_ptr_nonnull(found);
    Rng one = *start, many = *start;
    expected[count] = found[count] = guard;
    rng_truncated_normal(&one, expected, count, sigma, limit);
    normal_truncated(&many, found, count, sigma, limit);
    size_t different = 0;
    while (different < count && memcmp(&expected[different], &found[different], sizeof *found) == 0)
        different++;
    if (different < count)
        ck_abort_msg("number %zu is %.9g, expected %.9g", different, (double)found[different],
                     (double)expected[different]);
    ck_assert_float_eq(found[count], guard);
    ck_assert_uint_eq(many.seed, one.seed);
    ck_assert_uint_eq(many.counter, one.counter);
    free(expected);
    free(found);
}

START_TEST(test_normal_numbers_are_those_of_the_generator)
{
    /* A block has 1024 tries, a piece 16 blocks, a round 32 pieces. A limit of 0.01 repeats 99 tries of 100. */
    static const struct {
        size_t count;
        double sigma, limit;
    } cases[] = {{0, 1, 3},         {1, 1, 3},        {1023, 0.02, 3},    {1024, 1, 3},       {1025, 1e-3, 3},
                 {16384, 1, 1},     {16385, 1, 0.5},  {70000, 0.02, 3},   {600001, 0.025, 3}, {3000, 1, 0.01},
                 {40000, 1e-30, 3}, {5000, 1e-44, 3}, {5000, 1e300, 100}, {5000, 0, 3}};
    static const int threads[] = {1, 2, 3};
    for (size_t k = 0; k < COUNT(cases); k++)
        for (size_t t = 0; t < COUNT(threads); t++) {
            const Rng start = {.seed = rng_stream(7, k).seed, .counter = k == 3 ? UINT64_MAX - 1000 : 3 * k};
            parallel_set_threads(threads[t]);
            FOR_EACH_ISA (isa) {
                test_label("%zu numbers, sigma %g, limit %g, %d threads, %s", cases[k].count, cases[k].sigma,
                           cases[k].limit, threads[t], isa_name(isa));
                assert_same_numbers(&start, cases[k].count, cases[k].sigma, cases[k].limit);
            }
        }
    test_label_end();
}
END_TEST

/*
 * A limit that is exactly the size of a number keeps it, and the next smaller limit does not. The kernel's number is
 * another one by some 1e-16, so it must know that it cannot decide.
 */
START_TEST(test_normal_numbers_at_the_limit_are_decided_as_by_the_generator)
{
    enum { TRIES = 500 };
    Rng rng = rng_seeded(11);
    for (size_t i = 0; i < TRIES; i++) {
        const Rng start = rng;
        const double size = fabs(rng_normal(&rng)), limits[] = {size, nextafter(size, 0)};
        for (size_t k = 0; k < COUNT(limits) && limits[k] > 0.01; k++)
            FOR_EACH_ISA (isa) {
                test_label("try %zu, limit %zu, %s", i, k, isa_name(isa));
                assert_same_numbers(&start, 1, 1, limits[k]);
            }
    }
    test_label_end();
}
END_TEST

const TestCase normal_tests[] = {
    TEST(test_normal_numbers_are_those_of_the_generator, "rng"),
    TEST(test_normal_numbers_at_the_limit_are_decided_as_by_the_generator, "rng"),
    {0},
};
