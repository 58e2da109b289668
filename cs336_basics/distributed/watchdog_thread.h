/**
 * @file
 * @brief The thread of the watchdog (distributed/watchdog.h): reads and sends heartbeats, decides that a rank has
 * failed, and ends the run.
 *
 * The thread never calls MPI. It alone uses the connections.
 */
#ifndef CS336_DISTRIBUTED_WATCHDOG_THREAD_H
#define CS336_DISTRIBUTED_WATCHDOG_THREAD_H

#include "core/api.h"
#include "core/atomic.h"
#include "distributed/control_link.h"
#include "distributed/recovery.h"

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

enum {
    WATCHDOG_SILENCE_TICKS = 12, /**< without a message: the rank is lost. A busy machine may hold a thread up for
                                      seconds. A tick is the period of heartbeats */
    WATCHDOG_MAX_STRANGERS = 64  /**< at most so many accepted connections have not shown a token yet; the kernel queues
                                      further ones */
};

/** @brief The other end of a connection. */
typedef struct {
    ControlLink link;       /**< the connection to it */
    ControlMessage alive;   /**< its latest heartbeat */
    ControlMessage goodbye; /**< with its error */
    unsigned silent_ticks;  /**< since its latest message */
    bool left;              /**< it has said goodbye */
    bool terminating;       /**< it has got a signal such as SIGTERM: its end is no fault */
} WatchdogPeer;

/** @brief A connection that has not shown its token. */
typedef struct {
    ControlLink link; /**< the connection */
    long long came;   /**< when it was accepted, on clock_milliseconds() */
} WatchdogStranger;

/** @brief What the thread shares with the other threads of its rank, and its own state. */
typedef struct {
    /** @name Set before the thread starts
     * @{
     */
    int wake[2];        /**< a pipe: a byte in it wakes the thread */
    int deputy;         /**< the rank that speaks for rank 0 */
    ControlOffer offer; /**< tokens, and the period of heartbeats */
    /** @} */

    /** @name How other threads ask the thread for something
     * @{
     */
    atomic_bool leaving,               /**< this rank is to say goodbye */
        terminating,                   /**< it has got a signal such as SIGTERM */
        failing,                       /**< `failure` is to be told */
        saved;                         /**< a checkpoint has been saved */
    pthread_mutex_t lock;              /**< guards the members below */
    char activity[CONTROL_TEXT_BYTES]; /**< what this rank does */
    unsigned long activity_number;     /**< grows with each activity */
    bool alone;                        /**< it does so alone, and the others wait by design */
    char failure[CONTROL_TEXT_BYTES];  /**< message of the error that ends this rank */
    int exit_code;                     /**< for the goodbye */
    /** @} */

    /** @name Of the thread alone
     * @{
     */
    int listener;        /**< rank 0's socket until all ranks are connected; -1 else */
    WatchdogPeer *peers; /**< rank 0: one for each rank, its own unused; another rank: rank 0 */
    size_t peer_count;   /**< elements of `peers` */
    WatchdogStranger strangers[WATCHDOG_MAX_STRANGERS]; /**< those that are connected, or free places */
    struct pollfd *sockets;                             /**< room for all connections */
    ControlMessage own;                                 /**< the latest heartbeat of this rank */
    unsigned long own_activity;                         /**< its activity_number */
    unsigned long completed;                            /**< of ranks_transfers() at the latest tick */
    bool orphaned;                                      /**< rank 0 has gone, and another rank speaks for it */
    unsigned orphan_ticks;                              /**< since then */
    bool told_failing;                                  /**< the others know that this rank has failed */
    unsigned failing_ticks;                             /**< since then */
    bool told_terminating;                              /**< the others know that a signal has asked this rank to end */
    long long termination_time; /**< when to print how to go on after the signal, in milliseconds; 0: never */
    bool said_terminating;      /**< that was printed */
    bool noticed;               /**< a line has named the rank for which the others wait */
    /** @} */
} Watchdog;

/** @brief The thread's function. Returns when `leaving` is set. @param watchdog  a Watchdog */
void *watchdog_thread(void *watchdog);

/** @brief Closes rank 0's listening socket and the connections that have not shown a token. */
void watchdog_stop_listening(Watchdog *dog);

CS336_INTERNAL_END

#endif
