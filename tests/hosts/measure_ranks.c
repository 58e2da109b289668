/**
 * @file
 * @brief Measures what an exchange of gradients costs between the ranks that mpirun has started, without a backward
 * pass. `make hosts-measure` calls it (tests/hosts/measure.sh); docs/tools/distributed_cost.py predicts steps from its
 * figures.
 *
 * usage: mpirun -n N measure_ranks NUMBERS
 *
 * Rank 0 prints a line of JSON: ranks; numbers; latency, the median seconds of a transfer of one number; message, the
 * seconds that one more message costs if many are under way; seconds, of an all-reduce of NUMBERS numbers; and cpu, the
 * seconds of processor time that it takes rank 0. The last three are the best of several rounds: what else runs can
 * only slow them down.
 */
#define _POSIX_C_SOURCE 200809L
#include "core/clock.h"
#include "core/memory.h"
#include "distributed/bucket_pipeline.h"
#include "distributed/ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

enum { ROUNDS = 3, LATENCY_ROUNDS = 300, MESSAGES = 64, PAUSE_NANOSECONDS = 30000 };

/* Ends all ranks if a function has failed. */
static void must(Status s)
{
    if (s)
        ranks_give_up();
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

/* Returns the seconds of processor time that this process has used. */
static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* Waits as the thread of distributed/gradient_exchange.h does when its step waits. */
static void pause_shortly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = PAUSE_NANOSECONDS}, NULL);
}

static int compare(const void *a, const void *b)
{
    const double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/*
 * Returns the seconds of an exchange of one number with each other rank, the median of LATENCY_ROUNDS: a rank that
 * leaves the barrier last finds the other's number already there, so the best round says nothing.
 */
static double measure_latency(float *received, const float *sent, const size_t *ones)
{
    double seconds[LATENCY_ROUNDS];
    for (int round = 0; round < LATENCY_ROUNDS; round++) {
        ranks_barrier();
        RanksTransfer transfer;
        const double begin = clock_seconds();
        must(ranks_start_exchange(&transfer, received, ones, sent, ones));
        while (!ranks_transfer_is_complete(&transfer))
            pause_shortly();
        seconds[round] = clock_seconds() - begin;
    }
    qsort(seconds, LATENCY_ROUNDS, sizeof *seconds, compare);
    return seconds[LATENCY_ROUNDS / 2];
}

/* Returns the seconds of one of MESSAGES exchanges of one number that are under way together, for each other rank. */
static double measure_message(float *received, const float *sent, const size_t *ones)
{
    RanksTransfer transfers[MESSAGES];
    const size_t ranks = (size_t)ranks_count();
    double best = 1e9;
    for (int round = 0; round < ROUNDS * 10; round++) {
        ranks_barrier();
        const double begin = clock_seconds();
        for (size_t i = 0; i < MESSAGES; i++)
            must(ranks_start_exchange(&transfers[i], received + i * ranks, ones, sent, ones));
        for (size_t i = 0; i < MESSAGES; i++)
            while (!ranks_transfer_is_complete(&transfers[i]))
                ;
        best = least(best, (clock_seconds() - begin) / MESSAGES / (double)(ranks - 1));
    }
    return best;
}

/* Measures an all-reduce of the sequence: its seconds, and those of the processor. */
static void measure_all_reduce(double *seconds, double *cpu, const NumberSequence *sequence)
{
    BucketPipeline pipeline;
    must(bucket_pipeline_init(&pipeline, sequence->first[sequence->count]));
    *seconds = *cpu = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        ranks_barrier();
        const double begin = clock_seconds(), cpu_begin = cpu_seconds();
        bucket_pipeline_begin(&pipeline, PIPELINE_ALL_REDUCE, sequence);
        while (!bucket_pipeline_is_done(&pipeline))
            if (!bucket_pipeline_advance(&pipeline, pipeline.buckets, false))
                pause_shortly();
        *cpu = least(*cpu, cpu_seconds() - cpu_begin);
        *seconds = least(*seconds, clock_seconds() - begin);
    }
    bucket_pipeline_deinit(&pipeline);
}

int main(int argc, char **argv)
{
    const Status s = ranks_begin();
    const size_t ranks = (size_t)ranks_count(), numbers = argc == 2 ? (size_t)atof(argv[1]) : 0;
    if (s || ranks < 2 || numbers < 1) {
        fprintf(stderr, "measure_ranks: %s\n",
                s ? status_message() : "usage: mpirun -n N measure_ranks NUMBERS, N at least 2");
        ranks_end();
        return EXIT_FAILURE;
    }
    float *data = memory_allocate_zeroed(numbers, sizeof *data),
          *received = memory_allocate(MESSAGES * ranks * sizeof *received);
    float *sent = memory_allocate_zeroed(ranks, sizeof *sent);
    size_t *ones = memory_allocate(ranks * sizeof *ones), first[2] = {0, numbers};
    if (!data || !received || !sent || !ones) {
        fprintf(stderr, "measure_ranks: no memory for %zu numbers\n", numbers);
        ranks_abort(EXIT_FAILURE);
    }
    for (size_t i = 0; i < ranks; i++)
        ones[i] = 1;
    double seconds, cpu;
    const double latency = measure_latency(received, sent, ones), message = measure_message(received, sent, ones);
    measure_all_reduce(&seconds, &cpu, &(NumberSequence){.count = 1, .first = first, .data = &data});
    printf("{\"ranks\": %zu, \"hosts\": %d, \"numbers\": %zu, \"latency\": %.3g, \"message\": %.3g, \"seconds\": %.4g, "
           "\"cpu\": %.4g}\n",
           ranks, ranks_hosts(), numbers, latency, message, seconds, cpu);
    memory_release(data);
    memory_release(received);
    memory_release(sent);
    memory_release(ones);
    ranks_end();
    return EXIT_SUCCESS;
}
