/*
 * Where pre-tokens begin in blocks of 64 bytes, for one instruction set: arithmetic on words of 64 bits, for which
 * newer processors have better instructions too.
 */
#ifndef CS336_TOKENIZER_PRETOKENIZE_KERNEL_H
#define CS336_TOKENIZER_PRETOKENIZE_KERNEL_H

#include "kernels/bytes_kernel.h"
#include "tokenizer/pretokenize_table.h"

/* Length of the contraction at an apostrophe, or 0. */
static unsigned contraction(const uint8_t *text, const uint8_t *end)
{
    const size_t left = (size_t)(end - text);
    const uint8_t a = left > 1 ? text[1] : 0, b = left > 2 ? text[2] : 0;
    if (a == 's' || a == 'd' || a == 'm' || a == 't')
        return 2;
    return (a == 'l' && b == 'l') || ((a == 'v' || a == 'r') && b == 'e') ? 3 : 0;
}

static Block describe(Pretokenizer *p, const ByteClasses *bytes)
{
    const size_t left = (size_t)(p->end - p->at);
    const uint64_t inside = left < BLOCK_BYTES ? (UINT64_C(1) << left) - 1 : ~UINT64_C(0);
    Block block = {.text = p->at, .inside = inside, .blanks = bytes->blanks, .quotes = bytes->quotes};
    block.class[UNICODE_LETTER] = bytes->letters;
    block.class[UNICODE_NUMBER] = bytes->digits;
    block.class[UNICODE_SPACE] = bytes->spaces;
    block.class[UNICODE_OTHER] = inside & ~(bytes->letters | bytes->digits | bytes->spaces | bytes->beyond);
    if (bytes->beyond)
        block = pretokens_beyond_ascii(p, block, bytes);
    block.last_spaces |= bytes->spaces & (inside & ~block.class[UNICODE_SPACE]) >> 1;
    if (bytes->spaces >> 63 && visible_at(p->at + BLOCK_BYTES, p->end))
        block.last_spaces |= UINT64_C(1) << 63;
    return block;
}

/*
 * Which bytes begin a pre-token. A character does not if the one before has its class, or is ' ' and it is visible; but
 * the last character of white space before something visible does, for `\s+(?!\S)` leaves it over.
 */
static uint64_t starts_by_class(const Pretokenizer *p, const Block *block)
{
    uint64_t same = 0;
    for (int k = 0; k < CLASSES; k++)
        same |= block->class[k] & (block->class[k] << 1 | p->before[k]);
    const uint64_t after_blank = (block->blanks << 1 | p->blank) & ~block->class[UNICODE_SPACE];
    return (block->inside & ~same & ~after_blank & ~block->inner) | block->last_spaces;
}

/* An apostrophe that begins a pre-token may begin a contraction, which ends where letters may go on. */
static uint64_t split_contractions(Pretokenizer *p, const Block *block, uint64_t starts)
{
    for (uint64_t quotes = starts & block->quotes; quotes; quotes &= quotes - 1) {
        const unsigned at = (unsigned)__builtin_ctzll(quotes);
        const unsigned length = contraction(block->text + at, p->end);
        if (length == 0)
            continue;
        starts &= ~(UINT64_C(2) << at);
        if (at + 1 == BLOCK_BYTES)
            p->joined = 1;
        if (at + length < BLOCK_BYTES)
            starts |= UINT64_C(1) << (at + length);
        else
            p->starts = UINT64_C(1) << (at + length - BLOCK_BYTES);
    }
    return starts;
}

/* Decides the block at `at`. */
static uint64_t next_starts(Pretokenizer *p, const ByteClasses *bytes)
{
    const Block block = describe(p, bytes);
    const uint64_t joined = p->joined, after_contraction = p->starts;
    p->joined = p->starts = 0;
    const uint64_t starts = split_contractions(p, &block, starts_by_class(p, &block) | after_contraction);
    for (int k = 0; k < CLASSES; k++)
        p->before[k] = block.class[k] >> 63;
    p->blank = block.blanks >> 63;
    return starts & ~joined & block.inside;
}

static unsigned count_bits(uint64_t bits)
{
    bits -= bits >> 1 & 0x5555555555555555u;
    bits = (bits & 0x3333333333333333u) + (bits >> 2 & 0x3333333333333333u);
    return (unsigned)(((bits + (bits >> 4)) & 0x0F0F0F0F0F0F0F0Fu) * 0x0101010101010101u >> 56);
}

/*
 * Writes the places of the bits and returns how many. Four at a time, for the number of fours is easier to predict than
 * that of ones; so up to three places more are written to, but never more than 64.
 */
static size_t write_places(const uint8_t **places, const uint8_t *text, uint64_t bits)
{
    const size_t count = count_bits(bits);
    while (bits)
        for (int i = 0; i < 4; i++, bits &= bits - 1)
            *places++ = text + __builtin_ctzll(bits | UINT64_C(1) << 63);
    return count;
}

static size_t KERNEL(pretokenize_scan)(Pretokenizer *p, const uint8_t **ends, const uint8_t *bytes, size_t blocks)
{
    ByteClasses classes[BLOCKS_AT_ONCE]; /* all at first: what they are compared to then stays in registers */
    size_t count = 0;
    for (size_t i = 0; i < blocks; i++)
        classes[i] = block_classes(bytes + i * BLOCK_BYTES);
    for (size_t i = 0; i < blocks; i++) {
        count += write_places(ends + count, p->at, next_starts(p, &classes[i]));
        p->at = p->end - p->at < BLOCK_BYTES ? p->end : p->at + BLOCK_BYTES;
    }
    return count;
}

const PretokenizeTable KERNEL(pretokenize) = {.scan = KERNEL(pretokenize_scan)};

#endif
