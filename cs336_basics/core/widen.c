#include "core/widen.h"

#include <stdint.h>
#include <string.h>

static float float_of_bits(uint32_t bits)
{
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

/*
 * A half has a sign (1 bit), an exponent (5 bits with bias 15) and a fraction (10 bits). A float32 has 8 bits of
 * exponent with bias 127, and 23 of fraction. So a normal number changes its bias, and its fraction moves by 13 bits.
 */
static float float_of_half(uint16_t half)
{
    enum { BIAS_DIFFERENCE = 127 - 15, MOVE = 23 - 10, LARGEST_EXPONENT = 0x1F };
    const uint32_t bits = half, sign = bits >> 15 << 31, exponent = bits >> 10 & 0x1F, fraction = bits & 0x3FF;
    if (exponent == LARGEST_EXPONENT) /* infinity; or NaN, whose fraction is not 0 */
        return float_of_bits(sign | 0x7F800000 | fraction << MOVE);
    if (exponent > 0)
        return float_of_bits(sign | (exponent + BIAS_DIFFERENCE) << 23 | fraction << MOVE);
    /* Zero or subnormal: fraction * 2^-24, a normal float32. */
    const float magnitude = (float)fraction * 0x1p-24F;
    return sign ? -magnitude : magnitude;
}

void widen_half(float *numbers, const void *halves, size_t count)
{
    const unsigned char *bytes = halves;
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, bytes + i * sizeof half, sizeof half);
        numbers[i] = float_of_half(half);
    }
}

void widen_bfloat16(float *numbers, const void *bfloats, size_t count)
{
    const unsigned char *bytes = bfloats;
    for (size_t i = 0; i < count; i++) {
        uint16_t upper;
        memcpy(&upper, bytes + i * sizeof upper, sizeof upper);
        numbers[i] = float_of_bits((uint32_t)upper << 16);
    }
}

void narrow_double(float *numbers, const void *doubles, size_t count)
{
    const unsigned char *bytes = doubles;
    for (size_t i = 0; i < count; i++) {
        double number;
        memcpy(&number, bytes + i * sizeof number, sizeof number);
        numbers[i] = (float)number;
    }
}
