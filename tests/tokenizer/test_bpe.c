#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/corpus.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/kernels.h"
#include "tests/support/plain_bpe.h"
#include "tests/support/random_text.h"
#include "tests/support/special_examples.h"
#include "tokenizer/learn/bpe_train.h"
#include "tokenizer/learn/word_count.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    ByteString text;
    const ByteString *special;
    size_t special_count;
    size_t vocab_size;
    int threads;
} Training;

static Status train(BPEModel *model, const Training *t)
{
    const BPETrainConfig config = {.vocab_size = t->vocab_size,
                                   .special_tokens = t->special,
                                   .special_count = t->special_count,
                                   .threads = t->threads};
    return bpe_train(model, NULL, &t->text, 1, &config);
}

static BPEModel trained(const Training *t)
{
    BPEModel model;
    assert_ok(train(&model, t));
    return model;
}

static void assert_merge(const BPEModel *model, size_t index, ByteString left, ByteString right, int trial)
{
    if (index >= model->merge_count)
        ck_abort_msg("corpus %d: only %zu merges", trial, model->merge_count);
    const BPEMerge merge = model->merges[index];
    const ByteString l = bpe_model_token(model, merge.left), r = bpe_model_token(model, merge.right);
    if (!byte_string_equal(l, left) || !byte_string_equal(r, right))
        ck_abort_msg("corpus %d, merge %zu: (%.*s, %.*s), expected (%.*s, %.*s)", trial, index, (int)l.length,
                     (const char *)l.bytes, (int)r.length, (const char *)r.bytes, (int)left.length,
                     (const char *)left.bytes, (int)right.length, (const char *)right.bytes);
}

/* The atoms of each kind of corpus are chosen such that pairs often overlap and often tie. */
static const ByteString two_letters[] = {ATOM("a"), ATOM("b"), ATOM("a"), ATOM("ab"), ATOM(" ")};
static const ByteString runs[] = {ATOM("aaa"), ATOM("aaaa"), ATOM("baa"), ATOM("\n\n"), ATOM("  ")};
static const ByteString mixed[] = {ATOM("xyz"), ATOM("é"),    ATOM("中"), ATOM("'s"),   ATOM("it's"),
                                   ATOM(" "),   ATOM("\r\n"), ATOM("12"), ATOM("\xFF"), ATOM("\0\0")};

static const struct {
    const ByteString *atoms;
    size_t count;
} corpora[] = {{two_letters, COUNT(two_letters)},
               {runs, COUNT(runs)},
               {mixed, COUNT(mixed)},
               {special_atoms, COUNT(special_atoms)}};

START_TEST(test_special_tokens_that_cross_a_cut_are_found)
{
    static const char text[] = "aba x y\nq<|a|><|a|>x y\n<|a|> x y\n";
    const size_t length = sizeof text - 1;
    SpecialTokens special;
    assert_ok(special_tokens_init(&special, specials, NULL, COUNT(specials)));
    for (size_t end = 0; end <= length; end++)
        for (size_t cut = 0; cut <= end; cut++) {
            bool crosses = false;
            for (size_t i = 0; i < COUNT(specials); i++)
                for (size_t begin = 0; begin < cut; begin++)
                    crosses = crosses || (begin + specials[i].length > cut && begin + specials[i].length <= end &&
                                          memcmp(text + begin, specials[i].bytes, specials[i].length) == 0);
            ck_assert_msg(special_tokens_cross(&special, (const uint8_t *)text, end, cut, true) == crosses,
                          "%zu bytes, cut at %zu", end, cut);
            for (size_t i = 0; i < COUNT(specials); i++) /* those that the end of the bytes cuts off */
                for (size_t begin = 0; begin < cut; begin++)
                    crosses = crosses || (begin + specials[i].length > end &&
                                          memcmp(text + begin, specials[i].bytes, end - begin) == 0);
            ck_assert_msg(special_tokens_cross(&special, (const uint8_t *)text, end, cut, false) == crosses,
                          "%zu bytes and more, cut at %zu", end, cut);
        }
    special_tokens_deinit(&special);
}
END_TEST

