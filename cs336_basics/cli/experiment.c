#define _POSIX_C_SOURCE 200809L
#include "cli/commands.h"
#include "cli/experiment_data.h"
#include "cli/experiment_file.h"
#include "cli/experiment_run.h"
#include "cli/model_options.h"
#include "cli/options.h"
#include "cli/work.h"
#include "core/directory.h"
#include "core/memory.h"
#include "core/printable.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const char *out, *data;
    TextList files, only; /* one file */
    size_t threads;
    bool list, overwrite;
} ExperimentOptions;

static int parse(ExperimentOptions *o, int argc, char **argv)
{
    const Option options[] = {
        OPTION_TEXT("out", &o->out, "DIR", OPTION_UNSHOWN,
                    "directory for the runs, each in a directory of its own (default build/experiments/ and the name "
                    "of FILE)"),
        OPTION_TEXT("data", &o->data, "DIR", OPTION_SHOWN, "directory of the texts or ids that FILE names"),
        OPTION_TEXTS("only", &o->only, "NAME", OPTION_UNSHOWN, "train only the run of this name"),
        OPTION_FLAG("list", &o->list, "print the runs, their settings and how they stand, and train nothing"),
        OPTION_FLAG("overwrite", &o->overwrite, "begin those runs again whose settings or data have changed"),
        OPTION_THREADS(&o->threads),
    };
    OptionTable table = OPTION_TABLE(
        "experiment",
        "Trains the runs that a JSON file describes, one after the other, and prints a table of their losses. Complete "
        "runs are left as they are, and incomplete ones are resumed: after Ctrl-C the same command goes on. "
        "docs/experiments has a file for each experiment of the handout.",
        options);
    table.operand = "FILE";
    table.operands = &o->files;
    const int result = options_parse(&table, argc, argv);
    if (result == OPTIONS_PARSED && o->files.count > 1)
        return options_bad_usage(&table, "unexpected argument \"%s\"", o->files.items[1]);
    return result;
}

/* An experiment in work. */
typedef struct {
    const ExperimentOptions *options;
    Experiment experiment;
    char out[DIRECTORY_PATH_BYTES];
    ExperimentData data;
    RunResult *results; /* (run_count) by run */
    bool *selected;     /* (run_count) the runs to train: all, or those of --only */
} Work;

/* ---- selection and checks ---- */

/* The directory of the runs: --out, or build/experiments/ and the name of FILE without its ending. */
static Status find_out(Work *w)
{
    char directory[DIRECTORY_PATH_BYTES];
    const char *name = directory_split(directory, w->options->files.items[0]), *dot = strrchr(name, '.');
    const int length = w->options->out
                           ? snprintf(w->out, sizeof w->out, "%s", w->options->out)
                           : snprintf(w->out, sizeof w->out, "build/experiments/%.*s",
                                      (int)(dot && dot != name ? (size_t)(dot - name) : strlen(name)), name);
    enum { ROOM = EXPERIMENT_NAME_BYTES + 64 }; /* bytes for the name of a run and of a file in its directory */
    return length + ROOM < (int)sizeof w->out ? CS336_OK : status_fail(CS336_EIO, "%s: path too long", w->out);
}

static Status select_runs(Work *w)
{
    const TextList *only = &w->options->only;
    const Experiment *e = &w->experiment;
    for (size_t i = 0; i < e->run_count; i++)
        w->selected[i] = only->count == 0;
    for (size_t j = 0; j < only->count; j++) {
        size_t i = 0;
        while (i < e->run_count && strcmp(e->runs[i].name, only->items[j]) != 0)
            i++;
        if (i == e->run_count)
            return status_fail(CS336_ERANGE, "--only: %s has no run \"%s\"; --list prints their names", e->path,
                               only->items[j]);
        w->selected[i] = true;
    }
    return CS336_OK;
}

/* Reads how the runs stand, and refuses to mix runs of different settings. */
static Status read_results(Work *w, bool compare)
{
    char difference[256];
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < w->experiment.run_count; i++) {
        const ExperimentRun *run = &w->experiment.runs[i];
        s = run_result_read(&w->results[i], experiment_path(w->out, run->name).text);
        if (s || !compare || !w->selected[i] ||
            !run_result_differs(&w->results[i], run, &w->data, difference, sizeof difference))
            continue;
        if (!w->options->overwrite)
            return status_fail(CS336_ERANGE,
                               "%s/%s was trained with other settings: %s; --overwrite begins it again, and --out "
                               "names another directory",
                               w->out, run->name, difference);
        run_result_deinit(&w->results[i]);
    }
    return s;
}

