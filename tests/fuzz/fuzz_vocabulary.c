/*
 * vocab.json. The first byte chooses: the rest is the file; or the file is built from choices, entry by entry, after
 * the 256 bytes that a tokenizer needs, with special tokens from choices. merges.txt has no merges. What is read is
 * written and read again as the same model.
 */
#include "core/memory.h"
#include "tests/fuzz/fuzz_model.h"
#include "tests/support/files.h"
#include "tokenizer/encode/encoder.h"
#include "tokenizer/files/token_text.h"

enum { MOST_SPECIALS = 3 };

/* Appends an id: mostly the next one. */
static void append_id(ByteList *json, FuzzInput *input, size_t next)
{
    static const char *const wrong[] = {"-1",   "2147483647", "2147483648", "9223372036854775808",
                                        "1e2",  "1.5",        "null",       "\"7\"",
                                        "true", "[]",         "{}",         "18446744073709551616"};
    const size_t choice = fuzz_below(input, 64);
    if (choice < sizeof wrong / sizeof *wrong)
        fuzz_append_text(json, "%s", wrong[choice]);
    else
        fuzz_append_text(json, "%zu", choice < 16 ? next + choice - 12 : next);
}

/* Appends a key: bytes in GPT-2's alphabet, or as they are, with all escapes that they contain. */
static void append_key(ByteList *json, FuzzInput *input)
{
    const size_t choice = fuzz_byte(input);
    const ByteString bytes = fuzz_bytes(input, choice % 8);
    if (choice >= 64) {
        ByteList spelled = {0};
        FUZZ_OK(token_spell(&spelled, bytes));
        FUZZ_OK(token_quote(json, byte_list_view(&spelled)));
        byte_list_deinit(&spelled);
        return;
    }
    fuzz_append_text(json, "\"");
    fuzz_append(json, bytes);
    fuzz_append_text(json, "\"");
}

static void build(ByteList *json, FuzzInput *input)
{
    fuzz_append_text(json, "{");
    fuzz_append_byte_tokens(json);
    for (size_t next = BYTE_VALUES; input->next < input->end; next++) {
        fuzz_append_text(json, ",");
        append_key(json, input);
        fuzz_append_text(json, ":");
        append_id(json, input, next);
    }
    fuzz_append_text(json, "}");
}

/* A vocabulary that is read gives a tokenizer if it has all bytes. Its special tokens are found in text. */
static void encode_with(const BPEModel *model, const ByteString *special, size_t special_count)
{
    Tokenizer *tokenizer;
    TokenList ids = {0};
    ByteList text = {0}, decoded = {0};
    const Status s = tokenizer_create(&tokenizer, model, special, special_count);
    if (s) {
        fuzz_check_failure(s);
        return;
    }
    fuzz_append_text(&text, "The caf\xC3\xA9 ");
    for (size_t i = 0; i < special_count; i++)
        fuzz_append(&text, special[i]);
    FUZZ_OK(tokenizer_encode(tokenizer, &ids, byte_list_view(&text)));
    FUZZ_OK(tokenizer_decode(tokenizer, &decoded, ids.ids, ids.count));
    bool shared = false; /* then decoding gives the ordinary token's bytes */
    for (size_t i = 0; i < tokenizer->model.special_count; i++)
        shared = shared || tokenizer->model.specials[i].kind == SPECIAL_SHARED;
    FUZZ_CHECK(shared || byte_string_equal(byte_list_view(&decoded), byte_list_view(&text)),
               "another text was decoded");
    token_list_deinit(&ids);
    byte_list_deinit(&text);
    byte_list_deinit(&decoded);
    tokenizer_destroy(tokenizer);
}

void fuzz_vocabulary(const uint8_t *data, size_t size)
{
    const size_t before = memory_in_use();
    FuzzInput input = {data, data + size};
    ByteList json = {0};
    ByteString special[MOST_SPECIALS];
    const size_t mode = fuzz_byte(&input);
    size_t special_count = 0;
    for (size_t i = 0; i < mode / 4 % (MOST_SPECIALS + 1); i++) {
        const ByteString text = fuzz_bytes(&input, 1 + fuzz_below(&input, 8));
        if (text.length)
            special[special_count++] = text;
    }
    fuzz_make(&json, &input, mode, build);
    BPEModel model = {0};
    const char *vocab = fuzz_file("vocab.json", byte_list_view(&json));
    const char *merges = fuzz_file("merges.txt", byte_string("#version: 0.2\n"));
    if (fuzz_model_read(&model, vocab, merges, special, special_count)) {
        encode_with(&model, special, special_count);
        bpe_model_deinit(&model);
    }
    byte_list_deinit(&json);
    FUZZ_CHECK(memory_in_use() == before, "memory is left over");
}
