/* matmul_bf16(): the rounding of its operands, and the product of the rounded numbers. */
#include "kernels/matmul.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/bfloat16.h"
#include "tests/support/kernels.h"
#include "tests/support/matrices.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- rounding ---- */

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

START_TEST(test_bfloat16_by_definition)
{
    static const struct {
        float x;
        double rounded;
    } cases[] = {
        {1, 1},
        {0x1.01p0f, 0x1p0},    /* a tie: to the even number below, */
        {0x1.03p0f, 0x1.04p0}, /* or to the even number above */
        {0x1.010002p0f, 0x1.02p0},
        {-0x1.02fffep0f, -0x1.02p0},
        {0x1.fefffep0f, 0x1.fep0},
        {0x1.ffp0f, 2},
        {FLT_MAX, INFINITY},
        {0x1.fefffep127f, 0x1.fep127},
        {-INFINITY, -INFINITY},
        {0x1.8p-133f, 0x1p-132}, /* denormal: units of 2^-133 */
        {0x1p-134f, 0},
        {0x1.000002p-127f, 0x1p-127},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(bfloat16_of(cases[i].x) == cases[i].rounded, "%a: %a", (double)cases[i].x,
                      bfloat16_of(cases[i].x));
    ck_assert(isnan(bfloat16_of(NAN)));
}
END_TEST

/* The instructions that multiply pairs or tiles of bfloat16 numbers treat denormals as 0. */
static double rounded_by_kernels(float x)
{
    return isa_in_use() >= ISA_AVX512_BF16 && fabsf(x) < FLT_MIN ? 0 : bfloat16_of(x);
}

static void assert_rounded(float x, float y)
{
    const double expected = rounded_by_kernels(x);
    ck_assert_msg(isnan(x) ? isnan(y) : (double)y == expected, "%s: %a is rounded to %a, expected %a",
                  isa_name(isa_in_use()), (double)x, (double)y, expected);
}

/* Tests every upper half of a float32 with lower halves near a tie and at both ends. */
enum { UPPER_HALVES = 1 << 16, LOWER_HALVES = 8 };

static float *all_floats(void)
{
    static const uint32_t lower[LOWER_HALVES] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff, 0x4000, 0xc000};
    float *x = malloc(UPPER_HALVES * LOWER_HALVES * sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (uint32_t i = 0; i < UPPER_HALVES; i++)
        for (size_t j = 0; j < LOWER_HALVES; j++)
            x[i * LOWER_HALVES + j] = float_of(i << 16 | lower[j]);
    return x;
}

START_TEST(test_matmul_bf16_rounds_every_upper_half_as_defined)
{
    const size_t count = test_is_instrumented() ? 1 << 14 : UPPER_HALVES * LOWER_HALVES;
    float *x = all_floats(), *y = malloc(count * sizeof *y);
    ck_assert_ptr_nonnull(y);
    reserve_for(2);
    FOR_EACH_ISA (isa) {
        float one = 1;
        matmul_bf16((Matrix){y, 1, 1}, (ConstMatrix){x, 1, 1}, (ConstMatrix){&one, 1, 1}, count, 1, 1, 1, 0);
        for (size_t i = 0; i < count; i++)
            assert_rounded(x[i], y[i]);
    }
    free(x);
    free(y);
}
END_TEST

START_TEST(test_matmul_bf16_rounds_alike_in_every_layout)
{
    enum { SIDE = 64, COUNT = SIDE * 3001 };
    static float identity[SIDE * SIDE];
    float *x = malloc(COUNT * sizeof *x), *y = malloc(COUNT * sizeof *y);
    ck_assert(x && y);
    for (size_t i = 0; i < SIDE; i++)
        identity[i * SIDE + i] = 1;
    for (size_t i = 0; i < COUNT; i++) {
        x[i] = float_of(random_bits());
        if (!(fabsf(x[i]) < 0x1p127f))
            x[i] = (float)i;
    }
    const size_t count = test_is_instrumented() ? SIDE * 101 : COUNT, rows = count / SIDE;
    const ConstMatrix unit = {identity, SIDE, 1};
    reserve_for(2);
    FOR_EACH_ISA (isa) {
        matmul_bf16((Matrix){y, SIDE, 1}, (ConstMatrix){x, SIDE, 1}, unit, rows, SIDE, SIDE, 1, 0);
        for (size_t i = 0; i < count; i++)
            assert_rounded(x[i], y[i]);
        matmul_bf16((Matrix){y, 1, SIDE}, (ConstMatrix){x, 1, SIDE}, unit, SIDE, SIDE, SIDE, 1, 0);
        matmul_bf16((Matrix){y, (ptrdiff_t)rows, 1}, unit, (ConstMatrix){x, (ptrdiff_t)rows, 1}, SIDE, rows, SIDE, 1,
                    0);
        for (size_t i = 0; i < count; i++)
            assert_rounded(x[i], y[i]);
    }
    free(x);
    free(y);
}
END_TEST

/* ---- the product ---- */

START_TEST(test_matmul_bf16_every_layout_agrees_with_the_rounded_triple_loop)
{
    static const ProductShape shapes[] = {{1, 1, 1},   {2, 3, 5},   {7, 31, 17}, {14, 32, 32},
                                          {13, 37, 0}, {1, 67, 71}, {61, 1, 73}, {29, 65, 47}};
    reserve_for(2);
    assert_layouts(&IN_BFLOAT16, shapes, sizeof shapes / sizeof *shapes, test_is_instrumented() ? 59 : 7);
}
END_TEST

START_TEST(test_matmul_bf16_random_shapes_agree_with_the_rounded_triple_loop)
{
    reserve_for(2);
    assert_random_shapes(&IN_BFLOAT16, test_is_instrumented() ? 10 : 60);
}
END_TEST

START_TEST(test_matmul_bf16_sizes_beyond_every_block_agree_with_the_rounded_triple_loop)
{
    static const ProductShape shapes[] = {{397, 61, 53}, {23, 4139, 31}, {17, 67, 2111}, {211, 83, 1025}};
    reserve_for(2);
    assert_forms(&IN_BFLOAT16, shapes, test_is_instrumented() ? 1 : sizeof shapes / sizeof *shapes, 4);
}
END_TEST

/* Returns one product, computed by `threads` threads. It starts with the same C each time. */
static float *product_with(int threads, const TestMatrix *a, const TestMatrix *b, const TestMatrix *c)
{
    float *result = malloc(c->count * sizeof *result);
    ck_assert_ptr_nonnull(result);
    memcpy(result, c->storage, c->count * sizeof *result);
    reserve_for(threads);
    matmul_bf16((Matrix){result, c->view.row_stride, c->view.column_stride}, test_matrix_input(a), test_matrix_input(b),
                c->rows, c->columns, a->columns, 0.7f, -0.3f);
    return result;
}

START_TEST(test_matmul_bf16_is_the_same_for_any_number_of_threads)
{
    static const size_t shapes[][3] = {{96, 512, 64},  {3, 50, 21},     {300, 70, 131}, {5, 4099, 301},
                                       {1, 1001, 700}, {700, 33, 1101}, {1001, 1, 701}, {43, 257, 2049}};
    static const int threads[] = {2, 3, 8};
    const size_t count = test_is_instrumented() ? 2 : sizeof shapes / sizeof *shapes;
    FOR_EACH_ISA (isa) /* the emulation is slow: without the largest shapes */
        for (size_t s = 0; s < count && (s < 4 || isa != ISA_AMX_EMULATED); s++)
            for (int form = 0; form < 4; form++) {
                const size_t m = shapes[s][0], n = shapes[s][1], k = shapes[s][2];
                const TestMatrix a = test_matrix(form & 1 ? COLUMN_MAJOR : ROW_MAJOR, m, k);
                const TestMatrix b = test_matrix(form & 2 ? COLUMN_MAJOR : ROW_MAJOR, k, n),
                                 c = test_matrix(ROW_MAJOR, m, n);
                float *one = product_with(1, &a, &b, &c);
                for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
                    float *more = product_with(threads[t], &a, &b, &c);
                    ck_assert_msg(memcmp(one, more, c.count * sizeof *one) == 0,
                                  "%s: %zu x %zu x %zu differs with %d threads", isa_name(isa), m, n, k, threads[t]);
                    free(more);
                }
                free(one);
                free(a.storage);
                free(b.storage);
                free(c.storage);
            }
}
END_TEST

