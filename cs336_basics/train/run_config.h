/**
 * @file
 * @brief Writes config.json, which records every setting of a run for people and for plots; and compares it when the
 * run is resumed.
 */
#ifndef CS336_TRAIN_RUN_CONFIG_H
#define CS336_TRAIN_RUN_CONFIG_H

#include "core/api.h"
#include "core/status.h"
#include "train/trainer.h"

CS336_INTERNAL_BEGIN

/** @brief Writes the configuration as one JSON object. @retval CS336_EIO, CS336_ENOMEM */
CS336_MUST_CHECK Status run_config_write(const char *path, const TrainerConfig *config);

/** @brief The settings in config.json, compared with those of the process that resumes the run. */
typedef struct {
    size_t stored_keep;    /**< `keep` in config.json; 0 if unknown */
    char differences[512]; /**< optimizer settings and flags that differ, as "lr 0.001 (was 0.01), ..."; "" if none does
                            */
} RunConfigComparison;

/**
 * @brief Compares config.json with @p config. A file that is missing or no JSON counts as one without differences.
 * @retval CS336_EFORMAT  `keep` is not a number that the option --keep may have
 */
CS336_MUST_CHECK Status run_config_compare(RunConfigComparison *comparison, const char *path,
                                           const TrainerConfig *config);

CS336_INTERNAL_END

#endif
