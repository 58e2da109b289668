/**
 * @file
 * @brief Where a text may be cut in two, so that each half can be tokenized without the other.
 *
 * Threads share a long text by cutting it into chunks. Tokens are those of the whole text if no pre-token and no
 * special token crosses a cut, and a look at the bytes around the cut decides that.
 */
#ifndef CS336_TOKENIZER_SPLIT_CUT_H
#define CS336_TOKENIZER_SPLIT_CUT_H

#include "core/api.h"
#include "tokenizer/pattern.h"
#include "tokenizer/split/special_tokens.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/** @brief What one must know to look for a cut. */
enum {
    CUT_CONTEXT = 8, /**< bytes on each side of a cut that decide whether it is safe, besides those of the longest
                          special token: it may begin or end inside the characters beside the cut, of at most 4 bytes */
    CUT_SEARCH_MOST = 1 << 14 /**< 16 KiB are searched by those who can do without a cut. Nearly all texts have one in
                                   them, and in a run the search costs nearly as much as encoding */
};

/**
 * @brief True if a pre-token begins at index @p cut whatever bytes follow the text, and the pre-tokens before it are
 * the same without the bytes behind it.
 *
 * In GPT-2's pattern that is so after a visible character if white space follows, or a visible character of another
 * class that cannot belong to a contraction. In GPT-4's it is so
 * - between a letter and any other character, and between a number and any other character;
 * - after another visible character, if a number follows, or white space that is no line end;
 * - after a line end, if a visible character follows.
 */
bool pretoken_surely_begins(PretokenPattern pattern, const uint8_t *text, size_t length, size_t cut);

/** @brief Returns the last such index after @p begin and before @p length, or 0 if there is none. */
size_t pretoken_last_cut(PretokenPattern pattern, const uint8_t *text, size_t length, size_t begin);

/**
 * @brief True if a text with special tokens may be cut at index @p cut.
 * @param ended  true if the text ends after @p length bytes; if not, a special token that may be cut off there counts
 */
bool text_may_be_cut(const SpecialTokens *special, PretokenPattern pattern, const uint8_t *text, size_t length,
                     size_t cut, bool ended);

CS336_INTERNAL_END

#endif
