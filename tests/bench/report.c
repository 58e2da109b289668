#define _POSIX_C_SOURCE 200809L
#include "tests/bench/report.h"

#include "core/file.h"
#include "core/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 1000 };

static char folder[PATH_BYTES - 100];
static json_t *rows;

static const char *path_of(const char *name)
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
    const Status s = file_make_directory(directory);
    if (s)
        return s;
    rows = json_array();
    if (!rows)
        return status_fail(CS336_ENOMEM, "bench: no memory");
    FileWriter writer; /* a directory that cannot be written is found now, not after the first row */
    const Status writable = file_create(&writer, path_of("bench.jsonl"));
    file_abandon(&writer);
    return writable;
}

static Status set_earlier_rows_aside(void)
{
    char previous[PATH_BYTES];
    strcpy(previous, path_of("bench.previous.jsonl"));
    if (rename(path_of("bench.jsonl"), previous) != 0 && errno != ENOENT)
        return status_fail(CS336_EIO, "%s: %s", previous, strerror(errno));
    return CS336_OK;
}

static Status write_rows(void)
{
    FileWriter writer;
    Status s = file_create(&writer, path_of("bench.jsonl"));
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

Status report_end(void)
{
    printf("\n%s: the rows of this run; bench.previous.jsonl: those of the run before\n", path_of("bench.jsonl"));
    json_decref(rows);
    return CS336_OK;
}
