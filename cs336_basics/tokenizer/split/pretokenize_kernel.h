/*
 * The scanner of pretokenize.h for one instruction set. It decides a group of 64 bytes at a time, with arithmetic on
 * bitsets: bit i of each 64-bit integer is about byte i.
 *
 * A shift to the left by one asks about the byte before. What bit 63 says is kept in the Pretokenizer, and becomes bit
 * 0 in the next group.
 */
#ifndef CS336_TOKENIZER_SPLIT_PRETOKENIZE_KERNEL_H
#define CS336_TOKENIZER_SPLIT_PRETOKENIZE_KERNEL_H

#include "kernels/byte_group.h"
#include "tokenizer/split/pretokenize_table.h"

/* Compares 64 bytes with the ranges of the ASCII classes. */
VECTOR_INLINE ByteClasses classify_bytes(const uint8_t *text)
{
    const ByteGroup group = group_load(text);
    const uint64_t blanks = group_in_range(group, ' ', ' ');
    return (ByteClasses){.letters = group_in_range(group_lower_case(group), 'a', 'z'),
                         .digits = group_in_range(group, '0', '9'),
                         .spaces = group_in_range(group, '\t', '\r') | blanks,
                         .blanks = blanks,
                         .quotes = group_in_range(group, '\'', '\''),
                         .beyond = group_in_range(group, 0x80, 0xFF),
                         .continuations = group_in_range(group, 0x80, 0xBF)};
}

/* Returns the length of the contraction that begins with the apostrophe at `text`, or 0 if there is none. */
static unsigned contraction_length(const uint8_t *text, const uint8_t *end)
{
    const size_t left = (size_t)(end - text);
    const uint8_t a = left > 1 ? text[1] : 0, b = left > 2 ? text[2] : 0;
    if (a == 's' || a == 'd' || a == 'm' || a == 't')
        return 2;
    return (a == 'l' && b == 'l') || ((a == 'v' || a == 'r') && b == 'e') ? 3 : 0;
}

/* Computes what the rules need to know about the group at p->unscanned. */
static Group describe_group(Pretokenizer *p, const ByteClasses *bytes)
{
    const size_t left = (size_t)(p->end - p->unscanned);
    const uint64_t inside = left < GROUP_BYTES ? (UINT64_C(1) << left) - 1 : ~UINT64_C(0);
    Group group = {.text = p->unscanned, .inside = inside, .blanks = bytes->blanks, .quotes = bytes->quotes};
    group.classes[UNICODE_LETTER] = bytes->letters;
    group.classes[UNICODE_NUMBER] = bytes->digits;
    group.classes[UNICODE_SPACE] = bytes->spaces;
    group.classes[UNICODE_OTHER] = inside & ~(bytes->letters | bytes->digits | bytes->spaces | bytes->beyond);
    if (bytes->beyond)
        group = pretokens_beyond_ascii(p, group, bytes);
    /* White space before a visible byte. For byte 63 the next byte lies in the next group. */
    group.last_spaces |= bytes->spaces & (inside & ~group.classes[UNICODE_SPACE]) >> 1;
    if (bytes->spaces >> 63 && visible_at(p->unscanned + GROUP_BYTES, p->end))
        group.last_spaces |= UINT64_C(1) << 63;
    return group;
}

/*
 * Returns the bytes at which a pre-token begins, contractions apart. A character begins none if the one before has the
 * same class, or is ' ' and this one is visible. There is one exception: the last white space before something visible
 * begins a pre-token, because `\s+(?!\S)` leaves it over.
 */
static uint64_t starts_by_class(const Pretokenizer *p, const Group *group)
{
    uint64_t same = 0;
    for (int k = 0; k < UNICODE_CLASS_COUNT; k++)
        same |= group->classes[k] & (group->classes[k] << 1 | p->class_before[k]);
    const uint64_t after_blank = (group->blanks << 1 | p->blank_before) & ~group->classes[UNICODE_SPACE];
    return (group->inside & ~same & ~after_blank & ~group->inner) | group->last_spaces;
}

/*
 * Corrects the starts at contractions. An apostrophe that begins a pre-token begins a contraction if one of the endings
 * follows: its second byte then starts nothing, and the byte behind the contraction starts a pre-token.
 */
static uint64_t split_contractions(Pretokenizer *p, const Group *group, uint64_t starts)
{
    for (uint64_t quotes = starts & group->quotes; quotes; quotes &= quotes - 1) {
        const unsigned quote = (unsigned)__builtin_ctzll(quotes);
        const unsigned length = contraction_length(group->text + quote, p->end);
        if (length == 0)
            continue;
        starts &= ~(UINT64_C(2) << quote);
        /* Bits beyond 63 belong to the next group. */
        if (quote + 1 == GROUP_BYTES)
            p->no_start = 1;
        if (quote + length < GROUP_BYTES)
            starts |= UINT64_C(1) << (quote + length);
        else
            p->start = UINT64_C(1) << (quote + length - GROUP_BYTES);
    }
    return starts;
}

/* Returns the bytes of the group at p->unscanned that begin a pre-token. */
static uint64_t find_starts(Pretokenizer *p, const ByteClasses *bytes)
{
    const Group group = describe_group(p, bytes);
    const uint64_t no_start = p->no_start, after_contraction = p->start;
    p->no_start = p->start = 0;
    const uint64_t starts = split_contractions(p, &group, starts_by_class(p, &group) | after_contraction);
    for (int k = 0; k < UNICODE_CLASS_COUNT; k++)
        p->class_before[k] = group.classes[k] >> 63;
    p->blank_before = group.blanks >> 63;
    return starts & ~no_start & group.inside;
}

static unsigned count_bits(uint64_t bits)
{
    bits -= bits >> 1 & 0x5555555555555555u;
    bits = (bits & 0x3333333333333333u) + (bits >> 2 & 0x3333333333333333u);
    return (unsigned)(((bits + (bits >> 4)) & 0x0F0F0F0F0F0F0F0Fu) * 0x0101010101010101u >> 56);
}

/*
 * Writes the addresses of the bytes whose bits are set, and returns how many there are. It writes four at a time: how
 * many fours there are is easier for the CPU's branch prediction than how many ones. So up to three entries behind the
 * last one are overwritten too, but never more than 64 in all.
 */
static size_t write_ends(const uint8_t **ends, const uint8_t *text, uint64_t bits)
{
    const size_t count = count_bits(bits);
    while (bits)
        for (int i = 0; i < 4; i++, bits &= bits - 1)
            *ends++ = text + __builtin_ctzll(bits | UINT64_C(1) << 63);
    return count;
}

static size_t KERNEL(pretokenize_scan)(Pretokenizer *p, const uint8_t **ends, const uint8_t *bytes, size_t groups)
{
    ByteClasses classes[GROUPS_AT_ONCE];
    size_t count = 0;
    for (size_t i = 0; i < groups; i++)
        classes[i] = classify_bytes(bytes + i * GROUP_BYTES);
    /* A pre-token ends where the next one begins. */
    for (size_t i = 0; i < groups; i++) {
        count += write_ends(ends + count, p->unscanned, find_starts(p, &classes[i]));
        p->unscanned = p->end - p->unscanned < GROUP_BYTES ? p->end : p->unscanned + GROUP_BYTES;
    }
    return count;
}

const PretokenizeTable KERNEL(pretokenize) = {.scan = KERNEL(pretokenize_scan)};

#endif
