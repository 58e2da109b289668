#include "train/shard_checkpoint.h"

#include "core/memory.h"
#include "distributed/ranks.h"

#include <stdbool.h>
#include <string.h>

/* What rank 0 asks of the others. */
typedef struct {
    bool end; /* nothing more */
    int moment;
    size_t bucket;
} MomentRequest;

/* Returns where a bucket's part lies in this rank's moments: after its parts of the buckets before. */
static size_t own_offset(const OptimizerShard *shard, size_t bucket)
{
    size_t offset = 0;
    for (size_t i = 0; i < bucket; i++)
        offset += optimizer_shard_part(shard, i, ranks_own()).count;
    return offset;
}

/* Sends each rank's part of a bucket to shard->bucket of rank 0, or from there to that rank. Collective. */
static void transfer(const OptimizerShard *shard, MomentRequest request, bool to_first)
{
    const size_t ranks = (size_t)ranks_count();
    const NumberRange own = optimizer_shard_part(shard, request.bucket, ranks_own());
    float *moment = shard->moments[request.moment] + own_offset(shard, request.bucket);
    size_t *counts = memory_allocate_zeroed(2 * ranks, sizeof *counts);
    if (!counts) {
        status_record("no memory for the lengths of %zu parts", ranks);
        ranks_give_up();
    }
    /* Rank 0's own part goes from rank 0 to rank 0. */
    size_t *of_parts = counts, *of_own = counts + ranks;
    for (size_t rank = 0; ranks_own() == 0 && rank < ranks; rank++)
        of_parts[rank] = optimizer_shard_part(shard, request.bucket, (int)rank).count * sizeof(float);
    of_own[0] = own.count * sizeof(float);
    if (to_first)
        ranks_exchange(shard->bucket, of_parts, moment, of_own);
    else
        ranks_exchange(moment, of_own, shard->bucket, of_parts);
    memory_release(counts);
}

/* Gives the next bytes of all first moments, then of all second moments: whole numbers, from one bucket or several. */
static Status next_moments(void *context, void *destination, size_t bytes)
{
    MomentReader *reader = context;
    const size_t all = optimizer_shard_all_numbers(reader->shard);
    float *numbers = destination;
    for (size_t left = bytes / sizeof *numbers; left;) {
        if (reader->next == all) {
            reader->moment++;
            reader->next = 0;
        }
        if (reader->next - reader->range.first >= reader->range.count) {
            MomentRequest request = {.moment = reader->moment, .bucket = (all - 1 - reader->next) / BUCKET_NUMBERS};
            ranks_broadcast(&request, sizeof request);
            transfer(reader->shard, request, true);
            reader->range = bucket_range(all, request.bucket);
        }
        const size_t offset = reader->next - reader->range.first, rest = reader->range.count - offset;
        const size_t count = left < rest ? left : rest;
        memcpy(numbers, reader->shard->bucket + offset, count * sizeof *numbers);
        numbers += count;
        left -= count;
        reader->next += count;
        if (count == rest) /* the next number is in another bucket, or in the same one of the other moment */
            reader->range = (NumberRange){0};
    }
    return CS336_OK;
}

void shard_checkpoint_begin_reading(MomentReader *reader, SafetensorsSource *source, OptimizerShard *shard)
{
    *reader = (MomentReader){.shard = shard};
    *source = (SafetensorsSource){.next = next_moments, .context = reader};
}

void shard_checkpoint_end_reading(MomentReader *reader)
{
    MomentRequest request = {.end = true};
    ranks_broadcast(&request, sizeof request);
    *reader = (MomentReader){0};
}

void shard_checkpoint_serve(OptimizerShard *shard)
{
    MomentRequest request = {0};
    for (;;) {
        ranks_broadcast(&request, sizeof request);
        if (request.end)
            return;
        transfer(shard, request, true);
    }
}

/* Reads a bucket of the checkpoint's moments to shard->bucket. */
static Status read_bucket(const OptimizerShard *shard, const CheckpointFile *file, MomentRequest request)
{
    float *numbers = shard->bucket;
    NumberRange range = bucket_range(optimizer_shard_all_numbers(shard), request.bucket);
    Status s = CS336_OK;
    while (!s && range.count) {
        const SequencePiece piece = sequence_take(shard->sequence, &range);
        s = checkpoint_read_moment(numbers, file, request.moment, &shard->parameters.items[piece.tensor], piece.offset,
                                   piece.count);
        numbers += piece.count;
    }
    return s;
}

Status shard_checkpoint_restore(OptimizerShard *shard, const char *path)
{
    const bool reads = ranks_own() == 0;
    CheckpointFile file = {0};
    Status s = reads ? checkpoint_open(&file, path) : CS336_OK;
    if (reads && !s)
        s = checkpoint_check_moments(&file, shard->parameters);
    s = ranks_follow_first(s);
    MomentRequest request = {0};
    for (; !s && request.moment < CHECKPOINT_MOMENTS; request.moment++)
        for (request.bucket = 0; !s && request.bucket < bucket_count(optimizer_shard_all_numbers(shard));
             request.bucket++) {
            s = ranks_follow_first(reads ? read_bucket(shard, &file, request) : CS336_OK);
            if (!s)
                transfer(shard, request, false);
        }
    checkpoint_close(&file);
    return s;
}
