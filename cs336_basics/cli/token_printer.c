#define _POSIX_C_SOURCE 200809L
#include "cli/token_printer.h"

#include "distributed/ranks.h"
#include "tokenizer/files/token_text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ANSI escape sequences: black on one of four light backgrounds, by turns. */
static const char *const backgrounds[] = {"\033[38;5;16;48;5;195m", "\033[38;5;16;48;5;229m", "\033[38;5;16;48;5;225m",
                                          "\033[38;5;16;48;5;194m"};
static const char special_style[] = "\033[1;7m", reset_style[] = "\033[0m";
/* U+2502, U+21B5 and U+2192 in UTF-8. */
static const char separator[] = "\xE2\x94\x82", line_feed_sign[] = "\xE2\x86\xB5", tab_sign[] = "\xE2\x86\x92";

enum { BACKGROUNDS = sizeof backgrounds / sizeof *backgrounds };

static bool wants_colours(FILE *stream)
{
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
    /* mpirun gives rank 0 a terminal of its own, wherever its own output goes. */
    return isatty(fileno(stream)) && ranks_count() == 1 && !(no_color && *no_color) && terminal && *terminal &&
           strcmp(terminal, "dumb") != 0;
}

TokenPrinter token_printer_begin(FILE *stream, const Tokenizer *tokenizer)
{
    return (TokenPrinter){.stream = stream, .tokenizer = tokenizer, .colour = wants_colours(stream)};
}

/* Prints a text whose control characters and incomplete characters are escaped. */
static void print_escaped(FILE *stream, ByteString text)
{
    while (text.length) {
        const ShownToken shown = token_printable(text);
        fputs(shown.text, stream);
        text.bytes += shown.bytes;
        text.length -= shown.bytes;
    }
}

/* The colour ends before a line feed; a terminal would fill the rest of the line with it. */
static void print_token(TokenPrinter *printer, ByteString token, const char *style)
{
    FILE *stream = printer->stream;
    const char *begin = printer->colour ? style : "", *end = printer->colour ? reset_style : "";
    for (size_t start = 0; start < token.length;) {
        /* Print up to the next line feed or tab. */
        size_t stop = start;
        while (stop < token.length && token.bytes[stop] != '\n' && token.bytes[stop] != '\t')
            stop++;
        fputs(begin, stream);
        print_escaped(stream, (ByteString){.bytes = token.bytes + start, .length = stop - start});
        /* Then print a sign for it, and a new line after a line feed. */
        const bool line_feed = stop < token.length && token.bytes[stop] == '\n';
        if (stop < token.length)
            fputs(line_feed ? line_feed_sign : tab_sign, stream);
        fputs(end, stream);
        if (line_feed)
            fputc('\n', stream);
        printer->within_line = !line_feed;
        start = stop + 1;
    }
}

void token_printer_print(TokenPrinter *printer, const int32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const ByteString token = tokenizer_token(printer->tokenizer, ids[i]);
        const bool special = special_tokens_contain(&printer->tokenizer->special, token);
        const char *style = special ? special_style : backgrounds[printer->count % BACKGROUNDS];
        if (!printer->colour && printer->within_text)
            fputs(separator, printer->stream);
        print_token(printer, token, style);
        printer->within_text = true;
        printer->count++;
    }
}

void token_printer_end_text(TokenPrinter *printer)
{
    if (printer->within_line)
        fputc('\n', printer->stream);
    printer->within_line = printer->within_text = false;
}
