/**
 * @file
 * @brief The number of threads, the workspace that kernels borrow, and how threads stop and report failures.
 *
 * - Loops have their own OpenMP pragmas. Without OpenMP they run on one thread, and parallel_threads() is 1.
 * - Kernels cannot fail and never allocate. Their caller reserves the workspace, which only grows, before it starts
 *   threads. Each thread of the program that calls the library has a workspace of its own, so several may compute at
 *   the same time.
 * - No result depends on the number of threads: each task writes outputs of its own and adds in a fixed order.
 * - No thread starts before the first parallel loop, because a process with threads cannot fork safely, and the test
 *   framework forks each test.
 */
#ifndef CS336_CORE_PARALLEL_H
#define CS336_CORE_PARALLEL_H

#include "core/api.h"
#include "core/atomic.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

CS336_API_BEGIN

/**
 * @brief Numbers below which an elementwise loop stays on one thread: 16 Ki floats take a few microseconds, about as
 * long as waking another thread.
 */
enum { PARALLEL_NUMBERS = 1 << 14 };

/** @brief The most threads that OpenMP may choose: OMP_NUM_THREADS=100000 must not reserve memory for 100000 threads.
 */
enum { PARALLEL_MAX_THREADS = 1024 };

/**
 * @brief Returns the number of threads that parallel loops use: that of the last parallel_set_threads(), or else
 * OpenMP's choice up to PARALLEL_MAX_THREADS; at least 1.
 */
int parallel_threads(void);

/** @brief Returns OpenMP's choice without that limit, for a message: OMP_NUM_THREADS, or the number of processors. */
int parallel_threads_asked(void);

/** @brief Returns the number of the machine's processors, with those that this process may not use; at least 1. */
int parallel_processors(void);

/**
 * @brief Sets the number of threads of every parallel loop that starts from now on, whichever thread starts it; 0
 * restores OpenMP's choice. Without OpenMP the number stays 1.
 */
void parallel_set_threads(int threads);

/** @brief Returns parallel_threads() for a loop over at least PARALLEL_NUMBERS numbers, and 1 for a shorter one. */
int parallel_threads_for(size_t numbers);

/** @brief Returns the index of the calling thread inside a parallel loop, and 0 outside. */
int parallel_thread(void);

/** @brief The workspace of one thread of the host program: a shared buffer, and one for each thread of a loop. */
typedef struct ParallelWorkspace ParallelWorkspace;

/**
 * @brief Makes the calling thread's workspace at least this large. It is cheap if the workspace is large enough
 * already.
 *
 * Call it outside parallel loops, and again after parallel_set_threads().
 * @param shared_bytes  size of the one buffer that all threads of a loop share: parallel_shared()
 * @param thread_bytes  size of the buffer that each thread of a loop has: parallel_private()
 * @retval CS336_ENOMEM  the workspace could not grow
 */
CS336_MUST_CHECK Status parallel_reserve(size_t shared_bytes, size_t thread_bytes);

/**
 * @brief Returns the calling thread's workspace, NULL before the first parallel_reserve(). Call it before a loop:
 * inside, the threads that OpenMP started would look for workspaces of their own.
 */
const ParallelWorkspace *parallel_workspace(void);

/** @brief Returns the buffer that all threads of a loop share, valid until the next parallel_reserve(); or NULL. */
void *parallel_shared(const ParallelWorkspace *workspace);

/** @brief Returns the calling thread's own buffer. Call it inside the loop. */
void *parallel_private(const ParallelWorkspace *workspace);

/** @brief A spinlock: use it only around a few instructions. A zeroed struct is an unlocked lock. */
typedef struct {
    atomic_bool taken; /**< true while a thread holds the lock */
} ParallelLock;

/** @brief Waits until no other thread holds the lock, then takes it. A thread that takes it twice waits forever. */
void parallel_lock(ParallelLock *lock);

/** @brief Releases the lock. The thread that takes it next sees all that this thread has written. */
void parallel_unlock(ParallelLock *lock);

/**
 * @brief The first failure of a parallel loop, with its message, because each thread has a status_message() of its own.
 * A zeroed struct holds no failure.
 */
typedef struct {
    atomic_int failed; /**< 0, then 1 forever; the thread that sets it writes the fields below */
    Status status;     /**< as parallel_fail() got it; parallel_result() reads it after the loop */
    char message[512]; /**< a copy of that thread's status_message() */
} ParallelFailure;

/** @brief True if the caller's flag asks a long computation to stop; false if the flag is NULL. */
bool parallel_stop_asked(const atomic_int *stop);

/** @brief Records a failure with the calling thread's message, unless another thread was first. */
void parallel_fail(ParallelFailure *failure, Status s);

/** @brief True if a thread has failed, so that the others can stop. */
bool parallel_failed(const ParallelFailure *failure);

/** @brief Returns the first failure after the loop, and gives its message to the calling thread; or CS336_OK. */
CS336_MUST_CHECK Status parallel_result(const ParallelFailure *failure);

/**
 * @brief Frees the calling thread's workspace, as the end of the thread does. The next parallel_reserve() makes
 * another.
 */
void parallel_release(void);

CS336_API_END

#endif
