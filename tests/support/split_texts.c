#include "tests/support/split_texts.h"

#include "tests/support/allclose.h"
#include "tokenizer/learn/bpe_train.h"

#include <string.h>

const ByteString split_specials[SPLIT_SPECIALS] = {ATOM("<|a|>"), ATOM("aba"), ATOM("x y\n"), ATOM("\n<|a|>\n")};

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
                                   ATOM("'ll"),
                                   ATOM("12"),
                                   ATOM("\xE4\xB8"),
                                   ATOM("\0"),
                                   ATOM("东"),
                                   ATOM("\xFF"),
                                   ATOM("\xC2\xA0"),
                                   ATOM("  "),
                                   ATOM("a long pre-token of its own: incomprehensibilities")};

ByteString split_text(Rng *rng, uint8_t *buffer, size_t capacity)
{
    uint8_t part[LONGEST_TEXT];
    size_t length = 0;
    for (ByteString more; length + LONGEST_TEXT <= capacity; length += more.length) {
        more = random_text(rng, part, atoms, COUNT(atoms), 30);
        memcpy(buffer + length, more.bytes, more.length);
    }
    return (ByteString){.bytes = buffer, .length = length};
}

ByteString split_text_of_chunks(Rng *rng, uint8_t *buffer, size_t capacity, size_t chunk_bytes)
{
    enum { MOST_CHUNKS = 120 };
    ByteString text = split_text(rng, buffer, capacity);
    if (chunk_bytes && chunk_bytes * MOST_CHUNKS < text.length)
        text.length = chunk_bytes * MOST_CHUNKS;
    return text;
}

Tokenizer *split_tokenizer(PretokenPattern pattern, const ByteString *specials, size_t special_count)
{
    const ByteString text =
        ATOM("aab aabaab abab aaaa aaab bbab abba aaaaaaaabbbbabab xxyx é éé 东东 'll it's he's 12 1212 "
             "<|a|> <| |> |>x x|> \xFF\xFF \n\n\n  \n x y\n aa\xC2\xA0 a\xC2\xA0 aabb ab word words");
    const BPETrainConfig config = {.vocab_size = SPLIT_VOCABULARY, .pattern = pattern, .threads = 1};
    BPEModel model;
    Tokenizer *tokenizer;
    assert_ok(bpe_train(&model, NULL, &text, 1, &config));
    assert_ok(tokenizer_create(&tokenizer, &model, specials, special_count));
    bpe_model_deinit(&model);
    return tokenizer;
}
