/**
 * @file
 * @brief How special tokens stand in vocab.json among tokens in GPT-2's alphabet.
 *
 * **Written.** A special token stands verbatim, as in files of Hugging Face's `tokenizers`. That text may be what an
 * ordinary token is written as: `é` in GPT-2's alphabet is the byte E9, and `Ġthe` is " the". Then the special token is
 * spelled in the alphabet (`Ã©`), and if that is taken too, this text is spelled once more, until no other token has
 * it. A text that is not UTF-8, or has a zero byte, is always spelled.
 *
 * **Read.** Of the texts that a special token may have been written as, the first one counts whose entry no byte and no
 * merge needs. So files with specials in the alphabet are read as well as those with verbatim ones.
 *
 * **What cannot be told apart.**
 * - If all entries with such a text are needed, the special token shares the verbatim one. Files that Hugging Face's
 *   trainer made are like that: special token `é` and byte E9 are one entry. Both are encoded as its id, and it is
 *   decoded as the byte (SPECIAL_SHARED).
 * - Without a verbatim entry, the special token has the id of the ordinary token with the same bytes, if there is one
 *   (SPECIAL_AS_BYTES). Hugging Face would add a token.
 * - An entry that is no text of the alphabet, such as `中` or `a b`, can only be a special token. If it is not
 *   named, it is decoded as what it says, but no text is encoded to it (SPECIAL_UNNAMED). Hugging Face does the same.
 * - An entry such as `éa` that is not named, and that no merge needs, is taken for ordinary: the bytes E9 61.
 */
#ifndef CS336_TOKENIZER_FILES_SPECIAL_TEXT_H
#define CS336_TOKENIZER_FILES_SPECIAL_TEXT_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/buffers.h"

#include <stdbool.h>
#include <stddef.h>

CS336_API_BEGIN

/** @brief The texts that vocab.json has for the special tokens of a model. It owns them. */
typedef struct {
    ByteList *texts; /**< by index in BPEModel.specials; empty if the special token has no entry of its own */
    size_t count;    /**< number of special tokens */
} SpecialTexts;

/**
 * @brief Chooses a text for each special token that has an entry of its own.
 * @param[out] special  empty on failure; free it with special_texts_deinit()
 * @retval CS336_ERANGE  a special token and an ordinary token are the same printed ASCII text, and have two ids
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status special_texts_init(SpecialTexts *special, const BPEModel *model);

/** @brief Appends the text that vocab.json has for a token, ordinary or special. @retval CS336_ENOMEM */
CS336_MUST_CHECK Status special_texts_append(const SpecialTexts *special, const BPEModel *model, ByteList *text,
                                             int32_t id);

/** @brief Frees the texts; a zeroed struct is fine. */
void special_texts_deinit(SpecialTexts *special);

/** @brief True if a text is valid UTF-8. */
bool special_text_is_utf8(ByteString text);

/**
 * @brief Finds the entries of special tokens in a model that was read from files, and records them in it.
 * @param model   all entries, those in the alphabet with the bytes they stand for, the others recorded as
 *                SPECIAL_UNNAMED; and all merges
 * @param named   special tokens; those without an entry are left out
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status special_texts_match(BPEModel *model, const ByteString *named, size_t count);

CS336_API_END

#endif
