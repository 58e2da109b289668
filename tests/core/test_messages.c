/*
 * What tests say when they fail. A test that fails runs in a child process, as the runner would run it. Then the
 * message is compared, and the line that Check names must be the statement that failed.
 */
#define _POSIX_C_SOURCE 200809L
#include "tests/support/suite.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Returns the text of a line of a source file without the blanks around it. */
static const char *source_line(const char *file, int number)
{
    static char line[256];
    FILE *stream = fopen(file, "r");
    ck_assert_msg(stream != NULL, "cannot read %s", file);
    for (int i = 0; i < number; i++)
        ck_assert_msg(fgets(line, sizeof line, stream) != NULL, "%s has no line %d", file, number);
    fclose(stream);
    line[strcspn(line, "\n")] = '\0';
    return line + strspn(line, " ");
}

/* Fails unless the failing test is reported in that file, at the line that is the statement, with the message. */
static void assert_report(const TTest *failing, const char *file, const char *statement, const char *message)
{
    /* The variables of Check that select tests or write reports are meant for the runner. */
    static const char *const variables[] = {"CK_RUN_SUITE",         "CK_RUN_CASE",       "CK_INCLUDE_TAGS",
                                            "CK_EXCLUDE_TAGS",      "CK_LOG_FILE_NAME",  "CK_TAP_LOG_FILE_NAME",
                                            "CK_XML_LOG_FILE_NAME", "CK_DEFAULT_TIMEOUT"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    test_label_end(); /* the child process would inherit the label */
    Suite *suite = suite_create("failing");
    TCase *tc = tcase_create(failing->name);
    tcase_set_timeout(tc, 100);
    tcase_add_test(tc, failing);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_FORK);
    srunner_run_all(runner, CK_SILENT);
    test_label("%s", failing->name);
    ck_assert_int_eq(srunner_ntests_failed(runner), 1);
    TestResult **results = srunner_failures(runner);
    ck_assert_int_eq(tr_rtype(results[0]), CK_FAILURE);
    ck_assert_str_eq(tr_msg(results[0]), message);
    ck_assert_str_eq(tr_lfile(results[0]), file);
    ck_assert_str_eq(source_line(tr_lfile(results[0]), tr_lno(results[0])), statement);
    free(results);
    srunner_free(runner);
}

/* ---- comparisons of arrays ---- */

enum { A = 2, B = 3, C = 4, COUNT = A * B * C };

static float numbers[COUNT], expected[COUNT];
static double wide[COUNT];

/* The numbers 0 .. 23 in all arrays. */
static void fill_arrays(void)
{
    for (size_t i = 0; i < COUNT; i++)
        wide[i] = (double)(numbers[i] = expected[i] = (float)i);
}

START_TEST(fails_in_two_elements)
{
    fill_arrays();
    const Tensor y = tensor(numbers, A, B, C);
    numbers[1] = 1.5F;
    numbers[1 * B * C + 2 * C + 3] = 21.5F; /* 23 is expected: a greater difference */
    assert_allclose(y, tensor(expected, A, B, C), 0, 1e-3);
}
END_TEST

START_TEST(fails_in_a_transposed_view)
{
    fill_arrays();
    numbers[1 * C + 2] = 7;
    const Tensor view = tensor_transpose(tensor(numbers, B, C), 0, 1);
    assert_allclose(view, tensor_transpose(tensor(expected, B, C), 0, 1), 0, 0.5);
}
END_TEST

START_TEST(fails_with_another_shape)
{
    assert_allclose(tensor(numbers, A, B), tensor(expected, B, A), 0, 0);
}
END_TEST

START_TEST(fails_in_an_array)
{
    fill_arrays();
    numbers[4] = -4;
    assert_allclose_array("weights", numbers, expected, COUNT, 1e-4, 1e-4);
}
END_TEST

START_TEST(fails_beside_double)
{
    fill_arrays();
    wide[9] = 8;
    assert_allclose_double("squares", numbers, wide, 10, 0, 0);
}
END_TEST

