/* What pretokenize.c and the scanner of pretokenize_kernel.h share: one table for each instruction set. */
#ifndef CS336_TOKENIZER_PRETOKENIZE_TABLE_H
#define CS336_TOKENIZER_PRETOKENIZE_TABLE_H

#include "kernels/bytes.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/unicode.h"

enum { CLASSES = 4, BLOCKS_AT_ONCE = 16 };

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
 * are malformed, each on its own. By value, so that blocks of ASCII stay in registers.
 */
Block pretokens_beyond_ascii(Pretokenizer *p, Block block, const ByteClasses *bytes);

/* Whether something visible follows. */
static inline bool visible_at(const uint8_t *text, const uint8_t *end)
{
    return text < end && utf8_class(text, (size_t)(end - text)).class != UNICODE_SPACE;
}

typedef struct {
    /*
     * Scans at most BLOCKS_AT_ONCE whole blocks from p->at on and returns how many ends there are. Their bytes are also
     * at `bytes`, which is p->at or, when the text ends in the block, a copy with zeros behind it.
     */
    size_t (*scan)(Pretokenizer *p, const uint8_t **ends, const uint8_t *bytes, size_t blocks);
} PretokenizeTable;

extern const PretokenizeTable pretokenize_portable, pretokenize_avx2, pretokenize_avx512;

#endif
