/**
 * @file
 * @brief The runs of an experiment of the kind "sgd": the handout's toy problem (optim/sgd_tuning.h).
 */
#ifndef CS336_CLI_EXPERIMENT_SGD_H
#define CS336_CLI_EXPERIMENT_SGD_H

#include "cli/train.h"
#include "core/api.h"

CS336_INTERNAL_BEGIN

/**
 * @brief Reads the options --out, --lr, --steps and --seed, and does nothing else.
 * @param source  where they come from, for a message: OptionTable's source
 * @retval OPTIONS_PARSED  they are right; otherwise one line on stderr says what is wrong
 */
int experiment_sgd_check(const char *source, int argc, char **argv);

/**
 * @brief Runs the problem, and writes config.json and log.jsonl as a training does. They replace existing ones.
 * @return how it ended; status_message() says why it failed
 */
TrainEnd experiment_sgd(int argc, char **argv);

CS336_INTERNAL_END

#endif
