#include "tests/fuzz/fuzz_model.h"

#include "tests/support/files.h"
#include "tests/support/plain_pretokens.h"
#include "tests/support/zeroed.h"
#include "tokenizer/files/bpe_files.h"
#include "tokenizer/files/token_text.h"

#include <string.h>

enum { LONGEST_TOKEN = 4096 };

void fuzz_append_byte_tokens(ByteList *json)
{
    for (int value = 0; value < BYTE_VALUES; value++) {
        const uint8_t byte = (uint8_t)value;
        ByteList spelled = {0};
        FUZZ_OK(token_spell(&spelled, (ByteString){&byte, 1}));
        fuzz_append_text(json, value ? "," : "");
        FUZZ_OK(token_quote(json, byte_list_view(&spelled)));
        fuzz_append_text(json, ":%d", value);
        byte_list_deinit(&spelled);
    }
}

void fuzz_model_add_bytes(BPEModel *model)
{
    for (int value = 0; value < BYTE_VALUES; value++) {
        const uint8_t byte = (uint8_t)value;
        FUZZ_OK(bpe_model_add_token(model, (ByteString){&byte, 1}));
    }
}

/* Returns the id of the token that joins two others, or -1. It is behind those of the bytes. */
static int32_t find_joined(const BPEModel *model, ByteString left, ByteString right)
{
    for (size_t i = BYTE_VALUES; i < model->vocab_size; i++) {
        const ByteString token = bpe_model_token(model, (int32_t)i);
        if (token.length == left.length + right.length && memcmp(token.bytes, left.bytes, left.length) == 0 &&
            memcmp(token.bytes + left.length, right.bytes, right.length) == 0)
            return (int32_t)i;
    }
    return -1;
}

void fuzz_model_add_merge(BPEModel *model, int32_t left, int32_t right)
{
    const ByteString a = bpe_model_token(model, left), b = bpe_model_token(model, right);
    if (a.length + b.length > LONGEST_TOKEN)
        return;
    for (size_t i = 0; i < model->merge_count; i++)
        if (model->merges[i].left == left && model->merges[i].right == right)
            return;
    const int32_t merged = find_joined(model, a, b);
    if (merged < 0)
        FUZZ_OK(bpe_model_merge(model, left, right));
    else
        FUZZ_OK(bpe_model_add_merge(model, (BPEMerge){.left = left, .right = right, .merged = merged}));
}

/* The first half of the values are the newest tokens, then four letters, then any byte. */
static int32_t choose_token(const BPEModel *model, FuzzInput *input)
{
    const size_t choice = fuzz_byte(input), merged = model->vocab_size - BYTE_VALUES;
    if (choice < 128 && merged)
        return (int32_t)(model->vocab_size - 1 - choice % merged);
    if (choice < 240)
        return (int32_t) "ab \xC3"[choice % 4] & 0xFF;
    return (int32_t)fuzz_byte(input);
}

void fuzz_model_add_merges(BPEModel *model, FuzzInput *input, size_t count)
{
    for (size_t i = 0; i < count && input->next < input->end; i++) {
        const int32_t left = choose_token(model, input), right = choose_token(model, input);
        fuzz_model_add_merge(model, left, right);
    }
}

void fuzz_model_check_equal(const BPEModel *a, const BPEModel *b)
{
    FUZZ_CHECK(a->vocab_size == b->vocab_size && a->merge_count == b->merge_count,
               "%zu tokens and %zu merges, and %zu and %zu", a->vocab_size, a->merge_count, b->vocab_size,
               b->merge_count);
    for (size_t i = 0; i < a->vocab_size; i++)
        FUZZ_CHECK(byte_string_equal(bpe_model_token(a, (int32_t)i), bpe_model_token(b, (int32_t)i)),
                   "token %zu differs", i);
    for (size_t i = 0; i < a->merge_count; i++)
        FUZZ_CHECK(a->merges[i].left == b->merges[i].left && a->merges[i].right == b->merges[i].right &&
                       a->merges[i].merged == b->merges[i].merged,
                   "merge %zu differs", i);
}

/* ---- the plain reference ---- */

enum { NO_RANK = INT32_MAX };

static int32_t rank_of(const BPEModel *model, int32_t left, int32_t right)
{
    for (size_t i = 0; i < model->merge_count; i++)
        if (model->merges[i].left == left && model->merges[i].right == right)
            return (int32_t)i;
    return NO_RANK;
}

/* Sets the lowest id of each byte. */
static void find_bytes(int32_t *byte_ids, const BPEModel *model)
{
    for (size_t i = model->vocab_size; i-- > 0;) {
        const ByteString token = bpe_model_token(model, (int32_t)i);
        if (token.length == 1)
            byte_ids[*token.bytes] = (int32_t)i;
    }
}