START_TEST(test_comparisons_name_place_array_index_and_values)
{
    assert_report(
        fails_in_two_elements, __FILE__, "assert_allclose(y, tensor(expected, A, B, C), 0, 1e-3);",
        "y (2, 3, 4): 2 of 24 differ; worst at [1, 2, 3]: 21.5, expected 23 (1.5e+03 x the tolerance, rtol 0, "
        "atol 0.001)");
    assert_report(fails_in_a_transposed_view, __FILE__,
                  "assert_allclose(view, tensor_transpose(tensor(expected, B, C), 0, 1), 0, 0.5);",
                  "view (4, 3): 1 of 12 differ; worst at [2, 1]: 7, expected 6 (2 x the tolerance, rtol 0, atol 0.5)");
    assert_report(fails_with_another_shape, __FILE__,
                  "assert_allclose(tensor(numbers, A, B), tensor(expected, B, A), 0, 0);",
                  "tensor(numbers, A, B): shape (2, 3), expected (3, 2)");
    assert_report(fails_in_an_array, __FILE__,
                  "assert_allclose_array(\"weights\", numbers, expected, COUNT, 1e-4, 1e-4);",
                  "weights: 1 of 24 differ; worst at [4]: -4, expected 4 (1.6e+04 x the tolerance, rtol 0.0001, atol "
                  "0.0001)");
    assert_report(fails_beside_double, __FILE__, "assert_allclose_double(\"squares\", numbers, wide, 10, 0, 0);",
                  "squares: 1 of 10 differ; worst at [9]: 9, expected 8 (rtol 0, atol 0)");
}
END_TEST

/* ---- NaN and infinity ---- */

START_TEST(fails_with_a_nan)
{
    fill_arrays();
    numbers[2] = 1e6F;
    numbers[5] = numbers[7] = NAN;
    assert_allclose(tensor(numbers, B, C), tensor(expected, B, C), 0, 1);
}
END_TEST

START_TEST(fails_with_an_infinity)
{
    fill_arrays();
    numbers[5] = -INFINITY;
    assert_allclose(tensor(numbers, B, C), tensor(expected, B, C), 0, 1);
}
END_TEST

START_TEST(fails_because_nothing_was_written)
{
    fill_arrays();
    tensor_fill(tensor(numbers, B, C), NAN);
    assert_allclose(tensor(numbers, B, C), tensor(expected, B, C), 0, 1);
}
END_TEST

START_TEST(test_comparisons_say_nan_infinity_and_nothing_written)
{
    const char *statement = "assert_allclose(tensor(numbers, B, C), tensor(expected, B, C), 0, 1);";
    assert_report(fails_with_a_nan, __FILE__, statement,
                  "tensor(numbers, B, C) (3, 4): 3 of 12 differ, 2 of them NaN; worst at [1, 1]: NaN, expected 5 (rtol "
                  "0, atol 1)");
    assert_report(fails_with_an_infinity, __FILE__, statement,
                  "tensor(numbers, B, C) (3, 4): 1 of 12 differ; worst at [1, 1]: -infinity, expected 5 (rtol 0, atol "
                  "1)");
    assert_report(fails_because_nothing_was_written, __FILE__, statement,
                  "tensor(numbers, B, C) (3, 4): 12 of 12 are NaN: nothing was written, or only NaN; 0 expected at [0, "
                  "0]");
}
END_TEST

/* ---- helpers that call other assertions ---- */

static double sum_of_squares(void *context)
{
    (void)context;
    return wide[0] * wide[0] + wide[1] * wide[1];
}

START_TEST(fails_in_a_gradient)
{
    fill_arrays();
    assert_gradient("squares", tensor(numbers, 2), wide, sum_of_squares, NULL, 1e-5, 1e-5);
}
END_TEST

START_TEST(fails_in_attention)
{
    AttentionRun run;
    const AttentionCase problem = {.leading = {2}, .queries = 3, .keys = 5, .d_k = 4, .d_v = 6};
    attention_run_init(&run, &problem);
    tensor_fill(run.value, 0);
    attention_run_check(&run, 1e-4, 1e-5);
}
END_TEST

