/*
 * Groups of 64 bytes in vector registers, for one instruction set. The one question asked of a group is which of its
 * bytes lie in a range; the answer is a bitset, a 64-bit integer whose bit i stands for byte i.
 */
#ifndef CS336_KERNELS_BYTE_GROUP_H
#define CS336_KERNELS_BYTE_GROUP_H

#include "core/api.h"
#include "kernels/bytes.h"
#include "kernels/vector.h"

CS336_INTERNAL_BEGIN

#if defined(VECTOR_AVX512)
typedef __m512i ByteGroup;

VECTOR_INLINE ByteGroup group_load(const uint8_t *text)
{
    return _mm512_loadu_si512(text);
}

VECTOR_INLINE uint64_t group_in_range(ByteGroup group, uint8_t low, uint8_t high)
{
    const __m512i above_low = _mm512_sub_epi8(group, _mm512_set1_epi8((char)low));
    return _mm512_cmple_epu8_mask(above_low, _mm512_set1_epi8((char)(high - low)));
}

VECTOR_INLINE ByteGroup group_lower_case(ByteGroup group)
{
    return _mm512_or_si512(group, _mm512_set1_epi8(0x20));
}
#elif defined(VECTOR_AVX2)
/** @brief 64 bytes in two vector registers. */
typedef struct {
    __m256i half[2]; /**< bytes 0 to 31 and 32 to 63 */
} ByteGroup;

VECTOR_INLINE ByteGroup group_load(const uint8_t *text)
{
    const __m256i *halves = (const void *)text;
    return (ByteGroup){{_mm256_loadu_si256(halves), _mm256_loadu_si256(halves + 1)}};
}

VECTOR_INLINE uint64_t half_in_range(__m256i half, uint8_t low, uint8_t high)
{
    /* AVX2 compares signed bytes only. x <= limit, unsigned, is the same as min(x, limit) == x. */
    const __m256i above_low = _mm256_sub_epi8(half, _mm256_set1_epi8((char)low));
    const __m256i least = _mm256_min_epu8(above_low, _mm256_set1_epi8((char)(high - low)));
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(least, above_low));
}

VECTOR_INLINE uint64_t group_in_range(ByteGroup group, uint8_t low, uint8_t high)
{
    return half_in_range(group.half[0], low, high) | half_in_range(group.half[1], low, high) << 32;
}

VECTOR_INLINE ByteGroup group_lower_case(ByteGroup group)
{
    const __m256i bit = _mm256_set1_epi8(0x20);
    return (ByteGroup){{_mm256_or_si256(group.half[0], bit), _mm256_or_si256(group.half[1], bit)}};
}
#elif defined(VECTOR_NEON)
/** @brief 64 bytes in four vector registers. */
typedef struct {
    uint8x16_t quarter[4]; /**< bytes 0 to 15, 16 to 31, ... */
} ByteGroup;

VECTOR_INLINE ByteGroup group_load(const uint8_t *text)
{
    return (ByteGroup){{vld1q_u8(text), vld1q_u8(text + 16), vld1q_u8(text + 32), vld1q_u8(text + 48)}};
}

VECTOR_INLINE uint64_t group_in_range(ByteGroup group, uint8_t low, uint8_t high)
{
    /* A comparison sets all bits of a byte. Byte i keeps the one with the value 2^(i % 8). */
    static const uint8_t values[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t bit = vld1q_u8(values);
    uint8x16_t inside[4];
    VECTOR_UNROLL
    for (int q = 0; q < 4; q++)
        inside[q] = bit & (group.quarter[q] - low <= (uint8_t)(high - low));
    /* Adding neighbours three times makes one byte of eight: the bits of eight bytes side by side. */
    const uint8x16_t fours = vpaddq_u8(vpaddq_u8(inside[0], inside[1]), vpaddq_u8(inside[2], inside[3]));
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(fours, fours)), 0);
}

VECTOR_INLINE ByteGroup group_lower_case(ByteGroup group)
{
    VECTOR_UNROLL
    for (int q = 0; q < 4; q++)
        group.quarter[q] |= 0x20;
    return group;
}
#else
/** @brief 64 bytes in eight ordinary registers. */
typedef struct {
    uint64_t eights[8]; /**< byte i of the group is byte i % 8 of eights[i / 8], counted from the lowest byte */
} ByteGroup;

VECTOR_INLINE ByteGroup group_load(const uint8_t *text)
{
    ByteGroup group;
    for (int e = 0; e < 8; e++) {
        group.eights[e] = 0;
        for (int i = 0; i < 8; i++)
            group.eights[e] |= (uint64_t)text[8 * e + i] << 8 * i;
    }
    return group;
}

/*
 * Compares eight bytes with n at once, and returns the answers in the bytes' high bits. Clearing the high
 * bits first leaves numbers of seven bits: adding 128 - n to each cannot carry into the next byte, and the high bit of
 * the sum says whether the number is at least n.
 */
VECTOR_INLINE uint64_t eight_at_least(uint64_t eight, unsigned n)
{
    const uint64_t each = 0x0101010101010101u, high_bits = 0x80 * each;
    const uint64_t low7_at_least = (eight & ~high_bits) + (0x80 - n % 0x80) * each;
    return (n < 0x80 ? low7_at_least | eight : low7_at_least & eight) & high_bits;
}

VECTOR_INLINE uint64_t group_in_range(ByteGroup group, uint8_t low, uint8_t high)
{
    uint64_t answers = 0;
    for (int e = 0; e < 8; e++) {
        const uint64_t above = high == 0xFF ? 0 : eight_at_least(group.eights[e], high + 1u);
        const uint64_t inside = eight_at_least(group.eights[e], low) & ~above;
        /* The multiplication moves the eight answers, one in each byte, into the eight bits of the top byte. */
        answers |= ((inside >> 7) * 0x0102040810204080u >> 56) << 8 * e;
    }
    return answers;
}

VECTOR_INLINE ByteGroup group_lower_case(ByteGroup group)
{
    for (int e = 0; e < 8; e++)
        group.eights[e] |= 0x2020202020202020u;
    return group;
}
#endif

CS336_INTERNAL_END

#endif