START_TEST(test_training_equals_a_trainer_that_recounts_everything)
{
    Rng rng = rng_seeded(2);
    uint8_t buffer[LONGEST_TEXT];
    size_t merges = 0;
    for (int trial = 0; trial < 160; trial++) {
        const size_t kind = (size_t)trial % COUNT(corpora), special_count = trial % 3 ? 3 : 0;
        Training t = {.text = random_text(&rng, buffer, corpora[kind].atoms, corpora[kind].count, 60),
                      .special = specials,
                      .special_count = special_count,
                      .vocab_size = 256 + special_count + (size_t)rng_below(&rng, 60),
                      .threads = 1 + trial % 3};
        test_label("text %d", trial);
        BPEModel model = trained(&t);
        PlainBPE plain =
            plain_bpe_train(t.text, specials, special_count, t.vocab_size - 256 - special_count, TRAIN_RIGHT);
        for (size_t i = 0; i < plain.merge_count; i++)
            assert_merge(&model, i, plain.left[i], plain.right[i], trial);
        ck_assert_uint_eq(model.merge_count, plain.merge_count);
        ck_assert_uint_eq(model.vocab_size, 256 + special_count + plain.merge_count);
        merges += plain.merge_count;
        plain_bpe_free(&plain);
        bpe_model_deinit(&model);
    }
    test_label_end();
    ck_assert_uint_gt(merges, 2000);
}
END_TEST

START_TEST(test_ties_go_to_the_greater_pair_of_byte_strings)
{
    /* Each pair occurs once. Greatest left first: (z, a) before (y, z); 0xFF before z; of equal lefts the greater
     * right. */
    const Training t = {.text = byte_string("yz\nza\nzb\n\xFF\x01"), .vocab_size = 256 + 4};
    BPEModel model = trained(&t);
    const ByteString order[][2] = {
        {ATOM("\xFF"), ATOM("\x01")}, {ATOM("z"), ATOM("b")}, {ATOM("z"), ATOM("a")}, {ATOM("y"), ATOM("z")}};
    for (size_t i = 0; i < COUNT(order); i++)
        assert_merge(&model, i, order[i][0], order[i][1], 0);
    bpe_model_deinit(&model);
}
END_TEST

START_TEST(test_a_longer_byte_string_is_greater_than_its_beginning)
{
    /* (aa, c) and (a, b) both occur twice after the first merge; then (aa, c) wins because aa is greater than a. */
    const Training t = {.text = byte_string("aa\naa\naac\naac\nab\nab"), .vocab_size = 256 + 3};
    BPEModel model = trained(&t);
    assert_merge(&model, 0, byte_string("a"), byte_string("a"), 0);
    assert_merge(&model, 1, byte_string("aa"), byte_string("c"), 0);
    assert_merge(&model, 2, byte_string("a"), byte_string("b"), 0);
    bpe_model_deinit(&model);
}
END_TEST

static void assert_same_model(const BPEModel *a, const BPEModel *b)
{
    ck_assert_uint_eq(a->vocab_size, b->vocab_size);
    ck_assert_uint_eq(a->merge_count, b->merge_count);
    ck_assert(byte_string_equal(byte_list_view(&a->bytes), byte_list_view(&b->bytes)));
    ck_assert_mem_eq(a->ends, b->ends, a->vocab_size * sizeof *a->ends);
    if (a->merge_count)
        ck_assert_mem_eq(a->merges, b->merges, a->merge_count * sizeof *a->merges);
}

START_TEST(test_training_is_the_same_with_any_number_of_threads)
{
    const ByteString end_of_text = byte_string("<|endoftext|>");
    size_t length;
    uint8_t *text = corpus_make(&length);
    Training t = {.text = {.bytes = text, .length = length},
                  .special = &end_of_text,
                  .special_count = 1,
                  .vocab_size = 700,
                  .threads = 1};
    BPEModel one = trained(&t);
    for (t.threads = 2; t.threads <= 3; t.threads++) {
        test_label("%d threads", t.threads);
        BPEModel more = trained(&t);
        assert_same_model(&one, &more);
        bpe_model_deinit(&more);
    }
    bpe_model_deinit(&one);
    free(text);
}
END_TEST

