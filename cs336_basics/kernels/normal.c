#include "kernels/normal.h"

#include "core/parallel.h"
#include "kernels/isa.h"

#include <math.h>
#include <string.h>

enum {
    PIECE_BLOCKS = 16,                   /* blocks of a piece, which one thread draws */
    PIECE = PIECE_BLOCKS * NORMAL_BLOCK, /* tries of a piece: 64 KiB of numbers */
    ROUND_PIECES = 32,                   /* pieces of a round: moved while their 2 MiB are in the L2 cache */
    ROUND = ROUND_PIECES * PIECE         /* tries of a round */
};

/* The distribution: rng_truncated_normal()'s arguments. */
typedef struct {
    double sigma, limit;
} Truncated;

/* Makes one try as rng_truncated_normal() does. True if *value is a number to keep. */
static bool try_exactly(float *value, uint64_t seed, uint64_t counter, const Truncated *distribution)
{
    Rng rng = {.seed = seed, .counter = counter};
    const double z = rng_normal(&rng);
    *value = (float)(distribution->sigma * z);
    return !(fabs(z) > distribution->limit);
}

/* Makes `tries` tries from the generator on, writes the numbers that are kept to `values`, and returns their count. */
static size_t draw(float *values, size_t tries, const Rng *rng, const Truncated *distribution,
                   const NormalKernels *kernels)
{
    float block[NORMAL_BLOCK];
    uint64_t fates[NORMAL_BLOCK];
    size_t kept = 0;
    for (size_t begin = 0; begin < tries; begin += NORMAL_BLOCK) {
        const Rng at = {.seed = rng->seed, .counter = rng->counter + 2 * begin};
        kernels->try_block(block, fates, &at, distribution->sigma, distribution->limit);
        const size_t left = tries - begin, count = left < NORMAL_BLOCK ? left : NORMAL_BLOCK;
        for (size_t i = 0; i < count; i++) {
            bool keep = fates[i] == NORMAL_KEPT;
            if (fates[i] == NORMAL_UNSURE)
                keep = try_exactly(&block[i], at.seed, at.counter + 2 * i, distribution);
            values[kept] = block[i];
            kept += keep;
        }
    }
    return kept;
}

/*
 * A try takes two random numbers, so its place in the generator's sequence is known before the tries in front of it are
 * made. Only the place of its number in `values` is not: it depends on how many of them are repeated. So each thread
 * writes the numbers of its piece to where they would lie without repetitions, and the pieces are then moved together.
 * A round never makes more tries than numbers are missing. So the last try is the one that gives the last number.
 */
void normal_truncated(Rng *rng, float *values, size_t count, double sigma, double limit)
{
    static const NormalKernels *const tables[ISA_COUNT] = ISA_TABLES(normal);
    const NormalKernels *kernels = tables[isa_in_use()];
    const Truncated distribution = {.sigma = sigma, .limit = limit};
    for (size_t done = 0; done < count;) {
        const size_t missing = count - done, tries = missing < ROUND ? missing : ROUND;
        const size_t pieces = (tries + PIECE - 1) / PIECE;
        size_t kept[ROUND_PIECES];
#pragma omp parallel for schedule(dynamic, 1) num_threads(parallel_threads_for(tries))
        for (size_t i = 0; i < pieces; i++) {
            const size_t begin = i * PIECE, left = tries - begin;
            const Rng at = {.seed = rng->seed, .counter = rng->counter + 2 * begin};
            kept[i] = draw(values + done + begin, left < PIECE ? left : PIECE, &at, &distribution, kernels);
        }
        float *end = values + done;
        for (size_t i = 0; i < pieces; i++) {
            memmove(end, values + done + i * PIECE, kept[i] * sizeof *end);
            end += kept[i];
        }
        done = (size_t)(end - values);
        rng->counter += 2 * tries;
    }
}
