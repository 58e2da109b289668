#include "tests/support/corpus.h"

#include "tests/support/check.h"
#include "tests/support/hash_weights.h"
#include "tests/support/lines.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CORPUS_BYTES = 5000000, LONGEST_PHRASE = 64, PHRASES_PER_SEED = 1 << 16 };

static const char *const syllables[] = {"the", "lo", "mi", "an",  "re", "so", "ta", "ver", "in",  "co", "el",  "dra",
                                        "be",  "un", "ki", "mor", "st", "ou", "pa", "ing", "sha", "ze", "qui", "nth"};
static const char *const foreign[] = {"größe", "naïve", "Σίσυφος", "привет", "東京", "café", "안녕", "ça"};
static const char *const suffixes[] = {"'s", "'t", "'ll", "'re"};
static const char *const endings[] = {
    ".\n", "\n\n", ".\n<|endoftext|>\n", "! ", "? ", "; ", " (", ") ", ", ", ", ", ". ", ". ", ". "};
static const size_t lengths[] = {1, 1, 1, 2, 2, 2, 2, 3};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Makes a word and what follows it. Bit fields of a random 64-bit number choose both. */
static void make_phrase(char *phrase, uint64_t bits)
{
    const size_t kind = bits & 31, ending = bits >> 5 & 63;
    *phrase = '\0';
    if (kind == 0) {
        sprintf(phrase, "%u", (unsigned)(bits >> 32 & 1023));
    } else if (kind == 1) {
        strcat(phrase, foreign[bits >> 32 & 7]);
    } else {
        for (size_t i = 0; i < lengths[bits >> 11 & 7]; i++) {
            const size_t draw = bits >> (16 + 8 * i) & 255;
            strcat(phrase, syllables[draw * draw * COUNT(syllables) >> 16]);
        }
        if (kind == 2)
            strcat(phrase, suffixes[bits >> 48 & 3]);
        if (kind == 3)
            *phrase = (char)toupper((unsigned char)*phrase);
    }
    strcat(phrase, ending < COUNT(endings) ? endings[ending] : " ");
}

static uint64_t fnv1a(const uint8_t *bytes, size_t length)
{
    uint64_t value = 0xCBF29CE484222325U;
    for (size_t i = 0; i < length; i++)
        value = (value ^ bytes[i]) * 0x100000001B3U;
    return value;
}

uint8_t *corpus_make(size_t *length)
{
    uint8_t *text = malloc(CORPUS_BYTES + LONGEST_PHRASE);
    ck_assert_ptr_nonnull(text);
    *length = 0;
    for (uint64_t i = 0; *length < CORPUS_BYTES; i++) {
        char phrase[LONGEST_PHRASE];
        make_phrase(phrase, hash_bits("corpus", i / PHRASES_PER_SEED, i % PHRASES_PER_SEED));
        memcpy(text + *length, phrase, strlen(phrase));
        *length += strlen(phrase);
    }
    Lines lines = lines_open("tokenizer/corpus.txt");
    size_t expected_length = 0, expected_hash = 0;
    ck_assert(lines_next(&lines) && line_number(&lines, &expected_length) && line_number(&lines, &expected_hash));
    lines_close(&lines);
    ck_assert_uint_eq(*length, expected_length);
    ck_assert_uint_eq(fnv1a(text, *length), expected_hash);
    return text;
}
