#define _POSIX_C_SOURCE 200809L
#include "cli/train_progress.h"

#include "cli/model_options.h"
#include "cli/screen.h"
#include "cli/shell_line.h"
#include "cli/work.h"
#include "core/clock.h"
#include "core/plural.h"
#include "core/printable.h"
#include "distributed/ranks.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void train_progress_begin(TrainProgress *progress, const TrainerConfig *config, const TrainFiles *files)
{
    const size_t steps = config->steps, stop_at = config->stop_at;
    *progress = (TrainProgress){.files = *files,
                                .steps = steps,
                                .end = stop_at && stop_at < steps ? stop_at : steps,
                                .terminal = isatty(STDOUT_FILENO) != 0 && ranks_count() == 1,
                                .start_time = clock_seconds()};
}

/* ---- lines ---- */

static WorkTime time_left(const TrainProgress *progress, const RunLogEntry *entry, double time)
{
    const double seconds_per_step = (time - progress->start_time) / (double)(entry->step - progress->first + 1);
    return work_time(seconds_per_step * (double)(progress->end - entry->step));
}

/* Prints a line that stays. It has at most 80 columns in runs of less than 10000 steps and ten minutes. */
static void print_line(TrainProgress *progress, const RunLogEntry *entry, double time)
{
    char validation[32] = "";
    if (progress->validated)
        snprintf(validation, sizeof validation, "val %.4f  ", progress->val_loss);
    if (work_say(WORK_STDOUT, "%sstep %4zu/%zu  loss %.4f  %slr %.1e  %s tokens/s  %s left\n",
                 progress->terminal ? WORK_LINE_CLEAR : "", entry->step, progress->end, entry->train_loss, validation,
                 entry->lr, count_text(entry->tokens_per_second), time_left(progress, entry, time).text))
        progress->dirty = false;
}

enum { PART_BYTES = 64 }; /* a part of the live line, such as "  val 2.3456" */

/* Empties a part of the live line if it does not fit; else takes its columns from the room that is left. */
static void fit(char *part, size_t *room)
{
    const size_t columns = strlen(part); /* these parts are ASCII */
    if (columns > *room)
        *part = '\0';
    else
        *room -= columns;
}

/*
 * Prints the line that the next one overwrites. Where there is not enough room for all parts, those come first that say
 * most: step and loss, the time left, the curve, the validation loss, the speed. The curve has the room of all its
 * points from the start, so that parts do not come and go while it grows.
 */
static void print_live_line(TrainProgress *progress, const RunLogEntry *entry, double time)
{
    enum { WIDEST = 80, SHORTEST_CURVE = 8, GAP = 2 }; /* columns */
    char step[PART_BYTES], left[PART_BYTES], validation[PART_BYTES] = "", speed[PART_BYTES], curve[LOSS_CURVE_BYTES];
    const size_t terminal = screen_columns(), width = terminal < WIDEST ? terminal : WIDEST;
    size_t room = width;
    snprintf(step, sizeof step, "step %4zu/%zu  loss %.4f", entry->step, progress->end, entry->train_loss);
    snprintf(left, sizeof left, "  %s left", time_left(progress, entry, time).text);
    if (progress->validated)
        snprintf(validation, sizeof validation, "  val %.4f", progress->val_loss);
    snprintf(speed, sizeof speed, "  %s tokens/s", count_text(entry->tokens_per_second));
    step[strlen(step) < width ? strlen(step) : width] = '\0';
    fit(step, &room);
    fit(left, &room);
    size_t points = room < LOSS_CURVE_POINTS + GAP ? room - (room < GAP ? room : GAP) : LOSS_CURVE_POINTS;
    points = points < SHORTEST_CURVE ? 0 : points;
    room -= points ? points + GAP : 0;
    fit(validation, &room);
    fit(speed, &room);
    loss_curve_text(curve, &progress->curve, points, screen_is_utf8());
    if (work_say(WORK_STDOUT, WORK_LINE_BEGIN "%s%s%s%s%s%s" WORK_LINE_END, step, validation, speed, left,
                 *curve ? "  " : "", curve))
        progress->dirty = true;
}

void train_progress_step(void *context, const RunLogEntry *entry, bool logged)
{
    enum { LINES_PER_SECOND = 10 }; /* on a terminal: more would be faster than people can read */
    TrainProgress *progress = context;
    const double time = clock_seconds();
    if (!progress->first)
        progress->first = entry->step;
    if (logged)
        loss_curve_add(&progress->curve, entry->train_loss);
    if (entry->validated) {
        progress->validated = true;
        progress->val_loss = entry->val_loss;
    }
    /* Is it time for a line? */
    const bool permanent = !progress->terminal || entry->validated || entry->step == progress->end;
    if (progress->terminal ? !permanent && time - progress->line_time < 1.0 / LINES_PER_SECOND : !logged)
        return;
    progress->line_time = time;
    if (permanent)
        print_line(progress, entry, time);
    else
        print_live_line(progress, entry, time);
    if (entry->validated && !isfinite(entry->val_loss))
        work_say(WORK_STDERR, "cs336 train: step %zu: the validation loss is %s\n", entry->step,
                 isnan(entry->val_loss) ? "not a number" : "infinite");
}

void train_progress_notice(void *context, const char *text)
{
    (void)context;
    work_say(WORK_STDERR, "cs336 train: %s\n", text);
}

