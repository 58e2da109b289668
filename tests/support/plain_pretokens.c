#include "tests/support/plain_pretokens.h"

#include "tests/support/plain_pattern.h"
#include "tests/support/zeroed.h"
#include "tokenizer/unicode.h"

#include <stdlib.h>

/* The characters of a text; character i is its bytes starts[i] up to, not including, starts[i + 1]. */
typedef struct {
    UnicodeClass *classes;
    size_t *starts, count;
    const uint8_t *text;
} Characters;

static UnicodeClass class_of(uint32_t code_point, PretokensMistake mistake)
{
    const UnicodeClass class = unicode_class(code_point);
    const bool foreign = class == UNICODE_LETTER && code_point >= 0x80;
    return foreign && mistake == PRETOKENS_ASCII_LETTERS_ONLY ? UNICODE_OTHER : class;
}

static Characters characters_of(ByteString text, PretokensMistake mistake)
{
    Characters c = {.classes = zeroed(text.length, sizeof *c.classes),
                    .starts = zeroed(text.length, sizeof *c.starts),
                    .text = text.bytes};
    size_t start = 0;
    while (start < text.length) {
        Utf8Character next = utf8_decode(text.bytes + start, text.length - start);
        if (mistake == PRETOKENS_BYTES_FOR_CHARACTERS)
            next = (Utf8Character){.code_point = text.bytes[start], .length = 1};
        c.starts[c.count] = start;
        c.classes[c.count++] = class_of(next.code_point, mistake);
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
static size_t match(const Characters *c, size_t i, PretokensMistake mistake)
{
    /* '(?:[sdmt]|ll|ve|re) */
    static const char contractions[][3] = {"s", "d", "m", "t", "ll", "ve", "re"};
    const bool quote = is(c, i, '\'') && mistake != PRETOKENS_WITHOUT_CONTRACTIONS;
    for (size_t k = 0; k < sizeof contractions / sizeof *contractions && quote; k++)
        if (is(c, i + 1, contractions[k][0]) && (!contractions[k][1] || is(c, i + 2, contractions[k][1])))
            return contractions[k][1] ? 3 : 2;
    /*  ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+ */
    static const UnicodeClass visible[] = {UNICODE_LETTER, UNICODE_NUMBER, UNICODE_OTHER};
    for (size_t k = 0; k < sizeof visible / sizeof *visible; k++) {
        const size_t blank = is(c, i, ' ') && mistake != PRETOKENS_BLANK_APART, n = run(c, i + blank, visible[k]);
        if (n > 0)
            return blank + n;
    }
    /* \s+(?!\S)|\s+ : the longest run of white space that no visible character follows, else all of it */
    const size_t spaces = run(c, i, UNICODE_SPACE);
    for (size_t n = spaces; n > 0 && mistake != PRETOKENS_WHITE_SPACE_TAKES_ALL; n--)
        if (i + n == c->count || c->classes[i + n] == UNICODE_SPACE)
            return n;
    return spaces;
}

/* Finds where the pre-tokens of the first `length` bytes of a text end. The pattern sees the bytes behind them too. */
static size_t pretokens(size_t *ends, ByteString text, size_t length, PretokensMistake mistake)
{
    Characters c = characters_of(text, mistake);
    size_t count = 0;
    for (size_t i = 0; i < c.count && c.starts[i] < length;) {
        i += match(&c, i, mistake);
        ends[count++] = c.starts[i] < length ? c.starts[i] : length;
    }
    free(c.classes);
    free(c.starts);
    return count;
}

size_t plain_pretokens(size_t *ends, ByteString text)
{
    return pretokens(ends, text, text.length, PRETOKENS_RIGHT);
}

/* Returns the length of the special token that begins at `begin`, or 0. */
static size_t special_at(ByteString text, size_t begin, const ByteString *special, size_t special_count,
                         PretokensMistake mistake)
{
    size_t found = 0;
    for (size_t i = 0; i < special_count && mistake != PRETOKENS_SPECIAL_TOKENS_ARE_TEXT; i++) {
        const size_t length = special[i].length;
        const bool fits = length <= text.length - begin && memcmp(text.bytes + begin, special[i].bytes, length) == 0;
        const bool shorter = mistake == PRETOKENS_SHORTEST_SPECIAL_TOKEN_FIRST && length < found;
        if (fits && (found == 0 || shorter || (length > found && mistake != PRETOKENS_SHORTEST_SPECIAL_TOKEN_FIRST)))
            found = length;
    }
    return found;
}

/* Splits a text by a pattern; mistakes are made with GPT-2's alone. */
static size_t split(TextRange *ranges, ByteString text, const ByteString *special, size_t special_count,
                    PretokensMistake mistake, PretokenPattern pattern)
{
    size_t *ends = zeroed(text.length, sizeof *ends), count = 0;
    for (size_t i = 0; i < text.length;) {
        /* The text up to the next special token. */
        size_t end = i;
        while (end < text.length && !special_at(text, end, special, special_count, mistake))
            end++;
        const size_t begin = i;
        const size_t seen = mistake == PRETOKENS_SPECIAL_TOKENS_ARE_SEEN_AHEAD ? text.length : end;
        const ByteString segment = {.bytes = text.bytes + i, .length = seen - i};
        const size_t n = pattern == PATTERN_GPT2 ? pretokens(ends, segment, end - i, mistake)
                                                 : plain_pattern_pretokens(ends, segment, pattern);
        for (size_t k = 0; k < n; k++) {
            ranges[count++] = (TextRange){.begin = i, .end = begin + ends[k]};
            i = begin + ends[k];
        }
        if (i < text.length) {
            const size_t length = special_at(text, i, special, special_count, mistake);
            ranges[count++] = (TextRange){.begin = i, .end = i + length, .special = true};
            i += length;
        }
    }
    free(ends);
    return count;
}

size_t plain_split(TextRange *ranges, ByteString text, const ByteString *special, size_t special_count,
                   PretokensMistake mistake)
{
    return split(ranges, text, special, special_count, mistake, PATTERN_GPT2);
}

size_t plain_split_by(TextRange *ranges, ByteString text, const ByteString *special, size_t special_count,
                      PretokenPattern pattern)
{
    return split(ranges, text, special, special_count, PRETOKENS_RIGHT, pattern);
}
