/**
 * @file
 * @brief Reads and writes models in the format of llama2.c, which its program run.c computes.
 *
 * - The file begins with seven int32: dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len. The float32
 *   weights follow without gaps, each for all layers: embeddings, norms of attention, W_Q, W_K, W_V, W_O, norms of the
 *   feed-forward network, W1, W2, W3, final norm. Then come two tables of cosines and sines (seq_len, head size / 2),
 *   which run.c skips. A negative vocab_size says that the LM head follows; otherwise the embeddings are tied.
 * - The model is ours with pre-norm, RoPE of theta 10 000 on pairs of neighbours, SwiGLU and eps 1e-5.
 * - With n_kv_heads < n_heads (grouped-query attention, Ainslie et al. 2023), n_heads / n_kv_heads neighbouring heads
 *   share one head of keys and values. A copy of its rows for each of them computes the same numbers, so reading
 *   repeats the rows. Writing always writes a head of keys and values for each head.
 * - No number in the file says what it is, and there is no checksum. So all sizes are checked against one another and
 *   against the size of the file before memory is taken.
 * @see https://github.com/karpathy/llama2.c: legacy_export() in export.py, and run.c
 */
#ifndef CS336_INTERCHANGE_LLAMA2C_H
#define CS336_INTERCHANGE_LLAMA2C_H

#include "core/api.h"
#include "core/status.h"
#include "nn/transformer_lm.h"
#include "train/model_checkpoint.h"

#include <stdbool.h>

CS336_API_BEGIN

/**
 * @brief True if the file begins with seven numbers that can be the sizes of a model, or as a later version of
 * llama2.c's format does. False also if the file cannot be read.
 */
bool llama2c_detect(const char *path);

/**
 * @brief Writes a model. After a failure an existing file is unchanged.
 * @param path  the file to write
 * @param lm    with RoPE tables
 * @retval CS336_ERANGE  run.c cannot compute the model; the message says why
 * @retval CS336_EIO, CS336_ENOMEM
 * @see test_llama2c_file_comes_back
 */
CS336_MUST_CHECK Status llama2c_write(const char *path, const TransformerLM *lm);

CS336_API_END

#endif
