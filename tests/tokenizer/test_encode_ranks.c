/*
 * How ranks share the encoding of texts. Here one process does the work of all ranks, one after the other;
 * tests/cli/test_cli_ranks_texts.c starts them.
 */
#include "core/memory.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"
#include "tests/support/split_texts.h"
#include "tokenizer/encode/encode_ranks.h"
#include "tokenizer/encode/encode_team.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 3000, MOST_RANKS = 5 };

/* The chunks of one rank, chosen at random, and the ids of each chunk. */
typedef struct {
    size_t chunks[TEXT_BYTES], /* the numbers of its chunks, ascending */
        count;                 /* how many they are */
    TokenList *ids;            /* of all ranks: the ids of each chunk */
    size_t *bytes;             /* of all ranks: the length of each chunk */
    size_t ended;              /* how many of its chunks are encoded */
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
        Tokenizer *tokenizer = split_tokenizer((PretokenPattern)(trial % 2), split_specials, SPLIT_SPECIALS);
        const size_t size = sizes[trial % 4];
        const ByteString text = split_text_of_chunks(&rng, bytes, TEXT_BYTES, size);
        const size_t count = (text.length + size - 1) / size;
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
    size_t most; /* the sink fails rather than take more ids than these; 0: it takes all */
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

enum { FILES = 4 };

/* Files, a tokenizer for them, and what it should give. */
typedef struct {
    Tokenizer *tokenizer;
    const char *paths[FILES]; /* the second and the last file are empty */
    size_t bytes;             /* of all files */
    TokenList ids;            /* of all files */
    size_t ends[FILES];       /* where the ids of each file end */
} Corpus;

static Corpus make_corpus(Rng *rng)
{
    static uint8_t bytes[TEXT_BYTES];
    Corpus corpus = {.tokenizer = split_tokenizer(PATTERN_GPT2, split_specials, SPLIT_SPECIALS)};
    for (size_t i = 0; i < FILES; i++) {
        char name[16];
        const ByteString text = i % 2 ? (ByteString){0} : split_text(rng, bytes, TEXT_BYTES);
        snprintf(name, sizeof name, "text%zu", i);
        corpus.paths[i] = temp_path(name);
        write_file(corpus.paths[i], bytes, text.length);
        assert_ok(tokenizer_encode(corpus.tokenizer, &corpus.ids, text));
        corpus.ends[i] = corpus.ids.count;
        corpus.bytes += text.length;
    }
    return corpus;
}

static void free_corpus(Corpus *corpus)
{
    token_list_deinit(&corpus->ids);
    tokenizer_destroy(corpus->tokenizer);
}

START_TEST(test_ranks_may_be_one)
{
    static const size_t sizes[] = {1, 7, 300, 0};
    Rng rng = rng_seeded(4);
    for (size_t trial = 0; trial < 8; trial++) {
        Corpus corpus = make_corpus(&rng);
        Written written = {0};
        const EncodeConfig config = {.threads = 1 + (int)trial % 3, .chunk_bytes = sizes[trial % COUNT(sizes)]};
        test_label("chunks of %zu, %d threads", config.chunk_bytes, config.threads);
        assert_ok(encode_all(&written, corpus.tokenizer, corpus.paths, FILES, &config));
        ck_assert_uint_eq(written.texts, FILES);
        ck_assert_uint_eq(written.bytes, corpus.bytes);
        ck_assert_int_eq(memcmp(written.ends, corpus.ends, sizeof corpus.ends), 0);
        ck_assert_int_eq(memcmp(written.ids.ids, corpus.ids.ids, corpus.ids.count * sizeof *corpus.ids.ids), 0);
        token_list_deinit(&written.ids);
        free_corpus(&corpus);
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
    Tokenizer *tokenizer = split_tokenizer(PATTERN_GPT2, split_specials, SPLIT_SPECIALS);
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
    Corpus corpus = make_corpus(&rng);
    const size_t in_use = memory_in_use();
    atomic_int stop = 1;
    EncodeConfig config = {.threads = 3, .chunk_bytes = 10};
    /* The output fails, as on a full disk. */
    Written written = {.most = 1000};
    ck_assert_int_eq(encode_all(&written, corpus.tokenizer, corpus.paths, FILES, &config), CS336_EIO);
    ck_assert_str_eq(status_message(), "out: no space left");
    ck_assert_uint_le(written.ids.count, 1000);
    ck_assert_uint_le(written.texts, 3);
    token_list_deinit(&written.ids);
    /* A signal. */
    config.stop = &stop;
    written = (Written){0};
    ck_assert_int_eq(encode_all(&written, corpus.tokenizer, corpus.paths, FILES, &config), CS336_EINTERRUPTED);
    token_list_deinit(&written.ids);
    /* A file that has grown since its chunks were numbered. */
    InputTexts texts;
    const EncodeOutput output = {.sink = write_ids, .text_ended = end_text, .progress = add_bytes, .context = &written};
    config.stop = NULL;
    written = (Written){0};
    assert_ok(input_texts_begin(&texts, corpus.paths, FILES, (TextField){0}));
    write_file(corpus.paths[2], "another", 7);
    ck_assert_int_eq(encode_ranks(corpus.tokenizer, &texts, &output, &config), CS336_EIO);
    ck_assert_msg(strstr(status_message(), ": has 7 bytes, and had "), "%s", status_message());
    input_texts_end(&texts);
    token_list_deinit(&written.ids);
    ck_assert_uint_eq(memory_in_use(), in_use);
    free_corpus(&corpus);
}
END_TEST

static Status encode_once(void *context)
{
    const Corpus *corpus = context;
    Written written = {0};
    const EncodeConfig config = {.threads = 1, .chunk_bytes = 500};
    const Status s = encode_all(&written, corpus->tokenizer, corpus->paths, FILES, &config);
    token_list_deinit(&written.ids);
    return s;
}

START_TEST(test_ranks_without_memory_end_the_encoding)
{
    Rng rng = rng_seeded(6);
    Corpus corpus = make_corpus(&rng);
    assert_allocation_failures_are_clean(encode_once, &corpus);
    free_corpus(&corpus);
}
END_TEST

const TestCase encode_ranks_tests[] = {
    TEST(test_ranks_share_the_chunks_of_a_text, "tokenizer"),
    TEST(test_a_thread_does_not_wait_for_a_chunk_of_a_text_that_is_left, "tokenizer"),
    TEST(test_ranks_may_be_one, "tokenizer"),
    TEST(test_ranks_send_a_chunk_in_pieces, "tokenizer"),
    TEST(test_a_failure_ends_the_encoding_of_all_ranks, "tokenizer"),
    TEST(test_ranks_without_memory_end_the_encoding, "tokenizer"),
    {0},
};
