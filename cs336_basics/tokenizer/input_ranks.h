/**
 * @file
 * @brief Checks that all ranks (distributed/ranks.h) have the same texts, because each reads them from its own disk.
 */
#ifndef CS336_TOKENIZER_INPUT_RANKS_H
#define CS336_TOKENIZER_INPUT_RANKS_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/input_texts.h"

CS336_INTERNAL_BEGIN

/**
 * @brief Compares the sizes, forms and contents (agreement_add_file()) of this rank's files with rank 0's. Collective.
 * @param texts  the same number on all ranks
 * @retval CS336_EIO     a file differs: the message names it, the rank and both sizes; the same on all ranks
 * @retval CS336_ERANGE  a file has other contents
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status input_texts_agree(const InputTexts *texts);

CS336_INTERNAL_END

#endif
