#include "core/json.h"
#include "core/rng.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/random_text.h"
#include "tokenizer/encode/encoder.h"
#include "tokenizer/encode/tokenizer.h"
#include "tokenizer/files/bpe_files.h"
#include "tokenizer/files/special_text.h"
#include "tokenizer/files/token_text.h"

#include <stdio.h>
#include <string.h>

enum { MOST_SPECIALS = 12 };

/* ---- files of Hugging Face's trainer (tests/tools/make_special_fixtures.py) ---- */

typedef struct {
    char vocab[64], merges[64];
    json_t *json; /* owns the texts of the special tokens */
    ByteString special[MOST_SPECIALS];
    size_t count;
    const json_t *cases;
} Saved;

static Saved saved_files(const char *name)
{
    Saved saved = {0};
    char path[64];
    snprintf(saved.vocab, sizeof saved.vocab, "tests/fixtures/tokenizer/special-%s.json", name);
    snprintf(saved.merges, sizeof saved.merges, "tests/fixtures/tokenizer/special-%s.txt", name);
    snprintf(path, sizeof path, "tests/fixtures/tokenizer/special-%s.cases.json", name);
    assert_ok(json_read(&saved.json, path));
    const json_t *special = json_object_get(saved.json, "special");
    saved.count = json_array_size(special);
    ck_assert_uint_le(saved.count, MOST_SPECIALS);
    for (size_t i = 0; i < saved.count; i++)
        saved.special[i] = byte_string(json_string_value(json_array_get(special, i)));
    saved.cases = json_object_get(saved.json, "cases");
    ck_assert_uint_gt(json_array_size(saved.cases), 20);
    return saved;
}

static void assert_ids_are(const TokenList *ids, const json_t *expected)
{
    ck_assert_uint_eq(ids->count, json_array_size(expected));
    for (size_t i = 0; i < ids->count; i++)
        ck_assert_int_eq(ids->ids[i], (int)json_integer_value(json_array_get(expected, i)));
}

/* Encodes each text to their ids. `key` names the text that decoding gives: theirs, or the text itself. */
static void assert_saved_files_agree(const char *name, const char *key)
{
    Saved saved = saved_files(name);
    Tokenizer *tokenizer;
    assert_ok(tokenizer_load(&tokenizer, saved.vocab, saved.merges, saved.special, saved.count));
    for (size_t i = 0; i < json_array_size(saved.cases); i++) {
        const json_t *one = json_array_get(saved.cases, i);
        const ByteString text = byte_string(json_string_value(json_object_get(one, "text")));
        const ByteString expected = byte_string(json_string_value(json_object_get(one, key)));
        TokenList ids = {0};
        ByteList back = {0};
        test_label("%s, text %zu: %s", name, i, (const char *)text.bytes);
        assert_ok(tokenizer_encode(tokenizer, &ids, text));
        assert_ids_are(&ids, json_object_get(one, "ids"));
        assert_ok(tokenizer_decode_replace(tokenizer, &back, ids.ids, ids.count));
        ck_assert(byte_string_equal(byte_list_view(&back), expected));
        byte_list_deinit(&back);
        token_list_deinit(&ids);
    }
    test_label_end();
    tokenizer_destroy(tokenizer);
    json_decref(saved.json);
}

/* Their decoder turns the special token "<|é|>" into malformed UTF-8. Ours gives the text back. */
START_TEST(test_special_tokens_of_hugging_face_keep_their_ids)
{
    assert_saved_files_agree("own", "text");
}
END_TEST

/* "é" is byte E9 there as well, and "Ġthe" is " the": the ids are theirs, and so is what decoding gives. */
START_TEST(test_entries_that_two_tokens_share_are_decoded_as_the_ordinary_one)
{
    assert_saved_files_agree("shared", "decoded");
    Saved saved = saved_files("shared");
    BPEModel model;
    assert_ok(bpe_model_read(&model, saved.vocab, saved.merges, saved.special, saved.count));
    ck_assert_uint_eq(model.special_count, saved.count);
    for (size_t i = 0; i < saved.count; i++) {
        const int64_t index = bpe_model_find_special(&model, saved.special[i]);
        ck_assert_int_ge(index, 0);
        ck_assert_int_eq(model.specials[index].id, (int)i);
        ck_assert_int_eq(model.specials[index].kind, i + 1 < saved.count ? SPECIAL_SHARED : SPECIAL_AS_BYTES);
    }
    bpe_model_deinit(&model);
    json_decref(saved.json);
}
END_TEST

