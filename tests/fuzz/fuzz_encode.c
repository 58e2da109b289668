/*
 * Text to ids, with special tokens and merges from choices. A text in random chunks, a text in chunks of a file, and
 * the text at once have the same ids; their bytes are the text; and short texts have the tokens of the plain reference.
 *
 *     input = seed of the chunk lengths, model, special tokens, (merges,) text
 *
 * Making a tokenizer takes longer than encoding a short text. So the tokenizers of the latest choices are kept, each
 * with an encoder whose cache is small. The fuzzer mostly varies the text, which comes last, and then finds its
 * tokenizer.
 */
#include "core/memory.h"
#include "core/rng.h"
#include "tests/fuzz/fuzz_model.h"
#include "tokenizer/encode/encode_file.h"
#include "tokenizer/encode/encoder.h"
#include "tokenizer/learn/bpe_train.h"

#include <string.h>

enum {
    SLOTS = 64,            /* tokenizers that are kept */
    MOST_SPECIALS = 3,     /* special tokens */
    LONGEST_SPECIAL = 6,   /* bytes */
    CACHE_BYTES = 1 << 14, /* of an encoder */
    LONGEST = 6000,        /* bytes of a text: beyond 4096 a pre-token goes another way through the encoder */
    LONG_REPEAT = 252, /* choices from which a repetition makes such a pre-token: few, for they take 100 times longer */
    PLAIN_BYTES = 80   /* of a text up to which the plain reference is asked; it takes some 10 microseconds */
};

typedef enum { LEARNED, RUNS, PREFIXES, CHOSEN, MODELS } ModelKind;

typedef struct {
    uint8_t key[256]; /* the choices that made it */
    size_t key_length;
    Tokenizer *tokenizer;
    Encoder *encoder;                  /* into ids below */
    ByteString special[MOST_SPECIALS]; /* views of key */
    size_t special_count;
} Slot;

static Slot slots[SLOTS];
static TokenList ids; /* receives what the slots' encoders pass on */

/* ---- models ---- */

/* Merges as training finds them. */
static void learn(BPEModel *model)
{
    static const char corpus[] =
        "The cat sat on the mat, and the other cat's hat wasn't there. They'll eat 1234 cakes and 12 pies at 12:34. "
        "    indented\n\n\tline\r\nna\xC3\xAFve caf\xC3\xA9s, \xE4\xBD\xA0\xE5\xA5\xBD \xE4\xBD\xA0\xE4\xBB\xAC "
        "\xF0\x9F\x98\x80\xF0\x9F\x98\x83 the then then that this aaaaaaaa aaaa bbbb abab ababab";
    const ByteString text = byte_string(corpus);
    const BPETrainConfig config = {.vocab_size = BYTE_VALUES + FUZZ_MOST_MERGES, .threads = 1};
    FUZZ_OK(bpe_train(model, NULL, &text, 1, &config));
}

/* Tokens of 2, 4, 8, ... equal bytes, up to 4096: a, blank, line feed, NUL, and ab. */
static void add_runs(BPEModel *model)
{
    static const uint8_t bytes[] = {'a', ' ', '\n', 0};
    for (size_t i = 0; i < sizeof bytes; i++) {
        int32_t token = bytes[i];
        for (size_t length = 2; length <= 4096; length *= 2) {
            fuzz_model_add_merge(model, token, token);
            token = (int32_t)model->vocab_size - 1;
        }
    }
    fuzz_model_add_merge(model, 'a', 'b');
    for (size_t length = 2; length < 64; length *= 2)
        fuzz_model_add_merge(model, (int32_t)model->vocab_size - 1, (int32_t)model->vocab_size - 1);
}

/* a+b, a+ab, a+aab, ...: each token ends with the one before. */
static void add_prefixes(BPEModel *model)
{
    int32_t token = 'b';
    for (size_t i = 0; i < FUZZ_MOST_MERGES; i++) {
        fuzz_model_add_merge(model, 'a', token);
        token = (int32_t)model->vocab_size - 1;
    }
}

static void make_model(BPEModel *model, ModelKind kind, FuzzInput *input)
{
    if (kind == LEARNED) {
        learn(model);
        return;
    }
    fuzz_model_add_bytes(model);
    if (kind == RUNS)
        add_runs(model);
    else if (kind == PREFIXES)
        add_prefixes(model);
    else
        fuzz_model_add_merges(model, input, FUZZ_MOST_MERGES);
}

/* ---- tokenizers that are kept ---- */

/* Moves over the choices of a tokenizer. The text follows them. */
static ByteString take_key(FuzzInput *input)
{
    const ByteString key = {.bytes = input->next, .length = 0};
    const size_t kind = fuzz_below(input, MODELS), specials = fuzz_below(input, MOST_SPECIALS + 1);
    for (size_t i = 0; i < specials; i++)
        fuzz_bytes(input, 1 + fuzz_below(input, LONGEST_SPECIAL));
    if (kind == CHOSEN)
        fuzz_bytes(input, 2 * fuzz_below(input, FUZZ_MOST_MERGES + 1));
    return (ByteString){key.bytes, (size_t)(input->next - key.bytes)};
}

