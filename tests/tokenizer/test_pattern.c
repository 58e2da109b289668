/* GPT-4's pattern: its scanner, its safe cuts, and learning and encoding with it. */
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/kernels.h"
#include "tests/support/lines.h"
#include "tests/support/plain_pattern.h"
#include "tests/support/random_text.h"
#include "tests/support/scan_pretokens.h"
#include "tokenizer/encode/encoder.h"
#include "tokenizer/files/bpe_files.h"
#include "tokenizer/learn/bpe_train.h"
#include "tokenizer/split/cut.h"
#include "tokenizer/split/pretokenize.h"

#include <stdlib.h>
#include <string.h>

enum { MEGABYTE = 1 << 20, TRIALS = 4000, LONGEST_COMBINATION = 64 };

/* ---- the scanner ---- */

/* The fixture has the ends that the pattern gives in Python's regex module. Scanner and plain reference must agree. */
START_TEST(test_gpt4_pretokens_match_regex)
{
    Lines lines = lines_open("tokenizer/gpt4_pretokens.txt");
    uint8_t text[LINE_BYTES];
    size_t expected[LINE_BYTES], plain[LINE_BYTES];
    while (lines_next(&lines)) {
        const size_t length = line_bytes(&lines, text);
        size_t count = 0;
        test_label("line %zu", lines.number);
        for (size_t end = 0, more; line_number(&lines, &more); count++)
            expected[count] = end += more;
        for (size_t chunk_bytes = 1; chunk_bytes <= length; chunk_bytes++)
            assert_scan(PATTERN_GPT4, text, length, chunk_bytes, expected, count, "line", lines.number);
        const ByteString bytes = {.bytes = text, .length = length};
        ck_assert_uint_eq(plain_pattern_pretokens(plain, bytes, PATTERN_GPT4), count);
        ck_assert_msg(memcmp(plain, expected, count * sizeof *plain) == 0, "other pre-tokens");
    }
    test_label_end();
    ck_assert_uint_gt(lines.number, 1700);
    lines_close(&lines);
}
END_TEST

/* The plain matcher is also right about GPT-2's pattern, whose fixture is another one. */
START_TEST(test_the_plain_matcher_matches_regex)
{
    Lines lines = lines_open("tokenizer/pretokens.txt");
    uint8_t text[LINE_BYTES];
    size_t plain[LINE_BYTES];
    while (lines_next(&lines)) {
        const ByteString bytes = {.bytes = text, .length = line_bytes(&lines, text)};
        const size_t count = plain_pattern_pretokens(plain, bytes, PATTERN_GPT2);
        size_t end = 0;
        test_label("line %zu", lines.number);
        for (size_t i = 0, more; i < count; i++, end += more) {
            ck_assert(line_number(&lines, &more));
            ck_assert_uint_eq(plain[i], end + more);
        }
        ck_assert_uint_eq(end, bytes.length);
    }
    test_label_end();
    lines_close(&lines);
}
END_TEST

static void mark_ends(bool *marks, ByteString text)
{
    size_t ends[LONGEST_TEXT];
    const size_t count = plain_pattern_pretokens(ends, text, PATTERN_GPT4);
    for (size_t i = 0; i < count; i++)
        marks[ends[i]] = true;
}

/*
 * Cuts a text in two wherever that is said to be safe, by a look at the bytes before `shown` only. Each half must have
 * the pre-tokens of the whole. Returns the number of cuts.
 */
static size_t cut_everywhere(ByteString text, const bool *uncut, size_t more_shown, size_t number)
{
    size_t cuts = 0;
    for (size_t cut = 1; cut < text.length; cut++) {
        const size_t shown = cut + more_shown < text.length ? cut + more_shown : text.length;
        if (!pretoken_surely_begins(PATTERN_GPT4, text.bytes, shown, cut))
            continue;
        bool halves[LONGEST_TEXT + 1] = {false};
        mark_ends(halves, (ByteString){.bytes = text.bytes, .length = cut});
        mark_ends(halves + cut, (ByteString){.bytes = text.bytes + cut, .length = text.length - cut});
        ck_assert_msg(memcmp(halves, uncut, text.length + 1) == 0, "text %zu, cut at %zu of %zu bytes", number, cut,
                      text.length);
        cuts++;
    }
    return cuts;
}

