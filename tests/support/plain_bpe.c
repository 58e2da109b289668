#include "tests/support/plain_bpe.h"

#include "tests/support/plain_pretokens.h"

#include <check.h>
#include <stdlib.h>

/* All words one after the other; a word's first token has first = true. */
typedef struct {
    ByteString *tokens;
    bool *first;
    size_t count;
} Sequence;

static void *zeroed(size_t count, size_t size)
{
    void *block = calloc(count + 1, size);
    if (!block)
        ck_abort_msg("no memory");
    return block;
}

static size_t special_at(ByteString text, size_t at, const ByteString *special, size_t special_count)
{
    size_t longest = 0;
    for (size_t i = 0; i < special_count; i++)
        if (special[i].length <= text.length - at && special[i].length > longest &&
            memcmp(text.bytes + at, special[i].bytes, special[i].length) == 0)
            longest = special[i].length;
    return longest;
}

static Sequence split(ByteString text, const ByteString *special, size_t special_count)
{
    Sequence s = {.tokens = zeroed(text.length, sizeof *s.tokens), .first = zeroed(text.length, sizeof *s.first)};
    size_t *ends = zeroed(text.length, sizeof *ends);
    for (size_t at = 0; at < text.length;) {
        size_t end = at;
        while (end < text.length && !special_at(text, end, special, special_count))
            end++;
        const size_t begin = at,
                     words = plain_pretokens(ends, (ByteString){.bytes = text.bytes + at, .length = end - at});
        for (size_t i = 0; i < words; i++)
            for (bool first = true; at < begin + ends[i]; at++, first = false) {
                s.first[s.count] = first;
                s.tokens[s.count++] = (ByteString){.bytes = text.bytes + at, .length = 1};
            }
        if (at < text.length)
            at += special_at(text, at, special, special_count);
    }
    free(ends);
    return s;
}

static bool is_pair(const Sequence *s, size_t at, ByteString left, ByteString right)
{
    return at + 1 < s->count && !s->first[at + 1] && byte_string_equal(s->tokens[at], left) &&
           byte_string_equal(s->tokens[at + 1], right);
}

static int compare_pairs(ByteString left, ByteString right, ByteString other_left, ByteString other_right)
{
    const int order = byte_string_compare(left, other_left);
    return order ? order : byte_string_compare(right, other_right);
}

/* The place of the most frequent pair, the greatest of equals; count is 0 if there is no pair. */
static size_t best_pair(const Sequence *s, size_t *count)
{
    size_t best = 0;
    *count = 0;
    for (size_t i = 0; i + 1 < s->count; i++) {
        if (s->first[i + 1])
            continue;
        size_t here = 0;
        for (size_t k = 0; k + 1 < s->count; k++)
            here += is_pair(s, k, s->tokens[i], s->tokens[i + 1]);
        if (here > *count || (here == *count && compare_pairs(s->tokens[i], s->tokens[i + 1], s->tokens[best],
                                                              s->tokens[best + 1]) > 0)) {
            best = i;
            *count = here;
        }
    }
    return best;
}

static void merge(Sequence *s, ByteString left, ByteString right)
{
    size_t count = 0;
    for (size_t i = 0; i < s->count; count++) {
        const bool here = is_pair(s, i, left, right);
        s->first[count] = s->first[i];
        s->tokens[count] =
            (ByteString){.bytes = s->tokens[i].bytes, .length = s->tokens[i].length + (here ? right.length : 0)};
        i += here ? 2 : 1;
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
