/* Reading a log as curves, and thinning curves out. */
#include "core/rng.h"
#include "inspect/run_curves.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void write_text(const char *path, const char *text)
{
    write_file(path, text, strlen(text));
}

/* ---- logs ---- */

/* Fails unless the curve has these points: pairs of line and value, where NAN expects NaN. */
static void assert_curve(const RunCurves *curves, const char *name, size_t count, const double (*points)[2])
{
    const Curve *curve = run_curves_find(curves, name);
    ck_assert_msg(curve != NULL, "no curve %s", name);
    ck_assert_msg(curve->count == count, "%s has %zu points, expected %zu", name, curve->count, count);
    for (size_t i = 0; i < count; i++) {
        const double value = curve->points[i].value;
        ck_assert_uint_eq(curve->points[i].line, (size_t)points[i][0]);
        ck_assert_msg(isnan(points[i][1]) ? isnan(value) : value == points[i][1], "%s[%zu] is %g", name, i, value);
        ck_assert(isnan(value) ? isnan(curve_at(curve, (size_t)points[i][0]))
                               : curve_at(curve, (size_t)points[i][0]) == value);
    }
}

START_TEST(test_a_log_is_read_as_curves)
{
    const char *path = temp_path("log.jsonl");
    RunCurves curves;
    write_text(path, "{\"step\":10,\"train_loss\":2.5,\"note\":\"x\",\"ok\":true}\n"
                     "{\"step\":20,\"train_loss\":null,\"val_loss\":2.25,\"norms\":{\"weights\":[1,2.5],\"out\":3}}\n"
                     "{\"step\":30,\"val_loss\":null,\"train_loss\":1.5,\"norms\":{\"weights\":[4]}}\n"
                     "{\"step\":40,\"train_loss\":1.2");
    assert_ok(run_curves_read(&curves, path));
    ck_assert_uint_eq(curves.summary.lines, 3);
    ck_assert_uint_eq(curves.count, 6);
    assert_curve(&curves, "step", 3, (const double[][2]){{0, 10}, {1, 20}, {2, 30}});
    assert_curve(&curves, "train_loss", 3, (const double[][2]){{0, 2.5}, {1, (double)NAN}, {2, 1.5}});
    assert_curve(&curves, "val_loss", 2, (const double[][2]){{1, 2.25}, {2, (double)NAN}});
    assert_curve(&curves, "norms.weights.0", 2, (const double[][2]){{1, 1}, {2, 4}});
    assert_curve(&curves, "norms.weights.1", 1, (const double[][2]){{1, 2.5}});
    assert_curve(&curves, "norms.out", 1, (const double[][2]){{1, 3}});
    ck_assert(isnan(curve_at(run_curves_find(&curves, "norms.out"), 0)));
    ck_assert(isnan(curve_at(run_curves_find(&curves, "norms.out"), 2)));
    ck_assert_ptr_null(run_curves_find(&curves, "note"));
    run_curves_deinit(&curves);
    /* A run that has begun and has no line yet; damaged lines at the end, as a crash of the machine leaves. */
    static const struct {
        const char *text;
        size_t lines;
    } cases[] = {{"", 0}, {"{\"step\":1", 0}, {"{\"step\":1}\n\x01\x02\n[]\n", 1}, {"{\"step\":7}\n{\"step\":7}\n", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text(path, cases[i].text);
        assert_ok(run_curves_read(&curves, path));
        ck_assert_uint_eq(curves.summary.lines, cases[i].lines);
        run_curves_deinit(&curves);
    }
}
END_TEST

/* Two keys with one name on the page: "a.b" and "b" inside "a". */
START_TEST(test_a_log_has_one_number_a_line_and_name)
{
    RunCurves curves;
    const char *path = temp_path("log.jsonl");
    write_text(path, "{\"step\":1,\"a.b\":1,\"a\":{\"b\":2,\"c\":{\"d\":{\"e\":{\"f\":5}}}}}\n");
    assert_ok(run_curves_read(&curves, path));
    assert_curve(&curves, "a.b", 1, (const double[][2]){{0, 2}});
    ck_assert_uint_eq(curves.count, 2); /* numbers five objects deep are left out */
    run_curves_deinit(&curves);
}
END_TEST

START_TEST(test_damaged_logs)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"step\":1}\n{\"step\":2,}\n{\"step\":3}\n", ": line 2 is not a JSON object with a step"},
        {"garbage\n", ": line 1 is not a JSON object with a step"},
        {"{\"loss\":1}\n", ": line 1 is not a JSON object with a step"},
        {"{\"step\":-1}\n", ": line 1 is not a JSON object with a step"},
        {"{\"step\":1}\n[2]\n{\"step\":1.5}\n{\"step\":3}\n", ": line 2 is not a JSON object with a step"},
        {"{\"step\":5}\n{\"step\":4}\n", ": line 2 has step 4, expected at least the 5 of the line before"},
    };
    const char *path = temp_path("log.jsonl");
    RunCurves curves;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_label("case %zu", i);
        write_text(path, cases[i].text);
        assert_path_fails(run_curves_read(&curves, path), CS336_EFORMAT, path, cases[i].message);
        ck_assert_uint_eq(curves.count, 0);
    }
    char *wide = malloc(32 * (RUN_CURVES_MAX + 1));
    size_t length = (size_t)sprintf(wide, "{\"step\":1");
    for (int i = 0; i < RUN_CURVES_MAX; i++)
        length += (size_t)sprintf(wide + length, ",\"q%d\":1", i);
    sprintf(wide + length, "}\n");
    write_text(path, wide);
    free(wide);
    assert_path_fails(run_curves_read(&curves, path), CS336_EFORMAT, path,
                      ": line 1 has one more quantity, expected at most 1024");
}
END_TEST

