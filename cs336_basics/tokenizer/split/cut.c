#include "tokenizer/split/cut.h"

#include "tokenizer/unicode.h"

/* Decodes the character that ends before index `end`. Returns false if it is malformed or begins before the text. */
static bool character_before(Utf8Character *c, const uint8_t *text, size_t end)
{
    size_t begin = end - 1;
    while (begin > 0 && end - begin < 4 && (text[begin] & 0xC0) == 0x80)
        begin--;
    *c = utf8_decode(text + begin, end - begin);
    return c->status == UTF8_VALID && begin + c->length == end;
}

static bool is_line_end(uint32_t code_point)
{
    return code_point == '\r' || code_point == '\n';
}

/* The rule of GPT-2's pattern for characters of two different classes, the code point `before` and another. */
static bool gpt2_separates(UnicodeClass left, uint32_t before, UnicodeClass right)
{
    return left != UNICODE_SPACE && !(before == '\'' && right == UNICODE_LETTER);
}

/*
 * The rule of GPT-4's pattern for characters of two different classes. No alternative looks behind, so the pre-tokens
 * behind a border never depend on what is before it. What is left to show is that the pre-token of the character before
 * ends with it, whatever its beginning is, and would end so at the end of a text too.
 *
 * - A letter is matched by a contraction or by `\p{L}+`. Neither goes on with another class, nor does either look
 * ahead.
 * - A number is matched by `\p{N}{1,3}`, which neither goes on nor looks ahead.
 * - Another visible character stands alone before letters, or is matched by `[^\s\p{L}\p{N}]+[\r\n]*`. If no letter and
 *   no line end follows, the pre-token ends. An apostrophe is of this kind.
 * - A line end is matched by `[\r\n]*` behind such a character, which nothing visible goes on with; or by `\s*[\r\n]+`,
 *   which ends at the last line end of the white space. If something visible follows, or nothing, that is this one.
 * - Other white space may stand before what follows, or `\s+(?!\S)` looks ahead to it. So there is no safe cut.
 */
static bool gpt4_separates(UnicodeClass left, uint32_t before, UnicodeClass right, uint32_t after)
{
    if (left == UNICODE_SPACE)
        return is_line_end(before);
    if (left == UNICODE_OTHER)
        return right == UNICODE_NUMBER || (right == UNICODE_SPACE && !is_line_end(after));
    return true;
}

bool pretoken_surely_begins(PretokenPattern pattern, const uint8_t *text, size_t length, size_t cut)
{
    Utf8Character before;
    if (cut == 0 || cut >= length)
        return false;
    /* Nearly all places are inside a run of ASCII letters, so that is tried first: one chunk may be searched for long.
     */
    if (text[cut - 1] < 0x80 && text[cut] < 0x80 &&
        (text[cut - 1] == text[cut] || unicode_class(text[cut - 1]) == unicode_class(text[cut])))
        return false;
    const bool valid = character_before(&before, text, cut);
    if (!valid && (text[cut] & 0xC0) == 0x80) /* the byte may belong to a character that begins before the cut */
        return false;
    const Utf8Character after = utf8_decode(text + cut, length - cut);
    const uint32_t x = valid ? before.code_point : UNICODE_REPLACEMENT, y = after.code_point;
    const UnicodeClass left = unicode_class(x), right = unicode_class(y);
    if (right == left || after.status == UTF8_TRUNCATED)
        return false;
    return pattern == PATTERN_GPT4 ? gpt4_separates(left, x, right, y) : gpt2_separates(left, x, right);
}

size_t pretoken_last_cut(PretokenPattern pattern, const uint8_t *text, size_t length, size_t begin)
{
    for (size_t cut = length; cut-- > begin + 1;)
        if (pretoken_surely_begins(pattern, text, length, cut))
            return cut;
    return 0;
}

/*
 * True if a special token begins or ends inside the character before the cut or the one after it. The segments between
 * special tokens are texts of their own, so there is no such character then, but malformed pieces of it, whose class is
 * another one.
 */
static bool special_tokens_split_character(const SpecialTokens *special, const uint8_t *text, size_t length, size_t cut,
                                           bool ended)
{
    Utf8Character before;
    if (character_before(&before, text, cut))
        for (size_t i = 1; i < before.length; i++)
            if (special_tokens_end_at(special, text, cut - i))
                return true;
    const Utf8Character after = utf8_decode(text + cut, length - cut);
    for (size_t i = 1; i < after.length; i++)
        if (special_tokens_begin_at(special, text, length, cut + i, ended))
            return true;
    return false;
}

bool text_may_be_cut(const SpecialTokens *special, PretokenPattern pattern, const uint8_t *text, size_t length,
                     size_t cut, bool ended)
{
    return pretoken_surely_begins(pattern, text, length, cut) &&
           !special_tokens_cross(special, text, length, cut, ended) &&
           !special_tokens_split_character(special, text, length, cut, ended);
}
