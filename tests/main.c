/*
 * Runs the suites. The environment variable K selects the tests whose name or problem contains it, as `pytest -k` does;
 * K=course selects the tests of the course. SHARE=1/3 selects the first of every three suites, so that several
 * processes can share them. With the argument "exchange" the program is one of the ranks that test_gradient_exchange.c
 * starts; it finds the program's path in the variable RUN_TESTS. The variables of the Check framework (CK_VERBOSITY,
 * CK_FORK, CK_XML_LOG_FILE_NAME, ...) work as its manual says.
 */
#define _XOPEN_SOURCE 700
#include "core/plural.h"
#include "tests/distributed/exchange_ranks.h"
#include "tests/distributed/watchdog_ranks.h"
#include "tests/suites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* Time limit of a test, for one that waits for ever: the slowest takes five seconds on an idle machine. */
    TEST_SECONDS = 120,
    SLOWER_WHEN_INSTRUMENTED = 20 /* factor of the limit under sanitizers and valgrind */
};

static int is_course_test(const char *name)
{
    for (size_t i = 0; i < COURSE_SUITES; i++)
        for (const TestCase *test = test_suites[i].cases; test->test; test++)
            if (strcmp(test->name, name) == 0)
                return 1;
    return 0;
}

static int selected(const TestCase *test, const char *pattern)
{
    return !pattern || strstr(test->name, pattern) || strstr(test->problem, pattern) ||
           (strcmp(pattern, "course") == 0 && is_course_test(test->name));
}

static int runs(const TestCase *test, const char *pattern)
{
    return selected(test, pattern) && !(test->why_not && test->why_not());
}

/* True if the suite belongs to the share that SHARE names, such as "2/3". Without SHARE, or if it makes no sense, all
 * do. */
static int is_in_share(size_t suite)
{
    const char *text = getenv("SHARE");
    unsigned part, parts;
    return !text || sscanf(text, "%u/%u", &part, &parts) != 2 || parts == 0 || suite % parts == part - 1;
}

static size_t count_running(const TestCase *cases, const char *pattern)
{
    size_t count = 0;
    for (const TestCase *test = cases; test->test; test++)
        count += runs(test, pattern) != 0;
    return count;
}

/* Prints the selected tests that cannot run here, and why. Returns their number. */
static size_t report_skipped(const char *pattern)
{
    size_t count = 0;
    for (size_t i = 0; test_suites[i].name; i++)
        for (const TestCase *test = test_suites[i].cases; is_in_share(i) && test->test; test++)
            if (selected(test, pattern) && !runs(test, pattern)) {
                printf("skipped: %s: %s\n", test->name, test->why_not());
                count++;
            }
    return count;
}

/* Makes a Check suite of the selected tests. Each test is a TCase of its own, whose name the report prints. */
static Suite *suite_of(const TestSuite *table, const char *pattern)
{
    Suite *suite = suite_create(table->name);
    for (const TestCase *test = table->cases; test->test; test++) {
        if (!runs(test, pattern))
            continue;
        TCase *tc = tcase_create(test->name);
        tcase_set_timeout(tc, test_is_instrumented() ? TEST_SECONDS * SLOWER_WHEN_INSTRUMENTED : TEST_SECONDS);
        tcase_set_tags(tc, test->problem);
        /* Without CK_FORK all tests share one process, and a label would outlive its test. */
        tcase_add_checked_fixture(tc, test_label_end, NULL);
        tcase_add_test(tc, *test->test);
        suite_add_tcase(suite, tc);
    }
    return suite;
}

/* Prints, as the last lines, how many tests of the course and of our own pass. Check's report has named the others. */
static void report_counts(SRunner *runner)
{
    static const char *const kinds[] = {"own", "course"};
    int passed[2] = {0}, run[2] = {0};
    TestResult **results = srunner_results(runner);
    for (int i = 0; i < srunner_ntests_run(runner); i++) {
        const int kind = is_course_test(tr_tcname(results[i]));
        run[kind]++;
        passed[kind] += tr_rtype(results[i]) == CK_PASS;
    }
    free(results);
    for (int kind = 1; kind >= 0; kind--)
        if (run[kind])
            printf("%s: %d of %d pass\n", kinds[kind], passed[kind], run[kind]);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "exchange") == 0)
        return exchange_ranks();
    if (argc == 4 && strcmp(argv[1], "watchdog") == 0)
        return watchdog_ranks(argv[2], atoi(argv[3]));
    char *own_path = realpath(argv[0], NULL);
    setenv("RUN_TESTS", own_path ? own_path : argv[0], 1);
    free(own_path);
    const char *pattern = getenv("K");
    if (pattern && !*pattern)
        pattern = NULL;
    SRunner *runner = srunner_create(NULL);
    size_t total = 0, of_course = 0;
    for (size_t i = 0; test_suites[i].name; i++) {
        const size_t added = count_running(test_suites[i].cases, pattern);
        if (added == 0 || !is_in_share(i))
            continue;
        printf("%-24s %3zu test%s\n", test_suites[i].name, added, plural(added));
        srunner_add_suite(runner, suite_of(&test_suites[i], pattern));
        total += added;
        if (i < COURSE_SUITES)
            of_course += added;
    }
    printf("%-24s %3zu test%s, %zu of them the course's\n", pattern ? pattern : "all", total, plural(total), of_course);
    const size_t skipped = report_skipped(pattern);
    const char *course = getenv("COURSE");
    if (!course || !*course)
        puts(
            "skipped: no course files; with COURSE=directory the tokenizer's tests also run on the course's own texts");
    if (total == 0) {
        srunner_free(runner);
        if (skipped)
            return 0;
        fprintf(stderr, "run_tests: no test's name or problem contains \"%s\"\n", pattern ? pattern : "");
        return 2;
    }
    fflush(stdout);
    srunner_run_all(runner, CK_ENV);
    report_counts(runner);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
