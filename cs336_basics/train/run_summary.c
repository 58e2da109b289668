#define _POSIX_C_SOURCE 200809L
#include "train/run_summary.h"

#include "core/file.h"
#include "train/checkpoint.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

RunSummary run_summary_none(void)
{
    const double none = (double)NAN;
    return (RunSummary){.tokens = none,
                        .seconds = none,
                        .first_train_loss = none,
                        .train_loss = none,
                        .val_loss = none,
                        .best_val_loss = none,
                        .tokens_per_second = none};
}

/* Sets *number if the line has the key: to NaN if its value is null or no number. True if the line has it. */
static bool take(double *number, const json_t *line, const char *key)
{
    const json_t *value = json_object_get(line, key);
    if (value)
        *number = json_is_number(value) ? json_number_value(value) : (double)NAN;
    return value != NULL;
}

static void add_validation(RunSummary *summary)
{
    const double loss = summary->val_loss;
    summary->validated = true;
    summary->since_best++;
    /* The comparison is false while there is no best loss. */
    if (!isnan(loss) && !(summary->best_val_loss <= loss)) {
        summary->best_val_loss = loss;
        summary->best_step = summary->step;
        summary->since_best = 0;
    }
}

/* Each line has the tokens of the whole run and the speed since the line before, which gives the time between them. */
static void add_speed(RunSummary *summary, double tokens_before, double rate)
{
    const double tokens = summary->tokens - tokens_before;
    if (tokens > 0 && rate > 0) {
        summary->timed_tokens += tokens;
        summary->timed_seconds += tokens / rate;
    }
    if (summary->timed_seconds > 0)
        summary->tokens_per_second = summary->timed_tokens / summary->timed_seconds;
    else if (rate > 0)
        summary->tokens_per_second = rate;
}

void run_summary_add(RunSummary *summary, const json_t *line)
{
    const json_t *value = json_object_get(line, "step");
    const json_int_t step = json_is_integer(value) ? json_integer_value(value) : -1;
    const double tokens_before = summary->tokens;
    double rate = (double)NAN;
    if (step < 0 || step > CHECKPOINT_MAX_ITERATION)
        return;
    summary->step = (size_t)step;
    take(&summary->tokens, line, "tokens");
    take(&summary->seconds, line, "seconds");
    take(&summary->train_loss, line, "train_loss");
    take(&rate, line, "tokens_per_second");
    if (summary->lines++ == 0)
        summary->first_train_loss = summary->train_loss;
    if (take(&summary->val_loss, line, "val_loss"))
        add_validation(summary);
    add_speed(summary, tokens_before, rate);
}

static Status add_lines(RunSummary *summary, const char *text, size_t bytes, const char *path)
{
    *summary = run_summary_none();
    for (const char *end; bytes && (end = memchr(text, '\n', bytes)) != NULL;) {
        const size_t length = (size_t)(end - text);
        json_t *line;
        if (json_parse(&line, text, length, path) == CS336_ENOMEM)
            return CS336_ENOMEM;
        run_summary_add(summary, line);
        json_decref(line);
        text += length + 1;
        bytes -= length + 1;
    }
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
