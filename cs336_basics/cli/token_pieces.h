/**
 * @file
 * @brief Tokens on a terminal, each a piece of text with a background of its own.
 *
 * - Without colours (the stream is no terminal, NO_COLOR is set, TERM is dumb) a line stands between the pieces.
 * - A line feed is shown as ↵ and made, a tab is shown as →; what else a terminal would obey, and bytes of a character
 *   that is cut between tokens, are shown as `\xNN`. Special tokens are bold and inverse.
 */
#ifndef CS336_CLI_TOKEN_PIECES_H
#define CS336_CLI_TOKEN_PIECES_H

#include "cli/options.h"
#include "tokenizer/encode/tokenizer.h"

#include <stdbool.h>
#include <stdio.h>

typedef struct {
    FILE *stream;
    const Tokenizer *tokenizer;
    const TextList *special;
    bool colour;
    size_t count;     /**< tokens printed */
    bool within_line; /**< something stands on the line */
    bool within_text; /**< a piece of this text has been printed */
} TokenPieces;

TokenPieces token_pieces_begin(FILE *stream, const Tokenizer *tokenizer, const TextList *special);
void token_pieces_print(TokenPieces *pieces, const int32_t *ids, size_t count);

/** @brief Ends a text: the next piece begins a line. */
void token_pieces_end_text(TokenPieces *pieces);

#endif
