/**
 * @file
 * @brief Compares the memory that a run of `cs336 train` needs with the machine's, and says what to make smaller.
 */
#ifndef CS336_CLI_TRAIN_MEMORY_H
#define CS336_CLI_TRAIN_MEMORY_H

#include "accounting/memory.h"
#include "core/api.h"
#include "core/status.h"
#include "train/trainer.h"

CS336_INTERNAL_BEGIN

/** @brief Sequences per step if --batch-size is not given. */
enum { TRAIN_DEFAULT_BATCH_SIZE = 32 };

/** @brief Returns how the ranks of this run share a step. */
AccountRanks train_ranks(const TrainerConfig *config);

/**
 * @brief Compares the memory that the run needs with the machine's, before anything is allocated. Under mpirun the
 * ranks on a host share its memory evenly.
 *
 * Linux lets programs allocate more memory than the machine has (overcommit), and kills the process when it uses too
 * much of it.
 * @retval CS336_ENOMEM  the run does not fit; the message says which option to change
 * @retval others        from account_memory_measured()
 */
CS336_MUST_CHECK Status train_check_memory(const TrainerConfig *config);

CS336_INTERNAL_END

#endif
