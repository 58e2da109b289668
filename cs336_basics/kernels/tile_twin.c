/*
 * The multiplication of the matrix unit's twin: see tile.h. It has a file of its own because compilers, where they see
 * it, copy it into each kernel's loops, and then need a minute for them.
 */
#include "kernels/tile.h"

#include <math.h>
#include <stdbool.h>

/* Returns the float32 number of these bits, with a denormal as 0 of the same sign. */
static float operand(uint32_t bits)
{
    return tile_float(bits & 0x7f800000 ? bits : bits & 0x80000000);
}

float tile_rounded(double sum)
{
    return fabs(sum) < 0x1p-126 - 0x1p-151 ? copysignf(0, (float)sum) : (float)sum;
}

/*
 * True if each number is 0 or in [2^-55, 2^56). Products of two such numbers are multiples of 2^-124 and less than
 * 2^112. No sum of them is denormal or infinite, and no product is rounded: plain float32 operations then give the
 * same result as the fused ones.
 */
static bool is_usual(const Tiles *tiles, int tile)
{
    const uint32_t least = 127 - 55, range = 2 * 55; /* of the biased exponent */
    uint32_t unusual = 0;
    for (size_t i = 0; i < TILE_SIDE; i++)
        for (size_t j = 0; j < TILE_SIDE; j++) {
            const uint32_t pair = tiles->bits[tile][i][j], low = pair >> 7 & 0xff, high = pair >> 23 & 0xff;
            unusual |= (uint32_t)(low - least > range) & (uint32_t)(low != 0);
            unusual |= (uint32_t)(high - least > range) & (uint32_t)(high != 0);
        }
    return !unusual;
}

/** @brief The numbers of a tile of pairs as float32. */
typedef struct {
    float even[TILE_SIDE][TILE_SIDE], /**< those of the lower halves */
        odd[TILE_SIDE][TILE_SIDE];    /**< those of the upper halves */
} TilePairs;

static void unpack(TilePairs *pairs, const Tiles *tiles, int tile)
{
    for (size_t i = 0; i < TILE_SIDE; i++)
        for (size_t j = 0; j < TILE_SIDE; j++) {
            pairs->even[i][j] = operand(tiles->bits[tile][i][j] << 16);
            pairs->odd[i][j] = operand(tiles->bits[tile][i][j] & 0xffff0000);
        }
}

/*
 * Sum the products of row m of a, for the even and for the odd numbers of k: with plain operations if all numbers are
 * usual, and exactly. The plain ones work on four floats at a time, so that all sums stay in registers.
 */
static void sum_usual(float even[TILE_SIDE], float odd[TILE_SIDE], const TilePairs *a, const TilePairs *b, size_t m)
{
    typedef float Four __attribute__((vector_size(16)));
    enum { FOURS = TILE_SIDE / 4 };
    Four sum[2][FOURS] = {{{0}}};
    for (size_t k = 0; k < TILE_SIDE; k++) {
        Four row[2][FOURS];
        memcpy(row[0], b->even[k], sizeof row[0]);
        memcpy(row[1], b->odd[k], sizeof row[1]);
        for (size_t v = 0; v < FOURS; v++) {
            sum[0][v] += a->even[m][k] * row[0][v];
            sum[1][v] += a->odd[m][k] * row[1][v];
        }
    }
    memcpy(even, sum[0], sizeof sum[0]);
    memcpy(odd, sum[1], sizeof sum[1]);
}

static void sum_exactly(float even[TILE_SIDE], float odd[TILE_SIDE], const TilePairs *a, const TilePairs *b, size_t m)
{
    for (size_t n = 0; n < TILE_SIDE; n++) {
        even[n] = odd[n] = 0;
        for (size_t k = 0; k < TILE_SIDE; k++) {
            even[n] = tile_rounded((double)even[n] + (double)a->even[m][k] * (double)b->even[k][n]);
            odd[n] = tile_rounded((double)odd[n] + (double)a->odd[m][k] * (double)b->odd[k][n]);
        }
    }
}

void tile_multiply_add(Tiles *tiles, int c, int a, int b)
{
    TilePairs left, right;
    const bool usual = is_usual(tiles, a) && is_usual(tiles, b);
    unpack(&left, tiles, a);
    unpack(&right, tiles, b);
    for (size_t m = 0; m < TILE_SIDE; m++) {
        float even[TILE_SIDE], odd[TILE_SIDE];
        if (usual)
            sum_usual(even, odd, &left, &right, m);
        else
            sum_exactly(even, odd, &left, &right, m);
        for (size_t n = 0; n < TILE_SIDE; n++) {
            const float both = tile_rounded((double)even[n] + (double)odd[n]);
            const float sum = tile_rounded((double)operand(tiles->bits[c][m][n]) + (double)both);
            memcpy(&tiles->bits[c][m][n], &sum, sizeof sum);
        }
    }
}
