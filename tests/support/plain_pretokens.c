#include "tests/support/plain_pretokens.h"

#include "tests/support/check.h"
#include "tokenizer/unicode.h"

#include <stdlib.h>

/* The characters of a text; character i is its bytes starts[i] up to, not including, starts[i + 1]. */
typedef struct {
    UnicodeClass *classes;
    size_t *starts, count;
    const uint8_t *text;
} Characters;

static Characters characters_of(ByteString text)
{
    Characters c = {.classes = malloc((text.length + 1) * sizeof *c.classes),
                    .starts = malloc((text.length + 1) * sizeof *c.starts),
                    .text = text.bytes};
    if (!c.classes || !c.starts)
        ck_abort_msg("no memory");
    size_t start = 0;
    while (start < text.length) {
        const Utf8Character next = utf8_decode(text.bytes + start, text.length - start);
        c.starts[c.count] = start;
        c.classes[c.count++] = unicode_class(next.code_point);
        start += next.length;
    }
    c.starts[c.count] = start;
    return c;
}

static bool is(const Characters *c, size_t i, char ascii)
{
    return i < c->count && c->text[c->starts[i]] == (uint8_t)ascii;
}

/* Returns how many characters of a class follow each other from character i on. */
static size_t run(const Characters *c, size_t i, UnicodeClass class)
{
    size_t n = 0;
    while (i + n < c->count && c->classes[i + n] == class)
        n++;
    return n;
}

/* Returns how many characters the pattern matches at character i. It tries the alternatives in their order. */
static size_t match(const Characters *c, size_t i)
{
    /* '(?:[sdmt]|ll|ve|re) */
    static const char contractions[][3] = {"s", "d", "m", "t", "ll", "ve", "re"};
    for (size_t k = 0; k < sizeof contractions / sizeof *contractions && is(c, i, '\''); k++)
        if (is(c, i + 1, contractions[k][0]) && (!contractions[k][1] || is(c, i + 2, contractions[k][1])))
            return contractions[k][1] ? 3 : 2;
    /*  ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+ */
    static const UnicodeClass visible[] = {UNICODE_LETTER, UNICODE_NUMBER, UNICODE_OTHER};
    for (size_t k = 0; k < sizeof visible / sizeof *visible; k++) {
        const size_t blank = is(c, i, ' '), n = run(c, i + blank, visible[k]);
        if (n > 0)
            return blank + n;
    }
    /* \s+(?!\S)|\s+ : the longest run of white space that no visible character follows, else all of it */
    const size_t spaces = run(c, i, UNICODE_SPACE);
    for (size_t n = spaces; n > 0; n--)
        if (i + n == c->count || c->classes[i + n] == UNICODE_SPACE)
            return n;
    return spaces;
}

size_t plain_pretokens(size_t *ends, ByteString text)
{
    Characters c = characters_of(text);
    size_t count = 0;
    for (size_t i = 0; i < c.count;) {
        i += match(&c, i);
        ends[count++] = c.starts[i];
    }
    free(c.classes);
    free(c.starts);
    return count;
}
