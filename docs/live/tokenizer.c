/* A tokenizer that is trained in the page: the figures of sections 1.3 and 1.6, and the training page. */
#include "tokenizer.h"

#include "core/memory.h"
#include "story/story.h"
#include "tokenizer/encode/encoder.h"
#include "tokenizer/files/token_text.h"
#include "tokenizer/learn/bpe_train.h"
#include "tokenizer/split/pretokenize.h"

static Tokenizer *slots[LIVE_TOKENIZERS];

Status live_tokenizer(const Tokenizer **tokenizer, int slot)
{
    if (slot < 0 || slot >= LIVE_TOKENIZERS || !slots[slot])
        return status_fail(CS336_ERANGE, "live_tokenizer: slot %d is empty, expected one that was trained", slot);
    *tokenizer = slots[slot];
    return CS336_OK;
}

static ByteString text_of(const uint8_t *bytes, int length)
{
    return (ByteString){.bytes = bytes, .length = (size_t)length};
}

/* Copies a result to the figure's array. */
static Status give(uint8_t *out, int capacity, int32_t *length, ByteString bytes)
{
    if (bytes.length > (size_t)capacity)
        return status_fail(CS336_ERANGE, "the figure has room for %d bytes, expected %zu", capacity, bytes.length);
    if (bytes.length)
        memcpy(out, bytes.bytes, bytes.length);
    *length = (int32_t)bytes.length;
    return CS336_OK;
}

/*
 * Trains a tokenizer on a text, in place of the one that the slot has. With `special`, STORY_SEPARATOR is a special
 * token, and has id 0. numbers (4): tokens of the vocabulary, merges, pre-tokens of the text, distinct pre-tokens. The
 * vocabulary is smaller than asked for if no pair is left.
 */
LIVE live_tokenizer_train(int slot, const uint8_t *text, int length, int vocab_size, bool special, int32_t *numbers)
{
    if (slot < 0 || slot >= LIVE_TOKENIZERS)
        return status_fail(CS336_ERANGE, "live_tokenizer_train: slot %d, expected 0 to %d", slot, LIVE_TOKENIZERS - 1);
    const ByteString corpus = text_of(text, length), separator = byte_string(STORY_SEPARATOR);
    const BPETrainConfig config = {
        .vocab_size = (size_t)vocab_size, .special_tokens = &separator, .special_count = special};
    BPEModel model;
    BPETrainStats stats = {0};
    Tokenizer *tokenizer = NULL;
    Status s = bpe_train(&model, &stats, &corpus, 1, &config);
    if (!s)
        s = tokenizer_create(&tokenizer, &model, &separator, special);
    if (!s) {
        const int32_t found[] = {(int32_t)model.vocab_size, (int32_t)model.merge_count, (int32_t)stats.pretokens,
                                 (int32_t)stats.distinct_pretokens};
        memcpy(numbers, found, sizeof found);
        tokenizer_destroy(slots[slot]);
        slots[slot] = tokenizer;
    }
    bpe_model_deinit(&model);
    return s;
}

/* Encodes a text. ids (at least length): its tokens; a token has at least one byte. count (1): how many they are. */
LIVE live_tokenizer_encode(int slot, const uint8_t *text, int length, int32_t *ids, int32_t *count)
{
    const Tokenizer *tokenizer;
    TokenList list = {0};
    Status s = live_tokenizer(&tokenizer, slot);
    if (!s)
        s = tokenizer_encode(tokenizer, &list, text_of(text, length));
    if (!s) {
        if (list.count)
            memcpy(ids, list.ids, list.count * sizeof *ids);
        *count = (int32_t)list.count;
    }
    token_list_deinit(&list);
    return s;
}

/* Decodes ids. text (capacity): valid UTF-8, with U+FFFD for each malformed sequence. */
LIVE live_tokenizer_decode(int slot, const int32_t *ids, int count, uint8_t *text, int capacity, int32_t *length)
{
    const Tokenizer *tokenizer;
    ByteList list = {0};
    Status s = live_tokenizer(&tokenizer, slot);
    if (!s)
        s = tokenizer_decode_replace(tokenizer, &list, ids, (size_t)count);
    if (!s)
        s = give(text, capacity, length, byte_list_view(&list));
    byte_list_deinit(&list);
    return s;
}

/* Gives the exact bytes of one token. */
LIVE live_tokenizer_token(int slot, int id, uint8_t *bytes, int capacity, int32_t *length)
{
    const Tokenizer *tokenizer;
    const Status s = live_tokenizer(&tokenizer, slot);
    if (s)
        return s;
    if (id < 0 || (size_t)id >= tokenizer_vocab_size(tokenizer))
        return status_fail(CS336_ERANGE, "live_tokenizer_token: id %d, expected 0 to %zu", id,
                           tokenizer_vocab_size(tokenizer) - 1);
    return give(bytes, capacity, length, tokenizer_token(tokenizer, id));
}

/* Appends a token as token_printable() shows it, but with line ends as they are: a page can show them. */
static Status append_shown(ByteList *text, ByteString token)
{
    Status s = CS336_OK;
    while (!s && token.length) {
        const uint8_t *line_end = memchr(token.bytes, '\n', token.length);
        const size_t line = line_end ? (size_t)(line_end - token.bytes) : token.length;
        const ShownToken shown = token_printable((ByteString){.bytes = token.bytes, .length = line});
        const size_t bytes = line ? shown.bytes : 1;
        s = line ? byte_list_append_text(text, shown.text) : byte_list_append_text(text, "\n");
        token = (ByteString){.bytes = token.bytes + bytes, .length = token.length - bytes};
    }
    return s;
}

