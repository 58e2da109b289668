/* Tiles: the twin of the matrix unit against Intel's pseudocode, and the permission to use the unit. */
#define _POSIX_C_SOURCE 200809L
#include "kernels/isa.h"
#include "kernels/tile.h"
#include "kernels/tile_unit.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/kernels.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the definition ---- */

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Denormals are zero. fmaf() rounds once, as the unit does. */
static float without_denormals(float x)
{
    return fabsf(x) < FLT_MIN ? copysignf(0, x) : x;
}

static float bfloat16(uint16_t bits)
{
    return without_denormals(float_of((uint32_t)bits << 16));
}

/* Element (m, n) of c + a b, for tiles as they are in memory: the pseudocode of TDPBF16PS. */
static float by_definition(float c, const uint16_t a[16][32], const uint16_t b[16][32], size_t m, size_t n)
{
    float even = 0, odd = 0;
    for (size_t k = 0; k < 16; k++) {
        even = without_denormals(fmaf(bfloat16(a[m][2 * k]), bfloat16(b[k][2 * n]), even));
        odd = without_denormals(fmaf(bfloat16(a[m][2 * k + 1]), bfloat16(b[k][2 * n + 1]), odd));
    }
    return without_denormals(without_denormals(c) + without_denormals(even + odd));
}

/* ---- the twin ---- */

/* How exponents are drawn: uniform in [least, most], of the float32 format, where 0 is a denormal and 255 no number. */
typedef struct {
    uint32_t least, most;
} Exponents;

static uint32_t random_number(Exponents exponents)
{
    const uint32_t exponent = exponents.least + (uint32_t)random_below(exponents.most - exponents.least + 1);
    const uint32_t bits = random_bits();
    return random_below(16) == 0 ? bits & 0x80000000 : (bits & 0x807fffff) | exponent << 23;
}

static void assert_multiply(Exponents exponents)
{
    uint16_t a[16][32], b[16][32];
    float c[16][16], sum[16][16];
    for (size_t i = 0; i < 16; i++)
        for (size_t j = 0; j < 32; j++) {
            a[i][j] = (uint16_t)(random_number(exponents) >> 16);
            b[i][j] = (uint16_t)(random_number(exponents) >> 16);
            c[i][j / 2] = float_of(random_number(exponents));
        }
    static Tiles tiles;
    tile_configure(&tiles);
    tile_load(&tiles, 2, c, TILE_ROW_BYTES);
    tile_load(&tiles, 5, a, TILE_ROW_BYTES);
    tile_load(&tiles, 7, b, TILE_ROW_BYTES);
    tile_multiply_add(&tiles, 2, 5, 7);
    tile_store(&tiles, 2, sum, TILE_ROW_BYTES);
    tile_release(&tiles);
    for (size_t m = 0; m < 16; m++)
        for (size_t n = 0; n < 16; n++) {
            const float expected = by_definition(c[m][n], (const uint16_t(*)[32])a, (const uint16_t(*)[32])b, m, n);
            const bool same = memcmp(&sum[m][n], &expected, sizeof expected) == 0;
            ck_assert_msg(isnan(expected) ? isnan(sum[m][n]) : same,
                          "exponents %u to %u: [%zu, %zu] is %a, the pseudocode gives %a", exponents.least,
                          exponents.most, m, n, (double)sum[m][n], (double)expected);
        }
}

START_TEST(test_tile_multiply_add_follows_the_pseudocode)
{
    static const Exponents cases[] = {
        {120, 130}, /* near 1 */
        {72, 182},  /* all that count as usual, */
        {60, 194},  /* and more */
        {0, 20},    /* denormals, and products that are */
        {50, 70},   /* sums that are denormal, */
        {54, 70},   /* with fewer zeros between them */
        {190, 191}, /* products that are too large for float32, in sums that are not */
        {230, 254}, /* sums that overflow */
        {0, 255},   /* everything, also infinities and NaN */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int round = 0; round < (test_is_instrumented() ? 2 : 20); round++)
            assert_multiply(cases[i]);
}
END_TEST

/* Only sums with one infinity: random numbers of all kinds nearly always give NaN. */
START_TEST(test_tile_infinities_go_where_they_belong)
{
    uint16_t a[16][32] = {{0}}, b[16][32] = {{0}};
    float sum[16][16];
    static Tiles tiles;
    a[3][8] = 0x7f80;     /* a[3, 8] is infinite, */
    b[4][2 * 5] = 0xbf80; /* b[8, 5] is -1, b[8, 6] is 2, and all others are 0 */
    b[4][2 * 6] = 0x4000;
    tile_configure(&tiles);
    tile_load(&tiles, 1, a, TILE_ROW_BYTES);
    tile_load(&tiles, 2, b, TILE_ROW_BYTES);
    tile_zero(&tiles, 0);
    tile_multiply_add(&tiles, 0, 1, 2);
    tile_store(&tiles, 0, sum, TILE_ROW_BYTES);
    for (size_t m = 0; m < 16; m++)
        for (size_t n = 0; n < 16; n++) {
            const float x = sum[m][n];
            const bool right = m != 3 ? x == 0 : n == 5 ? x == -INFINITY : n == 6 ? x == INFINITY : isnan(x);
            ck_assert_msg(right, "[%zu, %zu] is %g", m, n, (double)x);
        }
}
END_TEST