void train_progress_leave_line(const TrainProgress *progress)
{
    if (progress->dirty)
        work_say(WORK_STDOUT, "\n");
}

/* ---- the end ---- */

enum { LINE_BYTES = 2 * PRINTABLE_BYTES, COMMAND_BYTES = 2 * LINE_BYTES + 64, END_BYTES = COMMAND_BYTES + 256 };

/* True if the text can be printed as it is. Then it is UTF-8, too. */
static bool is_printable(const char *text)
{
    return strcmp(printable(text).text, text) == 0;
}

/*
 * Writes how to continue the run: the command, or words if it cannot be written in one line. config.json has all
 * settings; it has the paths of the token files if they are UTF-8. Other hosts may not have it, so the command of
 * several ranks is the one that has started them.
 */
static void describe_continuing(char text[COMMAND_BYTES], const TrainFiles *files)
{
    static const char otherwise[] = "run the same command with --resume";
    ShellLine line = {.text = text, .capacity = COMMAND_BYTES};
    char config[PRINTABLE_BYTES + sizeof "/config.json"];
    if (files->resume) {
        printable_prefix(text, COMMAND_BYTES, files->resume, strlen(files->resume));
        if (strcmp(text, files->resume) != 0)
            snprintf(text, COMMAND_BYTES, "%s", otherwise);
        return;
    }
    snprintf(config, sizeof config, "%s/config.json", files->out);
    shell_line_begin(&line, "cs336 train --config");
    shell_line_add(&line, config);
    shell_line_add(&line, "--out");
    shell_line_add(&line, files->out);
    shell_line_add(&line, "--resume");
    if (line.too_long || *files->out == '-' || !is_printable(files->out) || !is_printable(files->train) ||
        (files->val && !is_printable(files->val)))
        snprintf(text, COMMAND_BYTES, "%s", otherwise);
}

/* Writes what there is to say of a run that has not done all its steps, or had none left to do. */
static void describe_stop(char text[END_BYTES], const TrainProgress *progress, const RunLogEntry *last,
                          const RunOutcome *outcome)
{
    char way_on[COMMAND_BYTES];
    const bool worked = last->tokens > 0;
    if (outcome->stopped_early)
        snprintf(text, END_BYTES, "%s after step %zu of %zu: the last %zu validation%s brought no lower loss\n",
                 worked ? "stopped early" : "nothing left to do: the run stopped early", last->step, progress->steps,
                 outcome->best.since, plural(outcome->best.since));
    else if (!worked && last->step < progress->steps)
        snprintf(
            text, END_BYTES,
            "nothing to do up to --stop-at %zu: the checkpoint in %s is at step %zu of %zu; to continue, leave out "
            "--stop-at, or give one above %zu\n",
            progress->end, printable(progress->files.out).text, last->step, progress->steps, last->step);
    else if (!worked)
        snprintf(text, END_BYTES, "nothing left to do: the checkpoint in %s is at step %zu\n",
                 printable(progress->files.out).text, last->step);
    else {
        describe_continuing(way_on, &progress->files);
        snprintf(text, END_BYTES,
                 outcome->owes_validation ? "stopped in the validation after step %zu of %zu, which --resume does "
                                            "again, and saved; to continue: %s\n"
                                          : "stopped after step %zu of %zu and saved; to continue: %s\n",
                 last->step, progress->steps, way_on);
    }
}

/* Writes the losses of a run that has done all its steps. */
static void describe_losses(char text[END_BYTES], const TrainProgress *progress, const RunLogEntry *last)
{
    const double floor = progress->files.loss_floor;
    size_t used = (size_t)snprintf(text, END_BYTES, "%zu step%s, %s tokens in %.1f s", last->step, plural(last->step),
                                   count_text((double)last->tokens), last->seconds);
    if (last->validated)
        used +=
            (size_t)snprintf(text + used, END_BYTES - used, "; validation loss %.4f nats per token, perplexity %.2f",
                             last->val_loss, exp(last->val_loss));
    used += (size_t)snprintf(text + used, END_BYTES - used, "\n");
    if (last->validated && !isnan(floor))
        snprintf(text + used, END_BYTES - used, "entropy floor %.4f nats per token, validation loss %.4f: gap %.4f\n",
                 floor, last->val_loss, last->val_loss - floor);
}

void train_progress_end(const TrainProgress *progress, const RunLogEntry *last, const RunOutcome *outcome)
{
    char text[END_BYTES], best[LINE_BYTES] = "", ready[LINE_BYTES] = "";
    const PrintableText out = printable(progress->files.out);
    const bool worked = last->tokens > 0, complete = last->step == progress->steps && !outcome->owes_validation;
    if (worked && complete)
        describe_losses(text, progress, last);
    else
        describe_stop(text, progress, last, outcome);
    if (outcome->best.step)
        snprintf(best, sizeof best, "best: step %zu, validation loss %.4f, %s/best.safetensors\n", outcome->best.step,
                 outcome->best.val_loss, out.text);
    if (worked && (complete || outcome->stopped_early))
        snprintf(ready, sizeof ready, "%s/checkpoint.safetensors is ready for cs336 generate\n", out.text);
    if (!work_say(WORK_STDOUT, "%s%s%s%s", progress->dirty ? "\n" : "", text, best, ready))
        work_say(WORK_STDERR, "%s%s%s", text, best, ready);
}
