/*
 * How ranks share texts. Here one process does the work of all ranks, one after the other;
 * tests/cli/test_cli_ranks_texts.c starts them.
 */
#include "core/memory.h"
#include "distributed/ranks.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/plain_pretokens.h"
#include "tests/support/random_text.h"
#include "tokenizer/encode/encode_ranks.h"
#include "tokenizer/encode/encode_team.h"
#include "tokenizer/learn/bpe_train.h"
#include "tokenizer/learn/bpe_train_ranks.h"
#include "tokenizer/learn/word_count.h"
#include "tokenizer/learn/word_exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 3000, MOST_RANKS = 5 };

static const ByteString specials[] = {ATOM("<|a|>"), ATOM("aba"), ATOM("x y\n"), ATOM("\n<|a|>\n")};
static const ByteString atoms[] = {ATOM("<|a|>"),
                                   ATOM("<|a"),
                                   ATOM("aab"),
                                   ATOM("ab"),
                                   ATOM("x y"),
                                   ATOM(" "),
                                   ATOM("\n"),
                                   ATOM("\r\n"),
                                   ATOM("é"),
                                   ATOM("'s"),
                                   ATOM("12"),
                                   ATOM("\xE4\xB8"),
                                   ATOM("\0"),
                                   ATOM("东"),
                                   ATOM("\xFF"),
                                   ATOM("  "),
                                   ATOM("a long pre-token of its own: incomprehensibilities")};

