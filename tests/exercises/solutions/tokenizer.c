/*
 * A BPE tokenizer. Encoding splits a text into pre-tokens and special tokens, makes one token of each byte of a
 * pre-token, and applies the merges in the order of their creation. Decoding joins the bytes of the tokens.
 */
#include "tests/adapters.h"

#include "tests/exercises/map.h"
#include "tokenizer/unicode.h"

enum { PIECE_BYTES = 4096 /* of a stream are encoded at a time: a chunk may be as long as the whole text */ };

struct Tokenizer {
    ByteString *vocab; /* the bytes of each token, by id */
    size_t vocab_size;
    Map ids;             /* by the bytes of a token: its id */
    Map ranks;           /* by pair_key(): the rank of the merge, 0 for the first created */
    int32_t *merged;     /* by rank: the token that the merge makes */
    ByteString *special; /* the special tokens, views of vocab */
    size_t special_count, longest_special;
    int32_t byte_ids[256]; /* the token of each byte */
};

/* ---- making a tokenizer ---- */

static int32_t find_token(const Tokenizer *t, ByteString token)
{
    return (int32_t)map_get(&t->ids, token, -1);
}

static Status add_token(Tokenizer *t, ByteString token)
{
    Status s = bytes_copy(&t->vocab[t->vocab_size], token);
    if (!s)
        s = map_set(&t->ids, token, (int64_t)t->vocab_size++);
    return s;
}

/* Adds the merge of rank `rank`. */
static Status add_merge(Tokenizer *t, MergePair merge, size_t rank)
{
    ByteList joined = {0};
    const Pair pair = {find_token(t, merge.left), find_token(t, merge.right)};
    Status s = byte_list_append(&joined, merge.left.bytes, merge.left.length);
    if (!s)
        s = byte_list_append(&joined, merge.right.bytes, merge.right.length);
    if (!s)
        t->merged[rank] = find_token(t, byte_list_view(&joined));
    if (!s && (pair.left < 0 || pair.right < 0 || t->merged[rank] < 0))
        s = status_fail(CS336_EFORMAT, "get_tokenizer: a token of merge %zu is not in the vocabulary", rank);
    if (!s)
        s = map_set(&t->ranks, pair_key(&pair), (int64_t)rank);
    byte_list_deinit(&joined);
    return s;
}

/* Adds a special token, to the vocabulary too if it is not there. */
static Status add_special(Tokenizer *t, ByteString token)
{
    Status s = CS336_OK;
    if (token.length == 0)
        return status_fail(CS336_ERANGE, "get_tokenizer: a special token is empty");
    if (find_token(t, token) < 0)
        s = add_token(t, token);
    if (!s)
        t->special[t->special_count++] = t->vocab[find_token(t, token)];
    if (token.length > t->longest_special)
        t->longest_special = token.length;
    return s;
}

static Status find_byte_tokens(Tokenizer *t)
{
    for (int byte = 0; byte < 256; byte++) {
        t->byte_ids[byte] = find_token(t, (ByteString){.bytes = &(uint8_t){(uint8_t)byte}, .length = 1});
        if (t->byte_ids[byte] < 0)
            return status_fail(CS336_EFORMAT, "get_tokenizer: no token is the byte 0x%02X", (unsigned)byte);
    }
    return CS336_OK;
}

