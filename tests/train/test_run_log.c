#include "core/memory.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "train/run_log.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static RunLogEntry entry_of(size_t step)
{
    return (RunLogEntry){.step = step,
                         .tokens = step * 64,
                         .seconds = 0.5 * (double)step,
                         .train_loss = 4 - 0.125 * (double)step,
                         .validated = step % 2 == 0,
                         .val_loss = 3.25,
                         .lr = 0.001,
                         .grad_norm = 1.5,
                         .tokens_per_second = 128,
                         .mfu = 0.25};
}

static void write_log(const char *path, size_t steps)
{
    RunLog log;
    double seconds;
    assert_ok(run_log_open(&log, &seconds, path, 0));
    for (size_t step = 1; step <= steps; step++) {
        const RunLogEntry entry = entry_of(step);
        assert_ok(run_log_append(&log, &entry));
    }
    run_log_close(&log);
}

static const char three_lines[] =
    "{\"step\":1,\"tokens\":64,\"seconds\":0.5,\"train_loss\":3.875,\"lr\":0.001,\"grad_norm\":1.5,"
    "\"tokens_per_second\":128.0,\"mfu\":0.25}\n"
    "{\"step\":2,\"tokens\":128,\"seconds\":1.0,\"train_loss\":3.75,\"val_loss\":3.25,\"lr\":0.001,\"grad_norm\":1.5,"
    "\"tokens_per_second\":128.0,\"mfu\":0.25}\n"
    "{\"step\":3,\"tokens\":192,\"seconds\":1.5,\"train_loss\":3.625,\"lr\":0.001,\"grad_norm\":1.5,"
    "\"tokens_per_second\":128.0,\"mfu\":0.25}\n";

START_TEST(test_run_log_writes_json_lines)
{
    const char *path = temp_path("log.jsonl");
    write_log(path, 3);
    assert_file_holds(path, three_lines, strlen(three_lines));
}
END_TEST

START_TEST(test_run_log_begins_anew)
{
    const char *path = temp_path("log.jsonl");
    write_log(path, 5);
    write_log(path, 3);
    assert_file_holds(path, three_lines, strlen(three_lines));
}
END_TEST

START_TEST(test_run_log_is_cut_to_the_step)
{
    const char *path = temp_path("log.jsonl");
    write_log(path, 7);
    RunLog log;
    double seconds;
    assert_ok(run_log_open(&log, &seconds, path, 3));
    run_log_close(&log);
    ck_assert_double_eq(seconds, 1.5);
    assert_file_holds(path, three_lines, strlen(three_lines));
}
END_TEST

START_TEST(test_run_log_goes_on_after_the_cut)
{
    const char *path = temp_path("log.jsonl");
    write_log(path, 2);
    FILE *stream = fopen(path, "ab");
    fputs("{\"step\":3,\"tok", stream); /* as after a kill in the middle of a line */
    fclose(stream);
    RunLog log;
    double seconds;
    assert_ok(run_log_open(&log, &seconds, path, 5));
    ck_assert_double_eq(seconds, 1);
    const RunLogEntry third = entry_of(3);
    assert_ok(run_log_append(&log, &third));
    run_log_close(&log);
    assert_file_holds(path, three_lines, strlen(three_lines));
}
END_TEST

START_TEST(test_run_log_is_made_when_missing)
{
    const char *path = temp_path("new.jsonl");
    RunLog log;
    double seconds = 7;
    assert_ok(run_log_open(&log, &seconds, path, 12));
    run_log_close(&log);
    ck_assert_double_eq(seconds, 0);
    assert_file_holds(path, "", 0);
}
END_TEST

