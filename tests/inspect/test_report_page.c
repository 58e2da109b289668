/* The page of cs336 report as a file. docs/tools/check_report.py uses it in a browser. */
#include "core/file.h"
#include "core/json.h"
#include "inspect/report_page.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Makes FOLDER/NAME/FILE; the directory may exist. */
static void write_in(const char *folder, const char *name, const char *file, const char *text)
{
    char path[600];
    ck_assert_int_lt(snprintf(path, sizeof path, "%s/%s", folder, name), (int)sizeof path);
    mkdir(path, 0777);
    ck_assert_int_lt(snprintf(path, sizeof path, "%s/%s/%s", folder, name, file), (int)sizeof path);
    write_file(path, text, strlen(text));
}

/* Writes the page of a folder of runs and returns its text, which is valid until the next call. */
static const char *page_of(const char *folder, const char *title)
{
    Report report;
    FileWriter writer;
    const char *path = temp_path("page.html");
    assert_ok(report_read(&report, (const char *const[]){folder}, 1));
    assert_ok(file_create(&writer, path));
    assert_ok(report_page_write(&writer, &report, title));
    assert_ok(file_commit(&writer));
    report_deinit(&report);
    return file_text(path);
}

static void assert_contains(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "the page does not hold: %s", part);
}

/* Parses the data of the curves. */
static json_t *data_of(const char *page)
{
    static const char begin[] = "id=\"report-data\">";
    const char *data = strstr(page, begin) + sizeof begin - 1;
    json_t *value;
    assert_ok(json_parse(&value, data, (size_t)(strstr(data, "</script>") - data), "page"));
    return value;
}

/* Returns the number of values of all curves. */
static size_t points_of(const json_t *data)
{
    size_t points = 0, run_index, curve_index;
    json_t *run, *curve;
    json_array_foreach(json_object_get(data, "runs"), run_index, run)
    {
        json_array_foreach(json_object_get(run, "curves"), curve_index, curve) points +=
            json_array_size(json_object_get(curve, "values"));
    }
    return points;
}

static void make_two_runs(const char *folder)
{
    write_in(folder, "a", "log.jsonl",
             "{\"step\":1,\"tokens\":8,\"train_loss\":3.00000012}\n"
             "{\"step\":2,\"tokens\":16,\"train_loss\":null,\"val_loss\":2.5}\n");
    write_in(folder, "a", "config.json", "{\"lr\":0.5,\"seed\":1,\"steps\":9}");
    write_in(folder, "a", "sample.txt", "Once <b>\nupon\x1B");
    write_in(folder, "b", "log.jsonl", "{\"step\":4,\"train_loss\":1.5,\"x\":7}\n");
    write_in(folder, "b", "config.json", "{\"lr\":0.25,\"seed\":1,\"steps\":4}");
}

START_TEST(test_report_page_holds_curves_and_table)
{
    const char *folder = temp_directory("folder");
    make_two_runs(folder);
    const char *page = page_of(folder, "T");
    assert_contains(page,
                    "{\"name\":\"a\",\"diverged\":true,\"axes\":{\"step\":[1,2],\"tokens\":[8,16],\"seconds\":[]},"
                    "\"curves\":[\n{\"name\":\"train_loss\",\"at\":[0,1],\"values\":[3.00000012,null]},\n"
                    "{\"name\":\"val_loss\",\"at\":[1],\"values\":[2.5]}]}");
    assert_contains(page, "{\"name\":\"b\",\"diverged\":false,\"axes\":{\"step\":[4],\"tokens\":[],\"seconds\":[]},"
                          "\"curves\":[\n{\"name\":\"train_loss\",\"at\":[0],\"values\":[1.5]},\n"
                          "{\"name\":\"x\",\"at\":[0],\"values\":[7]}]}");
    assert_contains(page,
                    "<tr data-run=\"0\"><th scope=\"row\">a</th><td class=\"rp-text rp-status\">diverged in step 2"
                    "</td><td>-</td><td data-value=\"2.5\">2.5000</td><td data-value=\"2.5\">2.5000</td>"
                    "<td data-value=\"12.182494\">12.18</td><td data-value=\"2\">2</td><td data-value=\"16\">16"
                    "</td><td class=\"rp-text\">0.5</td><td class=\"rp-text\">9</td></tr>");
    assert_contains(page, "<td class=\"rp-text rp-status\">complete</td><td data-value=\"1.5\">1.5000</td><td>-</td>");
    assert_contains(page, "<h2>Settings equal in all runs</h2>\n<dl class=\"rp-settings\">\n"
                          "<div><dt>seed</dt><dd>1</dd></div>\n</dl>");
    assert_contains(page, "<section><h3>a</h3>\n<pre>Once &lt;b&gt;\nupon\\x1B</pre></section>");
    ck_assert_ptr_null(strstr(page, "thinned out"));
    json_decref(data_of(page));
}
END_TEST

