/* Reading runs, and the table of cs336 report. */
#include "inspect/report_table.h"
#include "inspect/run_report.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void write_text(const char *path, const char *text)
{
    write_file(path, text, strlen(text));
}

/* Writes DIRECTORY/NAME. */
static void write_in(const char *directory, const char *name, const char *text)
{
    char path[600];
    ck_assert_int_lt(snprintf(path, sizeof path, "%s/%s", directory, name), (int)sizeof path);
    write_text(path, text);
}

/* Makes the run directory FOLDER/NAME with a log and, unless it is NULL, a configuration. Returns its path. */
static const char *make_run(const char *folder, const char *name, const char *log, const char *config)
{
    static char paths[4][512];
    static size_t next;
    char *path = paths[next++ % 4];
    ck_assert_int_lt(snprintf(path, sizeof paths[0], "%s/%s", folder, name), (int)sizeof paths[0]);
    ck_assert_int_eq(mkdir(path, 0777), 0);
    write_in(path, "log.jsonl", log);
    if (config)
        write_in(path, "config.json", config);
    return path;
}

/* ---- runs ---- */

static Report read_report(const char *path)
{
    Report report;
    assert_ok(report_read(&report, (const char *const[]){path}, 1));
    return report;
}

#define LINE(step, tokens, seconds, loss, rest, rate)                                            \
    "{\"step\":" step ",\"tokens\":" tokens ",\"seconds\":" seconds ",\"train_loss\":" loss rest \
    ",\"tokens_per_second\":" rate "}\n"

START_TEST(test_a_run_is_summed_up)
{
    const char *folder = temp_directory("runs");
    make_run(folder, "a",
             LINE("10", "1000", "1", "3", ",\"val_loss\":2.5", "500") LINE("20", "2000", "3", "2", "", "1000")
                 LINE("30", "3000", "8", "1.75", ",\"val_loss\":2.25", "250")
                     LINE("40", "4000", "9.5", "1.5", ",\"val_loss\":2.375", "2000"),
             "{\"steps\":50}");
    Report report = read_report(folder);
    const ReportRun *run = &report.runs[0];
    ck_assert_uint_eq(report.count, 1);
    ck_assert_str_eq(run->name, "a");
    ck_assert_str_eq(run->status.text, "step 40 of 50");
    ck_assert(!run->diverged);
    ck_assert_uint_eq(run->curves.summary.step, 40);
    /* The numbers of the table. 1000 tokens each at 1000, 250 and 2000 tokens/s took 1 + 4 + 0.5 s. */
    const double expected[] = {1.5, 2.375, 2.25, exp(2.25), 30, 4000, 9.5, 3000 / 5.5};
    for (size_t i = 0; report_columns[i].heading; i++) {
        const double number = report_number(&report_columns[i], run);
        ck_assert_uint_lt(i, sizeof expected / sizeof *expected);
        ck_assert_msg(fabs(number - expected[i]) < 1e-12 * fabs(expected[i]), "%s is %.15g, expected %.15g",
                      report_columns[i].heading, number, expected[i]);
    }
    report_deinit(&report);
}
END_TEST