/* What is not in the alphabet is decoded as it stands, but text is encoded as if there were no such entry. */
START_TEST(test_special_tokens_that_nobody_names)
{
    Saved saved = saved_files("own");
    Tokenizer *tokenizer;
    TokenList ids = {0};
    ByteList back = {0};
    assert_ok(tokenizer_load(&tokenizer, saved.vocab, saved.merges, NULL, 0));
    ck_assert_uint_eq(tokenizer->model.special_count, 5); /* 中, the smile, "a b", the blank and the line feed */
    for (size_t i = 0; i < 5; i++)
        ck_assert_int_eq(tokenizer->model.specials[i].kind, SPECIAL_UNNAMED);
    const ByteString text = byte_string("a b\xE4\xB8\xAD\n \xF0\x9F\x99\x82");
    assert_ok(tokenizer_encode(tokenizer, &ids, text));
    for (size_t i = 0; i < ids.count; i++)
        ck_assert_int_ge(ids.ids[i], (int)saved.count);
    assert_ok(tokenizer_decode(tokenizer, &back, ids.ids, ids.count));
    ck_assert(byte_string_equal(byte_list_view(&back), text));
    back.length = 0;
    assert_ok(tokenizer_decode(tokenizer, &back, (const int32_t[]){4, 2, 7, 6, 3}, 5));
    ck_assert(byte_string_equal(byte_list_view(&back), text));
    byte_list_deinit(&back);
    token_list_deinit(&ids);
    tokenizer_destroy(tokenizer);
    json_decref(saved.json);
}
END_TEST

/* ---- special tokens in the alphabet ---- */

static void add_bytes(BPEModel *model)
{
    for (unsigned b = 0; b < BYTE_VALUES; b++) {
        const uint8_t byte = (uint8_t)b;
        assert_ok(bpe_model_add_token(model, (ByteString){.bytes = &byte, .length = 1}));
    }
}

typedef struct {
    char vocab[256], merges[256];
} Paths;

static Paths temp_paths(void)
{
    Paths paths;
    snprintf(paths.vocab, sizeof paths.vocab, "%s", temp_path("v.json"));
    snprintf(paths.merges, sizeof paths.merges, "%s", temp_path("m.txt"));
    return paths;
}

/* The special tokens are entries like all others here, so they are written in the alphabet. */
START_TEST(test_special_tokens_in_the_alphabet_are_read)
{
    const ByteString special[] = {ATOM("\xC3\xA9"), ATOM("<|\xE4\xB8\xAD|>"), ATOM("\xC4\xA0"), ATOM("  "), ATOM(" ")};
    const Paths paths = temp_paths();
    BPEModel model = {0}, back;
    for (size_t i = 0; i < 4; i++)
        assert_ok(bpe_model_add_token(&model, special[i]));
    add_bytes(&model);
    assert_ok(bpe_model_write(&model, paths.vocab, paths.merges));
    assert_ok(bpe_model_read(&back, paths.vocab, paths.merges, special, COUNT(special)));
    for (size_t i = 0; i < COUNT(special); i++) {
        const int64_t index = bpe_model_find_special(&back, special[i]);
        ck_assert_int_ge(index, 0);
        /* The last one has no entry besides the byte's. */
        ck_assert_int_eq(back.specials[index].id, i < 4 ? (int)i : 4 + ' ');
        ck_assert_int_eq(back.specials[index].kind, i < 4 ? SPECIAL_OWN : SPECIAL_AS_BYTES);
        ck_assert(byte_string_equal(bpe_model_token(&back, back.specials[index].id), special[i]));
    }
    bpe_model_deinit(&back);
    bpe_model_deinit(&model);
}
END_TEST

/* ---- what is written ---- */

/*
 * "é" is byte E9, so it is spelled. Its spelling "Ã©" is a special token too, which stands verbatim and so has the
 * first right to that text. "é" is spelled once more.
 */
