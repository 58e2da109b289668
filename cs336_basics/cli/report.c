/* cs336 report shows training runs: as a page with --output, else as a table on standard output. */
#include "cli/commands.h"
#include "cli/work.h"
#include "core/plural.h"
#include "core/printable.h"
#include "inspect/report_page.h"
#include "inspect/report_table.h"
#include "train/run_directory.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef struct {
    TextList directories;
    const char *output, *title;
} ReportOptions;

static int parse(ReportOptions *o, int argc, char **argv)
{
    const Option options[] = {
        OPTION_TEXT(
            "output", &o->output, "FILE", OPTION_UNSHOWN,
            "page to write, one HTML file that needs no network; - is standard output. Without --output a table "
            "is printed"),
        OPTION_TEXT("title", &o->title, "TEXT", OPTION_UNSHOWN,
                    "heading of the page (default: that of experiment.json, or the names of the directories)"),
    };
    OptionTable table = OPTION_TABLE(
        "report",
        "Shows training runs: curves of the loss and of all that log.jsonl has, final and best losses, the settings in "
        "which the runs differ, and samples. Each DIR is a directory of cs336 train --out, or a folder of such "
        "directories. The runs may still be training.",
        options);
    table.operand = "DIR...";
    table.operands = &o->directories;
    const int done = options_parse(&table, argc, argv);
    if (done == OPTIONS_PARSED && o->title && !o->output)
        return options_bad_usage(&table, "--title belongs to --output");
    return done;
}

/* ---- the table ---- */

enum { CELL_BYTES = 60 /* of a status or a setting on the terminal; a longer one is cut */ };

/* Returns the number of characters of valid UTF-8. */
static int characters(const char *text)
{
    int count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xC0) != 0x80; /* not a byte that continues a character */
    return count;
}

static int widest(int width, const char *text)
{
    return characters(text) > width ? characters(text) : width;
}

/* Prints a text and the blanks that fill its column, or the blanks before a number. Numbers come last in a row. */
static void print_text_cell(const char *text, int width)
{
    printf("%s%*s", text, width - characters(text), "");
}

static void print_number_cell(const char *text, int width)
{
    printf("  %*s%s", width - characters(text), "", text);
}

/* Returns the text of a run in a column: 0 is the name, 1 the status, then come settings. */
static PrintableText text_of(const ReportRun *run, size_t column, const ReportSettings *settings)
{
    if (column == 0)
        return printable(run->name);
    const PrintableText whole = column == 1 ? run->status : report_setting_text(run, settings->items[column - 2].key);
    PrintableText cut;
    printable_prefix(cut.text, CELL_BYTES, whole.text, strlen(whole.text));
    return cut;
}

static const char *heading_of(size_t column, const ReportSettings *settings)
{
    return column == 0 ? "run" : column == 1 ? "status" : settings->items[column - 2].key;
}

/* Prints a column of a row; `run` is NULL for the headings. */
static void print_text(const Report *report, const ReportRun *run, size_t column, const ReportSettings *settings)
{
    const PrintableText heading = printable(heading_of(column, settings));
    int width = widest(0, heading.text);
    for (size_t i = 0; i < report->count; i++)
        width = widest(width, text_of(&report->runs[i], column, settings).text);
    printf("%s", column ? "  " : "");
    print_text_cell(run ? text_of(run, column, settings).text : heading.text, width);
}

static void print_number(const Report *report, const ReportRun *run, const ReportColumn *column)
{
    int width = widest(0, column->short_one);
    for (size_t i = 0; i < report->count; i++)
        width = widest(width, report_cell(column, &report->runs[i]).text);
    print_number_cell(run ? report_cell(column, run).text : column->short_one, width);
}

static void print_row(const Report *report, const ReportRun *run, const ReportSettings *settings)
{
    print_text(report, run, 0, settings);
    print_text(report, run, 1, settings);
    for (size_t i = 0; i < settings->count; i++)
        if (settings->items[i].differs)
            print_text(report, run, i + 2, settings);
    for (const ReportColumn *column = report_columns; column->heading; column++)
        if (report_column_used(column, report))
            print_number(report, run, column);
    printf("\n");
}

static Status print_table(const Report *report)
{
    ReportSettings settings;
    const Status s = report_settings(&settings, report);
    if (s)
        return s;
    if (report->title)
        printf("%s\n", printable(report->title).text);
    print_row(report, NULL, &settings);
    for (size_t i = 0; i < report->count; i++)
        print_row(report, &report->runs[i], &settings);
    report_settings_deinit(&settings);
    return CS336_OK;
}

/* ---- the page ---- */

/* Returns the heading of the page. */
static PrintableText title_of(const ReportOptions *o, const Report *report)
{
    char text[PRINTABLE_BYTES];
    if (o->title || report->title)
        return printable(o->title ? o->title : report->title);
    if (o->directories.count == 1)
        snprintf(text, sizeof text, "Training in %.400s", o->directories.items[0]);
    else
        snprintf(text, sizeof text, "%zu training runs", report->count);
    return printable(text);
}

/* What the page shows. */
typedef struct {
    const ReportOptions *options;
    const Report *report;
} PageContents;

static Status write_contents(FileWriter *writer, const void *context)
{
    const PageContents *page = context;
    return report_page_write(writer, page->report, title_of(page->options, page->report).text);
}

static Status write_page(const ReportOptions *o, const Report *report)
{
    const Status s = work_write_file(o->output, write_contents, &(PageContents){.options = o, .report = report});
    if (!s) /* to stderr if the page goes to standard output */
        fprintf(work_summary_stream(o->output), "%s: %zu run%s\n",
                strcmp(o->output, "-") == 0 ? "standard output" : printable(o->output).text, report->count,
                plural(report->count));
    return s;
}

/* Checks that the page does not replace a file of a run. */
static Status check_output(const ReportOptions *o, const Report *report)
{
    Status s = command_needs_writable(o->output);
    for (size_t i = 0; !s && i < report->count; i++) {
        const char *directory = report->runs[i].directory;
        if (run_directory_owns(directory, o->output) || report_run_has(&report->runs[i], o->output))
            s = status_fail(CS336_EIO, "%s: cannot write: it is also a file of the run %s", o->output, directory);
    }
    return s;
}

int command_report(int argc, char **argv)
{
    static ReportOptions o; /* static: large and zeroed */
    const int done = parse(&o, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    Report report;
    Status s = report_read(&report, o.directories.items, o.directories.count);
    if (!s && o.output)
        s = check_output(&o, &report);
    if (!s)
        s = o.output ? write_page(&o, &report) : print_table(&report);
    report_deinit(&report);
    return s ? command_failed("report") : EXIT_OK;
}