/* A result is denormal if it is below 2^-126 when it is rounded to 24 bits, although float32 has no such bits there. */
START_TEST(test_tile_flushes_what_is_denormal_after_rounding)
{
    static const struct {
        float c, product; /* the product is a power of two, made of two factors */
        float sum;
    } cases[] = {
        {0x1p-126f, -0x1p-149f, 0},         /* 2^-126 - 2^-149 is denormal */
        {0x1p-125f, -0x1p-126f, 0x1p-126f}, /* the least normal number */
        {-0x1p-126f, 0x1.8p-127f, -0.f},    /* the product itself is denormal, but the sum is taken before */
        {0x1p-127f, 0x1p-100f, 0x1p-100f},  /* a denormal old value */
    };
    static Tiles tiles;
    ck_assert(tile_rounded(0x1p-126 - 0x1.4p-151) == 0);
    ck_assert(tile_rounded(0x1p-126 - 0x1p-151) == (double)0x1p-126f);
    ck_assert(signbit(tile_rounded(-0x1p-127)));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint16_t a[16][32] = {{0}}, b[16][32] = {{0}};
        float sum[16][16] = {{0}};
        const float left = ldexpf(1, -60), right = ldexpf(cases[i].product, 60);
        uint32_t bits;
        memcpy(&bits, &left, sizeof bits);
        a[0][0] = (uint16_t)(bits >> 16);
        memcpy(&bits, &right, sizeof bits);
        b[0][0] = (uint16_t)(bits >> 16);
        sum[0][0] = cases[i].c;
        tile_load(&tiles, 0, sum, TILE_ROW_BYTES);
        tile_load(&tiles, 1, a, TILE_ROW_BYTES);
        tile_load(&tiles, 2, b, TILE_ROW_BYTES);
        tile_multiply_add(&tiles, 0, 1, 2);
        tile_store(&tiles, 0, sum, TILE_ROW_BYTES);
        const float expected = by_definition(cases[i].c, (const uint16_t(*)[32])a, (const uint16_t(*)[32])b, 0, 0);
        ck_assert_msg(sum[0][0] == expected, "case %zu: %a, expected %a", i, (double)sum[0][0], (double)expected);
    }
}
END_TEST

START_TEST(test_tile_rows_lie_any_distance_apart)
{
    enum { STRIDE = 23 };
    float from[16 * STRIDE], to[16 * STRIDE];
    static Tiles tiles;
    random_fill(from, 16 * STRIDE);
    for (size_t i = 0; i < 16 * STRIDE; i++)
        to[i] = 7;
    tile_configure(&tiles);
    tile_load(&tiles, 6, from, STRIDE * sizeof *from);
    tile_store(&tiles, 6, to, STRIDE * sizeof *to);
    for (size_t i = 0; i < 16 * STRIDE; i++)
        ck_assert_float_eq(to[i], i % STRIDE < 16 ? from[i] : 7);
    tile_zero(&tiles, 6);
    tile_store(&tiles, 6, to, STRIDE * sizeof *to);
    for (size_t i = 0; i < 16 * STRIDE; i++)
        ck_assert_float_eq(to[i], i % STRIDE < 16 ? 0 : 7);
}
END_TEST

/* ---- the permission ---- */

static int asked;

static bool grant(void)
{
    asked++;
    return true;
}

static bool refuse(void)
{
    asked++;
    return false;
}

START_TEST(test_tile_unit_needs_cpu_system_and_permission)
{
    asked = 0;
    ck_assert_int_eq(tile_unit_decide(false, false, grant), TILE_UNIT_ABSENT);
    ck_assert_int_eq(tile_unit_decide(false, true, grant), TILE_UNIT_ABSENT);
    ck_assert_int_eq(tile_unit_decide(true, false, grant), TILE_UNIT_REFUSED);
    ck_assert_int_eq(asked, 0);
    ck_assert_int_eq(tile_unit_decide(true, true, refuse), TILE_UNIT_REFUSED);
    ck_assert_int_eq(tile_unit_decide(true, true, grant), TILE_UNIT_ALLOWED);
    ck_assert_int_eq(asked, 2);
}
END_TEST

START_TEST(test_isa_without_permission_is_the_next_best)
{
    tile_unit_pretend(TILE_UNIT_REFUSED);
    ck_assert(isa_matrix_unit_is_refused());
    ck_assert(!isa_choose(ISA_AMX));
    ck_assert_int_lt(isa_in_use(), ISA_AMX);
    setenv("CS336_ISA", "amx", 1);
    char expected[160];
    snprintf(expected, sizeof expected,
             "CS336_ISA: this CPU has amx, but its system does not let programs use it, using %s",
             isa_name(isa_in_use()));
    assert_fails(isa_check_override(), CS336_ERANGE, expected);
    tile_unit_pretend(TILE_UNIT_ABSENT);
    ck_assert(!isa_matrix_unit_is_refused());
    ck_assert(!isa_choose(ISA_AMX));
    snprintf(expected, sizeof expected, "CS336_ISA: this CPU does not have amx, using %s", isa_name(isa_in_use()));
    assert_fails(isa_check_override(), CS336_ERANGE, expected);
}
END_TEST

START_TEST(test_isa_emulated_amx_is_everywhere_and_never_the_best)
{
    unsetenv("CS336_ISA");
    ck_assert_int_ne(isa_in_use(), ISA_AMX_EMULATED);
    ck_assert(isa_choose(ISA_AMX_EMULATED));
    setenv("CS336_ISA", "amx-emulated", 1);
    assert_ok(isa_check_override());
}
END_TEST

const TestCase tile_tests[] = {
    TEST(test_tile_multiply_add_follows_the_pseudocode, "kernels"),
    TEST(test_tile_infinities_go_where_they_belong, "kernels"),
    TEST(test_tile_flushes_what_is_denormal_after_rounding, "kernels"),
    TEST(test_tile_rows_lie_any_distance_apart, "kernels"),
    TEST(test_tile_unit_needs_cpu_system_and_permission, "kernels"),
    TEST(test_isa_without_permission_is_the_next_best, "kernels"),
    TEST(test_isa_emulated_amx_is_everywhere_and_never_the_best, "kernels"),
    {0},
};
