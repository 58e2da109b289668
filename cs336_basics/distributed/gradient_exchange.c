#define _POSIX_C_SOURCE 200809L
#include "distributed/gradient_exchange.h"

#include "core/clock.h"
#include "core/memory.h"
#include "distributed/bucket_pipeline.h"
#include "distributed/side_thread.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

/*
 * Pauses between two looks at the transfers, in nanoseconds. While the step computes, a look takes the processor from
 * it, and a later one only delays the next bucket. When the step waits, nothing else is to be done.
 */
enum { PAUSE_COMPUTING = 500000, PAUSE_WAITING = 30000 };

struct GradientExchange {
    NumberSequence gradients, values; /* with a common `first` */
    BucketPipeline pipeline;          /* of the thread while `active`, else of the caller */
    PipelineKind kind;
    size_t next; /* gradients that are not final yet, those of the first parameters */
    pthread_t thread;
    bool has_thread;
    /* What both threads read and write, under the mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    size_t ready; /* buckets whose gradients are final */
    bool active,  /* a step's exchange is going on */
        waiting,  /* the caller waits for it */
        failed,   /* the caller has no gradients for the buckets that have not begun */
        ending;   /* the thread shall end */
    double began, /* when the gradients of the first bucket were final, on clock_seconds() */
        ended;    /* when the last bucket was complete */
};

/* ---- the thread ---- */

static void pause_for(long nanoseconds)
{
    nanosleep(&(struct timespec){.tv_nsec = nanoseconds}, NULL);
}

/* Takes all buckets of a step through the pipeline. The mutex is locked, except while MPI and the sums work. */
static void exchange_step(GradientExchange *x)
{
    while (!bucket_pipeline_is_done(&x->pipeline)) {
        while (!bucket_pipeline_is_busy(&x->pipeline) && x->ready <= x->pipeline.begun)
            pthread_cond_wait(&x->changed, &x->mutex);
        const size_t ready = x->ready;
        const bool failed = x->failed;
        const long pause = x->waiting ? PAUSE_WAITING : PAUSE_COMPUTING;
        pthread_mutex_unlock(&x->mutex);
        if (!bucket_pipeline_advance(&x->pipeline, ready, failed))
            pause_for(pause);
        pthread_mutex_lock(&x->mutex);
    }
    x->ended = clock_seconds();
}

static void *run_thread(void *context)
{
    GradientExchange *x = context;
    pthread_mutex_lock(&x->mutex);
    while (!x->ending) {
        if (x->active) {
            exchange_step(x);
            x->active = false;
            pthread_cond_signal(&x->changed);
        } else {
            pthread_cond_wait(&x->changed, &x->mutex);
        }
    }
    pthread_mutex_unlock(&x->mutex);
    return NULL;
}

static Status start_thread(GradientExchange *x)
{
    const int error = side_thread_start(&x->thread, run_thread, x);
    x->has_thread = error == 0;
    return error ? status_fail(CS336_ENOMEM, "no thread to exchange gradients: %s", strerror(error)) : CS336_OK;
}

/* ---- the caller ---- */

/* Allocates the sequences of gradients and of values. */
static Status make_sequences(GradientExchange *x, ParameterList parameters)
{
    const size_t count = parameters.count;
    size_t *first = memory_allocate_zeroed(count + 1, sizeof *first);
    x->gradients = (NumberSequence){count, first, memory_allocate_zeroed(count, sizeof(float *))};
    x->values = (NumberSequence){count, first, memory_allocate_zeroed(count, sizeof(float *))};
    if (!first || !x->gradients.data || !x->values.data)
        return status_fail(CS336_ENOMEM, "no memory to exchange the gradients of %zu parameters", count);
    for (size_t i = 0; i < count; i++) {
        first[i + 1] = first[i] + tensor_count(parameters.items[i].value);
        x->values.data[i] = parameters.items[i].value.data;
    }
    return CS336_OK;
}

