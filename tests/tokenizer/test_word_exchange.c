/*
 * How ranks share the counting of words. Here one process does the work of all ranks, one after the other;
 * tests/cli/test_cli_ranks_texts.c starts them.
 */
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/plain_pretokens.h"
#include "tests/support/split_texts.h"
#include "tokenizer/learn/bpe_train_ranks.h"
#include "tokenizer/learn/word_count.h"
#include "tokenizer/learn/word_exchange.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 3000, MOST_RANKS = 5 };

/* ---- shards ---- */

/* All ranks own shards, as many as each other or one more, in their order. Of more ranks than shards, some own none. */
START_TEST(test_ranks_own_shards)
{
    for (int ranks = 1; ranks <= 300; ranks++) {
        int owned[300] = {0}, last = 0;
        test_label("%d ranks", ranks);
        for (size_t shard = 0; shard < WORD_SHARDS; shard++) {
            const int owner = word_shard_owner(shard, ranks);
            ck_assert_int_ge(owner, last);
            ck_assert_int_lt(owner, ranks);
            owned[owner]++;
            last = owner;
        }
        for (int rank = 0; rank < ranks; rank++) {
            ck_assert_int_ge(owned[rank], WORD_SHARDS / ranks);
            ck_assert_int_le(owned[rank], (WORD_SHARDS + ranks - 1) / ranks);
        }
    }
}
END_TEST

/* ---- counting ---- */

/* Sends the words of all tables that go to other ranks, and adds them there. */
static void exchange(WordTable *tables, int ranks, bool to_one)
{
    PackedWords packed[MOST_RANKS];
    for (int rank = 0; rank < ranks; rank++)
        assert_ok(packed_words_make(&packed[rank], &tables[rank], ranks, rank, to_one));
    for (int from = 0; from < ranks; from++) {
        const uint8_t *part = packed[from].bytes;
        for (int to = 0; to < ranks; part += packed[from].part_bytes[to++])
            assert_ok(packed_words_add(&tables[to], part, packed[from].part_bytes[to]));
        packed_words_free(&packed[from]);
    }
}

/* Does what words_gather() does: each rank's words go to the owners, and theirs to the first. */
static WordTable gather(WordTable *tables, int ranks)
{
    exchange(tables, ranks, false);
    for (int rank = 0; rank < ranks; rank++)
        for (WordCursor cursor = {0}; word_table_next(&tables[rank], &cursor);)
            ck_assert_int_eq(word_shard_owner(cursor.shard, ranks), rank);
    exchange(tables, ranks, true);
    for (int rank = 1; rank < ranks; rank++)
        ck_assert_uint_eq(word_table_size(&tables[rank]), 0);
    return *tables;
}

static WordTable count_plainly(const ByteString *texts, size_t count, PretokenPattern pattern)
{
    WordTable words = {0};
    TextRange *ranges = malloc((TEXT_BYTES + 1) * sizeof *ranges);
    for (size_t i = 0; i < count; i++) {
        const size_t found = plain_split_by(ranges, texts[i], split_specials, SPLIT_SPECIALS, pattern);
        for (size_t r = 0; r < found; r++)
            if (!ranges[r].special)
                assert_ok(word_table_add(
                    &words,
                    (ByteString){.bytes = texts[i].bytes + ranges[r].begin, .length = ranges[r].end - ranges[r].begin},
                    1));
    }
    free(ranges);
    return words;
}

START_TEST(test_ranks_count_the_words_of_all_texts)
{
    static const size_t chunks[] = {1, 7, 60, 300, 0};
    Rng rng = rng_seeded(18);
    SpecialTokens special;
    assert_ok(special_tokens_init(&special, split_specials, NULL, SPLIT_SPECIALS));
    for (int trial = 0; trial < 6; trial++) {
        static uint8_t bytes[2][TEXT_BYTES];
        const PretokenPattern pattern = (PretokenPattern)(trial % 2);
        const ByteString texts[] = {
            split_text(&rng, bytes[0], TEXT_BYTES), {0}, split_text(&rng, bytes[1], TEXT_BYTES), ATOM("short")};
        WordSource sources[COUNT(texts)] = {{0}};
        for (size_t i = 0; i < COUNT(texts); i++)
            sources[i].content = texts[i];
        WordTable expected = count_plainly(texts, COUNT(texts), pattern);
        for (int ranks = 1; ranks <= MOST_RANKS; ranks++)
            for (size_t c = 0; c < COUNT(chunks); c++) {
                WordTable tables[MOST_RANKS];
                atomic_size_t taken = 0; /* of the ranks that share memory */
                test_label("text %d, %d ranks, chunks of %zu", trial, ranks, chunks[c]);
                for (int rank = 0; rank < ranks; rank++) {
                    /* The first half of the ranks is one host, whose first rank takes all chunks of that host. */
                    const bool together = rank < ranks / 2;
                    RanksTasks tasks = {.first = together ? 0 : (size_t)rank,
                                        .group = together ? (size_t)ranks / 2 : 1,
                                        .step = (size_t)ranks};
                    tasks.taken = together ? &taken : &tasks.own_taken;
                    const WordCountConfig config = {.special = &special,
                                                    .pattern = pattern,
                                                    .threads = 1 + trial % 3,
                                                    .chunk_bytes = chunks[c],
                                                    .tasks = &tasks};
                    assert_ok(count_words(&tables[rank], sources, COUNT(sources), &config));
                }
                WordTable words = gather(tables, ranks);
                assert_same_words(&words, &expected);
                word_table_deinit(&words);
            }
        word_table_deinit(&expected);
    }
    special_tokens_deinit(&special);
}
END_TEST

