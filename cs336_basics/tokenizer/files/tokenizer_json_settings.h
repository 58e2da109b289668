/**
 * @file
 * @brief What a tokenizer.json says about splitting and merging besides its tokens.
 *
 * A file is accepted if cs336 gives the ids that Hugging Face's `tokenizers` gives with it. Everything else is refused
 * by its name: normalizers, other pre-tokenizers and regular expressions, other models, dropout, affixes of tokens,
 * other decoders than ByteLevel.
 * - `unk_token` is accepted: a vocabulary with a token for each byte never needs it.
 * - Steps around the encoding are accepted and recorded as left out (BPELeftOut): a post-processor that adds tokens,
 *   truncation and padding.
 * - A file without a decoder is accepted and recorded too: `tokenizers` then decodes to the tokens as the file spells
 *   them, cs336 always to bytes.
 */
#ifndef CS336_TOKENIZER_FILES_TOKENIZER_JSON_SETTINGS_H
#define CS336_TOKENIZER_FILES_TOKENIZER_JSON_SETTINGS_H

#include "core/api.h"
#include "core/json.h"
#include "core/status.h"
#include "tokenizer/bpe_model.h"

CS336_INTERNAL_BEGIN

/**
 * @brief Reads the settings into pattern, ignore_merges and left_out of a model.
 * @param root  the object of the whole file, whose "model" is an object
 * @param path  of the file, for messages
 * @retval CS336_EFORMAT  the file asks for something that cs336 does not do, or is damaged
 */
CS336_MUST_CHECK Status tokenizer_json_settings(BPEModel *model, const json_t *root, const char *path);

CS336_INTERNAL_END

#endif
