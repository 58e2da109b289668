/**
 * @file
 * @brief Starts a thread that works beside the main thread and gets no signals.
 */
#ifndef CS336_DISTRIBUTED_SIDE_THREAD_H
#define CS336_DISTRIBUTED_SIDE_THREAD_H

#include "core/api.h"

#include <pthread.h>

CS336_INTERNAL_BEGIN

/**
 * @brief pthread_create(), with all signals blocked in the new thread: the kernel delivers a signal to one of the
 * threads that do not block it, so the main thread's handlers run in the main thread.
 * @return 0, or a value of errno
 */
int side_thread_start(pthread_t *thread, void *(*function)(void *), void *context);

CS336_INTERNAL_END

#endif