START_TEST(test_special_tokens_stand_verbatim_where_they_can)
{
    static const struct {
        const char *token, *written;
    } cases[] = {
        {"<|x|>", "<|x|>"},
        {" ", " "},
        {"\n", "\n"},
        {"\xE4\xB8\xAD", "\xE4\xB8\xAD"},
        {"<|\xC3\xA9|>", "<|\xC3\xA9|>"},
        {"\xC3\x83\xC2\xA9", "\xC3\x83\xC2\xA9"},
        {"\xC3\xA9", "\xC3\x83\xC4\xA5\xC3\x82\xC2\xA9"},
        {"\xC4\xA0the", "\xC3\x84\xC5\x82the"}, /* " the" is a token */
        {"\xC4\xA0thy", "\xC4\xA0thy"},         /* " thy" is not */
        {"\xFF\xFE", "\xC3\xBF\xC3\xBE"},
    };
    const Paths paths = temp_paths();
    BPEModel model = {0};
    json_t *json;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_ok(bpe_model_add_special(&model, byte_string(cases[i].token)));
    const int32_t first = (int32_t)COUNT(cases);
    add_bytes(&model);
    assert_ok(bpe_model_merge(&model, first + ' ', first + 't'));
    assert_ok(bpe_model_merge(&model, first + 256, first + 'h'));
    assert_ok(bpe_model_merge(&model, first + 257, first + 'e'));
    assert_ok(bpe_model_write(&model, paths.vocab, paths.merges));
    assert_ok(json_read(&json, paths.vocab));
    ck_assert_uint_eq(json_object_size(json), model.vocab_size);
    for (size_t i = 0; i < COUNT(cases); i++) {
        test_label("token %zu is written \"%s\"", i, cases[i].written);
        const json_t *id = json_object_get(json, cases[i].written);
        ck_assert_ptr_nonnull(id);
        ck_assert_int_eq((int)json_integer_value(id), (int)i);
    }
    json_decref(json);
    bpe_model_deinit(&model);
}
END_TEST

/* Two tokens of the same printed text have one spelling, so one of them would be lost. */
START_TEST(test_a_special_token_that_is_also_merged_cannot_be_written)
{
    const Paths paths = temp_paths();
    BPEModel model = {0};
    assert_ok(bpe_model_add_special(&model, byte_string("ab")));
    add_bytes(&model);
    assert_ok(bpe_model_merge(&model, 1 + 'a', 1 + 'b'));
    assert_fails(bpe_model_write(&model, paths.vocab, paths.merges), CS336_ERANGE,
                 "bpe_model_write: special token \"ab\" with id 0 is written like token 257");
    ck_assert_uint_eq(directory_entries(temp_path(".")), 0);
    bpe_model_deinit(&model);
}
END_TEST

/* A blank that is a special token does not stand for the byte. */
START_TEST(test_a_special_token_is_no_byte)
{
    const Paths paths = temp_paths();
    BPEModel model = {0};
    char message[512];
    assert_ok(bpe_model_add_special(&model, byte_string(" ")));
    for (unsigned b = 0; b < BYTE_VALUES; b++)
        if (b != ' ')
            assert_ok(bpe_model_add_token(&model, (ByteString){.bytes = (const uint8_t[]){(uint8_t)b}, .length = 1}));
    assert_ok(bpe_model_write(&model, paths.vocab, paths.merges));
    bpe_model_deinit(&model);
    snprintf(message, sizeof message, "%s: no token for byte 0x20, all 256 are needed", paths.vocab);
    assert_fails(bpe_model_read(&model, paths.vocab, paths.merges, NULL, 0), CS336_EFORMAT, message);
}
END_TEST

/* Nor is it what a merge makes, although it has the same bytes. */
START_TEST(test_a_special_token_is_not_merged)
{
    static const char merge[] = "\xC4\xA0 \xC4\xA0\n";
    const Paths paths = temp_paths();
    BPEModel model = {0};
    char message[768];
    assert_ok(bpe_model_add_special(&model, byte_string("  ")));
    add_bytes(&model);
    assert_ok(bpe_model_write(&model, paths.vocab, paths.merges));
    bpe_model_deinit(&model);
    write_file(paths.merges, merge, sizeof merge - 1);
    snprintf(message, sizeof message, "%s:1: token \"\xC4\xA0 \xC4\xA0\" is not in %s", paths.merges, paths.vocab);
    assert_fails(bpe_model_read(&model, paths.vocab, paths.merges, NULL, 0), CS336_EFORMAT, message);
}
END_TEST

