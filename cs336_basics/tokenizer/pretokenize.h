/**
 * @file
 * @brief GPT-2's pre-tokenization as a scanner (handout section 2.4).
 *
 *     '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * - Every byte belongs to exactly one pre-token, so the first one's length is all there is to find.
 * - The pattern never needs to go back by more than one character: a run of white space before something visible leaves
 *   its last character to the next pre-token. So a text may come in pieces, and the scanner says when it must see more.
 * - Text between two special tokens is a text of its own: its ends are ends of text.
 */
#ifndef CS336_TOKENIZER_PRETOKENIZE_H
#define CS336_TOKENIZER_PRETOKENIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * @brief Length of the pre-token at the start of a text.
 * @param         text    its first byte begins a pre-token
 * @param         length  bytes that are there, at least 1
 * @param         ended   whether the text ends here; if not, more bytes may follow
 * @param[in,out] known   0 at the first call for a pre-token; when the answer is 0, pass it again with more bytes, and
 *                        what has been scanned is not scanned again. NULL when @p ended
 * @return bytes of the pre-token; 0 only if the text has not ended and what follows decides
 */
size_t pretoken_length(const uint8_t *text, size_t length, bool ended, size_t *known);

/**
 * @brief Whether a pre-token begins at @p at whatever follows, and what lies before is split the same without it.
 * True where white space follows a visible character. Texts may be cut there.
 */
bool pretoken_surely_begins(const uint8_t *text, size_t length, size_t at);

#endif