/*
 * Gives the texts of tokens first to first + count - 1, for the page: valid UTF-8, in which bytes that are no character
 * are written as \xNN. ends (count): where the text of each ends. lengths (count): the bytes of the token itself.
 */
LIVE live_tokenizer_shown(int slot, int first, int count, uint8_t *text, int capacity, int32_t *ends, int32_t *lengths)
{
    const Tokenizer *tokenizer;
    ByteList list = {0};
    Status s = live_tokenizer(&tokenizer, slot);
    if (!s && (first < 0 || count < 0 || (size_t)first + (size_t)count > tokenizer_vocab_size(tokenizer)))
        s = status_fail(CS336_ERANGE, "live_tokenizer_shown: tokens %d to %d, the vocabulary has %zu", first,
                        first + count - 1, tokenizer_vocab_size(tokenizer));
    for (int i = 0; !s && i < count; i++) {
        const ByteString token = tokenizer_token(tokenizer, first + i);
        lengths[i] = (int32_t)token.length;
        s = append_shown(&list, token);
        ends[i] = (int32_t)list.length;
    }
    int32_t length;
    if (!s)
        s = give(text, capacity, &length, byte_list_view(&list));
    byte_list_deinit(&list);
    return s;
}

/* Gives the merges by rank, in merges (count, 3): left, right and merged token. count: at most as many as were learned.
 */
LIVE live_tokenizer_merges(int slot, int32_t *merges, int count)
{
    const Tokenizer *tokenizer;
    const Status s = live_tokenizer(&tokenizer, slot);
    if (s)
        return s;
    if (count < 0 || (size_t)count > tokenizer->model.merge_count)
        return status_fail(CS336_ERANGE, "live_tokenizer_merges: %d merges, there are %zu", count,
                           tokenizer->model.merge_count);
    for (int i = 0; i < count; i++) {
        const BPEMerge merge = tokenizer->model.merges[i];
        memcpy(merges + 3 * i, (const int32_t[]){merge.left, merge.right, merge.merged}, 3 * sizeof *merges);
    }
    return CS336_OK;
}

/*
 * Counts the tokens that a text would have, if training had ended at smaller vocabularies: the same merges come first
 * in them. sizes, counts (n).
 */
LIVE live_tokenizer_counts(int slot, const uint8_t *text, int length, const int32_t *sizes, int32_t *counts, int n)
{
    const Tokenizer *tokenizer;
    Status s = live_tokenizer(&tokenizer, slot);
    for (int i = 0; !s && i < n; i++) {
        BPEModel model = tokenizer->model; /* a view of the first tokens and merges */
        const size_t base = model.vocab_size - model.merge_count;
        if (sizes[i] < 0 || (size_t)sizes[i] < base || (size_t)sizes[i] > model.vocab_size)
            return status_fail(CS336_ERANGE, "live_tokenizer_counts: vocabulary of %d, expected %zu to %zu", sizes[i],
                               base, model.vocab_size);
        model.vocab_size = (size_t)sizes[i];
        model.merge_count = model.vocab_size - base;
        model.bytes.length = model.ends[model.vocab_size - 1];
        Tokenizer *smaller;
        TokenList list = {0};
        s = tokenizer_create(&smaller, &model, tokenizer->special.tokens, tokenizer->special.count);
        if (!s)
            s = tokenizer_encode(smaller, &list, text_of(text, length));
        counts[i] = (int32_t)list.count;
        token_list_deinit(&list);
        tokenizer_destroy(smaller);
    }
    return s;
}

/* Appends where the pre-tokens end in bytes begin to end of a text, which have no special token. */
static void split_segment(PretokenPattern pattern, const uint8_t *text, size_t begin, size_t end, int32_t *ends,
                          int32_t *count)
{
    const uint8_t *found[PRETOKENS_PER_GROUP];
    Pretokenizer pretokenizer;
    pretokenizer_begin(&pretokenizer, pattern);
    pretokenizer_feed(&pretokenizer, text + begin, end - begin, true);
    for (size_t n; (n = pretokenizer_next(&pretokenizer, found, PRETOKENS_PER_GROUP)) > 0;)
        for (size_t i = 0; i < n; i++)
            ends[(*count)++] = (int32_t)(found[i] - text);
}

/* Splits a text into pre-tokens and special tokens. ends (at least length): where each ends. count (1): their number.
 */
LIVE live_tokenizer_pretokens(int slot, const uint8_t *text, int length, int32_t *ends, int32_t *count)
{
    const Tokenizer *tokenizer;
    const Status s = live_tokenizer(&tokenizer, slot);
    if (s)
        return s;
    *count = 0;
    for (size_t begin = 0; begin < (size_t)length;) {
        const SpecialMatch next = special_tokens_find(&tokenizer->special, text, (size_t)length, begin, true);
        split_segment(tokenizer->model.pattern, text, begin, next.begin, ends, count);
        begin = next.begin;
        if (next.index >= 0) {
            begin += tokenizer->special.tokens[next.index].length;
            ends[(*count)++] = (int32_t)begin;
        }
    }
    return CS336_OK;
}