static void multiply_nothing(Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k, float alpha,
                             float beta)
{
    (void)c, (void)a, (void)b, (void)m, (void)n, (void)k, (void)alpha, (void)beta;
}

static double exactly(float x)
{
    return (double)x;
}

START_TEST(fails_in_a_product)
{
    const MatrixProduct nothing = {"nothing", multiply_nothing, exactly, 0};
    isa_choose(ISA_PORTABLE);
    assert_product(&nothing, ROW_MAJOR, ROW_MAJOR, ROW_MAJOR, 2, 3, 0, 1, 0);
}
END_TEST

static Status allocate_nothing(void *context)
{
    (void)context;
    return CS336_OK;
}

START_TEST(fails_without_an_allocation)
{
    assert_allocation_failures_are_clean(allocate_nothing, NULL);
}
END_TEST

START_TEST(fails_without_an_array)
{
    Fixture fixture;
    fixture_open(&fixture, "course");
    const Tensor t = fixture_tensor(&fixture, "no such array");
    ck_abort_msg("found an array of rank %d", t.rank);
}
END_TEST

START_TEST(test_failures_in_helpers_name_the_line_of_the_test)
{
    assert_report(fails_in_a_gradient, __FILE__,
                  "assert_gradient(\"squares\", tensor(numbers, 2), wide, sum_of_squares, NULL, 1e-5, 1e-5);",
                  "squares (2): 1 of 2 differ; worst at [1]: 1, expected 2 (3.33e+04 x the tolerance, rtol 1e-05, atol "
                  "1e-05)");
    assert_report(fails_in_attention, __FILE__, "attention_run_check(&run, 1e-4, 1e-5);",
                  "output (2, 3, 6): 36 of 36 are NaN: nothing was written, or only NaN; 0 expected at [0, 0, 0]");
    assert_report(fails_in_a_product, __FILE__,
                  "assert_product(&nothing, ROW_MAJOR, ROW_MAJOR, ROW_MAJOR, 2, 3, 0, 1, 0);",
                  "nothing, " PORTABLE_VECTORS ", 2 x 3 x 0, layouts 0 0 0, beta 0: [0, 0] is nan, expected 0");
    assert_report(fails_without_an_allocation, __FILE__,
                  "assert_allocation_failures_are_clean(allocate_nothing, NULL);",
                  "the attempt made no allocation that could fail");
    assert_report(fails_without_an_array, __FILE__, "const Tensor t = fixture_tensor(&fixture, \"no such array\");",
                  "fixture tests/fixtures/course.safetensors has no array \"no such array\"");
}
END_TEST

/* ---- Status values and programs ---- */

START_TEST(fails_with_a_status)
{
    assert_ok(status_fail(CS336_ESHAPE, "softmax: no columns"));
}
END_TEST

START_TEST(fails_with_another_message)
{
    assert_fails(status_fail(CS336_ESHAPE, "softmax: no columns"), CS336_ESHAPE, "softmax: no rows");
}
END_TEST

START_TEST(fails_by_success)
{
    assert_fails(CS336_OK, CS336_ERANGE, "negative rate");
}
END_TEST

START_TEST(fails_with_an_exit_code)
{
    assert_shell_ok("echo text; echo wrong >&2; exit 3");
}
END_TEST

START_TEST(fails_by_a_signal)
{
    assert_ok(CS336_OK);
    ck_assert_int_eq(shell("kill -9 $$"), 0);
}
END_TEST

