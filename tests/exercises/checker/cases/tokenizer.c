/* A BPE tokenizer and its mistakes. plain_encode() and its neighbours give the right answer and those of the mistakes.
 */
#include "tests/adapters.h"
#include "tests/exercises/checker/exercise.h"
#include "tests/exercises/checker/vocabulary.h"
#include "tests/support/plain_tokenizer.h"
#include "tests/support/random_text.h"

#include <stdlib.h>

enum {
    MOST_MERGES = 60,                             /* of the trained vocabulary */
    RANDOM_BYTES = 150,                           /* of a random text, at least */
    STREAM_HOLDS_EVERYTHING = TOKENIZER_MISTAKES, /* its tokens are right, but late */
    LONG_CHUNKS = 256,                            /* of the long stream */
    CHUNK_WORDS = 200,                            /* in each of them */
};

static const Mistake MISTAKES[] = {
    {TOKENIZER_MERGES_FROM_LEFT_TO_RIGHT, "merges_from_left_to_right",
     "applying the first merge that fits from the left, instead of the one that was created first"},
    {TOKENIZER_LONGEST_TOKEN_FIRST, "longest_token_first",
     "taking the longest token of the vocabulary at each place, instead of applying the merges"},
    {TOKENIZER_SPECIAL_TOKENS_NOT_KEPT, "special_tokens_not_kept", "encoding special tokens as ordinary text"},
    {TOKENIZER_CHUNKS_END_PRETOKENS, "chunks_end_pretokens", "encoding each chunk of a stream as a text of its own"},
    {TOKENIZER_STREAM_HOLDS_ONE_PRETOKEN, "stream_holds_one_pretoken",
     "holding back only the last pre-token of a chunk: \"it'l\" and \"l\" become \"it\", \"'\", \"ll\" instead of "
     "\"it\", \"'ll\""},
    {TOKENIZER_STREAM_HOLDS_TWO_PRETOKENS, "stream_holds_two_pretokens",
     "holding back only the last two pre-tokens of a chunk: three change where it ends inside a white-space character"},
    {TOKENIZER_STREAM_CUTS_SPECIAL_TOKENS, "stream_cuts_special_tokens",
     "encoding the beginning of a special token as text where a chunk ends inside it"},
    {TOKENIZER_DECODES_TOKENS_ONE_BY_ONE, "decodes_tokens_one_by_one",
     "decoding the UTF-8 of each token on its own, although a token may end inside a character"},
    {TOKENIZER_MALFORMED_UTF8_KEPT, "malformed_utf8_kept", "the bytes as they are, without U+FFFD for malformed UTF-8"},
    {STREAM_HOLDS_EVERYTHING, "stream_holds_everything", "collecting the whole stream and encoding it at its end"},
    {0},
};

static void compare_tokens(Trial *t, const char *name, const Vocabulary *v, const TokenList *ids,
                           const ByteString *right, size_t right_count)
{
    ByteString *yours = trial_memory(t, ids->count * sizeof *yours);
    for (size_t i = 0; i < ids->count; i++)
        yours[i] = vocabulary_token(t, v, ids->ids[i]);
    trial_strings(t, name, yours, ids->count, right, right_count);
}

/* The reference with the mistake of the trial. */
static PlainTokenizer reference(const Trial *t, const Vocabulary *v)
{
    return (PlainTokenizer){.merges = &v->plain,
                            .special = v->special_tokens,
                            .special_count = v->special_count,
                            .mistake = (TokenizerMistake)t->mistake};
}

static void make_tokenizer(Trial *t, Tokenizer **tokenizer, const Vocabulary *v)
{
    *tokenizer = NULL;
    TRIAL_CALL(t, get_tokenizer(tokenizer, v->vocab, v->vocab_size, v->merges, v->plain.merge_count, v->special_tokens,
                                v->special_count));
}

/* Gives back what make_tokenizer() made. */
static void release(const Trial *t, Tokenizer *tokenizer)
{
    if (t->calls && tokenizer)
        release_tokenizer(tokenizer);
}

/* ---- encoding and decoding ---- */

static void encode(Trial *t, const Vocabulary *v, ByteString bytes)
{
    const ByteString text = trial_input_text(t, "text", bytes);
    const PlainTokenizer plain = reference(t, v);
    ByteString *right = trial_memory(t, text.length * sizeof *right);
    Tokenizer *tokenizer;
    TokenList ids = {0};
    make_tokenizer(t, &tokenizer, v);
    if (!t->status)
        TRIAL_CALL(t, run_encode(&ids, tokenizer, text));
    compare_tokens(t, "tokens", v, &ids, right, plain_encode(right, &plain, text));
    token_list_deinit(&ids);
    release(t, tokenizer);
}

