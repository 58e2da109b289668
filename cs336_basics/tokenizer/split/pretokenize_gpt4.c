/*
 * The scanner of GPT-4's pattern. It was published with tiktoken's encoding cl100k_base, and Llama 3 and the
 * tokenizer.json files of both models have it:
 *
 *     (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
 * ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *
 * The alternatives need no backtracking. The first character of a pre-token and the one after it decide which of them
 * matches, except for white space:
 *
 * - `\s*[\r\n]+` takes white space up to its last line end. `\s*` first takes all of it and then gives back as much as
 *   `[\r\n]+` needs, which is the last line end. (So `[\r\n]` instead of `[\r\n]+` would match the same.)
 * - Without a line end, `\s+(?!\S)` takes white space but for the last character before something visible. That
 *   character begins the next pre-token, and is one alone if it cannot stand before what follows.
 *
 * (?i:) ignores case as Unicode does: "ſ" (U+017F, long s) is an s.
 *
 * tiktoken 0.14 writes the pattern with possessive quantifiers, which give nothing back, and in another order:
 *
 *     '(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+|
 * ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s
 *
 * Its `\s++$` comes before the line ends. So white space at the end of a text, or before a special token, is one
 * pre-token there, even if it has a line end with other white space behind it. All other texts are split alike.
 */
#include "tokenizer/split/pretokenize_scanner.h"

/*
 * Bytes that must follow unless the text ends. Three numbers have at most 12; a character and the next one, or an
 * apostrophe and the two letters of a contraction, at most 8.
 */
enum { LOOK_AHEAD = 12, MOST_NUMBERS = 3 /* of a pre-token */ };

/* True if more bytes may decide what begins at `text`. */
static bool needs_more(const Pretokenizer *p, const uint8_t *text)
{
    return !p->ended && p->end - text < LOOK_AHEAD;
}

/* Returns the character at `text`. The end of the text is white space of length 0: nothing visible follows. */
static Utf8Class character_at(const Pretokenizer *p, const uint8_t *text)
{
    return text == p->end ? (Utf8Class){.unicode_class = UNICODE_SPACE} : utf8_class(text, (size_t)(p->end - text));
}

static bool is_line_end(uint8_t byte)
{
    return byte == '\r' || byte == '\n';
}

/* Returns the length of the contraction at `text`, or 0 if there is none. Setting bit 5 makes a letter lower case. */
static unsigned contraction_length(const uint8_t *text, const uint8_t *end)
{
    const size_t left = (size_t)(end - text);
    if (*text != '\'' || left < 2)
        return 0;
    const uint8_t a = text[1] | 0x20, b = left > 2 ? text[2] | 0x20 : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    if ((a == 'l' && b == 'l') || ((a == 'v' || a == 'r') && b == 'e'))
        return 3;
    return left > 2 && text[1] == 0xC5 && text[2] == 0xBF ? 3 : 0; /* U+017F */
}

/* Returns where the numbers at `text` end, at most three of them. */
static const uint8_t *end_of_numbers(const Pretokenizer *p, const uint8_t *text)
{
    for (int i = 0; i < MOST_NUMBERS; i++) {
        const Utf8Class c = character_at(p, text);
        if (c.unicode_class != UNICODE_NUMBER)
            break;
        text += c.length;
    }
    return text;
}

/*
 * Takes the first characters of a pre-token and sets p->part to what it goes on with, or to PRETOKEN_BEGINS if it ends
 * there. Returns false at the end of the bytes. The order of the tests is that of the alternatives.
 */
static bool take_first(Pretokenizer *p)
{
    const uint8_t *text = p->unscanned;
    if (text == p->end || needs_more(p, text))
        return false;
    const Utf8Class first = character_at(p, text), next = character_at(p, text + first.length);
    const UnicodeClass class = first.unicode_class;
    const unsigned contraction = contraction_length(text, p->end);
    const bool joins_letters = class != UNICODE_NUMBER && !is_line_end(*text) && next.unicode_class == UNICODE_LETTER;
    if (contraction) {
        p->unscanned += contraction;
    } else if (class == UNICODE_LETTER || joins_letters) {
        p->unscanned += first.length;
        p->part = PRETOKEN_LETTERS;
    } else if (class == UNICODE_NUMBER) {
        p->unscanned = end_of_numbers(p, text);
    } else if (class == UNICODE_OTHER || (*text == ' ' && next.unicode_class == UNICODE_OTHER)) {
        p->unscanned += first.length;
        p->part = PRETOKEN_OTHERS;
    } else if (is_line_end(*text) || next.unicode_class == UNICODE_SPACE) {
        p->part = PRETOKEN_SPACES;
    } else { /* one character of white space before something visible that it cannot stand before */
        p->unscanned += first.length;
    }
    return true;
}

/* Takes characters of a class. Returns false if more bytes may go on with them. */
static bool take_class(Pretokenizer *p, UnicodeClass class)
{
    Utf8Class c;
    while (!needs_more(p, p->unscanned) && (c = character_at(p, p->unscanned)).unicode_class == class)
        p->unscanned += c.length;
    return !needs_more(p, p->unscanned);
}

static bool take_line_ends(Pretokenizer *p)
{
    while (p->unscanned < p->end && is_line_end(*p->unscanned))
        p->unscanned++;
    return p->ended || p->unscanned < p->end;
}

/*
 * Takes white space, as far as it surely belongs to the pre-token. Without a line end, that is all but its last
 * character: if something visible follows, the last character is left over. With one, it is all up to the last line
 * end. What lies behind that is counted in p->spaces, and not taken before another line end comes. Returns false if
 * more bytes may go on with the white space.
 */
static bool take_spaces(Pretokenizer *p)
{
    for (;;) {
        const uint8_t *text = p->unscanned + p->spaces;
        if (needs_more(p, text))
            return false;
        const Utf8Class c = character_at(p, text);
        if (c.length == 0 && p->part == PRETOKEN_SPACES)
            p->unscanned = text;
        if (c.length == 0 || c.unicode_class != UNICODE_SPACE)
            break;
        if (is_line_end(*text)) {
            p->part = PRETOKEN_AFTER_LINE_END;
            p->unscanned = text + 1;
            p->spaces = 0;
        } else if (p->part == PRETOKEN_SPACES) {
            p->unscanned = text;
            p->spaces = c.length;
        } else {
            p->spaces += c.length;
        }
    }
    p->spaces = 0;
    return true;
}

/* Moves p->unscanned to the end of the pre-token. Returns false if it is not among the bytes. */
static bool find_end(Pretokenizer *p)
{
    bool found = p->part != PRETOKEN_BEGINS || take_first(p);
    if (p->part == PRETOKEN_LETTERS) {
        found = take_class(p, UNICODE_LETTER);
    } else if (p->part == PRETOKEN_SPACES || p->part == PRETOKEN_AFTER_LINE_END) {
        found = take_spaces(p);
    } else {
        if (p->part == PRETOKEN_OTHERS && (found = take_class(p, UNICODE_OTHER)))
            p->part = PRETOKEN_LINE_ENDS;
        if (p->part == PRETOKEN_LINE_ENDS)
            found = take_line_ends(p);
    }
    if (found)
        p->part = PRETOKEN_BEGINS;
    return found;
}

size_t pretokenize_gpt4(Pretokenizer *p, const uint8_t **ends, size_t capacity)
{
    size_t count = 0;
    while (count < capacity && find_end(p))
        ends[count++] = p->unscanned;
    return count;
}
