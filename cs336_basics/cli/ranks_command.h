/**
 * @file
 * @brief Writes the line of sh that runs a command again under mpirun, for the last line of a run that has failed or
 * was stopped.
 */
#ifndef CS336_CLI_RANKS_COMMAND_H
#define CS336_CLI_RANKS_COMMAND_H

#include "core/api.h"

#include <stddef.h>

CS336_INTERNAL_BEGIN

/** @brief Says how the program was called, argv[0] of main(). */
void ranks_command_begin(const char *program);

/**
 * @brief Writes `mpirun -q -n N PROGRAM` and the arguments, quoted for sh. A line that is too long becomes the words
 * "the same command".
 * @param[out] line       room for @p capacity bytes, with the final zero byte
 * @param      argc,argv  the command's name and its options
 * @param      without    what to leave out: flags such as "--overwrite", and options with their value, such as
 *                        "--stop-at="; NULL ends the list
 * @param      flag       flag to add, or NULL
 */
void ranks_command(char *line, size_t capacity, int argc, char **argv, const char *const *without, const char *flag);

CS336_INTERNAL_END

#endif
