/**
 * @file
 * @brief Reads and writes rank files, in which tiktoken and Llama 3 have their vocabularies: NAME.tiktoken.
 *
 * - Each line has a token in base64, a blank, and the token's rank, which is also its id: `IHRoZQ== 262`.
 * - There are no merges: they follow from the ranks (rank_merges.h).
 * - The pattern and the special tokens are not in the file. Three files of OpenAI are recognised, and bring both:
 *   r50k_base, p50k_base and cl100k_base.
 * - Other special tokens get the ids that the ranks skip, in order, and then the ids after the last rank.
 * @see https://github.com/openai/tiktoken
 */
#ifndef CS336_TOKENIZER_FILES_RANK_FILE_H
#define CS336_TOKENIZER_FILES_RANK_FILE_H

#include "core/api.h"
#include "core/file.h"
#include "core/status.h"
#include "tokenizer/bpe_model.h"

#include <stdbool.h>

CS336_API_BEGIN

/** @brief True if a text begins with a line of a rank file. */
bool rank_file_begins(ByteString text);

/**
 * @brief Reads a model.
 * @param[out] model           empty on failure; free it with bpe_model_deinit()
 * @param[in]  text            of the file
 * @param[in]  path            of the file, for messages
 * @param      pattern         a PretokenPattern. PATTERN_UNKNOWN: that of the file if it is recognised
 * @param[in]  special_tokens  get their ids as described above; those that are ordinary tokens are left out
 * @retval CS336_EFORMAT  a line is damaged, a token or a rank is repeated, a byte has no token, nobody says what the
 *                        pattern is, or the file is recognised and has another one than @p pattern
 * @retval CS336_ENOMEM
 */
CS336_MUST_CHECK Status rank_file_read(BPEModel *model, ByteString text, const char *path, int pattern,
                                       const ByteString *special_tokens, size_t special_count);

/**
 * @brief Writes the ordinary tokens of a model.
 * @param writer  the file; the caller commits or abandons it
 * @retval CS336_ERANGE  the ids are not in the order of the merges, or a token has no merge: with the ranks alone
 *                       tiktoken would give other ids; or the model is decode_only
 * @retval CS336_EIO, CS336_ENOMEM
 */
CS336_MUST_CHECK Status rank_file_write(FileWriter *writer, const BPEModel *model);

CS336_API_END

#endif
