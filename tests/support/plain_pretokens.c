#include "tests/support/plain_pretokens.h"

#include "tokenizer/unicode.h"

#include <check.h>
#include <stdlib.h>

/* Character i is bytes starts[i] to starts[i + 1] of the text. */
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
    size_t at = 0;
    while (at < text.length) {
        const Utf8Character next = utf8_decode(text.bytes + at, text.length - at);
        c.starts[c.count] = at;
        c.classes[c.count++] = unicode_class(next.code_point);
        at += next.length;
    }
    c.starts[c.count] = at;
    return c;
}

static bool is(const Characters *c, size_t i, char ascii)
{
    return i < c->count && c->text[c->starts[i]] == (uint8_t)ascii;
}

static size_t run(const Characters *c, size_t i, UnicodeClass class)
{
    size_t n = 0;
    while (i + n < c->count && c->classes[i + n] == class)
        n++;
    return n;
}

/* Characters that the pattern matches at i. */
static size_t match(const Characters *c, size_t i)
{
    static const char contractions[][3] = {"s", "d", "m", "t", "ll", "ve", "re"};
    for (size_t k = 0; k < sizeof contractions / sizeof *contractions && is(c, i, '\''); k++)
        if (is(c, i + 1, contractions[k][0]) && (!contractions[k][1] || is(c, i + 2, contractions[k][1])))
            return contractions[k][1] ? 3 : 2;
    static const UnicodeClass visible[] = {UNICODE_LETTER, UNICODE_NUMBER, UNICODE_OTHER};
    for (size_t k = 0; k < sizeof visible / sizeof *visible; k++) {
        const size_t blank = is(c, i, ' '), n = run(c, i + blank, visible[k]);
        if (n > 0)
            return blank + n;
    }
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
