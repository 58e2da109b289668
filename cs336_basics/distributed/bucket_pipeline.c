#include "distributed/bucket_pipeline.h"

#include "core/memory.h"
#include "core/tensor.h"
#include "kernels/vecmath.h"

#include <string.h>

/* Returns how many numbers a slot has room for: those of its first and longest bucket. 0: no bucket uses the slot. */
static size_t slot_room(size_t numbers, size_t slot)
{
    return slot < bucket_count(numbers) ? bucket_range(numbers, slot).count : 0;
}

/*
 * Returns the numbers that a rank may receive for a bucket of `room` numbers: one part from each of N ranks. The
 * longest part has up to one number more than an N-th of the bucket.
 */
static size_t received_room(size_t room, size_t ranks)
{
    return room + ranks;
}

Status bucket_pipeline_init(BucketPipeline *pipeline, size_t numbers)
{
    *pipeline = (BucketPipeline){.counts = memory_allocate_zeroed(2 * (size_t)ranks_count(), sizeof(size_t))};
    bool complete = pipeline->counts != NULL;
    for (size_t i = 0; i < PIPELINE_BUCKETS && slot_room(numbers, i); i++) {
        PipelineSlot *slot = &pipeline->slots[i];
        const size_t room = slot_room(numbers, i);
        slot->numbers = memory_allocate(room * sizeof(float));
        slot->received = memory_allocate(received_room(room, (size_t)ranks_count()) * sizeof(float));
        complete = complete && slot->numbers && slot->received;
    }
    if (complete)
        return CS336_OK;
    bucket_pipeline_deinit(pipeline);
    return status_fail(CS336_ENOMEM, "no memory to exchange gradients: %zu bytes",
                       bucket_pipeline_bytes(numbers, (size_t)ranks_count()));
}

size_t bucket_pipeline_bytes(size_t numbers, size_t ranks)
{
    size_t bytes = 2 * ranks * sizeof(size_t);
    for (size_t i = 0; i < PIPELINE_BUCKETS && slot_room(numbers, i); i++)
        bytes += (slot_room(numbers, i) + received_room(slot_room(numbers, i), ranks)) * sizeof(float);
    return bytes;
}

void bucket_pipeline_deinit(BucketPipeline *pipeline)
{
    for (size_t i = 0; i < PIPELINE_BUCKETS; i++) {
        memory_release(pipeline->slots[i].numbers);
        memory_release(pipeline->slots[i].received);
    }
    memory_release(pipeline->counts);
    *pipeline = (BucketPipeline){0};
}

void bucket_pipeline_begin(BucketPipeline *pipeline, PipelineKind kind, const NumberSequence *sequence)
{
    pipeline->kind = kind;
    pipeline->sequence = sequence;
    pipeline->buckets = bucket_count(sequence->first[sequence->count]);
    pipeline->begun = pipeline->summed = pipeline->done = 0;
    pipeline->sum_of_squares = 0;
}

/* ---- the way of a bucket ---- */

static NumberRange range_of(const BucketPipeline *pipeline, size_t bucket)
{
    return bucket_range(pipeline->sequence->first[pipeline->sequence->count], bucket);
}

static PipelineSlot *slot_of(BucketPipeline *pipeline, size_t bucket)
{
    return &pipeline->slots[bucket % PIPELINE_BUCKETS];
}

/* Writes the length of each rank's part of the bucket. */
static void part_counts(size_t *counts, NumberRange bucket)
{
    for (int rank = 0; rank < ranks_count(); rank++)
        counts[rank] = bucket_part(bucket, rank, ranks_count()).count;
}

static void start_gather(BucketPipeline *pipeline, size_t bucket)
{
    PipelineSlot *slot = slot_of(pipeline, bucket);
    part_counts(pipeline->counts, range_of(pipeline, bucket));
    if (ranks_start_gather(&slot->transfer, slot->numbers, pipeline->counts))
        ranks_give_up();
}

