/*
 * Text to ids, with pattern, special tokens and merges from choices. A text in random chunks, a text in chunks of a
 * file, and the text at once have the same ids; their bytes are the text; and short texts have the tokens of the plain
 * reference.
 *
 *     input = seed of the chunk lengths, model, special tokens, text
 *
 * Making a tokenizer takes ten times as long as encoding a short text. So most choices of special tokens and of merges
 * are seeds of few bits, and the tokenizers that were made are kept, each with an encoder whose cache is small.
 */
#include "core/memory.h"
#include "core/rng.h"
#include "tests/fuzz/fuzz_model.h"
#include "tokenizer/encode/encode_file.h"
#include "tokenizer/encode/encoder.h"
#include "tokenizer/learn/bpe_train.h"

#include <string.h>

enum {
    SEEDS = 16,                          /* of special tokens, and of merges */
    PATTERN_SLOTS = (3 + SEEDS) * SEEDS, /* for tokenizers of one pattern from seeds alone: each is made once */
    PATTERNS = 2,
    SEEDED_SLOTS = PATTERNS * PATTERN_SLOTS,
    LITERAL_SLOTS = 128,   /* for tokenizers with literal choices: a new one takes the place of another */
    LITERAL_SEED = 128,    /* least seed with which choices may be literal */
    LITERAL = 240,         /* a choice from which the special tokens, or the merges, follow in the input */
    MOST_SPECIALS = 3,     /* special tokens */
    LONGEST_SPECIAL = 6,   /* bytes */
    CACHE_BYTES = 1 << 14, /* of an encoder */
    LONGEST = 4500,        /* bytes of a text: beyond 4096 a pre-token goes another way through the encoder */
    LONG_REPEAT = 252,     /* a choice of at least this repeats so often that the text is long, if its seed allows it */
    MOST_CHUNKS = 64,      /* a text is cut into about this many chunks at most; each takes some microseconds */
    PLAIN_BYTES = 64       /* of a text up to which the plain reference is asked; it takes some 10 microseconds */
};

typedef enum { LEARNED, RUNS, PREFIXES, CHOSEN, MODELS } ModelKind;

/* What a tokenizer is made from. */
typedef struct {
    uint8_t kind, pattern, ignore_merges, special_count, special_lengths[MOST_SPECIALS];
    uint8_t special_bytes[MOST_SPECIALS][LONGEST_SPECIAL], merges[2 * FUZZ_MOST_MERGES];
} Choices;

typedef struct {
    Choices choices;
    Tokenizer *tokenizer;
    Encoder *encoder; /* into ids below */
    ByteString special[MOST_SPECIALS];
} Slot;

static Slot slots[SEEDED_SLOTS + LITERAL_SLOTS]; /* tokenizers that are kept */
static TokenList ids;                            /* receives what the slots' encoders pass on */

/* ---- models ---- */

