/*
 * Tokenizers of llama2.c. The first byte chooses: the rest is the file; or its tokens are built from choices, of which
 * some have a wrong length. What is read decodes each token, and encodes nothing.
 */
#include "core/memory.h"
#include "tests/fuzz/fuzz.h"
#include "tokenizer/encode/encoder.h"
#include "tokenizer/files/llama2c_tokenizer.h"

static void append_number(ByteList *file, int32_t number)
{
    fuzz_append(file, (ByteString){(const uint8_t *)&number, sizeof number});
}

static void build(ByteList *file, FuzzInput *input)
{
    static const int32_t wrong[] = {0, -1, INT32_MAX, INT32_MIN, 9, 1 << 20};
    static const char *const texts[] = {"<unk>",  "\n<s>\n", "\n</s>\n", "<0x00>", "<0xFF>",
                                        "<0xfg>", " ",       " the",     "<0x0A"};
    append_number(file, fuzz_byte(input) < 248 ? 8 : wrong[fuzz_below(input, 6)]);
    while (input->next < input->end) {
        const size_t choice = fuzz_byte(input);
        ByteString text = choice < 128 ? byte_string(texts[choice % 9]) : fuzz_bytes(input, 1 + choice % 8);
        if (text.length == 0)
            text = byte_string(" ");
        append_number(file, (int32_t)choice);
        append_number(file, choice < 250 ? (int32_t)text.length : wrong[choice - 250]);
        fuzz_append(file, text);
    }
}

static void check_tokens(const BPEModel *model)
{
    Tokenizer *tokenizer;
    TokenList ids = {0};
    FUZZ_CHECK(model->vocab_size >= 3, "%zu tokens", model->vocab_size);
    FUZZ_OK(tokenizer_create(&tokenizer, model, NULL, 0));
    for (size_t i = 0; i < model->vocab_size; i++) {
        ByteList text = {0};
        const int32_t pair[] = {LLAMA2C_BOS, (int32_t)i};
        const ByteString start = bpe_model_token(model, LLAMA2C_BOS), token = bpe_model_token(model, pair[1]);
        const size_t blank = token.bytes[0] == ' ';
        FUZZ_OK(tokenizer_decode(tokenizer, &text, pair, 2));
        FUZZ_CHECK(text.length == start.length + token.length - blank, "%zu bytes of text", text.length);
        FUZZ_CHECK(memcmp(text.bytes + start.length, token.bytes + blank, token.length - blank) == 0,
                   "token %zu is decoded to other bytes", i);
        byte_list_deinit(&text);
    }
    FUZZ_CHECK(tokenizer_encode(tokenizer, &ids, byte_string(" the")) == CS336_ERANGE && ids.count == 0,
               "a text was encoded");
    tokenizer_destroy(tokenizer);
}

void fuzz_llama2c_tokenizer(const uint8_t *data, size_t size)
{
    const size_t before = memory_in_use();
    FuzzInput input = {data, data + size};
    ByteList file = {0};
    fuzz_make(&file, &input, fuzz_byte(&input), build);
    BPEModel model;
    const bool begins = llama2c_tokenizer_begins(byte_list_view(&file));
    const Status s = llama2c_tokenizer_read(&model, byte_list_view(&file), "tokenizer.bin");
    byte_list_deinit(&file);
    if (s) {
        fuzz_check_failure(s);
    } else {
        FUZZ_CHECK(begins, "a tokenizer that is read is not recognised");
        check_tokens(&model);
        bpe_model_deinit(&model);
    }
    FUZZ_CHECK(memory_in_use() == before, "memory is left over");
}
