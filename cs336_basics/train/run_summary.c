#define _POSIX_C_SOURCE 200809L
#include "train/run_summary.h"

#include "core/file.h"
#include "core/json.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

/* Sums over the lines of a log, for the speed. */
typedef struct {
    double last_tokens;     /* `tokens` of the line before */
    double tokens, seconds; /* tokens and the time that training them took, of the lines so far */
} Speed;

/* Returns a number of a line, or NaN if it is null, missing or no number. */
static double number_of(const json_t *line, const char *key)
{
    const json_t *value = json_object_get(line, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* Each line has the tokens of the whole run and the speed since the line before, which gives the time between them. */
static void add_speed(Speed *speed, const json_t *line)
{
    const double tokens = number_of(line, "tokens"), rate = number_of(line, "tokens_per_second");
    if (isfinite(tokens) && rate > 0 && tokens > speed->last_tokens) {
        speed->tokens += tokens - speed->last_tokens;
        speed->seconds += (tokens - speed->last_tokens) / rate;
    }
    speed->last_tokens = isfinite(tokens) ? tokens : speed->last_tokens;
}

static void add_line(RunSummary *summary, Speed *speed, const json_t *line)
{
    const json_t *step = json_object_get(line, "step"), *validation = json_object_get(line, "val_loss");
    if (!json_is_integer(step) || json_integer_value(step) < 0)
        return;
    summary->step = (size_t)json_integer_value(step);
    summary->seconds = number_of(line, "seconds");
    summary->train_loss = number_of(line, "train_loss");
    if (summary->lines++ == 0)
        summary->first_train_loss = summary->train_loss;
    if (validation) {
        summary->validated = true;
        summary->val_loss = number_of(line, "val_loss");
        /* The comparison is false if the loss is NaN. */
        if (isnan(summary->best_val_loss) || summary->val_loss < summary->best_val_loss) {
            summary->best_val_loss = summary->val_loss;
            summary->best_step = summary->step;
        }
    }
    add_speed(speed, line);
}

static Status add_lines(RunSummary *summary, const char *text, size_t bytes, const char *path)
{
    Speed speed = {0};
    *summary = (RunSummary){.first_train_loss = (double)NAN,
                            .train_loss = (double)NAN,
                            .val_loss = (double)NAN,
                            .best_val_loss = (double)NAN};
    for (const char *end; bytes && (end = memchr(text, '\n', bytes)) != NULL;) {
        const size_t length = (size_t)(end - text);
        json_t *line;
        if (json_parse(&line, text, length, path) == CS336_ENOMEM)
            return CS336_ENOMEM;
        add_line(summary, &speed, line);
        json_decref(line);
        text += length + 1;
        bytes -= length + 1;
    }
    summary->tokens_per_second = speed.seconds > 0 ? speed.tokens / speed.seconds : 0;
    return CS336_OK;
}

Status run_summary_read(RunSummary *summary, const char *path)
{
    LoadedFile file = {0};
    Status s = access(path, F_OK) == 0 ? file_load(&file, path) : CS336_OK;
    if (!s)
        s = add_lines(summary, (const char *)file.data, file.size, path);
    file_unload(&file);
    return s;
}

Status run_summary_latest(RunSummary *summary, const char *path)
{
    enum { TAIL_BYTES = 4096 }; /* about twenty lines */
    char tail[TAIL_BYTES];
    FileReader reader = {0};
    Status s = access(path, F_OK) == 0 ? file_open(&reader, path) : CS336_OK;
    const size_t bytes = reader.size < TAIL_BYTES ? reader.size : TAIL_BYTES;
    if (!s && bytes)
        s = file_read_at(&reader, tail, bytes, reader.size - bytes);
    file_close(&reader);
    /* The first line may be cut: it is then no JSON, or an object without a step, and is skipped. */
    return s ? s : add_lines(summary, tail, bytes, path);
}