/* Texts that would end an element or a script, or turn the direction of text. */
START_TEST(test_report_page_escapes_texts)
{
#define HARM "<script>alert(1)<\\/script>\\u202e\\\"'&"
    const char *folder = temp_directory("folder");
    write_in(folder, "<img src=x>&\xFF", "log.jsonl", "{\"step\":1,\"" HARM "\":1,\"train_loss\":2}\n");
    write_in(folder, "<img src=x>&\xFF", "config.json", "{\"" HARM "\":\"" HARM "\"}");
    write_in(folder, "<img src=x>&\xFF", "result.json", "{\"status\":\"" HARM "\",\"message\":\"" HARM "\"}");
    write_in(folder, "<img src=x>&\xFF", "sample.txt", "</pre></script><script>alert(1)</script>\xE2\x80\xAE\xFF\n");
    write_in(folder, ".", "experiment.json", "{\"title\":\"t\",\"question\":\"" HARM "\"}");
    const char *page = page_of(folder, "</title><script>alert(1)</script>");
    ck_assert_ptr_null(strstr(page, "<script>alert"));
    ck_assert_ptr_null(strstr(page, "<img"));
    ck_assert_ptr_null(strstr(page, "\xE2\x80\xAE"));
    ck_assert_ptr_null(strstr(page, "\xFF"));
    assert_contains(page, "<th scope=\"row\">&lt;img src=x&gt;&amp;\\xFF</th>");
    assert_contains(page, "<pre>&lt;/pre&gt;&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;\\xE2\\x80\\xAE\\xFF\n"
                          "</pre>");
    json_t *data = data_of(page);
    const json_t *run = json_array_get(json_object_get(data, "runs"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(run, "name")), "<img src=x>&\\xFF");
    const json_t *curve = json_array_get(json_object_get(run, "curves"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(curve, "name")), "<script>alert(1)</script>\\xE2\\x80\\xAE\"'&");
    json_decref(data);
}
END_TEST

/* Long logs of several runs: a page of less than 2 MB, whose curves have the extremes. */
START_TEST(test_report_page_of_long_logs_is_small)
{
    enum { LINES = 20000, RUNS = 3 };
    const char *folder = temp_directory("folder");
    char *log = malloc(200 * LINES);
    for (int run = 0; run < RUNS; run++) {
        size_t length = 0;
        for (int i = 1; i <= LINES; i++)
            length += (size_t)sprintf(log + length,
                                      "{\"step\":%d,\"tokens\":%d,\"seconds\":%d.123456,\"train_loss\":%d.23456789,"
                                      "\"val_loss\":%.9g,\"lr\":0.00123456789,\"grad_norm\":1.23456789}\n",
                                      i, 4096 * i, i, i == 7777 ? 99 : i % 7, i == 12321 ? -5.5 : 1.0 / i);
        char name[16];
        snprintf(name, sizeof name, "%d", run);
        write_in(folder, name, "log.jsonl", log);
    }
    free(log);
    const char *page = page_of(folder, "T");
    ck_assert_uint_lt(strlen(page), 2000000);
    assert_contains(page,
                    "The longest curve has 20000 points. Curves of more than 2102 points are thinned out: of each "
                    "of 700 stretches the picture has the smallest and the largest value.");
    json_t *data = data_of(page);
    ck_assert_uint_gt(points_of(data), 4 * RUNS * 700);
    json_decref(data);
    size_t highest = 0, lowest = 0;
    for (const char *p = page; (p = strstr(p, ",99.2345679,")) != NULL; p++)
        highest++;
    for (const char *p = page; (p = strstr(p, ",-5.5,")) != NULL; p++)
        lowest++;
    ck_assert_uint_eq(highest, RUNS);
    ck_assert_uint_eq(lowest, RUNS);
}
END_TEST