START_TEST(test_how_a_run_ended)
{
    static const struct {
        const char *log, *config, *result, *status;
    } cases[] = {
        {"{\"step\":5}\n", "{\"steps\":5}", NULL, "complete"},
        {"{\"step\":4}\n{\"step\":5", "{\"steps\":5}", NULL, "step 4 of 5"},
        {"{\"step\":4}\n", NULL, NULL, "step 4"},
        {"", "", NULL, "step 0"},
        {"{\"step\":3,\"train_loss\":1}\n{\"step\":4,\"train_loss\":null}\n", "{\"steps\":5}", NULL,
         "diverged in step 4"},
        {"{\"step\":3,\"val_loss\":null}\n{\"step\":4,\"train_loss\":null}\n", "{\"steps\":4}", NULL,
         "diverged in step 3"},
        {"{\"step\":1,\"val_loss\":2}\n{\"step\":2,\"val_loss\":2}\n{\"step\":3,\"val_loss\":2.5}\n",
         "{\"steps\":9,\"patience\":2}", NULL, "stopped early in step 3 of 9"},
        {"{\"step\":1,\"val_loss\":2}\n{\"step\":2,\"val_loss\":3}\n{\"step\":3,\"val_loss\":1}\n",
         "{\"steps\":9,\"patience\":1}", NULL, "step 3 of 9"},
        {"{\"step\":1,\"val_loss\":2}\n{\"step\":2,\"val_loss\":3}\n", "{\"steps\":2,\"patience\":1}", NULL,
         "complete"},
        {"{\"step\":1,\"val_loss\":2}\n{\"step\":2,\"val_loss\":3}\n", "{\"steps\":3,\"patience\":0}", NULL,
         "step 2 of 3"},
        {"{\"step\":3,\"lr\":null}\n", "{\"steps\":4}", NULL, "step 3 of 4"},
        {"{\"step\":1,\"val_loss\":2}\n{\"step\":2}\n", "{\"steps\":2,\"val\":\"v\"}", NULL, "step 2 of 2"},
        {"{\"step\":2,\"val_loss\":3}\n", "{\"steps\":2,\"val\":\"v\"}", NULL, "complete"},
        {"{\"step\":3}\n", "{\"steps\":9}",
         "{\"status\":\"diverged\",\"step\":3,\"message\":\"step 7: the loss is inf\"}", "diverged in step 7"},
        {"{\"step\":3}\n", "{\"steps\":9}", "{\"status\":\"diverged\",\"message\":\"the loss rose\"}",
         "diverged: the loss rose"},
        {"{\"step\":3,\"val_loss\":null}\n", "{\"steps\":9}", "{\"status\":\"diverged\",\"message\":\"the loss rose\"}",
         "diverged in step 3"},
        {"{\"step\":3}\n", "{\"steps\":9}", "{\"status\":\"incomplete\"}", "step 3 of 9"},
        {NULL, NULL, "{\"status\":\"incomplete\",\"settings\":{\"steps\":4}}", "step 0 of 4"},
        {"{\"step\":3}\n", "{\"steps\":9}", "{\"status\":\"diverged\"}", "diverged after step 3"},
        {"{\"step\":3}\n", "{\"steps\":9}", "{\"status\":\"complete\",\"message\":\"x\"}", "complete"},
        {NULL, "{\"steps\":9}", "{\"status\":\"refused\",\"message\":\"too large\"}", "refused: too large"},
        {NULL, NULL, "{\"status\":\"failed\\u001b[1m\",\"message\":7}", "failed\\x1B[1m"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[16];
        snprintf(name, sizeof name, "folder%zu", i);
        const char *folder = temp_directory(name), *run = make_run(folder, "r", "", cases[i].config);
        char log[512];
        snprintf(log, sizeof log, "%s/log.jsonl", run);
        if (cases[i].log)
            write_text(log, cases[i].log);
        else
            remove(log);
        if (cases[i].result)
            write_in(run, "result.json", cases[i].result);
        test_label("case %zu", i);
        Report report = read_report(run);
        ck_assert_str_eq(report.runs[0].status.text, cases[i].status);
        ck_assert_int_eq(report.runs[0].diverged, strncmp(cases[i].status, "diverged", 8) == 0);
        report_deinit(&report);
    }
}
END_TEST

START_TEST(test_names_are_sorted_as_numbers)
{
    static const char *const sorted[] = {"",        "a",    "lr-1e-4", "lr-0.001", "lr-0.001-b",
                                         "lr-0.01", "lr-1", "lr-10",   "lrs"};
    const int count = sizeof sorted / sizeof *sorted;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < count; j++) {
            const int order = report_compare_names(sorted[i], sorted[j]);
            ck_assert_msg((order > 0) - (order < 0) == (i > j) - (i < j), "%s, %s: %d", sorted[i], sorted[j], order);
        }
    const char *folder = temp_directory("folder");
    make_run(folder, "run-10", "", NULL);
    make_run(folder, "run-9", "", NULL);
    make_run(folder, "run-09", "", NULL);
    mkdir(temp_path("folder/tokens"), 0777); /* no run */
    write_in(folder, "experiment.json", "{\"title\":\"T\",\"question\":\"Q?\"}");
    Report report = read_report(folder);
    ck_assert_uint_eq(report.count, 3);
    ck_assert_str_eq(report.runs[0].name, "run-09");
    ck_assert_str_eq(report.runs[1].name, "run-9");
    ck_assert_str_eq(report.runs[2].name, "run-10");
    ck_assert_str_eq(report.title, "T");
    ck_assert_str_eq(report.question, "Q?");
    report_deinit(&report);
    /* Several paths: the names begin with them. */
    char run[512], slashed[512], name[512];
    snprintf(run, sizeof run, "%s/run-9", folder);
    snprintf(slashed, sizeof slashed, "%s//", folder);
    assert_ok(report_read(&report, (const char *const[]){run, slashed}, 2));
    ck_assert_uint_eq(report.count, 4);
    ck_assert_str_eq(report.runs[0].name, run);
    snprintf(name, sizeof name, "%s/run-10", folder);
    ck_assert_str_eq(report.runs[3].name, name);
    report_deinit(&report);
}
END_TEST

