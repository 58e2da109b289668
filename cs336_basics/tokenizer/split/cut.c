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

bool pretoken_surely_begins(const uint8_t *text, size_t length, size_t cut)
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
    const UnicodeClass left = valid ? unicode_class(before.code_point) : UNICODE_OTHER,
                       right = unicode_class(after.code_point);
    return left != UNICODE_SPACE && right != left && after.status != UTF8_TRUNCATED &&
           !(valid && before.code_point == '\'' && right == UNICODE_LETTER);
}

size_t pretoken_last_cut(const uint8_t *text, size_t length, size_t begin)
{
    for (size_t cut = length; cut-- > begin + 1;)
        if (pretoken_surely_begins(text, length, cut))
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

bool text_may_be_cut(const SpecialTokens *special, const uint8_t *text, size_t length, size_t cut, bool ended)
{
    return pretoken_surely_begins(text, length, cut) && !special_tokens_cross(special, text, length, cut, ended) &&
           !special_tokens_split_character(special, text, length, cut, ended);
}