/* Decodes the right ids of a text. */
static void decode(Trial *t, const Vocabulary *v, ByteString text)
{
    PlainTokenizer plain = reference(t, v);
    ByteString *tokens = trial_memory(t, text.length * sizeof *tokens);
    int32_t *ids = trial_memory(t, text.length * sizeof *ids);
    plain.mistake = TOKENIZER_RIGHT;
    const size_t count = plain_encode(tokens, &plain, text);
    for (size_t i = 0; i < count; i++)
        ids[i] = vocabulary_id(v, tokens[i]);
    (void)trial_input_strings(t, "tokens of the ids", tokens, count);
    Tokenizer *tokenizer;
    ByteList yours = {0}, right = {0};
    make_tokenizer(t, &tokenizer, v);
    if (!t->status)
        TRIAL_CALL(t, run_decode(&yours, tokenizer, ids, count));
    plain.mistake = (TokenizerMistake)t->mistake;
    plain_decode(&right, &plain, tokens, count);
    trial_text(t, "text", (const char *)yours.bytes, yours.length, (const char *)right.bytes, right.length);
    byte_list_deinit(&yours);
    byte_list_deinit(&right);
    release(t, tokenizer);
}

/* ---- a stream ---- */

/* A text in chunks. Each chunk has an allocation of its own, which the next call frees. */
typedef struct {
    const uint8_t *next;
    const size_t *lengths;
    size_t chunk_count, given;
    uint8_t *chunk;
    TokenList ids;
    bool early; /* ids came before the last chunk */
} Stream;

static ByteString next_chunk(void *context)
{
    Stream *stream = context;
    free(stream->chunk);
    stream->chunk = NULL;
    if (stream->given == stream->chunk_count)
        return (ByteString){0};
    const size_t length = stream->lengths[stream->given++];
    stream->chunk = malloc(length);
    if (!stream->chunk)
        abort();
    memcpy(stream->chunk, stream->next, length);
    stream->next += length;
    return (ByteString){.bytes = stream->chunk, .length = length};
}

static Status take_ids(void *context, const int32_t *ids, size_t count)
{
    Stream *stream = context;
    stream->early |= count > 0 && stream->given < stream->chunk_count;
    return token_list_append(&stream->ids, ids, count);
}

/* Encodes a text that comes in chunks of these lengths; their sum is the length of the text. */
static void run_stream(Trial *t, const Vocabulary *v, ByteString text, Stream *stream)
{
    Tokenizer *tokenizer;
    stream->next = text.bytes;
    make_tokenizer(t, &tokenizer, v);
    if (!t->status)
        TRIAL_CALL(t, run_encode_iterable(tokenizer, next_chunk, stream, take_ids, stream));
    free(stream->chunk);
    release(t, tokenizer);
}

static void encode_stream(Trial *t, const Vocabulary *v, ByteString text, const size_t *lengths, size_t chunk_count)
{
    ByteString *chunks = trial_memory(t, chunk_count * sizeof *chunks);
    for (size_t i = 0, begin = 0; i < chunk_count; begin += lengths[i++])
        chunks[i] = (ByteString){.bytes = text.bytes + begin, .length = lengths[i]};
    (void)trial_input_strings(t, "chunks", chunks, chunk_count);
    const PlainTokenizer plain = reference(t, v);
    ByteString *right = trial_memory(t, text.length * sizeof *right);
    Stream stream = {.lengths = lengths, .chunk_count = chunk_count};
    run_stream(t, v, text, &stream);
    compare_tokens(t, "tokens", v, &stream.ids, right, plain_encode_chunks(right, &plain, text, lengths, chunk_count));
    token_list_deinit(&stream.ids);
}

/* ---- cases ---- */

static const char TEXT[] = "abcd xyz it'll é\xFF<|e|><|e|>.";
/* Chunks that end inside "'ll" and inside the special token. */
static const size_t CUTS[] = {13, sizeof TEXT - 1 - 13 - 2, 2};

static void by_hand(Trial *t)
{
    const Vocabulary v = vocabulary_small(t, VOCABULARY_SPECIALS);
    encode(t, &v, byte_string(TEXT));
}

static void decoding(Trial *t)
{
    const Vocabulary v = vocabulary_small(t, VOCABULARY_SPECIALS);
    decode(t, &v, byte_string(TEXT));
}

static void streaming(Trial *t)
{
    const Vocabulary v = vocabulary_small(t, VOCABULARY_SPECIALS);
    encode_stream(t, &v, byte_string(TEXT), CUTS, COUNT(CUTS));
}

/* Special tokens hold back bytes at the end of a chunk, and so hide what else must be held back. */
static void streaming_without_special_tokens(Trial *t)
{
    const Vocabulary v = vocabulary_small(t, 0);
    encode_stream(t, &v, byte_string(TEXT), CUTS, COUNT(CUTS));
}

/* Before the second chunk comes, the ranges are " ", "\n" and a byte that is no character; then " \n\u00A0" is one. */
static void streaming_white_space(Trial *t)
{
    static const size_t LENGTHS[] = {3, 3};
    const Vocabulary v = vocabulary_small(t, 0);
    encode_stream(t, &v, byte_string(" \n\u00A0 v"), LENGTHS, COUNT(LENGTHS));
}

