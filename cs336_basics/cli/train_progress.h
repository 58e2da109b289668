/**
 * @file
 * @brief What a person sees while `cs336 train` runs, and the last lines that say how the run ended.
 *
 * On a terminal one line is overwritten ten times per second: step, loss, time left, a small curve of the newest
 * losses, and the latest validation loss and the speed if there is room. It never is wider than the terminal or 80
 * columns. The lines with a validation stay. If stdout is a file or a pipe, there is a line for each line of the log.
 * So there is under mpirun: it gives each process a terminal, and passes on to its own output what comes there, which
 * may be a file.
 */
#ifndef CS336_CLI_TRAIN_PROGRESS_H
#define CS336_CLI_TRAIN_PROGRESS_H

#include "cli/loss_curve.h"
#include "core/api.h"
#include "train/training_run.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

/** @brief What the command line says of the run, for the messages. */
typedef struct {
    const char *train, /**< path of the training tokens */
        *val,          /**< path of the validation tokens; NULL if there are none */
        *out,          /**< the run directory */
        *resume;       /**< command of sh that continues a run of several ranks; NULL with one */
    double loss_floor; /**< entropy of the data in nats per token; NaN if unknown */
} TrainFiles;

/** @brief The state of the display. */
typedef struct {
    TrainFiles files;  /**< for the messages */
    size_t steps,      /**< of the whole run */
        first,         /**< first step of this process; 0 until it is known */
        end;           /**< last step of this process */
    double start_time, /**< when the run began, on clock_seconds() */
        line_time;     /**< when the latest line was printed */
    double val_loss;   /**< of the latest validation */
    bool validated;    /**< true if val_loss is set */
    bool terminal;     /**< true if stdout is a terminal */
    bool dirty;        /**< true if the terminal shows a line that the next one overwrites */
    LossCurve curve;   /**< losses of the lines of the log */
} TrainProgress;

/** @brief Starts the clock. The strings of @p files must outlive the progress. */
void train_progress_begin(TrainProgress *progress, const TrainerConfig *config, const TrainFiles *files);

/** @brief Shows a step: TrainerObserver.step, with the TrainProgress as its context. */
void train_progress_step(void *context, const RunLogEntry *entry, bool logged);

/** @brief Prints a notice to stderr: TrainerObserver.notice. */
void train_progress_notice(void *context, const char *text);

/** @brief Prints how the run ended: to stdout, or to stderr if the reader of stdout is gone. */
void train_progress_end(const TrainProgress *progress, const RunLogEntry *last, const RunOutcome *outcome);

/** @brief Ends the line that would be overwritten, before a message of failure. */
void train_progress_leave_line(const TrainProgress *progress);

CS336_INTERNAL_END

#endif