START_TEST(test_words_are_the_same_however_the_text_is_cut)
{
    Rng rng = rng_seeded(3);
    uint8_t buffer[LONGEST_TEXT];
    const char *path = temp_path("text");
    for (int trial = 0; trial < 400; trial++) {
        const size_t kind = (size_t)trial % COUNT(corpora);
        const ByteString text = random_text(&rng, buffer, corpora[kind].atoms, corpora[kind].count, 60);
        write_file(path, text.bytes, text.length);
        const WordSource memory = {.content = text}, file = {.path = path, .content.length = text.length};
        SpecialTokens special;
        assert_ok(special_tokens_init(&special, specials, NULL, COUNT(specials)));
        WordTable uncut, cut;
        WordCountConfig config = {.special = &special, .pattern = (PretokenPattern)(trial / 2 % 2), .threads = 1};
        test_label("text %d", trial);
        assert_ok(count_words(&uncut, &memory, 1, &config));
        config.threads = 1 + trial % 3;
        config.chunk_bytes = 1 + (size_t)rng_below(&rng, 9);
        assert_ok(count_words(&cut, trial % 2 ? &memory : &file, 1, &config));
        assert_same_words(&cut, &uncut);
        word_table_deinit(&uncut);
        word_table_deinit(&cut);
        special_tokens_deinit(&special);
    }
}
END_TEST

/* Special tokens of one or two pieces of characters, which begin and end inside the characters of the text. */
START_TEST(test_words_are_the_same_wherever_special_tokens_begin)
{
    static const ByteString pieces[] = {ATOM("\xD0"), ATOM("\xB8"), ATOM("\xE4"), ATOM("\xB8\x9C"), ATOM("\xC2"),
                                        ATOM("\xA0"), ATOM("a"),    ATOM("&"),    ATOM(" "),        ATOM("'s")};
    Rng rng = rng_seeded(12);
    uint8_t buffer[LONGEST_TEXT], pair[LONGEST_TEXT];
    for (int trial = 0; trial < 2000; trial++) {
        const ByteString text = random_text(&rng, buffer, pieces, COUNT(pieces), 40),
                         first = pieces[rng_below(&rng, COUNT(pieces))],
                         second = pieces[rng_below(&rng, COUNT(pieces))];
        memcpy(pair, first.bytes, first.length);
        memcpy(pair + first.length, second.bytes, second.length);
        const ByteString special_texts[] = {{.bytes = pair, .length = first.length + second.length},
                                            pieces[rng_below(&rng, COUNT(pieces))]};
        const WordSource source = {.content = text};
        SpecialTokens special;
        WordTable uncut, cut;
        assert_ok(special_tokens_init(&special, special_texts, NULL, 1 + rng_below(&rng, 2)));
        WordCountConfig config = {.special = &special, .pattern = (PretokenPattern)(trial / 2 % 2), .threads = 1};
        test_label("text %d", trial);
        assert_ok(count_words(&uncut, &source, 1, &config));
        config.chunk_bytes = 1 + (size_t)rng_below(&rng, 9);
        assert_ok(count_words(&cut, &source, 1, &config));
        assert_same_words(&cut, &uncut);
        word_table_deinit(&uncut);
        word_table_deinit(&cut);
        special_tokens_deinit(&special);
    }
}
END_TEST

START_TEST(test_vocabulary_is_special_tokens_bytes_merges)
{
    const ByteString special[] = {ATOM("<|b|>"), ATOM("<|a|>"), ATOM("<|b|>"), ATOM("\n"), ATOM("#"), ATOM("\xFF")};
    const Training t = {
        .text = byte_string("ab ab<|a|>ab\nab"), .special = special, .special_count = 6, .vocab_size = 1000};
    BPEModel model = trained(&t);
    ck_assert(byte_string_equal(bpe_model_token(&model, 0), byte_string("<|b|>")));
    ck_assert(byte_string_equal(bpe_model_token(&model, 1), byte_string("<|a|>")));
    ck_assert(byte_string_equal(bpe_model_token(&model, 2), byte_string("\n")));
    ck_assert(byte_string_equal(bpe_model_token(&model, 3), byte_string("!")));
    ck_assert(
        byte_string_equal(bpe_model_token(&model, 258), (ByteString){.bytes = (const uint8_t *)"\xAD", .length = 1}));
    ck_assert(byte_string_equal(bpe_model_token(&model, 259), byte_string("ab")));
    ck_assert(byte_string_equal(bpe_model_token(&model, 260), byte_string(" ab")));
    ck_assert_uint_eq(model.vocab_size, 261);
    ck_assert_uint_eq(model.special_count, 3);
    bpe_model_deinit(&model);
}
END_TEST

