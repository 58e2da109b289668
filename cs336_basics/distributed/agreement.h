/**
 * @file
 * @brief Compares what must be equal on all ranks: the program, its instruction set, its options, its input files.
 *
 * Ranks that differ would compute something else than asked, or wait for each other without end. So each rank lists its
 * facts, and the first fact that differs from rank 0's is an error that names it, both values and the rank:
 *
 *     rank 1 on node-b: CS336_ISA is avx2, but avx512 on rank 0 on node-a
 *
 * With one rank all functions return at once, and no file is read.
 */
#ifndef CS336_DISTRIBUTED_AGREEMENT_H
#define CS336_DISTRIBUTED_AGREEMENT_H

#include "core/api.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

enum {
    AGREEMENT_NAME_BYTES = 96,  /**< of a fact's name */
    AGREEMENT_VALUE_BYTES = 160 /**< of its value; of a longer one the beginning and a hash of the whole */
};

/** @brief Something that must be equal on all ranks. Both texts end in a zero byte. */
typedef struct {
    char name[AGREEMENT_NAME_BYTES],  /**< what it is, such as an option */
        value[AGREEMENT_VALUE_BYTES]; /**< on this rank */
} AgreementFact;

/** @brief A list of facts. Begin with a zeroed one; agreement_check() empties it. */
typedef struct {
    AgreementFact *facts; /**< (count) */
    size_t count,         /**< facts in the list */
        capacity;         /**< facts for which there is memory */
    bool no_memory;       /**< a fact could not be added; agreement_check() reports it */
} Agreement;

/** @brief Adds a fact. Its name and its value are texts for a message: "--lr" and "0.001". */
void agreement_add(Agreement *agreement, const char *name, const char *format, ...) CS336_PRINTF_LIKE(3, 4);

/**
 * @brief Adds the size of a regular file and a hash of its contents: of the whole file up to 256 KiB, and of 64 pieces
 * of 4 KiB of a larger one. Its path may differ from rank to rank.
 * @param what  what the file is to the user: "--train"
 * @retval CS336_EIO  it cannot be read
 */
CS336_MUST_CHECK Status agreement_add_file(Agreement *agreement, const char *what, const char *path);

/**
 * @brief Compares the facts with those of rank 0, and frees the list. Collective.
 * @param own  an earlier failure of this rank, which all ranks then return, as by ranks_agree()
 * @retval CS336_ERANGE  a rank differs; status_message() is the same on all ranks
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status agreement_check(Agreement *agreement, Status own);

/**
 * @brief Compares the command, and the program itself: its file, its version, the instruction set that it uses, how it
 * stores numbers. Collective. It decides the instruction set, so it comes before threads start (isa_in_use()).
 * @param command  "train"; ranks with another command have other options, so it is compared first
 * @retval CS336_ERANGE, CS336_ENOMEM  as agreement_check()
 */
CS336_MUST_CHECK Status agreement_check_program(const char *command);

CS336_INTERNAL_END

#endif
