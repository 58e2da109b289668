/**
 * @file
 * @brief Pre-tokenization as a scanner (handout section 2.4), for each of the patterns in tokenizer/pattern.h.
 *
 * GPT-2's pattern is
 *
 *     '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * Contractions apart, whether one of its pre-tokens ends before a character depends only on the classes of the
 * character's neighbours. So the scanner decides 64 bytes at a time, as bits of 64-bit integers, and never branches on
 * a pre-token's length (pretokenize_kernel.h). GPT-4's pattern counts digits and looks for the last line end in white
 * space; its scanner reads one character after the other (pretokenize_gpt4.c).
 *
 * - Every byte belongs to exactly one pre-token, so it is enough to find where each one ends.
 * - Text between two special tokens is a text of its own: its ends are ends of text. Any bytes are a text: see
 *   unicode.h for malformed UTF-8.
 * - A text may be given in several chunks. Each byte is scanned once, and pre-tokens do not depend on the cuts.
 *
 * The scanner reads only the bytes that it is given.
 */
#ifndef CS336_TOKENIZER_SPLIT_PRETOKENIZE_H
#define CS336_TOKENIZER_SPLIT_PRETOKENIZE_H

#include "core/api.h"
#include "tokenizer/pattern.h"
#include "tokenizer/unicode.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_API_BEGIN

/** @brief Most ends that pretokenizer_next() finds in 64 bytes: one before each byte, and the end of the text. */
enum { PRETOKENS_PER_GROUP = 65 };

/** @brief The part of GPT-4's pattern that the scanner is in at `unscanned`. */
typedef enum {
    PRETOKEN_BEGINS,        /**< a pre-token begins here */
    PRETOKEN_LETTERS,       /**< inside `\p{L}+` */
    PRETOKEN_OTHERS,        /**< inside `[^\s\p{L}\p{N}]+` */
    PRETOKEN_LINE_ENDS,     /**< inside the `[\r\n]*` behind it */
    PRETOKEN_SPACES,        /**< inside white space that has no line end so far */
    PRETOKEN_AFTER_LINE_END /**< inside white space, behind the last line end that it has so far */
} PretokenPart;

/**
 * @brief A scanner between two groups of 64 bytes (GPT-2) or two characters (GPT-4). Bit i of a bitset is about the
 * i-th byte from `unscanned` on.
 */
typedef struct {
    const uint8_t *unscanned; /**< the first byte that is not scanned yet, that is, all bytes between the last end that
                                   was found and this one belong to one pre-token; callers may read it */
    const uint8_t *end;       /**< of the bytes given */
    bool ended;               /**< the text ends there */
    PretokenPattern pattern;  /**< the fields that follow belong to GPT-2's, the last two to GPT-4's */
    uint64_t class_before[UNICODE_CLASS_COUNT]; /**< bit 0: the byte before has this UnicodeClass */
    uint64_t blank_before;                      /**< bit 0: the byte before is ' ' */
    uint64_t rest_class[UNICODE_CLASS_COUNT];   /**< bytes of a character that began before, by its class */
    uint64_t rest;                              /**< the same bytes, of any class */
    uint64_t start;                             /**< bytes that begin a pre-token, because a contraction ends there */
    uint64_t no_start; /**< bytes that begin none: the first of a text, the second of a contraction */
    PretokenPart part; /**< of the pre-token that the unscanned bytes go on with */
    size_t spaces;     /**< unscanned bytes that are known to be white space without a line end */
} Pretokenizer;

/** @brief Prepares a scanner for a new text, which is split by @p pattern. */
void pretokenizer_begin(Pretokenizer *pretokenizer, PretokenPattern pattern);

/**
 * @brief Gives a text or its next chunk. pretokenizer_next() must have returned 0 for the chunk before.
 * @param text    the bytes from `unscanned` on, at the same or another address, and those that follow; @p length bytes
 *                that must stay until pretokenizer_next() returns 0
 * @param ended   true if the text ends there
 */
void pretokenizer_feed(Pretokenizer *pretokenizer, const uint8_t *text, size_t length, bool ended);

/**
 * @brief Finds the next pre-tokens.
 * @param[out] ends      where they end, in ascending order; each begins where the one before it ends
 * @param      capacity  room in @p ends, at least PRETOKENS_PER_GROUP; several times as much is faster
 * @return how many; 0 at the end of the text or, if the text has not ended, where more bytes decide. Fewer than 80 of
 * the bytes given are then still unscanned. There is one exception: in GPT-4's pattern a pre-token of white space ends
 * with the last line end before something visible. So white space behind a line end, however long, is unscanned until
 * the next line end or visible character comes. It is not read again when more bytes come.
 *
 *     while ((count = pretokenizer_next(&pretokenizer, ends, capacity)))
 *         for (size_t i = 0; i < count; begin = ends[i++])
 *             use(begin, ends[i]);
 */
size_t pretokenizer_next(Pretokenizer *pretokenizer, const uint8_t **ends, size_t capacity);

CS336_API_END

#endif
