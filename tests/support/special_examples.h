/**
 * @file
 * @brief Special tokens that are hard to tell apart, and the pieces of which random texts with them are made.
 */
#ifndef CS336_TESTS_SPECIAL_EXAMPLES_H
#define CS336_TESTS_SPECIAL_EXAMPLES_H

#include "tests/support/random_text.h"

/* Special tokens that are beginnings of each other, repeat, overlap, hold white space or are one byte. */
static const ByteString specials[] = {ATOM("<|a|>"), ATOM("<|a|><|a|>"), ATOM("<|a"), ATOM("aba"),
                                      ATOM("x y\n"), ATOM("\n<|a|>\n"),  ATOM("q")};
static const ByteString special_atoms[] = {ATOM("<|a|>"), ATOM("<|a"), ATOM("<|"), ATOM("a"),  ATOM("b"),
                                           ATOM("x y"),   ATOM(" "),   ATOM("\n"), ATOM("|>"), ATOM("x"),
                                           ATOM("q"),     ATOM("é"),   ATOM("'s"), ATOM("12"), ATOM("\xE4\xB8")};

#endif
