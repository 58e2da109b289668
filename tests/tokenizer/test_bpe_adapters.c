/* Edges of the exercises train_bpe and tokenizer, through the adapters that the course's tests call. */
#include "tests/adapters.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/files.h"
#include "tests/support/lines.h"
#include "tests/support/plain_bpe.h"
#include "tests/support/plain_pretokens.h"
#include "tests/support/plain_tokenizer.h"
#include "tests/support/random_text.h"

#include <string.h>

enum { MERGES = 120, TRIALS = 400 };

/* Special tokens of which one begins with another. */
static const ByteString specials[] = {ATOM("<|a|>"), ATOM("<|a|><|a|>"), ATOM("x y\n")};

/* Pairs of these atoms often overlap and often tie. */
static const ByteString atoms[] = {ATOM("<|a|>"), ATOM("<|a"), ATOM("<|"),   ATOM("a"),  ATOM("b"),    ATOM("aab"),
                                   ATOM("x y"),   ATOM(" "),   ATOM("\n"),   ATOM("|>"), ATOM("aaaa"), ATOM("é"),
                                   ATOM("'s"),    ATOM("l"),   ATOM("12"),   ATOM("  "), ATOM("'ll"),  ATOM("东"),
                                   ATOM("\xFF"),  ATOM("'"),   ATOM("\xE4"), ATOM("\0")};

/* ---- train_bpe ---- */

static void assert_training(ByteString text, size_t special_count, size_t most_merges, size_t trial)
{
    test_label("corpus %zu", trial);
    const char *path = temp_path("corpus.txt");
    TrainedBPE trained;
    write_file(path, text.bytes, text.length);
    assert_ok(run_train_bpe(&trained, path, 256 + special_count + most_merges, specials, special_count));
    PlainBPE plain = plain_bpe_train(text, specials, special_count, most_merges, TRAIN_RIGHT);
    for (size_t i = 0; i < plain.merge_count && i < trained.merge_count; i++)
        if (!byte_string_equal(trained.merges[i].left, plain.left[i]) ||
            !byte_string_equal(trained.merges[i].right, plain.right[i]))
            ck_abort_msg("merge %zu: (%.*s, %.*s), expected (%.*s, %.*s)", i, (int)trained.merges[i].left.length,
                         (const char *)trained.merges[i].left.bytes, (int)trained.merges[i].right.length,
                         (const char *)trained.merges[i].right.bytes, (int)plain.left[i].length,
                         (const char *)plain.left[i].bytes, (int)plain.right[i].length,
                         (const char *)plain.right[i].bytes);
    ck_assert_uint_eq(trained.merge_count, plain.merge_count);
    ck_assert_uint_eq(trained.vocab_size, 256 + special_count + plain.merge_count);
    plain_bpe_free(&plain);
    release_trained_bpe(&trained);
}

START_TEST(test_run_train_bpe_equals_a_trainer_that_recounts_everything)
{
    Rng rng = rng_seeded(69);
    uint8_t buffer[LONGEST_TEXT];
    for (size_t trial = 0; trial < 80; trial++) {
        const ByteString text = random_text(&rng, buffer, atoms, COUNT(atoms), 60);
        assert_training(text, trial % 2 ? COUNT(specials) : 0, (size_t)rng_below(&rng, 60), trial);
    }
}
END_TEST

START_TEST(test_run_train_bpe_of_nothing)
{
    assert_training(byte_string(""), COUNT(specials), 10, 0);
    assert_training(byte_string("a b c"), 0, 10, 1);
    assert_training(byte_string("x y\nx y\n"), COUNT(specials), 10, 2);
}
END_TEST

/* ---- tokenizer ---- */

/* A vocabulary of the 256 bytes, whose ids are 255 - byte, and MERGES merges. */
typedef struct {
    ByteString vocab[256 + MERGES];
    MergePair merges[MERGES];
    PlainBPE plain;
    uint8_t bytes[256];
    ByteList joined[MERGES];
} Vocabulary;

static const char training_text[] =
    "aab aabaab abab aaaa aaab bbab abba aaaaaaaabbbbabab xxyx é éé 东 'll it's he's 12 "
    "1212 <|a|> <| |> |>x x|> <|a|><|a \n\n\n  \n x y\n aabb ab aq 'l 'lll éaé 东东";