/* Scans and cuts all texts of `length` symbols. */
static void check_combinations(const ByteString *symbols, size_t symbol_count, size_t length)
{
    size_t texts = 1, cuts = 0;
    for (size_t i = 0; i < length; i++)
        texts *= symbol_count;
    for (size_t number = 0; number < texts; number += test_is_instrumented() ? 17 : 1) {
        uint8_t bytes[LONGEST_COMBINATION];
        size_t expected[LONGEST_COMBINATION];
        ByteString text = {.bytes = bytes};
        for (size_t i = 0, rest = number; i < length; i++, rest /= symbol_count) {
            const ByteString symbol = symbols[rest % symbol_count];
            memcpy(bytes + text.length, symbol.bytes, symbol.length);
            text.length += symbol.length;
        }
        const size_t count = plain_pattern_pretokens(expected, text, PATTERN_GPT4);
        assert_scan(PATTERN_GPT4, bytes, text.length, text.length, expected, count, "combination", number);
        assert_scan(PATTERN_GPT4, bytes, text.length, 1, expected, count, "combination", number);
        bool uncut[LONGEST_TEXT + 1] = {false};
        for (size_t i = 0; i < count; i++)
            uncut[expected[i]] = true;
        cuts += cut_everywhere(text, uncut, text.length, number);
    }
    ck_assert_uint_gt(cuts, texts / (test_is_instrumented() ? 17 : 1) / 4);
}

START_TEST(test_all_short_texts_are_scanned_and_cut_right)
{
    static const ByteString kinds[] = {ATOM("a"),    ATOM("S"),  ATOM("1"),  ATOM("."),        ATOM("'"),
                                       ATOM(" "),    ATOM("\n"), ATOM("\r"), ATOM("\t"),       ATOM("\xC2\xA0"),
                                       ATOM("\xFF"), ATOM("l"),  ATOM("e"),  ATOM("\xC5\xBF"), ATOM("\xC2")};
    static const ByteString spaces[] = {ATOM("a"), ATOM("."), ATOM(" "), ATOM("\n"), ATOM("\xE2\x80\xA8"), ATOM("1")};
    static const ByteString numbers[] = {ATOM("7"), ATOM("\xF0\x9D\x9F\x98"), ATOM("a"), ATOM(" ")};
    check_combinations(kinds, COUNT(kinds), 4);
    check_combinations(spaces, COUNT(spaces), 6);
    check_combinations(numbers, COUNT(numbers), 7);
}
END_TEST

/* Which neighbours may be cut apart, in the order letter, number, other, line end, other white space. */
START_TEST(test_where_gpt4_pretokens_surely_begin)
{
    static const char *const kinds[] = {"e", "1", "'", "\n", " "};
    static const bool expected[5][5] = {
        {false, true, true, true, true},    /* a letter, and what follows */
        {true, false, true, true, true},    /* a number */
        {false, true, false, false, true},  /* an apostrophe, and all else that is visible */
        {true, true, true, false, false},   /* a line end */
        {false, false, false, false, false} /* other white space */
    };
    for (size_t i = 0; i < COUNT(kinds); i++)
        for (size_t k = 0; k < COUNT(kinds); k++) {
            const uint8_t text[] = {(uint8_t)*kinds[i], (uint8_t)*kinds[k]};
            test_label("kinds %zu and %zu", i, k);
            ck_assert_int_eq(pretoken_surely_begins(PATTERN_GPT4, text, 2, 1), expected[i][k]);
        }
}
END_TEST

static const ByteString atoms[] = {
    ATOM("a"),        ATOM("Zebra"),
    ATOM("7"),        ATOM("42"),
    ATOM("."),        ATOM("\0"),
    ATOM("'"),        ATOM("'s"),
    ATOM("'LL"),      ATOM("'vE"),
    ATOM("'r"),       ATOM("'l"),
    ATOM("l"),        ATOM("e"),
    ATOM(" "),        ATOM("\n"),
    ATOM("\r\n"),     ATOM("\t"),
    ATOM("\x1C"),     ATOM("\xC3\xA9"),
    ATOM("\xC5\xBF"), ATOM("\xFF"),
    ATOM("\xC2\xA0"), ATOM("\xE3\x80\x80"),
    ATOM("\xC2\xB2"), ATOM("\xF0\x9F\x99\x82"),
    ATOM("\xE4\xB8"), ATOM("\x80"),
    ATOM("'\xC5"),    ATOM("\xE2\x80\xA9"),
};

/* Makes a text of few kinds of atoms, so that runs are long, or of many kinds. */
static ByteString nasty_text(Rng *rng, uint8_t *buffer)
{
    ByteString some[3];
    for (size_t i = 0; i < COUNT(some); i++)
        some[i] = atoms[rng_below(rng, COUNT(atoms))];
    return rng_below(rng, 2) ? random_text(rng, buffer, some, COUNT(some), 200)
                             : random_text(rng, buffer, atoms, COUNT(atoms), 200);
}