/* Merges as training finds them. Training takes longer than making a tokenizer, so it is done once. */
static const BPEModel *learned(void)
{
    static BPEModel model;
    if (model.vocab_size)
        return &model;
    static const char corpus[] =
        "The cat sat on the mat, and the other cat's hat wasn't there. They'll eat 1234 cakes and 12 pies at 12:34. "
        "    indented\n\n\tline\r\nna\xC3\xAFve caf\xC3\xA9s, \xE4\xBD\xA0\xE5\xA5\xBD \xE4\xBD\xA0\xE4\xBB\xAC "
        "\xF0\x9F\x98\x80\xF0\x9F\x98\x83 the then then that this aaaaaaaa aaaa bbbb abab ababab";
    const ByteString text = byte_string(corpus);
    const BPETrainConfig config = {.vocab_size = BYTE_VALUES + FUZZ_MOST_MERGES, .threads = 1};
    FUZZ_OK(bpe_train(&model, NULL, &text, 1, &config));
    return &model;
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

static void make_model(BPEModel *model, const Choices *choices)
{
    FuzzInput merges = {choices->merges, choices->merges + sizeof choices->merges};
    fuzz_model_add_bytes(model);
    if (choices->kind == RUNS)
        add_runs(model);
    else if (choices->kind == PREFIXES)
        add_prefixes(model);
    else
        fuzz_model_add_merges(model, &merges, FUZZ_MOST_MERGES);
}

/* ---- tokenizers that are kept ---- */

/* Draws up to 3 special tokens from bytes that the texts also have: letters, blanks, parts of characters. */
static void draw_specials(Choices *choices, uint64_t seed)
{
    static const uint8_t bytes[] = "aab  \n<|>\xD0\xB8\xC3\xA9\xF0\x9F\x98\x80\xE4\xBD\xA0";
    Rng rng = rng_seeded(seed);
    choices->special_count = (uint8_t)rng_below(&rng, MOST_SPECIALS + 1);
    for (size_t i = 0; i < choices->special_count; i++) {
        choices->special_lengths[i] = (uint8_t)(1 + rng_below(&rng, LONGEST_SPECIAL));
        for (size_t k = 0; k < choices->special_lengths[i]; k++)
            choices->special_bytes[i][k] = bytes[rng_below(&rng, sizeof bytes - 1)];
    }
}

static void take_specials(Choices *choices, FuzzInput *input)
{
    choices->special_count = (uint8_t)fuzz_below(input, MOST_SPECIALS + 1);
    for (size_t i = 0; i < choices->special_count; i++) {
        const ByteString bytes = fuzz_bytes(input, 1 + fuzz_below(input, LONGEST_SPECIAL));
        choices->special_lengths[i] = (uint8_t)(bytes.length ? bytes.length : 1);
        if (bytes.length)
            memcpy(choices->special_bytes[i], bytes.bytes, bytes.length);
    }
}

/*
 * @p literal: the special tokens and the merges may follow in the input. Returns the slot of its own that a tokenizer
 * from seeds alone has, else SEEDED_SLOTS.
 */
static size_t take_choices(Choices *choices, FuzzInput *input, bool literal)
{
    memset(choices, 0, sizeof *choices); /* choices are compared byte by byte */
    const size_t kind = fuzz_below(input, PATTERNS * MODELS);
    choices->kind = (uint8_t)(kind % MODELS);
    choices->pattern = (uint8_t)(kind / MODELS);
    const uint8_t special = fuzz_byte(input);
    choices->ignore_merges = choices->pattern == PATTERN_GPT4 && special % 2; /* as models with this pattern may */
    const bool literal_special = literal && special >= LITERAL;
    if (literal_special)
        take_specials(choices, input);
    else
        draw_specials(choices, special % SEEDS);
    const size_t slot = choices->pattern * (size_t)PATTERN_SLOTS + choices->kind * (size_t)SEEDS + special % SEEDS;
    if (choices->kind != CHOSEN)
        return literal_special ? SEEDED_SLOTS : slot;
    const uint8_t merges = fuzz_byte(input);
    const bool literal_merges = literal && merges >= LITERAL;
    Rng rng = rng_seeded(merges % SEEDS);
    const ByteString taken = fuzz_bytes(input, literal_merges ? 4 * (1 + (size_t)merges - LITERAL) : 0);
    for (size_t i = 0; i < sizeof choices->merges; i++)
        choices->merges[i] = !literal_merges ? (uint8_t)rng_bits(&rng) : i < taken.length ? taken.bytes[i] : 255;
    return literal_special || literal_merges ? SEEDED_SLOTS : slot + merges % SEEDS * SEEDS;
}

static void make_tokenizer(Slot *slot)
{
    const Choices *choices = &slot->choices;
    BPEModel model = {0};
    for (size_t i = 0; i < choices->special_count; i++)
        slot->special[i] = (ByteString){choices->special_bytes[i], choices->special_lengths[i]};
    if (choices->kind == LEARNED)
        FUZZ_OK(bpe_model_copy(&model, learned()));
    else
        make_model(&model, choices);
    model.pattern = (PretokenPattern)choices->pattern;
    model.ignore_merges = choices->ignore_merges;
    FUZZ_OK(tokenizer_create(&slot->tokenizer, &model, slot->special, choices->special_count));
    bpe_model_deinit(&model);
    FUZZ_OK(encoder_create_small(&slot->encoder, slot->tokenizer, CACHE_BYTES, token_list_sink, &ids));
}

static Slot *take_tokenizer(FuzzInput *input, bool literal)
{
    Choices made;
    const Choices *choices = &made;
    size_t index = take_choices(&made, input, literal);
    if (index == SEEDED_SLOTS)
        index += byte_string_hash((ByteString){(const uint8_t *)choices, sizeof *choices}) % LITERAL_SLOTS;
    Slot *slot = &slots[index];
    if (slot->tokenizer && memcmp(choices, &slot->choices, sizeof *choices) == 0)
        return slot;
    encoder_destroy(slot->encoder);
    tokenizer_destroy(slot->tokenizer);
    *slot = (Slot){.choices = *choices};
    make_tokenizer(slot);
    return slot;
}

/* ---- the text ---- */

/* The bytes as they are, except that FF and a byte repeat what is there: the last 1 to 8 bytes, mostly up to 16 times.
 */
static ByteString make_text(uint8_t *text, FuzzInput *input, uint8_t seed)
{
    const bool may_be_long = seed / 32 % 4 == 3; /* a quarter of the seeds: a long text takes five times as long */
    size_t length = 0;
    while (input->next < input->end && length < LONGEST) {
        const uint8_t byte = fuzz_byte(input);
        const size_t choice = byte == 0xFF ? fuzz_byte(input) : 0, period = 1 + choice % 8;
        if (choice == 0 || period > length) {
            text[length++] = byte;
            continue;
        }
        const size_t repeated = may_be_long && choice >= LONG_REPEAT ? LONGEST - 16 : period << (choice / 8 % 5);
        for (size_t i = 0; i < repeated && length < LONGEST; i++, length++)
            text[length] = text[length - period];
    }
    return (ByteString){text, length};
}

/* Encodes in chunks of random lengths around 1, 8, 64 or 512 bytes, in longer ones if they are too many. */
static void encode_chunks(Slot *slot, ByteString text, uint64_t seed)
{
    Rng rng = rng_seeded(seed);
    const size_t drawn_most = (size_t)1 << (1 + 3 * (seed % 4)), least = 2 * text.length / MOST_CHUNKS;
    const size_t most = drawn_most > least ? drawn_most : least;
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
            fuzz_model_encode(expected, &slot->tokenizer->model, slot->special, slot->choices.special_count, text);
        check_same(&(TokenList){.ids = expected, .count = count}, "the plain reference");
    }
}

