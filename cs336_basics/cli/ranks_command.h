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

/** @brief Says how the program was called: the arguments of main(), which keeps them. */
void ranks_command_begin(int argc, char **argv);

/**
 * @brief Writes the command that started the ranks, quoted for sh. A line that is too long becomes the words "the same
 * command".
 *
 * What comes before the program's name is known where mpirun itself has started this process: mpirun's options, such as
 * `--hostfile`, with `-q` added. Elsewhere it is `mpirun -q -n N`, to which the reader adds the other options.
 * @param[out] line       room for @p capacity bytes, with the final zero byte
 * @param      argc,argv  the subcommand's name and its options
 * @param      without    what to leave out: flags such as "--overwrite", and options with their value, such as
 *                        "--stop-at="; NULL ends the list
 * @param      flag       flag to add, or NULL
 */
void ranks_command(char *line, size_t capacity, int argc, char **argv, const char *const *without, const char *flag);

CS336_INTERNAL_END

#endif
