#include "core/memory.h"
#include "tests/adapters.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/compare_ids.h"
#include "tests/support/corpus.h"
#include "tests/support/course.h"
#include "tests/support/gpt2_files.h"
#include "tests/support/lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY_LIMIT = 1000000 };

static const char *const end_of_text = "<|endoftext|>";

/* ---- what each test runs on: our vocabulary and texts, and GPT-2's vocabulary with the course's texts ---- */

typedef struct {
    const char *name;
    bool special; /**< whether <|endoftext|> is one token */
    Tokenizer *tokenizer;
} Setting;

typedef void Check(const Setting *setting);

static Tokenizer *open_tokenizer(const char *vocab_path, const char *merges_path, const ByteString *special,
                                 size_t special_count)
{
    Gpt2Files files = gpt2_files_read(vocab_path, merges_path);
    Tokenizer *tokenizer;
    assert_ok(get_tokenizer(&tokenizer, files.vocab, files.vocab_size, files.merges, files.merge_count, special,
                            special_count));
    gpt2_files_free(&files);
    return tokenizer;
}

static void check_with(Check *check, bool special, const ByteString *tokens, size_t count)
{
    Setting setting = {.name = "own", .special = special};
    test_label("our vocabulary and texts");
    setting.tokenizer =
        open_tokenizer("tests/fixtures/tokenizer/vocab.json", "tests/fixtures/tokenizer/merges.txt", tokens, count);
    check(&setting);
    release_tokenizer(setting.tokenizer);
    if (!course_path(""))
        return;
    setting.name = "course";
    test_label("GPT-2's vocabulary and the course's texts");
    setting.tokenizer = open_tokenizer(course_path("gpt2_vocab.json"), course_path("gpt2_merges.txt"), tokens, count);
    check(&setting);
    release_tokenizer(setting.tokenizer);
}

static void check_plain(Check *check)
{
    check_with(check, false, NULL, 0);
}

static void check_special(Check *check)
{
    const ByteString special = byte_string(end_of_text);
    check_with(check, true, &special, 1);
}

/* ---- texts and expected ids ---- */

typedef struct {
    char *name; /**< in ids.txt */
    ByteString bytes;
    LoadedFile file;
} Text;

static Text text_of(const char *name, const char *text)
{
    return (Text){.name = (char *)(uintptr_t)name, .bytes = byte_string(text)};
}

static Text text_from(const Setting *setting, const char *name, const char *course_name)
{
    Text text = {.name = (char *)(uintptr_t)name};
    char path[256];
    snprintf(path, sizeof path, "tests/fixtures/tokenizer/%s", name);
    const bool own = strcmp(setting->name, "own") == 0;
    assert_ok(file_load(&text.file, own ? path : course_path(course_name)));
    text.bytes = (ByteString){.bytes = text.file.data, .length = text.file.size};
    return text;
}

static Text address(const Setting *setting)
{
    return text_from(setting, "address.txt", "address.txt");
}

static Text german(const Setting *setting)
{
    return text_from(setting, "german.txt", "german.txt");
}

static Text story(const Setting *setting)
{
    return text_from(setting, "story.txt", "tinystories_sample.txt");
}

/* Returns the ids that tiktoken gives for a text. */
static TokenList expected_ids(const Setting *setting, const char *name)
{
    char key[256];
    snprintf(key, sizeof key, "%s/%s/%s", setting->name, setting->special ? "special" : "plain", name);
    const size_t length = strlen(key);
    Lines lines = lines_open("tokenizer/ids.txt");
    TokenList ids = {0};
    bool found = false;
    while (!found && lines_next(&lines))
        found = (size_t)(lines.end - lines.next) > length && memcmp(lines.next, key, length) == 0 &&
                (lines.next[length] == ' ' || lines.next[length] == '\n');
    ck_assert_msg(found, "ids.txt has no line %s", key);
    lines.next += length;
    for (size_t number; line_number(&lines, &number);) {
        const int32_t id = (int32_t)number;
        assert_ok(token_list_append(&ids, &id, 1));
    }
    lines_close(&lines);
    return ids;
}

/* ---- assertions ---- */

static TokenList encode(const Setting *setting, ByteString text)
{
    TokenList ids = {0};
    assert_ok(run_encode(&ids, setting->tokenizer, text));
    return ids;
}

static void assert_decodes_to(const Setting *setting, const TokenList *ids, ByteString expected)
{
    ByteList text = {0};
    assert_ok(run_decode(&text, setting->tokenizer, ids->ids, ids->count));
    ck_assert_msg(byte_string_equal((ByteString){.bytes = text.bytes, .length = text.length}, expected),
                  "%zu bytes decoded, expected these %zu bytes", text.length, expected.length);
    byte_list_deinit(&text);
}

