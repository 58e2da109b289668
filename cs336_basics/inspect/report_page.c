#include "inspect/report_page.h"

#include "core/memory.h"
#include "core/printable.h"
#include "inspect/embedded.h"
#include "inspect/html_page.h"
#include "inspect/report_table.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- small pieces ---- */

/* Writes <ELEMENT>text</ELEMENT>; `end` is the closing tag. */
static void write_element(HtmlPage *page, const char *begin, const char *text, const char *end)
{
    html_page_markup(page, begin);
    html_page_text(page, text);
    html_page_markup(page, end);
}

/* Writes a number of the log as JSON: nine digits, as the log has them; NaN as null. */
static void write_number(HtmlPage *page, double number)
{
    char text[32];
    snprintf(text, sizeof text, isnan(number) ? "null" : "%.9g", number);
    html_page_json(page, text);
}

/* ---- the data of the curves ---- */

static const char *const axes[] = {"step", "tokens", "seconds"};
enum { AXES = sizeof axes / sizeof *axes };

/* True if the quantity is one that curves are drawn against. */
static bool is_axis(const Curve *curve)
{
    for (size_t i = 0; i < AXES; i++)
        if (strcmp(curve->name, axes[i]) == 0)
            return true;
    return false;
}

/* A curve of the page. */
typedef struct {
    CurvePoint *points; /* (count) those that curve_thin() chose */
    size_t count;
} Thinned;

/* The data of a run. The memory is owned by one allocation. */
typedef struct {
    Thinned *curves; /* (number of the log's curves); axes have no points here */
    size_t *lines;   /* (line_count) all lines of which a curve has a point, ascending, each once */
    size_t line_count;
    void *memory;
} RunData;

