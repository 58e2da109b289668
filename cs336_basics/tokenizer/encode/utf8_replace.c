#include "tokenizer/encode/utf8_replace.h"

#include "tokenizer/unicode.h"

enum { LONGEST_CHARACTER = 4 };

/* Appends a character, or U+FFFD if it is malformed or cut off. */
static Status append_character(ByteList *text, Utf8Character c, const uint8_t *bytes)
{
    if (c.status == UTF8_VALID)
        return byte_list_append(text, bytes, c.length);
    return byte_list_append(text, utf8_replacement, sizeof utf8_replacement);
}

/*
 * Completes the held character with the first of `bytes`, and sets *taken to how many of them it took. The held bytes
 * are the beginning of some character, so a malformed sequence has at least these.
 */
static Status finish_held(Utf8Replacer *replacer, ByteList *text, const uint8_t *bytes, size_t length, bool ended,
                          size_t *taken)
{
    uint8_t joined[2 * LONGEST_CHARACTER];
    const size_t held = replacer->held_count, more = length < LONGEST_CHARACTER ? length : LONGEST_CHARACTER;
    memcpy(joined, replacer->held, held);
    if (more)
        memcpy(joined + held, bytes, more);
    const Utf8Character c = utf8_decode(joined, held + more);
    *taken = c.length - held;
    if (c.status == UTF8_TRUNCATED && !ended) {
        memcpy(replacer->held, joined, held + more);
        replacer->held_count = held + more;
        return CS336_OK;
    }
    replacer->held_count = 0;
    return append_character(text, c, joined);
}

/* Returns how many bytes at the front are valid characters. Eight bytes of ASCII take one comparison. */
static size_t valid_length(const uint8_t *text, size_t length)
{
    const uint64_t beyond_ascii = UINT64_C(0x8080808080808080); /* the high bit of each byte */
    size_t valid = 0;
    while (valid < length) {
        uint64_t eight = beyond_ascii;
        if (length - valid >= sizeof eight)
            memcpy(&eight, text + valid, sizeof eight);
        if (!(eight & beyond_ascii)) {
            valid += sizeof eight;
            continue;
        }
        const Utf8Character c = utf8_decode(text + valid, length - valid);
        if (c.status != UTF8_VALID)
            break;
        valid += c.length;
    }
    return valid;
}

Status utf8_replace(Utf8Replacer *replacer, ByteList *text, const uint8_t *bytes, size_t length, bool ended)
{
    const Utf8Replacer before = *replacer;
    const size_t text_before = text->length;
    Status s = CS336_OK;
    size_t done = 0; /* bytes that are appended or held */
    if (replacer->held_count && (length || ended))
        s = finish_held(replacer, text, bytes, length, ended, &done);
    while (!s && done < length) {
        const size_t valid = valid_length(bytes + done, length - done);
        s = byte_list_append(text, bytes + done, valid);
        done += valid;
        if (s || done == length)
            break;
        /* Here is a malformed sequence, or the beginning of a character at the end. */
        const Utf8Character c = utf8_decode(bytes + done, length - done);
        if (c.status == UTF8_TRUNCATED && !ended) {
            memcpy(replacer->held, bytes + done, c.length);
            replacer->held_count = c.length;
        } else {
            s = append_character(text, c, bytes + done);
        }
        done += c.length;
    }
    /* On failure, undo everything. */
    if (s) {
        *replacer = before;
        text->length = text_before;
    }
    return s;
}