/* Hosts of three, one and two ranks take tasks in any order. */
START_TEST(test_each_task_is_taken_once)
{
    enum { RANKS = 6, TAKEN = 60 };
    static const size_t first[RANKS] = {0, 0, 0, 3, 4, 4}, group[RANKS] = {3, 3, 3, 1, 2, 2};
    Rng rng = rng_seeded(8);
    atomic_size_t taken[RANKS] = {0}; /* by the first rank of a host */
    RanksTasks tasks[RANKS];
    int times[RANKS * TAKEN] = {0}; /* by task */
    for (size_t rank = 0; rank < RANKS; rank++)
        tasks[rank] =
            (RanksTasks){.first = first[rank], .group = group[rank], .step = RANKS, .taken = &taken[first[rank]]};
    /* Each host takes as many as its ranks would with fixed parts: these are all numbers below RANKS * TAKEN. */
    for (size_t left[RANKS] = {3 * TAKEN, 0, 0, TAKEN, 2 * TAKEN}, total = RANKS * TAKEN; total > 0;) {
        const size_t rank = (size_t)rng_below(&rng, RANKS);
        if (left[first[rank]] == 0)
            continue;
        const size_t task = ranks_tasks_take(&tasks[rank]);
        ck_assert_uint_lt(task, RANKS * TAKEN);
        times[task]++;
        left[first[rank]]--;
        total--;
    }
    for (size_t task = 0; task < RANKS * TAKEN; task++)
        ck_assert_int_eq(times[task], 1);
}
END_TEST

START_TEST(test_ranks_pack_words_of_any_length_and_count)
{
    static const size_t lengths[] = {1, 2, 15, 16, 127, 128, 20000};
    static const uint64_t counts[] = {1, 127, 128, UINT64_C(1) << 32, UINT64_MAX};
    static uint8_t bytes[20000];
    WordTable words = {0}, sent = {0}, back = {0};
    PackedWords packed;
    for (size_t i = 0; i < COUNT(lengths); i++) {
        const ByteString word = {.bytes = bytes, .length = lengths[i]};
        memset(bytes, (int)i, sizeof bytes);
        assert_ok(word_table_add(&words, word, counts[i % COUNT(counts)]));
        assert_ok(word_table_add(&sent, word, counts[i % COUNT(counts)]));
    }
    assert_ok(packed_words_make(&packed, &sent, 3, 1, true));
    ck_assert_uint_eq(word_table_size(&sent), 0);
    ck_assert_uint_eq(packed.part_bytes[1] + packed.part_bytes[2], 0);
    assert_ok(packed_words_add(&back, packed.bytes, packed.part_bytes[0]));
    assert_same_words(&back, &words);
    packed_words_free(&packed);
    word_table_deinit(&words);
    word_table_deinit(&back);
}
END_TEST

/*
 * Words come out of a table spread over its hashes: after any quarter of a shard's words, each quarter of its hashes
 * has had fewer than half of them. In the order of the hashes one quarter would have all, and adding them to another
 * table would take time quadratic in their number.
 */
START_TEST(test_ranks_send_words_in_an_order_that_suits_a_table)
{
    enum { WORDS = 100000, QUARTERS = 4 };
    WordTable words = {0};
    for (int i = 0; i < WORDS; i++) {
        char word[16];
        const int length = snprintf(word, sizeof word, "word%d", i);
        assert_ok(word_table_add(&words, (ByteString){.bytes = (const uint8_t *)word, .length = (size_t)length}, 1));
    }
    for (size_t shard = 0; shard < WORD_SHARDS; shard++) {
        size_t by_quarter[QUARTERS] = {0}, all = 0;
        test_label("shard %zu", shard);
        for (WordCursor cursor = {.shard = shard}; word_table_next(&words, &cursor) && cursor.shard == shard;) {
            const ByteString word = cursor.word;
            const uint64_t hash = word_key_hash(word_key_of(word.bytes, word.length, word.length));
            by_quarter[hash << WORD_SHARD_BITS >> 62]++;
            all++;
            if (all % (words.shards[shard].used / QUARTERS) == 0)
                for (int i = 0; i < QUARTERS; i++)
                    ck_assert_uint_lt(by_quarter[i], all / 2);
        }
        ck_assert_uint_eq(all, words.shards[shard].used);
    }
    word_table_deinit(&words);
}
END_TEST

/* Streams go to the rank with the fewest bytes; what other hosts do not have stays with rank 0. */
START_TEST(test_ranks_share_streams_by_their_sizes)
{
    InputText items[] = {{.size = 9, .is_plain = true},
                         {.size = 50},
                         {.size = 20},
                         {.size = 0},
                         {.size = 10},
                         {.size = 5},
                         {.size = 30},
                         {.size = 1}};
    const InputTexts texts = {.items = items, .count = COUNT(items)};
    static const int expected[] = {-1, 0, 1, 0, 2, 2, 2, 1};
    int ranks[COUNT(items)];
    assert_ok(bpe_train_share(ranks, &texts, 3));
    for (size_t i = 0; i < COUNT(items); i++) {
        test_label("text %zu", i);
        ck_assert_int_eq(ranks[i], expected[i]);
    }
}
END_TEST

const TestCase word_exchange_tests[] = {
    TEST(test_ranks_own_shards, "train_bpe"),
    TEST(test_ranks_count_the_words_of_all_texts, "train_bpe"),
    TEST(test_each_task_is_taken_once, "train_bpe"),
    TEST(test_ranks_pack_words_of_any_length_and_count, "train_bpe"),
    TEST(test_ranks_send_words_in_an_order_that_suits_a_table, "train_bpe"),
    TEST(test_ranks_share_streams_by_their_sizes, "train_bpe"),
    {0},
};
