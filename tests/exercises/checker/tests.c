#define _DEFAULT_SOURCE /* W_EXITCODE, MAP_ANONYMOUS */
#include "tests/exercises/checker/tests.h"

#include "tests/exercises/checker/explain.h"
#include "tests/exercises/checker/run.h"
#include "tests/suites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TEST_SECONDS = 20, /* time limit of a test; textbook loops are ten times slower than the library */
    REPORT_BYTES = 256 << 10,
};

static const TestCase *find_test(const char *name, bool *of_course)
{
    for (size_t i = 0; test_suites[i].name; i++)
        for (const TestCase *test = test_suites[i].cases; test->test; test++)
            if (strcmp(test->name, name) == 0) {
                *of_course = i < COURSE_SUITES;
                return test;
            }
    return NULL;
}

/* Check takes a process that calls exit(0) for a test that passed. These run in the process of a test: before it, and
 * after its last line. */
static bool *end_reached; /* in memory that the processes share */

static void begin_test(void)
{
    run_limit(TEST_SECONDS);
}

static void end_test(void)
{
    *end_reached = true;
}

/* Runs it as `make test` would, but prints nothing: what the process prints goes to a file. */
static SRunner *run_silently(const TestCase *test, int output)
{
    TCase *tc = tcase_create(test->name);
    Suite *suite = suite_create(test->name);
    /* run_limit() says where the process was. Check's own limit is for a process that ignores the first. */
    tcase_set_timeout(tc, RUN_WAITS * TEST_SECONDS + 2);
    tcase_add_checked_fixture(tc, begin_test, end_test);
    tcase_add_test(tc, *test->test);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_FORK);
    fflush(NULL);
    const int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    srunner_run_all(runner, CK_SILENT);
    fflush(NULL);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    close(out);
    close(err);
    return runner;
}

/* Says why a test failed. An assertion has a place and a message; otherwise its process ended early. */
static void say_why(char *what, size_t size, TestResult *failure, const char *text, const char *file)
{
    const char *message = tr_msg(failure) ? tr_msg(failure) : "";
    int number;
    if (tr_rtype(failure) == CK_FAILURE)
        snprintf(what, size, "%s:%d: %s", tr_lfile(failure), tr_lno(failure), message);
    else if (sscanf(message, "Early exit with return value %d", &number) == 1)
        explain(what, size, text, W_EXITCODE(number, 0), file);
    else if (strstr(message, "Received signal ") && sscanf(strstr(message, "signal "), "signal %d", &number) == 1)
        explain(what, size, text, W_EXITCODE(0, number), file);
    else
        snprintf(what, size, "%s", message); /* "Test timeout expired" */
}

bool run_test(TestReport *report, const char *name, const char *file)
{
    static char text[REPORT_BYTES];
    *report = (TestReport){0};
    const TestCase *test = find_test(name, &report->of_course);
    if (!test)
        return false;
    const char *why_not = test->why_not ? test->why_not() : NULL;
    if (why_not) {
        report->skipped = true;
        snprintf(report->what, sizeof report->what, "%s", why_not);
        return true;
    }
    if (!end_reached)
        end_reached = mmap(NULL, sizeof *end_reached, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (end_reached == MAP_FAILED) {
        fputs("checker: no shared memory\n", stderr);
        exit(2);
    }
    *end_reached = false;
    const int output = run_capture();
    SRunner *runner = run_silently(test, output);
    run_read(output, text, sizeof text);
    close(output);
    report->passed = srunner_ntests_failed(runner) == 0 && *end_reached;
    if (srunner_ntests_failed(runner) == 0 && !*end_reached) {
        explain(report->what, sizeof report->what, text, W_EXITCODE(0, 0), file);
    } else if (!report->passed) {
        TestResult **failures = srunner_failures(runner);
        say_why(report->what, sizeof report->what, failures[0], text, file);
        report->endless = strstr(report->what, "does not end") || strstr(report->what, "timeout expired");
        free(failures);
    }
    srunner_free(runner);
    return true;
}
