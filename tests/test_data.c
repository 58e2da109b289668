#include "tests/adapters.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"

#include <math.h>

enum { TOKENS = 100, CONTEXT = 7, BATCH = 32, IDS = BATCH * CONTEXT, ITERATIONS = 1000, STARTS = TOKENS - CONTEXT };

static const int32_t UNTOUCHED = -1;

/* The course asserts the shape (32, 7). In C: every element of it must be written, and none after it. */
static void assert_shape(const int32_t *ids)
{
    for (int i = 0; i < IDS; i++)
        if (ids[i] == UNTOUCHED)
            ck_abort_msg("id %d of %d was not written", i, IDS);
    ck_assert_int_eq(ids[IDS], UNTOUCHED);
}

/* Every target is the id after its input, and the inputs of a row follow each other. Each ck_assert writes to a pipe,
 * so half a million of them would take seconds. */
static void assert_sequences(const int32_t *x, const int32_t *y)
{
    for (int i = 0; i < IDS; i++) {
        const int32_t expected = x[i / CONTEXT * CONTEXT] + i % CONTEXT;
        if (x[i] != expected || y[i] != expected + 1)
            ck_abort_msg("row %d, column %d: input %d, target %d, expected %d and %d", i / CONTEXT, i % CONTEXT,
                         (int)x[i], (int)y[i], (int)expected, (int)expected + 1);
    }
}

START_TEST(test_get_batch)
{
    int32_t dataset[TOKENS], x[IDS + 1], y[IDS + 1];
    int counts[TOKENS] = {0};
    for (int i = 0; i < TOKENS; i++)
        dataset[i] = i;
    for (uint64_t iteration = 0; iteration < ITERATIONS; iteration++) {
        test_label("iteration %llu", (unsigned long long)iteration);
        for (int i = 0; i <= IDS; i++)
            x[i] = y[i] = UNTOUCHED;
        assert_ok(run_get_batch(x, y, dataset, TOKENS, BATCH, CONTEXT, "cpu", iteration));
        assert_shape(x);
        assert_shape(y);
        assert_sequences(x, y);
        for (int row = 0; row < BATCH; row++) {
            const int32_t start = x[row * CONTEXT];
            if (start < 0 || start >= STARTS)
                ck_abort_msg("row %d starts at %d, expected 0 to %d", row, (int)start, STARTS - 1);
            counts[start]++;
        }
    }
    test_label_end();
    /* Each of the 93 starts is equally likely, so their counts are binomially distributed. */
    const double draws = (double)ITERATIONS * BATCH, p = 1.0 / STARTS, deviation = sqrt(draws * p * (1 - p));
    for (int start = 0; start < STARTS; start++)
        ck_assert_msg(fabs(counts[start] - draws * p) <= 5 * deviation, "start %d came %d times, expected %g +- %g",
                      start, counts[start], draws * p, 5 * deviation);
    ck_assert_int_ne(run_get_batch(x, y, dataset, TOKENS, BATCH, CONTEXT, "cuda:99", 0), CS336_OK);
}
END_TEST

const TestCase data_tests[] = {
    TEST(test_get_batch, "data_loading"),
    {0},
};