START_TEST(test_gpt4_pretokens_of_any_bytes_equal_the_plain_reference)
{
    Rng rng = rng_seeded(4);
    uint8_t buffer[LONGEST_TEXT];
    size_t expected[LONGEST_TEXT], total = 0, cuts = 0;
    for (size_t trial = 0; trial < TRIALS; trial++) {
        const ByteString text = nasty_text(&rng, buffer);
        const size_t count = plain_pattern_pretokens(expected, text, PATTERN_GPT4);
        const size_t chunk_bytes = 1 + (size_t)rng_below(&rng, trial % 2 ? 20 : LONGEST_TEXT);
        assert_scan(PATTERN_GPT4, text.bytes, text.length, text.length, expected, count, "trial", trial);
        assert_scan(PATTERN_GPT4, text.bytes, text.length, chunk_bytes, expected, count, "trial", trial);
        bool uncut[LONGEST_TEXT + 1] = {false};
        for (size_t i = 0; i < count; i++)
            uncut[expected[i]] = true;
        cuts += cut_everywhere(text, uncut, (size_t)rng_below(&rng, 9), trial);
        total += count;
    }
    ck_assert_uint_gt(total, 20 * TRIALS);
    ck_assert_msg(cuts > total / 8, "%zu cuts of %zu ends", cuts, total);
}
END_TEST

/*
 * A run is fed byte by byte. If each chunk began to scan at the start of its pre-token again, this test would take
 * 10^11 steps. White space behind a line end is not scanned, but counted.
 */
START_TEST(test_a_megabyte_of_one_gpt4_pretoken_is_scanned_once)
{
    static const struct {
        char first, byte;
        size_t pretokens;
    } runs[] = {{'a', 'a', 1},   {'.', 'a', 1}, {' ', ' ', 1},  {' ', '\t', 1},
                {'\n', '\n', 1}, {'.', '.', 1}, {'.', '\n', 1}, {(char)0x80, (char)0x80, 1},
                {'\n', ' ', 2}};
    uint8_t *text = malloc(MEGABYTE);
    const uint8_t *ends[PRETOKENS_PER_GROUP];
    for (size_t run = 0; run < COUNT(runs); run++) {
        memset(text, runs[run].byte, MEGABYTE);
        text[0] = (uint8_t)runs[run].first;
        Pretokenizer p;
        pretokenizer_begin(&p, PATTERN_GPT4);
        size_t scanned = 0;
        for (size_t length = 1; length <= MEGABYTE; length++) {
            pretokenizer_feed(&p, text + scanned, length - scanned, false);
            if (pretokenizer_next(&p, ends, PRETOKENS_PER_GROUP) != 0)
                ck_abort_msg("run %zu ends after %zu bytes", run, length);
            scanned = (size_t)(p.unscanned - text);
            if (runs[run].pretokens == 1 ? length - scanned >= 80 : scanned > 1)
                ck_abort_msg("run %zu: %zu of %zu bytes scanned", run, scanned, length);
        }
        test_label("run %zu", run);
        pretokenizer_feed(&p, text + scanned, MEGABYTE - scanned, true);
        const size_t count = pretokenizer_next(&p, ends, PRETOKENS_PER_GROUP);
        ck_assert_uint_eq(count, runs[run].pretokens);
        ck_assert_ptr_eq(ends[count - 1], text + MEGABYTE);
        ck_assert_uint_eq(pretokenizer_next(&p, ends, PRETOKENS_PER_GROUP), 0);
    }
    free(text);
}
END_TEST

/* ---- learning and encoding ---- */

static BPEModel read_model(void)
{
    BPEModel model;
    assert_ok(bpe_model_read(&model, "tests/fixtures/tokenizer/gpt4_vocab.json",
                             "tests/fixtures/tokenizer/gpt4_merges.txt", NULL, 0));
    model.pattern = PATTERN_GPT4;
    return model;
}

