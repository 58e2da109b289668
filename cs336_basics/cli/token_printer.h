/**
 * @file
 * @brief Prints tokens on a terminal, each with its own background colour.
 *
 * - Without colours, `|` as a box-drawing character separates the tokens. Colours are off if the stream is not a
 *   terminal, if NO_COLOR is set, or if TERM is "dumb".
 * - A line feed is printed as ↵ and a new line, a tab as →. Other control characters, and the bytes of a character that
 *   two tokens share, are printed as `\xNN`. Special tokens are bold and inverse.
 */
#ifndef CS336_CLI_TOKEN_PRINTER_H
#define CS336_CLI_TOKEN_PRINTER_H

#include "core/api.h"
#include "tokenizer/encode/tokenizer.h"

#include <stdbool.h>
#include <stdio.h>

CS336_INTERNAL_BEGIN

/** @brief Where the tokens go, and what has been printed. It owns none of what it points to. */
typedef struct {
    FILE *stream;               /**< the caller opens and closes it */
    const Tokenizer *tokenizer; /**< gives the bytes of each id, and the special tokens */
    bool colour;                /**< true: background colours separate the tokens; false: `|` does */
    size_t count;               /**< tokens printed */
    bool within_line;           /**< the current line is not empty */
    bool within_text;           /**< a token of this text has been printed */
} TokenPrinter;

/** @brief Begins to print. */
TokenPrinter token_printer_begin(FILE *stream, const Tokenizer *tokenizer);

/** @brief Prints the tokens with these ids. */
void token_printer_print(TokenPrinter *printer, const int32_t *ids, size_t count);

/** @brief Ends a text: the next token begins a new line. */
void token_printer_end_text(TokenPrinter *printer);

CS336_INTERNAL_END

#endif
