/**
 * @file
 * @brief Writes config.json, which records every setting of a run for people and for plots; and compares it when the
 * run is resumed.
 *
 * The keys are the names of the options of `cs336 train` with `_` for `-`, so that `cs336 train --config config.json`
 * repeats the run. The key "ranks" is no option: it records how many processes mpirun has started, if more than one. A
 * number is written with as many digits as it takes to read the same number again.
 */
#ifndef CS336_TRAIN_RUN_CONFIG_H
#define CS336_TRAIN_RUN_CONFIG_H

#include "core/api.h"
#include "core/status.h"
#include "train/trainer.h"

CS336_INTERNAL_BEGIN

/**
 * @brief Writes the configuration as one JSON object.
 * @param train, val  paths of the token files as the user gave them, relative to the working directory of the process;
 *                    NULL if there is none. A path that is not UTF-8 is left out, because JSON cannot hold it
 * @retval CS336_EIO, CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_config_write(const char *path, const TrainerConfig *config, const char *train,
                                         const char *val);

/** @brief The settings in config.json, compared with those of the process that resumes the run. */
typedef struct {
    size_t stored_keep;     /**< `keep` in config.json; 0 if unknown */
    char *stored_init_from; /**< `init_from` in config.json; NULL if there is none. The caller releases it with
                               memory_release() */
    char differences[1024]; /**< token files, optimizer settings and flags that differ, as "lr 0.001 (was 0.01), ...";
                               "" if none does */
} RunConfigComparison;

/**
 * @brief Compares config.json with @p config. A file that is missing or no JSON counts as one without differences.
 * @param train, val  as for run_config_write()
 * @retval CS336_EFORMAT  `keep` is not a number that the option --keep may have
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status run_config_compare(RunConfigComparison *comparison, const char *path,
                                           const TrainerConfig *config, const char *train, const char *val);

CS336_INTERNAL_END

#endif
