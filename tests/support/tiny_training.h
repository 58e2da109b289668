/**
 * @file
 * @brief Runs of the trainer that last milliseconds, on files of the test's own.
 */
#ifndef CS336_TESTS_SUPPORT_TINY_TRAINING_H
#define CS336_TESTS_SUPPORT_TINY_TRAINING_H

#include "data/token_file.h"
#include "train/training_run.h"

enum { TINY_TOKENS = 200, TINY_STEPS = 12 };

/** @brief TINY_STEPS steps with reports, validations and checkpoints on the way. */
TrainerConfig tiny_training_config(void);

/** @brief The least that is a run. */
TrainerConfig tiny_training_one_step(void);

/** @brief Writes a text of period 5 with a little noise: something to learn, and never the same batch loss twice. */
void tiny_training_write(const char *path, size_t count);

/** @brief A trainer with its files. */
typedef struct {
    TokenFile train, val;
    Trainer trainer;
} TinyTraining;

/** @brief One, where the test is not about threads: they would only wait for each other. */
extern int tiny_training_threads;

Status tiny_training_init(TinyTraining *tiny, const TrainerConfig *config);
void tiny_training_deinit(TinyTraining *tiny);

/** @brief Runs in a directory of the test's own and returns how it ended. */
Status tiny_training_run(const char *directory, const TrainerConfig *config, RunStart start,
                         const TrainerObserver *observer);

#endif
