/*
 * Products of parts: matmul() with AMX, whose error must not exceed that of fused multiply-adds, and matmul_bf16x3().
 * The twin of the matrix unit runs everywhere; on a CPU with AMX both are compared.
 */
#include "core/parallel.h"
#include "kernels/isa.h"
#include "kernels/matmul.h"
#include "kernels/tile_unit.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/kernels.h"
#include "tests/support/matrices.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* ---- the error of float32 products ---- */

enum { SIDE = 40, LONGEST = 700 };

typedef struct {
    float a[SIDE * LONGEST], b[LONGEST * SIDE];
    size_t k;
} Problem;

static float scaled(float x, int from, int to)
{
    return ldexpf(x, from + (int)random_below((size_t)(to - from) + 1));
}

static void fill_random(Problem *p)
{
    random_fill(p->a, SIDE * p->k);
    random_fill(p->b, p->k * SIDE);
}

/* Each number has a scale of its own. */
static void fill_ill_scaled(Problem *p)
{
    fill_random(p);
    for (size_t i = 0; i < SIDE * p->k; i++) {
        p->a[i] = scaled(p->a[i], -40, 40);
        p->b[i] = scaled(p->b[i], -40, 40);
    }
}

/* Each row of A and each column of B has a scale of its own, down to denormals. */
static void fill_scaled_rows(Problem *p)
{
    fill_random(p);
    for (size_t i = 0; i < SIDE; i++) {
        const int row = (int)random_below(200) - 140, column = (int)random_below(140) - 80;
        for (size_t l = 0; l < p->k; l++) {
            p->a[i * p->k + l] = ldexpf(p->a[i * p->k + l], row);
            p->b[l * SIDE + i] = ldexpf(p->b[l * SIDE + i], column);
        }
    }
}

/* The second half of each sum nearly takes back the first half. */
static void fill_cancelling(Problem *p)
{
    fill_random(p);
    const size_t half = p->k / 2;
    for (size_t i = 0; i < SIDE; i++)
        for (size_t l = 0; l < half; l++) {
            p->a[i * p->k + half + l] = p->a[i * p->k + l] * (1 + 0x1p-20f * (float)random_below(8));
            p->b[(half + l) * SIDE + i] = -p->b[l * SIDE + i];
        }
}

/* Numbers up to FLT_MAX, which round to an infinite bfloat16. */
static void fill_huge(Problem *p)
{
    fill_random(p);
    for (size_t i = 0; i < SIDE * p->k; i++) {
        p->a[i] = copysignf(FLT_MAX * (1 - 0x1p-9f * fabsf(p->a[i])), p->a[i]);
        p->b[i] *= 0x1p-12f;
    }
}

/* Numbers over the whole range in one row, whose products are near 1: rows that cannot be split. */
static void fill_wide(Problem *p)
{
    fill_random(p);
    for (size_t l = 0; l < p->k; l++) {
        const int exponent = (int)random_below(240) - 120;
        for (size_t i = 0; i < SIDE; i++) {
            p->a[i * p->k + l] = ldexpf(p->a[i * p->k + l], exponent);
            p->b[l * SIDE + i] = ldexpf(p->b[l * SIDE + i], -exponent);
        }
    }
}

/* |error| of an element divided by the sum of the magnitudes of its terms: the largest, the sum of squares, and how
 * many. */
typedef struct {
    double largest, squares, count;
} Errors;

static void add_errors(Errors *errors, const Problem *p)
{
    static float c[SIDE * SIDE];
    matmul((Matrix){c, SIDE, 1}, (ConstMatrix){p->a, (ptrdiff_t)p->k, 1}, (ConstMatrix){p->b, SIDE, 1}, SIDE, SIDE,
           p->k, 1, 0);
    for (size_t i = 0; i < SIDE; i++)
        for (size_t j = 0; j < SIDE; j++) {
            double sum = 0, magnitude = 0;
            for (size_t l = 0; l < p->k; l++) {
                const double term = (double)p->a[i * p->k + l] * (double)p->b[l * SIDE + j];
                sum += term;
                magnitude += fabs(term);
            }
            if (magnitude < (double)FLT_MIN)
                continue;
            const double error = fabs((double)c[i * SIDE + j] - sum) / magnitude;
            errors->largest = fmax(errors->largest, error);
            errors->squares += error * error;
            errors->count++;
        }
}

static double root_mean_square(const Errors *errors)
{
    return sqrt(errors->squares / errors->count);
}

static const struct {
    const char *name;
    void (*fill)(Problem *p);
    double allowed; /* the root mean square error, as a multiple of that of fused multiply-adds */
} fillings[] = {{"random", fill_random, 1},
                {"ill-scaled", fill_ill_scaled, 1.1},
                {"scaled rows", fill_scaled_rows, 1},
                {"cancelling", fill_cancelling, 1},
                {"huge", fill_huge, 1},
                {"wide", fill_wide, 1}};