START_TEST(test_training_on_nothing_gives_the_bytes)
{
    const ByteString nothing[] = {{0}, ATOM("a"), ATOM("")};
    const BPETrainConfig config = {.vocab_size = 300};
    BPETrainStats stats;
    for (size_t count = 0; count <= COUNT(nothing); count++) {
        BPEModel model;
        test_label("%zu texts", count);
        assert_ok(bpe_train(&model, &stats, nothing, count, &config));
        ck_assert_uint_eq(model.vocab_size, 256);
        ck_assert_uint_eq(model.merge_count, 0);
        ck_assert_uint_eq(stats.pretokens, count > 1);
        bpe_model_deinit(&model);
    }
}
END_TEST

START_TEST(test_training_errors)
{
    const ByteString special[] = {ATOM("<|a|>"), ATOM("<|b|>"), {0}};
    BPEModel model;
    Training t = {.text = byte_string("ab"), .special = special, .special_count = 2, .vocab_size = 257};
    assert_fails(train(&model, &t), CS336_ERANGE,
                 "bpe_train: vocabulary of 257, expected 258 to 2147483647: 256 bytes and 2 special tokens");
    t.vocab_size = (size_t)INT32_MAX + 1;
    assert_fails(train(&model, &t), CS336_ERANGE,
                 "bpe_train: vocabulary of 2147483648, expected 258 to 2147483647: 256 bytes and 2 special tokens");
    t.vocab_size = 300;
    t.special_count = 3;
    assert_fails(train(&model, &t), CS336_ERANGE, "special_tokens_init: special token 3 of 3 is empty");
    /* Without a text. */
    BPETrainConfig checked = {.vocab_size = 258, .special_tokens = special, .special_count = 2};
    assert_ok(bpe_train_check(&checked));
    checked.special_count = 3;
    assert_fails(bpe_train_check(&checked), CS336_ERANGE, "special_tokens_init: special token 3 of 3 is empty");
    checked = (BPETrainConfig){.vocab_size = 257, .special_tokens = special, .special_count = 2};
    assert_fails(bpe_train_check(&checked), CS336_ERANGE,
                 "bpe_train: vocabulary of 257, expected 258 to 2147483647: 256 bytes and 2 special tokens");
    const char *paths[] = {"tests/fixtures/tokenizer/story.txt", "tests/fixtures/nothing"};
    const BPETrainConfig config = {.vocab_size = 300};
    assert_fails(bpe_train_files(&model, NULL, paths, 2, &config), CS336_EIO,
                 "tests/fixtures/nothing: cannot read: No such file or directory");
    ck_assert_uint_eq(model.vocab_size, 0);
}
END_TEST

/* Remembers the latest reports, and asks to stop at a certain merge. */
typedef struct {
    atomic_int stop;
    size_t stop_at, bytes, total_bytes, merges, total_merges;
} Watcher;

static void watch(void *context, BPEPhase phase, size_t done, size_t total)
{
    Watcher *watcher = context;
    size_t *latest = phase == BPE_COUNTING ? &watcher->bytes : &watcher->merges;
    if (done < *latest || done > total)
        ck_abort_msg("%zu of %zu after %zu", done, total, *latest);
    *latest = done;
    *(phase == BPE_COUNTING ? &watcher->total_bytes : &watcher->total_merges) = total;
    if (phase == BPE_MERGING && done == watcher->stop_at)
        atomic_store(&watcher->stop, 1);
}

START_TEST(test_training_tells_its_progress_and_can_be_stopped)
{
    const ByteString text = byte_string("the cat and the hat and the bat");
    Watcher watcher = {.stop_at = SIZE_MAX};
    BPETrainConfig config = {
        .vocab_size = 260, .threads = 1, .progress = watch, .progress_context = &watcher, .stop = &watcher.stop};
    BPEModel model;
    assert_ok(bpe_train(&model, NULL, &text, 1, &config));
    ck_assert_uint_eq(watcher.bytes, text.length);
    ck_assert_uint_eq(watcher.total_bytes, text.length);
    ck_assert_uint_eq(watcher.merges, 4);
    ck_assert_uint_eq(watcher.total_merges, 4);
    bpe_model_deinit(&model);

    watcher = (Watcher){.stop_at = 2};
    assert_fails(bpe_train(&model, NULL, &text, 1, &config), CS336_EINTERRUPTED, "interrupted after 2 of 4 merges");
    assert_fails(bpe_train(&model, NULL, &text, 1, &config), CS336_EINTERRUPTED, "interrupted after 0 of 31 bytes");
    ck_assert_uint_eq(model.vocab_size, 0);
}
END_TEST

