/**
 * @file
 * @brief A plain reference for the scanner: it tries the alternatives of GPT-2's pattern in turn, character by
 * character.
 */
#ifndef CS336_TESTS_SUPPORT_PLAIN_PRETOKENS_H
#define CS336_TESTS_SUPPORT_PLAIN_PRETOKENS_H

#include "tests/adapters.h"
#include "tokenizer/buffers.h"
#include "tokenizer/pattern.h"

#include <stddef.h>

/** @brief Mistakes that people make, named after the wrong solutions in tests/exercises/wrong/pretokenizer. */
typedef enum {
    PRETOKENS_RIGHT,
    PRETOKENS_ASCII_LETTERS_ONLY,
    PRETOKENS_BYTES_FOR_CHARACTERS,
    PRETOKENS_WITHOUT_CONTRACTIONS,
    PRETOKENS_BLANK_APART,
    PRETOKENS_WHITE_SPACE_TAKES_ALL,
    PRETOKENS_SHORTEST_SPECIAL_TOKEN_FIRST,
    PRETOKENS_SPECIAL_TOKENS_ARE_SEEN_AHEAD,
    PRETOKENS_SPECIAL_TOKENS_ARE_TEXT,
    PRETOKENS_MISTAKES /**< how many values there are */
} PretokensMistake;

/** @brief Finds where the pre-tokens of a text end. @param[out] ends  room for one end for each byte @return how many
 */
size_t plain_pretokens(size_t *ends, ByteString text);

/**
 * @brief Splits a text as run_pretokenize() does: special tokens first, of those that begin at a byte the longest.
 * @param[out] ranges   room for one range for each byte
 * @param      mistake  PRETOKENS_RIGHT, or whose answer is wanted
 * @return how many
 */
size_t plain_split(TextRange *ranges, ByteString text, const ByteString *special, size_t special_count,
                   PretokensMistake mistake);

/** @brief Splits a text in the same way by any pattern. plain_pattern_pretokens() splits the segments. */
size_t plain_split_by(TextRange *ranges, ByteString text, const ByteString *special, size_t special_count,
                      PretokenPattern pattern);

#endif
