/**
 * @file
 * @brief The numbers of several tensors as one sequence, cut into buckets that ranks exchange one after the other.
 *
 * - The numbers of all gradients form one sequence, in the order of the parameters. The backward pass finishes it from
 *   its end to its beginning: lm_head is the last parameter, and its gradient is final first.
 * - A bucket is a fixed number of neighbours in the sequence. Bucket 0 has the last ones, so that buckets become final
 *   in the order of their numbers. The last bucket has the rest, which may be shorter. Where buckets end depends only
 * on the model.
 * - A bucket need not begin or end where a tensor does: a bucket may have several tensors, and a tensor several
 * buckets.
 * - Rank r of N owns part r of each bucket, one N-th of it: it adds the numbers of all ranks there.
 *
 *     sequence    | embeddings        | layer 0 | layer 1 | lm_head           |
 *     buckets     | 4  |     3     |     2     |     1     |     0     |          each but the last of equal length
 *     parts                        | 0 | 1 | 2 |                                  of bucket 2, with three ranks
 */
#ifndef CS336_DISTRIBUTED_BUCKETS_H
#define CS336_DISTRIBUTED_BUCKETS_H

#include "core/api.h"

#include <stddef.h>

CS336_INTERNAL_BEGIN

/**
 * @brief Numbers in a bucket, 2 MiB of float32. A smaller bucket is ready earlier, but each costs some messages. To
 * send 2 MiB takes 17 ms at 1 Gbit/s and 0.17 ms at 100 Gbit/s, longer than a message needs to arrive.
 */
enum { BUCKET_NUMBERS = 1 << 19 };

/** @brief Neighbours in a sequence. */
typedef struct {
    size_t first, /**< index of the first number */
        count;    /**< how many; may be 0 */
} NumberRange;

/** @brief Returns the number of buckets of a sequence of @p numbers numbers. */
size_t bucket_count(size_t numbers);

/** @brief Returns the numbers of a bucket, below bucket_count(). */
NumberRange bucket_range(size_t numbers, size_t bucket);

/** @brief Returns the part of a bucket that rank @p rank of @p ranks owns. Parts differ in length by at most 1. */
NumberRange bucket_part(NumberRange bucket, int rank, int ranks);

/** @brief Returns the numbers that one rank owns in all buckets together; the most, if ranks differ. */
size_t bucket_share(size_t numbers, size_t ranks);

/** @brief Tensors whose numbers form a sequence. The arrays belong to the caller. */
typedef struct {
    size_t count;  /**< tensors, at least 1 */
    size_t *first; /**< (count + 1) index of each tensor's first number; the last is the length of the sequence */
    float **data;  /**< (count) each tensor's numbers, contiguous */
} NumberSequence;

/** @brief Neighbours of a sequence that lie in one tensor. */
typedef struct {
    size_t tensor, /**< which of the sequence's tensors */
        offset,    /**< of the first number in the tensor */
        count;     /**< numbers */
} SequencePiece;

/**
 * @brief Returns the first numbers of a range, as many as lie in one tensor, and takes them off the range.
 * @param[in,out] range  not empty
 */
SequencePiece sequence_take(const NumberSequence *sequence, NumberRange *range);

/** @brief Copies a range of the sequence to @p numbers, (range.count). */
void sequence_read(float *numbers, const NumberSequence *sequence, NumberRange range);

/** @brief Copies @p numbers, (range.count), to a range of the sequence. */
void sequence_write(const NumberSequence *sequence, NumberRange range, const float *numbers);

CS336_INTERNAL_END

#endif