static void vocabulary_train(Vocabulary *v, ByteString text)
{
    *v = (Vocabulary){.plain = plain_bpe_train(text, NULL, 0, MERGES, TRAIN_RIGHT)};
    for (size_t i = 0; i < 256; i++) {
        v->bytes[i] = (uint8_t)(255 - i);
        v->vocab[i] = (ByteString){.bytes = &v->bytes[i], .length = 1};
    }
    for (size_t i = 0; i < v->plain.merge_count; i++) {
        const MergePair merge = {.left = v->plain.left[i], .right = v->plain.right[i]};
        assert_ok(byte_list_append(&v->joined[i], merge.left.bytes, merge.left.length));
        assert_ok(byte_list_append(&v->joined[i], merge.right.bytes, merge.right.length));
        v->merges[i] = merge;
        v->vocab[256 + i] = byte_list_view(&v->joined[i]);
    }
}

static void vocabulary_init(Vocabulary *v)
{
    vocabulary_train(v, byte_string(training_text));
}

static void vocabulary_deinit(Vocabulary *v)
{
    plain_bpe_free(&v->plain);
    for (size_t i = 0; i < MERGES; i++)
        byte_list_deinit(&v->joined[i]);
}

static Tokenizer *open_tokenizer(const Vocabulary *v, size_t special_count)
{
    Tokenizer *tokenizer;
    assert_ok(get_tokenizer(&tokenizer, v->vocab, 256 + v->plain.merge_count, v->merges, v->plain.merge_count, specials,
                            special_count));
    return tokenizer;
}

/* Encodes with the plain reference: the texts of the tokens, one for each byte at most. */
static size_t encode_plainly(ByteString *tokens, const Vocabulary *v, ByteString text, size_t special_count)
{
    const PlainTokenizer plain = {.merges = &v->plain, .special = specials, .special_count = special_count};
    return plain_encode(tokens, &plain, text);
}

/* The text of an id; special tokens that are not in the vocabulary follow it. */
static ByteString token_of(const Vocabulary *v, int32_t id)
{
    const size_t size = 256 + v->plain.merge_count;
    ck_assert_msg(id >= 0 && (size_t)id < size + COUNT(specials), "id %d", (int)id);
    return (size_t)id < size ? v->vocab[id] : specials[(size_t)id - size];
}

static void assert_tokens(const Vocabulary *v, const TokenList *ids, const ByteString *expected, size_t count,
                          size_t trial)
{
    for (size_t i = 0; i < ids->count && i < count; i++) {
        const ByteString token = token_of(v, ids->ids[i]);
        if (!byte_string_equal(token, expected[i]))
            ck_abort_msg("trial %zu: token %zu is \"%.*s\", expected \"%.*s\"", trial, i, (int)token.length,
                         (const char *)token.bytes, (int)expected[i].length, (const char *)expected[i].bytes);
    }
    ck_assert_msg(ids->count == count, "trial %zu: %zu tokens, expected %zu", trial, ids->count, count);
}

START_TEST(test_run_encode_equals_applying_one_merge_after_the_other)
{
    Rng rng = rng_seeded(70);
    uint8_t buffer[LONGEST_TEXT];
    ByteString expected[LONGEST_TEXT];
    Vocabulary v;
    vocabulary_init(&v);
    for (size_t special_count = 0; special_count <= COUNT(specials); special_count += COUNT(specials)) {
        Tokenizer *tokenizer = open_tokenizer(&v, special_count);
        for (size_t trial = 0; trial < TRIALS; trial++) {
            const ByteString text = random_text(&rng, buffer, atoms, COUNT(atoms), 40);
            TokenList ids = {0};
            test_label("%zu special tokens", special_count);
            assert_ok(run_encode(&ids, tokenizer, text));
            assert_tokens(&v, &ids, expected, encode_plainly(expected, &v, text, special_count), trial);
            token_list_deinit(&ids);
        }
        release_tokenizer(tokenizer);
    }
    vocabulary_deinit(&v);
}
END_TEST

/* Gives a text in chunks of random lengths. */
typedef struct {
    ByteString rest;
    Rng rng;
    size_t longest;
} Cutter;

