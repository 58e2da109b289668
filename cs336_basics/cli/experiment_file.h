/**
 * @file
 * @brief Reads the JSON file that describes an experiment: several trainings that are to be compared.
 *
 * ```
 * {"title": "Learning rates", "question": "Which one learns fastest, and from which one on does training diverge?",
 *  "text": {"train": "train.txt", "val": "valid.txt", "vocab_size": 2048},
 *  "common": {"d_model": 96, "steps": 300},
 *  "vary": {"lr": [1e-3, 1e-2], "norm": ["pre", "post"]},
 *  "runs": [{"name": "no norm", "norm": "none"}],
 *  "sample": {"prompt": "Once upon a time", "seed": 1, "max_tokens": 60}}
 * ```
 * - `common`, the lists of `vary` and the objects of `runs` hold options of `cs336 train`, with _ in place of -.
 * - `vary` makes a run of each combination of its values: above there are four. `runs` adds runs one by one. Each run
 *   has the settings of `common` too, and its own ones replace them.
 * - A run's name is made of what varies, such as "lr-0.001_norm-pre", or given as `name`. It names a directory, so that
 *   other characters than letters, digits and ".+-_" become "-".
 * - Instead of `text`, `tokens` names files of ids: `train`, and if there is one `val`, and the tokenizer that they
 * come from: `tokenizer`, one file, or `vocab` and `merges`.
 * - `"kind": "sgd"` is the handout's toy problem (optim/sgd_tuning.h). It has no text, and its settings are `lr`,
 *   `steps` and `seed`.
 */
#ifndef CS336_CLI_EXPERIMENT_FILE_H
#define CS336_CLI_EXPERIMENT_FILE_H

#include "core/api.h"
#include "core/json.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

enum {
    EXPERIMENT_NAME_BYTES = 128, /**< of a run's name and its zero byte: the file systems in use take 255 */
    EXPERIMENT_MAX_RUNS = 1000   /**< a typing error must not start trainings for years */
};

/** @brief The directory in which the files of the data lie that all runs share. No run may have its name. */
#define EXPERIMENT_DATA "data"

/** @brief The file with the experiment's title and question. No run may have its name. */
#define EXPERIMENT_DESCRIPTION "experiment.json"

/** @brief One run of an experiment. */
typedef struct {
    char name[EXPERIMENT_NAME_BYTES]; /**< its directory below the experiment's */
    json_t *settings; /**< owned: an object from key to text ("0.001"), or to true for an option without a value */
} ExperimentRun;

/** @brief An experiment. Its strings are NULL where the file has nothing, and live until experiment_unload(). */
typedef struct {
    const char *path;      /**< the file, for messages: the caller's string */
    json_t *file;          /**< owned: the file, whose memory the strings share */
    const char *title;     /**< what the experiment is called */
    const char *question;  /**< what it shall answer */
    bool sgd;              /**< true for the kind "sgd" */
    bool is_text;          /**< true: `train` and `val` are texts; false: ids */
    const char *train,     /**< the data to train on */
        *val;              /**< the data to validate on */
    const char *tokenizer, /**< with ids: the tokenizer that they come from; it or the pair is needed for samples */
        *vocab,            /**< its vocab.json in place of one file */
        *merges;           /**< its merges.txt */
    size_t vocab_size;     /**< with texts: of the tokenizer to learn */
    const char *prompt;    /**< text that each finished run continues; NULL: no samples */
    size_t sample_seed;    /**< of the sample */
    size_t sample_tokens;  /**< largest number of tokens in a sample */
    ExperimentRun *runs;   /**< (run_count) */
    size_t run_count;      /**< at least 1 */
} Experiment;

/**
 * @brief Reads an experiment. It checks everything except the settings of the runs: see train_check_options().
 * @retval CS336_EIO     the file cannot be read
 * @retval CS336_EFORMAT the file does not describe an experiment; the message says what was expected
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status experiment_load(Experiment *experiment, const char *path);

/** @brief Frees what experiment_load() has allocated; a zeroed experiment is fine. */
void experiment_unload(Experiment *experiment);

/** @brief Returns a setting of a run as text, or NULL if the file does not give it. */
const char *experiment_setting(const ExperimentRun *run, const char *key);

CS336_INTERNAL_END

#endif
