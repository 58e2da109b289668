#include "train/optimizer_shard.h"

#include "core/memory.h"
#include "distributed/ranks.h"

#include <math.h>

size_t optimizer_shard_all_numbers(const OptimizerShard *shard)
{
    return shard->sequence->first[shard->sequence->count];
}

NumberRange optimizer_shard_part(const OptimizerShard *shard, size_t bucket, int rank)
{
    return bucket_part(bucket_range(optimizer_shard_all_numbers(shard), bucket), rank, ranks_count());
}

/* Adds the pieces of one part. Only counts them while the arena measures, before `items` exists. */
static void add_pieces(OptimizerShard *shard, NumberRange part)
{
    while (part.count) {
        const SequencePiece piece = sequence_take(shard->sequence, &part);
        if (shard->places) {
            const Parameter *whole = &shard->parameters.items[piece.tensor];
            shard->places[shard->pieces.count] = piece;
            shard->pieces.items[shard->pieces.count] = (Parameter){
                .name = whole->name,
                .value = tensor(whole->value.data + piece.offset, piece.count),
                .first_moment = tensor(shard->moments[CHECKPOINT_FIRST_MOMENT] + shard->numbers, piece.count),
                .second_moment = tensor(shard->moments[CHECKPOINT_SECOND_MOMENT] + shard->numbers, piece.count),
            };
        }
        shard->pieces.count++;
        shard->numbers += piece.count;
    }
}

/* Goes through this rank's parts. */
static void find_pieces(OptimizerShard *shard)
{
    shard->pieces.count = shard->numbers = 0;
    for (size_t bucket = 0; bucket < bucket_count(optimizer_shard_all_numbers(shard)); bucket++)
        add_pieces(shard, optimizer_shard_part(shard, bucket, ranks_own()));
}

/* Takes the memory for `count` pieces of `numbers` numbers. Called to measure, then to bind. */
static Status take_memory(OptimizerShard *shard, Arena *arena, size_t count, size_t numbers)
{
    for (int moment = 0; moment < CHECKPOINT_MOMENTS; moment++)
        shard->moments[moment] = arena_take(arena, numbers * sizeof(float));
    shard->pieces.items = arena_take(arena, count * sizeof *shard->pieces.items);
    shard->places = arena_take(arena, count * sizeof *shard->places);
    return arena_status(arena);
}

Status optimizer_shard_create(OptimizerShard **shard, ParameterList parameters, const GradientExchange *exchange)
{
    OptimizerShard *new = memory_allocate_zeroed(1, sizeof *new);
    *shard = NULL;
    if (!new)
        return status_fail(CS336_ENOMEM, "no memory for the rank's share of the optimizer");
    new->parameters = parameters;
    new->sequence = gradient_exchange_values(exchange);
    new->bucket = gradient_exchange_bucket(exchange);
    find_pieces(new);
    const size_t count = new->pieces.count, numbers = new->numbers;
    Arena measure = {0};
    Status s = take_memory(new, &measure, count, numbers);
    if (!s)
        s = arena_init(&new->memory, measure.peak);
    if (!s)
        s = take_memory(new, &new->memory, count, numbers);
    if (s) {
        optimizer_shard_destroy(new);
        return s;
    }
    find_pieces(new);
    *shard = new;
    return CS336_OK;
}

void optimizer_shard_destroy(OptimizerShard *shard)
{
    if (!shard)
        return;
    arena_deinit(&shard->memory);
    memory_release(shard);
}

void optimizer_shard_follow(OptimizerShard *shard, ParameterList parameters)
{
    for (size_t i = 0; i < shard->pieces.count; i++) {
        const SequencePiece place = shard->places[i];
        const Parameter *whole = &parameters.items[place.tensor];
        shard->pieces.items[i].grad = tensor(whole->grad.data + place.offset, place.count);
        shard->pieces.items[i].no_decay = whole->no_decay;
    }
}

Status optimizer_shard_check_finite(const OptimizerShard *shard)
{
    for (size_t i = 0; i < shard->pieces.count; i++) {
        const Parameter *p = &shard->pieces.items[i];
        for (size_t k = 0; k < shard->places[i].count; k++) {
            const float first = p->first_moment.data[k], second = p->second_moment.data[k];
            if (!isfinite(first) || !isfinite(second))
                return status_fail(CS336_ERANGE,
                                   "not written: a moment of %s is %g, expected finite numbers; a lower learning rate "
                                   "may help",
                                   p->name, (double)(isfinite(first) ? second : first));
        }
    }
    return CS336_OK;
}
