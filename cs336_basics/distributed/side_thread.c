#define _POSIX_C_SOURCE 200809L
#include "distributed/side_thread.h"

#include <signal.h>

int side_thread_start(pthread_t *thread, void *(*function)(void *), void *context)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* a new thread inherits the mask */
    const int error = pthread_create(thread, NULL, function, context);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error;
}