/* The best instruction set whose products are fused multiply-adds; portable vectors round twice. */
static Isa fused(void)
{
    return isa_choose(ISA_AVX512) ? ISA_AVX512 : isa_choose(ISA_AVX2) ? ISA_AVX2 : ISA_PORTABLE;
}

/*
 * The root of the mean square must not be larger than that of fused multiply-adds. In ill-scaled problems one term is
 * often nearly the whole sum. Then multiply-adds round once, by 0.5 units in the last place at most, and so do the
 * parts, but the products that these leave out add a few hundredths of a unit: a tenth is allowed there. The largest
 * error of a few thousand is a matter of luck, so it may be a quarter larger.
 */
START_TEST(test_matmul_of_parts_is_no_less_exact_than_multiply_adds)
{
    static const size_t depths[] = {4, 5, 8, 31, 100, LONGEST};
    static Problem p;
    const int rounds = 6; /* one alone, 1600 elements, is up to a tenth off by chance */
    const Isa isa = fused(), with_tiles = isa_choose(ISA_AMX) ? ISA_AMX : ISA_AMX_EMULATED;
    reserve_for(1);
    for (size_t f = 0; f < sizeof fillings / sizeof *fillings; f++)
        for (size_t d = 0; d < sizeof depths / sizeof *depths; d++) {
            Errors of_parts = {0}, of_fused = {0};
            p.k = depths[d];
            for (int round = 0; round < rounds; round++) {
                fillings[f].fill(&p);
                ck_assert(isa_choose(isa));
                add_errors(&of_fused, &p);
                ck_assert(isa_choose(with_tiles));
                add_errors(&of_parts, &p);
            }
            const double error = root_mean_square(&of_parts), error_fused = root_mean_square(&of_fused);
            ck_assert_msg(error <= fillings[f].allowed * error_fused && of_parts.largest <= 1.25 * of_fused.largest,
                          "%s, k = %zu: the error is %g, at most %g; with %s %g, at most %g", fillings[f].name,
                          depths[d], error, of_parts.largest, isa_name(isa), error_fused, of_fused.largest);
        }
}
END_TEST

/* A product with the identity gives every finite number back, denormals too. */
START_TEST(test_matmul_with_the_identity_is_exact)
{
    enum { N = 64 };
    static float identity[N * N], x[N * N], y[N * N];
    for (size_t i = 0; i < N; i++)
        identity[i * N + i] = 1;
    reserve_for(1);
    FOR_EACH_ISA (isa)
        for (int range = 0; range < 4; range++) {
            for (size_t i = 0; i < (size_t)N * N; i++) {
                /* Exponents of all kinds; in each row near one another; denormals; all the largest. */
                const uint32_t bits = random_bits(), row = (uint32_t)(i / N * 4);
                const uint32_t exponent[] = {bits >> 8 & 0xff, row + (bits >> 8 & 3), 0, 254};
                const uint32_t all = (bits & 0x807fffff) | (exponent[range] == 255 ? 254 : exponent[range]) << 23;
                memcpy(&x[i], &all, sizeof all);
            }
            for (int form = 0; form < 4; form++) {
                const ConstMatrix unit = {identity, N, 1},
                                  a = form & 1 ? (ConstMatrix){x, 1, N} : (ConstMatrix){x, N, 1};
                matmul(form & 1 ? (Matrix){y, 1, N} : (Matrix){y, N, 1}, form & 2 ? unit : a, form & 2 ? a : unit, N, N,
                       N, 1, 0);
                for (size_t i = 0; i < (size_t)N * N; i++)
                    ck_assert_msg(x[i] == y[i], "%s, range %d, form %d: %a instead of %a", isa_name(isa), range, form,
                                  (double)y[i], (double)x[i]);
            }
        }
}
END_TEST

/* Infinities and NaN in products that are large enough for tiles of which only some hold them. */
START_TEST(test_matmul_special_numbers_stay_in_their_rows)
{
    static const ProductShape shapes[] = {{67, 70, 45}, {40, 33, 4}};
    const volatile float special[] = {NAN, INFINITY, -INFINITY, 0, FLT_MAX, 0x1p-149f};
    reserve_for(2);
    assert_special_numbers(&IN_FLOAT32, shapes, 2, special, 4);
    assert_special_numbers(&IN_BF16X3, shapes, 2, special, 4);
}
END_TEST

/* ---- two parts ---- */

START_TEST(test_matmul_bf16x3_every_layout_agrees_with_the_triple_loop)
{
    static const ProductShape shapes[] = {{2, 3, 5}, {33, 32, 32}, {13, 37, 0}, {29, 65, 47}};
    reserve_for(2);
    assert_layouts(&IN_BF16X3, shapes, sizeof shapes / sizeof *shapes, test_is_instrumented() ? 59 : 11);
}
END_TEST

START_TEST(test_matmul_bf16x3_sizes_beyond_every_block_agree_with_the_triple_loop)
{
    static const ProductShape shapes[] = {{197, 61, 53}, {17, 67, 1211}, {20, 2100, 31}};
    reserve_for(2);
    assert_forms(&IN_BF16X3, shapes, test_is_instrumented() ? 1 : sizeof shapes / sizeof *shapes, 4);
}
END_TEST

