/**
 * @file
 * @brief Training runs that take milliseconds, on files in the test's temporary directory.
 */
#ifndef CS336_TESTS_SUPPORT_TINY_TRAINING_H
#define CS336_TESTS_SUPPORT_TINY_TRAINING_H

#include "data/token_file.h"
#include "train/training_run.h"

enum { TINY_TOKENS = 200, TINY_STEPS = 12 };

/** @brief A run of TINY_STEPS steps with log lines, validations and checkpoints. */
TrainerConfig tiny_training_config(void);

/** @brief A run of one step, with one layer and one validation batch. */
TrainerConfig tiny_training_one_step(void);

/** @brief Writes @p count ids of period 5 with some noise: a model can learn them, and no two batches have equal
 * losses. */
void tiny_training_write(const char *path, size_t count);

/** @brief A trainer with its files. */
typedef struct {
    TokenFile train, val;
    Trainer trainer;
} TinyTraining;

/** @brief Threads of tiny_training_init(): 1 unless a test is about threads, because more would only wait. */
extern int tiny_training_threads;

Status tiny_training_init(TinyTraining *tiny, const TrainerConfig *config);
void tiny_training_deinit(TinyTraining *tiny);

/** @brief Trains in a directory of that name in the temporary directory. @return the Status of trainer_run() */
Status tiny_training_run(const char *directory, const TrainerConfig *config, RunStart start,
                         const TrainerObserver *observer);

/**
 * @brief Runs with a stop asked from the start, and asserts that the run leaves the validation after step @p at: the
 * next step's, or the one that the run owes.
 */
void tiny_training_leave_validation(const char *directory, const TrainerConfig *config, RunStart start, size_t at);

/** @brief Trains up to the step @p at, whose validation is due and is left. It replaces a run of that name. */
void tiny_training_stop_in_validation(const char *directory, const TrainerConfig *config, size_t at);

/** @brief Asserts that two files of the temporary directory have the same bytes, at least one. */
void assert_same_file(const char *a, const char *b);

/** @brief Asserts that two logs are equal but for seconds and tokens_per_second, which depend on the clock. */
void assert_same_log(const char *a, const char *b);

#endif
