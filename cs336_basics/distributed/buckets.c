#include "distributed/buckets.h"

#include <string.h>

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t bucket_count(size_t numbers)
{
    return (numbers + BUCKET_NUMBERS - 1) / BUCKET_NUMBERS;
}

NumberRange bucket_range(size_t numbers, size_t bucket)
{
    const size_t end = numbers - bucket * BUCKET_NUMBERS, count = smaller(end, BUCKET_NUMBERS);
    return (NumberRange){.first = end - count, .count = count};
}

NumberRange bucket_part(NumberRange bucket, int rank, int ranks)
{
    const size_t begin = bucket.count * (size_t)rank / (size_t)ranks;
    const size_t end = bucket.count * ((size_t)rank + 1) / (size_t)ranks;
    return (NumberRange){.first = bucket.first + begin, .count = end - begin};
}

/* The last rank's part is never shorter than another one: its length is rounded up. */
size_t bucket_share(size_t numbers, size_t ranks)
{
    size_t share = 0;
    for (size_t bucket = 0; bucket < bucket_count(numbers); bucket++)
        share += (bucket_range(numbers, bucket).count + ranks - 1) / ranks;
    return share;
}

SequencePiece sequence_take(const NumberSequence *sequence, NumberRange *range)
{
    /* Bisect: the tensor that has the first number is in [low, high). */
    size_t low = 0, high = sequence->count;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (sequence->first[middle] <= range->first)
            low = middle;
        else
            high = middle;
    }
    const SequencePiece piece = {.tensor = low,
                                 .offset = range->first - sequence->first[low],
                                 .count = smaller(range->count, sequence->first[low + 1] - range->first)};
    range->first += piece.count;
    range->count -= piece.count;
    return piece;
}

void sequence_read(float *numbers, const NumberSequence *sequence, NumberRange range)
{
    while (range.count) {
        const SequencePiece piece = sequence_take(sequence, &range);
        memcpy(numbers, sequence->data[piece.tensor] + piece.offset, piece.count * sizeof *numbers);
        numbers += piece.count;
    }
}

void sequence_write(const NumberSequence *sequence, NumberRange range, const float *numbers)
{
    while (range.count) {
        const SequencePiece piece = sequence_take(sequence, &range);
        memcpy(sequence->data[piece.tensor] + piece.offset, numbers, piece.count * sizeof *numbers);
        numbers += piece.count;
    }
}
