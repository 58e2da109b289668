#include "tokenizer/pretokenize.h"

#include "kernels/isa.h"
#include "tokenizer/pretokenize_table.h"

#include <string.h>

/* A character that begins with a block's last byte ends 3 bytes later, the next one 4 after that. */
enum { LOOK_AHEAD = 8 };

static const PretokenizeTable *const tables[ISA_COUNT] = ISA_TABLES(pretokenize);

void pretokenizer_begin(Pretokenizer *p)
{
    *p = (Pretokenizer){.joined = 1};
}

void pretokenizer_feed(Pretokenizer *p, const uint8_t *text, size_t length, bool ended)
{
    p->at = text;
    p->end = text + length;
    p->ended = ended;
}

Block pretokens_beyond_ascii(Pretokenizer *p, Block block, const ByteClasses *bytes)
{
    uint64_t class[CLASSES] = {0}, rest[CLASSES] = {0};
    for (int k = 0; k < CLASSES; k++)
        class[k] = p->rest[k];
    block.inner = p->inner;
    p->inner = 0;
    for (uint64_t firsts = bytes->beyond & ~bytes->continuations; firsts; firsts &= firsts - 1) {
        const unsigned at = (unsigned)__builtin_ctzll(firsts);
        const uint8_t *text = block.text + at;
        const Utf8Class c = utf8_class(text, (size_t)(p->end - text));
        const uint64_t all = (1u << c.length) - 1, inner = all & ~UINT64_C(1);
        class[c.class] |= all << at;
        block.inner |= inner << at;
        if (at + c.length > BLOCK_BYTES) {
            rest[c.class] = all >> (BLOCK_BYTES - at);
            p->inner = rest[c.class];
        }
        if (c.class == UNICODE_SPACE && visible_at(text + c.length, p->end))
            block.last_spaces |= UINT64_C(1) << at;
    }
    class[UNICODE_OTHER] |= bytes->beyond & ~(class[0] | class[1] | class[2] | class[3]);
    for (int k = 0; k < CLASSES; k++) {
        block.class[k] |= class[k];
        p->rest[k] = rest[k];
    }
    return block;
}

/* The last 1 to 64 bytes of a text, and its end. */
static size_t scan_last(Pretokenizer *p, const uint8_t **ends)
{
    uint8_t copy[BLOCK_BYTES] = {0};
    memcpy(copy, p->at, (size_t)(p->end - p->at));
    size_t count = tables[isa_in_use()]->scan(p, ends, copy, 1);
    ends[count++] = p->end;
    return count;
}

size_t pretokenizer_next(Pretokenizer *p, const uint8_t **ends, size_t capacity)
{
    const size_t reserve = p->ended ? 1 : LOOK_AHEAD;
    size_t count = 0;
    while (count + PRETOKENS_AT_ONCE <= capacity) {
        const size_t left = (size_t)(p->end - p->at), room = (capacity - count) / PRETOKENS_AT_ONCE;
        size_t blocks = left > reserve ? (left - reserve) / BLOCK_BYTES : 0;
        blocks = blocks < room ? blocks : room;
        if (blocks > 0)
            count +=
                tables[isa_in_use()]->scan(p, ends + count, p->at, blocks < BLOCKS_AT_ONCE ? blocks : BLOCKS_AT_ONCE);
        else if (p->ended && left > 0)
            count += scan_last(p, ends + count);
        else
            break;
    }
    return count;
}

/* ---- cuts ---- */

/* The character that ends before `at`; false if it is malformed or begins before the text. */
static bool character_before(Utf8Character *c, const uint8_t *text, size_t at)
{
    size_t begin = at - 1;
    while (begin > 0 && at - begin < 4 && (text[begin] & 0xC0) == 0x80)
        begin--;
    *c = utf8_decode(text + begin, at - begin);
    return c->status == UTF8_VALID && begin + c->length == at;
}

bool pretoken_surely_begins(const uint8_t *text, size_t length, size_t at)
{
    Utf8Character before;
    if (at == 0 || at >= length)
        return false;
    const bool valid = character_before(&before, text, at);
    if (!valid && (text[at] & 0xC0) == 0x80) /* it may belong to what lies before */
        return false;
    const Utf8Character after = utf8_decode(text + at, length - at);
    const UnicodeClass left = valid ? unicode_class(before.code_point) : UNICODE_OTHER,
                       right = unicode_class(after.code_point);
    return left != UNICODE_SPACE && right != left && after.status != UTF8_TRUNCATED &&
           !(valid && before.code_point == '\'' && right == UNICODE_LETTER);
}

size_t pretoken_last_cut(const uint8_t *text, size_t length, size_t from)
{
    for (size_t at = length; at-- > from + 1;)
        if (pretoken_surely_begins(text, length, at))
            return at;
    return 0;
}
