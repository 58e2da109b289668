/**
 * @file
 * @brief config.json of a run: every setting that it was started with, for people and for plots.
 */
#ifndef CS336_TRAIN_RUN_CONFIG_H
#define CS336_TRAIN_RUN_CONFIG_H

#include "core/status.h"
#include "train/trainer.h"

/** @brief Writes the configuration as one JSON object. @retval CS336_EIO, CS336_ENOMEM */
CS336_MUST_CHECK Status run_config_write(const char *path, const TrainerConfig *config);

#endif