Status get_tokenizer(Tokenizer **tokenizer, const ByteString *vocab, size_t vocab_size, const MergePair *merges,
                     size_t merge_count, const ByteString *special_tokens, size_t special_count)
{
    Tokenizer *t = memory_allocate_zeroed(1, sizeof *t);
    *tokenizer = t;
    if (!t)
        return status_fail(CS336_ENOMEM, "get_tokenizer: no memory");
    t->vocab = memory_allocate((vocab_size + special_count) * sizeof *t->vocab);
    t->merged = memory_allocate(merge_count * sizeof *t->merged);
    t->special = memory_allocate(special_count * sizeof *t->special);
    Status s = CS336_OK;
    if (!t->vocab || !t->merged || !t->special)
        s = status_fail(CS336_ENOMEM, "get_tokenizer: no memory for %zu tokens", vocab_size);
    for (size_t i = 0; !s && i < vocab_size; i++)
        s = add_token(t, vocab[i]);
    for (size_t i = 0; !s && i < merge_count; i++)
        s = add_merge(t, merges[i], i);
    for (size_t i = 0; !s && i < special_count; i++)
        s = add_special(t, special_tokens[i]);
    if (!s)
        s = find_byte_tokens(t);
    if (s) {
        release_tokenizer(t);
        *tokenizer = NULL;
    }
    return s;
}

void release_tokenizer(Tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    for (size_t i = 0; i < tokenizer->vocab_size; i++)
        bytes_release(tokenizer->vocab[i]);
    memory_release(tokenizer->vocab);
    memory_release(tokenizer->merged);
    memory_release(tokenizer->special);
    map_deinit(&tokenizer->ids);
    map_deinit(&tokenizer->ranks);
    memory_release(tokenizer);
}

/* ---- encoding ---- */

/* Returns the lowest rank of all pairs of neighbours, and sets *pair to it; -1: no merge fits. */
static int64_t first_merge(Pair *pair, const Tokenizer *t, const int32_t *ids, size_t count)
{
    int64_t lowest = -1;
    for (size_t i = 0; i + 1 < count; i++) {
        const Pair candidate = {ids[i], ids[i + 1]};
        const int64_t rank = map_get(&t->ranks, pair_key(&candidate), -1);
        if (rank >= 0 && (lowest < 0 || rank < lowest)) {
            lowest = rank;
            *pair = candidate;
        }
    }
    return lowest;
}

/* Replaces a pair by the merged token wherever it stands, from left to right. Returns how many ids are left. */
static size_t merge_pair(int32_t *ids, size_t count, Pair pair, int32_t merged)
{
    size_t length = 0; /* after the merge, so far */
    for (size_t i = 0; i < count;) {
        const bool found = i + 1 < count && ids[i] == pair.left && ids[i + 1] == pair.right;
        ids[length++] = found ? merged : ids[i];
        i += found ? 2 : 1;
    }
    return length;
}

static Status encode_pretoken(TokenList *ids, const Tokenizer *t, ByteString pretoken)
{
    /* One token for each byte. */
    const size_t first = ids->count;
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < pretoken.length; i++)
        s = token_list_append(ids, &t->byte_ids[pretoken.bytes[i]], 1);
    if (s)
        return s;

    /* Of the merges that fit, apply the one that was created first, until none fits. */
    size_t count = pretoken.length;
    Pair pair;
    for (int64_t rank; (rank = first_merge(&pair, t, ids->ids + first, count)) >= 0;)
        count = merge_pair(ids->ids + first, count, pair, t->merged[rank]);
    ids->count = first + count;
    return CS336_OK;
}

/* Encodes the first `count` ranges of a text. */
static Status encode_ranges(TokenList *ids, const Tokenizer *t, ByteString text, const TextRange *ranges, size_t count)
{
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < count; i++) {
        const ByteString bytes = {.bytes = text.bytes + ranges[i].begin, .length = ranges[i].end - ranges[i].begin};
        if (ranges[i].special) {
            const int32_t id = find_token(t, bytes);
            s = token_list_append(ids, &id, 1);
        } else {
            s = encode_pretoken(ids, t, bytes);
        }
    }
    return s;
}

Status run_encode(TokenList *ids, const Tokenizer *tokenizer, ByteString text)
{
    const size_t count = ids->count;
    TextRangeList ranges = {0};
    Status s = run_pretokenize(&ranges, text, tokenizer->special, tokenizer->special_count);
    if (!s)
        s = encode_ranges(ids, tokenizer, text, ranges.ranges, ranges.count);
    if (s)
        ids->count = count; /* after a failure the list is as it was */
    text_range_list_deinit(&ranges);
    return s;
}