START_TEST(test_run_log_errors)
{
    const char *path = temp_path("log.jsonl");
    char message[2048];
    RunLog log;
    double seconds;
    const char *const bad[] = {"no json\n{\"step\":2}\n", "[1]\n", "{\"step\":-1,\"seconds\":1}\n",
                               "{\"step\":1,\"seconds\":\"1\"}\n"};
    for (size_t i = 0; i < 4; i++) {
        test_label("log %zu", i);
        write_file(path, bad[i], strlen(bad[i]));
        snprintf(message, sizeof message, "%s: line 1 is not a JSON object with step and seconds", path);
        assert_fails(run_log_open(&log, &seconds, path, 9), CS336_EFORMAT, message);
        assert_file_holds(path, bad[i], strlen(bad[i]));
        assert_ok(run_log_open(&log, &seconds, path, 0)); /* step 0 removes all lines, whatever they are */
        run_log_close(&log);
        assert_file_holds(path, "", 0);
    }
    test_label_end();
    const char *nowhere = temp_path("nowhere/log.jsonl");
    snprintf(message, sizeof message, "%s: cannot write: No such file or directory", nowhere);
    assert_fails(run_log_open(&log, &seconds, nowhere, 0), CS336_EIO, message);
    run_log_close(&log);
}
END_TEST

typedef struct {
    RunLog log;
    const char *path;
} LogAttempt;

static Status append_second(void *context)
{
    LogAttempt *attempt = context;
    const RunLogEntry second = entry_of(2);
    return run_log_append(&attempt->log, &second);
}

static Status reopen(void *context)
{
    LogAttempt *attempt = context;
    double seconds;
    const Status s = run_log_open(&attempt->log, &seconds, attempt->path, 3);
    run_log_close(&attempt->log);
    return s;
}

/* The disk is full in the middle of a line: the log still has complete lines only, and the next one follows them. */
START_TEST(test_run_log_full_disk_leaves_whole_lines)
{
    LogAttempt attempt = {.path = temp_path("log.jsonl")};
    double seconds;
    assert_ok(run_log_open(&attempt.log, &seconds, attempt.path, 0));
    const RunLogEntry first = entry_of(1), third = entry_of(3);
    assert_ok(run_log_append(&attempt.log, &first));
    assert_write_failures_are_clean(append_second, &attempt, temp_path("."));
    assert_ok(run_log_append(&attempt.log, &third));
    run_log_close(&attempt.log);
    assert_file_holds(attempt.path, three_lines, strlen(three_lines));
}
END_TEST

/* A device cannot be truncated. The message must tell that the log may now end in an incomplete line. */
START_TEST(test_run_log_that_cannot_be_cut_says_so)
{
    RunLog log = {.writer = {.stream = fopen("/dev/null", "ab"), .path = memory_copy_text("null")}};
    const RunLogEntry first = entry_of(1);
    file_fail_at(1);
    assert_fails(run_log_append(&log, &first), CS336_EIO, "null: cannot write, and cannot remove the incomplete line");
    file_fail_at(0);
    run_log_close(&log);
}
END_TEST

START_TEST(test_run_log_allocation_failures)
{
    LogAttempt attempt = {.path = temp_path("log.jsonl")};
    double seconds;
    assert_ok(run_log_open(&attempt.log, &seconds, attempt.path, 0));
    const RunLogEntry first = entry_of(1), third = entry_of(3);
    assert_ok(run_log_append(&attempt.log, &first));
    assert_ok(append_second(&attempt));
    assert_ok(run_log_append(&attempt.log, &third));
    run_log_close(&attempt.log);
    assert_allocation_failures_say(reopen, &attempt, "*/log.jsonl: no memory for its *[0-9] bytes",
                                   "file_create: no memory for the path */log.jsonl",
                                   "run_log_open: no memory for the path */log.jsonl");
    assert_file_holds(attempt.path, three_lines, strlen(three_lines));
}
END_TEST

/* ---- a line that is completed ---- */

static const char completed_lines[] =
    "{\"step\":1,\"tokens\":64,\"seconds\":0.5,\"train_loss\":3.875,\"lr\":0.001,\"grad_norm\":1.5,"
    "\"tokens_per_second\":128.0,\"mfu\":0.25}\n"
    "{\"step\":2,\"tokens\":128,\"seconds\":7.0,\"train_loss\":3.75,\"val_loss\":3.25,\"lr\":0.001,\"grad_norm\":1.5,"
    "\"tokens_per_second\":128.0,\"mfu\":0.25}\n"
    "{\"step\":3,\"tokens\":192,\"seconds\":1.5,\"train_loss\":3.625,\"lr\":0.001,\"grad_norm\":1.5,"
    "\"tokens_per_second\":128.0,\"mfu\":0.25}\n";