START_TEST(test_failed_calls_and_programs_name_status_and_command)
{
    assert_report(fails_with_a_status, __FILE__, "assert_ok(status_fail(CS336_ESHAPE, \"softmax: no columns\"));",
                  "status 1: softmax: no columns");
    assert_report(fails_with_another_message, __FILE__,
                  "assert_fails(status_fail(CS336_ESHAPE, \"softmax: no columns\"), CS336_ESHAPE, \"softmax: no "
                  "rows\");",
                  "status 1: softmax: no columns, expected status 1: softmax: no rows");
    assert_report(fails_by_success, __FILE__, "assert_fails(CS336_OK, CS336_ERANGE, \"negative rate\");",
                  "the function returned CS336_OK; expected is status 2 with the message \"negative rate\"");
    assert_report(fails_with_an_exit_code, __FILE__, "assert_shell_ok(\"echo text; echo wrong >&2; exit 3\");",
                  "echo text; echo wrong >&2; exit 3: exit code 3\ntext\nwrong\n");
    assert_report(fails_by_a_signal, "tests/support/program.c",
                  "ck_assert_msg(WIFEXITED(status), \"%s: ended by a signal; %s\", command, shell_errors);",
                  "kill -9 $$: ended by a signal; ");
}
END_TEST

/* ---- long messages ---- */

enum { LONG_MESSAGE = 20000, KEPT = 1000 /* of its characters at least, on any system */ };

START_TEST(fails_with_a_long_message)
{
    static char text[LONG_MESSAGE + 1];
    memset(text, 'x', LONG_MESSAGE);
    ck_abort_msg("%s", text);
}
END_TEST

/* The output of a program may be that long. */
START_TEST(test_a_long_message_is_cut)
{
    Suite *suite = suite_create("failing");
    TCase *tc = tcase_create("long");
    tcase_set_timeout(tc, 100);
    tcase_add_test(tc, fails_with_a_long_message);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_FORK);
    srunner_run_all(runner, CK_SILENT);
    ck_assert_int_eq(srunner_ntests_failed(runner), 1);
    TestResult **results = srunner_failures(runner);
    ck_assert_msg(tr_rtype(results[0]) == CK_FAILURE, "it ended with: %.1000s", tr_msg(results[0]));
    ck_assert_uint_ge(strspn(tr_msg(results[0]), "x"), KEPT);
    free(results);
    srunner_free(runner);
}
END_TEST

/* ---- labels ---- */

START_TEST(fails_in_a_round)
{
    for (int n = 1; n <= 5; n++) {
        test_label("n = %d on %s", n, "portable");
        ck_assert_int_lt(n, 4);
    }
}
END_TEST

START_TEST(fails_in_a_helper_in_a_round)
{
    fill_arrays();
    test_label("round %d", 1);
    test_label("round %d", 2);
    assert_allclose_array("y", numbers, expected + 1, 1, 0, 0.5);
}
END_TEST

START_TEST(fails_after_the_loop)
{
    test_label("round %d", 2);
    test_label_end();
    ck_assert(COUNT == 0);
}
END_TEST

START_TEST(test_labels_begin_every_message_until_they_are_removed)
{
    assert_report(fails_in_a_round, __FILE__, "ck_assert_int_lt(n, 4);",
                  "n = 4 on portable: Assertion 'n < 4' failed: n == 4, 4 == 4");
    assert_report(fails_in_a_helper_in_a_round, __FILE__,
                  "assert_allclose_array(\"y\", numbers, expected + 1, 1, 0, 0.5);",
                  "round 2: y: 1 of 1 differ; worst at [0]: 0, expected 1 (2 x the tolerance, rtol 0, atol 0.5)");
    assert_report(fails_after_the_loop, __FILE__, "ck_assert(COUNT == 0);", "Assertion 'COUNT == 0' failed");
}
END_TEST

const TestCase messages_tests[] = {
    TEST(test_comparisons_name_place_array_index_and_values, "messages"),
    TEST(test_comparisons_say_nan_infinity_and_nothing_written, "messages"),
    TEST(test_failures_in_helpers_name_the_line_of_the_test, "messages"),
    TEST(test_failed_calls_and_programs_name_status_and_command, "messages"),
    TEST(test_a_long_message_is_cut, "messages"),
    TEST(test_labels_begin_every_message_until_they_are_removed, "messages"),
    {0},
};