static ByteString next_chunk(void *context)
{
    Cutter *cutter = context;
    ByteString chunk = cutter->rest;
    if (chunk.length) {
        const size_t length = 1 + (size_t)rng_below(&cutter->rng, cutter->longest);
        chunk.length = length < chunk.length ? length : chunk.length;
        cutter->rest.bytes += chunk.length;
        cutter->rest.length -= chunk.length;
    }
    return chunk;
}

static Status take_ids(void *context, const int32_t *ids, size_t count)
{
    return token_list_append(context, ids, count);
}

/* Special tokens hold back bytes at the end of a chunk, and so hide what else must be held back. */
START_TEST(test_run_encode_iterable_does_not_depend_on_the_cuts)
{
    uint8_t buffer[LONGEST_TEXT];
    ByteString expected[LONGEST_TEXT];
    Vocabulary v;
    vocabulary_init(&v);
    for (size_t special_count = 0; special_count <= COUNT(specials); special_count += COUNT(specials)) {
        Tokenizer *tokenizer = open_tokenizer(&v, special_count);
        Cutter cutter = {.rng = rng_seeded(71)};
        for (size_t trial = 0; trial < TRIALS; trial++) {
            const ByteString text = random_text(&cutter.rng, buffer, atoms, COUNT(atoms), 40);
            TokenList ids = {0};
            test_label("%zu special tokens", special_count);
            cutter.rest = text;
            cutter.longest = 1 + trial % 8;
            assert_ok(run_encode_iterable(tokenizer, next_chunk, &cutter, take_ids, &ids));
            assert_tokens(&v, &ids, expected, encode_plainly(expected, &v, text, special_count), trial);
            token_list_deinit(&ids);
        }
        release_tokenizer(tokenizer);
    }
    vocabulary_deinit(&v);
}
END_TEST

/* Gives a text in three chunks, of which the second and the third may be empty. */
typedef struct {
    ByteString text;
    size_t cuts[2];
    size_t given; /* bytes */
} TwoCuts;

static ByteString next_third(void *context)
{
    TwoCuts *c = context;
    const size_t begin = c->given;
    for (size_t i = 0; i < COUNT(c->cuts) && c->given == begin; i++)
        c->given = c->cuts[i] > begin ? c->cuts[i] : begin;
    if (c->given == begin)
        c->given = c->text.length;
    return (ByteString){.bytes = c->text.bytes + begin, .length = c->given - begin};
}

/* Cuts a text at every two places. */
static void assert_cut_anywhere(const Vocabulary *v, const Tokenizer *tokenizer, ByteString text, size_t special_count,
                                size_t trial)
{
    ByteString expected[LONGEST_TEXT];
    const size_t count = encode_plainly(expected, v, text, special_count);
    for (size_t i = 1; i <= text.length; i++)
        for (size_t k = i; k <= text.length; k++) {
            TokenList ids = {0};
            TwoCuts cuts = {.text = text, .cuts = {i, k}};
            assert_ok(run_encode_iterable(tokenizer, next_third, &cuts, take_ids, &ids));
            assert_tokens(v, &ids, expected, count, trial);
            token_list_deinit(&ids);
        }
}

/*
 * A chunk that ends inside a white-space character changes up to three pre-tokens: " \n\xC2" is split into " ", "\n"
 * and
 * "\xC2", and " \n\u00A0" is a single one. The vocabulary is trained on each text, so its tokens are as long as the
 * pre-tokens, and each border that is not one shows.
 */
START_TEST(test_run_encode_iterable_of_text_cut_anywhere)
{
    static const char *const texts[] = {" \n\u00A0 v",
                                        "ab \n\u00A0\u00A0ab",
                                        "\n\n\u3000\n\u3000x",
                                        "a \u2003\r\n\u2003\u2003 a",
                                        "it'll \u00A0'll\u00A0'l",
                                        "<|a|>\u00A0 \u00A0<|a|><|a|>\u00A0",
                                        " \n\xC2\x85 x y\n\xC2\x85 y",
                                        "  é \u00A0\u00E9\u00A0 12\u00A012 "};
    for (size_t special_count = 0; special_count <= COUNT(specials); special_count += COUNT(specials))
        for (size_t trial = 0; trial < COUNT(texts); trial++) {
            const ByteString text = byte_string(texts[trial]);
            Vocabulary v;
            vocabulary_train(&v, text);
            Tokenizer *tokenizer = open_tokenizer(&v, special_count);
            assert_cut_anywhere(&v, tokenizer, text, special_count, trial);
            release_tokenizer(tokenizer);
            vocabulary_deinit(&v);
        }
}
END_TEST

