/**
 * @file
 * @brief What a rank knows of the mpirun that has started it, and how it makes sure that mpirun ends.
 *
 * Needs Linux, where a process can find out what its parent is. Elsewhere, and on hosts where a daemon of mpirun or of
 * a batch system is the parent, nothing is known and nothing happens.
 */
#ifndef CS336_DISTRIBUTED_LAUNCHER_H
#define CS336_DISTRIBUTED_LAUNCHER_H

#include "core/api.h"

#include <stddef.h>

CS336_INTERNAL_BEGIN

/**
 * @brief Reads the command line of mpirun, if mpirun is this process's parent.
 * @param[out] words  room for @p capacity bytes: the words one after the other, each with its final zero byte
 * @return the number of bytes; 0 if the command line is not known or does not fit
 */
size_t launcher_command_line(char *words, size_t capacity);

/**
 * @brief Starts a process that kills mpirun in some seconds, if mpirun is this process's parent and has not ended by
 * then.
 *
 * OpenMPI's mpirun ends its processes on all hosts before it ends itself. For a host whose network link is down it
 * waits until its own keep-alive gives up, by default after eight minutes (`--mca oob_tcp_keepalive_time 5 --mca
 * oob_tcp_keepalive_intvl 2 --mca oob_tcp_keepalive_probes 3` makes it eleven seconds, and a clean end).
 *
 * It may also wait for ever if a rank ends while it connects to mpirun (OpenMPI 4.1, one early end in fifty).
 */
void launcher_kill_later(unsigned seconds);

CS336_INTERNAL_END

#endif
