#define _POSIX_C_SOURCE 200809L
#include "cli/token_pieces.h"

#include "tokenizer/files/token_text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Black on four light backgrounds in turn. */
static const char *const backgrounds[] = {"\033[38;5;16;48;5;195m", "\033[38;5;16;48;5;229m", "\033[38;5;16;48;5;225m",
                                          "\033[38;5;16;48;5;194m"};
static const char special_look[] = "\033[1;7m", plain_look[] = "\033[0m";

enum { BACKGROUNDS = sizeof backgrounds / sizeof *backgrounds };

static bool wants_colours(FILE *stream)
{
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return isatty(fileno(stream)) && !(no_color && *no_color) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
}

TokenPieces token_pieces_begin(FILE *stream, const Tokenizer *tokenizer, const TextList *special)
{
    return (TokenPieces){.stream = stream, .tokenizer = tokenizer, .special = special, .colour = wants_colours(stream)};
}

static bool is_special(const TokenPieces *pieces, ByteString token)
{
    for (size_t i = 0; i < pieces->special->count; i++)
        if (byte_string_equal(byte_string(pieces->special->items[i]), token))
            return true;
    return false;
}

static void print_shown(FILE *stream, ByteString text)
{
    while (text.length) {
        const ShownToken shown = token_shown(text);
        fputs(shown.text, stream);
        text.bytes += shown.bytes;
        text.length -= shown.bytes;
    }
}

/* The colour ends before a line feed: a terminal would fill the rest of the line with it. */
static void print_piece(TokenPieces *pieces, ByteString token, const char *look)
{
    FILE *stream = pieces->stream;
    const char *begin = pieces->colour ? look : "", *end = pieces->colour ? plain_look : "";
    for (size_t at = 0; at < token.length;) {
        size_t stop = at;
        while (stop < token.length && token.bytes[stop] != '\n' && token.bytes[stop] != '\t')
            stop++;
        fputs(begin, stream);
        print_shown(stream, (ByteString){.bytes = token.bytes + at, .length = stop - at});
        const bool line_feed = stop < token.length && token.bytes[stop] == '\n';
        if (stop < token.length)
            fputs(line_feed ? "\xE2\x86\xB5" : "\xE2\x86\x92", stream);
        fputs(end, stream);
        if (line_feed)
            fputc('\n', stream);
        pieces->within_line = !line_feed;
        at = stop + 1;
    }
}

void token_pieces_print(TokenPieces *pieces, const int32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const ByteString token = tokenizer_token(pieces->tokenizer, ids[i]);
        const char *look = is_special(pieces, token) ? special_look : backgrounds[pieces->count % BACKGROUNDS];
        if (!pieces->colour && pieces->within_text)
            fputs("\xE2\x94\x82", pieces->stream);
        print_piece(pieces, token, look);
        pieces->within_text = true;
        pieces->count++;
    }
}

void token_pieces_end_text(TokenPieces *pieces)
{
    if (pieces->within_line)
        fputc('\n', pieces->stream);
    pieces->within_line = pieces->within_text = false;
}