START_TEST(test_matmul_bf16x3_is_the_same_for_any_number_of_threads)
{
    enum { M = 170, N = 133, K = 611 };
    const TestMatrix a = test_matrix(ROW_MAJOR, M, K), b = test_matrix(COLUMN_MAJOR, K, N);
    float *one = malloc(M * N * sizeof *one), *more = malloc(M * N * sizeof *more);
    ck_assert(one && more);
    FOR_EACH_ISA (isa)
        for (int threads = 1; threads <= 3; threads++) {
            reserve_for(threads);
            matmul_bf16x3((Matrix){threads == 1 ? one : more, N, 1}, test_matrix_input(&a), test_matrix_input(&b), M, N,
                          K, 1, 0);
            ck_assert_msg(threads == 1 || memcmp(one, more, M * N * sizeof *one) == 0, "%s: differs with %d threads",
                          isa_name(isa), threads);
        }
    free(one);
    free(more);
    free(a.storage);
    free(b.storage);
}
END_TEST

/* It is between bfloat16 and float32: it keeps what bfloat16 loses, and loses what float32 keeps. */
START_TEST(test_matmul_bf16x3_keeps_sixteen_bits)
{
    enum { N = 32 };
    static float a[N * N], identity[N * N], c[N * N];
    reserve_for(1);
    for (size_t i = 0; i < N; i++)
        identity[i * N + i] = 1;
    FOR_EACH_ISA (isa) {
        for (size_t i = 0; i < (size_t)N * N; i++)
            a[i] = 1 + 0x1p-14f + 0x1p-23f;
        matmul_bf16x3((Matrix){c, N, 1}, (ConstMatrix){a, N, 1}, (ConstMatrix){identity, N, 1}, N, N, N, 1, 0);
        for (size_t i = 0; i < (size_t)N * N; i++)
            ck_assert_msg(c[i] == 1 + 0x1p-14f, "%s: %a", isa_name(isa), (double)c[i]);
    }
}
END_TEST

/* ---- the unit beside its twin ---- */

/* It asks the unit itself: isa_in_use() would choose an instruction set for the tests of CS336_ISA, which run later. */
static const char *no_matrix_unit(void)
{
    return tile_unit() == TILE_UNIT_ALLOWED ? NULL : "this CPU has no matrix unit (AMX) that programs may use";
}

typedef void Multiply(Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k, float alpha, float beta);

/* With alpha = 1 and beta = 0 nothing rounds but the tiles, so the twin gives the unit's bytes. */
START_TEST(test_matrix_unit_and_its_twin_give_the_same_bytes)
{
    enum { M = 67, N = 130, K = 701 };
    static Multiply *const products[] = {matmul, matmul_bf16, matmul_bf16x3};
    static float a[M * K], b[K * N], unit[M * N], twin[M * N];
    for (int range = 0; range < 30; range += 10)
        for (size_t p = 0; p < sizeof products / sizeof *products; p++)
            for (int form = 0; form < 4; form++) {
                random_fill(a, M * K);
                random_fill(b, K * N);
                for (size_t i = 0; i < M * K; i++)
                    a[i] = scaled(a[i], -range, range);
                const ConstMatrix left = form & 1 ? (ConstMatrix){a, 1, M} : (ConstMatrix){a, K, 1};
                const ConstMatrix right = form & 2 ? (ConstMatrix){b, 1, K} : (ConstMatrix){b, N, 1};
                ck_assert(isa_choose(ISA_AMX));
                reserve_for(2);
                products[p]((Matrix){unit, N, 1}, left, right, M, N, K, 1, 0);
                ck_assert(isa_choose(ISA_AMX_EMULATED));
                products[p]((Matrix){twin, N, 1}, left, right, M, N, K, 1, 0);
                ck_assert_msg(memcmp(unit, twin, sizeof unit) == 0, "product %zu, form %d, range %d: the bytes differ",
                              p, form, range);
            }
}
END_TEST

const TestCase matmul_split_tests[] = {
    TEST(test_matmul_of_parts_is_no_less_exact_than_multiply_adds, "kernels"),
    TEST(test_matmul_with_the_identity_is_exact, "kernels"),
    TEST(test_matmul_special_numbers_stay_in_their_rows, "kernels"),
    TEST(test_matmul_bf16x3_every_layout_agrees_with_the_triple_loop, "kernels"),
    TEST(test_matmul_bf16x3_sizes_beyond_every_block_agree_with_the_triple_loop, "kernels"),
    TEST(test_matmul_bf16x3_is_the_same_for_any_number_of_threads, "kernels"),
    TEST(test_matmul_bf16x3_keeps_sixteen_bits, "kernels"),
    TEST_UNLESS(test_matrix_unit_and_its_twin_give_the_same_bytes, "kernels", no_matrix_unit),
    {0},
};
