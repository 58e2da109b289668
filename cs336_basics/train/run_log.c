#define _POSIX_C_SOURCE 200809L
#include "train/run_log.h"

#include "core/json.h"
#include "core/memory.h"
#include "train/checkpoint.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PRECISION = 9 };                 /* significant digits that identify every float32 exactly */
static const double MAX_SECONDS = 1e12; /* thirty thousand years */

/* What is read of a line. */
typedef struct {
    size_t step;
    double seconds;
    bool validated;
    double val_loss; /* NaN for null */
} LogLine;

/* Reads a line. `number` is the number of the line, for messages. */
static Status read_line(LogLine *read, const char *line, size_t bytes, const char *path, size_t number)
{
    json_t *object = NULL;
    Status s = json_parse(&object, line, bytes, path);
    if (s == CS336_ENOMEM)
        return s;
    const json_t *step_value = json_object_get(object, "step"), *seconds_value = json_object_get(object, "seconds"),
                 *val_loss = json_object_get(object, "val_loss");
    /* Without these limits a damaged number could become a negative time, or a step that no run has. */
    const json_int_t step_number = json_is_integer(step_value) ? json_integer_value(step_value) : -1;
    const double seconds_number = json_is_number(seconds_value) ? json_number_value(seconds_value) : -1;
    if (!s && step_number >= 0 && step_number <= CHECKPOINT_MAX_ITERATION && seconds_number >= 0 &&
        seconds_number <= MAX_SECONDS) {
        *read = (LogLine){.step = (size_t)step_number,
                          .seconds = seconds_number,
                          .validated = val_loss != NULL,
                          .val_loss = json_is_number(val_loss) ? json_number_value(val_loss) : (double)NAN};
    } else {
        s = status_fail(CS336_EFORMAT, "%s: line %zu is not a JSON object with step and seconds", path, number);
    }
    json_decref(object);
    return s;
}

/*
 * Sets *kept to the bytes of the lines up to last_step, and *seconds to the time of the last of them.
 *
 * The lines after the last checkpoint were not synced, so a crash may have left anything there. A damaged line is
 * therefore an error only if it is the first line, or if a line of a step up to last_step follows it.
 */
static Status lines_up_to(size_t *kept, double *seconds, const LoadedFile *file, const char *path, size_t last_step)
{
    size_t number = 0;  /* of the line, from 1 */
    size_t damaged = 0; /* number of the first damaged line; 0: none so far */
    size_t offset = 0;  /* byte at which the line begins */
    for (const char *text = (const char *)file->data, *end; offset < file->size; offset = (size_t)(end + 1 - text)) {
        /* A kill in the middle of a line leaves it without an end. Drop it. */
        end = memchr(text + offset, '\n', file->size - offset);
        if (!end)
            break;
        number++;
        LogLine line;
        const Status s = read_line(&line, text + offset, (size_t)(end - text) - offset, path, number);
        if (s == CS336_ENOMEM || (s && *kept == 0))
            return s;
        if (s) {
            damaged = damaged ? damaged : number;
            continue;
        }
        if (line.step > last_step)
            break;
        /* A line to keep. */
        if (damaged)
            return status_fail(CS336_EFORMAT,
                               "%s: line %zu is not a JSON object with step and seconds; remove this line", path,
                               damaged);
        *seconds = line.seconds;
        *kept = (size_t)(end + 1 - text);
    }
    return CS336_OK;
}

/* Replaces the log by a file with only the lines up to the step. Before step 1 these are none, whatever it contains. */
static Status cut_log(double *seconds, const char *path, size_t step)
{
    LoadedFile file = {0};
    FileWriter writer = {0};
    size_t kept = 0;
    Status s = step ? file_load(&file, path) : CS336_OK;
    if (!s && step)
        s = lines_up_to(&kept, seconds, &file, path, step);
    if (!s)
        s = file_create(&writer, path);
    if (!s && kept)
        s = file_write(&writer, file.data, kept);
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    file_unload(&file);
    return s;
}

/* Opens the stream that appends to a file. `path` is the name of the log, which the file may get only later. */
static Status open_stream(RunLog *log, const char *file, const char *path)
{
    *log = (RunLog){0};
    log->writer.path = memory_copy_text(path);
    if (!log->writer.path)
        return status_fail(CS336_ENOMEM, "run_log_open: no memory for the path %s", path);
    /* Without a buffer a line is in the file once it is written, and nothing of a failed line is written later. */
    log->writer.stream = fopen(file, "ab");
    if (log->writer.stream && setvbuf(log->writer.stream, NULL, _IONBF, 0) == 0)
        return CS336_OK;
    const int reason = errno;
    run_log_close(log);
    return status_fail(CS336_EIO, "%s: cannot write: %s", path, strerror(reason));
}