/* ---- encoding a stream ---- */

/*
 * Returns how many of the first ranges of a text stay the same whatever bytes follow it.
 *
 * - A special token that the end of the text cuts off begins less than longest_special bytes before the end. Only
 *   ranges that begin before are certain.
 * - Of these, the last three may still change. "it'l" is split into "it", "'" and "l", but "it'll" into "it" and "'ll":
 *   two change. " \n\xC2" ends inside a character and is split into " ", "\n" and "\xC2"; if the character is U+00A0,
 *   which is white space, all three bytes begin one pre-token.
 */
static size_t count_certain(const Tokenizer *t, const TextRangeList *ranges, size_t length)
{
    size_t certain = ranges->count;
    while (certain > 0 && ranges->ranges[certain - 1].begin + t->longest_special > length)
        certain--;
    return certain > 3 ? certain - 3 : 0;
}

/* Encodes what is certain of the pending text, all of it if the text has ended, and removes it. */
static Status encode_pending(ByteList *pending, const Tokenizer *t, bool ended, TakeIds *take, void *taker)
{
    const ByteString text = byte_list_view(pending);
    TextRangeList ranges = {0};
    TokenList ids = {0};
    Status s = run_pretokenize(&ranges, text, t->special, t->special_count);
    const size_t count = s ? 0 : ended ? ranges.count : count_certain(t, &ranges, text.length);
    if (!s)
        s = encode_ranges(&ids, t, text, ranges.ranges, count);
    if (!s && count > 0) {
        s = take(taker, ids.ids, ids.count);
        const size_t encoded = ranges.ranges[count - 1].end;
        memmove(pending->bytes, pending->bytes + encoded, pending->length - encoded);
        pending->length -= encoded;
    }
    token_list_deinit(&ids);
    text_range_list_deinit(&ranges);
    return s;
}

Status run_encode_iterable(const Tokenizer *tokenizer, NextChunk *next, void *chunks, TakeIds *take, void *taker)
{
    ByteList pending = {0};
    Status s = CS336_OK;
    for (ByteString chunk; !s && (chunk = next(chunks)).length > 0;)
        while (!s && chunk.length > 0) {
            const size_t length = chunk.length < PIECE_BYTES ? chunk.length : PIECE_BYTES;
            s = byte_list_append(&pending, chunk.bytes, length);
            if (!s)
                s = encode_pending(&pending, tokenizer, false, take, taker);
            chunk.bytes += length;
            chunk.length -= length;
        }
    if (!s)
        s = encode_pending(&pending, tokenizer, true, take, taker);
    byte_list_deinit(&pending);
    return s;
}

/* ---- decoding ---- */

Status run_decode(ByteList *text, const Tokenizer *tokenizer, const int32_t *ids, size_t count)
{
    /* The bytes of all tokens. A token may end inside a character, so characters are decoded only afterwards. */
    ByteList bytes = {0};
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < count; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= tokenizer->vocab_size)
            s = status_fail(CS336_ERANGE, "run_decode: id %d, expected 0 to %zu", (int)ids[i],
                            tokenizer->vocab_size - 1);
        else
            s = byte_list_append(&bytes, tokenizer->vocab[ids[i]].bytes, tokenizer->vocab[ids[i]].length);
    }

    /* The characters, U+FFFD for each malformed sequence. */
    const size_t length = text->length;
    for (size_t i = 0; !s && i < bytes.length;) {
        const Utf8Character c = utf8_decode(bytes.bytes + i, bytes.length - i);
        const bool valid = c.status == UTF8_VALID;
        s = byte_list_append(text, valid ? bytes.bytes + i : utf8_replacement, valid ? c.length : 3);
        i += c.length;
    }
    if (s)
        text->length = length;
    byte_list_deinit(&bytes);
    return s;
}
