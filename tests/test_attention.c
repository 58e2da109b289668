#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/attention_run.h"

#include <stdlib.h>

static const double RTOL = 1e-4, ATOL = 1e-5;

/* Around the tile's sides, 64 and 128, and around the register blocks. */
static const size_t lengths[] = {1, 7, 63, 64, 65, 129, 200};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

static void check_lengths(AttentionMask mask_kind)
{
    for (size_t i = 0; i < LENGTHS; i++)
        for (size_t j = 0; j < LENGTHS; j++) {
            attention_check(
                &(AttentionCase){.queries = lengths[i], .keys = lengths[j], .d_k = 20, .d_v = 20, .mask = mask_kind},
                RTOL, ATOL);
        }
}

START_TEST(test_attention_all)
{
    check_lengths((AttentionMask){.kind = ATTEND_ALL});
}
END_TEST

START_TEST(test_attention_causal)
{
    check_lengths((AttentionMask){.kind = ATTEND_CAUSAL});
}
END_TEST

START_TEST(test_attention_where)
{
    for (size_t i = 0; i < LENGTHS; i++)
        for (size_t j = 0; j < LENGTHS; j++) {
            bool *values = attention_random_mask(lengths[i] * lengths[j], "mask", 30);
            const MaskTensor where = mask(values, lengths[i], lengths[j]);
            attention_check(
                &(AttentionCase){
                    .queries = lengths[i], .keys = lengths[j], .d_k = 20, .d_v = 20, .mask = {ATTEND_WHERE, where}},
                RTOL, ATOL);
            free(values);
        }
}
END_TEST

const TestCase attention_tests[] = {
    TEST(test_attention_all, "scaled_dot_product_attention"),
    TEST(test_attention_causal, "scaled_dot_product_attention"),
    TEST(test_attention_where, "scaled_dot_product_attention"),
    {0},
};
