#include "tokenizer/encode/utf8_replace.h"

#include "tokenizer/unicode.h"

enum { LONGEST_CHARACTER = 4 };

static Status append_character(ByteList *text, Utf8Character c, const uint8_t *bytes)
{
    if (c.status == UTF8_VALID)
        return byte_list_append(text, bytes, c.length);
    return byte_list_append(text, utf8_replacement, sizeof utf8_replacement);
}

/* Completes the held beginning with bytes from the front and says how many it took. What is held is the beginning of
   some character, so no malformed piece is shorter. */
static Status finish_held(Utf8Replacer *replacer, ByteList *text, const uint8_t *bytes, size_t length, bool ended,
                          size_t *taken)
{
    uint8_t window[2 * LONGEST_CHARACTER];
    const size_t held = replacer->held_count, more = length < LONGEST_CHARACTER ? length : LONGEST_CHARACTER;
    memcpy(window, replacer->held, held);
    if (more)
        memcpy(window + held, bytes, more);
    const Utf8Character c = utf8_decode(window, held + more);
    *taken = c.length - held;
    if (c.status == UTF8_TRUNCATED && !ended) {
        memcpy(replacer->held, window, held + more);
        replacer->held_count = held + more;
        return CS336_OK;
    }
    replacer->held_count = 0;
    return append_character(text, c, window);
}

/* How many bytes from the front are whole characters. Eight of ASCII are one look. */
static size_t valid_length(const uint8_t *text, size_t length)
{
    const uint64_t beyond_ascii = UINT64_C(0x8080808080808080);
    size_t at = 0;
    while (at < length) {
        uint64_t eight = beyond_ascii;
        if (length - at >= sizeof eight)
            memcpy(&eight, text + at, sizeof eight);
        if (!(eight & beyond_ascii)) {
            at += sizeof eight;
            continue;
        }
        const Utf8Character c = utf8_decode(text + at, length - at);
        if (c.status != UTF8_VALID)
            break;
        at += c.length;
    }
    return at;
}

Status utf8_replace(Utf8Replacer *replacer, ByteList *text, const uint8_t *bytes, size_t length, bool ended)
{
    const Utf8Replacer before = *replacer;
    const size_t text_before = text->length;
    Status s = CS336_OK;
    size_t at = 0;
    if (replacer->held_count && (length || ended))
        s = finish_held(replacer, text, bytes, length, ended, &at);
    while (!s && at < length) {
        const size_t valid = valid_length(bytes + at, length - at);
        s = byte_list_append(text, bytes + at, valid);
        at += valid;
        if (s || at == length)
            break;
        const Utf8Character c = utf8_decode(bytes + at, length - at);
        if (c.status == UTF8_TRUNCATED && !ended) {
            memcpy(replacer->held, bytes + at, c.length);
            replacer->held_count = c.length;
        } else {
            s = append_character(text, c, bytes + at);
        }
        at += c.length;
    }
    if (s) {
        *replacer = before;
        text->length = text_before;
    }
    return s;
}
