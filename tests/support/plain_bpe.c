#include "tests/support/plain_bpe.h"

#include "tests/support/check.h"
#include "tests/support/plain_pretokens.h"

#include <stdlib.h>

/* The tokens of all pre-tokens, one after the other; first[i] is true if token i begins a pre-token. */
typedef struct {
    ByteString *tokens;
    bool *first;
    size_t count;
} Sequence;

static void *zeroed(size_t count, size_t size)
{
    void *memory = calloc(count + 1, size);
    if (!memory)
        ck_abort_msg("no memory");
    return memory;
}

/* Returns the length of the longest special token that begins at `begin`, or 0. */
static size_t special_at(ByteString text, size_t begin, const ByteString *special, size_t special_count)
{
    size_t longest = 0;
    for (size_t i = 0; i < special_count; i++)
        if (special[i].length <= text.length - begin && special[i].length > longest &&
            memcmp(text.bytes + begin, special[i].bytes, special[i].length) == 0)
            longest = special[i].length;
    return longest;
}

static Sequence split(ByteString text, const ByteString *special, size_t special_count)
{
    Sequence s = {.tokens = zeroed(text.length, sizeof *s.tokens), .first = zeroed(text.length, sizeof *s.first)};
    size_t *ends = zeroed(text.length, sizeof *ends);
    for (size_t i = 0; i < text.length;) {
        /* The text up to the next special token. */
        size_t end = i;
        while (end < text.length && !special_at(text, end, special, special_count))
            end++;
        const size_t begin = i, count = plain_pretokens(ends, (ByteString){.bytes = text.bytes + i, .length = end - i});
        /* A token for each byte of its pre-tokens. */
        for (size_t k = 0; k < count; k++)
            for (bool first = true; i < begin + ends[k]; i++, first = false) {
                s.first[s.count] = first;
                s.tokens[s.count++] = (ByteString){.bytes = text.bytes + i, .length = 1};
            }
        if (i < text.length)
            i += special_at(text, i, special, special_count);
    }
    free(ends);
    return s;
}

static bool is_pair(const Sequence *s, size_t i, ByteString left, ByteString right)
{
    return i + 1 < s->count && !s->first[i + 1] && byte_string_equal(s->tokens[i], left) &&
           byte_string_equal(s->tokens[i + 1], right);
}

static int compare_pairs(ByteString left, ByteString right, ByteString other_left, ByteString other_right)
{
    const int order = byte_string_compare(left, other_left);
    return order ? order : byte_string_compare(right, other_right);
}

/* Returns the position of the most frequent pair, the greatest one of equals. *count is 0 if there is no pair. */
static size_t best_pair(const Sequence *s, size_t *count)
{
    size_t best = 0;
    *count = 0;
    for (size_t i = 0; i + 1 < s->count; i++) {
        if (s->first[i + 1])
            continue;
        size_t occurrences = 0;
        for (size_t k = 0; k + 1 < s->count; k++)
            occurrences += is_pair(s, k, s->tokens[i], s->tokens[i + 1]);
        if (occurrences > *count ||
            (occurrences == *count &&
             compare_pairs(s->tokens[i], s->tokens[i + 1], s->tokens[best], s->tokens[best + 1]) > 0)) {
            best = i;
            *count = occurrences;
        }
    }
    return best;
}

static void merge(Sequence *s, ByteString left, ByteString right)
{
    size_t count = 0;
    for (size_t i = 0; i < s->count; count++) {
        const bool found = is_pair(s, i, left, right);
        s->first[count] = s->first[i];
        s->tokens[count] =
            (ByteString){.bytes = s->tokens[i].bytes, .length = s->tokens[i].length + (found ? right.length : 0)};
        i += found ? 2 : 1;
    }
    s->count = count;
}

PlainBPE plain_bpe_train(ByteString text, const ByteString *special, size_t special_count, size_t merges)
{
    PlainBPE plain = {.left = zeroed(merges, sizeof *plain.left), .right = zeroed(merges, sizeof *plain.right)};
    Sequence s = split(text, special, special_count);
    while (plain.merge_count < merges) {
        size_t count;
        const size_t best = best_pair(&s, &count);
        if (count == 0)
            break;
        const ByteString left = s.tokens[best], right = s.tokens[best + 1];
        plain.left[plain.merge_count] = left;
        plain.right[plain.merge_count++] = right;
        merge(&s, left, right);
    }
    free(s.tokens);
    free(s.first);
    return plain;
}

void plain_bpe_free(PlainBPE *plain)
{
    free(plain->left);
    free(plain->right);
    *plain = (PlainBPE){0};
}

size_t plain_bpe_apply(ByteString *tokens, ByteString word, const ByteString *left, const ByteString *right,
                       size_t merge_count)
{
    Sequence s = {.tokens = tokens, .first = zeroed(word.length, sizeof *s.first), .count = word.length};
    for (size_t i = 0; i < word.length; i++)
        tokens[i] = (ByteString){.bytes = word.bytes + i, .length = 1};
    for (size_t i = 0; i < merge_count; i++)
        merge(&s, left[i], right[i]);
    free(s.first);
    return s.count;
}