/* Each line of the fixture is bytes, and what Python's errors="replace" makes of them. */
START_TEST(test_run_decode_replaces_malformed_utf8)
{
    Lines lines = lines_open("tokenizer/replaced.txt");
    uint8_t bytes[LINE_BYTES], replaced[LINE_BYTES];
    Vocabulary v;
    vocabulary_init(&v);
    Tokenizer *tokenizer = open_tokenizer(&v, 0);
    while (lines_next(&lines)) {
        const size_t count = line_bytes(&lines, bytes);
        const ByteString expected = {.bytes = replaced, .length = line_bytes(&lines, replaced)};
        int32_t ids[LINE_BYTES];
        for (size_t i = 0; i < count; i++)
            ids[i] = 255 - bytes[i];
        ByteList text = {0};
        assert_ok(byte_list_append_text(&text, ">"));
        assert_ok(run_decode(&text, tokenizer, ids, count));
        const ByteString decoded = {.bytes = text.bytes + 1, .length = text.length - 1};
        ck_assert_msg(byte_string_equal(decoded, expected), "line %zu: \"%.*s\", expected \"%.*s\"", lines.number,
                      (int)text.length, (const char *)text.bytes, (int)expected.length, (const char *)replaced);
        byte_list_deinit(&text);
    }
    release_tokenizer(tokenizer);
    vocabulary_deinit(&v);
    lines_close(&lines);
}
END_TEST

START_TEST(test_get_tokenizer_appends_missing_special_tokens)
{
    Vocabulary v;
    vocabulary_init(&v);
    Tokenizer *tokenizer = open_tokenizer(&v, COUNT(specials));
    const int32_t vocab_size = (int32_t)(256 + v.plain.merge_count);
    for (size_t i = 0; i < COUNT(specials); i++) {
        TokenList ids = {0};
        ByteList text = {0};
        test_label("special token %zu", i);
        assert_ok(run_encode(&ids, tokenizer, specials[i]));
        ck_assert_uint_eq(ids.count, 1);
        ck_assert_int_eq(ids.ids[0], vocab_size + (int32_t)i);
        assert_ok(run_decode(&text, tokenizer, ids.ids, ids.count));
        ck_assert(byte_string_equal(byte_list_view(&text), specials[i]));
        token_list_deinit(&ids);
        byte_list_deinit(&text);
    }
    release_tokenizer(tokenizer);
    vocabulary_deinit(&v);
}
END_TEST

/* ---- mistakes ---- */

/* Fails if two of the answers are the same. Answer 0 is the right one; the others are named after their number. */
static void assert_all_different(const ByteList *answers, size_t count, const char *what)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            if (byte_string_equal(byte_list_view(&answers[i]), byte_list_view(&answers[k])))
                ck_abort_msg("%s: mistakes %zu and %zu have the same answer \"%.*s\"", what, k, i,
                             (int)answers[i].length, (const char *)answers[i].bytes);
}

/* Appends byte strings, each behind a '|'. */
static void append_all(ByteList *list, const ByteString *strings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_ok(byte_list_append_text(list, "|"));
        assert_ok(byte_list_append(list, strings[i].bytes, strings[i].length));
    }
}

static void deinit_all(ByteList *answers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        byte_list_deinit(&answers[i]);
}

static const ByteString ends[] = {ATOM("<|e|>"), ATOM("<|e|><|e|>")};

START_TEST(test_mistakes_of_the_pretokenizer_differ_on_one_text)
{
    const ByteString text = byte_string("We'll  try 2 cafés  <|e|><|e|>ok");
    ByteList answers[PRETOKENS_MISTAKES] = {0};
    TextRange ranges[LONGEST_TEXT];
    for (size_t m = 0; m < COUNT(answers); m++) {
        const size_t count = plain_split(ranges, text, ends, COUNT(ends), (PretokensMistake)m);
        for (size_t i = 0; i < count; i++) {
            const ByteString range = {.bytes = text.bytes + ranges[i].begin, .length = ranges[i].end - ranges[i].begin};
            append_all(&answers[m], &range, 1);
        }
    }
    assert_all_different(answers, COUNT(answers), "pretokenizer");
    deinit_all(answers, COUNT(answers));
}
END_TEST