static int compare_lines(const void *a, const void *b)
{
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

static Status thin_run(RunData *data, const ReportRun *run, size_t stretches)
{
    const RunCurves *all = &run->curves;
    const size_t room = 3 * stretches + 2, points = memory_product(all->count, room);
    *data = (RunData){0};
    const size_t bytes = memory_product(points, sizeof(CurvePoint) + sizeof(size_t));
    data->memory = memory_allocate_zeroed(1, bytes + all->count * sizeof(Thinned));
    if (!data->memory)
        return status_fail(CS336_ENOMEM, "%s: no memory for %zu points of curves", run->directory, points);
    CurvePoint *next = data->memory;
    data->lines = (size_t *)(next + points);
    data->curves = (Thinned *)(data->lines + points);
    for (size_t i = 0; i < all->count; i++, next += room) {
        const Curve *curve = &all->curves[i];
        data->curves[i].points = next;
        data->curves[i].count = is_axis(curve) ? 0 : curve_thin(next, curve, stretches);
        for (size_t j = 0; j < data->curves[i].count; j++)
            data->lines[data->line_count++] = next[j].line;
    }
    /* Sort the lines and drop those that several curves have. */
    qsort(data->lines, data->line_count, sizeof *data->lines, compare_lines);
    size_t kept = 0;
    for (size_t i = 0; i < data->line_count; i++)
        if (i == 0 || data->lines[i] != data->lines[kept - 1])
            data->lines[kept++] = data->lines[i];
    data->line_count = kept;
    return CS336_OK;
}

/* Writes the steps, tokens or seconds of the lines; an axis that the log lacks is an empty array. */
static void write_axis(HtmlPage *page, const RunData *data, const Curve *axis)
{
    html_page_json(page, "[");
    for (size_t i = 0; axis && i < data->line_count; i++) {
        html_page_json(page, i ? "," : "");
        write_number(page, curve_at(axis, data->lines[i]));
    }
    html_page_json(page, "]");
}

/* Writes a curve: its values, and for each the index of its line among `lines`. */
static void write_curve(HtmlPage *page, const char *name, const Thinned *curve, const RunData *data)
{
    char text[32];
    html_page_json(page, "{\"name\":");
    html_page_json_text(page, printable(name).text);
    html_page_json(page, ",\"at\":[");
    for (size_t i = 0; i < curve->count; i++) {
        const size_t *line =
            bsearch(&curve->points[i].line, data->lines, data->line_count, sizeof *data->lines, compare_lines);
        snprintf(text, sizeof text, "%s%zu", i ? "," : "", (size_t)(line - data->lines));
        html_page_json(page, text);
    }
    html_page_json(page, "],\"values\":[");
    for (size_t i = 0; i < curve->count; i++) {
        html_page_json(page, i ? "," : "");
        write_number(page, curve->points[i].value);
    }
    html_page_json(page, "]}");
}

static Status write_run(HtmlPage *page, const ReportRun *run, size_t stretches)
{
    RunData data;
    const Status s = thin_run(&data, run, stretches);
    if (s)
        return s;
    html_page_json(page, "{\"name\":");
    html_page_json_text(page, printable(run->name).text);
    html_page_json(page, run->diverged ? ",\"diverged\":true,\"axes\":{" : ",\"diverged\":false,\"axes\":{");
    for (size_t i = 0; i < AXES; i++) {
        html_page_json(page, i ? ",\"" : "\"");
        html_page_json(page, axes[i]);
        html_page_json(page, "\":");
        write_axis(page, &data, run_curves_find(&run->curves, axes[i]));
    }
    html_page_json(page, "},\"curves\":[");
    bool first = true;
    for (size_t i = 0; i < run->curves.count; i++) {
        if (data.curves[i].count == 0)
            continue;
        html_page_json(page, first ? "\n" : ",\n");
        first = false;
        write_curve(page, run->curves.curves[i].name, &data.curves[i], &data);
    }
    html_page_json(page, "]}");
    memory_release(data.memory);
    return CS336_OK;
}

/* Returns into how many stretches each curve is cut, so that all have at most REPORT_PAGE_POINTS points. */
static size_t stretches_of(const Report *report)
{
    enum { MOST = 700 }; /* a curve of 2100 points: more than a screen has columns */
    size_t curves = 0;
    for (size_t i = 0; i < report->count; i++)
        for (size_t j = 0; j < report->runs[i].curves.count; j++)
            curves += !is_axis(&report->runs[i].curves.curves[j]);
    const size_t stretches = REPORT_PAGE_POINTS / 3 / (curves ? curves : 1);
    return stretches > MOST ? MOST : stretches > 1 ? stretches : 1;
}

static Status write_data(HtmlPage *page, const Report *report, size_t stretches)
{
    Status s = CS336_OK;
    html_page_data_begin(page, "report-data");
    html_page_json(page, "{\"runs\":[");
    for (size_t i = 0; !s && i < report->count; i++) {
        html_page_json(page, i ? ",\n" : "\n");
        s = write_run(page, &report->runs[i], stretches);
    }
    html_page_json(page, "]}");
    html_page_data_end(page);
    return s;
}

/* Says which curves were thinned out. */
static void write_thinning(HtmlPage *page, const Report *report, size_t stretches)
{
    size_t longest = 0;
    for (size_t i = 0; i < report->count; i++)
        for (size_t j = 0; j < report->runs[i].curves.count; j++)
            if (!is_axis(&report->runs[i].curves.curves[j]) && report->runs[i].curves.curves[j].count > longest)
                longest = report->runs[i].curves.curves[j].count;
    if (longest <= 3 * stretches + 2)
        return;
    char text[256];
    snprintf(text, sizeof text,
             "The longest curve has %zu points. Curves of more than %zu points are thinned out: of each of %zu "
             "stretches the picture has the smallest and the largest value.",
             longest, 3 * stretches + 2, stretches);
    write_element(page, "<p class=\"rp-note\">", text, "</p>\n");
}

/* ---- the table ---- */

static void write_heading(HtmlPage *page, const char *text, bool number)
{
    write_element(page, number ? "<th scope=\"col\">" : "<th scope=\"col\" class=\"rp-text\">", text, "</th>");
}

/* Writes a cell with the number that sorting compares. */
static void write_cell(HtmlPage *page, const ReportColumn *column, const ReportRun *run)
{
    char value[64];
    const double number = report_number(column, run);
    snprintf(value, sizeof value, !isfinite(number) ? "<td>" : "<td data-value=\"%.9g\">", number);
    write_element(page, value, report_cell(column, run).text, "</td>");
}

static void write_row(HtmlPage *page, const Report *report, size_t index, const ReportSettings *settings)
{
    const ReportRun *run = &report->runs[index];
    char begin[64];
    snprintf(begin, sizeof begin, "<tr data-run=\"%zu\"><th scope=\"row\">", index);
    write_element(page, begin, printable(run->name).text, "</th>");
    write_element(page, "<td class=\"rp-text rp-status\">", run->status.text, "</td>");
    for (const ReportColumn *column = report_columns; column->heading; column++)
        if (report_column_used(column, report))
            write_cell(page, column, run);
    for (size_t i = 0; i < settings->count; i++)
        if (settings->items[i].differs)
            write_element(page, "<td class=\"rp-text\">", report_setting_text(run, settings->items[i].key).text,
                          "</td>");
    html_page_markup(page, "</tr>\n");
}

static void write_table(HtmlPage *page, const Report *report, const ReportSettings *settings)
{
    html_page_markup(page, "<h2 id=\"runs\">Runs</h2>\n<div class=\"rp-scroll\" tabindex=\"0\" role=\"region\" "
                           "aria-labelledby=\"runs\">\n<table id=\"report-runs\">\n<thead><tr>");
    write_heading(page, "run", false);
    write_heading(page, "status", false);
    for (const ReportColumn *column = report_columns; column->heading; column++)
        if (report_column_used(column, report))
            write_heading(page, column->heading, true);
    for (size_t i = 0; i < settings->count; i++)
        if (settings->items[i].differs)
            write_heading(page, printable(settings->items[i].key).text, false);
    html_page_markup(page, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < report->count; i++)
        write_row(page, report, i, settings);
    html_page_markup(page,
                     "</tbody>\n</table>\n</div>\n<p class=\"rp-note\">Losses are in nats per token. Perplexity is "
                     "the exponential of the best validation loss. Tokens/s count the time of the steps, seconds "
                     "also that of validation and saving. The columns at the right are the settings in which the "
                     "runs differ. A dash: not measured.</p>\n");
}

static void write_equal_settings(HtmlPage *page, const Report *report, const ReportSettings *settings)
{
    const ReportRun *run = NULL; /* one with all settings; what does not differ is the same in all */
    for (size_t i = 0; i < report->count; i++)
        if (report->runs[i].config && (!run || run->given_only))
            run = &report->runs[i];
    if (!run)
        return;
    html_page_markup(page, report->count == 1 ? "<h2>Settings</h2>\n" : "<h2>Settings equal in all runs</h2>\n");
    html_page_markup(page, "<dl class=\"rp-settings\">\n");
    for (size_t i = 0; i < settings->count; i++) {
        if (settings->items[i].differs)
            continue;
        write_element(page, "<div><dt>", printable(settings->items[i].key).text, "</dt>");
        write_element(page, "<dd>", report_setting_text(run, settings->items[i].key).text, "</dd></div>\n");
    }
    html_page_markup(page, "</dl>\n");
}

/* ---- samples ---- */

/* Writes a sample line by line, because printable_prefix() replaces line feeds. */
static void write_sample(HtmlPage *page, const char *text, size_t length)
{
    char safe[PRINTABLE_BYTES];
    for (size_t i = 0; i < length;) {
        const char *end = memchr(text + i, '\n', length - i);
        const size_t line = end ? (size_t)(end - text) : length;
        while (i < line) {
            i += printable_prefix(safe, sizeof safe, text + i, line - i);
            html_page_text(page, safe);
        }
        if (end)
            html_page_markup(page, "\n");
        i = line + 1;
    }
}

static void write_samples(HtmlPage *page, const Report *report)
{
    const size_t room = REPORT_PAGE_SAMPLE_BYTES / report->count;
    bool any = false;
    for (size_t i = 0; i < report->count; i++) {
        const LoadedFile *sample = &report->runs[i].sample;
        if (sample->size == 0)
            continue;
        html_page_markup(page, any ? "" : "<h2>Samples</h2>\n<div class=\"rp-samples\">\n");
        any = true;
        write_element(page, "<section><h3>", printable(report->runs[i].name).text, "</h3>\n<pre>");
        write_sample(page, (const char *)sample->data, sample->size < room ? sample->size : room);
        html_page_markup(page, "</pre>");
        if (sample->size > room) {
            char text[96];
            snprintf(text, sizeof text, "The first %zu of %zu bytes.", room, sample->size);
            write_element(page, "<p class=\"rp-note\">", text, "</p>");
        }
        html_page_markup(page, "</section>\n");
    }
    html_page_markup(page, any ? "</div>\n" : "");
}

/* ---- the page ---- */

Status report_page_write(FileWriter *writer, const Report *report, const char *title)
{
    ReportSettings settings;
    Status s = report_settings(&settings, report);
    if (s)
        return s;
    const size_t stretches = stretches_of(report);
    HtmlPage page = html_page_begin(writer, printable(title).text, (const char *const *const[]){report_page_css, NULL});
    if (report->question)
        write_element(&page, "<p>", printable(report->question).text, "</p>\n");
    html_page_markup(&page, "<div id=\"report\"><p>The curves are drawn by a script, and scripts are turned off.</p>"
                            "</div>\n");
    write_thinning(&page, report, stretches);
    write_table(&page, report, &settings);
    write_equal_settings(&page, report, &settings);
    write_samples(&page, report);
    s = write_data(&page, report, stretches);
    html_page_script(&page, report_page_js);
    report_settings_deinit(&settings);
    return s ? s : html_page_end(&page);
}
