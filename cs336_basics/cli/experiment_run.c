#define _POSIX_C_SOURCE 200809L
#include "cli/experiment_run.h"

#include "cli/arguments.h"
#include "cli/child.h"
#include "cli/experiment_sgd.h"
#include "cli/options.h"
#include "cli/train.h"
#include "core/file.h"
#include "core/printable.h"
#include "train/run_directory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const result_names[] = {"not begun", "incomplete", "complete", "diverged", "refused", "failed", NULL};

/* The key of the data's fingerprint among the recorded settings. No option of cs336 train has this name. */
static const char DATA_KEY[] = "data";

/* ---- result.json ---- */

static Status parse_result(RunResult *result, const json_t *file, const char *path)
{
    const char *status = json_string_value(json_object_get(file, "status"));
    const char *message = json_string_value(json_object_get(file, "message"));
    json_t *settings = json_object_get(file, "settings");
    for (int i = RESULT_INCOMPLETE; status && result_names[i]; i++)
        if (strcmp(status, result_names[i]) == 0)
            result->status = (ResultStatus)i;
    if (result->status == RESULT_NONE || !json_is_object(settings))
        return status_fail(CS336_EFORMAT,
                           "%s: expected an object with status and settings; without this file the run "
                           "can only be begun again",
                           path);
    result->settings = json_incref(settings);
    snprintf(result->message, sizeof result->message, "%s", message ? message : "");
    return CS336_OK;
}

Status run_result_read(RunResult *result, const char *directory)
{
    const ExperimentPath path = experiment_path(directory, "result.json"),
                         log = experiment_path(directory, "log.jsonl");
    json_t *file = NULL;
    *result = (RunResult){.status = RESULT_NONE};
    if (access(path.text, F_OK) != 0)
        return CS336_OK;
    Status s = json_read(&file, path.text);
    if (!s)
        s = parse_result(result, file, path.text);
    if (!s)
        s = run_summary_read(&result->summary, log.text);
    json_decref(file);
    return s;
}

void run_result_deinit(RunResult *result)
{
    json_decref(result->settings);
    *result = (RunResult){0};
}

/* Sets a number that may be missing; NaN and infinity become null. */
static int set_number(json_t *object, const char *key, double number)
{
    return json_object_set_new(object, key, isfinite(number) ? json_real(number) : json_null());
}

/* Returns the result as an object, or NULL if there is no memory. */
static json_t *result_object(const RunResult *result)
{
    const RunSummary *summary = &result->summary;
    json_t *object = json_pack("{s:s}", "status", result_names[result->status]);
    int failed = object ? 0 : -1;
    if (*result->message)
        failed |= json_object_set_new(object, "message", json_string(result->message));
    if (summary->lines) {
        failed |= json_object_set_new(object, "step", json_integer((json_int_t)summary->step));
        failed |= set_number(object, "seconds", summary->seconds);
        failed |= set_number(object, "train_loss", summary->train_loss);
        failed |= set_number(object, "tokens_per_second", summary->tokens_per_second);
    }
    if (summary->validated) {
        failed |= set_number(object, "val_loss", summary->val_loss);
        failed |= set_number(object, "best_val_loss", summary->best_val_loss);
        failed |= json_object_set_new(object, "best_step", json_integer((json_int_t)summary->best_step));
    }
    failed |= json_object_set(object, "settings", result->settings);
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
}

