#include "tests/support/corpus.h"

#include "tests/support/hash_weights.h"
#include "tests/support/lines.h"

#include <check.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CORPUS_BYTES = 5000000, LONGEST_PIECE = 64, PIECES_PER_SEED = 1 << 16 };

static const char *const syllables[] = {"the", "lo", "mi", "an",  "re", "so", "ta", "ver", "in",  "co", "el",  "dra",
                                        "be",  "un", "ki", "mor", "st", "ou", "pa", "ing", "sha", "ze", "qui", "nth"};
static const char *const foreign[] = {"größe", "naïve", "Σίσυφος", "привет", "東京", "café", "안녕", "ça"};
static const char *const suffixes[] = {"'s", "'t", "'ll", "'re"};
static const char *const endings[] = {
    ".\n", "\n\n", ".\n<|endoftext|>\n", "! ", "? ", "; ", " (", ") ", ", ", ", ", ". ", ". ", ". "};
static const size_t lengths[] = {1, 1, 1, 2, 2, 2, 2, 3};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A word and what follows it: fields of a 64-bit number choose both. */
static void make_piece(char *piece, uint64_t bits)
{
    const size_t kind = bits & 31, ending = bits >> 5 & 63;
    *piece = '\0';
    if (kind == 0) {
        sprintf(piece, "%u", (unsigned)(bits >> 32 & 1023));
    } else if (kind == 1) {
        strcat(piece, foreign[bits >> 32 & 7]);
    } else {
        for (size_t i = 0; i < lengths[bits >> 11 & 7]; i++) {
            const size_t draw = bits >> (16 + 8 * i) & 255;
            strcat(piece, syllables[draw * draw * COUNT(syllables) >> 16]);
        }
        if (kind == 2)
            strcat(piece, suffixes[bits >> 48 & 3]);
        if (kind == 3)
            *piece = (char)toupper((unsigned char)*piece);
    }
    strcat(piece, ending < COUNT(endings) ? endings[ending] : " ");
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
    uint8_t *text = malloc(CORPUS_BYTES + LONGEST_PIECE);
    ck_assert_ptr_nonnull(text);
    *length = 0;
    for (uint64_t i = 0; *length < CORPUS_BYTES; i++) {
        char piece[LONGEST_PIECE];
        make_piece(piece, hash_bits("corpus", i / PIECES_PER_SEED, i % PIECES_PER_SEED));
        memcpy(text + *length, piece, strlen(piece));
        *length += strlen(piece);
    }
    Lines lines = lines_open("tokenizer/corpus.txt");
    size_t expected_length = 0, expected_hash = 0;
    ck_assert(lines_next(&lines) && line_number(&lines, &expected_length) && line_number(&lines, &expected_hash));
    lines_close(&lines);
    ck_assert_uint_eq(*length, expected_length);
    ck_assert_uint_eq(fnv1a(text, *length), expected_hash);
    return text;
}