/* Merges the ids of a pre-token's bytes. ranks[i] is the rank of the pair of ids i and i + 1. */
static size_t merge_pretoken(int32_t *ids, int32_t *ranks, const BPEModel *model, size_t count)
{
    for (size_t i = 0; i + 1 < count; i++)
        ranks[i] = rank_of(model, ids[i], ids[i + 1]);
    for (;;) {
        size_t least = 0;
        for (size_t i = 1; i + 1 < count; i++)
            if (ranks[i] < ranks[least])
                least = i;
        if (count < 2 || ranks[least] == NO_RANK)
            return count;
        ids[least] = model->merges[ranks[least]].merged;
        count--;
        memmove(ids + least + 1, ids + least + 2, (count - least - 1) * sizeof *ids);
        memmove(ranks + least, ranks + least + 1, (count - least) * sizeof *ranks);
        if (least > 0)
            ranks[least - 1] = rank_of(model, ids[least - 1], ids[least]);
        if (least + 1 < count)
            ranks[least] = rank_of(model, ids[least], ids[least + 1]);
    }
}

/* Returns the lowest id of an ordinary token with these bytes, or -1. */
static int32_t whole_token(const BPEModel *model, ByteString bytes)
{
    for (size_t i = 0; i < model->vocab_size; i++)
        if (byte_string_equal(bpe_model_token(model, (int32_t)i), bytes) && !bpe_model_is_special(model, (int32_t)i))
            return (int32_t)i;
    return -1;
}

static int32_t special_id(const BPEModel *model, ByteString special)
{
    const int64_t index = bpe_model_find_special(model, special);
    FUZZ_CHECK(index >= 0, "the model does not know a special token");
    return model->specials[index].id;
}

size_t fuzz_model_encode(int32_t *ids, const BPEModel *model, const ByteString *special, size_t special_count,
                         ByteString text)
{
    TextRange *ranges = zeroed(text.length, sizeof *ranges);
    int32_t *ranks = zeroed(text.length + 1, sizeof *ranks);
    const size_t range_count = plain_split_by(ranges, text, special, special_count, model->pattern);
    int32_t byte_ids[BYTE_VALUES];
    size_t count = 0;
    find_bytes(byte_ids, model);
    for (size_t i = 0; i < range_count; i++) {
        const ByteString bytes = {text.bytes + ranges[i].begin, ranges[i].end - ranges[i].begin};
        if (ranges[i].special) {
            ids[count++] = special_id(model, bytes);
            continue;
        }
        const int32_t whole = model->ignore_merges ? whole_token(model, bytes) : -1;
        if (whole >= 0) {
            ids[count++] = whole;
            continue;
        }
        for (size_t k = 0; k < bytes.length; k++)
            ids[count + k] = byte_ids[bytes.bytes[k]];
        count += merge_pretoken(ids + count, ranks, model, bytes.length);
    }
    free(ranges);
    free(ranks);
    return count;
}

/* ---- files ---- */

/* Parts of a token are tokens, and join to it. */
static void check_merges(const BPEModel *model)
{
    for (size_t i = 0; i < model->merge_count; i++) {
        const BPEMerge *merge = &model->merges[i];
        const ByteString left = bpe_model_token(model, merge->left), right = bpe_model_token(model, merge->right);
        const ByteString merged = bpe_model_token(model, merge->merged);
        FUZZ_CHECK(merged.length == left.length + right.length && memcmp(merged.bytes, left.bytes, left.length) == 0 &&
                       memcmp(merged.bytes + left.length, right.bytes, right.length) == 0,
                   "merge %zu joins to another token", i);
    }
}

/* Both models have the same special tokens, with the same ids. */
static void check_same_specials(const BPEModel *a, const BPEModel *b)
{
    FUZZ_CHECK(a->special_count == b->special_count, "%zu special tokens, and %zu", a->special_count, b->special_count);
    for (size_t i = 0; i < a->special_count; i++) {
        const int64_t other = bpe_model_find_special(b, bpe_model_special_text(a, i));
        FUZZ_CHECK(other >= 0 && b->specials[other].id == a->specials[i].id, "special token %zu has another id", i);
    }
}

bool fuzz_model_read(BPEModel *model, const char *vocab_path, const char *merges_path, const ByteString *special,
                     size_t special_count)
{
    Status s = bpe_model_read(model, vocab_path, merges_path, special, special_count);
    if (s) {
        fuzz_check_failure(s);
        return false;
    }
    check_merges(model);
    BPEModel again = {0};
    const char *vocab = temp_path("again.json"), *merges = temp_path("again.txt");
    s = bpe_model_write(model, vocab, merges);
    if (s) { /* a special token and an ordinary one are the same text */
        FUZZ_CHECK(s == CS336_ERANGE && model->special_count, "status %d: %s", (int)s, status_message());
        return true;
    }
    FUZZ_OK(bpe_model_read(&again, vocab, merges, special, special_count));
    fuzz_model_check_equal(model, &again);
    check_same_specials(model, &again);
    bpe_model_deinit(&again);
    return true;
}
