#define _POSIX_C_SOURCE 200809L

#include "kernels/isa.h"
#include "kernels/vecmath.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/kernels.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the instruction set ---- */

START_TEST(test_isa_every_cpu_has_portable_vectors)
{
    ck_assert(isa_choose(ISA_PORTABLE));
    ck_assert_int_eq(isa_in_use(), ISA_PORTABLE);
    ck_assert_str_eq(isa_name(isa_in_use()), PORTABLE_VECTORS);
}
END_TEST

START_TEST(test_isa_override_is_obeyed)
{
    setenv("CS336_ISA", "portable", 1);
    assert_ok(isa_check_override());
    ck_assert_int_eq(isa_in_use(), ISA_PORTABLE);
}
END_TEST

START_TEST(test_isa_unknown_override_is_reported_and_passed_over)
{
    unsetenv("CS336_ISA");
    assert_ok(isa_check_override());
    setenv("CS336_ISA", "sse9", 1);
    char expected[160];
    snprintf(expected, sizeof expected,
             "CS336_ISA: unknown value \"sse9\", expected amx, avx512_bf16, avx512, avx2, portable or "
             "amx-emulated, using %s",
             isa_name(isa_in_use()));
    assert_fails(isa_check_override(), CS336_ERANGE, expected);
}
END_TEST

START_TEST(test_isa_override_beyond_the_cpu_is_reported)
{
    static const char *const names[] = {"portable", "avx2", "avx512", "avx512_bf16", "amx", "amx-emulated"};
    if (isa_matrix_unit_is_refused())
        return; /* another message: test_isa_without_permission_is_the_next_best */
    const Isa best = isa_in_use();
    for (int isa = 0; isa < ISA_COUNT; isa++) {
        setenv("CS336_ISA", names[isa], 1);
        test_label("%s", names[isa]);
        if (isa_choose((Isa)isa)) {
            assert_ok(isa_check_override());
            continue;
        }
        char expected[160];
        snprintf(expected, sizeof expected, "CS336_ISA: this CPU does not have %s, using %s", names[isa],
                 isa_name(best));
        assert_fails(isa_check_override(), CS336_ERANGE, expected);
    }
}
END_TEST

/* ---- rows of floats ---- */

enum { LONGEST_ROW = 200 };

/* Returns the error of `actual` in units in the last place (ulps) of the exact result. */
static double ulps(float actual, double exact)
{
    const double size = fabs(exact);
    const double unit = size > (double)FLT_MIN ? ldexp(1, ilogb(size) - 23) : 0x1p-149;
    return fabs((double)actual - exact) / unit;
}

START_TEST(test_vec_exp_is_within_two_ulps_of_libm_everywhere)
{
    enum { COUNT = 4096 };
    static float x[COUNT], y[COUNT];
    const uint32_t step = test_is_instrumented() ? 60013 : 4001;
    FOR_EACH_ISA (isa) {
        double worst = 0;
        float worst_at = 0;
        for (uint64_t bits = 0; bits <= UINT32_MAX; bits += (uint64_t)COUNT * step) {
            for (size_t i = 0; i < COUNT; i++) {
                const uint32_t pattern = (uint32_t)(bits + i * step);
                memcpy(&x[i], &pattern, sizeof pattern);
            }
            vecmath()->exp_shifted(y, x, 0, COUNT);
            for (size_t i = 0; i < COUNT; i++) {
                const double exact = exp((double)x[i]);
                if (isnan(x[i]) || (float)exact == INFINITY) {
                    ck_assert_msg(isnan(x[i]) ? isnan(y[i]) : y[i] == INFINITY, "%s: exp(%g) is %g", isa_name(isa),
                                  (double)x[i], (double)y[i]);
                } else if (!(ulps(y[i], exact) <= worst)) {
                    worst = ulps(y[i], exact);
                    worst_at = x[i];
                }
            }
        }
        ck_assert_msg(worst <= 2, "%s: exp(%.9g) is off by %g ulps", isa_name(isa), (double)worst_at, worst);
    }
}
END_TEST

