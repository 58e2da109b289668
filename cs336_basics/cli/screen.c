#define _POSIX_C_SOURCE 200809L
#if defined(__APPLE__)
#define _DARWIN_C_SOURCE /* TIOCGWINSZ */
#endif
#include "cli/screen.h"

#include "core/file.h"
#include "core/printable.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool screen_is_terminal(const char *output)
{
    return file_is_standard_output(output) && isatty(STDOUT_FILENO);
}

size_t screen_columns(void)
{
    enum { USUAL = 80, MOST = 10000 };
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    const char *text = getenv("COLUMNS");
    const long columns = text ? strtol(text, NULL, 10) : 0;
    return columns > 0 && columns <= MOST ? (size_t)columns : USUAL;
}

/* True if the name of a locale has the code set UTF-8, as "en_US.UTF-8" or "C.utf8". */
static bool names_utf8(const char *locale)
{
    static const char *const names[] = {"UTF-8", "utf-8", "UTF8", "utf8"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strstr(locale, names[i]))
            return true;
    return false;
}

bool screen_is_utf8(void)
{
    static const char *const variables[] = {"LC_ALL", "LC_CTYPE", "LANG"}; /* in the order of setlocale() */
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *locale = getenv(variables[i]);
        if (locale && *locale)
            return names_utf8(locale);
    }
    return false;
}

/* Appends one character, made safe for a terminal. */
static Status append_character(ByteList *safe, bool terminal, const uint8_t *bytes, size_t length)
{
    char text[4 * 4 + 1]; /* four bytes of \xNN */
    if (!terminal)
        return byte_list_append(safe, bytes, length);
    if (*bytes == '\n' || *bytes == '\t')
        return byte_list_append(safe, bytes, 1);
    printable_prefix(text, sizeof text, (const char *)bytes, length);
    return byte_list_append_text(safe, text);
}

Status screen_text(ByteString *shown, Screen *screen, ByteString piece, bool last)
{
    *shown = piece;
    if (!screen->terminal && !screen->whole)
        return CS336_OK;
    ByteList *pending = &screen->pending;
    Status s = piece.length ? byte_list_append(pending, piece.bytes, piece.length) : CS336_OK;
    screen->safe.length = 0;
    size_t done = 0;
    while (!s && done < pending->length) {
        const Utf8Character c = utf8_decode(pending->bytes + done, pending->length - done);
        if (c.status == UTF8_TRUNCATED && !last)
            break;
        s = append_character(&screen->safe, screen->terminal, pending->bytes + done, c.length);
        done += c.length;
    }
    /* Keep the bytes of an incomplete character. */
    if (done)
        memmove(pending->bytes, pending->bytes + done, pending->length - done);
    pending->length -= done;
    *shown = byte_list_view(&screen->safe);
    return s;
}

void screen_deinit(Screen *screen)
{
    byte_list_deinit(&screen->pending);
    byte_list_deinit(&screen->safe);
}
