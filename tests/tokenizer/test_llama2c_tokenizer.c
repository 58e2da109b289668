/* The tokens of llama2.c, for decoding only. The tests write such files byte by byte. */
#include "core/file.h"
#include "core/memory.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/llama2c_files.h"
#include "tokenizer/encode/encode_file.h"
#include "tokenizer/encode/encoder.h"
#include "tokenizer/encode/tokenizer.h"
#include "tokenizer/files/bpe_files.h"
#include "tokenizer/files/llama2c_tokenizer.h"
#include "tokenizer/files/rank_file.h"
#include "tokenizer/files/tokenizer_file.h"
#include "tokenizer/files/tokenizer_json.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A vocabulary as llama2.c's tokenizer.py writes it: special tokens, bytes, then tokens by score. */
static const char *const small[] = {"<unk>",  "\n<s>\n", "\n</s>\n", "<0x00>", "<0x0A>", "<0x20>",    "<0xC3>",
                                    "<0xA9>", " t",      "he",       " the",   " ",      "\xC3\xA9t", "<0xzz>"};
/* The bytes that each of them stands for; the zero byte needs its length. */
static const struct {
    const char *bytes;
    size_t length;
} small_bytes[] = {{"<unk>", 5}, {"\n<s>\n", 5}, {"\n</s>\n", 6},  {"\0", 1},    {"\n", 1},
                   {" ", 1},     {"\xC3", 1},    {"\xA9", 1},      {" t", 2},    {"he", 2},
                   {" the", 4},  {" ", 1},       {"\xC3\xA9t", 3}, {"<0xzz>", 6}};

/* ---- files ---- */

static void put_number(ByteList *file, int32_t number)
{
    const uint32_t bits = (uint32_t)number;
    const uint8_t bytes[] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16), (uint8_t)(bits >> 24)};
    assert_ok(byte_list_append(file, bytes, sizeof bytes));
}

static void put_token(ByteList *file, int32_t length, const char *text)
{
    put_number(file, (int32_t)0xC0A00000); /* the float32 -5: a score */
    put_number(file, length);
    assert_ok(byte_list_append_text(file, text));
}

/* Returns a file with the first tokens of the small vocabulary. */
static ByteList small_file(size_t count)
{
    ByteList file = {0};
    put_number(&file, 7);
    for (size_t i = 0; i < count; i++)
        put_token(&file, (int32_t)strlen(small[i]), small[i]);
    return file;
}

static Status read_bytes(BPEModel *model, const ByteList *file)
{
    return llama2c_tokenizer_read(model, byte_list_view(file), "t.bin");
}

static Tokenizer *make_small(void)
{
    BPEModel model;
    Tokenizer *tokenizer;
    ByteList file = small_file(COUNT(small));
    assert_ok(read_bytes(&model, &file));
    assert_ok(tokenizer_create(&tokenizer, &model, NULL, 0));
    bpe_model_deinit(&model);
    byte_list_deinit(&file);
    return tokenizer;
}

START_TEST(test_llama2c_tokens_are_read)
{
    BPEModel model;
    ByteList file = small_file(COUNT(small));
    ck_assert(llama2c_tokenizer_begins(byte_list_view(&file)));
    assert_ok(read_bytes(&model, &file));
    byte_list_deinit(&file);
    ck_assert(model.decode_only);
    ck_assert_uint_eq(model.vocab_size, COUNT(small));
    ck_assert_uint_eq(model.merge_count, 0);
    for (size_t i = 0; i < COUNT(small); i++) {
        const ByteString token = bpe_model_token(&model, (int32_t)i);
        test_label("token %zu", i);
        ck_assert_uint_eq(token.length, small_bytes[i].length);
        ck_assert_mem_eq(token.bytes, small_bytes[i].bytes, token.length);
    }
    bpe_model_deinit(&model);
}
END_TEST

/* ---- decoding ---- */