/* A build that assumes that there are no NaN and no infinities (-ffast-math) fails here. Masks are -inf. */
START_TEST(test_infinities_and_nan_survive_the_compiler)
{
    const float special[] = {-INFINITY, INFINITY, NAN, 0.0f, -0.0f, 89, -104, 88.5f};
    const float wanted[] = {0, INFINITY, NAN, 1, 1, INFINITY, 0, expf(88.5f)};
    FOR_EACH_ISA (isa) {
        for (size_t n = 1; n < 40; n++) {
            for (size_t s = 0; s < sizeof special / sizeof *special; s++) {
                volatile float source = special[s];
                test_label("%zu times %g on %s", n, (double)source, isa_name(isa));
                float x[40], y[40];
                for (size_t i = 0; i < n; i++)
                    x[i] = source;
                vecmath()->exp_shifted(y, x, 0, n);
                for (size_t i = 0; i < n; i++)
                    ck_assert(isnan(wanted[s]) ? isnan(y[i]) : ulps(y[i], (double)wanted[s]) <= 2 || y[i] == wanted[s]);
            }
        }
        test_label("%s", isa_name(isa));
        volatile float not_a_number = NAN, low = -INFINITY;
        const float row[5] = {1, not_a_number, low, 2, low};
        ck_assert_float_eq(vecmath()->max(row, 5), 2);
        ck_assert_float_eq(vecmath()->max(row + 1, 2), low);
        ck_assert(isinf(vecmath()->max(row, 0)));
        ck_assert(isnan(vecmath()->dot(row, row, 5)) && isinf(vecmath()->dot(row + 2, row + 2, 3)));
        float y[5];
        ck_assert_float_eq(vecmath()->exp_shifted(y, row + 2, 2, 3), 1);
        ck_assert(y[0] == 0 && y[1] == 1 && y[2] == 0);
        ck_assert(isnan(vecmath()->exp_shifted(y, row, 2, 5)) && isnan(y[1]));
        ck_assert(isnan(vecmath()->exp_shifted(NULL, &row[2], low, 1)));
        vecmath()->swiglu(y, row, NULL, 5);
        ck_assert(isnan(y[1]) && !isnan(y[0]));
    }
}
END_TEST

START_TEST(test_vec_functions_agree_with_double_precision_at_every_length)
{
    float numbers[3][LONGEST_ROW + 4];
    random_fill(numbers[0], LONGEST_ROW + 4);
    random_fill(numbers[1], LONGEST_ROW + 4);
    FOR_EACH_ISA (isa) {
        for (size_t n = 0; n < LONGEST_ROW; n++) {
            test_label("n = %zu on %s", n, isa_name(isa));
            const float *x = numbers[0] + n % 3, *y = numbers[1] + n % 2; /* aligned or not */
            float *out = numbers[2] + n % 4;
            double dot = 0, exps = 0, expected[4][LONGEST_ROW];
            float max = -INFINITY;
            for (size_t i = 0; i < n; i++) {
                dot += (double)x[i] * (double)y[i];
                exps += expected[0][i] = exp((double)x[i] - 0.5);
                expected[1][i] = (double)x[i] / (1 + exp(-(double)x[i]));
                expected[2][i] = -1.5 * (double)x[i];
                expected[3][i] = (double)y[i] - 1.5 * (double)x[i];
                max = x[i] > max ? x[i] : max;
            }
            const double atol = 1e-6 * sqrt((double)n);
            ck_assert_double_le(fabs((double)vecmath()->dot(x, y, n) - dot), atol);
            ck_assert_double_le(fabs((double)vecmath()->exp_shifted(NULL, x, 0.5f, n) - exps), 1e-6 * exps);
            ck_assert(vecmath()->max(x, n) == max);
            out[n] = 77;
            ck_assert_double_le(fabs((double)vecmath()->exp_shifted(out, x, 0.5f, n) - exps), 1e-6 * exps);
            assert_allclose_double("exp_shifted", out, expected[0], n, 5e-7, 0);
            vecmath()->swiglu(out, x, NULL, n);
            assert_allclose_double("silu", out, expected[1], n, 5e-7, 0);
            vecmath()->scale(out, -1.5f, x, n);
            assert_allclose_double("scale", out, expected[2], n, 1e-7, 0);
            memcpy(out, y, n * sizeof *out);
            vecmath()->axpy(out, -1.5f, x, n);
            assert_allclose_double("axpy", out, expected[3], n, 1e-6, 1e-7);
            ck_assert_msg(out[n] == 77, "written beyond %zu", n);
        }
    }
}
END_TEST

START_TEST(test_vec_functions_work_in_place)
{
    float x[37], expected[37];
    FOR_EACH_ISA (isa) {
        test_label("%s", isa_name(isa));
        random_fill(x, 37);
        vecmath()->swiglu(expected, x, NULL, 37);
        vecmath()->swiglu(x, x, NULL, 37);
        ck_assert_mem_eq(x, expected, sizeof x);
        vecmath()->exp_shifted(expected, x, 1, 37);
        vecmath()->exp_shifted(x, x, 1, 37);
        ck_assert_mem_eq(x, expected, sizeof x);
    }
}
END_TEST

const TestCase kernels_tests[] = {
    TEST(test_isa_every_cpu_has_portable_vectors, "kernels"),
    TEST(test_isa_override_is_obeyed, "kernels"),
    TEST(test_isa_unknown_override_is_reported_and_passed_over, "kernels"),
    TEST(test_isa_override_beyond_the_cpu_is_reported, "kernels"),
    TEST(test_vec_exp_is_within_two_ulps_of_libm_everywhere, "kernels"),
    TEST(test_infinities_and_nan_survive_the_compiler, "kernels"),
    TEST(test_vec_functions_agree_with_double_precision_at_every_length, "kernels"),
    TEST(test_vec_functions_work_in_place, "kernels"),
    {0},
};