static void make_tokenizer(Slot *slot)
{
    FuzzInput input = {slot->key, slot->key + slot->key_length};
    const ModelKind kind = (ModelKind)fuzz_below(&input, MODELS);
    const size_t specials = fuzz_below(&input, MOST_SPECIALS + 1);
    slot->special_count = 0;
    for (size_t i = 0; i < specials; i++) {
        const ByteString special = fuzz_bytes(&input, 1 + fuzz_below(&input, LONGEST_SPECIAL));
        if (special.length)
            slot->special[slot->special_count++] = special;
    }
    fuzz_byte(&input); /* the number of merges */
    BPEModel model = {0};
    make_model(&model, kind, &input);
    FUZZ_OK(tokenizer_create(&slot->tokenizer, &model, slot->special, slot->special_count));
    bpe_model_deinit(&model);
    FUZZ_OK(encoder_create_small(&slot->encoder, slot->tokenizer, CACHE_BYTES, token_list_sink, &ids));
}

static Slot *find_tokenizer(ByteString key)
{
    Slot *slot = &slots[byte_string_hash(key) % SLOTS];
    if (slot->tokenizer && byte_string_equal(key, (ByteString){slot->key, slot->key_length}))
        return slot;
    if (slot->tokenizer) {
        encoder_destroy(slot->encoder);
        tokenizer_destroy(slot->tokenizer);
    }
    *slot = (Slot){.key_length = key.length};
    if (key.length)
        memcpy(slot->key, key.bytes, key.length);
    make_tokenizer(slot);
    return slot;
}

/* ---- the text ---- */

/* The bytes as they are, except that FF and a byte repeat what is there: the last 1 to 8 bytes, mostly up to 16 times.
 */
static ByteString make_text(uint8_t *text, FuzzInput *input)
{
    size_t length = 0;
    while (input->next < input->end && length < LONGEST) {
        const uint8_t byte = fuzz_byte(input);
        const size_t choice = byte == 0xFF ? fuzz_byte(input) : 0, period = 1 + choice % 8;
        if (choice == 0 || period > length) {
            text[length++] = byte;
            continue;
        }
        const size_t repeated = choice >= LONG_REPEAT ? LONGEST - 16 : period << (choice / 8 % 5);
        for (size_t i = 0; i < repeated && length < LONGEST; i++, length++)
            text[length] = text[length - period];
    }
    return (ByteString){text, length};
}

/* Encodes in chunks of random lengths around 1, 8, 64 or 512 bytes. */
static void encode_chunks(Slot *slot, ByteString text, uint64_t seed)
{
    Rng rng = rng_seeded(seed);
    const size_t most = (size_t)1 << (1 + 3 * (seed % 4));
    ids.count = 0;
    for (size_t done = 0; done < text.length;) {
        const size_t left = text.length - done, drawn = rng_below(&rng, most + 1), length = drawn < left ? drawn : left;
        FUZZ_OK(encoder_feed(slot->encoder, text.bytes + done, length));
        done += length;
    }
    FUZZ_OK(encoder_finish(slot->encoder));
}

static void check_same(const TokenList *expected, const char *how)
{
    for (size_t i = 0; i < ids.count && i < expected->count; i++)
        FUZZ_CHECK(ids.ids[i] == expected->ids[i], "%s: id %zu is %d, expected %d", how, i, (int)ids.ids[i],
                   (int)expected->ids[i]);
    FUZZ_CHECK(ids.count == expected->count, "%s: %zu ids, expected %zu", how, ids.count, expected->count);
}

/* Joined, the tokens are the text; and a short text has the ids of the plain reference. */
static void check_tokens(const Slot *slot, ByteString text)
{
    static int32_t expected[PLAIN_BYTES];
    size_t offset = 0;
    for (size_t i = 0; i < ids.count; i++) {
        const ByteString token = tokenizer_token(slot->tokenizer, ids.ids[i]);
        FUZZ_CHECK(token.length <= text.length - offset && memcmp(token.bytes, text.bytes + offset, token.length) == 0,
                   "token %zu is not the text at byte %zu", i, offset);
        offset += token.length;
    }
    FUZZ_CHECK(offset == text.length, "%zu bytes of %zu are encoded", offset, text.length);
    if (text.length <= PLAIN_BYTES) {
        const size_t count =
            fuzz_model_encode(expected, &slot->tokenizer->model, slot->special, slot->special_count, text);
        check_same(&(TokenList){.ids = expected, .count = count}, "the plain reference");
    }
}

void fuzz_encode(const uint8_t *data, size_t size)
{
    static uint8_t buffer[LONGEST + 1];
    static TokenList whole;
    FuzzInput input = {data, data + size};
    const uint8_t seed = fuzz_byte(&input);
    Slot *slot = find_tokenizer(take_key(&input));
    const ByteString text = make_text(buffer, &input);
    /* At once. */
    ids.count = whole.count = 0;
    FUZZ_OK(encoder_feed(slot->encoder, text.bytes, text.length));
    FUZZ_OK(encoder_finish(slot->encoder));
    FUZZ_OK(token_list_append(&whole, ids.ids, ids.count));
    check_tokens(slot, text);
    /* In chunks. */
    encode_chunks(slot, text, seed);
    check_same(&whole, "in chunks");
    /* As a file, in chunks that end where the encoder chooses. */
    if (seed & 0x80) {
        const EncodeConfig config = {.threads = 1, .chunk_bytes = (size_t)4 << (seed / 4 % 8)};
        ids.count = 0;
        FUZZ_OK(encode_text(slot->tokenizer, text, token_list_sink, &ids, &config));
        check_same(&whole, "as a file");
    }
}