Status gradient_exchange_create(GradientExchange **exchange, ParameterList parameters, bool share)
{
    GradientExchange *x = memory_allocate_zeroed(1, sizeof *x);
    *exchange = NULL;
    if (!x)
        return status_fail(CS336_ENOMEM, "no memory to exchange gradients");
    x->kind = share ? PIPELINE_REDUCE_SCATTER : PIPELINE_ALL_REDUCE;
    pthread_mutex_init(&x->mutex, NULL);
    pthread_cond_init(&x->changed, NULL);
    Status s = make_sequences(x, parameters);
    if (!s)
        s = bucket_pipeline_init(&x->pipeline, x->values.first[parameters.count]);
    if (!s)
        s = start_thread(x);
    if (s)
        gradient_exchange_destroy(x);
    else
        *exchange = x;
    return s;
}

void gradient_exchange_destroy(GradientExchange *x)
{
    if (!x)
        return;
    if (x->has_thread) {
        pthread_mutex_lock(&x->mutex);
        x->ending = true;
        pthread_cond_signal(&x->changed);
        pthread_mutex_unlock(&x->mutex);
        pthread_join(x->thread, NULL);
    }
    pthread_mutex_destroy(&x->mutex);
    pthread_cond_destroy(&x->changed);
    bucket_pipeline_deinit(&x->pipeline);
    memory_release(x->gradients.data);
    memory_release(x->values.data);
    memory_release(x->values.first);
    memory_release(x);
}

size_t gradient_exchange_bytes(size_t numbers, size_t ranks)
{
    return ranks > 1 ? bucket_pipeline_bytes(numbers, ranks) : 0;
}

void gradient_exchange_begin(GradientExchange *x)
{
    pthread_mutex_lock(&x->mutex);
    bucket_pipeline_begin(&x->pipeline, x->kind, &x->gradients);
    x->next = x->gradients.count;
    x->ready = 0;
    x->waiting = x->failed = false;
    x->active = true;
    pthread_cond_signal(&x->changed);
    pthread_mutex_unlock(&x->mutex);
}

void gradient_exchange_ready(void *exchange, Tensor grad)
{
    GradientExchange *x = exchange;
    const size_t *first = x->gradients.first, numbers = first[x->gradients.count];
    assert(x->next > 0);
    x->next--;
    assert(tensor_count(grad) == first[x->next + 1] - first[x->next]);
    x->gradients.data[x->next] = grad.data;
    /* All numbers from first[next] on are final. The last bucket may be shorter than the others. */
    const size_t buckets = x->next == 0 ? bucket_count(numbers) : (numbers - first[x->next]) / BUCKET_NUMBERS;
    pthread_mutex_lock(&x->mutex);
    if (buckets > x->ready) {
        if (x->ready == 0)
            x->began = clock_seconds();
        x->ready = buckets;
        pthread_cond_signal(&x->changed);
    }
    pthread_mutex_unlock(&x->mutex);
}

ExchangeResult gradient_exchange_finish(GradientExchange *x, bool failed)
{
    pthread_mutex_lock(&x->mutex);
    const double begin = clock_seconds();
    x->failed = failed;
    if (failed && x->ready == 0)
        x->began = begin;
    if (failed)
        x->ready = x->pipeline.buckets;
    x->waiting = true;
    pthread_cond_signal(&x->changed);
    /* If the step has to wait, the exchange ends when this thread runs again. On a busy machine that is milliseconds
     * after the last bucket, and the step has lost them too. */
    const bool waits = x->active;
    while (x->active)
        pthread_cond_wait(&x->changed, &x->mutex);
    const double end = waits ? clock_seconds() : x->ended;
    pthread_mutex_unlock(&x->mutex);
    return (ExchangeResult){
        .sum_of_squares = x->pipeline.sum_of_squares, .seconds = end - x->began, .waited = waits ? end - begin : 0};
}

double gradient_exchange_gather_values(GradientExchange *x)
{
    const double begin = clock_seconds();
    bucket_pipeline_begin(&x->pipeline, PIPELINE_ALL_GATHER, &x->values);
    while (!bucket_pipeline_is_done(&x->pipeline))
        if (!bucket_pipeline_advance(&x->pipeline, x->pipeline.buckets, false))
            pause_for(PAUSE_WAITING);
    return clock_seconds() - begin;
}

const NumberSequence *gradient_exchange_values(const GradientExchange *x)
{
    return &x->values;
}

float *gradient_exchange_bucket(const GradientExchange *x)
{
    return x->pipeline.slots[0].numbers; /* the first slot has room for the longest bucket */
}
