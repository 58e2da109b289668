#include "tokenizer/split/special_tokens.h"

#include "core/memory.h"

#include <stdlib.h>

/* qsort()'s order: that of the bytes. */
static int by_bytes(const void *a, const void *b)
{
    return byte_string_compare(*(const ByteString *)a, *(const ByteString *)b);
}

static bool begins_with(ByteString text, ByteString beginning)
{
    return text.length >= beginning.length && memcmp(text.bytes, beginning.bytes, beginning.length) == 0;
}

/* Copies the tokens that are late, or those that are not, behind the ones that there are, whose bytes end at `bytes`.
 * Returns where the bytes end then. */
static uint8_t *copy_tokens(SpecialTokens *special, uint8_t *bytes, const ByteString *tokens, const bool *late,
                            size_t count, bool which)
{
    for (size_t i = 0; i < count; i++) {
        if ((late && late[i]) != which)
            continue;
        memcpy(bytes, tokens[i].bytes, tokens[i].length);
        special->tokens[special->count++] = (ByteString){.bytes = bytes, .length = tokens[i].length};
        bytes += tokens[i].length;
    }
    return bytes;
}

/* Sorts the tokens from `first` on, drops repeated ones, which are neighbours then, and makes a group of them. */
static void make_group(SpecialTokens *special, SpecialGroup *group, size_t first)
{
    ByteString *const tokens = special->tokens;
    const size_t end = special->count;
    qsort(tokens + first, end - first, sizeof *tokens, by_bytes);
    special->count = first;
    for (size_t i = first; i < end; i++)
        if (special->count == first || !byte_string_equal(tokens[i], tokens[special->count - 1]))
            tokens[special->count++] = tokens[i];
    size_t next = first;
    for (size_t b = 0; b <= 256; b++) {
        while (next < special->count && tokens[next].bytes[0] < b)
            next++;
        group->starts[b] = next;
    }
    /* A token's beginnings precede it, and all between begin with them too: the list of its neighbour has them. */
    for (size_t i = first; i < special->count; i++) {
        int64_t shorter = i > first ? (int64_t)i - 1 : -1;
        while (shorter >= 0 && !begins_with(tokens[i], tokens[shorter]))
            shorter = special->shorter[shorter];
        special->shorter[i] = shorter;
    }
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

static Status allocate(SpecialTokens *special, const ByteString *tokens, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += tokens[i].length;
    special->tokens = memory_allocate_zeroed(count, sizeof *special->tokens);
    special->shorter = memory_allocate(count * sizeof *special->shorter);
    special->bytes = memory_allocate(total);
    if (special->tokens && special->shorter && special->bytes)
        return CS336_OK;
    special_tokens_deinit(special);
    return status_fail(CS336_ENOMEM, "special_tokens_init: no memory for %zu tokens of %zu bytes", count, total);
}

Status special_tokens_init(SpecialTokens *special, const ByteString *tokens, const bool *late, size_t count)
{
    *special = (SpecialTokens){0};
    for (size_t i = 0; i < count; i++)
        if (tokens[i].length == 0)
            return status_fail(CS336_ERANGE, "special_tokens_init: special token %zu of %zu is empty", i + 1, count);
    const Status s = count ? allocate(special, tokens, count) : CS336_OK;
    if (s || count == 0)
        return s;
    uint8_t *bytes = copy_tokens(special, special->bytes, tokens, late, count, false);
    make_group(special, &special->early, 0);
    special->early_count = special->count;
    copy_tokens(special, bytes, tokens, late, count, true);
    make_group(special, &special->late, special->early_count);
    for (size_t i = 0; i < special->count; i++) {
        const ByteString token = special->tokens[i];
        special->begins[token.bytes[0]] = true;
        special->longest = token.length > special->longest ? token.length : special->longest;
    }
    collect_pairs(special);
    return CS336_OK;
}

void special_tokens_deinit(SpecialTokens *special)
{
    memory_release(special->tokens);
    memory_release(special->shorter);
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

/* Returns the index of the first token of a group that comes behind a text, which is not empty, in the order of bytes,
 * of those with its first byte; if there is none, the index where they end. */
static size_t first_behind(const SpecialTokens *special, const SpecialGroup *group, ByteString text)
{
    size_t low = group->starts[text.bytes[0]], high = group->starts[text.bytes[0] + 1U];
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (byte_string_compare(special->tokens[middle], text) > 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/*
 * Returns the index of the longest token of a group that begins at a place before the end, or one of the above. In the
 * order of bytes, tokens that the text begins with come before it, and the last token before it begins with them too.
 * Tokens that begin with the whole text come right behind it.
 */
static int64_t longest_at(const SpecialTokens *special, const SpecialGroup *group, const uint8_t *text, size_t length,
                          size_t at, bool ended)
{
    const size_t left = length - at;
    const ByteString rest = {.bytes = text + at, .length = left < special->longest ? left : special->longest};
    const size_t first = group->starts[text[at]], end = group->starts[text[at] + 1U];
    const size_t behind = first < end ? first_behind(special, group, rest) : end;
    if (!ended && behind < end && begins_with(special->tokens[behind], rest))
        return CUT_OFF;
    if (behind == first)
        return NOTHING;
    int64_t token = (int64_t)behind - 1;
    const ByteString before = special->tokens[token];
    size_t common = 0;
    while (common < before.length && common < rest.length && before.bytes[common] == rest.bytes[common])
        common++;
    while (token >= 0 && special->tokens[token].length > common)
        token = special->shorter[token];
    return token < 0 ? NOTHING : token;
}

/* The same for the late tokens at a place where no early one begins: they end before the next early one. */
static int64_t late_at(const SpecialTokens *special, const uint8_t *text, size_t length, size_t at, bool ended)
{
    const int64_t late = longest_at(special, &special->late, text, length, at, ended);
    if (late < 0)
        return late;
    for (size_t i = at + 1; i < at + special->tokens[late].length; i++) {
        const int64_t next = longest_at(special, &special->early, text, length, i, ended);
        if (next == CUT_OFF)
            return CUT_OFF;
        if (next != NOTHING)
            return longest_at(special, &special->late, text, i, at, true);
    }
    return late;
}

SpecialMatch special_tokens_find(const SpecialTokens *special, const uint8_t *text, size_t length, size_t begin,
                                 bool ended)
{
    if (special->count == 0)
        return (SpecialMatch){.begin = length, .index = -1};
    for (; (begin = next_candidate(special, text, length, begin)) < length; begin++) {
        int64_t found = longest_at(special, &special->early, text, length, begin, ended);
        if (found == NOTHING)
            found = late_at(special, text, length, begin, ended);
        if (found != NOTHING)
            return (SpecialMatch){.begin = begin, .index = found == CUT_OFF ? -1 : found};
    }
    return (SpecialMatch){.begin = length, .index = -1};
}

/* True if a token of a group begins at index `at` and ends after index `end`, or may do so beyond the text's end. */
static bool reaches(const SpecialTokens *special, const SpecialGroup *group, const uint8_t *text, size_t length,
                    size_t at, size_t end, bool ended)
{
    const int64_t token = longest_at(special, group, text, length, at, ended);
    return token == CUT_OFF || (token >= 0 && at + special->tokens[token].length > end);
}

/* The same for a token of any group. */
static bool any_reaches(const SpecialTokens *special, const uint8_t *text, size_t length, size_t at, size_t end,
                        bool ended)
{
    return special->count && special->begins[text[at]] &&
           (reaches(special, &special->early, text, length, at, end, ended) ||
            reaches(special, &special->late, text, length, at, end, ended));
}

bool special_tokens_cross(const SpecialTokens *special, const uint8_t *text, size_t length, size_t cut, bool ended)
{
    for (size_t before = 1; before < special->longest && before <= cut; before++)
        if (any_reaches(special, text, length, cut - before, cut, ended))
            return true;
    return false;
}

bool special_tokens_begin_at(const SpecialTokens *special, const uint8_t *text, size_t length, size_t at, bool ended)
{
    return any_reaches(special, text, length, at, at, ended);
}

bool special_tokens_contain(const SpecialTokens *special, ByteString text)
{
    if (text.length == 0 || text.length > special->longest || !special->begins[text.bytes[0]])
        return false;
    const size_t early = first_behind(special, &special->early, text);
    const size_t late = first_behind(special, &special->late, text);
    return (early > 0 && byte_string_equal(special->tokens[early - 1], text)) ||
           (late > 0 && byte_string_equal(special->tokens[late - 1], text));
}

bool special_tokens_end_at(const SpecialTokens *special, const uint8_t *text, size_t at)
{
    for (size_t length = 1; length <= special->longest && length <= at; length++)
        if (special_tokens_contain(special, (ByteString){.bytes = text + at - length, .length = length}))
            return true;
    return false;
}
