#include "tests/support/plain_bpe.h"

#include "tests/support/plain_pretokens.h"
#include "tests/support/zeroed.h"

#include <stdlib.h>

/* The tokens of all pre-tokens, one after the other; first[i] is true if token i begins a pre-token. */
typedef struct {
    ByteString *tokens;
    bool *first;
    size_t count;
} Sequence;

/* True if a range of the text holds the same bytes as one before it. */
static bool is_repeated(ByteString text, const TextRange *ranges, size_t k)
{
    const size_t length = ranges[k].end - ranges[k].begin;
    for (size_t i = 0; i < k; i++)
        if (ranges[i].end - ranges[i].begin == length &&
            memcmp(text.bytes + ranges[i].begin, text.bytes + ranges[k].begin, length) == 0)
            return true;
    return false;
}

static Sequence split(ByteString text, const ByteString *special, size_t special_count, TrainMistake mistake)
{
    Sequence s = {.tokens = zeroed(text.length, sizeof *s.tokens), .first = zeroed(text.length, sizeof *s.first)};
    TextRange *ranges = zeroed(text.length, sizeof *ranges);
    const size_t count =
        plain_split(ranges, text, special, special_count,
                    mistake == TRAIN_COUNTS_SPECIAL_TOKENS ? PRETOKENS_SPECIAL_TOKENS_ARE_TEXT : PRETOKENS_RIGHT);
    /* A token for each byte of the pre-tokens. */
    for (size_t k = 0; k < count; k++) {
        if (ranges[k].special || (mistake == TRAIN_COUNTS_WORDS_NOT_OCCURRENCES && is_repeated(text, ranges, k)))
            continue;
        const bool goes_on = mistake == TRAIN_MERGES_ACROSS_PRETOKENS && k > 0 && !ranges[k - 1].special;
        for (size_t i = ranges[k].begin; i < ranges[k].end; i++) {
            s.first[s.count] = i == ranges[k].begin && !goes_on;
            s.tokens[s.count++] = (ByteString){.bytes = text.bytes + i, .length = 1};
        }
    }
    free(ranges);
    return s;
}

static bool is_pair(const Sequence *s, size_t i, ByteString left, ByteString right)
{
    return i + 1 < s->count && !s->first[i + 1] && byte_string_equal(s->tokens[i], left) &&
           byte_string_equal(s->tokens[i + 1], right);
}

/* ---- pairs ---- */

/* A pair that occurs or has occurred, in the order in which pairs were first seen. */
typedef struct {
    ByteString left, right;
    size_t count;
} PlainPair;

typedef struct {
    PlainPair *pairs;
    size_t count;
} PairTable;

/* Returns how often a pair occurs. */
static size_t count_pair(const Sequence *s, ByteString left, ByteString right, TrainMistake mistake)
{
    size_t count = 0;
    for (size_t k = 0; k + 1 < s->count; k++)
        if (is_pair(s, k, left, right)) {
            count++;
            if (mistake == TRAIN_COUNTS_WITHOUT_OVERLAP && is_pair(s, k + 1, left, right))
                k++;
        }
    return count;
}

/* Counts all pairs again. Those that no longer occur stay in the table. */
static void recount(PairTable *table, const Sequence *s, TrainMistake mistake)
{
    for (size_t i = 0; i + 1 < s->count; i++) {
        size_t k = 0;
        while (k < table->count && !(byte_string_equal(table->pairs[k].left, s->tokens[i]) &&
                                     byte_string_equal(table->pairs[k].right, s->tokens[i + 1])))
            k++;
        if (k == table->count && !s->first[i + 1])
            table->pairs[table->count++] = (PlainPair){.left = s->tokens[i], .right = s->tokens[i + 1]};
    }
    for (size_t k = 0; k < table->count; k++) {
        PlainPair *pair = &table->pairs[k];
        const size_t count = count_pair(s, pair->left, pair->right, mistake);
        if (mistake != TRAIN_KEEPS_LOST_PAIRS || count > pair->count)
            pair->count = count;
    }
}

/* Returns the id of a token, but for special tokens: the byte, or 256 and the rank of the merge that made it. */
static size_t id_of(const PlainBPE *plain, ByteString token)
{
    size_t rank = 0;
    if (token.length == 1)
        return token.bytes[0];
    for (; rank < plain->merge_count; rank++) {
        const ByteString left = plain->left[rank], right = plain->right[rank];
        if (left.length + right.length == token.length && memcmp(left.bytes, token.bytes, left.length) == 0 &&
            memcmp(right.bytes, token.bytes + left.length, right.length) == 0)
            break;
    }
    return 256 + rank;
}

