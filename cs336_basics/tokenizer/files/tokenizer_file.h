/**
 * @file
 * @brief Reads a tokenizer from one file, whose kind its content tells: a tokenizer.json, a rank file of tiktoken, or a
 * tokenizer.bin of llama2.c, which can only decode. Writes one of the first two, which the name tells.
 *
 * The name of a file that is read does not matter. Llama 3's rank file, for example, is called tokenizer.model.
 */
#ifndef CS336_TOKENIZER_FILES_TOKENIZER_FILE_H
#define CS336_TOKENIZER_FILES_TOKENIZER_FILE_H

#include "core/api.h"
#include "core/file.h"
#include "core/status.h"
#include "tokenizer/bpe_model.h"

CS336_API_BEGIN

/**
 * @brief Reads a model from a tokenizer.json, a rank file, or a tokenizer of llama2.c.
 * @param[out] model           empty on failure; free it with bpe_model_deinit()
 * @param      pattern         a PretokenPattern for rank files, which do not name it, or PATTERN_UNKNOWN
 * @param[in]  special_tokens  besides those of the file; as for bpe_model_read()
 * @retval CS336_EIO      the file cannot be read
 * @retval CS336_EFORMAT  it is of another kind, as tokenizer_json_read(), rank_file_read() and llama2c_tokenizer_read()
 *                        say, or has another pattern
 * @retval CS336_ERANGE   it is llama2.c's, and a pattern or special tokens are given
 * @retval CS336_ENOMEM
 * @see tokenizer_load_file(); bpe_model_read() for vocab.json and merges.txt
 */
CS336_MUST_CHECK Status tokenizer_file_read(BPEModel *model, const char *path, int pattern,
                                            const ByteString *special_tokens, size_t special_count);

/** @brief True if tokenizer_file_write() writes a rank file to this path: its name ends in .tiktoken. */
bool tokenizer_file_is_ranks(const char *path);

/**
 * @brief Writes a model and its special tokens: a rank file if the name ends in .tiktoken, which has neither the
 * pattern nor the special tokens, else a tokenizer.json.
 * @param writer  the file; the caller commits or abandons it
 * @param model   the special tokens that it knows are written, except SPECIAL_UNNAMED; bpe_model_name_specials() adds
 * some
 * @retval CS336_ERANGE  as tokenizer_json_write() and rank_file_write()
 * @retval CS336_EIO, CS336_ENOMEM
 */
CS336_MUST_CHECK Status tokenizer_file_write(FileWriter *writer, const BPEModel *model);

CS336_API_END

#endif