Status run_log_open(RunLog *log, double *seconds, const char *path, size_t step)
{
    struct stat info;
    *log = (RunLog){0};
    *seconds = 0;
    /* Remove the lines of later steps. */
    Status s = CS336_OK;
    if (stat(path, &info) == 0)
        s = cut_log(seconds, path, step);
    return s ? s : open_stream(log, path, path);
}

/* ---- validations ---- */

double run_log_rounded(double number)
{
    char text[32];
    snprintf(text, sizeof text, "%.*g", PRECISION, number);
    return strtod(text, NULL);
}

/* Appends a validation. The list has room for the next power of two. */
static Status append_validation(RunLogValidations *list, const LogLine *line)
{
    if ((list->count & (list->count - 1)) == 0) {
        const size_t capacity = list->count ? 2 * list->count : 1;
        RunLogValidation *items = memory_allocate(capacity * sizeof *items);
        if (!items)
            return status_fail(CS336_ENOMEM, "run_log_validations: no memory for %zu validations", capacity);
        if (list->count)
            memcpy(items, list->items, list->count * sizeof *items);
        memory_release(list->items);
        list->items = items;
    }
    list->items[list->count++] = (RunLogValidation){.step = line->step, .val_loss = line->val_loss};
    return CS336_OK;
}

Status run_log_validations(RunLogValidations *validations, const char *path, size_t step)
{
    struct stat info;
    LoadedFile file = {0};
    *validations = (RunLogValidations){0};
    if (stat(path, &info) != 0)
        return CS336_OK;
    Status s = file_load(&file, path);
    const char *text = (const char *)file.data, *end;
    for (size_t offset = 0; !s && offset < file.size; offset = (size_t)(end + 1 - text)) {
        end = memchr(text + offset, '\n', file.size - offset);
        if (!end)
            break;
        LogLine line;
        const Status read = read_line(&line, text + offset, (size_t)(end - text) - offset, path, 0);
        if (!read && line.step > step)
            break;
        if (!read)
            validations->last_step = line.step;
        if (!read && line.validated)
            s = append_validation(validations, &line);
        else if (read == CS336_ENOMEM)
            s = read;
    }
    file_unload(&file);
    return s;
}

void run_log_validations_deinit(RunLogValidations *validations)
{
    memory_release(validations->items);
    *validations = (RunLogValidations){0};
}

/* ---- writing ---- */

/* Sets a number; NaN and infinity become null. Returns false if there is no memory. */
static bool set_number(json_t *object, const char *key, double number)
{
    return json_object_set_new(object, key, isfinite(number) ? json_real(number) : json_null()) == 0;
}

/* Sets an array of numbers. Returns false if there is no memory. */
static bool set_numbers(json_t *object, const char *key, const double *numbers, size_t count)
{
    json_t *array = json_array();
    bool done = array != NULL;
    for (size_t i = 0; done && i < count; i++)
        done = json_array_append_new(array, isfinite(numbers[i]) ? json_real(numbers[i]) : json_null()) == 0;
    if (done)
        return json_object_set_new(object, key, array) == 0;
    json_decref(array);
    return false;
}

/* Returns false if there is no memory. */
static bool set_norms(json_t *object, const LayerNorms *norms)
{
    json_t *all = json_object();
    const size_t count = norms->num_layers;
    const bool done = set_numbers(all, "outputs", norms->outputs, count) &&
                      set_numbers(all, "weights", norms->weights, count) &&
                      set_numbers(all, "gradients", norms->gradients, count);
    if (done)
        return json_object_set_new(object, "norms", all) == 0;
    json_decref(all);
    return false;
}

/* Returns NULL if there is no memory. */
static json_t *object_of(const RunLogEntry *entry)
{
    json_t *object = json_object();
    if (json_object_set_new(object, "step", json_integer((json_int_t)entry->step)) == 0 &&
        json_object_set_new(object, "tokens", json_integer((json_int_t)entry->tokens)) == 0 &&
        set_number(object, "seconds", entry->seconds) && set_number(object, "train_loss", entry->train_loss) &&
        (!entry->validated || set_number(object, "val_loss", entry->val_loss)) && set_number(object, "lr", entry->lr) &&
        set_number(object, "grad_norm", entry->grad_norm) &&
        set_number(object, "tokens_per_second", entry->tokens_per_second) && set_number(object, "mfu", entry->mfu) &&
        (entry->exchange_seconds == 0 || (set_number(object, "exchange_seconds", entry->exchange_seconds) &&
                                          set_number(object, "exchange_wait_seconds", entry->exchange_wait_seconds))) &&
        (!entry->norms || set_norms(object, entry->norms)))
        return object;
    json_decref(object);
    return NULL;
}

