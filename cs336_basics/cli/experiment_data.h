/**
 * @file
 * @brief The data of an experiment: finds its files, and makes vocabulary and ids of a text once for all runs.
 */
#ifndef CS336_CLI_EXPERIMENT_DATA_H
#define CS336_CLI_EXPERIMENT_DATA_H

#include "cli/experiment_file.h"
#include "core/api.h"
#include "core/directory.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

/** @brief A path. */
typedef struct {
    char text[DIRECTORY_PATH_BYTES]; /**< ends in a zero byte */
} ExperimentPath;

/** @brief Returns DIRECTORY/NAME; or "", which names no file, if that is too long. */
ExperimentPath experiment_path(const char *directory, const char *name);

/** @brief The files of an experiment's data. A path is "" if the experiment has no such file. */
typedef struct {
    ExperimentPath train, /**< ids to train on */
        val,              /**< ids to validate on */
        tokenizer,        /**< the tokenizer that the ids come from, as one file */
        vocab,            /**< or its vocab.json, in place of one file */
        merges,           /**< and its merges.txt */
        text,             /**< the text that the ids of train are made of */
        val_text;         /**< the text that the ids of val are made of */
    char fingerprint[40]; /**< hash of the contents of both files: it differs if the data changed */
} ExperimentData;

/**
 * @brief Finds the files of the data and reads them once, for their fingerprint. It writes nothing.
 * @param out        the experiment's directory
 * @param directory  where files lie whose path does not begin with a slash
 * @retval CS336_EIO  a file is missing; for a text the message says where to get one
 */
CS336_MUST_CHECK Status experiment_data_find(ExperimentData *data, const Experiment *experiment, const char *out,
                                             const char *directory);

/**
 * @brief Makes vocabulary and ids of the texts, if those in the directory of the data are missing or were made of other
 * texts or with another size. Does nothing if the experiment has no texts. The commands train-bpe and encode do the
 * work, each in a child process; data/output.txt has what they print.
 * @param data     from experiment_data_find()
 * @param threads  as the option --threads
 * @retval CS336_EIO, CS336_EFORMAT, CS336_ENOMEM  with the message of the command that failed
 * @retval CS336_EINTERRUPTED                      a signal asked the command to stop
 */
CS336_MUST_CHECK Status experiment_data_make(const ExperimentData *data, const Experiment *experiment, const char *out,
                                             size_t threads);

/**
 * @brief Continues the experiment's prompt with the model of a run, by the command generate in a child process, and
 * writes the text to sample.txt in the run's directory, completely or not at all.
 * @retval CS336_EIO, CS336_EFORMAT, CS336_ENOMEM, CS336_EINTERRUPTED
 */
CS336_MUST_CHECK Status experiment_data_sample(const ExperimentData *data, const Experiment *experiment,
                                               const char *run, size_t threads);

CS336_INTERNAL_END

#endif