static Status write_result(const RunResult *result, const char *directory)
{
    const ExperimentPath path = experiment_path(directory, "result.json");
    json_t *object = result_object(result);
    const Status s = json_write_file(path.text, object, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(object);
    return s;
}

bool run_result_is_settled(const RunResult *result)
{
    return result->status == RESULT_COMPLETE || result->status == RESULT_DIVERGED;
}

/* ---- settings ---- */

/* Returns the settings that are recorded: those of the run, and the data's fingerprint. NULL if there is no memory. */
static json_t *recorded_settings(const ExperimentRun *run, const ExperimentData *data)
{
    json_t *settings = json_copy(run->settings);
    if (*data->fingerprint && json_object_set_new(settings, DATA_KEY, json_string(data->fingerprint)) != 0) {
        json_decref(settings);
        return NULL;
    }
    return settings;
}

/* Returns a setting for a message: its text, "given" for an option without a value, "not given". */
static const char *shown(const json_t *settings, const char *key)
{
    const json_t *value = json_object_get(settings, key);
    return !value ? "not given" : json_is_string(value) ? json_string_value(value) : "given";
}

/* Describes the first key of `keys` whose value differs in the two objects. False if there is none. */
static bool describe_difference(char *text, size_t size, json_t *keys, const json_t *now, const json_t *before)
{
    const char *key;
    json_t *value;
    json_object_foreach(keys, key, value)
    {
        if (json_equal(json_object_get(now, key), json_object_get(before, key)))
            continue;
        if (strcmp(key, DATA_KEY) == 0)
            snprintf(text, size, "the data has changed");
        else
            snprintf(text, size, "%s %s (was %s)", key, shown(now, key), shown(before, key));
        return true;
    }
    return false;
}

bool run_result_differs(const RunResult *result, const ExperimentRun *run, const ExperimentData *data, char *difference,
                        size_t size)
{
    if (result->status == RESULT_NONE)
        return false;
    json_t *now = recorded_settings(run, data);
    /* A setting that only one of the two has is found in its own list of keys. */
    const bool differs = describe_difference(difference, size, now, now, result->settings) ||
                         describe_difference(difference, size, result->settings, now, result->settings);
    json_decref(now);
    return differs;
}

/* Adds the options of a run's settings. */
static void add_settings(Arguments *arguments, const ExperimentRun *run)
{
    const char *key;
    json_t *value;
    json_object_foreach(run->settings, key, value)
    {
        char name[64];
        size_t length = 0;
        for (; key[length] && length + 1 < sizeof name; length++)
            name[length] = key[length] == '_' ? '-' : key[length];
        name[length] = '\0';
        if (json_is_string(value))
            arguments_add(arguments, "--%s=%s", name, json_string_value(value));
        else
            arguments_add(arguments, "--%s", name);
    }
}

/* Makes the arguments of a run. `data` is NULL if they are only checked. */
static void add_arguments(Arguments *arguments, const Experiment *e, const ExperimentData *data,
                          const ExperimentRun *run, const char *directory)
{
    arguments_add(arguments, "%s", e->sgd ? "experiment" : "train");
    arguments_add(arguments, "--out=%s", directory);
    if (!e->sgd) {
        arguments_add(arguments, "--train=%s", data ? data->train.text : e->train);
        if (e->val)
            arguments_add(arguments, "--val=%s", data ? data->val.text : e->val);
        if (e->is_text && !experiment_setting(run, "vocab_size"))
            arguments_add(arguments, "--vocab-size=%zu", e->vocab_size);
    }
    add_settings(arguments, run);
}

bool experiment_run_check(const Experiment *experiment, const ExperimentRun *run)
{
    Arguments arguments = {0};
    char source[PRINTABLE_BYTES + EXPERIMENT_NAME_BYTES + 32];
    snprintf(source, sizeof source, "experiment: %s: run %s", printable(experiment->path).text, run->name);
    add_arguments(&arguments, experiment, NULL, run, ".");
    bool right = false;
    if (arguments.status)
        fprintf(stderr, "cs336 %s: %s\n", source, status_message());
    else
        right = (experiment->sgd ? experiment_sgd_check : train_check_options)(source, arguments.count,
                                                                               arguments.items) == OPTIONS_PARSED;
    arguments_deinit(&arguments);
    return right;
}

/* ---- training ---- */

/* The functions of the child process. They return a TrainEnd. */
static int train_in_child(void *context)
{
    Arguments *arguments = context;
    TrainEnd end;
    train_command(&end, arguments->count, arguments->items);
    return (int)end;
}

static int sgd_in_child(void *context)
{
    Arguments *arguments = context;
    return (int)experiment_sgd(arguments->count, arguments->items);
}

/* Returns a whole number in the run's config.json, where the defaults stand too; 0 if it is unknown. */
static double config_number(const char *directory, const char *key)
{
    const ExperimentPath path = experiment_path(directory, "config.json");
    json_t *config = NULL;
    double number = 0;
    if (access(path.text, F_OK) == 0 && !json_read(&config, path.text))
        number = json_number_value(json_object_get(config, key));
    json_decref(config);
    return number;
}

static void show_progress(const RunContext *context, const ExperimentRun *run, const char *directory)
{
    RunSummary latest;
    const ExperimentPath log = experiment_path(directory, "log.jsonl");
    if (!work_is_due(context->progress))
        return;
    /* The log may be replaced in this moment; the next line of progress will have it. */
    if (run_summary_latest(&latest, log.text) || latest.lines == 0 || latest.step == 0) {
        work_show(context->progress, "%s  %s", context->title, run->name);
        return;
    }
    const double steps = config_number(directory, "steps"), step = (double)latest.step;
    work_show(context->progress, "%s  %s  step %zu/%.0f  loss %.4f  %s left", context->title, run->name, latest.step,
              steps, latest.train_loss, work_time(latest.seconds / step * fmax(steps - step, 0)).text);
}

/* Starts the child process, and waits for its end. */
static Status run_child(ChildEnd *end, const RunContext *context, const ExperimentRun *run, const char *directory,
                        Arguments *arguments, bool resume)
{
    Child child;
    bool asked = false;
    const ExperimentPath output = experiment_path(directory, "output.txt");
    const ChildStreams streams = {.output = output.text, .errors = output.text, .append = resume};
    const Status s = child_start(&child, streams, context->experiment->sgd ? sgd_in_child : train_in_child, arguments);
    if (s)
        return s;
    while (!child_wait(end, &child, 100)) {
        /* Ctrl-C reaches the child too, which saves and ends; a signal to this process alone is passed on. */
        if (work_check_stop() && !asked) {
            child_ask_to_stop(&child);
            asked = true;
        }
        show_progress(context, run, directory);
    }
    return CS336_OK;
}

/*
 * True if the loss ended above that of a uniform guess, ln(vocab_size). Clipping and normalisation keep most losses
 * finite, also those of a run whose learning rate is far too large. An untrained model with RMSNorm is within 0.5 of
 * ln(vocab_size). Without RMSNorm it begins far above, and a run that ends there has learned nothing either.
 */
static bool ended_above_a_guess(RunResult *result, const Experiment *e, const char *directory)
{
    const double margin = 0.5; /* nats per token */
    const RunSummary *summary = &result->summary;
    const double loss = summary->validated ? summary->val_loss : summary->train_loss;
    const double vocab_size = config_number(directory, "vocab_size");
    if (summary->lines == 0)
        return false;
    if (!isfinite(loss))
        snprintf(result->message, sizeof result->message, "the last loss is not a finite number");
    else if (e->sgd && loss > summary->first_train_loss)
        snprintf(result->message, sizeof result->message, "the loss rose from %.4g to %.4g", summary->first_train_loss,
                 loss);
    else if (!e->sgd && vocab_size > 0 && loss > log(vocab_size) + margin)
        snprintf(result->message, sizeof result->message, "the loss ended at %.2f, above the %.2f of a uniform guess",
                 loss, log(vocab_size));
    return *result->message != '\0';
}

/* Finds out how the run ended. */
static void classify(RunResult *result, const ChildEnd *end, const Experiment *e, const char *directory)
{
    static const ResultStatus statuses[] = {[TRAIN_COMPLETE] = RESULT_COMPLETE,
                                            [TRAIN_STOPPED] = RESULT_INCOMPLETE,
                                            [TRAIN_DIVERGED] = RESULT_DIVERGED,
                                            [TRAIN_NO_MEMORY] = RESULT_REFUSED,
                                            [TRAIN_FAILED] = RESULT_FAILED};
    /* A signal that ends the child before it can save. */
    if (end->signal) {
        result->status = work_check_stop() ? RESULT_INCOMPLETE : RESULT_FAILED;
        if (result->status == RESULT_FAILED)
            snprintf(result->message, sizeof result->message, "signal %d ended the process%s", end->signal,
                     end->signal == 9 ? ": perhaps the machine had no memory left" : "");
        return;
    }
    const bool known = end->code >= 0 && end->code < (int)(sizeof statuses / sizeof *statuses);
    result->status = known ? statuses[end->code] : RESULT_FAILED;
    if (result->status == RESULT_COMPLETE)
        result->status = ended_above_a_guess(result, e, directory) ? RESULT_DIVERGED : RESULT_COMPLETE;
    else if (result->status != RESULT_INCOMPLETE)
        snprintf(result->message, sizeof result->message, "%s", end->message);
}

/* Prepares the directory: makes it, and decides whether the run there is resumed. */
static Status prepare(bool *resume, const ExperimentRun *run, const ExperimentData *data, const char *directory)
{
    RunResult old;
    char difference[256];
    Status s = run_result_read(&old, directory);
    /* Without a result.json a run in this directory is somebody else's. */
    if (!s && old.status == RESULT_NONE)
        s = run_directory_check(directory, RUN_NEW);
    if (!s)
        s = directory_make(directory);
    *resume = !s && old.status != RESULT_NONE && !run_result_differs(&old, run, data, difference, sizeof difference) &&
              access(experiment_path(directory, "checkpoint.safetensors").text, F_OK) == 0;
    if (!s && !*resume)
        s = file_remove(experiment_path(directory, "sample.txt").text);
    run_result_deinit(&old);
    return s;
}

Status experiment_run_train(RunResult *result, const RunContext *context, const ExperimentRun *run,
                            const char *directory)
{
    const Experiment *e = context->experiment;
    const ExperimentPath log = experiment_path(directory, "log.jsonl");
    Arguments arguments = {0};
    ChildEnd end = {0};
    bool resume;
    *result = (RunResult){.status = RESULT_INCOMPLETE};
    Status s = prepare(&resume, run, context->data, directory);
    if (s)
        return s;
    /* Record the settings before the first file of the run changes. */
    result->settings = recorded_settings(run, context->data);
    s = write_result(result, directory);
    /* Train. */
    add_arguments(&arguments, e, context->data, run, directory);
    if (!e->sgd) {
        arguments_add(&arguments, "--threads=%zu", context->threads);
        arguments_add(&arguments, resume ? "--resume" : "--overwrite");
    }
    if (!s)
        s = arguments.status;
    if (!s)
        s = run_child(&end, context, run, directory, &arguments, resume);
    arguments_deinit(&arguments);
    /* Record how it ended. */
    if (!s)
        s = run_summary_read(&result->summary, log.text);
    if (!s) {
        classify(result, &end, e, directory);
        s = write_result(result, directory);
    }
    return s;
}
