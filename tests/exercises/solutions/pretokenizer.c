/*
 * Pre-tokenization: special tokens cut the text into segments; GPT-2's pattern splits each segment.
 *
 *     '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * All positions are offsets of bytes.
 */
#include "tests/adapters.h"

#include "tokenizer/unicode.h"

/* Returns the length of the longest special token that begins at `begin`, or 0 if none does. */
static size_t special_token_at(ByteString text, size_t begin, const ByteString *special_tokens, size_t special_count)
{
    size_t longest = 0;
    for (size_t i = 0; i < special_count; i++) {
        const ByteString token = special_tokens[i];
        if (token.length > longest && token.length <= text.length - begin &&
            memcmp(text.bytes + begin, token.bytes, token.length) == 0)
            longest = token.length;
    }
    return longest;
}

/* True if `word` stands at `begin`. */
static bool stands_at(ByteString text, size_t begin, const char *word)
{
    const size_t length = strlen(word);
    return length <= text.length - begin && memcmp(text.bytes + begin, word, length) == 0;
}

/* Returns where the run of characters of one class ends that begins at `begin`. The run may be empty. */
static size_t end_of_run(ByteString text, size_t begin, UnicodeClass class)
{
    while (begin < text.length) {
        const Utf8Character c = utf8_decode(text.bytes + begin, text.length - begin);
        if (unicode_class(c.code_point) != class)
            break;
        begin += c.length;
    }
    return begin;
}

/* Returns where the character begins that ends at `end`. In UTF-8 all its bytes but the first are 10xxxxxx. */
static size_t last_character(ByteString text, size_t end)
{
    do
        end--;
    while ((text.bytes[end] & 0xC0) == 0x80);
    return end;
}

/* Returns where the pre-token ends that begins at `begin`. It tries the alternatives of the pattern in their order. */
static size_t end_of_pretoken(ByteString text, size_t begin)
{
    /* '(?:[sdmt]|ll|ve|re) */
    static const char *const contractions[] = {"'s", "'d", "'m", "'t", "'ll", "'ve", "'re"};
    for (size_t i = 0; i < sizeof contractions / sizeof *contractions; i++)
        if (stands_at(text, begin, contractions[i]))
            return begin + strlen(contractions[i]);

    /*  ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+ */
    static const UnicodeClass visible[] = {UNICODE_LETTER, UNICODE_NUMBER, UNICODE_OTHER};
    const size_t after_blank = stands_at(text, begin, " ") ? begin + 1 : begin;
    for (size_t i = 0; i < sizeof visible / sizeof *visible; i++) {
        const size_t end = end_of_run(text, after_blank, visible[i]);
        if (end > after_blank)
            return end;
    }

    /*
     * \s+(?!\S)|\s+ : white space. If a visible character follows, the first alternative gives one character back, so
     * that no visible character follows it; a single one is left to the second alternative.
     */
    const size_t end = end_of_run(text, begin, UNICODE_SPACE);
    if (end == text.length)
        return end;
    const size_t last = last_character(text, end);
    return last > begin ? last : end;
}

Status run_pretokenize(TextRangeList *ranges, ByteString text, const ByteString *special_tokens, size_t special_count)
{
    Status s = CS336_OK;
    for (size_t begin = 0; !s && begin < text.length;) {
        /* The segment: the text up to the next special token, or to the end. */
        size_t segment_end = begin, special_length = 0;
        while (segment_end < text.length && special_length == 0) {
            special_length = special_token_at(text, segment_end, special_tokens, special_count);
            if (special_length == 0)
                segment_end++;
        }

        /* Its pre-tokens. They are found in a text that ends with the segment. */
        const ByteString segment = {.bytes = text.bytes, .length = segment_end};
        while (!s && begin < segment_end) {
            const size_t end = end_of_pretoken(segment, begin);
            s = text_range_list_append(ranges, begin, end, false);
            begin = end;
        }

        /* The special token. */
        if (!s && special_length > 0)
            s = text_range_list_append(ranges, begin, begin + special_length, true);
        begin += special_length;
    }
    return s;
}
