/**
 * @file
 * @brief Makes sure that mpirun ends after a rank's host was lost.
 */
#ifndef CS336_DISTRIBUTED_LAUNCHER_H
#define CS336_DISTRIBUTED_LAUNCHER_H

#include "core/api.h"

CS336_INTERNAL_BEGIN

/**
 * @brief Starts a process that kills mpirun in some seconds, if mpirun is this process's parent and has not ended by
 * then.
 *
 * OpenMPI's mpirun ends its processes on all hosts before it ends itself. For a host whose network link is down it
 * waits until its own keep-alive gives up, by default after eight minutes (`--mca oob_tcp_keepalive_time 5 --mca
 * oob_tcp_keepalive_intvl 2 --mca oob_tcp_keepalive_probes 3` makes it eleven seconds, and a clean end). Needs Linux,
 * where a process can find out what its parent is; elsewhere nothing happens.
 */
void launcher_kill_later(unsigned seconds);

CS336_INTERNAL_END

#endif
