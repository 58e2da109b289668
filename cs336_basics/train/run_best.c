#include "train/run_best.h"

#include "train/checkpoint.h"
#include "train/run_log.h"

#include <math.h>

RunBest run_best_none(void)
{
    return (RunBest){.val_loss = (double)INFINITY};
}

/* Sets the step of best.safetensors; 0 if it is missing, or is no checkpoint. */
static Status read_step(size_t *step, const RunDirectory *run)
{
    CheckpointFile file;
    *step = 0;
    const Status s = checkpoint_open(&file, run->best);
    if (s)
        return s == CS336_ENOMEM ? s : CS336_OK;
    *step = checkpoint_iteration(&file);
    checkpoint_close(&file);
    return CS336_OK;
}

Status run_best_restore(RunBest *best, RunDirectory *run, size_t step)
{
    RunLogValidations validations = {0};
    size_t file_step;
    *best = run_best_none();
    Status s = read_step(&file_step, run);
    if (!s && file_step > step) {
        s = run_directory_retire_best(run, file_step);
        file_step = 0;
    }
    if (!s)
        s = run_log_validations(&validations, run->log, step);
    for (size_t i = 0; !s && i < validations.count; i++) {
        const RunLogValidation v = validations.items[i];
        const bool has_checkpoint = v.step == file_step || v.step == step || run_directory_has_kept(run, v.step);
        if (run_best_validated(best, v.val_loss) && has_checkpoint)
            run_best_saved(best, v.step, v.val_loss);
    }
    run_log_validations_deinit(&validations);
    if (!s && best->step && best->step != file_step)
        s = run_directory_set_best(run, best->step == step ? 0 : best->step);
    return s;
}

bool run_best_validated(RunBest *best, double val_loss)
{
    best->since++;
    return isfinite(val_loss) && run_log_rounded(val_loss) < best->val_loss;
}

void run_best_saved(RunBest *best, size_t step, double val_loss)
{
    *best = (RunBest){.step = step, .val_loss = run_log_rounded(val_loss)};
}