/* The fixture is from a trainer in Python that counts all pairs again before each merge. */
START_TEST(test_learning_with_gpt4s_pattern_matches_the_reference)
{
    const char *const path = "tests/fixtures/tokenizer/train.txt";
    const ByteString special = byte_string("<|endoftext|>");
    BPEModel expected = read_model();
    for (int threads = 1; threads <= 3; threads++) {
        const BPETrainConfig config = {.vocab_size = expected.vocab_size,
                                       .special_tokens = &special,
                                       .special_count = 1,
                                       .pattern = PATTERN_GPT4,
                                       .threads = threads};
        BPEModel model;
        assert_ok(bpe_train_files(&model, NULL, &path, 1, &config));
        ck_assert_int_eq(model.pattern, PATTERN_GPT4);
        ck_assert_uint_eq(model.vocab_size, expected.vocab_size);
        ck_assert_uint_eq(model.merge_count, expected.merge_count);
        ck_assert_mem_eq(model.merges, expected.merges, model.merge_count * sizeof *model.merges);
        for (size_t id = 0; id < model.vocab_size; id++)
            ck_assert_msg(
                byte_string_equal(bpe_model_token(&model, (int32_t)id), bpe_model_token(&expected, (int32_t)id)),
                "token %zu differs", id);
        bpe_model_deinit(&model);
    }
    bpe_model_deinit(&expected);
}
END_TEST

/* Compares the ids of a whole text, and of the text byte by byte, with the numbers that are left of a line. */
static void compare_with_line(const Tokenizer *tokenizer, Lines *lines, ByteString text)
{
    TokenList whole = {0}, bytewise = {0};
    Encoder *encoder;
    assert_ok(tokenizer_encode(tokenizer, &whole, text));
    assert_ok(encoder_create_small(&encoder, tokenizer, 1 << 16, token_list_sink, &bytewise));
    for (size_t i = 0; i < text.length; i++)
        assert_ok(encoder_feed(encoder, text.bytes + i, 1));
    assert_ok(encoder_finish(encoder));
    encoder_destroy(encoder);
    size_t count = 0;
    test_label("line %zu", lines->number);
    for (size_t id; line_number(lines, &id); count++) {
        ck_assert_uint_gt(whole.count, count);
        ck_assert_uint_eq((size_t)whole.ids[count], id);
    }
    ck_assert_uint_eq(whole.count, count);
    ck_assert_uint_eq(bytewise.count, count);
    ck_assert_mem_eq(bytewise.ids, whole.ids, count * sizeof *whole.ids);
    token_list_deinit(&whole);
    token_list_deinit(&bytewise);
}

START_TEST(test_ids_with_gpt4s_pattern_match_tiktoken)
{
    BPEModel model = read_model();
    Tokenizer *tokenizer;
    Lines lines = lines_open("tokenizer/gpt4_ids.txt");
    uint8_t text[LINE_BYTES];
    assert_ok(tokenizer_create(&tokenizer, &model, NULL, 0));
    while (lines_next(&lines)) {
        const size_t length = line_bytes(&lines, text);
        compare_with_line(tokenizer, &lines, (ByteString){.bytes = text, .length = length});
    }
    test_label_end();
    ck_assert_uint_gt(lines.number, 200);
    lines_close(&lines);
    tokenizer_destroy(tokenizer);
    bpe_model_deinit(&model);
}
END_TEST

/* ---- models that ignore their merges ---- */

/* The fixture first has tokens that no merges lead to, one a line, then texts with the ids of Hugging Face's library.
 */
START_TEST(test_pretokens_that_are_tokens_match_tokenizers)
{
    BPEModel model = read_model();
    Tokenizer *tokenizer = NULL;
    Lines lines = lines_open("tokenizer/gpt4_whole_ids.txt");
    uint8_t text[LINE_BYTES];
    model.ignore_merges = true;
    while (lines_next(&lines)) {
        const size_t length = line_bytes(&lines, text);
        const bool is_token = *lines.next != ' ';
        if (!tokenizer && is_token) {
            assert_ok(bpe_model_add_token(&model, (ByteString){.bytes = text, .length = length}));
            continue;
        }
        if (!tokenizer)
            assert_ok(tokenizer_create(&tokenizer, &model, NULL, 0));
        compare_with_line(tokenizer, &lines, (ByteString){.bytes = text, .length = length});
    }
    test_label_end();
    ck_assert_uint_gt(model.vocab_size, 950);
    lines_close(&lines);
    tokenizer_destroy(tokenizer);
    bpe_model_deinit(&model);
}
END_TEST

