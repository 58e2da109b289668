#include "core/memory.h"
#include "core/rng.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/plain_merge.h"
#include "tests/support/random_text.h"
#include "tokenizer/encode/encoder.h"
#include "tokenizer/encode/long_pretoken.h"
#include "tokenizer/learn/bpe_train.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_MERGES = 60, SHORT_TEXT = 12, LONG_TEXT = 20000 };

/* ---- models ---- */

/* Returns the 256 bytes, each with its value as its id. */
static BPEModel byte_model(void)
{
    BPEModel model = {0};
    for (unsigned b = 0; b < BYTE_VALUES; b++) {
        const uint8_t byte = (uint8_t)b;
        assert_ok(bpe_model_add_token(&model, (ByteString){.bytes = &byte, .length = 1}));
    }
    return model;
}

/* Returns the first token that has the bytes of two others together, or -1. */
static int32_t find_joined(const BPEModel *model, int32_t left, int32_t right)
{
    const ByteString l = bpe_model_token(model, left), r = bpe_model_token(model, right);
    for (int32_t id = 0; id < (int32_t)model->vocab_size; id++) {
        const ByteString token = bpe_model_token(model, id);
        if (token.length == l.length + r.length && memcmp(token.bytes, l.bytes, l.length) == 0 &&
            memcmp(token.bytes + l.length, r.bytes, r.length) == 0)
            return id;
    }
    return -1;
}

/* Adds a merge. If the bytes are those of a token already, either that token or another one with its bytes is made. */
static void add_merge(BPEModel *model, int32_t left, int32_t right, bool bytes_are_one_token)
{
    const int32_t merged = bytes_are_one_token ? find_joined(model, left, right) : -1;
    if (merged < 0)
        assert_ok(bpe_model_merge(model, left, right));
    else
        assert_ok(bpe_model_add_merge(model, (BPEMerge){.left = left, .right = right, .merged = merged}));
}

/* How random models differ: the ranks of some are not in the order in which their tokens can be made. */
typedef enum { IN_ORDER, EQUAL_BYTES_APART, SOME_SWAPPED, SHUFFLED, KINDS } Kind;

/* Returns merges of random pairs of tokens, of the first `letters` letters. Some merges come twice. */
static BPEModel random_model(Rng *rng, size_t letters, size_t merges, Kind kind)
{
    BPEModel model = byte_model();
    int32_t made[MOST_MERGES + 4];
    size_t count = 0;
    for (; count < letters; count++)
        made[count] = (int32_t)('a' + count);
    while (model.merge_count < merges) {
        const int32_t left = made[rng_below(rng, count)], right = made[rng_below(rng, count)];
        add_merge(&model, left, right, kind != EQUAL_BYTES_APART);
        made[count++] = model.merges[model.merge_count - 1].merged;
    }
    size_t swaps = kind == SHUFFLED ? 4 * merges : kind == SOME_SWAPPED ? 1 + rng_below(rng, 3) : 0;
    for (; swaps > 0; swaps--) {
        BPEMerge *a = &model.merges[rng_below(rng, merges)], *b = &model.merges[rng_below(rng, merges)], other = *a;
        *a = *b;
        *b = other;
    }
    return model;
}

/* ---- encoding ---- */

typedef struct {
    BPEModel model;
    TokenIndex index;
    MergeTable merges;
    LongTables tables;
    MergeScratch scratch;
    LongPretoken pretoken;
    TokenList ids;
} Subject;

static void begin_subject(Subject *subject, BPEModel model)
{
    *subject = (Subject){.model = model};
    assert_ok(token_index_init(&subject->index, &subject->model));
    assert_ok(merge_table_init(&subject->merges, &subject->model, &subject->index));
    assert_ok(token_pairs_init(&subject->tables.pairs, &subject->model, &subject->merges));
    assert_ok(merge_scratch_reserve(&subject->scratch, LONG_TEXT));
    if (subject->tables.pairs.in_order)
        assert_ok(token_automaton_init(&subject->tables.automaton, &subject->model, &subject->tables.pairs));
}

static void end_subject(Subject *subject)
{
    token_list_deinit(&subject->ids);
    long_pretoken_deinit(&subject->pretoken);
    merge_scratch_deinit(&subject->scratch);
    token_automaton_deinit(&subject->tables.automaton);
    token_pairs_deinit(&subject->tables.pairs);
    merge_table_deinit(&subject->merges);
    token_index_deinit(&subject->index);
    bpe_model_deinit(&subject->model);
}