/* Writes title and question to experiment.json, for reports about the directory. */
static Status write_description(const Work *w)
{
    const Experiment *e = &w->experiment;
    const ExperimentPath path = experiment_path(w->out, EXPERIMENT_DESCRIPTION);
    json_t *object = json_pack("{s:s, s:s}", "title", e->title, "question", e->question ? e->question : "");
    const Status s = json_write_file(path.text, object, JSON_INDENT(2));
    json_decref(object);
    return s;
}

/* ---- reports ---- */

/* Returns the length of the longest name of a run, at least that of the heading. */
static int name_columns(const Experiment *e)
{
    int columns = (int)strlen("run");
    for (size_t i = 0; i < e->run_count; i++)
        if ((int)strlen(e->runs[i].name) > columns)
            columns = (int)strlen(e->runs[i].name);
    return columns;
}

/* A loss as text: "3.2102", "2.6e+18", or "-" if there is none. */
typedef struct {
    char text[16];
} LossText;

static LossText loss_text(double loss, bool known)
{
    LossText text = {"-"};
    if (known)
        snprintf(text.text, sizeof text.text, loss >= 1e-3 && loss < 1e3 ? "%.4f" : "%.3g", loss);
    return text;
}

static void print_title(const Experiment *e)
{
    printf("%s\n", printable(e->title).text);
    if (e->question)
        printf("%s\n", printable(e->question).text);
}

/* True if all runs have this setting with this value. */
static bool is_common(const Experiment *e, const char *key, const json_t *value)
{
    for (size_t i = 0; i < e->run_count; i++)
        if (!json_equal(json_object_get(e->runs[i].settings, key), value))
            return false;
    return true;
}

/* Prints the settings of a run that all runs have, or those that only some have. */
static void print_settings(const Experiment *e, const ExperimentRun *run, bool common)
{
    const char *key;
    json_t *value;
    json_object_foreach(run->settings, key, value)
    {
        if (is_common(e, key, value) != common)
            continue;
        printf(" %s", printable(key).text);
        if (json_is_string(value))
            printf("=%s", printable(json_string_value(value)).text);
    }
    putchar('\n');
}

static void print_list(const Work *w)
{
    const Experiment *e = &w->experiment;
    const int columns = name_columns(e);
    print_title(e);
    for (size_t i = 0; i < e->run_count; i++) {
        printf("%-*s  %-10s ", columns, e->runs[i].name, result_names[w->results[i].status]);
        print_settings(e, &e->runs[i], false);
    }
    printf("all runs:");
    print_settings(e, &e->runs[0], true);
}

static void print_table(const Work *w)
{
    const Experiment *e = &w->experiment;
    const int columns = name_columns(e);
    printf("\n%-*s  %10s  %10s  %10s  %9s  %8s  status\n", columns, "run", "train loss", "val loss", "best val",
           "tokens/s", "time");
    for (size_t i = 0; i < e->run_count; i++) {
        const RunResult *result = &w->results[i];
        const RunSummary *summary = &result->summary;
        const bool begun = summary->lines > 0, valid = summary->validated;
        printf("%-*s  %10s  %10s  %10s  %9s  %8s  %s\n", columns, e->runs[i].name,
               loss_text(summary->train_loss, begun).text, loss_text(summary->val_loss, valid).text,
               loss_text(summary->best_val_loss, valid).text,
               summary->tokens_per_second > 0 ? count_text(summary->tokens_per_second) : "-",
               begun ? work_time(summary->seconds).text : "-", result_names[result->status]);
    }
    printf("the runs are in %s\n", printable(w->out).text);
}

/* Prints the line of a run that has ended, or that is left as it is. */
static void print_run(const char *title, const ExperimentRun *run, const RunResult *result, bool as_before)
{
    const RunSummary *summary = &result->summary;
    printf("%s  %s: %s", title, run->name, result_names[result->status]);
    if (as_before)
        printf(" as before");
    if (*result->message)
        printf(", %s", printable(result->message).text);
    else if (result->status == RESULT_INCOMPLETE && summary->lines)
        printf(", its log ends at step %zu", summary->step);
    else if (summary->validated)
        printf(", validation loss %s", loss_text(summary->val_loss, true).text);
    else if (summary->lines)
        printf(", loss %s", loss_text(summary->train_loss, true).text);
    putchar('\n');
    fflush(stdout);
}

/* ---- training ---- */

/* Makes the sample of a complete run, if the experiment wants one and it is missing. */
static Status sample(const Work *w, const RunResult *result, const char *directory)
{
    if (!w->experiment.prompt || result->status != RESULT_COMPLETE ||
        access(experiment_path(directory, "sample.txt").text, F_OK) == 0)
        return CS336_OK;
    return experiment_data_sample(&w->data, &w->experiment, directory, w->options->threads);
}