static Status read_log(void *path)
{
    RunCurves curves;
    const Status s = run_curves_read(&curves, path);
    if (!s)
        run_curves_deinit(&curves);
    return s;
}

START_TEST(test_reading_a_log_without_memory)
{
    char path[512];
    snprintf(path, sizeof path, "%s", temp_path("log.jsonl"));
    write_text(path, "{\"step\":1,\"a\":1,\"b\":2}\n{\"step\":2,\"a\":1,\"c\":2}\n");
    assert_allocation_failures_are_clean(read_log, path);
}
END_TEST

/* ---- thinning ---- */

/* A random curve: noise of few different values, so that extremes occur several times, and some NaN. */
static Curve random_curve(Rng *rng, size_t count)
{
    Curve curve = {.points = calloc(count + 1, sizeof *curve.points), .count = count};
    for (size_t i = 0; i < count; i++)
        curve.points[i] = (CurvePoint){.line = 3 * i + rng_below(rng, 3),
                                       .value = rng_below(rng, 8) == 0 ? (double)NAN : (double)rng_below(rng, 20)};
    return curve;
}

/* Fails unless one of the kept points, which lie in the lines first ... last, has the value. */
static void assert_kept(const CurvePoint *kept, size_t count, size_t first, size_t last, double value)
{
    for (size_t i = 0; i < count; i++)
        if (kept[i].line >= first && kept[i].line <= last &&
            (isnan(value) ? isnan(kept[i].value) : kept[i].value == value))
            return;
    ck_abort_msg("no point with %g is kept in the lines %zu to %zu", value, first, last);
}

/* Whole numbers of points a stretch, so that the test needs no rounding of its own: it looks at each stretch. */
START_TEST(test_thinning_keeps_extremes)
{
    Rng rng = rng_seeded(1);
    for (size_t round = 0; round < 300; round++) {
        const size_t stretches = 1 + rng_below(&rng, 12), each = 6 + rng_below(&rng, 30), count = stretches * each;
        const Curve curve = random_curve(&rng, count);
        CurvePoint *kept = calloc(3 * stretches + 2, sizeof *kept);
        const size_t left = curve_thin(kept, &curve, stretches);
        test_label("round %zu: %zu points in %zu stretches", round, count, stretches);
        ck_assert_uint_le(left, 3 * stretches + 2);
        /* They are points of the curve, in order, from the first to the last. */
        size_t place = 0;
        for (size_t i = 0; i < left; i++) {
            while (place < count && memcmp(&curve.points[place], &kept[i], sizeof *kept) != 0)
                place++;
            ck_assert_msg(place++ < count, "kept point %zu is no later point of the curve", i);
        }
        ck_assert_uint_eq(kept[0].line, curve.points[0].line);
        ck_assert_uint_eq(kept[left - 1].line, curve.points[count - 1].line);
        for (size_t begin = 0; begin < count; begin += each) {
            double low = INFINITY, high = -INFINITY;
            bool nan = false;
            for (size_t i = begin; i < begin + each; i++) {
                const double value = curve.points[i].value;
                nan = nan || isnan(value);
                low = value < low ? value : low;
                high = value > high ? value : high;
            }
            const size_t first = curve.points[begin].line, last = curve.points[begin + each - 1].line;
            if (low <= high) {
                assert_kept(kept, left, first, last, low);
                assert_kept(kept, left, first, last, high);
            }
            if (nan)
                assert_kept(kept, left, first, last, (double)NAN);
        }
        free(kept);
        free(curve.points);
    }
}
END_TEST

START_TEST(test_short_curves_are_kept_whole)
{
    Rng rng = rng_seeded(2);
    for (size_t count = 0; count <= 20; count++) {
        const Curve curve = random_curve(&rng, count);
        CurvePoint kept[20];
        ck_assert_uint_eq(curve_thin(kept, &curve, 6), count);
        ck_assert_int_eq(memcmp(kept, curve.points, count * sizeof *kept), 0);
        free(curve.points);
    }
    /* Any number of points: no stretch is empty, none is read twice. */
    for (size_t count = 21; count < 200; count++) {
        const Curve curve = random_curve(&rng, count);
        CurvePoint kept[20];
        const size_t left = curve_thin(kept, &curve, 6);
        ck_assert_uint_le(left, 20);
        for (size_t i = 1; i < left; i++)
            ck_assert_uint_lt(kept[i - 1].line, kept[i].line);
        free(curve.points);
    }
}
END_TEST

const TestCase run_curves_tests[] = {
    TEST(test_a_log_is_read_as_curves, "report"),
    TEST(test_a_log_has_one_number_a_line_and_name, "report"),
    TEST(test_damaged_logs, "report"),
    TEST(test_reading_a_log_without_memory, "report"),
    TEST(test_thinning_keeps_extremes, "report"),
    TEST(test_short_curves_are_kept_whole, "report"),
    {0},
};