/* Opens a log of step 1, and of step 2 without its validation. */
static void open_incomplete(LogAttempt *attempt)
{
    double seconds;
    RunLogEntry second = entry_of(2);
    second.validated = false;
    attempt->path = temp_path("log.jsonl");
    write_log(attempt->path, 1);
    assert_ok(run_log_open(&attempt->log, &seconds, attempt->path, 1));
    assert_ok(run_log_append(&attempt->log, &second));
}

static Status complete_second(void *context)
{
    LogAttempt *attempt = context;
    RunLogEntry second = {.step = 2, .seconds = 7, .validated = true, .val_loss = 3.25};
    const Status s = run_log_complete(&attempt->log, attempt->path, &second);
    const RunLogEntry expected = entry_of(2);
    if (s)
        return s;
    ck_assert(second.train_loss == expected.train_loss && second.grad_norm == expected.grad_norm &&
              second.tokens_per_second == expected.tokens_per_second && second.mfu == expected.mfu);
    return CS336_OK;
}

START_TEST(test_run_log_completes_its_last_line)
{
    LogAttempt attempt;
    open_incomplete(&attempt);
    assert_write_failures_are_clean(complete_second, &attempt, temp_path("."));
    /* The next line follows the new one. */
    const RunLogEntry third = entry_of(3);
    assert_ok(run_log_append(&attempt.log, &third));
    assert_file_holds(attempt.path, completed_lines, strlen(completed_lines));
    char message[512];
    snprintf(message, sizeof message, "%s: expected step 2 in the last line", attempt.path);
    assert_fails(complete_second(&attempt), CS336_EFORMAT, message);
    assert_file_holds(attempt.path, completed_lines, strlen(completed_lines));
    run_log_close(&attempt.log);
}
END_TEST

/* Another line can be appended to the old log after a failure. */
START_TEST(test_run_log_that_cannot_be_completed_stays_open)
{
    LogAttempt attempt;
    open_incomplete(&attempt);
    for (size_t n = 1; n < 4; n++) {
        test_label("write %zu failed", n);
        file_fail_at(n);
        ck_assert_int_eq(complete_second(&attempt), CS336_EIO);
        file_fail_at(0);
    }
    test_label_end();
    const RunLogEntry third = entry_of(3);
    assert_ok(run_log_append(&attempt.log, &third));
    run_log_close(&attempt.log);
    RunLogValidations validations;
    assert_ok(run_log_validations(&validations, attempt.path, 9));
    ck_assert(validations.count == 0 && validations.last_step == 3);
    run_log_validations_deinit(&validations);
}
END_TEST

START_TEST(test_run_log_completion_allocation_failures)
{
    LogAttempt attempt;
    open_incomplete(&attempt);
    assert_allocation_failures_are_clean(complete_second, &attempt);
    run_log_close(&attempt.log);
}
END_TEST

const TestCase run_log_tests[] = {
    TEST(test_run_log_writes_json_lines, "experiment_log"),
    TEST(test_run_log_begins_anew, "experiment_log"),
    TEST(test_run_log_is_cut_to_the_step, "experiment_log"),
    TEST(test_run_log_goes_on_after_the_cut, "experiment_log"),
    TEST(test_run_log_is_made_when_missing, "experiment_log"),
    TEST(test_run_log_errors, "experiment_log"),
    TEST(test_run_log_full_disk_leaves_whole_lines, "experiment_log"),
    TEST(test_run_log_that_cannot_be_cut_says_so, "experiment_log"),
    TEST(test_run_log_allocation_failures, "experiment_log"),
    TEST(test_run_log_completes_its_last_line, "experiment_log"),
    TEST(test_run_log_that_cannot_be_completed_stays_open, "experiment_log"),
    TEST(test_run_log_completion_allocation_failures, "experiment_log"),
    {0},
};
