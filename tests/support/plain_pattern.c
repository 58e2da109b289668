#include "tests/support/plain_pattern.h"

#include "core/utf8.h"
#include "tests/support/zeroed.h"
#include "tokenizer/unicode.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* ---- regular expressions ---- */

/* Sets of characters, as bits. */
enum { LETTER = 1, NUMBER = 2, SPACE = 4, OTHER = 8, LINE_END = 16, BLANK = 32 };

/* `least` to `most` characters that are in one of the sets `in`, or in none of `in` if the set is negated. */
typedef struct {
    unsigned in;
    bool negated;
    size_t least, most;
} Repeat;

/* Repeats that follow each other; those behind the first one with most == 0 are not in use. */
typedef struct {
    Repeat repeats[3];
    bool not_before_visible; /* (?!\S) at the end */
} Alternative;

#define ONE_OR_MORE .least = 1, .most = SIZE_MAX
#define ANY_NUMBER .most = SIZE_MAX
#define OPTIONAL .most = 1

typedef struct {
    const char *contractions[7]; /* the first alternatives */
    bool ignores_case;           /* of the contractions */
    Alternative alternatives[6]; /* those without repeats are not in use */
} Expression;

/* '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static const Expression gpt2 = {
    .contractions = {"'s", "'d", "'m", "'t", "'ll", "'ve", "'re"},
    .alternatives =
        {
            {.repeats = {{BLANK, OPTIONAL}, {LETTER, ONE_OR_MORE}}},
            {.repeats = {{BLANK, OPTIONAL}, {NUMBER, ONE_OR_MORE}}},
            {.repeats = {{BLANK, OPTIONAL}, {SPACE | LETTER | NUMBER, .negated = true, ONE_OR_MORE}}},
            {.repeats = {{SPACE, ONE_OR_MORE}}, .not_before_visible = true},
            {.repeats = {{SPACE, ONE_OR_MORE}}},
        },
};

/*
 * (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 */
static const Expression gpt4 = {
    .contractions = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"},
    .ignores_case = true,
    .alternatives =
        {
            {.repeats = {{LINE_END | LETTER | NUMBER, .negated = true, OPTIONAL}, {LETTER, ONE_OR_MORE}}},
            {.repeats = {{NUMBER, .least = 1, .most = 3}}},
            {.repeats = {{BLANK, OPTIONAL},
                         {SPACE | LETTER | NUMBER, .negated = true, ONE_OR_MORE},
                         {LINE_END, ANY_NUMBER}}},
            {.repeats = {{SPACE, ANY_NUMBER}, {LINE_END, ONE_OR_MORE}}},
            {.repeats = {{SPACE, ONE_OR_MORE}}, .not_before_visible = true},
            {.repeats = {{SPACE, ONE_OR_MORE}}},
        },
};

/* ---- texts ---- */

/* The characters of a text; character i begins at byte starts[i], and starts[count] is the length. */
typedef struct {
    uint32_t *code_points;
    unsigned *sets;
    size_t *starts, count;
} Characters;

static unsigned sets_of(uint32_t c)
{
    static const unsigned classes[UNICODE_CLASS_COUNT] = {
        [UNICODE_LETTER] = LETTER, [UNICODE_NUMBER] = NUMBER, [UNICODE_SPACE] = SPACE, [UNICODE_OTHER] = OTHER};
    return classes[unicode_class(c)] | (c == '\r' || c == '\n' ? LINE_END : 0U) | (c == ' ' ? BLANK : 0U);
}

static Characters characters_of(ByteString text)
{
    Characters c = {.code_points = zeroed(text.length, sizeof *c.code_points),
                    .sets = zeroed(text.length, sizeof *c.sets),
                    .starts = zeroed(text.length, sizeof *c.starts)};
    for (size_t start = 0; start < text.length; c.count++) {
        const Utf8Character next = utf8_decode(text.bytes + start, text.length - start);
        c.code_points[c.count] = next.code_point;
        c.sets[c.count] = sets_of(next.code_point);
        start += next.length;
        c.starts[c.count + 1] = start;
    }
    return c;
}

/* ---- matching ---- */

static const size_t NO_MATCH = SIZE_MAX;

/* Characters that are the same but for case; only the letters of contractions matter. */
static uint32_t fold(uint32_t c)
{
    return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c == 0x17F ? 's' : c; /* U+017F is the long s */
}

/* Returns where a literal ends that begins at character i. */
static size_t match_literal(const Characters *text, size_t i, const char *literal, bool ignores_case)
{
    for (; *literal; literal++, i++) {
        const uint32_t c = i < text->count ? text->code_points[i] : 0;
        if ((ignores_case ? fold(c) : c) != (uint32_t)*literal)
            return NO_MATCH;
    }
    return i;
}

/* Returns where an alternative from repeat r on ends, if it matches from character i on. */
static size_t match_repeats(const Characters *text, size_t i, const Alternative *a, size_t r)
{
    enum { REPEATS = sizeof a->repeats / sizeof *a->repeats };
    if (r == REPEATS || a->repeats[r].most == 0)
        return a->not_before_visible && i < text->count && !(text->sets[i] & SPACE) ? NO_MATCH : i;
    const Repeat *repeat = &a->repeats[r];
    size_t n = 0;
    while (n < repeat->most && i + n < text->count && ((text->sets[i + n] & repeat->in) != 0) != repeat->negated)
        n++;
    for (;; n--) { /* backtracking: one character fewer */
        if (n < repeat->least)
            return NO_MATCH;
        const size_t end = match_repeats(text, i + n, a, r + 1);
        if (end != NO_MATCH || n == 0)
            return end;
    }
}

/* Returns where the first alternative that matches at character i ends. */
static size_t match(const Characters *text, size_t i, const Expression *expression)
{
    size_t end = NO_MATCH;
    for (size_t k = 0; end == NO_MATCH && k < sizeof expression->contractions / sizeof *expression->contractions; k++)
        end = match_literal(text, i, expression->contractions[k], expression->ignores_case);
    for (const Alternative *a = expression->alternatives; end == NO_MATCH; a++)
        end = match_repeats(text, i, a, 0);
    return end; /* \s+ is the last alternative, and all else is in one before: one of them matches */
}

size_t plain_pattern_pretokens(size_t *ends, ByteString text, PretokenPattern pattern)
{
    Characters characters = characters_of(text);
    size_t count = 0;
    for (size_t i = 0; i < characters.count;) {
        i = match(&characters, i, pattern == PATTERN_GPT4 ? &gpt4 : &gpt2);
        ends[count++] = characters.starts[i];
    }
    free(characters.code_points);
    free(characters.sets);
    free(characters.starts);
    return count;
}