START_TEST(test_settings_are_compared)
{
    const char *folder = temp_directory("folder");
    make_run(folder, "a", "", "{\"lr\":0.001,\"norm\":\"pre\",\"steps\":5,\"eps\":9.99999975e-06,\"old\":1}");
    make_run(folder, "b", "", "{\"lr\":0.01,\"norm\":\"pre\",\"steps\":5.0,\"eps\":1e-5,\"tie\":true,\"list\":[1]}");
    make_run(folder, "c", "", NULL);
    Report report = read_report(folder);
    ReportSettings settings;
    assert_ok(report_settings(&settings, &report));
    static const struct {
        const char *key, *a, *b;
        bool differs;
    } expected[] = {
        {"lr", "0.001", "0.01", true},    {"norm", "pre", "pre", false}, {"steps", "5", "5", false},
        {"eps", "1e-05", "1e-05", false}, {"old", "1", "-", true},       {"tie", "-", "true", true},
        {"list", "-", "[1]", true},
    };
    ck_assert_uint_eq(settings.count, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < settings.count; i++) {
        const char *key = expected[i].key;
        ck_assert_str_eq(settings.items[i].key, key);
        ck_assert_int_eq(settings.items[i].differs, expected[i].differs);
        ck_assert_str_eq(report_setting_text(&report.runs[0], key).text, expected[i].a);
        ck_assert_str_eq(report_setting_text(&report.runs[1], key).text, expected[i].b);
        ck_assert_str_eq(report_setting_text(&report.runs[2], key).text, "-");
    }
    report_settings_deinit(&settings);
    report_deinit(&report);
}
END_TEST

/* A run that was refused has only the settings that were given, in result.json: the others are not compared. */
START_TEST(test_settings_of_a_refused_run)
{
    const char *folder = temp_directory("folder");
    make_run(folder, "a", "", "{\"batch_size\":8,\"seed\":1,\"beta1\":0.9}");
    make_run(folder, "b", "", "{\"batch_size\":16,\"seed\":1,\"beta1\":0.9}");
    const char *refused = make_run(folder, "c", "", NULL);
    write_in(refused, "result.json",
             "{\"status\":\"refused\",\"settings\":{\"batch_size\":4096,\"seed\":1,\"data\":\"fe68\"}}");
    Report report = read_report(folder);
    ReportSettings settings;
    assert_ok(report_settings(&settings, &report));
    ck_assert_uint_eq(settings.count, 3);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(settings.items[i].differs, strcmp(settings.items[i].key, "batch_size") == 0);
    ck_assert_str_eq(report_setting_text(&report.runs[2], "batch_size").text, "4096");
    /* It has no log, so it has no numbers. */
    for (size_t i = 0; report_columns[i].heading; i++)
        ck_assert_str_eq(report_cell(&report_columns[i], &report.runs[2]).text, "-");
    report_settings_deinit(&settings);
    report_deinit(&report);
}
END_TEST

