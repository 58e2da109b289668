#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "train/run_log.h"
#include "train/run_summary.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Three lines of ten steps. Their 640 tokens each took 10, 5 and 20 seconds; the speed is that of the latter two. */
static const char log_text[] =
    "{\"step\":10,\"tokens\":640,\"seconds\":10.5,\"train_loss\":4.0,\"lr\":0.1,\"grad_norm\":1.0,"
    "\"tokens_per_second\":64.0}\n"
    "{\"step\":20,\"tokens\":1280,\"seconds\":17.0,\"train_loss\":3.0,\"val_loss\":3.25,\"lr\":0.1,\"grad_norm\":1.0,"
    "\"tokens_per_second\":128.0}\n"
    "{\"step\":30,\"tokens\":1920,\"seconds\":40.0,\"train_loss\":2.5,\"val_loss\":3.5,\"lr\":0.1,\"grad_norm\":1.0,"
    "\"tokens_per_second\":32.0}\n";

static void assert_numbers(const RunSummary *summary)
{
    ck_assert_uint_eq(summary->lines, 3);
    ck_assert_uint_eq(summary->step, 30);
    ck_assert_double_eq(summary->tokens, 1920);
    ck_assert_double_eq(summary->seconds, 40);
    ck_assert_double_eq(summary->first_train_loss, 4);
    ck_assert_double_eq(summary->train_loss, 2.5);
    ck_assert(summary->validated);
    ck_assert_double_eq(summary->val_loss, 3.5);
    ck_assert_double_eq(summary->best_val_loss, 3.25);
    ck_assert_uint_eq(summary->best_step, 20);
    ck_assert_uint_eq(summary->since_best, 1);
    ck_assert_double_eq_tol(summary->tokens_per_second, 1280.0 / 25, 1e-9);
}

START_TEST(test_run_summary_reads_a_log)
{
    RunSummary summary;
    const char *path = temp_path("log.jsonl");
    write_file(path, log_text, strlen(log_text));
    assert_ok(run_summary_read(&summary, path));
    assert_numbers(&summary);
    assert_ok(run_summary_latest(&summary, path));
    assert_numbers(&summary);
}
END_TEST

/* A line that is still being written, lines that a crash left, and lines without a step change nothing. */
START_TEST(test_run_summary_skips_damaged_lines)
{
    static const char damaged[] =
        "\0\0\0\n[1]\n{\"tok\":1}\n{\"step\":-1,\"val_loss\":0}\n{\"step\":\"x\"}\n\n{\"step\":2147483648}\n"
        "{\"step\":40,\"tokens\":2560,\"train_loss\":1";
    char text[sizeof log_text + sizeof damaged];
    memcpy(text, log_text, sizeof log_text - 1);
    memcpy(text + sizeof log_text - 1, damaged, sizeof damaged - 1);
    RunSummary summary;
    const char *path = temp_path("log.jsonl");
    write_file(path, text, sizeof log_text + sizeof damaged - 2);
    assert_ok(run_summary_read(&summary, path));
    assert_numbers(&summary);
}
END_TEST

START_TEST(test_run_summary_of_losses_that_are_no_numbers)
{
    static const char text[] = "{\"step\":1,\"train_loss\":null,\"val_loss\":null}\n"
                               "{\"step\":2,\"train_loss\":5,\"val_loss\":4}\n"
                               "{\"step\":3,\"train_loss\":null,\"val_loss\":null}\n";
    RunSummary summary;
    const char *path = temp_path("log.jsonl");
    write_file(path, text, sizeof text - 1);
    assert_ok(run_summary_read(&summary, path));
    ck_assert(isnan(summary.train_loss) && isnan(summary.val_loss) && isnan(summary.first_train_loss));
    ck_assert(isnan(summary.seconds) && isnan(summary.tokens) && isnan(summary.tokens_per_second));
    ck_assert_double_eq(summary.best_val_loss, 4);
    ck_assert_uint_eq(summary.best_step, 2);
    ck_assert_uint_eq(summary.since_best, 1);
    /* No validation of the run is a number: there is no best one. */
    write_file(path, text, strcspn(text, "\n") + 1);
    assert_ok(run_summary_read(&summary, path));
    ck_assert(summary.validated && isnan(summary.best_val_loss) && summary.best_step == 0 && summary.since_best == 1);
}
END_TEST