/* True if of two equally frequent pairs `a` is merged; `b` was seen before it. */
static bool wins_tie(const PlainBPE *plain, const PlainPair *a, const PlainPair *b, TrainMistake mistake)
{
    if (mistake == TRAIN_TIES_BY_AGE)
        return false;
    if (mistake == TRAIN_TIES_BY_ID) {
        const size_t x = id_of(plain, a->left), y = id_of(plain, b->left);
        return x != y ? x > y : id_of(plain, a->right) > id_of(plain, b->right);
    }
    const int left = byte_string_compare(a->left, b->left);
    const int order = left ? left : byte_string_compare(a->right, b->right);
    return mistake == TRAIN_TIES_TO_THE_LESSER_PAIR ? order < 0 : order > 0;
}

/* Returns the most frequent pair, or NULL if there is none. */
static PlainPair *best_pair(const PairTable *table, const PlainBPE *plain, TrainMistake mistake)
{
    PlainPair *best = NULL;
    for (size_t k = 0; k < table->count; k++) {
        PlainPair *pair = &table->pairs[k];
        if (pair->count > 0 && (!best || pair->count > best->count ||
                                (pair->count == best->count && wins_tie(plain, pair, best, mistake))))
            best = pair;
    }
    return best;
}

/* ---- merges ---- */

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

PlainBPE plain_bpe_train(ByteString text, const ByteString *special, size_t special_count, size_t merges,
                         TrainMistake mistake)
{
    if (mistake == TRAIN_VOCABULARY_WITHOUT_SPECIAL_TOKENS)
        merges += special_count;
    PlainBPE plain = {.left = zeroed(merges, sizeof *plain.left), .right = zeroed(merges, sizeof *plain.right)};
    Sequence s = split(text, special, special_count, mistake);
    /* Each merge makes at most two pairs for each occurrence, and takes away a token. */
    PairTable table = {.pairs = zeroed(3 * text.length, sizeof *table.pairs)};
    while (plain.merge_count < merges) {
        recount(&table, &s, mistake);
        PlainPair *best = best_pair(&table, &plain, mistake);
        if (!best)
            break;
        plain.left[plain.merge_count] = best->left;
        plain.right[plain.merge_count++] = best->right;
        merge(&s, best->left, best->right);
        *best = (PlainPair){.left = best->left, .right = best->right};
    }
    free(table.pairs);
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

/* Applies the first merge that fits from the left, again and again. */
static void merge_from_left_to_right(Sequence *s, const ByteString *left, const ByteString *right, size_t merge_count)
{
    for (size_t i = 0; i + 1 < s->count; i++)
        for (size_t m = 0; m < merge_count; m++)
            if (is_pair(s, i, left[m], right[m])) {
                merge(s, left[m], right[m]);
                i = (size_t)-1; /* the loop's i++ makes it 0 */
                break;
            }
}

/* Takes the longest token of the vocabulary at each place. A token's bytes are those of a merge or a single byte. */
static void take_longest(Sequence *s, ByteString word, const ByteString *left, const ByteString *right,
                         size_t merge_count)
{
    s->count = 0;
    for (size_t i = 0; i < word.length; i += s->tokens[s->count++].length) {
        size_t longest = 1;
        for (size_t m = 0; m < merge_count; m++) {
            const size_t length = left[m].length + right[m].length;
            if (length > longest && length <= word.length - i &&
                memcmp(word.bytes + i, left[m].bytes, left[m].length) == 0 &&
                memcmp(word.bytes + i + left[m].length, right[m].bytes, right[m].length) == 0)
                longest = length;
        }
        s->tokens[s->count] = (ByteString){.bytes = word.bytes + i, .length = longest};
    }
}

size_t plain_bpe_apply(ByteString *tokens, ByteString word, const ByteString *left, const ByteString *right,
                       size_t merge_count, TokenizerMistake mistake)
{
    Sequence s = {.tokens = tokens, .first = zeroed(word.length, sizeof *s.first), .count = word.length};
    for (size_t i = 0; i < word.length; i++)
        tokens[i] = (ByteString){.bytes = word.bytes + i, .length = 1};
    if (mistake == TOKENIZER_MERGES_FROM_LEFT_TO_RIGHT)
        merge_from_left_to_right(&s, left, right, merge_count);
    else if (mistake == TOKENIZER_LONGEST_TOKEN_FIRST)
        take_longest(&s, word, left, right, merge_count);
    else
        for (size_t i = 0; i < merge_count; i++)
            merge(&s, left[i], right[i]);
    free(s.first);
    return s.count;
}