/* A token as long as the longest one that the encoder keeps is taken whole; one byte more is refused. */
START_TEST(test_how_long_a_whole_token_may_be)
{
    static uint8_t text[WHOLE_TOKEN_BYTES + 1];
    memset(text, 'x', sizeof text);
    for (size_t length = WHOLE_TOKEN_BYTES; length <= sizeof text; length++) {
        BPEModel model = read_model();
        Tokenizer *tokenizer;
        TokenList ids = {0};
        const ByteString token = {.bytes = text, .length = length};
        assert_ok(bpe_model_add_token(&model, token));
        model.ignore_merges = true;
        const Status s = tokenizer_create(&tokenizer, &model, NULL, 0);
        if (length > WHOLE_TOKEN_BYTES) {
            assert_fails(s, CS336_ERANGE,
                         "tokenizer_create: token 900 has 4097 bytes, expected at most 4096, since the model takes "
                         "pre-tokens that are tokens without merging them");
        } else {
            assert_ok(s);
            assert_ok(tokenizer_encode(tokenizer, &ids, token));
            ck_assert_uint_eq(ids.count, 1);
            ck_assert_int_eq(ids.ids[0], 900);
            token_list_deinit(&ids);
        }
        tokenizer_destroy(tokenizer);
        bpe_model_deinit(&model);
    }
}
END_TEST

/*
 * White space behind a line end is kept until something decides where it belongs. Here that is longer than what the
 * encoder usually keeps, and longer than a pre-token that is merged whole.
 */
START_TEST(test_white_space_behind_a_line_end_may_be_long)
{
    enum { SPACES = 30000 };
    static const char *const ends[] = {"x", "\nx", "1", "", "\n"};
    const ByteString corpus = byte_string("    \n        x  \n\n  x");
    const BPETrainConfig config = {.vocab_size = 265, .pattern = PATTERN_GPT4, .threads = 1};
    BPEModel model;
    Tokenizer *tokenizer;
    assert_ok(bpe_train(&model, NULL, &corpus, 1, &config));
    assert_ok(tokenizer_create(&tokenizer, &model, NULL, 0));
    for (size_t k = 0; k < COUNT(ends); k++) {
        ByteList text = {0};
        TokenList expected = {0}, ids = {0};
        MergeScratch scratch = {0};
        assert_ok(byte_list_append_text(&text, "y \n"));
        for (size_t i = 0; i < SPACES; i++)
            assert_ok(byte_list_append_text(&text, i % 7 ? " " : "\t"));
        assert_ok(byte_list_append_text(&text, ends[k]));
        /* Each pre-token of the plain reference is merged whole. */
        size_t *pretokens = malloc(text.length * sizeof *pretokens), begin = 0;
        const size_t count = plain_pattern_pretokens(pretokens, byte_list_view(&text), PATTERN_GPT4);
        assert_ok(merge_scratch_reserve(&scratch, text.length));
        for (size_t i = 0; i < count; begin = pretokens[i++]) {
            const size_t n = merge_table_apply(&tokenizer->merges, &scratch, text.bytes + begin, pretokens[i] - begin);
            assert_ok(token_list_append(&expected, scratch.ids, n));
        }
        /* The encoder gets 100 bytes at a time. */
        Encoder *encoder;
        assert_ok(encoder_create_small(&encoder, tokenizer, 1 << 16, token_list_sink, &ids));
        for (size_t i = 0; i < text.length; i += 100)
            assert_ok(encoder_feed(encoder, text.bytes + i, text.length - i < 100 ? text.length - i : 100));
        assert_ok(encoder_finish(encoder));
        test_label("end %zu", k);
        ck_assert_uint_eq(ids.count, expected.count);
        ck_assert_mem_eq(ids.ids, expected.ids, ids.count * sizeof *ids.ids);
        encoder_destroy(encoder);
        free(pretokens);
        merge_scratch_deinit(&scratch);
        token_list_deinit(&expected);
        token_list_deinit(&ids);
        byte_list_deinit(&text);
    }
    tokenizer_destroy(tokenizer);
    bpe_model_deinit(&model);
}
END_TEST

const TestCase pattern_tests[] = {
    TEST(test_gpt4_pretokens_match_regex, "pretokenize"),
    TEST(test_the_plain_matcher_matches_regex, "pretokenize"),
    TEST(test_all_short_texts_are_scanned_and_cut_right, "pretokenize"),
    TEST(test_where_gpt4_pretokens_surely_begin, "pretokenize"),
    TEST(test_gpt4_pretokens_of_any_bytes_equal_the_plain_reference, "pretokenize"),
    TEST(test_a_megabyte_of_one_gpt4_pretoken_is_scanned_once, "pretokenize"),
    TEST(test_learning_with_gpt4s_pattern_matches_the_reference, "train_bpe"),
    TEST(test_ids_with_gpt4s_pattern_match_tiktoken, "tokenizer"),
    TEST(test_pretokens_that_are_tokens_match_tokenizers, "tokenizer"),
    TEST(test_how_long_a_whole_token_may_be, "tokenizer"),
    TEST(test_white_space_behind_a_line_end_may_be_long, "tokenizer"),
    {0},
};