Status run_log_append(RunLog *log, const RunLogEntry *entry)
{
    /* The line as text. */
    json_t *object = object_of(entry);
    char *line = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(PRECISION)) : NULL;
    json_decref(object);
    if (!line)
        return status_fail(CS336_ENOMEM, "run_log_append: no memory for a line");
    /* The size to return to if the write fails. */
    const int descriptor = fileno(log->writer.stream);
    struct stat old;
    const bool measured = fstat(descriptor, &old) == 0;
    /* Write the text and the newline in one call: a program that follows the log then sees complete lines only. */
    const size_t length = strlen(line);
    line[length] = '\n';
    Status s = file_write(&log->writer, line, length + 1);
    free(line);
    clearerr(log->writer.stream);
    if (s && measured && ftruncate(descriptor, old.st_size) != 0)
        s = status_fail(CS336_EIO, "%s: cannot write, and cannot remove the incomplete line", log->writer.path);
    return s;
}

/* ---- completing the last line ---- */

/* Returns the number of a line, NaN for null and if it is missing. */
static double number_of(const json_t *line, const char *key)
{
    const json_t *value = json_object_get(line, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* Returns the line with val_loss after train_loss, where run_log_append() writes it; NULL if there is no memory. */
static json_t *completed_line(json_t *line, const RunLogEntry *entry)
{
    const char *key;
    json_t *value, *completed = json_object();
    bool done = completed != NULL;
    json_object_foreach(line, key, value)
    {
        done = done && json_object_set(completed, key, value) == 0;
        if (done && strcmp(key, "train_loss") == 0)
            done = set_number(completed, "val_loss", entry->val_loss);
    }
    if (done && set_number(completed, "val_loss", entry->val_loss) && set_number(completed, "seconds", entry->seconds))
        return completed;
    json_decref(completed);
    return NULL;
}

/* Writes the completed line to the new log, and sets the numbers of the entry that the line has. */
static Status complete_line(FileWriter *writer, const char *text, size_t bytes, RunLogEntry *entry)
{
    json_t *line = NULL;
    Status s = json_parse(&line, text, bytes, writer->path);
    const json_t *step = json_object_get(line, "step");
    if (!s && !(json_is_integer(step) && json_integer_value(step) == (json_int_t)entry->step))
        s = status_fail(CS336_EFORMAT, "%s: expected step %zu in the last line", writer->path, entry->step);
    json_t *completed = s ? NULL : completed_line(line, entry);
    if (!s && !completed)
        s = status_fail(CS336_ENOMEM, "run_log_complete: no memory for a line");
    if (!s)
        s = json_write(writer, completed, JSON_COMPACT | JSON_REAL_PRECISION(PRECISION));
    if (!s)
        s = file_write(writer, "\n", 1);
    if (!s) {
        entry->train_loss = number_of(line, "train_loss");
        entry->grad_norm = number_of(line, "grad_norm");
        entry->tokens_per_second = number_of(line, "tokens_per_second");
        entry->mfu = number_of(line, "mfu");
    }
    json_decref(completed);
    json_decref(line);
    return s;
}

Status run_log_complete(RunLog *log, const char *path, RunLogEntry *entry)
{
    LoadedFile file = {0};
    FileWriter writer = {0};
    RunLog completed = {0};
    Status s = file_load(&file, path);
    const char *text = (const char *)file.data;
    /* run_log_open() has left complete lines only: the last byte is a line feed. */
    const size_t end = file.size ? file.size - 1 : 0;
    size_t begin = end;
    while (begin && text[begin - 1] != '\n')
        begin--;
    if (!s)
        s = file_create(&writer, path);
    if (!s && begin)
        s = file_write(&writer, text, begin);
    if (!s)
        s = complete_line(&writer, text + begin, end - begin, entry);
    /* Open the new log before it replaces the old one: then nothing can fail after that. */
    if (!s)
        s = open_stream(&completed, writer.temporary, path);
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    file_unload(&file);
    if (s) {
        run_log_close(&completed);
        return s;
    }
    run_log_close(log);
    *log = completed;
    return CS336_OK;
}

Status run_log_sync(RunLog *log)
{
    if (fsync(fileno(log->writer.stream)) == 0 || errno == EINVAL) /* EINVAL: a pipe or device */
        return CS336_OK;
    return status_fail(CS336_EIO, "%s: cannot write: %s", log->writer.path, strerror(errno));
}

void run_log_close(RunLog *log)
{
    if (log->writer.stream)
        fclose(log->writer.stream);
    memory_release(log->writer.path);
    *log = (RunLog){0};
}
