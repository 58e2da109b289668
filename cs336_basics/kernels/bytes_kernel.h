/*
 * The functions of bytes.h for one instruction set. All rest on one operation: which of 64 bytes lie in a range.
 */
#ifndef CS336_KERNELS_BYTES_KERNEL_H
#define CS336_KERNELS_BYTES_KERNEL_H

#include "kernels/bytes_table.h"
#include "kernels/vector.h"

#if defined(VECTOR_AVX512)
typedef __m512i ByteBlock;

VECTOR_INLINE ByteBlock block_load(const uint8_t *text)
{
    return _mm512_loadu_si512(text);
}

VECTOR_INLINE uint64_t block_in_range(ByteBlock b, uint8_t low, uint8_t high)
{
    const __m512i above_low = _mm512_sub_epi8(b, _mm512_set1_epi8((char)low));
    return _mm512_cmple_epu8_mask(above_low, _mm512_set1_epi8((char)(high - low)));
}

VECTOR_INLINE ByteBlock block_lower_case(ByteBlock b)
{
    return _mm512_or_si512(b, _mm512_set1_epi8(0x20));
}
#elif defined(VECTOR_AVX2)
typedef struct {
    __m256i half[2];
} ByteBlock;

VECTOR_INLINE ByteBlock block_load(const uint8_t *text)
{
    const __m256i *from = (const void *)text;
    return (ByteBlock){{_mm256_loadu_si256(from), _mm256_loadu_si256(from + 1)}};
}

VECTOR_INLINE uint64_t half_in_range(__m256i b, uint8_t low, uint8_t high)
{
    const __m256i above_low = _mm256_sub_epi8(b, _mm256_set1_epi8((char)low));
    const __m256i least = _mm256_min_epu8(above_low, _mm256_set1_epi8((char)(high - low)));
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(least, above_low));
}

VECTOR_INLINE uint64_t block_in_range(ByteBlock b, uint8_t low, uint8_t high)
{
    return half_in_range(b.half[0], low, high) | half_in_range(b.half[1], low, high) << 32;
}

VECTOR_INLINE ByteBlock block_lower_case(ByteBlock b)
{
    const __m256i bit = _mm256_set1_epi8(0x20);
    return (ByteBlock){{_mm256_or_si256(b.half[0], bit), _mm256_or_si256(b.half[1], bit)}};
}
#else
typedef struct {
    uint64_t words[8]; /* byte i of the block is byte i % 8, counted from the lowest, of word i / 8 */
} ByteBlock;

VECTOR_INLINE ByteBlock block_load(const uint8_t *text)
{
    ByteBlock b;
    for (int w = 0; w < 8; w++) {
        b.words[w] = 0;
        for (int i = 0; i < 8; i++)
            b.words[w] |= (uint64_t)text[8 * w + i] << 8 * i;
    }
    return b;
}

/*
 * Eight bytes at once. With the high bits apart no sum of seven-bit numbers carries into the next byte: the high bit of
 * low7 + (128 - n) says whether low7 >= n. Multiplying gathers the eight high bits in the top byte.
 */
VECTOR_INLINE uint64_t word_at_least(uint64_t word, unsigned n)
{
    const uint64_t each = 0x0101010101010101u, high_bits = 0x80 * each;
    const uint64_t low7_at_least = (word & ~high_bits) + (0x80 - n % 0x80) * each;
    return (n < 0x80 ? low7_at_least | word : low7_at_least & word) & high_bits;
}

VECTOR_INLINE uint64_t block_in_range(ByteBlock b, uint8_t low, uint8_t high)
{
    uint64_t mask = 0;
    for (int w = 0; w < 8; w++) {
        const uint64_t beyond = high == 0xFF ? 0 : word_at_least(b.words[w], high + 1u);
        const uint64_t inside = word_at_least(b.words[w], low) & ~beyond;
        mask |= ((inside >> 7) * 0x0102040810204080u >> 56) << 8 * w;
    }
    return mask;
}

VECTOR_INLINE ByteBlock block_lower_case(ByteBlock b)
{
    for (int w = 0; w < 8; w++)
        b.words[w] |= 0x2020202020202020u;
    return b;
}
#endif

VECTOR_INLINE ByteClasses block_classes(const uint8_t *text)
{
    const ByteBlock b = block_load(text);
    const uint64_t blanks = block_in_range(b, ' ', ' ');
    return (ByteClasses){.letters = block_in_range(block_lower_case(b), 'a', 'z'),
                         .digits = block_in_range(b, '0', '9'),
                         .spaces = block_in_range(b, '\t', '\r') | blanks,
                         .blanks = blanks,
                         .quotes = block_in_range(b, '\'', '\''),
                         .beyond = block_in_range(b, 0x80, 0xFF),
                         .continuations = block_in_range(b, 0x80, 0xBF)};
}

static size_t KERNEL(bytes_find_pair)(uint64_t *found, const uint8_t *text, size_t blocks, const BytePair *pairs,
                                      size_t pair_count)
{
    for (size_t i = 0; i < blocks; i++) {
        const ByteBlock first = block_load(text + i * BLOCK_BYTES), second = block_load(text + i * BLOCK_BYTES + 1);
        uint64_t here = 0;
        for (size_t k = 0; k < pair_count; k++)
            here |= block_in_range(first, pairs[k].first, pairs[k].first) &
                    block_in_range(second, pairs[k].second, pairs[k].second);
        if (here) {
            *found = here;
            return i;
        }
    }
    return blocks;
}

const BytesTable KERNEL(bytes) = {.find_pair = KERNEL(bytes_find_pair)};

#endif