/* Encodes a text from left to right, in chunks of random lengths up to `most`, and compares with what merging gives. */
static void compare_with_merging(Subject *subject, ByteString text, Rng *rng, size_t most)
{
    const size_t count = merge_table_apply(&subject->merges, &subject->scratch, text.bytes, text.length);
    LongPretoken *pretoken = &subject->pretoken;
    TokenList *ids = &subject->ids;
    ids->count = 0;
    Status s = long_pretoken_begin(pretoken, &subject->tables);
    for (size_t i = 0, length; !s && i < text.length; i += length) {
        length = most < text.length ? 1 + rng_below(rng, most) : text.length;
        length = length < text.length - i ? length : text.length - i;
        s = long_pretoken_feed(pretoken, text.bytes + i, length, token_list_sink, ids);
    }
    if (!s)
        s = long_pretoken_finish(pretoken, token_list_sink, ids);
    if (s || ids->count != count || memcmp(ids->ids, subject->scratch.ids, count * sizeof *ids->ids) != 0)
        ck_abort_msg("%.*s: %zu ids, expected %zu", text.length < 100 ? (int)text.length : 100,
                     (const char *)text.bytes, ids->count, count);
}

/* Compares all texts of the first `letters` letters, up to a length. */
static void compare_all_texts(Subject *subject, Rng *rng, size_t letters, size_t longest)
{
    uint8_t text[SHORT_TEXT];
    for (size_t length = 1; length <= longest; length++) {
        size_t i = length;
        memset(text, 'a', length);
        do { /* count upwards: the next text has the last letter that is not the greatest one raised */
            compare_with_merging(subject, (ByteString){.bytes = text, .length = length}, rng, length);
            for (i = length; i > 0 && text[i - 1] == 'a' + letters - 1; i--)
                text[i - 1] = 'a';
            if (i > 0)
                text[i - 1]++;
        } while (i > 0);
    }
}

/* Fills a text with letters: at random, or repeating itself with some errors. */
static void fill(uint8_t *text, size_t length, Rng *rng, size_t letters)
{
    const size_t period = rng_below(rng, 4) ? 1 + rng_below(rng, 40) : length, errors = rng_below(rng, 20);
    for (size_t i = 0; i < length; i++)
        text[i] = i < period ? (uint8_t)('a' + rng_below(rng, letters)) : text[i - period];
    for (size_t i = 0; i < errors; i++)
        text[rng_below(rng, length)] = (uint8_t)('a' + rng_below(rng, letters));
}

static void compare_random_texts(Subject *subject, Rng *rng, size_t letters)
{
    static uint8_t text[LONG_TEXT];
    for (int k = 0; k < 20; k++) {
        const size_t length = 1 + rng_below(rng, k % 10 ? 500 : LONG_TEXT);
        fill(text, length, rng, letters);
        compare_with_merging(subject, (ByteString){.bytes = text, .length = length}, rng, k % 2 ? 7 : length);
    }
}

/* ---- the tests ---- */

START_TEST(test_merging_is_what_the_plain_reference_does)
{
    uint8_t text[200];
    int32_t expected[200];
    Rng rng = rng_seeded(1);
    for (int trial = 0; trial < 400; trial++) {
        const size_t letters = 2 + rng_below(&rng, 3);
        Subject subject;
        begin_subject(&subject,
                      random_model(&rng, letters, 5 + rng_below(&rng, MOST_MERGES - 4), (Kind)(trial % KINDS)));
        for (int k = 0; k < 10; k++) {
            const size_t length = 1 + rng_below(&rng, k % 2 ? 200 : 20);
            fill(text, length, &rng, letters);
            const size_t count = plain_merge(expected, &subject.model, (ByteString){.bytes = text, .length = length});
            ck_assert_uint_eq(merge_table_apply(&subject.merges, &subject.scratch, text, length), count);
            ck_assert_mem_eq(subject.scratch.ids, expected, count * sizeof *expected);
        }
        end_subject(&subject);
    }
}
END_TEST

