#include "tests/support/plain_tokenizer.h"

#include "tests/support/plain_pretokens.h"
#include "tests/support/zeroed.h"
#include "tokenizer/unicode.h"

#include <stdlib.h>

static TextRange *room_for_ranges(ByteString text)
{
    return zeroed(text.length, sizeof(TextRange));
}

static size_t split(TextRange *ranges, const PlainTokenizer *t, ByteString text)
{
    const bool kept = t->mistake != TOKENIZER_SPECIAL_TOKENS_NOT_KEPT;
    return plain_split(ranges, text, t->special, kept ? t->special_count : 0, PRETOKENS_RIGHT);
}

static size_t encode_ranges(ByteString *tokens, const PlainTokenizer *t, ByteString text, const TextRange *ranges,
                            size_t range_count)
{
    size_t count = 0;
    for (size_t i = 0; i < range_count; i++) {
        const ByteString bytes = {.bytes = text.bytes + ranges[i].begin, .length = ranges[i].end - ranges[i].begin};
        if (ranges[i].special)
            tokens[count++] = bytes;
        else
            count += plain_bpe_apply(tokens + count, bytes, t->merges->left, t->merges->right, t->merges->merge_count,
                                     t->mistake);
    }
    return count;
}

size_t plain_encode(ByteString *tokens, const PlainTokenizer *tokenizer, ByteString text)
{
    TextRange *ranges = room_for_ranges(text);
    const size_t count = encode_ranges(tokens, tokenizer, text, ranges, split(ranges, tokenizer, text));
    free(ranges);
    return count;
}

/* Returns how many ranges a stream with this mistake encodes when `length` bytes are there and more may follow. */
static size_t count_certain(const PlainTokenizer *t, const TextRange *ranges, size_t count, size_t length)
{
    size_t longest = 0;
    for (size_t i = 0; i < t->special_count; i++)
        longest = t->special[i].length > longest ? t->special[i].length : longest;
    if (t->mistake == TOKENIZER_CHUNKS_END_PRETOKENS)
        return count;
    while (count > 0 && ranges[count - 1].begin + longest > length &&
           t->mistake != TOKENIZER_STREAM_CUTS_SPECIAL_TOKENS)
        count--;
    const size_t held = t->mistake == TOKENIZER_STREAM_HOLDS_ONE_PRETOKEN    ? 1
                        : t->mistake == TOKENIZER_STREAM_HOLDS_TWO_PRETOKENS ? 2
                                                                             : 3;
    return count > held ? count - held : 0;
}

size_t plain_encode_chunks(ByteString *tokens, const PlainTokenizer *tokenizer, ByteString text, const size_t *lengths,
                           size_t chunk_count)
{
    if (tokenizer->mistake != TOKENIZER_CHUNKS_END_PRETOKENS &&
        tokenizer->mistake != TOKENIZER_STREAM_CUTS_SPECIAL_TOKENS &&
        tokenizer->mistake != TOKENIZER_STREAM_HOLDS_ONE_PRETOKEN &&
        tokenizer->mistake != TOKENIZER_STREAM_HOLDS_TWO_PRETOKENS)
        return plain_encode(tokens, tokenizer, text);
    TextRange *ranges = room_for_ranges(text);
    size_t count = 0, encoded = 0, shown = 0;
    for (size_t i = 0; i < chunk_count; i++) {
        shown += lengths[i];
        const ByteString pending = {.bytes = text.bytes + encoded, .length = shown - encoded};
        const size_t range_count = split(ranges, tokenizer, pending);
        const size_t certain =
            i + 1 == chunk_count ? range_count : count_certain(tokenizer, ranges, range_count, pending.length);
        count += encode_ranges(tokens + count, tokenizer, pending, ranges, certain);
        encoded += certain > 0 ? ranges[certain - 1].end : 0;
    }
    free(ranges);
    return count;
}

static void append(ByteList *text, const uint8_t *bytes, size_t length)
{
    if (byte_list_append(text, bytes, length))
        abort();
}

/* Appends bytes, with U+FFFD for each malformed sequence. */
static void append_replaced(ByteList *text, const ByteList *bytes)
{
    for (size_t i = 0; i < bytes->length;) {
        const Utf8Character c = utf8_decode(bytes->bytes + i, bytes->length - i);
        const bool valid = c.status == UTF8_VALID;
        append(text, valid ? bytes->bytes + i : utf8_replacement, valid ? c.length : 3);
        i += c.length;
    }
}

void plain_decode(ByteList *text, const PlainTokenizer *tokenizer, const ByteString *tokens, size_t count)
{
    ByteList bytes = {0};
    for (size_t i = 0; i < count; i++) {
        append(&bytes, tokens[i].bytes, tokens[i].length);
        if (tokenizer->mistake == TOKENIZER_DECODES_TOKENS_ONE_BY_ONE) {
            append_replaced(text, &bytes);
            bytes.length = 0;
        }
    }
    if (tokenizer->mistake == TOKENIZER_MALFORMED_UTF8_KEPT)
        append(text, bytes.bytes, bytes.length);
    else
        append_replaced(text, &bytes);
    byte_list_deinit(&bytes);
}