START_TEST(test_mistakes_of_training_differ_on_one_text)
{
    const ByteString text = byte_string("newestlowx widebaaaa <|e|> xy xy");
    ByteList answers[TRAIN_MISTAKES] = {0};
    for (size_t m = 0; m < COUNT(answers); m++) {
        PlainBPE plain = plain_bpe_train(text, ends, 1, 4, (TrainMistake)m);
        for (size_t i = 0; i < plain.merge_count; i++) {
            append_all(&answers[m], &plain.left[i], 1);
            append_all(&answers[m], &plain.right[i], 1);
        }
        plain_bpe_free(&plain);
    }
    assert_all_different(answers, COUNT(answers), "train_bpe");
    deinit_all(answers, COUNT(answers));
}
END_TEST

/*
 * "abcd" is a, b, cd, because (c, d) was created first; from left to right it would be abc, d. "xyz" is one token, from
 * left to right xy, z. Two chunks end inside "'ll" and inside the special token. Without special tokens nothing but a
 * pre-token is held back from "'ll". A chunk of the second text ends inside U+00A0, which is white space.
 */
START_TEST(test_mistakes_of_the_tokenizer_differ_on_one_text)
{
    ByteString left[] = {ATOM("c"), ATOM("b"), ATOM("a"), ATOM("y"), ATOM("x"),
                         ATOM("x"), ATOM("l"), ATOM("'"), ATOM(" ")};
    ByteString right[] = {ATOM("d"),  ATOM("c"), ATOM("bc"), ATOM("z"), ATOM("y"),
                          ATOM("yz"), ATOM("l"), ATOM("ll"), ATOM("\n")};
    const PlainBPE merges = {.left = left, .right = right, .merge_count = COUNT(left)};
    const ByteString text = byte_string("abcd xyz it'll é\xFF<|e|><|e|>.");
    const ByteString blanks = byte_string(" \n\u00A0 v");
    const size_t lengths[] = {13, text.length - 13 - 2, 2}, halves[] = {3, 3};
    ByteList answers[TOKENIZER_MISTAKES] = {0};
    ByteString tokens[LONGEST_TEXT];
    for (size_t m = 0; m < COUNT(answers); m++) {
        PlainTokenizer plain = {
            .merges = &merges, .special = ends, .special_count = COUNT(ends), .mistake = (TokenizerMistake)m};
        size_t count = plain_encode(tokens, &plain, text);
        append_all(&answers[m], tokens, count);
        plain_decode(&answers[m], &plain, tokens, count);
        count = plain_encode_chunks(tokens, &plain, text, lengths, COUNT(lengths));
        append_all(&answers[m], tokens, count);
        plain.special_count = 0;
        count = plain_encode_chunks(tokens, &plain, text, lengths, COUNT(lengths));
        append_all(&answers[m], tokens, count);
        count = plain_encode_chunks(tokens, &plain, blanks, halves, COUNT(halves));
        append_all(&answers[m], tokens, count);
    }
    assert_all_different(answers, COUNT(answers), "tokenizer");
    deinit_all(answers, COUNT(answers));
}
END_TEST

const TestCase bpe_adapters_tests[] = {
    TEST(test_run_train_bpe_equals_a_trainer_that_recounts_everything, "train_bpe"),
    TEST(test_run_train_bpe_of_nothing, "train_bpe"),
    TEST(test_run_encode_equals_applying_one_merge_after_the_other, "tokenizer"),
    TEST(test_run_encode_iterable_does_not_depend_on_the_cuts, "tokenizer"),
    TEST(test_run_encode_iterable_of_text_cut_anywhere, "tokenizer"),
    TEST(test_run_decode_replaces_malformed_utf8, "tokenizer"),
    TEST(test_get_tokenizer_appends_missing_special_tokens, "tokenizer"),
    TEST(test_mistakes_of_the_pretokenizer_differ_on_one_text, "exercises"),
    TEST(test_mistakes_of_training_differ_on_one_text, "exercises"),
    TEST(test_mistakes_of_the_tokenizer_differ_on_one_text, "exercises"),
    {0},
};
