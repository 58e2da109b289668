/**
 * @file
 * @brief Questions about many bytes at a time, by the instruction set in use: 64 answers are one word.
 *
 * Bit i of a word answers for byte i of a block of 64.
 */
#ifndef CS336_KERNELS_BYTES_H
#define CS336_KERNELS_BYTES_H

#include <stddef.h>
#include <stdint.h>

enum { BLOCK_BYTES = 64 };

/** @brief Where in a block the bytes are that pre-tokenization tells apart. */
typedef struct {
    uint64_t letters;       /**< A to Z, a to z */
    uint64_t digits;        /**< 0 to 9 */
    uint64_t spaces;        /**< ' ' and U+0009 to U+000D */
    uint64_t blanks;        /**< ' ' */
    uint64_t quotes;        /**< ' */
    uint64_t beyond;        /**< not ASCII: 0x80 and more */
    uint64_t continuations; /**< 0x80 to 0xBF, which in UTF-8 begin no character */
} ByteClasses;

/** @brief Two bytes in a row. */
typedef struct {
    uint8_t first, second;
} BytePair;

/**
 * @brief The first place at or after @p from where any of the pairs stands.
 * @return its index in text[0, length), or @p length if there is none
 */
size_t bytes_find_pair(const uint8_t *text, size_t length, size_t from, const BytePair *pairs, size_t pair_count);

#endif