/* Fills a buffer of TEXT_BYTES with random atoms. */
static ByteString long_text(Rng *rng, uint8_t *text)
{
    uint8_t buffer[LONGEST_TEXT];
    size_t length = 0;
    for (ByteString more; length + LONGEST_TEXT <= TEXT_BYTES; length += more.length) {
        more = random_text(rng, buffer, atoms, COUNT(atoms), 30);
        memcpy(text + length, more.bytes, more.length);
    }
    return (ByteString){.bytes = text, .length = length};
}

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
        const size_t found = plain_split_by(ranges, texts[i], specials, COUNT(specials), pattern);
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
    assert_ok(special_tokens_init(&special, specials, NULL, COUNT(specials)));
    for (int trial = 0; trial < 6; trial++) {
        static uint8_t bytes[2][TEXT_BYTES];
        const PretokenPattern pattern = (PretokenPattern)(trial % 2);
        const ByteString texts[] = {long_text(&rng, bytes[0]), {0}, long_text(&rng, bytes[1]), ATOM("short")};
        WordSource sources[COUNT(texts)] = {{0}};
        for (size_t i = 0; i < COUNT(texts); i++)
            sources[i].content = texts[i];
        WordTable expected = count_plainly(texts, COUNT(texts), pattern);
        for (int ranks = 1; ranks <= MOST_RANKS; ranks++)
            for (size_t c = 0; c < COUNT(chunks); c++) {
                WordTable tables[MOST_RANKS];
                test_label("text %d, %d ranks, chunks of %zu", trial, ranks, chunks[c]);
                for (int rank = 0; rank < ranks; rank++) {
                    const WordCountConfig config = {.special = &special,
                                                    .pattern = pattern,
                                                    .threads = 1 + trial % 3,
                                                    .chunk_bytes = chunks[c],
                                                    .first_chunk = (size_t)rank,
                                                    .chunk_step = (size_t)ranks};
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

/* ---- encoding ---- */

static Tokenizer *make_tokenizer(PretokenPattern pattern)
{
    const ByteString text = ATOM("aab aabaab abab aaaa aaab bbab abba xxyx é éé 东东 'll it's 12 1212 words words");
    const BPETrainConfig config = {.vocab_size = 320, .pattern = pattern, .threads = 1};
    BPEModel model;
    Tokenizer *tokenizer;
    assert_ok(bpe_train(&model, NULL, &text, 1, &config));
    assert_ok(tokenizer_create(&tokenizer, &model, specials, COUNT(specials)));
    bpe_model_deinit(&model);
    return tokenizer;
}

/* The chunks of one rank, chosen at random, and the ids of each chunk. */
typedef struct {
    size_t chunks[TEXT_BYTES], count; /* ascending */
    TokenList *ids;                   /* by chunk */
    size_t *bytes;                    /* by chunk */
    size_t ended;                     /* chunks of this rank */
} Share;

static bool take(void *context, size_t turn, size_t *chunk)
{
    const Share *share = context;
    if (turn >= share->count)
        return false;
    *chunk = share->chunks[turn];
    return true;
}

static Status keep(void *context, const int32_t *ids, size_t count)
{
    Share *share = context;
    return token_list_append(&share->ids[share->chunks[share->ended]], ids, count);
}

static Status end(void *context, size_t chunk, size_t bytes)
{
    Share *share = context;
    ck_assert_uint_eq(chunk, share->chunks[share->ended]);
    share->ended++;
    share->bytes[chunk] = bytes;
    return CS336_OK;
}

static void failed(void *context)
{
    (void)context;
}

START_TEST(test_ranks_share_the_chunks_of_a_text)
{
    static const size_t sizes[] = {1, 7, 60, 300};
    static uint8_t bytes[TEXT_BYTES];
    static Share shares[MOST_RANKS];
    Rng rng = rng_seeded(7);
    for (int trial = 0; trial < 12; trial++) {
        Tokenizer *tokenizer = make_tokenizer((PretokenPattern)(trial % 2));
        const ByteString text = long_text(&rng, bytes);
        const size_t size = sizes[trial % 4], count = (text.length + size - 1) / size;
        TokenList *chunk_ids = calloc(count, sizeof *chunk_ids), expected = {0}, ids = {0};
        size_t *chunk_bytes = calloc(count, sizeof *chunk_bytes), all_bytes = 0;
        test_label("text %d, chunks of %zu", trial, size);
        for (int rank = 0; rank < MOST_RANKS; rank++)
            shares[rank] = (Share){.ids = chunk_ids, .bytes = chunk_bytes};
        for (size_t chunk = 0; chunk < count; chunk++) {
            Share *share = &shares[rng_below(&rng, MOST_RANKS)];
            share->chunks[share->count++] = chunk;
        }
        for (int rank = 0; rank < MOST_RANKS; rank++) {
            const EncodeShare share = {.take = take, .end = end, .failed = failed, .length = text.length};
            const EncodeConfig config = {
                .threads = 1 + rank % 3, .chunk_bytes = size, .context = &shares[rank], .share = &share};
            assert_ok(encode_text(tokenizer, text, keep, &shares[rank], &config));
            ck_assert_uint_eq(shares[rank].ended, shares[rank].count);
        }
        for (size_t chunk = 0; chunk < count; chunk++) {
            assert_ok(token_list_append(&ids, chunk_ids[chunk].ids, chunk_ids[chunk].count));
            all_bytes += chunk_bytes[chunk];
            token_list_deinit(&chunk_ids[chunk]);
        }
        assert_ok(tokenizer_encode(tokenizer, &expected, text));
        ck_assert_uint_eq(all_bytes, text.length);
        ck_assert_uint_eq(ids.count, expected.count);
        ck_assert_int_eq(memcmp(ids.ids, expected.ids, ids.count * sizeof *ids.ids), 0);
        token_list_deinit(&ids);
        token_list_deinit(&expected);
        free(chunk_ids);
        free(chunk_bytes);
        tokenizer_destroy(tokenizer);
    }
}
END_TEST

static void *wait_for_third_chunk(void *team)
{
    size_t chunk;
    ck_assert(!team_take_chunk(team, 2, &chunk));
    return NULL;
}

/*
 * Two threads of a rank encode a text of three chunks. The rank has got the first one, and each thread waits for
 * another. The second task that comes, the last one of all, is of the next text: both must go on to it.
 */
START_TEST(test_a_thread_does_not_wait_for_a_chunk_of_a_text_that_is_left)
{
    size_t first_task[] = {0, 3, 4}, tasks[8] = {0}, chunk, task;
    Team team = {.first_task = first_task,
                 .tasks = tasks,
                 .ring = COUNT(tasks),
                 .given = 1,
                 .beyond = SIZE_MAX,
                 .mutex = PTHREAD_MUTEX_INITIALIZER,
                 .changed = PTHREAD_COND_INITIALIZER};
    pthread_t waiter;
    ck_assert(team_take_chunk(&team, 0, &chunk));
    ck_assert_uint_eq(chunk, 0);
    ck_assert_int_eq(pthread_create(&waiter, NULL, wait_for_third_chunk, &team), 0);
    for (bool waits = false; !waits;) {
        pthread_mutex_lock(&team.mutex);
        waits = team.needed == 3;
        tasks[1] = 3;
        team.given = waits ? 2 : 1;
        pthread_mutex_unlock(&team.mutex);
    }
    ck_assert(!team_take_chunk(&team, 1, &chunk));
    pthread_join(waiter, NULL);
    ck_assert_uint_eq(team.beyond, 1);
    /* The next text begins with it. */
    team.beyond = SIZE_MAX;
    ck_assert(team_take_task(&team, 1, &task));
    ck_assert_uint_eq(task, 3);
}
END_TEST

/* What rank 0 gets: the ids, where each text ends, and the progress. */
typedef struct {
    TokenList ids;
    size_t ends[8], texts, bytes;
    size_t most; /* ids until the sink fails; 0: it does not */
} Written;

static Status write_ids(void *context, const int32_t *ids, size_t count)
{
    Written *written = context;
    if (written->most && written->ids.count + count > written->most)
        return status_fail(CS336_EIO, "out: no space left");
    return token_list_append(&written->ids, ids, count);
}

static void end_text(void *context, size_t index)
{
    Written *written = context;
    ck_assert_uint_eq(index, written->texts);
    written->ends[written->texts++] = written->ids.count;
}

static void add_bytes(void *context, size_t index, size_t bytes)
{
    Written *written = context;
    ck_assert_uint_le(index, written->texts);
    written->bytes += bytes;
}

static Status encode_all(Written *written, const Tokenizer *tokenizer, const char *const *paths, size_t count,
                         const EncodeConfig *config)
{
    InputTexts texts;
    const EncodeOutput output = {.sink = write_ids, .text_ended = end_text, .progress = add_bytes, .context = written};
    Status s = input_texts_begin(&texts, paths, count, (TextField){0});
    if (s)
        return s;
    s = encode_ranks(tokenizer, &texts, &output, config);
    input_texts_end(&texts);
    return s;
}

/* Four files, the second and the last one empty. */
static size_t write_texts(Rng *rng, const char *paths[4], TokenList *expected, size_t *ends, const Tokenizer *tokenizer)
{
    static uint8_t bytes[TEXT_BYTES];
    size_t total = 0;
    for (size_t i = 0; i < 4; i++) {
        char name[16];
        const ByteString text = i % 2 ? (ByteString){0} : long_text(rng, bytes);
        snprintf(name, sizeof name, "text%zu", i);
        paths[i] = temp_path(name);
        write_file(paths[i], bytes, text.length);
        assert_ok(tokenizer_encode(tokenizer, expected, text));
        ends[i] = expected->count;
        total += text.length;
    }
    return total;
}

START_TEST(test_ranks_may_be_one)
{
    static const size_t sizes[] = {1, 7, 300, 0};
    Rng rng = rng_seeded(4);
    for (size_t trial = 0; trial < 8; trial++) {
        const char *paths[4];
        Tokenizer *tokenizer = make_tokenizer(PATTERN_GPT2);
        TokenList expected = {0};
        size_t ends[4];
        Written written = {0};
        const EncodeConfig config = {.threads = 1 + (int)trial % 3, .chunk_bytes = sizes[trial % COUNT(sizes)]};
        test_label("chunks of %zu, %d threads", config.chunk_bytes, config.threads);
        const size_t total = write_texts(&rng, paths, &expected, ends, tokenizer);
        assert_ok(encode_all(&written, tokenizer, paths, 4, &config));
        ck_assert_uint_eq(written.texts, 4);
        ck_assert_uint_eq(written.bytes, total);
        ck_assert_int_eq(memcmp(written.ends, ends, sizeof ends), 0);
        ck_assert_int_eq(memcmp(written.ids.ids, expected.ids, expected.count * sizeof *expected.ids), 0);
        token_list_deinit(&written.ids);
        token_list_deinit(&expected);
        tokenizer_destroy(tokenizer);
    }
}
END_TEST

/* One chunk has more ids than all pieces that a rank keeps: no safe cut, and each byte is an id. */
START_TEST(test_ranks_send_a_chunk_in_pieces)
{
    const size_t length = (ENCODE_PIECES + 2) * (size_t)ENCODE_PIECE_IDS + 5;
    uint8_t *text = malloc(length);
    memset(text, 'q', length);
    const char *path = temp_path("long");
    write_file(path, text, length);
    Tokenizer *tokenizer = make_tokenizer(PATTERN_GPT2);
    Written written = {0};
    const EncodeConfig config = {.threads = 2};
    assert_ok(encode_all(&written, tokenizer, &path, 1, &config));
    ck_assert_uint_eq(written.ids.count, length);
    for (size_t i = 0; i < length; i++)
        ck_assert_int_eq(written.ids.ids[i], *written.ids.ids);
    token_list_deinit(&written.ids);
    tokenizer_destroy(tokenizer);
    free(text);
}
END_TEST

START_TEST(test_a_failure_ends_the_encoding_of_all_ranks)
{
    Rng rng = rng_seeded(5);
    const char *paths[4];
    size_t ends[4];
    TokenList expected = {0};
    Tokenizer *tokenizer = make_tokenizer(PATTERN_GPT2);
    write_texts(&rng, paths, &expected, ends, tokenizer);
    const size_t in_use = memory_in_use();
    atomic_int stop = 1;
    EncodeConfig config = {.threads = 3, .chunk_bytes = 10};
    /* The output fails, as on a full disk. */
    Written written = {.most = 1000};
    ck_assert_int_eq(encode_all(&written, tokenizer, paths, 4, &config), CS336_EIO);
    ck_assert_str_eq(status_message(), "out: no space left");
    ck_assert_uint_le(written.ids.count, 1000);
    ck_assert_uint_le(written.texts, 3);
    token_list_deinit(&written.ids);
    /* A signal. */
    config.stop = &stop;
    written = (Written){0};
    ck_assert_int_eq(encode_all(&written, tokenizer, paths, 4, &config), CS336_EINTERRUPTED);
    token_list_deinit(&written.ids);
    /* A file that has grown since its chunks were numbered. */
    InputTexts texts;
    const EncodeOutput output = {.sink = write_ids, .text_ended = end_text, .progress = add_bytes, .context = &written};
    config.stop = NULL;
    written = (Written){0};
    assert_ok(input_texts_begin(&texts, paths, 4, (TextField){0}));
    write_file(paths[2], "another", 7);
    ck_assert_int_eq(encode_ranks(tokenizer, &texts, &output, &config), CS336_EIO);
    ck_assert_msg(strstr(status_message(), ": has 7 bytes, and had "), "%s", status_message());
    input_texts_end(&texts);
    token_list_deinit(&written.ids);
    ck_assert_uint_eq(memory_in_use(), in_use);
    token_list_deinit(&expected);
    tokenizer_destroy(tokenizer);
}
END_TEST

typedef struct {
    const Tokenizer *tokenizer;
    const char **paths;
} Work;

static Status encode_once(void *context)
{
    const Work *work = context;
    Written written = {0};
    const EncodeConfig config = {.threads = 1, .chunk_bytes = 500};
    const Status s = encode_all(&written, work->tokenizer, work->paths, 4, &config);
    token_list_deinit(&written.ids);
    return s;
}

START_TEST(test_ranks_without_memory_end_the_encoding)
{
    Rng rng = rng_seeded(6);
    const char *paths[4];
    size_t ends[4];
    TokenList expected = {0};
    Tokenizer *tokenizer = make_tokenizer(PATTERN_GPT2);
    write_texts(&rng, paths, &expected, ends, tokenizer);
    assert_allocation_failures_are_clean(encode_once, &(Work){.tokenizer = tokenizer, .paths = paths});
    token_list_deinit(&expected);
    tokenizer_destroy(tokenizer);
}
END_TEST

const TestCase tokenizer_ranks_tests[] = {
    TEST(test_ranks_own_shards, "train_bpe"),
    TEST(test_ranks_count_the_words_of_all_texts, "train_bpe"),
    TEST(test_ranks_pack_words_of_any_length_and_count, "train_bpe"),
    TEST(test_ranks_send_words_in_an_order_that_suits_a_table, "train_bpe"),
    TEST(test_ranks_share_streams_by_their_sizes, "train_bpe"),
    TEST(test_ranks_share_the_chunks_of_a_text, "tokenizer"),
    TEST(test_a_thread_does_not_wait_for_a_chunk_of_a_text_that_is_left, "tokenizer"),
    TEST(test_ranks_may_be_one, "tokenizer"),
    TEST(test_ranks_send_a_chunk_in_pieces, "tokenizer"),
    TEST(test_a_failure_ends_the_encoding_of_all_ranks, "tokenizer"),
    TEST(test_ranks_without_memory_end_the_encoding, "tokenizer"),
    {0},
};