/* A run of one line has only that line's speed. A key that later lines lack keeps its number; null replaces it. */
START_TEST(test_run_summary_of_lines_without_some_keys)
{
    static const char text[] = "{\"step\":1,\"tokens\":64,\"seconds\":2.5,\"train_loss\":5,\"tokens_per_second\":32}\n"
                               "{\"step\":2,\"seconds\":null}\n";
    RunSummary summary;
    const char *path = temp_path("log.jsonl");
    write_file(path, text, strcspn(text, "\n") + 1);
    assert_ok(run_summary_read(&summary, path));
    ck_assert_double_eq(summary.tokens_per_second, 32);
    write_file(path, text, sizeof text - 1);
    assert_ok(run_summary_read(&summary, path));
    ck_assert_uint_eq(summary.step, 2);
    ck_assert_double_eq(summary.tokens, 64);
    ck_assert(isnan(summary.seconds));
    ck_assert_double_eq(summary.train_loss, 5);
    ck_assert_double_eq(summary.tokens_per_second, 32);
}
END_TEST

START_TEST(test_run_summary_of_no_log)
{
    RunSummary summary;
    const char *directory = temp_directory("directory");
    assert_ok(run_summary_read(&summary, temp_path("missing")));
    ck_assert(summary.lines == 0 && summary.step == 0 && !summary.validated && isnan(summary.train_loss));
    write_file(temp_path("empty"), "", 0);
    assert_ok(run_summary_read(&summary, temp_path("empty")));
    ck_assert_uint_eq(summary.lines, 0);
    assert_ok(run_summary_latest(&summary, temp_path("empty")));
    ck_assert_uint_eq(summary.lines, 0);
    ck_assert_int_eq(run_summary_read(&summary, directory), CS336_EIO);
    ck_assert_int_eq(run_summary_latest(&summary, directory), CS336_EIO);
}
END_TEST

/* The latest lines are read from the end: the log is longer than what is read, and its first lines are not seen. */
START_TEST(test_run_summary_reads_the_end_of_a_long_log)
{
    RunLog log;
    double seconds;
    RunSummary summary, latest;
    const char *path = temp_path("log.jsonl");
    assert_ok(run_log_open(&log, &seconds, path, 0));
    for (size_t step = 1; step <= 1000; step++) {
        const RunLogEntry entry = {.step = step,
                                   .tokens = 64 * step,
                                   .seconds = (double)step,
                                   .train_loss = 8 - 0.005 * (double)step,
                                   .validated = step == 10 || step == 995,
                                   .val_loss = step == 10 ? 1 : 6,
                                   .tokens_per_second = 64};
        assert_ok(run_log_append(&log, &entry));
    }
    run_log_close(&log);
    assert_ok(run_summary_read(&summary, path));
    assert_ok(run_summary_latest(&latest, path));
    ck_assert_uint_eq(summary.lines, 1000);
    ck_assert_uint_lt(latest.lines, 100);
    ck_assert_uint_gt(latest.lines, 5);
    ck_assert_uint_eq(latest.step, 1000);
    ck_assert_double_eq_tol(latest.train_loss, 3, 1e-6);
    ck_assert_double_eq(summary.best_val_loss, 1);
    ck_assert_double_eq(latest.best_val_loss, 6);
    ck_assert_double_eq(latest.val_loss, 6);
    ck_assert_double_eq_tol(summary.tokens_per_second, 64, 1e-9);
    ck_assert_double_eq_tol(latest.tokens_per_second, 64, 1e-9);
}
END_TEST

static Status read_again(void *context)
{
    RunSummary summary;
    return run_summary_read(&summary, context);
}

START_TEST(test_run_summary_allocation_failures)
{
    char path[1024];
    snprintf(path, sizeof path, "%s", temp_path("log.jsonl"));
    write_file(path, log_text, strlen(log_text));
    assert_allocation_failures_are_clean(read_again, path);
}
END_TEST

const TestCase run_summary_tests[] = {
    TEST(test_run_summary_reads_a_log, "experiment_log"),
    TEST(test_run_summary_skips_damaged_lines, "experiment_log"),
    TEST(test_run_summary_of_losses_that_are_no_numbers, "experiment_log"),
    TEST(test_run_summary_of_lines_without_some_keys, "experiment_log"),
    TEST(test_run_summary_of_no_log, "experiment_log"),
    TEST(test_run_summary_reads_the_end_of_a_long_log, "experiment_log"),
    TEST(test_run_summary_allocation_failures, "experiment_log"),
    {0},
};
