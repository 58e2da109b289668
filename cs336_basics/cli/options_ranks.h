/**
 * @file
 * @brief Compares the options of all ranks under mpirun, which may have been started with different command lines.
 */
#ifndef CS336_CLI_OPTIONS_RANKS_H
#define CS336_CLI_OPTIONS_RANKS_H

#include "cli/options.h"
#include "core/api.h"

CS336_INTERNAL_BEGIN

/**
 * @brief Compares what options_parse() has read. Collective; with one rank it does nothing.
 *
 * The number of threads, and the names of files and directories, may differ.
 * @param done  what options_parse() is about to return on this rank
 * @return @p done if it is the same on all ranks and their options are equal; else EXIT_BAD_USAGE, after rank 0 has
 *         printed one line
 */
int options_agree(const OptionTable *table, int done);

CS336_INTERNAL_END

#endif