START_TEST(test_from_left_to_right_is_the_same_as_merging)
{
    static const size_t all_up_to[] = {0, 0, 12, 8, 6}; /* by letters: some thousands of texts each */
    Rng rng = rng_seeded(2);
    int in_order[KINDS] = {0};
    const int trials = test_is_instrumented() ? 40 : 400;
    for (int trial = 0; trial < trials; trial++) {
        const Kind kind = (Kind)(trial % KINDS);
        const size_t letters = 2 + (size_t)trial / KINDS % 3;
        test_label("model %d", trial);
        Subject subject;
        begin_subject(&subject, random_model(&rng, letters, 5 + rng_below(&rng, MOST_MERGES - 4), kind));
        if (subject.tables.pairs.in_order) {
            in_order[kind]++;
            subject.pretoken.least_sweep = (size_t)1 << rng_below(&rng, 6);
            compare_all_texts(&subject, &rng, letters, all_up_to[letters]);
            compare_random_texts(&subject, &rng, letters);
        }
        end_subject(&subject);
    }
    ck_assert_int_gt(in_order[IN_ORDER],
                     trials / KINDS * 3 / 4); /* the others use a token before the merge that makes it */
    ck_assert_int_eq(in_order[EQUAL_BYTES_APART], trials / KINDS);
    ck_assert_int_gt(in_order[SOME_SWAPPED] + in_order[SHUFFLED], 0);
    ck_assert_int_lt(in_order[SHUFFLED], trials / KINDS);
}
END_TEST

/* ---- through an encoder ---- */

/* Encodes a text in chunks of random lengths up to `most`. */
static Status encode_chunks(const Tokenizer *tokenizer, TokenList *ids, ByteString text, Rng *rng, size_t most)
{
    Encoder *encoder;
    Status s = encoder_create_small(&encoder, tokenizer, 1 << 16, token_list_sink, ids);
    for (size_t i = 0, length; !s && i < text.length; i += length) {
        length = 1 + rng_below(rng, most);
        length = length < text.length - i ? length : text.length - i;
        s = encoder_feed(encoder, text.bytes + i, length);
    }
    if (!s)
        s = encoder_finish(encoder);
    encoder_destroy(encoder);
    return s;
}

/* Encodes one pre-token at once and in chunks, and compares with merging. */
static void compare_encoder(const Tokenizer *tokenizer, ByteString word, Rng *rng)
{
    static const size_t chunks[] = {SIZE_MAX, 1, 100, 10000};
    MergeScratch scratch = {0};
    assert_ok(merge_scratch_reserve(&scratch, word.length));
    const size_t count = merge_table_apply(&tokenizer->merges, &scratch, word.bytes, word.length);
    for (size_t i = 0; i < COUNT(chunks); i++) {
        TokenList ids = {0};
        if (i == 0)
            assert_ok(tokenizer_encode(tokenizer, &ids, word));
        else
            assert_ok(encode_chunks(tokenizer, &ids, word, rng, chunks[i]));
        if (ids.count != count || memcmp(ids.ids, scratch.ids, count * sizeof *ids.ids) != 0)
            ck_abort_msg("chunks of %zu: %zu ids, expected %zu", chunks[i], ids.count, count);
        token_list_deinit(&ids);
    }
    merge_scratch_deinit(&scratch);
}

static Tokenizer *tokenizer_of(BPEModel *model)
{
    Tokenizer *tokenizer;
    assert_ok(tokenizer_create(&tokenizer, model, NULL, 0));
    bpe_model_deinit(model);
    return tokenizer;
}

/* Returns the ideograph number `i` of those that begin at U+4E00. */
static void ideograph(uint8_t bytes[3], size_t i)
{
    const size_t code_point = 0x4E00 + i;
    bytes[0] = (uint8_t)(0xE0 | code_point >> 12);
    bytes[1] = (uint8_t)(0x80 | (code_point >> 6 & 0x3F));
    bytes[2] = (uint8_t)(0x80 | (code_point & 0x3F));
}

/*
 * A chain of n different letters, each of which may merge with the next one, the last pair first. So each merge waits
 * for the one to its right: the first letter merges if n is even. No id is final before the text has ended.
 */
