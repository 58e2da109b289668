/**
 * @file
 * @brief GPT-2's pre-tokenization as a scanner (handout section 2.4).
 *
 *     '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * - Every byte belongs to exactly one pre-token, so what there is to find is where each one ends.
 * - Whether one ends before a character follows from the classes of the characters around that place, contractions
 *   apart. So 64 bytes are decided at a time, as bits of words, and nothing branches on the length of a pre-token.
 * - Text between two special tokens is a text of its own: its ends are ends of text. Any bytes are a text: see
 * unicode.h for malformed UTF-8.
 * - A text may come in parts; however it is cut, each byte is scanned once and pre-tokens are the same.
 *
 * Nothing outside of the bytes given is read.
 */
#ifndef CS336_TOKENIZER_PRETOKENIZE_H
#define CS336_TOKENIZER_PRETOKENIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** @brief Ends that pretokenizer_next() may find in one block, that of the text among them: room that there must be. */
enum { PRETOKENS_AT_ONCE = 65 };

/** @brief A scanner between two blocks: what the bytes before `at` mean for those from there on, bit i for byte i. */
typedef struct {
    const uint8_t *at;  /**< what is before it has been scanned; callers may read it */
    const uint8_t *end; /**< of the bytes given */
    bool ended;         /**< whether the text ends there */
    uint64_t before[4]; /**< bit 0: the byte before has this UnicodeClass */
    uint64_t blank;     /**< bit 0: the byte before is ' ' */
    uint64_t rest[4];   /**< class of the rest of a character that has begun before */
    uint64_t inner;     /**< these bytes */
    uint64_t starts;    /**< pre-tokens that begin after a contraction */
    uint64_t joined;    /**< bytes that begin none: the first of a text, the second of a contraction */
} Pretokenizer;

/** @brief Begins with a new text, of which there is nothing yet. */
void pretokenizer_begin(Pretokenizer *pretokenizer);

/**
 * @brief Gives a text or the next part of it. Of the last part, pretokenizer_next() must have returned 0.
 * @param text    what follows the bytes before `at`: those that were not scanned yet, wherever they lie by now, and
 *                more; @p length bytes, which must stay until pretokenizer_next() returns 0
 * @param ended   whether the text ends there
 */
void pretokenizer_feed(Pretokenizer *pretokenizer, const uint8_t *text, size_t length, bool ended);

/**
 * @brief The next pre-tokens.
 * @param[out] ends      where they end, in ascending order; each begins where the one before it ends
 * @param      capacity  room in @p ends, at least PRETOKENS_AT_ONCE; several times that is fast
 * @return how many; 0: the text is at its end or, if it has not ended, more bytes decide. Fewer than 80 bytes before
 * the end of those given are then still unscanned.
 *
 *     while ((count = pretokenizer_next(&pretokenizer, ends, capacity)))
 *         for (size_t i = 0; i < count; begin = ends[i++])
 *             use(begin, ends[i]);
 */
size_t pretokenizer_next(Pretokenizer *pretokenizer, const uint8_t **ends, size_t capacity);

/**
 * @brief Whether a pre-token begins at @p at whatever follows, and what lies before is split the same without it.
 * True after a visible character where white space follows, or a visible character of another class that cannot belong
 * to a contraction. Texts may be cut there.
 */
bool pretoken_surely_begins(const uint8_t *text, size_t length, size_t at);

/** @brief The last place after @p from and before @p length where a pre-token surely begins; 0 if there is none. */
size_t pretoken_last_cut(const uint8_t *text, size_t length, size_t from);

#endif
