/**
 * @file
 * @brief How many threads, and the scratch memory that kernels borrow.
 *
 * - Loops carry their own OpenMP pragmas; without OpenMP they run on one thread and this file says so.
 * - Kernels cannot fail and never allocate: their caller reserves the workspace, which only grows, and they borrow it.
 *   There is one workspace a process: functions that compute are called from one thread at a time.
 * - No result may depend on the number of threads: tasks own their outputs and add in a fixed order.
 * - No thread starts before the first parallel loop (Check forks its tests).
 */
#ifndef CS336_CORE_PARALLEL_H
#define CS336_CORE_PARALLEL_H

#include "core/status.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/** @brief A loop over fewer numbers than this stays on one thread: waking others would cost more. */
enum { PARALLEL_NUMBERS = 1 << 14 };

/** @brief Threads that parallel loops use: the last parallel_set_threads(), or else what OpenMP chooses; at least 1. */
int parallel_threads(void);

/** @brief Chooses the number of threads; 0 returns to OpenMP's choice. Without OpenMP it stays 1. */
void parallel_set_threads(int threads);

/** @brief Index of the calling thread inside a parallel loop, 0 outside. */
int parallel_thread(void);

/**
 * @brief Makes sure that the workspace is at least this large. Cheap when it is. Not inside a parallel loop,
 * and anew after parallel_set_threads().
 * @param shared_bytes  one block that all threads see: parallel_shared()
 * @param thread_bytes  one block for each thread: parallel_private()
 * @retval CS336_ENOMEM  the workspace could not grow
 */
CS336_MUST_CHECK Status parallel_reserve(size_t shared_bytes, size_t thread_bytes);

/** @brief The block for all threads, and the calling thread's own; contents are lost at the next reserve. */
void *parallel_shared(void);
void *parallel_private(void);

/** @brief What one thread at a time may touch, for so short a time that others wait for it; zeroed: nobody does. */
typedef struct {
    atomic_bool taken;
} ParallelLock;

void parallel_lock(ParallelLock *lock);
void parallel_unlock(ParallelLock *lock);

/**
 * @brief What failed first in a loop of several threads, with what it said: status_message() belongs to the thread that
 * failed. A zeroed one: nothing has.
 */
typedef struct {
    atomic_int failed;
    Status status;
    char message[512];
} ParallelFailure;

/** @brief Whether a caller's flag (NULL: there is none) asks a long computation to stop. */
bool parallel_stop_asked(const atomic_int *stop);

/** @brief Any thread reports its failure; the first report counts. */
void parallel_fail(ParallelFailure *failure, Status s);

/** @brief Whether the other threads may as well give up. */
bool parallel_failed(const ParallelFailure *failure);

/** @brief After the loop: what failed first, its message now in the calling thread; CS336_OK if nothing did. */
CS336_MUST_CHECK Status parallel_result(const ParallelFailure *failure);

/** @brief Frees the workspace; the next parallel_reserve() makes another. */
void parallel_release(void);

#endif