void fuzz_encode(const uint8_t *data, size_t size)
{
    static uint8_t buffer[LONGEST + 1];
    static TokenList whole;
    FuzzInput input = {data, data + size};
    const uint8_t seed = fuzz_byte(&input);
    Slot *slot = take_tokenizer(&input, seed >= LITERAL_SEED);
    const ByteString text = make_text(buffer, &input, seed);
    /* At once. */
    ids.count = whole.count = 0;
    FUZZ_OK(encoder_feed(slot->encoder, text.bytes, text.length));
    FUZZ_OK(encoder_finish(slot->encoder));
    FUZZ_OK(token_list_append(&whole, ids.ids, ids.count));
    check_tokens(slot, text);
    /* In chunks. */
    encode_chunks(slot, text, seed);
    check_same(&whole, "in chunks");
    /* As a file, in chunks that end where the encoder chooses. This makes an encoder, so only some inputs do it. */
    if (seed % 16 == 5) {
        const size_t chunk = (size_t)4 << (seed / 16 % 8), least = text.length / MOST_CHUNKS;
        const EncodeConfig config = {.threads = 1, .chunk_bytes = chunk > least ? chunk : least};
        ids.count = 0;
        FUZZ_OK(encode_text(slot->tokenizer, text, token_list_sink, &ids, &config));
        check_same(&whole, "as a file");
    }
}