START_TEST(test_llama2c_text_is_decoded)
{
    static const struct {
        int32_t ids[6];
        size_t count;
        const char *text;
    } cases[] = {
        {{8, 9}, 2, " the"},
        {{10, 10}, 2, " the the"},
        {{1, 10, 10}, 3, "\n<s>\nthe the"}, /* the token before a text takes the first blank */
        {{1, 11, 10}, 3, "\n<s>\n the"},    /* one blank only */
        {{10, 1, 10, 2, 10}, 5, " the\n<s>\nthe\n</s>\n the"},
        {{6, 7, 12, 4}, 4, "\xC3\xA9\xC3\xA9t\n"}, /* a character of two bytes */
        {{7}, 1, "\xA9"},
        {{0}, 0, ""},
    };
    Tokenizer *tokenizer = make_small();
    for (size_t i = 0; i < COUNT(cases); i++) {
        ByteList text = {0};
        test_label("case %zu", i);
        assert_ok(tokenizer_decode(tokenizer, &text, cases[i].ids, cases[i].count));
        ck_assert_uint_eq(text.length, strlen(cases[i].text));
        ck_assert_mem_eq(text.length ? text.bytes : (const uint8_t *)"", cases[i].text, text.length);
        /* In two parts, cut anywhere. */
        for (size_t cut = 0; cut <= cases[i].count; cut++) {
            ByteList parts = {0};
            const int32_t previous = cut ? cases[i].ids[cut - 1] : -1;
            assert_ok(tokenizer_decode_after(tokenizer, &parts, -1, cases[i].ids, cut));
            assert_ok(tokenizer_decode_after(tokenizer, &parts, previous, cases[i].ids + cut, cases[i].count - cut));
            ck_assert(byte_string_equal(byte_list_view(&parts), byte_list_view(&text)));
            byte_list_deinit(&parts);
        }
        byte_list_deinit(&text);
    }
    test_label_end();
    ByteList text = {0};
    assert_ok(tokenizer_decode_replace(tokenizer, &text, (const int32_t[]){1, 10, 7}, 3));
    ck_assert(byte_string_equal(byte_list_view(&text), byte_string("\n<s>\nthe\xEF\xBF\xBD")));
    assert_fails(tokenizer_decode(tokenizer, &text, (const int32_t[]){0, 14}, 2), CS336_ERANGE,
                 "tokenizer_decode: id 14 at position 1, expected below the vocabulary size 14");
    ck_assert_int_eq(tokenizer_find(tokenizer, byte_string(" the")), 10);
    ck_assert_int_eq(tokenizer_document_end(tokenizer), LLAMA2C_BOS);
    ck_assert_uint_eq(tokenizer_token_after(tokenizer, 1, 10).length, 3);
    ck_assert_uint_eq(tokenizer_token_after(tokenizer, 2, 10).length, 4);
    byte_list_deinit(&text);
    tokenizer_destroy(tokenizer);
}
END_TEST

/* The blank of BPE's tokens stays, whatever comes before. */
START_TEST(test_other_tokens_do_not_depend_on_the_one_before)
{
    BPEModel model = {0};
    Tokenizer *tokenizer;
    ByteList text = {0};
    for (int byte = 0; byte < BYTE_VALUES; byte++)
        assert_ok(bpe_model_add_token(&model, (ByteString){&(uint8_t){(uint8_t)byte}, 1}));
    assert_ok(tokenizer_create(&tokenizer, &model, NULL, 0));
    assert_ok(tokenizer_decode(tokenizer, &text, (const int32_t[]){LLAMA2C_BOS, ' ', 'a'}, 3));
    ck_assert(byte_string_equal(byte_list_view(&text), byte_string("\x01 a")));
    ck_assert_uint_eq(tokenizer_token_after(tokenizer, LLAMA2C_BOS, ' ').length, 1);
    byte_list_deinit(&text);
    tokenizer_destroy(tokenizer);
    bpe_model_deinit(&model);
}
END_TEST

/* ---- encoding ---- */

#define CANNOT(function) \
    function ": a tokenizer of llama2.c can decode but not encode: it has SentencePiece's scores in place of merges"

START_TEST(test_llama2c_tokens_do_not_encode)
{
    Tokenizer *tokenizer = make_small();
    const BPEModel *model = &tokenizer->model;
    const size_t before = memory_in_use();
    TokenList ids = {0};
    Encoder *encoder;
    const ByteString the = byte_string(" the");
    const EncodeConfig config = {.threads = 1};
    assert_fails(tokenizer_encode(tokenizer, &ids, the), CS336_ERANGE, CANNOT("encoder_create"));
    assert_fails(encoder_create(&encoder, tokenizer, token_list_sink, &ids), CS336_ERANGE, CANNOT("encoder_create"));
    ck_assert_ptr_null(encoder);
    assert_fails(encoder_create_small(&encoder, tokenizer, 1 << 10, token_list_sink, &ids), CS336_ERANGE,
                 CANNOT("encoder_create"));
    assert_fails(encode_text(tokenizer, the, token_list_sink, &ids, &config), CS336_ERANGE, CANNOT("encoder_create"));
    write_file(temp_path("text"), " the", 4);
    assert_fails(encode_file(tokenizer, temp_path("text"), token_list_sink, &ids, &config), CS336_ERANGE,
                 CANNOT("encoder_create"));
    ck_assert_uint_eq(ids.count, 0);
    /* Nor can they be written in a format that has merges. */
    FileWriter writer = {0};
    assert_fails(bpe_model_write(model, temp_path("v"), temp_path("m")), CS336_ERANGE, CANNOT("bpe_model_write"));
    assert_fails(tokenizer_json_write(&writer, model, NULL, 0), CS336_ERANGE, CANNOT("tokenizer_json_write"));
    assert_fails(rank_file_write(&writer, model), CS336_ERANGE, CANNOT("rank_file_write"));
    ck_assert_uint_eq(memory_in_use(), before);
    BPEModel copy;
    assert_ok(bpe_model_copy(&copy, model));
    ck_assert(copy.decode_only);
    Tokenizer *special;
    assert_fails(tokenizer_create(&special, &copy, &the, 1), CS336_ERANGE,
                 "tokenizer_create: a tokenizer of llama2.c has no special tokens beside its own, because it cannot "
                 "encode text");
    bpe_model_deinit(&copy);
    tokenizer_destroy(tokenizer);
}
END_TEST

