#define _POSIX_C_SOURCE 200809L
#include "cli/experiment_sgd.h"

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/work.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/memory.h"
#include "optim/sgd_tuning.h"
#include "train/run_log.h"

#include <math.h>
#include <stdio.h>

typedef struct {
    const char *out;
    double lr;
    size_t steps, seed;
} SgdOptions;

enum { STEPS = 10, MAX_STEPS = 1000000 }; /* the handout's number of steps, and a number that still fits into memory */

static int parse(SgdOptions *o, const char *source, int argc, char **argv)
{
    *o = (SgdOptions){.lr = 1, .steps = STEPS, .seed = 1};
    const Option options[] = {
        OPTION_TEXT("out", &o->out, "DIR", OPTION_REQUIRED, "directory for log.jsonl"),
        OPTION_NUMBER("lr", &o->lr, "X", 0, 1e30, "learning rate"),
        OPTION_SIZE_UP_TO("steps", &o->steps, "N", 1, MAX_STEPS, "number of steps"),
        OPTION_SEED(&o->seed, "seed of the weights"),
    };
    OptionTable table = OPTION_TABLE("experiment", "Trains the toy problem.", options);
    table.source = source;
    return options_parse(&table, argc, argv);
}

int experiment_sgd_check(const char *source, int argc, char **argv)
{
    SgdOptions o;
    return parse(&o, source, argc, argv);
}

static Status write_config(const char *path, const SgdOptions *o)
{
    json_t *object = json_pack("{s:s, s:f, s:I, s:I}", "kind", "sgd", "lr", o->lr, "steps", (json_int_t)o->steps,
                               "seed", (json_int_t)o->seed);
    const Status s = json_write_file(path, object, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(object);
    return s;
}

/* Writes a line for each step. A step here has no tokens. */
static Status write_log(const char *path, const SgdOptions *o, const double *losses, const double *grad_norms,
                        double seconds)
{
    RunLog log = {0};
    double earlier;
    Status s = run_log_open(&log, &earlier, path, 0);
    for (size_t t = 0; !s && t < o->steps; t++) {
        const RunLogEntry entry = {.step = t + 1,
                                   .seconds = seconds * (double)(t + 1) / (double)o->steps,
                                   .train_loss = losses[t],
                                   .lr = o->lr / sqrt((double)t + 1),
                                   .grad_norm = grad_norms[t]};
        s = run_log_append(&log, &entry);
    }
    if (!s)
        s = run_log_sync(&log);
    run_log_close(&log);
    return s;
}

TrainEnd experiment_sgd(int argc, char **argv)
{
    SgdOptions o;
    char config[4096], log[4096];
    if (parse(&o, NULL, argc, argv) != OPTIONS_PARSED)
        return TRAIN_FAILED;
    if (snprintf(config, sizeof config, "%s/config.json", o.out) >= (int)sizeof config ||
        snprintf(log, sizeof log, "%s/log.jsonl", o.out) >= (int)sizeof log) {
        status_record("%s: path too long", o.out);
        return TRAIN_FAILED;
    }
    const double start = clock_seconds();
    double *numbers = memory_allocate(memory_product(2 * o.steps, sizeof *numbers));
    Status s = numbers ? CS336_OK : status_fail(CS336_ENOMEM, "no memory for %zu steps", o.steps);
    if (!s)
        s = sgd_tuning(numbers, numbers + o.steps, o.steps, o.lr, o.seed);
    if (!s)
        s = write_config(config, &o);
    if (!s)
        s = write_log(log, &o, numbers, numbers + o.steps, clock_seconds() - start);
    memory_release(numbers);
    return s ? TRAIN_FAILED : TRAIN_COMPLETE;
}
