/*
 * log.jsonl: the first byte is the step at which a run resumes, the rest is the log. All its readers refuse it with a
 * message, or read it, and agree: the curves and summary of cs336 report and cs336 experiment, the validations that
 * decide which checkpoint is the best, and the log that a resumed run appends to.
 */
#include "core/memory.h"
#include "inspect/run_curves.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/files.h"
#include "train/run_log.h"
#include "train/run_summary.h"

#include <math.h>
#include <stdbool.h>

static bool same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static void check_format_failure(Status s)
{
    fuzz_check_failure(s);
    FUZZ_CHECK(s == CS336_EFORMAT, "status %d: %s", (int)s, status_message());
}

/* Fails unless both summaries are of the same lines. */
static void check_same(const RunSummary *a, const RunSummary *b)
{
    FUZZ_CHECK(a->lines == b->lines && a->step == b->step, "%zu and %zu lines, up to step %zu and %zu", a->lines,
               b->lines, a->step, b->step);
    FUZZ_CHECK(same(a->train_loss, b->train_loss) && same(a->val_loss, b->val_loss) && same(a->seconds, b->seconds) &&
                   same(a->tokens, b->tokens) && same(a->tokens_per_second, b->tokens_per_second),
               "the last numbers differ");
    FUZZ_CHECK(same(a->best_val_loss, b->best_val_loss) && a->best_step == b->best_step &&
                   a->since_best == b->since_best,
               "the best validations differ");
}

/* The best validation is the least number of its curve. */
static void check_best(const RunCurves *curves)
{
    const Curve *losses = run_curves_find(curves, "val_loss"), *steps = run_curves_find(curves, "step");
    double least = (double)NAN, step = 0;
    for (size_t i = 0; losses && i < losses->count; i++)
        if (!isnan(losses->points[i].value) && (isnan(least) || losses->points[i].value < least)) {
            least = losses->points[i].value;
            step = curve_at(steps, losses->points[i].line);
        }
    FUZZ_CHECK(same(least, curves->summary.best_val_loss), "best loss %g, the curve's least is %g",
               curves->summary.best_val_loss, least);
    FUZZ_CHECK((double)curves->summary.best_step == step, "best step %zu, the curve's is %g", curves->summary.best_step,
               step);
}

static void check_summaries(const char *path, size_t bytes)
{
    enum { TAIL = 4096 /* run_summary_latest() reads as many bytes at the end */ };
    RunSummary whole, latest;
    RunCurves curves;
    FUZZ_OK(run_summary_read(&whole, path));
    FUZZ_OK(run_summary_latest(&latest, path));
    FUZZ_CHECK(latest.lines <= whole.lines, "%zu of %zu lines", latest.lines, whole.lines);
    if (bytes <= TAIL)
        check_same(&latest, &whole);
    const Status s = run_curves_read(&curves, path);
    if (s) {
        check_format_failure(s);
        return;
    }
    check_same(&curves.summary, &whole);
    check_best(&curves);
    run_curves_deinit(&curves);
}

static void check_validations(const char *path, size_t step)
{
    RunLogValidations validations;
    FUZZ_OK(run_log_validations(&validations, path, step));
    for (size_t i = 0; i < validations.count; i++)
        FUZZ_CHECK(validations.items[i].step <= step, "a validation of step %zu", validations.items[i].step);
    run_log_validations_deinit(&validations);
}

/* Opens the log to resume at a step, and adds a line. */
static void resume(const char *path, size_t step)
{
    RunLog log = {0};
    RunSummary summary;
    double seconds = 0;
    const Status s = run_log_open(&log, &seconds, path, step);
    if (s) {
        check_format_failure(s);
        run_log_close(&log);
        return;
    }
    FUZZ_OK(run_log_append(&log, &(RunLogEntry){.step = step + 1, .seconds = seconds}));
    run_log_close(&log);
    /* All lines that are left are those up to the step, and the one that was added. */
    FUZZ_OK(run_summary_read(&summary, path));
    FUZZ_CHECK(summary.step == step + 1 && summary.lines > 0, "the last of %zu lines is of step %zu", summary.lines,
               summary.step);
    FUZZ_OK(run_log_open(&log, &seconds, path, step + 1));
    run_log_close(&log);
}

void fuzz_run_log(const uint8_t *data, size_t size)
{
    const size_t before = memory_in_use();
    FuzzInput input = {data, data + size};
    const size_t step = fuzz_byte(&input);
    const ByteString text = fuzz_rest(&input);
    const char *path = fuzz_file("log.jsonl", text);
    check_summaries(path, text.length);
    check_validations(path, step);
    resume(path, step);
    FUZZ_CHECK(memory_in_use() == before, "memory is left over");
}
