#define _POSIX_C_SOURCE 200809L
#include "inspect/run_report.h"

#include "core/directory.h"
#include "core/memory.h"
#include "tokenizer/buffers.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char LOG[] = "log.jsonl", CONFIG[] = "config.json", RESULT[] = "result.json", SAMPLE[] = "sample.txt",
                  EXPERIMENT[] = "experiment.json";

/* ---- paths ---- */

typedef struct {
    char text[DIRECTORY_PATH_BYTES];
} Path;

/* Sets DIRECTORY/NAME. */
static Status join(Path *path, const char *directory, const char *name)
{
    const int length = snprintf(path->text, sizeof path->text, "%s/%s", directory, name);
    if (length < (int)sizeof path->text)
        return CS336_OK;
    return status_fail(CS336_EIO, "%s: path too long: with %s it has %d bytes, expected less than %d", directory, name,
                       length, DIRECTORY_PATH_BYTES);
}

/* Returns the size of a file in bytes; -1 if there is no such file, or the path is too long. */
static long long size_of(const char *directory, const char *name)
{
    Path path;
    struct stat info;
    return !join(&path, directory, name) && stat(path.text, &info) == 0 ? (long long)info.st_size : -1;
}

bool report_run_has(const ReportRun *run, const char *path)
{
    static const char *const names[] = {RESULT, SAMPLE};
    struct stat info, other;
    Path own;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!join(&own, run->directory, names[i]) && stat(own.text, &info) == 0 && stat(path, &other) == 0 &&
            info.st_dev == other.st_dev && info.st_ino == other.st_ino)
            return true;
    return false;
}

static bool is_run(const char *directory)
{
    return size_of(directory, LOG) >= 0 || size_of(directory, CONFIG) >= 0 || size_of(directory, RESULT) >= 0;
}

/* Reads a JSON object. *object stays NULL if the file is missing or empty. */
static Status read_object(json_t **object, const char *directory, const char *name)
{
    Path path;
    Status s = join(&path, directory, name);
    if (s || size_of(directory, name) <= 0)
        return s;
    s = json_read(object, path.text);
    if (!s && !json_is_object(*object))
        s = status_fail(CS336_EFORMAT, "%s:1: expected a JSON object", path.text);
    return s;
}

/* ---- one run ---- */

/* Returns the step of the first line with a null loss; NaN if there is none. */
static double first_null(const RunCurves *curves, const char *loss)
{
    const Curve *curve = run_curves_find(curves, loss), *step = run_curves_find(curves, "step");
    for (size_t i = 0; curve && i < curve->count; i++)
        if (isnan(curve->points[i].value))
            return curve_at(step, curve->points[i].line);
    return (double)NAN;
}

/* True if the last line of the log lacks a validation loss that it gets when the run is resumed: see train/run_log.h.
 */
static bool owes_validation(const ReportRun *run)
{
    const Curve *curve = run_curves_find(&run->curves, "val_loss");
    const bool validates = json_is_string(json_object_get(run->config, "val"));
    return validates && !(curve && curve->points[curve->count - 1].line + 1 == run->curves.summary.lines);
}

/* Describes how far the run is, from its log and configuration. */
static void describe_log(ReportRun *run, double null_step)
{
    const RunSummary *summary = &run->curves.summary;
    const double step = (double)summary->step, last = json_number_value(json_object_get(run->config, "steps")),
                 patience = json_number_value(json_object_get(run->config, "patience")); /* 0 if there is none */
    char text[96];
    run->diverged = !isnan(null_step);
    if (run->diverged)
        snprintf(text, sizeof text, "diverged in step %.0f", null_step);
    else if (last > 0 && step >= last && !owes_validation(run))
        snprintf(text, sizeof text, "complete");
    else if (last > 0 && patience > 0 && (double)summary->since_best >= patience)
        snprintf(text, sizeof text, "stopped early in step %.0f of %.0f", step, last);
    else if (last > 0)
        snprintf(text, sizeof text, "step %.0f of %.0f", step, last);
    else
        snprintf(text, sizeof text, "step %.0f", step);
    run->status = printable(text);
}

/* Describes a run whose result.json says that it diverged. `message` is NULL if the file has none. */
static PrintableText describe_divergence(const ReportRun *run, const char *message, double null_step)
{
    char text[PRINTABLE_BYTES];
    size_t step;
    /* cs336 train says: "step 41: the loss is inf ..." */
    if (message && sscanf(message, "step %zu:", &step) == 1)
        snprintf(text, sizeof text, "diverged in step %zu", step);
    else if (!isnan(null_step))
        snprintf(text, sizeof text, "diverged in step %.0f", null_step);
    else if (message)
        snprintf(text, sizeof text, "diverged: %.480s", message);
    else
        snprintf(text, sizeof text, "diverged after step %zu", run->curves.summary.step);
    return printable(text);
}