static void assert_same_ids(const TokenList *actual, const TokenList *expected)
{
    for (size_t i = 0; i < actual->count && i < expected->count; i++)
        if (actual->ids[i] != expected->ids[i])
            ck_abort_msg("id %zu of %zu is %d, expected %d", i, expected->count, (int)actual->ids[i],
                         (int)expected->ids[i]);
    ck_assert_uint_eq(actual->count, expected->count);
}

static void assert_roundtrip(const Setting *setting, Text text)
{
    TokenList ids = encode(setting, text.bytes);
    assert_decodes_to(setting, &ids, text.bytes);
    token_list_deinit(&ids);
    file_unload(&text.file);
}

static void assert_matches_tiktoken(const Setting *setting, Text text)
{
    TokenList expected = expected_ids(setting, text.name), ids = encode(setting, text.bytes);
    assert_same_ids(&ids, &expected);
    assert_decodes_to(setting, &ids, text.bytes);
    assert_decodes_to(setting, &expected, text.bytes);
    token_list_deinit(&ids);
    token_list_deinit(&expected);
    file_unload(&text.file);
}

/* Asserts the text of each token. */
static void assert_tokens(const Setting *setting, const char *text, const char *const *tokens, size_t count)
{
    TokenList ids = encode(setting, byte_string(text));
    ck_assert_uint_eq(ids.count, count);
    for (size_t i = 0; i < count; i++)
        assert_decodes_to(setting, &(TokenList){.ids = &ids.ids[i], .count = 1}, byte_string(tokens[i]));
    token_list_deinit(&ids);
}

static size_t count_tokens(const Setting *setting, const TokenList *ids, const char *token)
{
    size_t count = 0;
    for (size_t i = 0; i < ids->count; i++) {
        ByteList text = {0};
        assert_ok(run_decode(&text, setting->tokenizer, &ids->ids[i], 1));
        count += byte_string_equal((ByteString){.bytes = text.bytes, .length = text.length}, byte_string(token));
        byte_list_deinit(&text);
    }
    return count;
}

/* ---- short texts ---- */

#define UNICODE_TEXT "Héllò hôw are ü? 🙃"
#define SPECIAL_TEXT "Héllò hôw <|endoftext|><|endoftext|> are ü? 🙃<|endoftext|>"

