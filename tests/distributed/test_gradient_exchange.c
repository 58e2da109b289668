/* Tests the cut into buckets, and the sums over ranks that mpirun starts. */
#include "distributed/buckets.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/check.h"
#include "tests/support/program.h"
#include "tests/support/ranks.h"

#include <stdlib.h>

/* Buckets cover the sequence from its end to its beginning, and parts cover each bucket. */
START_TEST(test_buckets_cover_the_sequence)
{
    static const size_t lengths[] = {
        1, 2, 1000, BUCKET_NUMBERS - 1, BUCKET_NUMBERS, BUCKET_NUMBERS + 1, 5 * BUCKET_NUMBERS, 7 * BUCKET_NUMBERS + 3};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        size_t end = lengths[i], shares[6][5] = {{0}};
        for (size_t bucket = 0; bucket < bucket_count(lengths[i]); bucket++) {
            const NumberRange range = bucket_range(lengths[i], bucket);
            ck_assert_uint_eq(range.first + range.count, end);
            ck_assert(range.count > 0 && (range.count == BUCKET_NUMBERS || range.first == 0));
            for (int ranks = 1; ranks <= 5; ranks++) {
                size_t next = range.first;
                for (int rank = 0; rank < ranks; rank++) {
                    const NumberRange part = bucket_part(range, rank, ranks);
                    ck_assert_uint_eq(part.first, next);
                    ck_assert_uint_le(part.count, range.count / (size_t)ranks + 1);
                    ck_assert_uint_ge(part.count, range.count / (size_t)ranks);
                    next += part.count;
                    shares[ranks][rank] += part.count;
                }
                ck_assert_uint_eq(next, end);
            }
            end = range.first;
        }
        ck_assert_uint_eq(end, 0);
        for (size_t ranks = 1; ranks <= 5; ranks++) {
            size_t most = 0;
            for (size_t rank = 0; rank < ranks; rank++)
                most = shares[ranks][rank] > most ? shares[ranks][rank] : most;
            ck_assert_uint_eq(bucket_share(lengths[i], ranks), most);
        }
    }
}
END_TEST

/* Each range of a sequence of three tensors is read and written as if the tensors were one array. */
START_TEST(test_sequence_reads_and_writes_across_tensors)
{
    enum { NUMBERS = 10 };
    float a[3], b[1], c[6], *data[] = {a, b, c}, read[NUMBERS], wanted[NUMBERS];
    size_t first[] = {0, 3, 4, NUMBERS};
    const NumberSequence sequence = {.count = 3, .first = first, .data = data};
    for (size_t begin = 0; begin < NUMBERS; begin++)
        for (size_t count = 0; begin + count <= NUMBERS; count++) {
            const NumberRange all = {.first = 0, .count = NUMBERS}, range = {.first = begin, .count = count};
            float written[NUMBERS];
            for (size_t i = 0; i < NUMBERS; i++) {
                wanted[i] = (float)i;
                written[i] = -1 - (float)i;
            }
            sequence_write(&sequence, all, wanted);
            sequence_read(read, &sequence, range);
            assert_allclose_array("read", read, wanted + begin, count, 0, 0);
            sequence_write(&sequence, range, written);
            for (size_t i = 0; i < count; i++)
                wanted[begin + i] = written[i];
            sequence_read(read, &sequence, all);
            assert_allclose_array("written", read, wanted, NUMBERS, 0, 0);
        }
}
END_TEST

static void assert_exchanges(const char *line)
{
    const int code = shell(line, getenv("RUN_TESTS"));
    ck_assert_msg(code == 0, "exit code %d: %s%s", code, shell_output, shell_errors);
}

START_TEST(test_gradients_of_ranks_are_summed)
{
    assert_exchanges(RANKS(2) "'%s' exchange");
    assert_exchanges(RANKS(3) "'%s' exchange");
}
END_TEST

const TestCase gradient_exchange_tests[] = {
    TEST(test_buckets_cover_the_sequence, "ranks"),
    TEST(test_sequence_reads_and_writes_across_tensors, "ranks"),
    TEST_UNLESS(test_gradients_of_ranks_are_summed, "ranks", no_mpirun),
    {0},
};