/* Trains a run, unless it is settled. */
static Status train(Work *w, size_t index, const char *title, WorkProgress *progress)
{
    const ExperimentRun *run = &w->experiment.runs[index];
    RunResult *result = &w->results[index];
    const ExperimentPath directory = experiment_path(w->out, run->name);
    const RunContext context = {.experiment = &w->experiment,
                                .data = &w->data,
                                .title = title,
                                .progress = progress,
                                .threads = w->options->threads};
    const bool settled = run_result_is_settled(result);
    Status s = CS336_OK;
    if (!settled) {
        run_result_deinit(result);
        s = experiment_run_train(result, &context, run, directory.text);
        work_end(progress);
    }
    if (s)
        return s;
    print_run(title, run, result, settled);
    return sample(w, result, directory.text);
}

/* Trains the selected runs. Failures of single runs do not end it. */
static Status train_all(Work *w)
{
    const Experiment *e = &w->experiment;
    WorkProgress progress = work_begin("experiment");
    size_t count = 0, number = 0;
    for (size_t i = 0; i < e->run_count; i++)
        count += w->selected[i];
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < e->run_count; i++) {
        char title[64];
        if (!w->selected[i])
            continue;
        snprintf(title, sizeof title, "run %zu of %zu", ++number, count);
        s = train(w, i, title, &progress);
        if (!s)
            s = work_check_stop();
    }
    return s;
}

/* Everything after the checks: data, runs, table. */
static Status work(Work *w)
{
    int lock = -1;
    Status s = directory_make(w->out);
    if (!s)
        s = directory_lock(&lock, w->out);
    if (!s)
        s = write_description(w);
    if (!s)
        s = experiment_data_make(&w->data, &w->experiment, w->out, w->options->threads);
    if (!s)
        s = train_all(w);
    if (!s || s == CS336_EINTERRUPTED)
        print_table(w);
    directory_unlock(lock);
    return s;
}

/* Checks file, settings, data and earlier runs before anything is written. `usage` is set if a line was printed. */
static Status prepare(Work *w, bool *usage)
{
    const Experiment *e = &w->experiment;
    Status s = experiment_load(&w->experiment, w->options->files.items[0]);
    if (!s)
        s = find_out(w);
    if (s)
        return s;
    w->results = memory_allocate_zeroed(e->run_count, sizeof *w->results);
    w->selected = memory_allocate_zeroed(e->run_count, sizeof *w->selected);
    if (!w->results || !w->selected)
        return status_fail(CS336_ENOMEM, "%s: no memory for %zu runs", e->path, e->run_count);
    for (size_t i = 0; i < e->run_count; i++)
        if (!experiment_run_check(e, &e->runs[i])) {
            *usage = true;
            return CS336_ERANGE;
        }
    s = select_runs(w);
    if (!s && !w->options->list)
        s = experiment_data_find(&w->data, e, w->out, w->options->data);
    return s ? s : read_results(w, !w->options->list);
}

static void deinit(Work *w)
{
    for (size_t i = 0; w->results && i < w->experiment.run_count; i++)
        run_result_deinit(&w->results[i]);
    memory_release(w->results);
    memory_release(w->selected);
    experiment_unload(&w->experiment);
}

/* Returns how many of the selected runs failed. */
static size_t failures(const Work *w)
{
    size_t count = 0;
    for (size_t i = 0; i < w->experiment.run_count; i++)
        count += w->selected[i] && w->results[i].status == RESULT_FAILED;
    return count;
}

int command_experiment(int argc, char **argv)
{
    static ExperimentOptions o; /* static, like the next one: lists and paths are large for a stack */
    static Work w;
    bool usage = false;
    o.data = "data";
    const int done = parse(&o, argc, argv);
    if (done != OPTIONS_PARSED)
        return done;
    w = (Work){.options = &o};
    Status s = prepare(&w, &usage);
    if (!s && o.list)
        print_list(&w);
    if (!s && !o.list) {
        print_title(&w.experiment);
        /* Before the first child starts: a signal then ends the experiment only after the run is saved. */
        work_stop_flag();
        s = work(&w);
    }
    int code = EXIT_OK;
    if (s == CS336_EINTERRUPTED)
        printf("stopped; to continue, run the same command again\n");
    else if (s)
        code = usage ? EXIT_BAD_INPUT : command_failed("experiment");
    else if (failures(&w)) {
        fprintf(stderr, "cs336 experiment: %zu of the runs failed; output.txt in their directories says more\n",
                failures(&w));
        code = EXIT_BAD_INPUT;
    }
    deinit(&w);
    return code;
}