/* Describes how the run ended, from its result.json. */
static void describe_result(ReportRun *run, const json_t *result, double null_step)
{
    const char *status = json_string_value(json_object_get(result, "status")),
               *message = json_string_value(json_object_get(result, "message"));
    char text[PRINTABLE_BYTES];
    run->diverged = strcmp(status, "diverged") == 0;
    if (run->diverged)
        run->status = describe_divergence(run, message, null_step);
    else if (strcmp(status, "incomplete") == 0)
        describe_log(run, null_step);
    else if (!message || strcmp(status, "complete") == 0)
        run->status = printable(status);
    else {
        snprintf(text, sizeof text, "%.100s: %.380s", status, message);
        run->status = printable(text);
    }
}

static Status read_log(ReportRun *run, const json_t *result)
{
    Path path;
    Status s = join(&path, run->directory, LOG);
    run->curves.summary = run_summary_none(); /* a zeroed one would have losses of 0 */
    if (s || (result && size_of(run->directory, LOG) < 0))
        return s;
    if (size_of(run->directory, LOG) < 0)
        return status_fail(CS336_EIO, "%s: %s; expected the log of cs336 train --out %s", path.text, strerror(ENOENT),
                           run->directory);
    return run_curves_read(&run->curves, path.text);
}

static Status read_sample(ReportRun *run)
{
    Path path;
    Status s = join(&path, run->directory, SAMPLE);
    return s || size_of(run->directory, SAMPLE) <= 0 ? s : file_load(&run->sample, path.text);
}

static Status read_run(ReportRun *run)
{
    json_t *result = NULL;
    Status s = read_object(&run->config, run->directory, CONFIG);
    if (!s)
        s = read_object(&result, run->directory, RESULT);
    if (!s && result && !json_is_string(json_object_get(result, "status")))
        s = status_fail(CS336_EFORMAT, "%s/%s:1: expected an object with a status such as \"complete\"", run->directory,
                        RESULT);
    json_t *settings = json_object_get(result, "settings");
    if (!s && !run->config && json_is_object(settings)) {
        run->config = json_incref(settings);
        run->given_only = true;
    }
    if (!s)
        s = read_log(run, result);
    if (!s)
        s = read_sample(run);
    if (!s) {
        const double training = first_null(&run->curves, "train_loss"),
                     validation = first_null(&run->curves, "val_loss");
        const double null_step = fmin(training, validation); /* fmin(NaN, x) is x */
        const RunSummary *summary = &run->curves.summary;
        run->perplexity = exp(summary->best_val_loss);
        run->best_step = isnan(summary->best_val_loss) ? (double)NAN : (double)summary->best_step;
        if (result)
            describe_result(run, result, null_step);
        else
            describe_log(run, null_step);
    }
    json_decref(result);
    return s;
}

/* ---- all runs ---- */

int report_compare_names(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        if (*a >= '0' && *a <= '9' && *b >= '0' && *b <= '9') {
            char *a_end, *b_end;
            const double x = strtod(a, &a_end), y = strtod(b, &b_end);
            if (x != y)
                return x < y ? -1 : 1;
            a = a_end - 1;
            b = b_end - 1;
        } else if (*a != *b) {
            return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
        }
    }
    return (*a != 0) - (*b != 0);
}

static int compare_runs(const void *a, const void *b)
{
    const ReportRun *first = a, *second = b;
    const int order = report_compare_names(first->name, second->name);
    return order ? order : strcmp(first->name, second->name);
}

/* Adds a run that is still to be read. */
static Status add_run(Report *report, const char *directory, const char *name)
{
    if (report->count == REPORT_MAX_RUNS)
        return status_fail(CS336_ERANGE, "%s: there are more than %d runs, which a report cannot show", directory,
                           REPORT_MAX_RUNS);
    Status s = array_reserve(&report->runs, &report->capacity, report->count + 1, sizeof *report->runs);
    if (s)
        return s;
    ReportRun *run = &report->runs[report->count++];
    *run = (ReportRun){.directory = memory_copy_text(directory), .name = memory_copy_text(name)};
    return run->directory && run->name ? CS336_OK : status_fail(CS336_ENOMEM, "%s: no memory for the path", directory);
}

