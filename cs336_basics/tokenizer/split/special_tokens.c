#include "tokenizer/split/special_tokens.h"

#include "core/memory.h"

#include <stdlib.h>

static int longest_first(const void *a, const void *b)
{
    const ByteString *x = a, *y = b;
    if (x->length != y->length)
        return x->length < y->length ? 1 : -1;
    return byte_string_compare(*x, *y);
}

/* Copies the tokens, in the given order, and all their bytes into one allocation. */
static Status copy_tokens(SpecialTokens *special, const ByteString *tokens, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += tokens[i].length;
    special->tokens = memory_allocate_zeroed(count, sizeof *special->tokens);
    special->bytes = memory_allocate(total);
    if (!special->tokens || !special->bytes)
        return status_fail(CS336_ENOMEM, "special_tokens_init: no memory for %zu tokens of %zu bytes", count, total);
    uint8_t *bytes = special->bytes;
    for (size_t i = 0; i < count; i++) {
        memcpy(bytes, tokens[i].bytes, tokens[i].length);
        special->tokens[i] = (ByteString){.bytes = bytes, .length = tokens[i].length};
        bytes += tokens[i].length;
    }
    return CS336_OK;
}

static bool has_pair(const SpecialTokens *special, BytePair pair)
{
    for (size_t i = 0; i < special->pair_count; i++)
        if (special->pairs[i].first == pair.first && special->pairs[i].second == pair.second)
            return true;
    return false;
}

/* Collects the distinct pairs of bytes that tokens begin with; none if there are too many or a token has one byte. */
static void collect_pairs(SpecialTokens *special)
{
    for (size_t i = 0; i < special->count; i++) {
        const ByteString token = special->tokens[i];
        const BytePair pair = {.first = token.bytes[0], .second = token.length > 1 ? token.bytes[1] : 0};
        if (token.length > 1 && has_pair(special, pair))
            continue;
        if (token.length == 1 || special->pair_count == SPECIAL_TOKEN_PAIRS) {
            special->pair_count = 0;
            return;
        }
        special->pairs[special->pair_count++] = pair;
    }
}

Status special_tokens_init(SpecialTokens *special, const ByteString *tokens, size_t count)
{
    *special = (SpecialTokens){0};
    for (size_t i = 0; i < count; i++)
        if (tokens[i].length == 0)
            return status_fail(CS336_ERANGE, "special_tokens_init: special token %zu of %zu is empty", i + 1, count);
    if (count == 0)
        return CS336_OK;
    const Status s = copy_tokens(special, tokens, count);
    if (s) {
        special_tokens_deinit(special);
        return s;
    }
    /* Sort, and drop repeated tokens, which are neighbours then. */
    qsort(special->tokens, count, sizeof *special->tokens, longest_first);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || !byte_string_equal(special->tokens[i], special->tokens[special->count - 1]))
            special->tokens[special->count++] = special->tokens[i];
    special->early_count = special->count;
    special->longest = special->tokens[0].length;
    for (size_t i = 0; i < special->count; i++)
        special->begins[special->tokens[i].bytes[0]] = true;
    collect_pairs(special);
    return CS336_OK;
}

void special_tokens_make_late(SpecialTokens *special, ByteString token)
{
    size_t i = 0;
    while (i < special->early_count && !byte_string_equal(special->tokens[i], token))
        i++;
    if (i == special->early_count)
        return;
    /* Move it behind the early tokens, and behind the late ones that are longer. */
    const ByteString late = special->tokens[i];
    special->early_count--;
    for (; i + 1 < special->count; i++) {
        const ByteString next = special->tokens[i + 1];
        if (i >= special->early_count && longest_first(&next, &late) > 0)
            break;
        special->tokens[i] = next;
    }
    special->tokens[i] = late;
}

void special_tokens_deinit(SpecialTokens *special)
{
    memory_release(special->tokens);
    memory_release(special->bytes);
    *special = (SpecialTokens){0};
}

