/**
 * @file
 * @brief Takes the buckets of a sequence (distributed/buckets.h) through an exchange, a sum and a gather, several
 * buckets at a time.
 *
 * With N ranks, a bucket goes this way:
 * - exchange: each rank sends part j of the bucket to rank j, which gets N parts (MPI_Ialltoallv);
 * - sum: the rank adds the N parts in the order of the ranks, whatever order they came in. So the same number of ranks
 *   gives the same bytes;
 * - gather: all ranks get the sums of all parts (MPI_Iallgatherv).
 *
 * Exchange and sum are a reduce-scatter, the gather an all-gather, and both together an all-reduce. A rank sends
 * (N - 1) / N of a bucket in the exchange, and as much in the gather. No all-reduce can send less.
 *
 * Nothing here waits: bucket_pipeline_advance() does what can be done at once. It must be called until
 * bucket_pipeline_is_done(). One thread at a time may use a pipeline.
 */
#ifndef CS336_DISTRIBUTED_BUCKET_PIPELINE_H
#define CS336_DISTRIBUTED_BUCKET_PIPELINE_H

#include "core/api.h"
#include "core/status.h"
#include "distributed/buckets.h"
#include "distributed/ranks.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

/**
 * @brief Buckets that are on their way at the same time. While one is summed, the network has the others to send; it
 * is also the bound of the buffers' memory.
 */
enum { PIPELINE_BUCKETS = 4 };

/** @brief What happens to each bucket. */
typedef enum {
    PIPELINE_ALL_REDUCE,     /**< exchange, sum, gather: all numbers become the sums over the ranks */
    PIPELINE_REDUCE_SCATTER, /**< exchange, sum: the rank's own parts become the sums, the other numbers stay */
    PIPELINE_ALL_GATHER      /**< gather: the other parts become those of their ranks */
} PipelineKind;

/** @brief A bucket on its way. */
typedef struct {
    float *numbers,         /**< (the bucket) sent in the exchange, then overwritten by the gather */
        *received;          /**< (ranks, the own part) what the exchange brings */
    RanksTransfer transfer; /**< of the exchange, then of the gather */
    bool missing;           /**< this rank has no numbers for it: it sends zeros, and throws the result away */
} PipelineSlot;

/** @brief The buckets of one sequence. A zeroed struct owns nothing. */
typedef struct {
    PipelineSlot slots[PIPELINE_BUCKETS]; /**< bucket b is in slot b % PIPELINE_BUCKETS */
    size_t *counts;                       /**< (2, ranks) the lengths of the parts, for a transfer that begins */
    const NumberSequence *sequence;       /**< numbers to read and to write */
    PipelineKind kind;                    /**< what happens to each bucket */
    size_t buckets,                       /**< in the sequence */
        begun,                            /**< buckets that have begun */
        summed,                           /**< buckets whose exchange and sum are done */
        done;                             /**< buckets that are complete */
    double sum_of_squares;                /**< of this rank's own parts after the sum, added in double */
} BucketPipeline;

/**
 * @brief Allocates the buffers for sequences of up to @p numbers numbers.
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status bucket_pipeline_init(BucketPipeline *pipeline, size_t numbers);

/** @brief Returns the bytes that bucket_pipeline_init() allocates, with this number of ranks. */
size_t bucket_pipeline_bytes(size_t numbers, size_t ranks);

/** @brief Frees the buffers; a zeroed struct is fine. */
void bucket_pipeline_deinit(BucketPipeline *pipeline);

/**
 * @brief Begins with the first bucket of a sequence. All ranks must begin sequences of the same length in the same
 * order.
 */
void bucket_pipeline_begin(BucketPipeline *pipeline, PipelineKind kind, const NumberSequence *sequence);

/**
 * @brief Does what can be done without waiting. If the memory for a transfer is missing, it ends all ranks
 * (ranks_give_up()).
 * @param ready    buckets whose numbers are final, from bucket 0; never less than in the call before
 * @param missing  the buckets that begin in this call have no numbers: this rank has failed
 * @return true if a bucket has begun or has come further
 */
bool bucket_pipeline_advance(BucketPipeline *pipeline, size_t ready, bool missing);

/** @brief True if a bucket is on its way. */
bool bucket_pipeline_is_busy(const BucketPipeline *pipeline);

/** @brief True if all buckets are complete. */
bool bucket_pipeline_is_done(const BucketPipeline *pipeline);

CS336_INTERNAL_END

#endif
