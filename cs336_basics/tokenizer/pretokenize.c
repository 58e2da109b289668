#include "tokenizer/pretokenize.h"

#include "tokenizer/unicode.h"

/* A character's class, and its length; length 0 when the text goes on and the character is not whole yet. */
typedef struct {
    UnicodeClass class;
    unsigned length;
} Seen;

static Seen look(const uint8_t *text, size_t length, bool ended)
{
    if (text[0] < 0x80)
        return (Seen){.class = (UnicodeClass)unicode_ascii_class[text[0]], .length = 1};
    const Utf8Character c = utf8_decode(text, length);
    if (c.status == UTF8_TRUNCATED && !ended)
        return (Seen){.class = UNICODE_OTHER, .length = 0};
    return (Seen){.class = unicode_class(c.code_point), .length = c.length};
}

enum { UNDECIDED = -1, NO_CONTRACTION = 0 };

/* Length of the contraction at an apostrophe. */
static int contraction(const uint8_t *text, size_t length, bool ended)
{
    if (length < 2)
        return ended ? NO_CONTRACTION : UNDECIDED;
    const uint8_t a = text[1];
    if (a == 's' || a == 'd' || a == 'm' || a == 't')
        return 2;
    if (a != 'l' && a != 'v' && a != 'r')
        return NO_CONTRACTION;
    if (length < 3)
        return ended ? NO_CONTRACTION : UNDECIDED;
    return text[2] == (a == 'l' ? 'l' : 'e') ? 3 : NO_CONTRACTION;
}

/* Where the run of characters of one class ends that is known to reach at least to `from`. 0: not decided. */
static size_t run_end(const uint8_t *text, size_t length, bool ended, UnicodeClass class, size_t from, size_t *known)
{
    size_t at = from;
    while (at < length) {
        while (at < length && text[at] < 0x80 && unicode_ascii_class[text[at]] == class)
            at++;
        if (at == length)
            break;
        const Seen next = look(text + at, length - at, ended);
        if (next.length == 0)
            break;
        if (next.class != class)
            return at;
        at += next.length;
    }
    if (ended)
        return length;
    *known = at;
    return 0;
}

/* A run of white space: all of it at the end of the text; else without its last character, unless that is all. `known`
   is the start of the last white space seen, which is where the run ends if something visible follows. */
static size_t white_space_end(const uint8_t *text, size_t length, bool ended, size_t *known)
{
    size_t last = *known, at = last;
    while (at < length) {
        const Seen next = look(text + at, length - at, ended);
        if (next.length == 0)
            break;
        if (next.class != UNICODE_SPACE)
            return last > 0 ? last : at;
        last = at;
        at += next.length;
    }
    if (ended)
        return length;
    *known = last;
    return 0;
}

size_t pretoken_length(const uint8_t *text, size_t length, bool ended, size_t *known)
{
    size_t nothing = 0;
    if (!known)
        known = &nothing;
    if (text[0] == '\'') {
        const int bytes = contraction(text, length, ended);
        if (bytes != NO_CONTRACTION)
            return bytes == UNDECIDED ? 0 : (size_t)bytes;
    }
    const size_t blank = text[0] == ' '; /* " ?" takes it along with what is visible */
    if (blank && length == 1)
        return ended ? 1 : 0;
    const Seen first = look(text + blank, length - blank, ended);
    if (first.length == 0)
        return 0;
    if (first.class == UNICODE_SPACE)
        return white_space_end(text, length, ended, known);
    const size_t begun = blank + first.length;
    return run_end(text, length, ended, first.class, *known > begun ? *known : begun, known);
}

bool pretoken_surely_begins(const uint8_t *text, size_t length, size_t at)
{
    if (at == 0 || at >= length || (text[at] != ' ' && text[at] != '\n'))
        return false;
    size_t before = at - 1;
    while (before > 0 && at - before < 4 && (text[before] & 0xC0) == 0x80)
        before--;
    const Utf8Character c = utf8_decode(text + before, at - before);
    return c.status == UTF8_VALID && before + c.length == at && unicode_class(c.code_point) != UNICODE_SPACE;
}
