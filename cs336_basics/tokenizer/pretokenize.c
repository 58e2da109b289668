#include "tokenizer/pretokenize.h"

#include "kernels/bytes.h"
#include "tokenizer/unicode.h"

#include <string.h>

enum {
    BLOCKS_AT_ONCE = 16,
    LOOK_AHEAD = 8, /* a character that begins with a block's last byte ends 3 bytes later, the next one 4 after that */
    CLASSES = 4
};

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

/* Whether something visible follows. */
static bool visible_at(const uint8_t *text, const uint8_t *end)
{
    return text < end && utf8_class(text, (size_t)(end - text)).class != UNICODE_SPACE;
}

/* Length of the contraction at an apostrophe, or 0. */
static unsigned contraction(const uint8_t *text, const uint8_t *end)
{
    const size_t left = (size_t)(end - text);
    const uint8_t a = left > 1 ? text[1] : 0, b = left > 2 ? text[2] : 0;
    if (a == 's' || a == 'd' || a == 'm' || a == 't')
        return 2;
    return (a == 'l' && b == 'l') || ((a == 'v' || a == 'r') && b == 'e') ? 3 : 0;
}

/* What is known of the 64 bytes from `text` on: bit i of each word is about byte i. */
typedef struct {
    const uint8_t *text;
    uint64_t inside;         /* not behind the end of the text */
    uint64_t class[CLASSES]; /* the character that the byte belongs to has this UnicodeClass */
    uint64_t blanks;         /* the byte is ' ' */
    uint64_t quotes;         /* the byte is ' */
    uint64_t inner;          /* the byte is not its character's first */
    uint64_t last_spaces;    /* white space with something visible after it begins here */
} Block;

/*
 * Adds the characters beyond ASCII. Each begins with a byte that is no continuation; continuations that belong to none
 * are malformed, each on its own. Apart and by value, so that blocks of ASCII stay in registers.
 */
static __attribute__((noinline)) Block with_beyond(Pretokenizer *p, Block block, const ByteClasses *bytes)
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
        block = with_beyond(p, block, bytes);
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

static size_t scan_blocks(Pretokenizer *p, const uint8_t **ends, size_t blocks)
{
    ByteClasses ascii[BLOCKS_AT_ONCE];
    size_t count = 0;
    bytes_classify(ascii, p->at, blocks);
    for (size_t i = 0; i < blocks; i++) {
        const uint64_t starts = next_starts(p, &ascii[i]);
        count += write_places(ends + count, p->at, starts);
        p->at += BLOCK_BYTES;
    }
    return count;
}

/* The last 1 to 64 bytes of a text, and its end. */
static size_t scan_last(Pretokenizer *p, const uint8_t **ends)
{
    ByteClasses ascii;
    uint8_t copy[BLOCK_BYTES] = {0};
    memcpy(copy, p->at, (size_t)(p->end - p->at));
    bytes_classify(&ascii, copy, 1);
    size_t count = write_places(ends, p->at, next_starts(p, &ascii));
    p->at = ends[count++] = p->end;
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
            count += scan_blocks(p, ends + count, blocks < BLOCKS_AT_ONCE ? blocks : BLOCKS_AT_ONCE);
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
