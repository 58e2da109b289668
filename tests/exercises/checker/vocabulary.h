/**
 * @file
 * @brief Vocabularies for the cases of the tokenizer, with the tokens as byte strings.
 */
#ifndef CS336_TESTS_EXERCISES_CHECKER_VOCABULARY_H
#define CS336_TESTS_EXERCISES_CHECKER_VOCABULARY_H

#include "tests/adapters.h"
#include "tests/exercises/checker/trial.h"
#include "tests/support/plain_bpe.h"

#include <stddef.h>

enum { VOCABULARY_SPECIALS = 2 };

/** @brief Special tokens of which one begins with the other. */
extern const ByteString VOCABULARY_SPECIAL[VOCABULARY_SPECIALS];

/**
 * @brief A vocabulary: the bytes from 255 down to 0, so that no id is the value of its byte, then the tokens of
 * the merges. Special tokens are not in it: get_tokenizer() appends them.
 */
typedef struct {
    PlainBPE plain;
    MergePair *merges;
    ByteString *vocab;
    size_t vocab_size;
    const ByteString *special_tokens;
    size_t special_count;
} Vocabulary;

/** @brief Makes a vocabulary of merges and of the first special tokens, which become an input of the trial. */
Vocabulary vocabulary_make(Trial *t, PlainBPE plain, size_t special_count);

/** @brief Makes a vocabulary of nine merges, which become an input of the trial too. */
Vocabulary vocabulary_small(Trial *t, size_t special_count);

/** @brief Returns the bytes of an id; special tokens follow the others. For an id that does not exist: "(id 999)". */
ByteString vocabulary_token(Trial *t, const Vocabulary *v, int32_t id);

/** @brief Returns the id of a token, which must be there. */
int32_t vocabulary_id(const Vocabulary *v, ByteString token);

#endif
