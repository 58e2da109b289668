/*
 * Rank files. The first byte chooses: the rest is the file; or its lines are built from choices, after those of the 256
 * bytes. What is read encodes words as tiktoken does, which joins neighbours by the rank of their bytes and has no
 * merges; and it is the same file after it was written again.
 */
#include "core/memory.h"
#include "tests/fuzz/fuzz_model.h"
#include "tests/support/files.h"
#include "tokenizer/encode/encoder.h"
#include "tokenizer/files/rank_file.h"
#include "tokenizer/files/tokenizer_file.h"

#include <string.h>

/* ---- building a file ---- */

static void append_base64(ByteList *lines, ByteString token)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < token.length; i += 3) {
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (i + k < token.length ? token.bytes[i + k] : 0U);
        for (size_t k = 0; k < 4; k++)
            fuzz_append_text(lines, "%c", i + k > token.length ? '=' : digits[bits >> (18 - 6 * k) & 63]);
    }
}

static void build(ByteList *lines, FuzzInput *input)
{
    static const char *const ends[] = {"\n", "\r\n", "\n\n", " \n", "", " 1\n"};
    size_t rank = 0;
    for (int value = 0; value < BYTE_VALUES; value++) {
        const uint8_t byte = (uint8_t)value;
        append_base64(lines, (ByteString){&byte, 1});
        fuzz_append_text(lines, " %zu\n", rank++);
    }
    while (input->next < input->end) {
        uint8_t token[16];
        const size_t length = 1 + fuzz_below(input, sizeof token), odd = fuzz_byte(input);
        for (size_t i = 0; i < length; i++)
            token[i] = (uint8_t) "abc"[fuzz_below(input, 3)];
        append_base64(lines, (ByteString){token, length});
        rank += odd >= 240 ? odd - 239 : 0;
        fuzz_append_text(lines, " %zu%s", odd < 4 ? rank - odd : rank, ends[odd > 4 && odd < 11 ? odd - 5 : 0]);
        rank++;
    }
}

/* ---- tiktoken's way ---- */

/* Returns the rank of bytes, or -1. */
static int32_t rank_of(const BPEModel *model, ByteString bytes)
{
    for (size_t id = 0; id < model->vocab_size; id++)
        if (bytes.length && byte_string_equal(bpe_model_token(model, (int32_t)id), bytes))
            return (int32_t)id;
    return -1;
}

/* Encodes one pre-token. begins has room for its length + 1. */
static size_t join_by_rank(int32_t *ids, const BPEModel *model, ByteString word, size_t *begins)
{
    size_t parts = word.length;
    ids[0] = rank_of(model, word);
    if (ids[0] >= 0)
        return 1;
    for (size_t i = 0; i <= parts; i++)
        begins[i] = i;
    for (;;) {
        int32_t least = INT32_MAX;
        size_t best = 0;
        for (size_t i = 0; i + 1 < parts; i++) {
            const int32_t rank = rank_of(model, (ByteString){word.bytes + begins[i], begins[i + 2] - begins[i]});
            if (rank >= 0 && rank < least) {
                least = rank;
                best = i;
            }
        }
        if (least == INT32_MAX)
            break;
        memmove(begins + best + 1, begins + best + 2, (parts - best - 1) * sizeof *begins);
        parts--;
    }
    for (size_t i = 0; i < parts; i++)
        ids[i] = rank_of(model, (ByteString){word.bytes + begins[i], begins[i + 1] - begins[i]});
    return parts;
}

static void compare_with_tiktoken(const BPEModel *model)
{
    static const char *const words[] = {"a", "abcabcab", "aaaaaaaaaaaaa", "cbabcabbaccabbcabcbaabcc", "abacbcab"};
    Tokenizer *tokenizer;
    FUZZ_OK(tokenizer_create(&tokenizer, model, NULL, 0));
    for (size_t w = 0; w < sizeof words / sizeof *words; w++) {
        const ByteString word = byte_string(words[w]);
        TokenList ids = {0};
        int32_t expected[32];
        size_t begins[33];
        FUZZ_OK(tokenizer_encode(tokenizer, &ids, word));
        const size_t count = join_by_rank(expected, model, word, begins);
        FUZZ_CHECK(ids.count == count, "%s: %zu ids, expected %zu", words[w], ids.count, count);
        for (size_t i = 0; i < count; i++)
            FUZZ_CHECK(ids.ids[i] == expected[i], "%s: id %zu is %d, expected %d", words[w], i, (int)ids.ids[i],
                       (int)expected[i]);
        token_list_deinit(&ids);
    }
    tokenizer_destroy(tokenizer);
}

static void write_and_read(const BPEModel *model)
{
    const char *path = temp_path("again.tiktoken");
    FileWriter writer;
    BPEModel again;
    FUZZ_OK(file_create(&writer, path));
    FUZZ_OK(rank_file_write(&writer, model));
    FUZZ_OK(file_commit(&writer));
    FUZZ_OK(tokenizer_file_read(&again, path, PATTERN_GPT2, NULL, 0));
    fuzz_model_check_equal(model, &again);
    bpe_model_deinit(&again);
}

void fuzz_rank_file(const uint8_t *data, size_t size)
{
    const size_t before = memory_in_use();
    FuzzInput input = {data, data + size};
    ByteList lines = {0};
    fuzz_make(&lines, &input, fuzz_byte(&input), build);
    BPEModel model;
    const char *path = fuzz_file("ranks", byte_list_view(&lines));
    const Status s = tokenizer_file_read(&model, path, PATTERN_GPT2, NULL, 0);
    if (s) {
        fuzz_check_failure(s);
    } else {
        compare_with_tiktoken(&model);
        write_and_read(&model);
    }
    bpe_model_deinit(&model);
    byte_list_deinit(&lines);
    FUZZ_CHECK(memory_in_use() == before, "memory is left over");
}
