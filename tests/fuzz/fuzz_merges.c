/*
 * merges.txt beside a vocabulary that stays the same: the 256 bytes and some tokens. The first byte chooses: the rest
 * is the file; or its lines are built from choices. What is read encodes a text as the plain reference does.
 */
#include "core/memory.h"
#include "tests/fuzz/fuzz_model.h"
#include "tests/support/files.h"
#include "tokenizer/encode/encoder.h"
#include "tokenizer/files/bpe_files.h"
#include "tokenizer/files/token_text.h"

#include <unistd.h>

static const char *const tokens[] = {"ab", "aa",  "bb", "abab", "aab", "aabb",
                                     " a", " ab", "ba", "aaaa", "abb", "\xC3\xA9"};
enum { TOKENS = sizeof tokens / sizeof *tokens };
static const char text[] = "abababa aabbabab aaaaabbaab caf\xC3\xA9 abb ab\n ba";

/* Writes the vocabulary once. */
static const char *vocabulary(void)
{
    const char *path = temp_path("vocab_of_merges.json");
    if (access(path, R_OK) == 0)
        return path;
    BPEModel model = {0};
    fuzz_model_add_bytes(&model);
    for (size_t i = 0; i < TOKENS; i++)
        FUZZ_OK(bpe_model_add_token(&model, byte_string(tokens[i])));
    FUZZ_OK(bpe_model_write(&model, path, temp_path("no_merges.txt")));
    bpe_model_deinit(&model);
    return path;
}

/* Appends a line: two tokens, or something that resembles them. */
static void append_line(ByteList *lines, FuzzInput *input)
{
    static const char *const separators[] = {" ", "  ", "\t", "", " x ", "\r", "\xC2\xA0"};
    static const char *const ends[] = {"\n", "\r\n", "\n\n", "", " \n"};
    const size_t odd = fuzz_byte(input);
    for (size_t side = 0; side < 2; side++) {
        const size_t choice = fuzz_byte(input);
        const ByteString token = choice < 128 ? byte_string(tokens[choice % TOKENS]) : fuzz_bytes(input, 1);
        FUZZ_OK(token_spell(lines, token));
        if (side == 0)
            fuzz_append_text(lines, "%s", separators[odd < 7 ? odd : 0]);
    }
    fuzz_append_text(lines, "%s", ends[odd >= 16 && odd < 21 ? odd - 16 : 0]);
}

static void compare_with_plain(const BPEModel *model)
{
    Tokenizer *tokenizer;
    TokenList ids = {0};
    int32_t expected[sizeof text];
    FUZZ_OK(tokenizer_create(&tokenizer, model, NULL, 0));
    FUZZ_OK(tokenizer_encode(tokenizer, &ids, byte_string(text)));
    const size_t count = fuzz_model_encode(expected, model, NULL, 0, byte_string(text));
    FUZZ_CHECK(ids.count == count, "%zu ids, expected %zu", ids.count, count);
    for (size_t i = 0; i < count; i++)
        FUZZ_CHECK(ids.ids[i] == expected[i], "id %zu is %d, expected %d", i, (int)ids.ids[i], (int)expected[i]);
    token_list_deinit(&ids);
    tokenizer_destroy(tokenizer);
}

static void build(ByteList *lines, FuzzInput *input)
{
    while (input->next < input->end)
        append_line(lines, input);
}

void fuzz_merges(const uint8_t *data, size_t size)
{
    const char *vocab = vocabulary();
    const size_t before = memory_in_use();
    FuzzInput input = {data, data + size};
    ByteList lines = {0};
    fuzz_make(&lines, &input, fuzz_byte(&input), build);
    BPEModel model = {0};
    if (fuzz_model_read(&model, vocab, fuzz_file("merges.txt", byte_list_view(&lines)), NULL, 0)) {
        compare_with_plain(&model);
        bpe_model_deinit(&model);
    }
    byte_list_deinit(&lines);
    FUZZ_CHECK(memory_in_use() == before, "memory is left over");
}
