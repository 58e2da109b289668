#include "tests/exercises/checker/vocabulary.h"

#include "tests/support/random_text.h"

#include <stdio.h>
#include <string.h>

enum { BYTES = 256 /* tokens of a single byte */ };

const ByteString VOCABULARY_SPECIAL[] = {ATOM("<|e|>"), ATOM("<|e|><|e|>")};

Vocabulary vocabulary_make(Trial *t, PlainBPE plain, size_t special_count)
{
    Vocabulary v = {.plain = plain,
                    .merges = trial_memory(t, plain.merge_count * sizeof *v.merges),
                    .vocab = trial_memory(t, (BYTES + plain.merge_count) * sizeof *v.vocab),
                    .vocab_size = BYTES + plain.merge_count,
                    .special_tokens = trial_input_strings(t, "special_tokens", VOCABULARY_SPECIAL, special_count),
                    .special_count = special_count};
    uint8_t *bytes = trial_memory(t, BYTES);
    for (size_t i = 0; i < BYTES; i++) {
        bytes[i] = (uint8_t)(BYTES - 1 - i);
        v.vocab[i] = (ByteString){.bytes = bytes + i, .length = 1};
    }
    for (size_t i = 0; i < plain.merge_count; i++) {
        const ByteString left = plain.left[i], right = plain.right[i];
        uint8_t *joined = trial_memory(t, left.length + right.length);
        memcpy(joined, left.bytes, left.length);
        memcpy(joined + left.length, right.bytes, right.length);
        v.merges[i] = (MergePair){.left = left, .right = right};
        v.vocab[BYTES + i] = (ByteString){.bytes = joined, .length = left.length + right.length};
    }
    return v;
}

/*
 * "abcd" is a, b, cd, because (c, d) was created first; from left to right it would be abc, d. "xyz" is one token, from
 * left to right xy, z. (" ", "\n") joins what a cut inside the white-space character "\u00A0" tears apart.
 */
static ByteString LEFT[] = {ATOM("c"), ATOM("b"), ATOM("a"), ATOM("y"), ATOM("x"),
                            ATOM("x"), ATOM("l"), ATOM("'"), ATOM(" ")};
static ByteString RIGHT[] = {ATOM("d"),  ATOM("c"), ATOM("bc"), ATOM("z"), ATOM("y"),
                             ATOM("yz"), ATOM("l"), ATOM("ll"), ATOM("\n")};

Vocabulary vocabulary_small(Trial *t, size_t special_count)
{
    enum { MOST = 16 /* bytes of "(x yz)" */ };
    const PlainBPE plain = {.left = LEFT, .right = RIGHT, .merge_count = COUNT(LEFT)};
    ByteString *shown = trial_memory(t, COUNT(LEFT) * sizeof *shown);
    for (size_t i = 0; i < COUNT(LEFT); i++) {
        char *text = trial_memory(t, MOST);
        snprintf(text, MOST, "(%.*s %.*s)", (int)LEFT[i].length, (const char *)LEFT[i].bytes, (int)RIGHT[i].length,
                 (const char *)RIGHT[i].bytes);
        shown[i] = byte_string(text);
    }
    (void)trial_input_strings(t, "merges", shown, COUNT(LEFT));
    return vocabulary_make(t, plain, special_count);
}

ByteString vocabulary_token(Trial *t, const Vocabulary *v, int32_t id)
{
    enum { MOST = 32 /* bytes of the message */ };
    if (id >= 0 && (size_t)id < v->vocab_size)
        return v->vocab[id];
    if (id >= 0 && (size_t)id < v->vocab_size + v->special_count)
        return v->special_tokens[(size_t)id - v->vocab_size];
    char *message = trial_memory(t, MOST);
    snprintf(message, MOST, "(id %d)", (int)id);
    return byte_string(message);
}

int32_t vocabulary_id(const Vocabulary *v, ByteString token)
{
    size_t id = 0;
    for (; id < v->vocab_size; id++)
        if (byte_string_equal(v->vocab[id], token))
            return (int32_t)id;
    while (!byte_string_equal(v->special_tokens[id - v->vocab_size], token))
        id++;
    return (int32_t)id;
}