/* ---- any special tokens ---- */

/* Texts of the byte alphabet, their spellings, others, and malformed UTF-8. */
static const ByteString atoms[] = {
    ATOM("\xC3\xA9"),         /* é: byte E9 */
    ATOM("\xC3\x83\xC2\xA9"), /* Ã©: the spelling of é */
    ATOM("\xC3\x83\xC4\xA5\xC3\x82\xC2\xA9"),
    ATOM("\xC4\xA0"),
    ATOM("\xC3\x84\xC5\x82"), /* the spelling of Ġ */
    ATOM(" "),
    ATOM("\n"),
    ATOM("\xE4\xB8\xAD"),
    ATOM("\xC3\xA4\xC2\xB8\xC5\x83"), /* the spelling of 中 */
    ATOM("\xF0\x9F\x99\x82"),
    ATOM("<|x|>"),
    ATOM("\"\\"),
    ATOM("\xC2\xAD\xC5\x81"),
    ATOM("\xFF"),
    ATOM("\xC3"),
};

static size_t random_specials(Rng *rng, ByteString *special, uint8_t *bytes)
{
    const size_t wanted = 1 + (size_t)rng_below(rng, MOST_SPECIALS);
    size_t count = 0;
    for (size_t i = 0; i < wanted; i++) {
        size_t length = 0;
        for (size_t parts = 1 + (size_t)rng_below(rng, 2); parts > 0; parts--) {
            const ByteString atom = atoms[rng_below(rng, COUNT(atoms))];
            memcpy(bytes + length, atom.bytes, atom.length);
            length += atom.length;
        }
        special[count] = (ByteString){.bytes = bytes, .length = length};
        bool repeated = length == 1 && *bytes >= 0x80; /* a byte without a form of its own */
        for (size_t k = 0; k < count; k++)
            repeated = repeated || byte_string_equal(special[k], special[count]);
        bytes += length;
        count += !repeated;
    }
    return count;
}

/* Adds up to 20 merges of bytes that the special tokens consist of, each with bytes that no ordinary token has. */
static void add_random_merges(Rng *rng, BPEModel *model, int32_t first_byte)
{
    static const uint8_t parts[] = {0xC3, 0xA9, 0x83, 0xC4, 0xA5, 0xA0, 0xE4, 0xB8, 0xAD, ' ', '\n', 0xC2};
    int32_t ordinary[COUNT(parts) + 20];
    size_t count = 0;
    for (; count < COUNT(parts); count++)
        ordinary[count] = first_byte + parts[count];
    for (size_t i = (size_t)rng_below(rng, 20); i > 0; i--) {
        const int32_t left = ordinary[rng_below(rng, count)], right = ordinary[rng_below(rng, count)];
        const ByteString a = bpe_model_token(model, left), b = bpe_model_token(model, right);
        uint8_t joint[64];
        bool known = a.length + b.length > sizeof joint;
        if (!known) {
            memcpy(joint, a.bytes, a.length);
            memcpy(joint + a.length, b.bytes, b.length);
        }
        for (size_t k = 0; !known && k < count; k++)
            known = byte_string_equal(bpe_model_token(model, ordinary[k]),
                                      (ByteString){.bytes = joint, .length = a.length + b.length});
        if (known)
            continue;
        ordinary[count++] = (int32_t)model->vocab_size;
        assert_ok(bpe_model_merge(model, left, right));
    }
}