START_TEST(test_files_are_one_corpus_but_nothing_crosses_their_ends)
{
    const char *paths[] = {temp_path("first"), temp_path("second")};
    write_file(paths[0], "xy ab", 5);
    write_file(paths[1], "ab", 2);
    const BPETrainConfig config = {.vocab_size = 257};
    BPETrainStats stats;
    BPEModel model;
    assert_ok(bpe_train_files(&model, &stats, paths, 2, &config));
    assert_merge(&model, 0, byte_string("a"), byte_string("b"), 0);
    ck_assert_uint_eq(stats.bytes, 7);
    ck_assert_uint_eq(stats.pretokens, 3);
    ck_assert_uint_eq(stats.distinct_pretokens, 3);
    bpe_model_deinit(&model);
}
END_TEST

static Status attempt_training(void *context)
{
    BPEModel model;
    const Status s = train(&model, context);
    bpe_model_deinit(&model);
    return s;
}

static Status attempt_training_files(void *context)
{
    const char *path = context;
    const BPETrainConfig config = {.vocab_size = 270, .threads = 1};
    BPEModel model;
    const Status s = bpe_train_files(&model, NULL, &path, 1, &config);
    bpe_model_deinit(&model);
    return s;
}

/* Only a corpus of hundreds of gigabytes has so many tokens; here only the count says so. */
START_TEST(test_counts_beyond_their_types_are_refused)
{
    BPEModel model = {.vocab_size = INT32_MAX};
    assert_fails(bpe_model_add_token(&model, byte_string("a")), CS336_ERANGE,
                 "bpe_model_add_token: more than 2147483647 tokens");
}
END_TEST

#define NO_ELEMENTS "array_reserve: no memory for *[0-9] elements of *[0-9] bytes"

START_TEST(test_training_survives_every_failed_allocation)
{
    Training t = {.text = byte_string("the cat<|a|> and the hat, the bat"),
                  .special = specials,
                  .special_count = 3,
                  .vocab_size = 290,
                  .threads = 1};
    assert_allocation_failures_say(
        attempt_training, &t, NO_ELEMENTS, "bpe_train: no memory for 1 texts",
        "special_tokens_init: no memory for 3 tokens of 18 bytes", "count_words: no memory for 1 texts",
        "word_tally_new: no memory for *[0-9] bytes", "word_table_add: no memory for 16 words",
        "bpe_train: no memory for 30 bytes of distinct pre-tokens, up to 36 for each",
        "text_table_add: no memory for 512 slots", "bpe_train: no memory for 289 tokens",
        "bpe_train: no memory for 1024 distinct pairs", "bpe_train: no memory for *[0-9] positions of pairs");
    for (t.threads = 2; t.threads <= 3; t.threads++) {
        test_label("%d threads", t.threads);
        assert_allocation_failures_are_clean(attempt_training, &t);
    }
    test_label_end();
    assert_allocation_failures_are_clean(attempt_training_files,
                                         (void *)(uintptr_t) "tests/fixtures/tokenizer/german.txt");
}
END_TEST

const TestCase bpe_tests[] = {
    TEST(test_special_tokens_that_cross_a_cut_are_found, "train_bpe"),
    TEST(test_training_equals_a_trainer_that_recounts_everything, "train_bpe"),
    TEST(test_ties_go_to_the_greater_pair_of_byte_strings, "train_bpe"),
    TEST(test_a_longer_byte_string_is_greater_than_its_beginning, "train_bpe"),
    TEST(test_training_is_the_same_with_any_number_of_threads, "train_bpe"),
    TEST(test_words_are_the_same_however_the_text_is_cut, "train_bpe"),
    TEST(test_words_are_the_same_wherever_special_tokens_begin, "train_bpe"),
    TEST(test_vocabulary_is_special_tokens_bytes_merges, "train_bpe"),
    TEST(test_training_on_nothing_gives_the_bytes, "train_bpe"),
    TEST(test_training_errors, "train_bpe"),
    TEST(test_training_tells_its_progress_and_can_be_stopped, "train_bpe"),
    TEST(test_files_are_one_corpus_but_nothing_crosses_their_ends, "train_bpe"),
    TEST(test_counts_beyond_their_types_are_refused, "train_bpe"),
    TEST(test_training_survives_every_failed_allocation, "train_bpe"),
    {0},
};