static void streaming_bytes(Trial *t)
{
    const ByteString text = byte_string("abcd xyz<|e|><|e|>  \n\u3000it'll'll <|e|é");
    size_t *lengths = trial_memory(t, text.length * sizeof *lengths);
    const Vocabulary v = vocabulary_small(t, VOCABULARY_SPECIALS);
    for (size_t i = 0; i < text.length; i++)
        lengths[i] = 1;
    encode_stream(t, &v, text, lengths, text.length);
}

/* A stream that is longer than any buffer of a textbook: the first ids come long before the last chunk. */
static void streaming_a_long_text(Trial *t)
{
    static const char WORD[] = "abcd ";
    enum { WORD_BYTES = sizeof WORD - 1, CHUNK_BYTES = CHUNK_WORDS * WORD_BYTES };
    uint8_t *text = trial_memory(t, LONG_CHUNKS * CHUNK_BYTES);
    size_t *lengths = trial_memory(t, LONG_CHUNKS * sizeof *lengths);
    const Vocabulary v = vocabulary_small(t, 1);
    for (size_t i = 0; i < LONG_CHUNKS * CHUNK_WORDS; i++)
        memcpy(text + i * WORD_BYTES, WORD, WORD_BYTES);
    for (size_t i = 0; i < LONG_CHUNKS; i++)
        lengths[i] = CHUNK_BYTES;
    Stream stream = {.lengths = lengths, .chunk_count = LONG_CHUNKS};
    run_stream(t, &v, (ByteString){.bytes = text, .length = LONG_CHUNKS * CHUNK_BYTES}, &stream);
    trial_number(t, "ids come before the last chunk (1: they do)", stream.early, t->mistake != STREAM_HOLDS_EVERYTHING);
    token_list_deinit(&stream.ids);
}

static void empty_text(Trial *t)
{
    const Vocabulary v = vocabulary_small(t, 1);
    encode(t, &v, byte_string(""));
}

static void adjacent_special_tokens(Trial *t)
{
    const Vocabulary v = vocabulary_small(t, VOCABULARY_SPECIALS);
    encode(t, &v, byte_string("<|e|><|e|><|e|> xyz<|e|>ll<|e"));
}

static void malformed(Trial *t)
{
    const Vocabulary v = vocabulary_small(t, 0);
    decode(t, &v, byte_string("a\xE2\x82 东\xC3\xED\xA0\x80\xF0\x9F\x98"));
}

/* A vocabulary that was trained on a random text encodes another one. */
static void random_case(Trial *t, bool decoded)
{
    static const ByteString ATOMS[] = {ATOM("<|e|>"), ATOM("<|e"), ATOM("a"),   ATOM("b"),   ATOM("aab"), ATOM(" "),
                                       ATOM("aaaa"),  ATOM("é"),   ATOM("'ll"), ATOM("xyx"), ATOM("\n"),  ATOM("\xFF")};
    uint8_t buffers[2][LONGEST_TEXT];
    Rng rng = rng_seeded(336);
    const ByteString training = random_text_of(&rng, buffers[0], ATOMS, COUNT(ATOMS), RANDOM_BYTES);
    const ByteString text = random_text_of(&rng, buffers[1], ATOMS, COUNT(ATOMS), RANDOM_BYTES);
    PlainBPE plain = plain_bpe_train(training, VOCABULARY_SPECIAL, VOCABULARY_SPECIALS, MOST_MERGES, TRAIN_RIGHT);
    const Vocabulary v = vocabulary_make(t, plain, VOCABULARY_SPECIALS);
    if (decoded)
        decode(t, &v, text);
    else
        encode(t, &v, text);
    plain_bpe_free(&plain);
}

static void random_encoding(Trial *t)
{
    random_case(t, false);
}

static void random_decoding(Trial *t)
{
    random_case(t, true);
}

static const Case CASES[] = {
    CASE("encoding", by_hand),
    CASE("decoding", decoding),
    CASE("a stream whose chunks end inside \"'ll\" and inside a special token", streaming),
    CASE("the same stream without special tokens", streaming_without_special_tokens),
    CASE("a stream whose chunk ends inside a white-space character", streaming_white_space),
    CASE("a stream that comes byte by byte", streaming_bytes),
    CASE("a long stream", streaming_a_long_text),
    CASE("a text of zero bytes", empty_text),
    CASE("special tokens side by side, of which one begins with the other", adjacent_special_tokens),
    CASE("decoding malformed UTF-8", malformed),
    CASE("encoding a random text", random_encoding),
    CASE("decoding a random text", random_decoding),
    {0},
};

const Exercise exercise_tokenizer = {"tokenizer", .atol = 1e-3, .cases = CASES, .mistakes = MISTAKES, .unit = "bytes"};