/* Reads the files with the special tokens in another order, and compares everything. */
static void assert_comes_back(Rng *rng, const BPEModel *model, const Paths *paths, ByteString *special, size_t count)
{
    BPEModel back;
    for (size_t i = count; i > 1; i--) {
        const size_t k = (size_t)rng_below(rng, i);
        const ByteString kept = special[i - 1];
        special[i - 1] = special[k];
        special[k] = kept;
    }
    assert_ok(bpe_model_read(&back, paths->vocab, paths->merges, special, count));
    ck_assert_uint_eq(back.vocab_size, model->vocab_size);
    ck_assert_uint_eq(back.merge_count, model->merge_count);
    for (size_t id = 0; id < model->vocab_size; id++)
        ck_assert_msg(byte_string_equal(bpe_model_token(&back, (int32_t)id), bpe_model_token(model, (int32_t)id)),
                      "token %zu", id);
    if (model->merge_count)
        ck_assert_mem_eq(back.merges, model->merges, model->merge_count * sizeof *model->merges);
    ck_assert_uint_eq(back.special_count, count);
    for (size_t i = 0; i < count; i++) {
        const int64_t before = bpe_model_find_special(model, special[i]),
                      after = bpe_model_find_special(&back, special[i]);
        ck_assert_int_ge(after, 0);
        ck_assert_int_eq(back.specials[after].id, model->specials[before].id);
        ck_assert_int_eq(back.specials[after].kind, SPECIAL_OWN);
    }
    bpe_model_deinit(&back);
}

START_TEST(test_any_special_tokens_come_back)
{
    const Paths paths = temp_paths();
    Rng rng = rng_seeded(336);
    for (int trial = 0; trial < 50; trial++) {
        ByteString special[MOST_SPECIALS] = {{0}};
        uint8_t bytes[MOST_SPECIALS * 32];
        BPEModel model = {0};
        const size_t count = random_specials(&rng, special, bytes), before = (size_t)rng_below(&rng, count + 1);
        test_label("trial %d", trial);
        for (size_t i = 0; i < before; i++)
            assert_ok(bpe_model_add_special(&model, special[i]));
        add_bytes(&model);
        add_random_merges(&rng, &model, (int32_t)before);
        for (size_t i = before; i < count; i++)
            assert_ok(bpe_model_add_special(&model, special[i]));
        assert_ok(bpe_model_write(&model, paths.vocab, paths.merges));
        assert_comes_back(&rng, &model, &paths, special, count);
        bpe_model_deinit(&model);
    }
    test_label_end();
}
END_TEST

/* ---- faults ---- */

typedef struct {
    const BPEModel *model;
    Paths paths;
    const ByteString *special;
    size_t count;
} Trip;

static Status attempt_trip(void *context)
{
    const Trip *trip = context;
    Tokenizer *tokenizer = NULL;
    Status s = bpe_model_write(trip->model, trip->paths.vocab, trip->paths.merges);
    if (!s)
        s = tokenizer_load(&tokenizer, trip->paths.vocab, trip->paths.merges, trip->special, trip->count);
    tokenizer_destroy(tokenizer);
    return s;
}

START_TEST(test_special_tokens_survive_every_failed_allocation)
{
    const ByteString special[] = {ATOM("\xC3\xA9"), ATOM("\xE4\xB8\xAD"), ATOM("\xC3\x83\xC2\xA9"), ATOM(" ")};
    BPEModel model = {0};
    for (size_t i = 0; i < COUNT(special); i++)
        assert_ok(bpe_model_add_special(&model, special[i]));
    add_bytes(&model);
    Trip trip = {.model = &model, .paths = temp_paths(), .special = special, .count = COUNT(special)};
    assert_allocation_failures_are_clean(attempt_trip, &trip);
    bpe_model_deinit(&model);
}
END_TEST

const TestCase special_text_tests[] = {
    TEST(test_special_tokens_of_hugging_face_keep_their_ids, "tokenizer_files"),
    TEST(test_entries_that_two_tokens_share_are_decoded_as_the_ordinary_one, "tokenizer_files"),
    TEST(test_special_tokens_that_nobody_names, "tokenizer_files"),
    TEST(test_special_tokens_in_the_alphabet_are_read, "tokenizer_files"),
    TEST(test_special_tokens_stand_verbatim_where_they_can, "tokenizer_files"),
    TEST(test_a_special_token_that_is_also_merged_cannot_be_written, "tokenizer_files"),
    TEST(test_a_special_token_is_no_byte, "tokenizer_files"),
    TEST(test_a_special_token_is_not_merged, "tokenizer_files"),
    TEST(test_any_special_tokens_come_back, "tokenizer_files"),
    TEST(test_special_tokens_survive_every_failed_allocation, "tokenizer_files"),
    {0},
};
