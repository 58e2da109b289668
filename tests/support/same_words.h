/**
 * @file
 * @brief Comparing tables of words and their counts.
 */
#ifndef CS336_TESTS_SUPPORT_SAME_WORDS_H
#define CS336_TESTS_SUPPORT_SAME_WORDS_H

#include "tokenizer/learn/word_table.h"

/** @brief Fails unless @p words has the words of @p expected with the same counts, and no others. */
void assert_same_words(const WordTable *words, const WordTable *expected);

#endif
