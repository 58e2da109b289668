/**
 * @file
 * @brief config.json of a run: every setting that it was started with, for people and for plots.
 */
#ifndef CS336_TRAIN_RUN_CONFIG_H
#define CS336_TRAIN_RUN_CONFIG_H

#include "core/api.h"
#include "core/status.h"
#include "train/trainer.h"

CS336_INTERNAL_BEGIN

/** @brief Writes the configuration as one JSON object. @retval CS336_EIO, CS336_ENOMEM */
CS336_MUST_CHECK Status run_config_write(const char *path, const TrainerConfig *config);

/** @brief What the configuration of a run's start says when the run goes on. */
typedef struct {
    size_t keep;           /**< 0: not known */
    char differences[512]; /**< "lr 0.001 (was 0.01), ...": settings that make the rest of the run another one; or "" */
} RunConfigBefore;

/** @brief Reads config.json and compares it; a file that is missing or damaged says nothing. */
void run_config_before(RunConfigBefore *before, const char *path, const TrainerConfig *config);

CS336_INTERNAL_END

#endif
