#include "tokenizer/split/pretokenize.h"

#include "kernels/isa.h"
#include "tokenizer/split/pretokenize_scanner.h"

#include <string.h>

/*
 * Bytes that must follow a group unless the text ends. A character that begins with the group's last byte has 3 more
 * bytes, and the scanner looks at the character after it, of at most 4.
 */
enum { LOOK_AHEAD = 8 };

void pretokenizer_begin(Pretokenizer *p, PretokenPattern pattern)
{
    *p = (Pretokenizer){.pattern = pattern, .no_start = 1};
}

void pretokenizer_feed(Pretokenizer *p, const uint8_t *text, size_t length, bool ended)
{
    p->unscanned = text;
    p->end = text + length;
    p->ended = ended;
}

Group pretokens_beyond_ascii(Pretokenizer *p, Group group, const ByteClasses *bytes)
{
    uint64_t classes[UNICODE_CLASS_COUNT], rest_class[UNICODE_CLASS_COUNT] = {0};
    /* Bytes at the front may belong to a character that began in the group before. */
    for (int k = 0; k < UNICODE_CLASS_COUNT; k++)
        classes[k] = p->rest_class[k];
    group.inner = p->rest;
    p->rest = 0;
    /* Each character that begins in this group sets the bits of its bytes. Those behind the group are kept in p. */
    for (uint64_t firsts = bytes->beyond & ~bytes->continuations; firsts; firsts &= firsts - 1) {
        const unsigned first = (unsigned)__builtin_ctzll(firsts);
        const uint8_t *text = group.text + first;
        const Utf8Class c = utf8_class(text, (size_t)(p->end - text));
        const uint64_t all = (1u << c.length) - 1, inner = all & ~UINT64_C(1);
        classes[c.unicode_class] |= all << first;
        group.inner |= inner << first;
        if (first + c.length > GROUP_BYTES) {
            rest_class[c.unicode_class] = all >> (GROUP_BYTES - first);
            p->rest = rest_class[c.unicode_class];
        }
        if (c.unicode_class == UNICODE_SPACE && visible_at(text + c.length, p->end))
            group.last_spaces |= UINT64_C(1) << first;
    }
    /* What is left is malformed. */
    classes[UNICODE_OTHER] |= bytes->beyond & ~(classes[0] | classes[1] | classes[2] | classes[3]);
    for (int k = 0; k < UNICODE_CLASS_COUNT; k++) {
        group.classes[k] |= classes[k];
        p->rest_class[k] = rest_class[k];
    }
    return group;
}

/* Scans the last 1 to 64 bytes of a text. Its end is an end too. */
static size_t scan_last(const PretokenizeKernels *kernels, Pretokenizer *p, const uint8_t **ends)
{
    uint8_t copy[GROUP_BYTES] = {0};
    memcpy(copy, p->unscanned, (size_t)(p->end - p->unscanned));
    size_t count = kernels->scan(p, ends, copy, 1);
    ends[count++] = p->end;
    return count;
}

/* Finds the next pre-tokens of GPT-2's pattern. */
static size_t next_of_gpt2(Pretokenizer *p, const uint8_t **ends, size_t capacity)
{
    static const PretokenizeKernels *const tables[ISA_COUNT] = ISA_TABLES(pretokenize);
    const PretokenizeKernels *kernels = tables[isa_in_use()];
    const size_t reserve = p->ended ? 1 : LOOK_AHEAD; /* the last group of a text goes through scan_last() */
    size_t count = 0;
    while (count + PRETOKENS_PER_GROUP <= capacity) {
        const size_t left = (size_t)(p->end - p->unscanned), room = (capacity - count) / PRETOKENS_PER_GROUP;
        size_t groups = left > reserve ? (left - reserve) / GROUP_BYTES : 0;
        groups = groups < room ? groups : room;
        groups = groups < GROUPS_AT_ONCE ? groups : GROUPS_AT_ONCE;
        if (groups > 0)
            count += kernels->scan(p, ends + count, p->unscanned, groups);
        else if (p->ended && left > 0)
            count += scan_last(kernels, p, ends + count);
        else
            break;
    }
    return count;
}

size_t pretokenizer_next(Pretokenizer *p, const uint8_t **ends, size_t capacity)
{
    return p->pattern == PATTERN_GPT4 ? pretokenize_gpt4(p, ends, capacity) : next_of_gpt2(p, ends, capacity);
}
