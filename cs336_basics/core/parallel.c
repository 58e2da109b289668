#include "core/parallel.h"

#include "core/memory.h"

#include <sched.h>
#include <stdio.h>

#ifdef _OPENMP
#include <omp.h>
#endif

static struct {
    size_t shared_bytes, thread_bytes;
    int threads;
    unsigned char *shared, *private;
} workspace;

#ifdef _OPENMP
int parallel_threads(void)
{
    return omp_get_max_threads();
}

void parallel_set_threads(int threads)
{
    static int chosen_by_openmp;
    if (!chosen_by_openmp)
        chosen_by_openmp = omp_get_max_threads();
    omp_set_num_threads(threads > 0 ? threads : chosen_by_openmp);
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

void parallel_set_threads(int threads)
{
    (void)threads;
}

int parallel_thread(void)
{
    return 0;
}
#endif

static Status grow(unsigned char **block, size_t bytes)
{
    memory_release(*block);
    *block = memory_allocate(bytes);
    if (!*block)
        return status_fail(CS336_ENOMEM, "parallel_reserve: no memory for %zu bytes", bytes);
    memory_ask_for_huge_pages(*block);
    return CS336_OK;
}

Status parallel_reserve(size_t shared_bytes, size_t thread_bytes)
{
    const int threads = parallel_threads();
    Status s = CS336_OK;
    /* The size is 0 while the buffer is replaced, so that a failure leaves no size without memory. */
    if (shared_bytes > workspace.shared_bytes) {
        workspace.shared_bytes = 0;
        s = grow(&workspace.shared, memory_aligned(shared_bytes));
        if (!s)
            workspace.shared_bytes = memory_aligned(shared_bytes);
    }
    /* One allocation holds the buffers of all threads: it grows with their number, too. */
    if (!s && (thread_bytes > workspace.thread_bytes || threads > workspace.threads)) {
        const size_t each =
            thread_bytes > workspace.thread_bytes ? memory_aligned(thread_bytes) : workspace.thread_bytes;
        workspace.thread_bytes = 0;
        workspace.threads = 0;
        s = grow(&workspace.private, memory_product(each, (size_t)threads));
        if (!s) {
            workspace.thread_bytes = each;
            workspace.threads = threads;
        }
    }
    return s;
}

void *parallel_shared(void)
{
    return workspace.shared;
}

void *parallel_private(void)
{
    return workspace.private + (size_t)parallel_thread() * workspace.thread_bytes;
}

void parallel_release(void)
{
    memory_release(workspace.shared);
    memory_release(workspace.private);
    workspace.shared = workspace.private = NULL;
    workspace.shared_bytes = workspace.thread_bytes = 0;
    workspace.threads = 0;
}

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