START_TEST(test_cells_of_the_table)
{
    static const struct {
        double number;
        const char *loss, *whole;
    } cases[] = {{2.71828, "2.7183", "3"},         {(double)NAN, "-", "-"},
                 {22244.7422, "22244.7", "22245"}, {38930000.25, "3.893e+07", "38930000"},
                 {INFINITY, "inf", "inf"},         {0, "0.0000", "0"},
                 {2.69e-23, "2.69e-23", "0"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const ReportRun run = {.curves.summary = {.val_loss = cases[i].number, .tokens = cases[i].number}};
        for (const ReportColumn *column = report_columns; column->heading; column++) {
            if (strcmp(column->heading, "final validation loss") == 0)
                ck_assert_str_eq(report_cell(column, &run).text, cases[i].loss);
            if (strcmp(column->heading, "tokens") == 0)
                ck_assert_str_eq(report_cell(column, &run).text, cases[i].whole);
        }
    }
}
END_TEST

START_TEST(test_columns_without_numbers_are_left_out)
{
    ReportRun runs[2] = {
        {.curves.summary = run_summary_none()},
        {.curves.summary = {.tokens = 0, .val_loss = (double)NAN, .train_loss = 0}},
    };
    const Report report = {.runs = runs, .count = 2};
    for (const ReportColumn *column = report_columns; column->heading; column++) {
        if (strcmp(column->heading, "tokens") == 0 || strcmp(column->heading, "final validation loss") == 0)
            ck_assert(!report_column_used(column, &report));
        if (strcmp(column->heading, "final training loss") == 0)
            ck_assert(report_column_used(column, &report));
    }
    runs[0].curves.summary.tokens = 8;
    for (const ReportColumn *column = report_columns; column->heading; column++)
        if (strcmp(column->heading, "tokens") == 0)
            ck_assert(report_column_used(column, &report));
}
END_TEST

START_TEST(test_what_is_no_run)
{
    const char *folder = temp_directory("folder");
    char path[512], log[512];
    Report report;
    snprintf(path, sizeof path, "%s/missing", folder);
    assert_path_fails(report_read(&report, (const char *const[]){path}, 1), CS336_EIO, path,
                      ": No such file or directory; expected a run directory of cs336 train --out");
    assert_path_fails(report_read(&report, (const char *const[]){folder}, 1), CS336_EIO, folder,
                      ": contains no run (log.jsonl, config.json); expected the directory of cs336 train --out, or a "
                      "folder of such directories");
    const char *run = make_run(folder, "r", "{\"step\":1}\n", "{\n\"steps\": 5\n\"lr\": 1}");
    snprintf(log, sizeof log, "%s/log.jsonl", run);
    assert_path_fails(report_read(&report, (const char *const[]){log}, 1), CS336_EIO, log,
                      ": is a file; expected a run directory of cs336 train --out");
    assert_path_fails(report_read(&report, (const char *const[]){folder}, 1), CS336_EFORMAT, run,
                      "/config.json:3:4: '}' expected near '\"lr\"'");
    write_in(run, "config.json", "[1]");
    assert_path_fails(report_read(&report, (const char *const[]){folder}, 1), CS336_EFORMAT, run,
                      "/config.json:1: expected a JSON object");
    write_in(run, "config.json", "{}");
    write_in(run, "result.json", "{\"state\":1}");
    assert_path_fails(report_read(&report, (const char *const[]){folder}, 1), CS336_EFORMAT, run,
                      "/result.json:1: expected an object with a status such as \"complete\"");
    char message[600];
    snprintf(path, sizeof path, "%s/result.json", run);
    remove(path);
    remove(log);
    snprintf(message, sizeof message, "/log.jsonl: No such file or directory; expected the log of cs336 train --out %s",
             run);
    assert_path_fails(report_read(&report, (const char *const[]){folder}, 1), CS336_EIO, run, message);
    ck_assert_uint_eq(report.count, 0);
}
END_TEST

START_TEST(test_too_many_runs)
{
    const char *folder = temp_directory("folder");
    for (int i = 0; i <= REPORT_MAX_RUNS; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        make_run(folder, name, "", NULL);
    }
    Report report;
    ck_assert_int_eq(report_read(&report, (const char *const[]){folder}, 1), CS336_ERANGE);
    ck_assert_ptr_nonnull(strstr(status_message(), ": there are more than 200 runs, which a report cannot show"));
}
END_TEST

static Status read_one(void *path)
{
    Report report;
    ReportSettings settings;
    Status s = report_read(&report, (const char *const[]){path}, 1);
    if (s)
        return s;
    s = report_settings(&settings, &report);
    if (!s)
        report_settings_deinit(&settings);
    report_deinit(&report);
    return s;
}

START_TEST(test_reading_runs_without_memory)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s", temp_directory("folder"));
    write_in(folder, "experiment.json", "{\"title\":\"T\",\"question\":\"Q?\"}");
    write_in(make_run(folder, "a", "{\"step\":1,\"a\":1}\n", "{\"lr\":1}"), "sample.txt", "Once");
    make_run(folder, "b", "{\"step\":1,\"a\":1}\n", "{\"lr\":2}");
    assert_allocation_failures_are_clean(read_one, folder);
}
END_TEST

const TestCase run_report_tests[] = {
    TEST(test_a_run_is_summed_up, "report"),
    TEST(test_how_a_run_ended, "report"),
    TEST(test_names_are_sorted_as_numbers, "report"),
    TEST(test_settings_are_compared, "report"),
    TEST(test_settings_of_a_refused_run, "report"),
    TEST(test_cells_of_the_table, "report"),
    TEST(test_columns_without_numbers_are_left_out, "report"),
    TEST(test_what_is_no_run, "report"),
    TEST(test_too_many_runs, "report"),
    TEST(test_reading_runs_without_memory, "report"),
    {0},
};
