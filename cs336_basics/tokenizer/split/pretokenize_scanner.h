/*
 * The scanners behind pretokenize.h: GPT-2's, which pretokenize_kernel.h defines once for each instruction set, with
 * the types that both share, and GPT-4's.
 */
#ifndef CS336_TOKENIZER_SPLIT_PRETOKENIZE_SCANNER_H
#define CS336_TOKENIZER_SPLIT_PRETOKENIZE_SCANNER_H

#include "core/api.h"
#include "kernels/bytes.h"
#include "tokenizer/split/pretokenize.h"
#include "tokenizer/unicode.h"

CS336_INTERNAL_BEGIN

/*
 * Groups of bytes that one call of a scanner takes at most. It classifies all of them before it uses the first one: in
 * that loop the seven ranges stay in vector registers. 16 groups take 900 bytes of the stack.
 */
enum { GROUPS_AT_ONCE = 16 };

/** @brief The ASCII classes of a group's bytes: bit i of each bitset is set if byte i is one of these. */
typedef struct {
    uint64_t letters;       /**< A to Z, a to z */
    uint64_t digits;        /**< 0 to 9 */
    uint64_t spaces;        /**< ' ' and U+0009 to U+000D */
    uint64_t blanks;        /**< ' ' */
    uint64_t quotes;        /**< ' */
    uint64_t beyond;        /**< 0x80 and more: not ASCII */
    uint64_t continuations; /**< 0x80 to 0xBF: in UTF-8, any byte of a character but its first */
} ByteClasses;

/** @brief What the scanner knows about a group's bytes: bit i of each bitset is about byte i. */
typedef struct {
    const uint8_t *text;                   /**< the group's first byte */
    uint64_t inside;                       /**< the byte lies before the end of the text */
    uint64_t classes[UNICODE_CLASS_COUNT]; /**< the character that the byte belongs to has this UnicodeClass */
    uint64_t blanks;                       /**< the byte is ' ' */
    uint64_t quotes;                       /**< the byte is ' */
    uint64_t inner;                        /**< the byte is not the first of its character */
    uint64_t last_spaces; /**< the byte begins a character of white space, and a visible character follows */
} Group;

/*
 * Returns the group with the characters beyond ASCII added. Such a character begins with a byte that is no
 * continuation. Continuation bytes that belong to no character are malformed, and each is a character of class
 * UNICODE_OTHER. The group is passed by value, so that a group of ASCII alone stays in registers.
 */
Group pretokens_beyond_ascii(Pretokenizer *p, Group group, const ByteClasses *bytes);

/* True if a character that is not white space begins at `text`. */
static inline bool visible_at(const uint8_t *text, const uint8_t *end)
{
    return text < end && utf8_class(text, (size_t)(end - text)).unicode_class != UNICODE_SPACE;
}

/** @brief The scanner of one instruction set. */
typedef struct {
    /**
     * @brief Scans @p groups groups from p->unscanned on, at most GROUPS_AT_ONCE, writes where pre-tokens end, and
     * returns how many ends there are. @p bytes holds the bytes of these groups: it is p->unscanned itself or, where
     * the text ends inside the group, a copy with zeros behind the text.
     */
    size_t (*scan)(Pretokenizer *p, const uint8_t **ends, const uint8_t *bytes, size_t groups);
} PretokenizeKernels;

/* The tables that pretokenize_kernel.h defines. */
extern const PretokenizeKernels pretokenize_portable, pretokenize_avx2, pretokenize_avx512;

/* pretokenizer_next() of GPT-4's pattern. */
size_t pretokenize_gpt4(Pretokenizer *p, const uint8_t **ends, size_t capacity);

CS336_INTERNAL_END

#endif