#define ROUNDTRIP(test, check_all, text)          \
    static void test##_on(const Setting *setting) \
    {                                             \
        assert_roundtrip(setting, (text));        \
    }                                             \
    START_TEST(test)                              \
    {                                             \
        check_all(test##_on);                     \
    }                                             \
    END_TEST

ROUNDTRIP(test_roundtrip_empty, check_plain, text_of("empty", ""))
ROUNDTRIP(test_roundtrip_single_character, check_plain, text_of("character", "s"))
ROUNDTRIP(test_roundtrip_single_unicode_character, check_plain, text_of("unicode_character", "🙃"))
ROUNDTRIP(test_roundtrip_ascii_string, check_plain, text_of("ascii", "Hello, how are you?"))
ROUNDTRIP(test_roundtrip_unicode_string, check_plain, text_of("unicode", UNICODE_TEXT))
ROUNDTRIP(test_address_roundtrip, check_plain, address(setting))
ROUNDTRIP(test_german_roundtrip, check_plain, german(setting))
ROUNDTRIP(test_tinystories_sample_roundtrip, check_plain, story(setting))

#define MATCHES_TIKTOKEN(test, check_all, text)   \
    static void test##_on(const Setting *setting) \
    {                                             \
        assert_matches_tiktoken(setting, (text)); \
    }                                             \
    START_TEST(test)                              \
    {                                             \
        check_all(test##_on);                     \
    }                                             \
    END_TEST

MATCHES_TIKTOKEN(test_single_unicode_character_matches_tiktoken, check_plain, text_of("unicode_character", "🙃"))
MATCHES_TIKTOKEN(test_unicode_string_matches_tiktoken, check_special, text_of("unicode", UNICODE_TEXT))
MATCHES_TIKTOKEN(test_unicode_string_with_special_tokens_matches_tiktoken, check_special,
                 text_of("special", SPECIAL_TEXT))
MATCHES_TIKTOKEN(test_address_matches_tiktoken, check_plain, address(setting))
MATCHES_TIKTOKEN(test_german_matches_tiktoken, check_plain, german(setting))
MATCHES_TIKTOKEN(test_tinystories_matches_tiktoken, check_special, story(setting))
MATCHES_TIKTOKEN(test_encode_special_token_trailing_newlines, check_special,
                 text_from(setting, "trailing_newlines.txt", "special_token_trailing_newlines.txt"))
MATCHES_TIKTOKEN(test_encode_special_token_double_newline_non_whitespace, check_special,
                 text_from(setting, "double_newlines.txt", "special_token_double_newlines_non_whitespace.txt"))

static void empty_matches(const Setting *setting)
{
    assert_matches_tiktoken(setting, text_of("empty", ""));
    assert_tokens(setting, "", NULL, 0);
}

START_TEST(test_empty_matches_tiktoken)
{
    check_plain(empty_matches);
}
END_TEST

static void single_character_matches(const Setting *setting)
{
    const char *const tokens[] = {"s"};
    assert_matches_tiktoken(setting, text_of("character", "s"));
    assert_tokens(setting, "s", tokens, 1);
}

START_TEST(test_single_character_matches_tiktoken)
{
    check_plain(single_character_matches);
}
END_TEST

static void ascii_string_matches(const Setting *setting)
{
    const char *const tokens[] = {"Hello", ",", " how", " are", " you", "?"};
    assert_matches_tiktoken(setting, text_of("ascii", "Hello, how are you?"));
    assert_tokens(setting, "Hello, how are you?", tokens, sizeof tokens / sizeof *tokens);
}

START_TEST(test_ascii_string_matches_tiktoken)
{
    check_special(ascii_string_matches);
}
END_TEST

/* ---- special tokens ---- */

static void special_tokens_are_kept(const Setting *setting)
{
    TokenList ids = encode(setting, byte_string(SPECIAL_TEXT));
    ck_assert_uint_eq(count_tokens(setting, &ids, end_of_text), 3);
    assert_decodes_to(setting, &ids, byte_string(SPECIAL_TEXT));
    token_list_deinit(&ids);
}

START_TEST(test_roundtrip_unicode_string_with_special_tokens)
{
    check_special(special_tokens_are_kept);
}
END_TEST

static void the_longer_special_token_wins(const Setting *setting)
{
    const char *text = "Hello, how <|endoftext|><|endoftext|> are you?<|endoftext|>";
    TokenList ids = encode(setting, byte_string(text));
    ck_assert_uint_eq(count_tokens(setting, &ids, "<|endoftext|>"), 1);
    ck_assert_uint_eq(count_tokens(setting, &ids, "<|endoftext|><|endoftext|>"), 1);
    assert_decodes_to(setting, &ids, byte_string(text));
    token_list_deinit(&ids);
}

START_TEST(test_overlapping_special_tokens)
{
    const ByteString special[] = {byte_string("<|endoftext|>"), byte_string("<|endoftext|><|endoftext|>")};
    check_with(the_longer_special_token_wins, true, special, 2);
}
END_TEST

/* ---- streaming ---- */

enum { BY_LINES = 0 };

/* Cuts a text into lines, as iterating over a Python file does, or into chunks of one size. */
typedef struct {
    ByteString rest;
    size_t size;
} Cutter;

static ByteString next_chunk(void *context)
{
    Cutter *cutter = context;
    ByteString chunk = cutter->rest;
    if (cutter->size != BY_LINES) {
        chunk.length = chunk.length < cutter->size ? chunk.length : cutter->size;
    } else if (chunk.length) {
        const uint8_t *newline = memchr(chunk.bytes, '\n', chunk.length);
        chunk.length = newline ? (size_t)(newline - chunk.bytes) + 1 : chunk.length;
    }
    if (chunk.length) {
        cutter->rest.bytes += chunk.length;
        cutter->rest.length -= chunk.length;
    }
    return chunk;
}

static Status take_ids(void *context, const int32_t *ids, size_t count)
{
    return token_list_append(context, ids, count);
}

static const size_t chunk_sizes[] = {BY_LINES, 1, 2, 3, 7, 64, 1001, 1 << 20};

static TokenList encode_in_chunks(const Setting *setting, ByteString text, size_t size)
{
    TokenList ids = {0};
    Cutter cutter = {.rest = text, .size = size};
    assert_ok(run_encode_iterable(setting->tokenizer, next_chunk, &cutter, take_ids, &ids));
    return ids;
}

static void label_chunks(const Setting *setting, size_t size)
{
    if (size == BY_LINES)
        test_label("%s texts, line by line", setting->name);
    else
        test_label("%s texts, in chunks of %zu bytes", setting->name, size);
}

static void streamed_story_roundtrip(const Setting *setting)
{
    Text text = story(setting);
    for (size_t i = 0; i < sizeof chunk_sizes / sizeof *chunk_sizes; i++) {
        label_chunks(setting, chunk_sizes[i]);
        TokenList ids = encode_in_chunks(setting, text.bytes, chunk_sizes[i]);
        assert_decodes_to(setting, &ids, text.bytes);
        token_list_deinit(&ids);
    }
    file_unload(&text.file);
}

START_TEST(test_encode_iterable_tinystories_sample_roundtrip)
{
    check_plain(streamed_story_roundtrip);
}
END_TEST

static void streamed_story_matches(const Setting *setting)
{
    Text text = story(setting);
    TokenList expected = expected_ids(setting, text.name);
    for (size_t i = 0; i < sizeof chunk_sizes / sizeof *chunk_sizes; i++) {
        label_chunks(setting, chunk_sizes[i]);
        TokenList ids = encode_in_chunks(setting, text.bytes, chunk_sizes[i]);
        assert_same_ids(&ids, &expected);
        assert_decodes_to(setting, &ids, text.bytes);
        token_list_deinit(&ids);
    }
    token_list_deinit(&expected);
    file_unload(&text.file);
}

START_TEST(test_encode_iterable_tinystories_matches_tiktoken)
{
    check_special(streamed_story_matches);
}
END_TEST

/* ---- memory ---- */

static void five_megabytes_stream_through(const Setting *setting)
{
    size_t length;
    uint8_t *text = corpus_make(&length);
    TokenList expected = encode(setting, (ByteString){.bytes = text, .length = length});
    const size_t sizes[] = {BY_LINES, 1 << 16, 1 << 30};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        label_chunks(setting, sizes[i]);
        Cutter cutter = {.rest = {.bytes = text, .length = length}, .size = sizes[i]};
        IdComparison comparison = {.expected = &expected};
        const size_t before = memory_in_use();
        memory_reset_peak();
        memory_set_limit(before + MEMORY_LIMIT);
        assert_ok(run_encode_iterable(setting->tokenizer, next_chunk, &cutter, compare_ids, &comparison));
        memory_set_limit(0);
        ck_assert_msg(memory_peak() - before <= MEMORY_LIMIT, "%zu bytes in use at most, %zu allowed",
                      memory_peak() - before, (size_t)MEMORY_LIMIT);
        assert_ids_equal(&comparison);
        ck_assert_uint_eq(memory_in_use(), before);
    }
    token_list_deinit(&expected);
    free(text);
}

START_TEST(test_encode_iterable_memory_usage)
{
    check_plain(five_megabytes_stream_through);
}
END_TEST

static void five_megabytes_at_once_do_not_fit(const Setting *setting)
{
    size_t length;
    uint8_t *text = corpus_make(&length);
    TokenList ids = {0};
    const size_t before = memory_in_use();
    memory_set_limit(before + MEMORY_LIMIT);
    const Status s = run_encode(&ids, setting->tokenizer, (ByteString){.bytes = text, .length = length});
    memory_set_limit(0);
    size_t elements, bytes;
    ck_assert_int_eq(s, CS336_ENOMEM);
    ck_assert_int_eq(
        sscanf(status_message(), "array_reserve: no memory for %zu elements of %zu bytes", &elements, &bytes), 2);
    ck_assert_uint_eq(ids.count, 0);
    token_list_deinit(&ids);
    ck_assert_uint_eq(memory_in_use(), before);
    free(text);
}

START_TEST(test_encode_memory_usage)
{
    check_plain(five_megabytes_at_once_do_not_fit);
}
END_TEST

const TestCase tokenizer_tests[] = {
    TEST(test_roundtrip_empty, "tokenizer"),
    TEST(test_empty_matches_tiktoken, "tokenizer"),
    TEST(test_roundtrip_single_character, "tokenizer"),
    TEST(test_single_character_matches_tiktoken, "tokenizer"),
    TEST(test_roundtrip_single_unicode_character, "tokenizer"),
    TEST(test_single_unicode_character_matches_tiktoken, "tokenizer"),
    TEST(test_roundtrip_ascii_string, "tokenizer"),
    TEST(test_ascii_string_matches_tiktoken, "tokenizer"),
    TEST(test_roundtrip_unicode_string, "tokenizer"),
    TEST(test_unicode_string_matches_tiktoken, "tokenizer"),
    TEST(test_roundtrip_unicode_string_with_special_tokens, "tokenizer"),
    TEST(test_unicode_string_with_special_tokens_matches_tiktoken, "tokenizer"),
    TEST(test_overlapping_special_tokens, "tokenizer"),
    TEST(test_address_roundtrip, "tokenizer"),
    TEST(test_address_matches_tiktoken, "tokenizer"),
    TEST(test_german_roundtrip, "tokenizer"),
    TEST(test_german_matches_tiktoken, "tokenizer"),
    TEST(test_tinystories_sample_roundtrip, "tokenizer"),
    TEST(test_tinystories_matches_tiktoken, "tokenizer"),
    TEST(test_encode_special_token_trailing_newlines, "tokenizer"),
    TEST(test_encode_special_token_double_newline_non_whitespace, "tokenizer"),
    TEST(test_encode_iterable_tinystories_sample_roundtrip, "tokenizer"),
    TEST(test_encode_iterable_tinystories_matches_tiktoken, "tokenizer"),
    TEST(test_encode_iterable_memory_usage, "tokenizer"),
    TEST(test_encode_memory_usage, "tokenizer"),
    {0},
};