/* Copies the numbers of a bucket, and starts its first transfer. */
static void begin_bucket(BucketPipeline *pipeline, size_t bucket, bool missing)
{
    PipelineSlot *slot = slot_of(pipeline, bucket);
    const NumberRange range = range_of(pipeline, bucket), own = bucket_part(range, ranks_own(), ranks_count());
    const bool only_gather = pipeline->kind == PIPELINE_ALL_GATHER;
    const NumberRange read = only_gather ? own : range;
    float *destination = slot->numbers + (read.first - range.first);
    slot->missing = missing;
    if (missing)
        memset(destination, 0, read.count * sizeof *destination);
    else
        sequence_read(destination, pipeline->sequence, read);
    if (only_gather) {
        start_gather(pipeline, bucket);
        return;
    }
    size_t *send = pipeline->counts, *receive = send + ranks_count();
    part_counts(send, range);
    for (int rank = 0; rank < ranks_count(); rank++)
        receive[rank] = own.count;
    if (ranks_start_exchange(&slot->transfer, slot->received, receive, slot->numbers, send))
        ranks_give_up();
}

/*
 * Adds the parts that the ranks have sent for this rank's part of the bucket, where that part lies in slot->numbers. A
 * chunk of the sum stays in the L1 cache while all ranks' numbers are added to it.
 */
static void add_parts(BucketPipeline *pipeline, size_t bucket)
{
    enum { CHUNK = 4096 }; /* numbers, 16 KiB */
    PipelineSlot *slot = slot_of(pipeline, bucket);
    const NumberRange range = range_of(pipeline, bucket), own = bucket_part(range, ranks_own(), ranks_count());
    const VecmathKernels *vec = vecmath();
    float *sums = slot->numbers + (own.first - range.first);
    for (size_t first = 0; first < own.count; first += CHUNK) {
        const size_t count = own.count - first < CHUNK ? own.count - first : CHUNK;
        memcpy(sums + first, slot->received + first, count * sizeof *sums);
        for (size_t rank = 1; rank < (size_t)ranks_count(); rank++)
            vec->axpy(sums + first, 1, slot->received + rank * own.count + first, count);
        pipeline->sum_of_squares += tensor_row_sum_of_squares(sums + first, count);
    }
}

/* Copies the results of a bucket to the sequence. */
static void write_back(BucketPipeline *pipeline, size_t bucket)
{
    const PipelineSlot *slot = slot_of(pipeline, bucket);
    const NumberRange range = range_of(pipeline, bucket), own = bucket_part(range, ranks_own(), ranks_count());
    const NumberRange written = pipeline->kind == PIPELINE_REDUCE_SCATTER ? own : range;
    if (!slot->missing)
        sequence_write(pipeline->sequence, written, slot->numbers + (written.first - range.first));
}

bool bucket_pipeline_advance(BucketPipeline *pipeline, size_t ready, bool missing)
{
    const bool sum = pipeline->kind != PIPELINE_ALL_GATHER, gather = pipeline->kind != PIPELINE_REDUCE_SCATTER;
    bool further = false;
    /* All ranks must start transfers of a kind in the same order: that of the buckets. */
    while (pipeline->done < pipeline->summed &&
           (!gather || ranks_transfer_is_complete(&slot_of(pipeline, pipeline->done)->transfer))) {
        write_back(pipeline, pipeline->done++);
        further = true;
    }
    while (pipeline->summed < pipeline->begun &&
           (!sum || ranks_transfer_is_complete(&slot_of(pipeline, pipeline->summed)->transfer))) {
        if (sum)
            add_parts(pipeline, pipeline->summed);
        if (sum && gather)
            start_gather(pipeline, pipeline->summed);
        pipeline->summed++;
        further = true;
    }
    while (pipeline->begun < ready && pipeline->begun < pipeline->done + PIPELINE_BUCKETS) {
        begin_bucket(pipeline, pipeline->begun++, missing);
        further = true;
    }
    return further;
}

bool bucket_pipeline_is_busy(const BucketPipeline *pipeline)
{
    return pipeline->done < pipeline->begun;
}

bool bucket_pipeline_is_done(const BucketPipeline *pipeline)
{
    return pipeline->done == pipeline->buckets;
}