/* Returns the first index from `i` on at which a special token may begin, or `length` if there is none. */
static size_t next_candidate(const SpecialTokens *special, const uint8_t *text, size_t length, size_t i)
{
    if (special->pair_count > 0 && i < length) {
        i = bytes_find_pair(text, length, i, special->pairs, special->pair_count);
        if (i == length) /* no pair; the last byte may still be the first one of a pair that the end cuts off */
            i--;
    }
    while (i < length && !special->begins[text[i]])
        i++;
    return i;
}

/* What stands at a place, if it is not the index of a token. */
enum { NOTHING = -1, CUT_OFF = -2 /* perhaps a token, which more bytes decide */ };

/* Returns the index of the longest of the tokens from `first` to `end` - 1 that begins at a place, or one of the above.
 */
static int64_t longest_at(const SpecialTokens *special, size_t first, size_t end, const uint8_t *text, size_t length,
                          size_t at, bool ended)
{
    const size_t left = length - at;
    for (size_t i = first; i < end; i++) { /* longest first */
        const ByteString token = special->tokens[i];
        if (token.length <= left && memcmp(text + at, token.bytes, token.length) == 0)
            return (int64_t)i;
        if (token.length > left && !ended && memcmp(text + at, token.bytes, left) == 0)
            return CUT_OFF;
    }
    return NOTHING;
}

/* The same for the late tokens at a place where no early one begins: they end before the next early one. */
static int64_t late_at(const SpecialTokens *special, const uint8_t *text, size_t length, size_t at, bool ended)
{
    const size_t early = special->early_count, count = special->count;
    const int64_t late = longest_at(special, early, count, text, length, at, ended);
    if (late < 0)
        return late;
    for (size_t i = at + 1; i < at + special->tokens[late].length; i++) {
        const int64_t next = longest_at(special, 0, early, text, length, i, ended);
        if (next == CUT_OFF)
            return CUT_OFF;
        if (next != NOTHING)
            return longest_at(special, early, count, text, i, at, true);
    }
    return late;
}

SpecialMatch special_tokens_find(const SpecialTokens *special, const uint8_t *text, size_t length, size_t begin,
                                 bool ended)
{
    if (special->count == 0)
        return (SpecialMatch){.begin = length, .index = -1};
    for (; (begin = next_candidate(special, text, length, begin)) < length; begin++) {
        int64_t found = longest_at(special, 0, special->early_count, text, length, begin, ended);
        if (found == NOTHING && special->early_count < special->count)
            found = late_at(special, text, length, begin, ended);
        if (found != NOTHING)
            return (SpecialMatch){.begin = begin, .index = found == CUT_OFF ? -1 : found};
    }
    return (SpecialMatch){.begin = length, .index = -1};
}

/* True if a token begins at index `at`. If the text goes on, a token that its end may cut off counts too. */
static bool begins_at(ByteString token, const uint8_t *text, size_t length, size_t at, bool ended)
{
    const size_t left = length - at;
    if (left < token.length && ended)
        return false;
    return memcmp(text + at, token.bytes, left < token.length ? left : token.length) == 0;
}

bool special_tokens_cross(const SpecialTokens *special, const uint8_t *text, size_t length, size_t cut, bool ended)
{
    for (size_t i = 0; i < special->count; i++)
        for (size_t before = 1; before < special->tokens[i].length && before <= cut; before++)
            if (begins_at(special->tokens[i], text, length, cut - before, ended))
                return true;
    return false;
}

bool special_tokens_begin_at(const SpecialTokens *special, const uint8_t *text, size_t length, size_t at, bool ended)
{
    for (size_t i = 0; i < special->count; i++)
        if (begins_at(special->tokens[i], text, length, at, ended))
            return true;
    return false;
}

bool special_tokens_end_at(const SpecialTokens *special, const uint8_t *text, size_t at)
{
    for (size_t i = 0; i < special->count; i++) {
        const ByteString token = special->tokens[i];
        if (token.length <= at && memcmp(text + at - token.length, token.bytes, token.length) == 0)
            return true;
    }
    return false;
}