START_TEST(test_a_chain_of_merges_reaches_back_to_the_first_id)
{
    static const size_t letters[] = {1366, 1367, 1368, 1369, 1401, 2001, 3000, 3001};
    Rng rng = rng_seeded(3);
    for (size_t k = 0; k < COUNT(letters); k++) {
        const size_t n = letters[k];
        BPEModel model = byte_model();
        uint8_t *text = malloc(3 * n);
        int32_t *ids = malloc(n * sizeof *ids);
        for (size_t i = 0; i < n; i++) {
            ideograph(text + 3 * i, i);
            int32_t two = find_joined(&model, text[3 * i], text[3 * i + 1]);
            if (two < 0)
                add_merge(&model, text[3 * i], text[3 * i + 1], true);
            two = find_joined(&model, text[3 * i], text[3 * i + 1]);
            assert_ok(bpe_model_merge(&model, two, text[3 * i + 2]));
            ids[i] = (int32_t)model.vocab_size - 1;
        }
        for (size_t i = n - 1; i > 0; i--)
            assert_ok(bpe_model_merge(&model, ids[i - 1], ids[i]));
        Tokenizer *tokenizer = tokenizer_of(&model);
        test_label("%zu letters", n);
        compare_encoder(tokenizer, (ByteString){.bytes = text, .length = 3 * n}, &rng);
        tokenizer_destroy(tokenizer);
        free(text);
        free(ids);
    }
}
END_TEST

/* Learns merges from a run that repeats `period`, until one token is left, and encodes runs that are longer. */
START_TEST(test_a_run_of_any_kind_takes_linear_time)
{
    static const ByteString periods[] = {ATOM("a"), ATOM(" "), ATOM("\n"), ATOM("\0"), ATOM("ab"), ATOM("abcab")};
    const size_t learned = 32000, length = test_is_instrumented() ? 70000 : 500000;
    uint8_t *text = malloc(length);
    Rng rng = rng_seeded(4);
    for (size_t k = 0; k < COUNT(periods); k++) {
        for (size_t i = 0; i < length; i++)
            text[i] = periods[k].bytes[i % periods[k].length];
        const ByteString texts[] = {{.bytes = text, .length = learned}};
        const BPETrainConfig config = {.vocab_size = 320, .threads = 1};
        BPEModel model;
        assert_ok(bpe_train(&model, NULL, texts, 1, &config));
        Tokenizer *tokenizer = tokenizer_of(&model);
        test_label("run %zu", k);
        compare_encoder(tokenizer, (ByteString){.bytes = text, .length = length}, &rng);
        tokenizer_destroy(tokenizer);
    }
    free(text);
}
END_TEST

/* Each token is a or b beside the one before: many tokens end at each byte, and they are made in many steps. */
START_TEST(test_tokens_that_are_ends_of_each_other_take_linear_time)
{
    enum { A_B, A_A, B_A, C_B, VOCABULARIES };
    const size_t merges = 1000, length = test_is_instrumented() ? 20000 : 300000;
    uint8_t *text = malloc(length);
    Rng rng = rng_seeded(5);
    for (int kind = 0; kind < VOCABULARIES; kind++) {
        BPEModel model = byte_model();
        int32_t token = kind == A_A ? 'a' : 'b';
        if (kind == C_B) /* c takes the b from every b a a ... a */
            assert_ok(bpe_model_merge(&model, 'c', 'b'));
        for (size_t i = 0; i < merges; i++, token = (int32_t)model.vocab_size - 1)
            assert_ok(bpe_model_merge(&model, kind == A_B ? 'a' : token, kind == A_B ? token : 'a'));
        Tokenizer *tokenizer = tokenizer_of(&model);
        for (int random = 0; random < 2; random++) {
            test_label("vocabulary %d, %s", kind, random ? "random runs" : "one run");
            memset(text, 'a', length);
            for (size_t i = rng_below(&rng, 2000); random && i + 1 < length; i += 1 + rng_below(&rng, 2000)) {
                text[i] = 'b';
                text[i ? i - 1 : 0] = (uint8_t)("abc"[rng_below(&rng, 3)]);
            }
            compare_encoder(tokenizer, (ByteString){.bytes = text, .length = length}, &rng);
        }
        tokenizer_destroy(tokenizer);
    }
    free(text);
}
END_TEST

/* Merge 0 takes ab, which only merge 1 makes. So ranks do not come in order in "abc", and long pre-tokens are merged
 * whole. */
START_TEST(test_a_model_with_ranks_out_of_order_is_merged_whole)
{
    static uint8_t text[LONG_TEXT];
    Rng rng = rng_seeded(6);
    BPEModel model = byte_model();
    assert_ok(bpe_model_merge(&model, 'a', 'b'));
    assert_ok(bpe_model_merge(&model, (int32_t)model.vocab_size - 1, 'c'));
    assert_ok(bpe_model_merge(&model, 'b', 'c'));
    const BPEMerge first = model.merges[0];
    model.merges[0] = model.merges[1];
    model.merges[1] = first;
    Tokenizer *tokenizer = tokenizer_of(&model);
    fill(text, sizeof text, &rng, 3);
    compare_encoder(tokenizer, (ByteString){.bytes = text, .length = sizeof text}, &rng);
    tokenizer_destroy(tokenizer);
}
END_TEST