/* Adds the runs of a folder, sorted by name. `prefix` is the beginning of their names: "", or the folder's path. */
static Status add_folder(Report *report, const char *folder, const char *prefix)
{
    const size_t before = report->count;
    Status s = CS336_OK;
    DIR *stream = opendir(folder);
    if (!stream)
        return status_fail(CS336_EIO, "%s: cannot read: %s", folder, strerror(errno));
    for (const struct dirent *entry; !s && (entry = readdir(stream)) != NULL;) {
        Path path, name;
        if (entry->d_name[0] == '.')
            continue;
        s = join(&path, folder, entry->d_name);
        if (s || !is_run(path.text))
            continue;
        if (*prefix)
            s = join(&name, prefix, entry->d_name);
        if (!s)
            s = add_run(report, path.text, *prefix ? name.text : entry->d_name);
    }
    closedir(stream);
    if (!s && report->count == before)
        s = status_fail(
            CS336_EIO,
            "%s: contains no run (log.jsonl, config.json); expected the directory of cs336 train --out, or a "
            "folder of such directories",
            folder);
    if (!s)
        qsort(report->runs + before, report->count - before, sizeof *report->runs, compare_runs);
    return s;
}

/* Copies a text of experiment.json, unless an earlier folder had one. */
static Status copy_text(char **copy, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (!text || !*text || *copy)
        return CS336_OK;
    *copy = memory_copy_text(text);
    return *copy ? CS336_OK : status_fail(CS336_ENOMEM, "no memory for the %s of the experiment", key);
}

static Status read_experiment(Report *report, const char *folder)
{
    json_t *experiment = NULL;
    Status s = read_object(&experiment, folder, EXPERIMENT);
    if (!s)
        s = copy_text(&report->title, experiment, "title");
    if (!s)
        s = copy_text(&report->question, experiment, "question");
    json_decref(experiment);
    return s;
}

/* Adds the run or the runs of a path. `several`: there are other paths, so the names of a folder's runs begin with it.
 */
static Status add_path(Report *report, const char *path, bool several)
{
    char *directory = memory_copy_text(path); /* without slashes at the end */
    struct stat info;
    Status s = directory ? CS336_OK : status_fail(CS336_ENOMEM, "%s: no memory for the path", path);
    if (s)
        return s;
    for (size_t length = strlen(directory); length > 1 && directory[length - 1] == '/'; length--)
        directory[length - 1] = '\0';
    if (stat(directory, &info) != 0)
        s = status_fail(CS336_EIO, "%s: %s; expected a run directory of cs336 train --out", directory, strerror(errno));
    else if (!S_ISDIR(info.st_mode))
        s = status_fail(CS336_EIO, "%s: is a file; expected a run directory of cs336 train --out", directory);
    else if (is_run(directory))
        s = add_run(report, directory, directory);
    else
        s = add_folder(report, directory, several ? directory : "");
    if (!s && !several) /* title and question of one experiment say nothing about the runs of others */
        s = read_experiment(report, directory);
    memory_release(directory);
    return s;
}

/* Turns a run that cannot be read into one without curves, whose status is what is wrong. */
static Status show_as_unreadable(ReportRun *run)
{
    char text[PRINTABLE_BYTES];
    snprintf(text, sizeof text, "%.400s", status_message());
    run_curves_deinit(&run->curves);
    run->curves.summary = run_summary_none();
    run->perplexity = run->best_step = (double)NAN;
    run->status = printable(text);
    return CS336_OK;
}

Status report_read(Report *report, const char *const *paths, size_t count)
{
    Status s = CS336_OK;
    *report = (Report){0};
    for (size_t i = 0; !s && i < count; i++)
        s = add_path(report, paths[i], count > 1);
    for (size_t i = 0; !s && i < report->count; i++) {
        s = read_run(&report->runs[i]);
        /* One damaged file does not hide the other runs. */
        if (report->count > 1 && (s == CS336_EFORMAT || s == CS336_EIO))
            s = show_as_unreadable(&report->runs[i]);
    }
    if (s)
        report_deinit(report);
    return s;
}

void report_deinit(Report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        ReportRun *run = &report->runs[i];
        memory_release(run->directory);
        memory_release(run->name);
        json_decref(run->config);
        run_curves_deinit(&run->curves);
        file_unload(&run->sample);
    }
    memory_release(report->runs);
    memory_release(report->title);
    memory_release(report->question);
    *report = (Report){0};
}