/* A product of one row and one column gives the same number as the same row and column in a larger product. */
START_TEST(test_matmul_bf16_equal_rows_and_columns_give_equal_elements)
{
    enum { M = 47, N = 101, K = 83 };
    reserve_for(2);
    FOR_EACH_ISA (isa) {
        const TestMatrix a = test_matrix(ROWS_REPEATED, M, K), b = test_matrix(COLUMNS_REPEATED, K, N),
                         c = test_matrix(ROW_MAJOR, M, N);
        float alone;
        matmul_bf16(c.view, test_matrix_input(&a), test_matrix_input(&b), M, N, K, 0.7f, 0);
        matmul_bf16((Matrix){&alone, 1, 1}, test_matrix_input(&a), test_matrix_input(&b), 1, 1, K, 0.7f, 0);
        for (size_t i = 0; i < M; i++)
            for (size_t j = 0; j < N; j++)
                ck_assert_msg(memcmp(test_matrix_element(&c, i, j), &alone, sizeof alone) == 0,
                              "%s: (%zu, %zu) differs from the product of one row and column", isa_name(isa), i, j);
        free(a.storage);
        free(b.storage);
        free(c.storage);
    }
}
END_TEST

START_TEST(test_matmul_bf16_infinities_and_nan_go_where_they_belong)
{
    static const ProductShape shape = {9, 35, 21};
    const volatile float special[] = {float_of(0x7f800001), INFINITY, FLT_MAX, -INFINITY, 0};
    reserve_for(2);
    assert_special_numbers(&IN_BFLOAT16, &shape, 1, special, 5);
}
END_TEST

const TestCase matmul_bf16_tests[] = {
    TEST(test_bfloat16_by_definition, "kernels"),
    TEST(test_matmul_bf16_rounds_every_upper_half_as_defined, "kernels"),
    TEST(test_matmul_bf16_rounds_alike_in_every_layout, "kernels"),
    TEST(test_matmul_bf16_every_layout_agrees_with_the_rounded_triple_loop, "kernels"),
    TEST(test_matmul_bf16_random_shapes_agree_with_the_rounded_triple_loop, "kernels"),
    TEST(test_matmul_bf16_sizes_beyond_every_block_agree_with_the_rounded_triple_loop, "kernels"),
    TEST(test_matmul_bf16_is_the_same_for_any_number_of_threads, "kernels"),
    TEST(test_matmul_bf16_equal_rows_and_columns_give_equal_elements, "kernels"),
    TEST(test_matmul_bf16_infinities_and_nan_go_where_they_belong, "kernels"),
    {0},
};
