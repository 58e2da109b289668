#define _POSIX_C_SOURCE 200809L
#include "tests/bench/report.h"

#include "core/directory.h"
#include "core/file.h"
#include "core/json.h"
#include "core/memory.h"
#include "tests/bench/chart.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 1000 };

static char folder[PATH_BYTES - 100];
static json_t *rows;

const char *report_path(const char *name)
{
    static char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* ---- bench.jsonl ---- */

Status report_begin(const char *directory)
{
    if (strlen(directory) >= sizeof folder)
        return status_fail(CS336_EIO, "bench: the directory's name is too long");
    strcpy(folder, directory);
    const Status s = directory_make(directory);
    if (s)
        return s;
    rows = json_array();
    if (!rows)
        return status_fail(CS336_ENOMEM, "bench: no memory");
    FileWriter writer; /* opened now, so that a directory without write permission is found before the first row */
    const Status writable = file_create(&writer, report_path("bench.jsonl"));
    file_abandon(&writer);
    return writable;
}

static Status set_earlier_rows_aside(void)
{
    char previous[PATH_BYTES];
    strcpy(previous, report_path("bench.previous.jsonl"));
    if (rename(report_path("bench.jsonl"), previous) != 0 && errno != ENOENT)
        return status_fail(CS336_EIO, "%s: %s", previous, strerror(errno));
    return CS336_OK;
}

static Status write_rows(void)
{
    FileWriter writer;
    Status s = file_create(&writer, report_path("bench.jsonl"));
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        if (!s)
            s = json_write(&writer, row, JSON_COMPACT | JSON_REAL_PRECISION(6));
        if (!s)
            s = file_write(&writer, "\n", 1);
    }
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    return s;
}

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

Status report_add(const BenchRow *row, BenchResult result, const char *peer_name, double ratio)
{
    json_t *object = json_pack("{s:s, s:o, s:s, s:o, s:s?, s:o, s:o}", "name", row->name, "ours", number(result.ours),
                               "unit", row->unit, "peer", number(result.peer), "peer_name", peer_name, "ratio",
                               number(ratio), "limit", number(result.limit));
    if (!object || json_array_append_new(rows, object) != 0)
        return status_fail(CS336_ENOMEM, "bench: no memory");
    const Status s = json_array_size(rows) == 1 ? set_earlier_rows_aside() : CS336_OK;
    return s ? s : write_rows();
}

/* ---- the chart of ratios ---- */

static Status draw_ratios(void)
{
    const size_t most = json_array_size(rows);
    ChartBar *bars = memory_allocate(most * sizeof *bars);
    size_t i, count = 0;
    json_t *row;
    if (!bars)
        return status_fail(CS336_ENOMEM, "bench: no memory");
    json_array_foreach(rows, i, row)
    {
        const json_t *ratio = json_object_get(row, "ratio");
        if (json_is_real(ratio))
            bars[count++] = (ChartBar){json_string_value(json_object_get(row, "name")),
                                       json_string_value(json_object_get(row, "peer_name")), json_real_value(ratio)};
    }
    const Status s = chart_bars(report_path("bench.svg"), bars, count);
    memory_release(bars);
    return s;
}

Status report_end(void)
{
    const Status s = draw_ratios();
    json_decref(rows);
    printf("\n%s: the rows of this run; bench.previous.jsonl: those of the run before\n", report_path("bench.jsonl"));
    return s;
}
