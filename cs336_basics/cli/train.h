/**
 * @file
 * @brief The command `cs336 train` for a command that starts several runs, each in a process of its own.
 */
#ifndef CS336_CLI_TRAIN_H
#define CS336_CLI_TRAIN_H

#include "core/api.h"

CS336_INTERNAL_BEGIN

/** @brief How a run ended. */
typedef enum {
    TRAIN_COMPLETE,  /**< it is complete and saved */
    TRAIN_STOPPED,   /**< a signal stopped it, and it is saved */
    TRAIN_DIVERGED,  /**< the loss or a weight is not a finite number */
    TRAIN_NO_MEMORY, /**< it needs more memory than the machine has, or an allocation failed */
    TRAIN_FAILED     /**< anything else, such as a wrong setting or a full disk */
} TrainEnd;

/**
 * @brief command_train() that also says how the run ended. status_message() has the message that was printed.
 * @param[out] end  set in every case
 * @return the exit code
 */
int train_command(TrainEnd *end, int argc, char **argv);

/**
 * @brief Reads the options as train_command() does, and does nothing else.
 * @param source  where the options come from, for a message: OptionTable's source
 * @retval OPTIONS_PARSED  they are right; otherwise one line on stderr says what is wrong
 */
int train_check_options(const char *source, int argc, char **argv);

CS336_INTERNAL_END

#endif
