/*
 * The kernel of normal.h, compiled once for each instruction set. Its loops have no branches and no calls, so the
 * compiler turns each into vector instructions of the set.
 */
#ifndef CS336_KERNELS_NORMAL_KERNEL_H
#define CS336_KERNELS_NORMAL_KERNEL_H

#include "core/rng_hash.h"
#include "kernels/normal.h"
#include "kernels/vector.h"

#include <math.h>
#include <string.h>

/*
 * A bound on how far a number z of this kernel is from that of rng_normal(), over the radius sqrt(-2 log(1 - u)).
 * rng_normal() rounds 2 pi and its product with u, which turns the angle by up to 7e-16. log(), cos(), the two
 * polynomials here and the rounding of their sums add up to 1e-15 more. The bound is 5 times that sum.
 */
static const double KERNEL(normal_error) = 1e-14;

VECTOR_INLINE uint64_t KERNEL(normal_bits)(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

VECTOR_INLINE double KERNEL(normal_from_bits)(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/*
 * Converts a whole number below 2^53, exactly. Before AVX-512 no instruction does. So it puts the two halves into the
 * significands of numbers whose last bits have the values 2^32 and 1, and subtracts what these numbers are without the
 * halves.
 */
VECTOR_INLINE double KERNEL(normal_from_whole)(uint64_t whole)
{
    const double high = KERNEL(normal_from_bits)(whole >> 32 | KERNEL(normal_bits)(0x1p84));
    const double low = KERNEL(normal_from_bits)((whole & 0xffffffff) | KERNEL(normal_bits)(0x1p52));
    return (high - (0x1p84 + 0x1p52)) + low;
}

/*
 * Returns log(w) for w in [2^-53, 1]. w = 2^k m with m in [sqrt(1/2), sqrt(2)), and with s = (m - 1) / (m + 1)
 *
 *     log(w) = k log(2) + log(m) = k log(2) + 2 (s + s^3/3 + s^5/5 + ...)
 *
 * |s| <= 0.172, so the first term that is left out, s^23/23, is below 1e-18.
 */
VECTOR_INLINE double KERNEL(normal_log)(double w)
{
    /* The exponent is the upper 12 bits. It changes at powers of 2, and with this number added at sqrt(1/2) times them.
     */
    const uint64_t shift = KERNEL(normal_bits)(1) - KERNEL(normal_bits)(0x1.6a09e667f3bcdp-1);
    const uint64_t bits = KERNEL(normal_bits)(w), exponent = (bits + shift) >> 52; /* k + 1023 */
    const double k = KERNEL(normal_from_whole)(exponent) - 1023;
    const double m = KERNEL(normal_from_bits)(bits - ((exponent - 1023) << 52));
    const double s = (m - 1) / (m + 1), q = s * s;
    double sum = 1 / 21.0;
    sum = sum * q + 1 / 19.0;
    sum = sum * q + 1 / 17.0;
    sum = sum * q + 1 / 15.0;
    sum = sum * q + 1 / 13.0;
    sum = sum * q + 1 / 11.0;
    sum = sum * q + 1 / 9.0;
    sum = sum * q + 1 / 7.0;
    sum = sum * q + 1 / 5.0;
    sum = sum * q + 1 / 3.0;
    return k * 0x1.62e42fefa39efp-1 + 2 * (s + s * q * sum);
}

/*
 * Returns cos(2 pi u) for u in [0, 1). The circle has four quarters: 4 u = quarter + r with |r| <= 1/2, both exact.
 * Then cos(2 pi u) is cos x, -sin x, -cos x or sin x with x = r pi / 2. |x| <= 0.79, so the first terms of the two
 * series that are left out, x^18/18! and x^19/19!, are below 1e-17.
 */
VECTOR_INLINE double KERNEL(normal_cosine)(double u)
{
    const double shifter = 0x1.8p52; /* adding it rounds to a whole number, in the lowest bits */
    const double shifted = 4 * u + shifter;
    const uint64_t quarter = KERNEL(normal_bits)(shifted);
    const double x = (4 * u - (shifted - shifter)) * 1.57079632679489661923, q = x * x;
    double sine = 1 / 355687428096000.0; /* 17! */
    sine = sine * q - 1 / 1307674368000.0;
    sine = sine * q + 1 / 6227020800.0;
    sine = sine * q - 1 / 39916800.0;
    sine = sine * q + 1 / 362880.0;
    sine = sine * q - 1 / 5040.0;
    sine = sine * q + 1 / 120.0;
    sine = sine * q - 1 / 6.0;
    sine = x + x * q * sine;
    double cosine = 1 / 20922789888000.0; /* 16! */
    cosine = cosine * q - 1 / 87178291200.0;
    cosine = cosine * q + 1 / 479001600.0;
    cosine = cosine * q - 1 / 3628800.0;
    cosine = cosine * q + 1 / 40320.0;
    cosine = cosine * q - 1 / 720.0;
    cosine = cosine * q + 1 / 24.0;
    cosine = cosine * q - 1 / 2.0;
    cosine = 1 + q * cosine;
    /* The sine in odd quarters, and a minus in quarters 1 and 2, without a branch. */
    const uint64_t odd = -(quarter & 1), minus = ((quarter + 1) & 2) << 62;
    return KERNEL(normal_from_bits)(((KERNEL(normal_bits)(sine) & odd) | (KERNEL(normal_bits)(cosine) & ~odd)) ^ minus);
}

/* Returns what rng_uniform() gives for number n of the seed. */
VECTOR_INLINE double KERNEL(normal_uniform)(uint64_t seed, uint64_t n)
{
    return KERNEL(normal_from_whole)(rng_hash(seed, n) >> 11) * 0x1p-53;
}

static void KERNEL(normal_try_block)(float *values, uint64_t *fates, const Rng *rng, double sigma, double limit)
{
    double radius[NORMAL_BLOCK], cosine[NORMAL_BLOCK];
    const uint64_t seed = rng->seed, first = rng->counter + 1;
    for (size_t i = 0; i < NORMAL_BLOCK; i++)
        radius[i] = sqrt(-2 * KERNEL(normal_log)(1 - KERNEL(normal_uniform)(seed, first + 2 * i)));
    for (size_t i = 0; i < NORMAL_BLOCK; i++)
        cosine[i] = KERNEL(normal_cosine)(KERNEL(normal_uniform)(seed, first + 2 * i + 1));
    /*
     * rng_normal()'s number is in [z - error, z + error]. If both ends become the same float32, so does it. Only 0
     * has two float32 numbers that compare equal, +0 and -0.
     */
    for (size_t i = 0; i < NORMAL_BLOCK; i++) {
        const double z = radius[i] * cosine[i], error = radius[i] * KERNEL(normal_error);
        const float least = (float)(sigma * (z - error)), most = (float)(sigma * (z + error));
        const double size = fabs(z);
        const uint64_t inside = size + error <= limit, outside = size - error > limit;
        const uint64_t known = ((double)least == (double)most) & ((double)least != 0);
        values[i] = least;
        fates[i] = outside * NORMAL_REPEATED + (1 - (outside | (inside & known))) * NORMAL_UNSURE;
    }
}

const NormalKernels KERNEL(normal) = {.try_block = KERNEL(normal_try_block)};

#endif