/* Long pre-tokens end at and near the places up to which the scanner has decided, before all that may follow them. */
START_TEST(test_a_long_pretoken_ends_anywhere)
{
    static const ByteString letters[] = {ATOM("a"), ATOM(" "), ATOM("\n"), ATOM("!"), ATOM("\xE4\xB8\x9C")},
                            ends[] = {ATOM(""),   ATOM(" b"), ATOM("b"),   ATOM("<|a|>"),
                                      ATOM("\n"), ATOM("'s"), ATOM("\xE4")};
    const ByteString special[] = {ATOM("<|a|>")};
    uint8_t text[5000];
    Rng rng = rng_seeded(7);
    BPEModel model = random_model(&rng, 2, 20, IN_ORDER);
    assert_ok(bpe_model_merge(&model, ' ', ' '));
    Tokenizer *tokenizer;
    assert_ok(tokenizer_create(&tokenizer, &model, special, 1));
    for (size_t k = 0; k < COUNT(letters); k++)
        for (size_t e = 0; e < COUNT(ends); e++)
            for (size_t length = 4090; length < 4240; length += 1 + rng_below(&rng, test_is_instrumented() ? 30 : 5)) {
                TokenList whole = {0}, ids = {0};
                for (size_t i = 0; i < length; i++)
                    text[i] = letters[k].bytes[i % letters[k].length];
                memcpy(text + length, ends[e].bytes, ends[e].length);
                const ByteString all = {.bytes = text, .length = length + ends[e].length};
                assert_ok(tokenizer_encode(tokenizer, &whole, all));
                assert_ok(encode_chunks(tokenizer, &ids, all, &rng, 200));
                if (ids.count != whole.count || memcmp(ids.ids, whole.ids, ids.count * sizeof *ids.ids) != 0)
                    ck_abort_msg("letter %zu, end %zu, %zu bytes: %zu ids, expected %zu", k, e, length, ids.count,
                                 whole.count);
                token_list_deinit(&whole);
                token_list_deinit(&ids);
            }
    tokenizer_destroy(tokenizer);
    bpe_model_deinit(&model);
}
END_TEST

/* ---- errors ---- */

static Status attempt(void *context)
{
    static uint8_t text[5000];
    BPEModel *model = context;
    Tokenizer *tokenizer;
    TokenList ids = {0};
    Rng rng = rng_seeded(8);
    memset(text, 'a', sizeof text);
    Status s = tokenizer_create(&tokenizer, model, NULL, 0);
    if (!s)
        s = encode_chunks(tokenizer, &ids, (ByteString){.bytes = text, .length = sizeof text}, &rng, sizeof text);
    if (!s)
        s = encode_chunks(tokenizer, &ids, (ByteString){.bytes = text, .length = sizeof text}, &rng, 1000);
    token_list_deinit(&ids);
    tokenizer_destroy(tokenizer);
    return s;
}

START_TEST(test_long_pretokens_survive_every_failed_allocation)
{
    Rng rng = rng_seeded(9);
    BPEModel model = random_model(&rng, 2, 40, IN_ORDER);
    assert_allocation_failures_are_clean(attempt, &model);
    bpe_model_deinit(&model);
}
END_TEST

const TestCase long_pretoken_tests[] = {
    TEST(test_merging_is_what_the_plain_reference_does, "tokenizer"),
    TEST(test_from_left_to_right_is_the_same_as_merging, "tokenizer"),
    TEST(test_a_chain_of_merges_reaches_back_to_the_first_id, "tokenizer"),
    TEST(test_a_run_of_any_kind_takes_linear_time, "tokenizer"),
    TEST(test_tokens_that_are_ends_of_each_other_take_linear_time, "tokenizer"),
    TEST(test_a_model_with_ranks_out_of_order_is_merged_whole, "tokenizer"),
    TEST(test_a_long_pretoken_ends_anywhere, "tokenizer"),
    TEST(test_long_pretokens_survive_every_failed_allocation, "tokenizer"),
    {0},
};
