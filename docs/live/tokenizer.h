/**
 * @file
 * @brief Tokenizers for the figures. A figure names each of its tokenizers by a number, its slot.
 */
#ifndef CS336_LIVE_TOKENIZER_H
#define CS336_LIVE_TOKENIZER_H

#include "live.h"

#include "tokenizer/encode/tokenizer.h"

enum { LIVE_TOKENIZERS = 4 /* slots are 0 to 3 */ };

/** @brief Finds the tokenizer of a slot. @retval CS336_ERANGE  live_tokenizer_train() has not filled the slot */
CS336_MUST_CHECK Status live_tokenizer(const Tokenizer **tokenizer, int slot);

#endif