/* ---- damaged files ---- */

/* Returns a file whose token 3 has this length, and whose longest token has `longest` bytes. */
static ByteList file_with(int32_t longest, int32_t length)
{
    ByteList file = {0};
    put_number(&file, longest);
    for (size_t i = 0; i < 3; i++)
        put_token(&file, (int32_t)strlen(small[i]), small[i]);
    put_token(&file, length, "four");
    return file;
}

#define READ_AS ": read as a tokenizer.bin of llama2.c: "

START_TEST(test_llama2c_tokenizers_that_are_damaged)
{
    static const struct {
        int32_t longest, length;
        const char *message;
    } cases[] = {
        {7, 0, READ_AS "token 3 has 0 bytes, expected 1 to 7, which is the first number of the file"},
        {7, -1, READ_AS "token 3 has -1 bytes, expected 1 to 7, which is the first number of the file"},
        {7, 8, READ_AS "token 3 has 8 bytes, expected 1 to 7, which is the first number of the file"},
        {7, 5, READ_AS "token 3 has 5 bytes, the file has 4 more: cut short"},
        {7, 3, READ_AS "1 byte behind token 4, expected score, length and bytes of another: cut short"},
        {5, 4, READ_AS "token 2 has 6 bytes, expected 1 to 5, which is the first number of the file"},
        {0, 4, READ_AS "it begins with 0, expected the length of its longest token, 1 to 1048576"},
        {-1, 4, READ_AS "it begins with -1, expected the length of its longest token, 1 to 1048576"},
        {(1 << 20) + 1, 4, READ_AS "it begins with 1048577, expected the length of its longest token, 1 to 1048576"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        BPEModel model;
        const size_t before = memory_in_use();
        ByteList file = file_with(cases[i].longest, cases[i].length);
        test_label("length %d of %d", (int)cases[i].length, (int)cases[i].longest);
        assert_path_fails(read_bytes(&model, &file), CS336_EFORMAT, "t.bin", cases[i].message);
        byte_list_deinit(&file);
        ck_assert_uint_eq(model.vocab_size, 0);
        ck_assert_uint_eq(memory_in_use(), before);
    }
    test_label_end();
    BPEModel model;
    ByteList file = small_file(2);
    assert_path_fails(read_bytes(&model, &file), CS336_EFORMAT, "t.bin",
                      READ_AS "2 tokens, expected at least 3: <unk>, <s> and </s>");
    byte_list_deinit(&file);
}
END_TEST

/* tokenizer_file_read() takes a file for what it is. */
START_TEST(test_llama2c_tokenizers_are_recognised)
{
    static const char *const others[] = {"tests/fixtures/tokenizer/vocab.json", "tests/fixtures/tokenizer/merges.txt",
                                         "tests/fixtures/python.safetensors",
                                         "tests/fixtures/llama2c/logits.safetensors"};
    ByteList file = small_file(COUNT(small));
    const char *path = temp_path("small.bin");
    BPEModel model;
    write_file(path, file.bytes, file.length);
    assert_ok(tokenizer_file_read(&model, path, PATTERN_UNKNOWN, NULL, 0));
    ck_assert(model.decode_only);
    ck_assert_uint_eq(model.vocab_size, COUNT(small));
    bpe_model_deinit(&model);
    static const char useless[] =
        ": a tokenizer of llama2.c, which can decode but not encode: it has no use for a pattern and special tokens";
    assert_path_fails(tokenizer_file_read(&model, path, PATTERN_GPT2, NULL, 0), CS336_ERANGE, path, useless);
    assert_path_fails(
        tokenizer_file_read(&model, path, PATTERN_UNKNOWN, (const ByteString[]){byte_string(small[0])}, 1),
        CS336_ERANGE, path, useless);
    file.bytes[file.length - 1] = 'x';
    write_file(path, file.bytes, file.length - 1);
    assert_path_fails(tokenizer_file_read(&model, path, PATTERN_UNKNOWN, NULL, 0), CS336_EFORMAT, path,
                      READ_AS "token 13 has 6 bytes, the file has 5 more: cut short");
    ck_assert(!llama2c_tokenizer_begins((ByteString){file.bytes, 11}));
    byte_list_deinit(&file);
    for (size_t i = 0; i < COUNT(others); i++) {
        LoadedFile other;
        test_label("%s", others[i]);
        assert_ok(file_load(&other, others[i]));
        ck_assert(!llama2c_tokenizer_begins((ByteString){other.data, other.size}));
        file_unload(&other);
    }
}
END_TEST

/* A file that is cut anywhere is read if the cut is between two tokens, and else refused. */
START_TEST(test_llama2c_tokenizers_that_are_cut)
{
    ByteList file = {0};
    size_t ends[COUNT(small)], next = 0;
    put_number(&file, 7);
    for (size_t i = 0; i < COUNT(small); i++) {
        put_token(&file, (int32_t)strlen(small[i]), small[i]);
        ends[i] = file.length;
    }
    for (size_t size = 0; size <= file.length; size++) {
        BPEModel model;
        test_label("%zu bytes", size);
        const bool whole = size == ends[next];
        next += whole;
        const Status s = llama2c_tokenizer_read(&model, (ByteString){file.bytes, size}, "t.bin");
        if (whole && next >= 3) {
            assert_ok(s);
            ck_assert_uint_eq(model.vocab_size, next);
            bpe_model_deinit(&model);
        } else {
            ck_assert_int_eq(s, CS336_EFORMAT);
        }
    }
    ck_assert_uint_eq(next, COUNT(small));
    byte_list_deinit(&file);
}
END_TEST

static Status attempt(void *file)
{
    BPEModel model;
    Tokenizer *tokenizer = NULL;
    Status s = read_bytes(&model, file);
    if (!s)
        s = tokenizer_create(&tokenizer, &model, NULL, 0);
    ByteList text = {0};
    if (!s)
        s = tokenizer_decode(tokenizer, &text, (const int32_t[]){1, 10}, 2);
    byte_list_deinit(&text);
    tokenizer_destroy(tokenizer);
    bpe_model_deinit(&model);
    return s;
}

START_TEST(test_llama2c_tokenizer_allocation_failures)
{
    ByteList file = small_file(COUNT(small));
    assert_allocation_failures_are_clean(attempt, &file);
    byte_list_deinit(&file);
}
END_TEST

/* ---- the trained model's ---- */

START_TEST(test_tok512_is_read)
{
    BPEModel model;
    assert_ok(tokenizer_file_read(&model, llama2c_path("tok512.bin"), PATTERN_UNKNOWN, NULL, 0));
    ck_assert(model.decode_only);
    ck_assert_uint_eq(model.vocab_size, 512);
    /* Bytes follow the three special tokens, as encode() in run.c takes for granted. */
    for (int byte = 0; byte < BYTE_VALUES; byte++) {
        const ByteString token = bpe_model_token(&model, byte + 3);
        ck_assert_uint_eq(token.length, 1);
        ck_assert_int_eq(token.bytes[0], byte);
    }
    ck_assert(byte_string_equal(bpe_model_token(&model, 2), byte_string("\n</s>\n")));
    ck_assert(byte_string_equal(bpe_model_token(&model, 259), byte_string(" t")));
    bpe_model_deinit(&model);
}
END_TEST

const TestCase llama2c_tokenizer_tests[] = {
    TEST(test_llama2c_tokens_are_read, "llama2c"),
    TEST(test_llama2c_text_is_decoded, "llama2c"),
    TEST(test_other_tokens_do_not_depend_on_the_one_before, "llama2c"),
    TEST(test_llama2c_tokens_do_not_encode, "llama2c"),
    TEST(test_llama2c_tokenizers_that_are_damaged, "llama2c"),
    TEST(test_llama2c_tokenizers_are_recognised, "llama2c"),
    TEST(test_llama2c_tokenizers_that_are_cut, "llama2c"),
    TEST(test_llama2c_tokenizer_allocation_failures, "llama2c"),
    TEST_UNLESS(test_tok512_is_read, "llama2c", no_llama2c_files),
    {0},
};
