#include "inspect/report_table.h"

#include "core/memory.h"
#include "tokenizer/buffers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char NONE[] = "-";

#define MEMBER(name) offsetof(ReportRun, name)
const ReportColumn report_columns[] = {
    {"final training loss", "train loss", MEMBER(curves.summary.train_loss), "%.4f"},
    {"final validation loss", "val loss", MEMBER(curves.summary.val_loss), "%.4f"},
    {"best validation loss", "best", MEMBER(curves.summary.best_val_loss), "%.4f"},
    {"perplexity of the best", "perplexity", MEMBER(perplexity), "%.2f"},
    {"step of the best", "in step", MEMBER(best_step), "%.0f"},
    {"tokens", "tokens", MEMBER(curves.summary.tokens), "%.0f"},
    {"seconds", "seconds", MEMBER(curves.summary.seconds), "%.1f"},
    {"tokens/s", "tokens/s", MEMBER(curves.summary.tokens_per_second), "%.0f"},
    {NULL, NULL, 0, NULL},
};

double report_number(const ReportColumn *column, const ReportRun *run)
{
    double number;
    memcpy(&number, (const char *)run + column->member, sizeof number);
    return number;
}

/* True if the numbers of the column are counts. */
static bool is_whole(const ReportColumn *column)
{
    return strcmp(column->format, "%.0f") == 0;
}

ReportCell report_cell(const ReportColumn *column, const ReportRun *run)
{
    const double number = report_number(column, run);
    ReportCell cell;
    /* Losses of a run that diverges have many digits before the point, and those of toy problems many zeros after it.
     */
    if (isnan(number))
        snprintf(cell.text, sizeof cell.text, "%s", NONE);
    else if (!is_whole(column) && (fabs(number) >= 1e3 || (fabs(number) < 1e-3 && number != 0)))
        snprintf(cell.text, sizeof cell.text, "%.6g", number);
    else
        snprintf(cell.text, sizeof cell.text, column->format, number);
    return cell;
}

bool report_column_used(const ReportColumn *column, const Report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        const double number = report_number(column, &report->runs[i]);
        if (!isnan(number) && !(is_whole(column) && number == 0))
            return true;
    }
    return false;
}

/* ---- settings ---- */

PrintableText report_setting_text(const ReportRun *run, const char *key)
{
    const json_t *value = json_object_get(run->config, key);
    char number[32];
    if (!value)
        return printable(NONE);
    if (json_is_string(value))
        return printable_bytes(json_string_value(value), json_string_length(value));
    if (json_is_real(value)) {
        /* config.json has nine digits of float32 numbers, which have seven: 1e-05 is 9.99999975e-06 there. */
        snprintf(number, sizeof number, "%.7g", json_real_value(value));
        return printable(number);
    }
    char *json = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    const PrintableText text = printable(json ? json : "?");
    free(json);
    return text;
}

static bool has_key(const ReportSettings *settings, const char *key)
{
    for (size_t i = 0; i < settings->count; i++)
        if (strcmp(settings->items[i].key, key) == 0)
            return true;
    return false;
}

/* True if two runs have different texts for the key. A run whose settings are not known is not compared. */
static bool differs(const Report *report, const char *key)
{
    const ReportRun *first = NULL;
    for (size_t i = 0; i < report->count; i++) {
        const ReportRun *run = &report->runs[i];
        if (!run->config || (run->given_only && !json_object_get(run->config, key)))
            continue;
        first = first ? first : run;
        if (strcmp(report_setting_text(run, key).text, report_setting_text(first, key).text) != 0)
            return true;
    }
    return false;
}

Status report_settings(ReportSettings *settings, const Report *report)
{
    Status s = CS336_OK;
    const char *key;
    json_t *value;
    *settings = (ReportSettings){0};
    /* result.json also has what is no option of the training, so its keys count only if no run has a config.json. */
    bool complete = false;
    for (size_t i = 0; i < report->count; i++)
        complete = complete || (report->runs[i].config && !report->runs[i].given_only);
    for (size_t i = 0; i < report->count; i++) {
        if (complete && report->runs[i].given_only)
            continue;
        json_object_foreach(report->runs[i].config, key, value)
        {
            if (s || has_key(settings, key))
                continue;
            s = array_reserve(&settings->items, &settings->capacity, settings->count + 1, sizeof *settings->items);
            if (!s)
                settings->items[settings->count++] = (ReportSetting){.key = key, .differs = differs(report, key)};
        }
    }
    if (s)
        report_settings_deinit(settings);
    return s;
}

void report_settings_deinit(ReportSettings *settings)
{
    memory_release(settings->items);
    *settings = (ReportSettings){0};
}