/* The log of --log-norms: all curves share the room of the page. */
START_TEST(test_report_page_of_many_curves_is_small)
{
    enum { LINES = 1000, CURVES = 99, RUNS = 3 };
    const char *folder = temp_directory("folder");
    char *log = malloc(LINES * (100 + 24 * CURVES));
    size_t length = 0;
    for (int i = 1; i <= LINES; i++) {
        length += (size_t)sprintf(log + length, "{\"step\":%d,\"norms\":[", i);
        for (int j = 0; j < CURVES; j++)
            length += (size_t)sprintf(log + length, "%s%.9g", j ? "," : "", 1.0 + 0.123456789 * ((i * 7 + j) % 11));
        length += (size_t)sprintf(log + length, "]}\n");
    }
    write_in(folder, "a", "log.jsonl", log);
    write_in(folder, "b", "log.jsonl", log);
    write_in(folder, "c", "log.jsonl", log);
    free(log);
    const char *page = page_of(folder, "T");
    json_t *data = data_of(page);
    ck_assert_uint_lt(strlen(page), 2000000);
    ck_assert_uint_le(points_of(data), REPORT_PAGE_POINTS + 2 * CURVES * RUNS);
    ck_assert_uint_gt(points_of(data), REPORT_PAGE_POINTS / 2);
    json_decref(data);
}
END_TEST

START_TEST(test_report_page_cuts_long_samples)
{
    const char *folder = temp_directory("folder");
    char *sample = malloc(REPORT_PAGE_SAMPLE_BYTES + 2);
    memset(sample, 'x', REPORT_PAGE_SAMPLE_BYTES + 1);
    sample[REPORT_PAGE_SAMPLE_BYTES + 1] = '\0';
    write_in(folder, "a", "log.jsonl", "");
    write_in(folder, "a", "sample.txt", sample);
    const char *page = page_of(folder, "T");
    assert_contains(page, "xx</pre><p class=\"rp-note\">The first 300000 of 300001 bytes.</p></section>");
    ck_assert_uint_eq(strspn(strstr(page, "<pre>") + 5, "x"), REPORT_PAGE_SAMPLE_BYTES);
    free(sample);
}
END_TEST

static Status write_page(void *context)
{
    Report report;
    FileWriter writer = {0};
    Status s = report_read(&report, (const char *const[]){context}, 1);
    if (!s)
        s = file_create(&writer, temp_path("pages/page.html"));
    if (!s)
        s = report_page_write(&writer, &report, "T");
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    report_deinit(&report);
    return s;
}

START_TEST(test_report_page_failures_leave_nothing)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s", temp_directory("folder"));
    const char *pages = temp_directory("pages");
    char directory[512];
    snprintf(directory, sizeof directory, "%s", pages);
    make_two_runs(folder);
    assert_write_failures_are_clean(write_page, folder, directory);
    assert_allocation_failures_are_clean(write_page, folder);
}
END_TEST

const TestCase report_page_tests[] = {
    TEST(test_report_page_holds_curves_and_table, "report"),
    TEST(test_report_page_escapes_texts, "report"),
    TEST(test_report_page_of_long_logs_is_small, "report"),
    TEST(test_report_page_of_many_curves_is_small, "report"),
    TEST(test_report_page_cuts_long_samples, "report"),
    TEST(test_report_page_failures_leave_nothing, "report"),
    {0},
};
