#include "core/parallel.h"

#include "core/memory.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#ifdef _OPENMP
#include <omp.h>
#endif

/* ---- threads ---- */

#ifdef _OPENMP
/* The number of threads for the whole process: OpenMP's own setting holds only for the thread that sets it. */
static atomic_int chosen_threads; /* 0: OpenMP's choice */

int parallel_threads(void)
{
    const int threads = atomic_load_explicit(&chosen_threads, memory_order_relaxed);
    if (threads > 0)
        return threads;
    const int asked = parallel_threads_asked();
    return asked < PARALLEL_MAX_THREADS ? asked : PARALLEL_MAX_THREADS;
}

int parallel_threads_asked(void)
{
    return omp_get_max_threads();
}

void parallel_set_threads(int threads)
{
    atomic_store(&chosen_threads, threads);
}

int parallel_thread(void)
{
    return omp_get_thread_num();
}
#else
int parallel_threads(void)
{
    return 1;
}

int parallel_threads_asked(void)
{
    return 1;
}

void parallel_set_threads(int threads)
{
    (void)threads;
}

int parallel_thread(void)
{
    return 0;
}
#endif

int parallel_processors(void)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return processors > 1 && processors <= INT_MAX ? (int)processors : 1;
}

int parallel_threads_for(size_t numbers)
{
    return numbers < PARALLEL_NUMBERS ? 1 : parallel_threads();
}

/* ---- the workspace ---- */

struct ParallelWorkspace {
    size_t shared_bytes, thread_bytes; /* sizes of the shared buffer, and of one thread's share of `private` */
    int threads;                       /* for which `private` has room */
    unsigned char *shared, *private;
};

/* A pthread key rather than _Thread_local, because the key calls release() when its thread ends. */
static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void release(void *pointer)
{
    ParallelWorkspace *workspace = pointer;
    if (!workspace)
        return;
    memory_release(workspace->shared);
    memory_release(workspace->private);
    memory_release(workspace);
}

static void make_key(void)
{
    /* pthread_key_create() fails only in a process that has hundreds of keys. Then parallel_reserve() fails. */
    (void)pthread_key_create(&key, release);
}

static ParallelWorkspace *own_workspace(void)
{
    pthread_once(&key_once, make_key);
    return pthread_getspecific(key);
}

const ParallelWorkspace *parallel_workspace(void)
{
    return own_workspace();
}

/*
 * Replaces a buffer by a larger one, whose contents are unspecified. It does not ask for huge pages: kernels read the
 * workspace in order, which is as fast without them, and a small model would take 2 MB for the first number.
 */
static Status grow(unsigned char **buffer, size_t bytes)
{
    memory_release(*buffer);
    *buffer = memory_allocate(bytes);
    if (!*buffer)
        return status_fail(CS336_ENOMEM, "parallel_reserve: no memory for %zu bytes", bytes);
    return CS336_OK;
}

static Status make_workspace(ParallelWorkspace **workspace)
{
    *workspace = memory_allocate_zeroed(1, sizeof **workspace);
    if (*workspace && pthread_setspecific(key, *workspace) == 0)
        return CS336_OK;
    memory_release(*workspace);
    return status_fail(CS336_ENOMEM, "parallel_reserve: no memory for %zu bytes", sizeof **workspace);
}

Status parallel_reserve(size_t shared_bytes, size_t thread_bytes)
{
    const int threads = parallel_threads();
    ParallelWorkspace *workspace = own_workspace();
    Status s = workspace ? CS336_OK : make_workspace(&workspace);
    /* The shared buffer. Its size is 0 while it is replaced, so that a failure leaves a buffer of size 0. */
    if (!s && shared_bytes > workspace->shared_bytes) {
        workspace->shared_bytes = 0;
        s = grow(&workspace->shared, memory_aligned(shared_bytes));
        if (!s)
            workspace->shared_bytes = memory_aligned(shared_bytes);
    }
    /* The threads' own buffers, side by side in one allocation. */
    if (!s && (thread_bytes > workspace->thread_bytes || threads > workspace->threads)) {
        const size_t each =
            thread_bytes > workspace->thread_bytes ? memory_aligned(thread_bytes) : workspace->thread_bytes;
        workspace->thread_bytes = 0;
        workspace->threads = 0;
        s = grow(&workspace->private, memory_product(each, (size_t)threads));
        if (!s) {
            workspace->thread_bytes = each;
            workspace->threads = threads;
        }
    }
    return s;
}

void *parallel_shared(const ParallelWorkspace *workspace)
{
    return workspace ? workspace->shared : NULL;
}

void *parallel_private(const ParallelWorkspace *workspace)
{
    return workspace->private + (size_t)parallel_thread() * workspace->thread_bytes;
}

void parallel_release(void)
{
    release(own_workspace());
    pthread_setspecific(key, NULL);
}

/* ---- locks, stops and failures ---- */

void parallel_lock(ParallelLock *lock)
{
    while (atomic_exchange_explicit(&lock->taken, true, memory_order_acquire))
        sched_yield(); /* with more threads than cores, the owner may be waiting for this core */
}

void parallel_unlock(ParallelLock *lock)
{
    atomic_store_explicit(&lock->taken, false, memory_order_release);
}

bool parallel_stop_asked(const atomic_int *stop)
{
    return stop && atomic_load_explicit(stop, memory_order_relaxed);
}

void parallel_fail(ParallelFailure *failure, Status s)
{
    if (atomic_exchange(&failure->failed, 1))
        return;
    failure->status = s;
    snprintf(failure->message, sizeof failure->message, "%s", status_message());
}

bool parallel_failed(const ParallelFailure *failure)
{
    return atomic_load(&failure->failed);
}

Status parallel_result(const ParallelFailure *failure)
{
    return parallel_failed(failure) ? status_fail(failure->status, "%s", failure->message) : CS336_OK;
}
