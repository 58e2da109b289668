/**
 * @file
 * @brief The functions that the course's suites call: one adapter for each function that the assignment asks for.
 *
 * To check your own C against the suites, rewrite adapters.c. Each function below passes its arguments to your code and
 * copies the result out. Nothing else of this project is called by test_nn_utils.c, test_model.c, test_optimizer.c,
 * test_data.c, test_serialization.c, test_train_bpe.c and test_tokenizer.c.
 *
 * - Tensors are views of the caller's memory (core/tensor.h). They are contiguous unless a test says otherwise. Outputs
 *   come first and have the right shape. An adapter keeps no view after it has returned.
 * - "..." stands for any number of leading, batch-like dimensions, or none.
 * - An adapter returns CS336_OK, or an error whose message status_message() gives.
 */
#ifndef CS336_TESTS_ADAPTERS_H
#define CS336_TESTS_ADAPTERS_H

#include "core/api.h"
#include "core/memory.h"
#include "core/parameter.h"
#include "core/status.h"
#include "core/tensor.h"
#include "tokenizer/buffers.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Default visibility: the linker can then put the function of an exercise (tests/exercises) in place of an adapter. */
CS336_API_BEGIN

/** @brief A weight by its name in PyTorch's state dict. */
typedef struct {
    const char *name; /**< such as "layers.0.attn.q_proj.weight" */
    Tensor value;     /**< contiguous */
} NamedTensor;

/** @brief A model's weights, in any order: PyTorch's `dict[str, Tensor]`. */
typedef struct {
    const NamedTensor *items;
    size_t count;
} StateDict;

/* ---- Modules ---- */

/**
 * @brief Problem linear: multiplies by a weight matrix, without bias.
 * @param[out] output       (..., d_out)
 * @param[in]  weights      (d_out, d_in)
 * @param[in]  in_features  (..., d_in)
 */
CS336_MUST_CHECK Status run_linear(Tensor output, size_t d_in, size_t d_out, Tensor weights, Tensor in_features);

/**
 * @brief Problem embedding: looks up a row for each id.
 * @param[out] output     (..., d_model)
 * @param[in]  weights    (vocab_size, d_model)
 * @param[in]  token_ids  (...), each below vocab_size
 */
CS336_MUST_CHECK Status run_embedding(Tensor output, size_t vocab_size, size_t d_model, Tensor weights,
                                      TokenTensor token_ids);

/**
 * @brief Problem positionwise_feedforward: SwiGLU, w2 (SiLU(w1 x) * w3 x).
 * @param[out] output       (..., d_model)
 * @param[in]  w1_weight    (d_ff, d_model)
 * @param[in]  w2_weight    (d_model, d_ff)
 * @param[in]  w3_weight    (d_ff, d_model)
 * @param[in]  in_features  (..., d_model)
 */
CS336_MUST_CHECK Status run_swiglu(Tensor output, size_t d_model, size_t d_ff, Tensor w1_weight, Tensor w2_weight,
                                   Tensor w3_weight, Tensor in_features);

/**
 * @brief Problem scaled_dot_product_attention: softmax(Q K^T / sqrt(d_k)) V.
 * @param[out] output  (..., queries, d_v)
 * @param[in]  Q       (..., queries, d_k)
 * @param[in]  K       (..., keys, d_k)
 * @param[in]  V       (..., keys, d_v)
 * @param[in]  mask    (..., queries, keys), true where a query attends to a key; data NULL: everywhere
 */
CS336_MUST_CHECK Status run_scaled_dot_product_attention(Tensor output, Tensor Q, Tensor K, Tensor V, MaskTensor mask);

/**
 * @brief Problem multihead_self_attention: causal self-attention with several heads, without RoPE.
 * @param[out] output         (..., seq, d_model)
 * @param[in]  q_proj_weight  (d_model, d_model), rows ordered by head: head 0's d_k rows, head 1's, ...
 * @param[in]  k_proj_weight  (d_model, d_model), likewise
 * @param[in]  v_proj_weight  (d_model, d_model), likewise
 * @param[in]  o_proj_weight  (d_model, d_model), applied to the heads' results side by side
 * @param[in]  in_features    (..., seq, d_model)
 */
CS336_MUST_CHECK Status run_multihead_self_attention(Tensor output, size_t d_model, size_t num_heads,
                                                     Tensor q_proj_weight, Tensor k_proj_weight, Tensor v_proj_weight,
                                                     Tensor o_proj_weight, Tensor in_features);

/**
 * @brief Problem multihead_self_attention: the same, with RoPE on each head's queries and keys.
 * @param[in] max_seq_len      positions are below it
 * @param[in] theta            RoPE's base
 * @param[in] token_positions  (..., seq), broadcast over the leading dimensions of in_features; data NULL: 0 .. seq - 1
 * The other parameters are those of run_multihead_self_attention().
 */
CS336_MUST_CHECK Status run_multihead_self_attention_with_rope(Tensor output, size_t d_model, size_t num_heads,
                                                               size_t max_seq_len, float theta, Tensor q_proj_weight,
                                                               Tensor k_proj_weight, Tensor v_proj_weight,
                                                               Tensor o_proj_weight, Tensor in_features,
                                                               TokenTensor token_positions);

/**
 * @brief Problem rope: rotates the pairs (2k, 2k + 1) of each row by position / theta^(2k / d_k).
 * @param[out] output           (..., seq, d_k)
 * @param[in]  max_seq_len      positions are below it
 * @param[in]  in_query_or_key  (..., seq, d_k)
 * @param[in]  token_positions  (..., seq), broadcast over the leading dimensions
 */
CS336_MUST_CHECK Status run_rope(Tensor output, size_t d_k, float theta, size_t max_seq_len, Tensor in_query_or_key,
                                 TokenTensor token_positions);

/**
 * @brief Problem transformer_block: a pre-norm block with RoPE at positions 0 .. seq - 1.
 * @param[out] output       (batch, seq, d_model)
 * @param[in]  weights      attn.{q,k,v,output}_proj.weight (d_model, d_model), ln1.weight and ln2.weight (d_model),
 *                          ffn.w1.weight and ffn.w3.weight (d_ff, d_model), ffn.w2.weight (d_model, d_ff)
 * @param[in]  in_features  (batch, seq, d_model)
 */
CS336_MUST_CHECK Status run_transformer_block(Tensor output, size_t d_model, size_t num_heads, size_t d_ff,
                                              size_t max_seq_len, float theta, StateDict weights, Tensor in_features);

/**
 * @brief Problem transformer_lm: logits of the next token at each position.
 * @param[out] output      (batch, seq, vocab_size), not normalized
 * @param[in]  weights     token_embeddings.weight (vocab_size, d_model), for each layer N the block's weights with
 *                         "layers.N." before their names, ln_final.weight (d_model), lm_head.weight (vocab_size,
 *                         d_model)
 * @param[in]  in_indices  (batch, seq), seq at most context_length
 */
CS336_MUST_CHECK Status run_transformer_lm(Tensor output, size_t vocab_size, size_t context_length, size_t d_model,
                                           size_t num_layers, size_t num_heads, size_t d_ff, float rope_theta,
                                           StateDict weights, TokenTensor in_indices);

/**
 * @brief Problem rmsnorm: x / sqrt(mean(x^2) + eps) * weights, row by row.
 * @param[out] output       (..., d_model)
 * @param[in]  weights      (d_model)
 * @param[in]  in_features  (..., d_model)
 */
CS336_MUST_CHECK Status run_rmsnorm(Tensor output, size_t d_model, float eps, Tensor weights, Tensor in_features);

/** @brief Problem positionwise_feedforward: x sigmoid(x) for each element; (...) both. */
CS336_MUST_CHECK Status run_silu(Tensor output, Tensor in_features);

/* ---- Losses and gradients ---- */

/** @brief Problem softmax: over dimension @p dim, which may count from the last (-1); (...) both. */
CS336_MUST_CHECK Status run_softmax(Tensor output, Tensor in_features, int dim);

/**
 * @brief Problem cross_entropy: mean over the examples of the target's negative log-probability.
 * @param[out] loss     one number
 * @param[in]  inputs   (batch, vocab_size), logits
 * @param[in]  targets  (batch), each below vocab_size
 */
CS336_MUST_CHECK Status run_cross_entropy(float *loss, Tensor inputs, TokenTensor targets);

/**
 * @brief Problem gradient_clipping: scales all gradients, in place, so that their common L2 norm is at most the given.
 * @param[in,out] parameters   those without gradient (grad.data NULL) are frozen and count nothing
 * @param[in]     max_l2_norm  positive
 */
CS336_MUST_CHECK Status run_gradient_clipping(ParameterList parameters, double max_l2_norm);

/* ---- Optimizer ---- */

/**
 * @brief Problem adamw: one step of AdamW, in place. Stands for the course's get_adamw_cls.
 * @param[in,out] parameters  values and moments, which are zero before the first step; those without gradient are left
 *                            alone
 * @param[in]     step        1 for the first
 */
CS336_MUST_CHECK Status run_adamw(ParameterList parameters, size_t step, double lr, double beta1, double beta2,
                                  double eps, double weight_decay);

/** @brief Problem learning_rate_schedule: the rate at iteration @p it of a cosine schedule with linear warm-up. */
double run_get_lr_cosine_schedule(size_t it, double max_learning_rate, double min_learning_rate, size_t warmup_iters,
                                  size_t cosine_cycle_iters);

/* ---- Checkpoints ---- */

/**
 * @brief Problem checkpointing: writes a model, its optimizer's state and the iteration to a file.
 *
 * The format of the file is free. An existing file is replaced.
 * @param[in] parameters  values and both moments, of any model; each parameter has another name, of less than 200 bytes
 * @param[in] iteration   steps done so far
 * @param[in] out         path
 * @retval CS336_EIO  the file cannot be written
 */
CS336_MUST_CHECK Status run_save_checkpoint(ParameterList parameters, size_t iteration, const char *out);

/**
 * @brief Problem checkpointing: reads what run_save_checkpoint() wrote. Every number comes back bit for bit.
 *
 * If it fails, the iteration and all parameters are unchanged: a model must not be left half old and half new.
 * @param[out]    iteration   as it was saved
 * @param[in]     src         path
 * @param[in,out] parameters  values and moments are overwritten, found by name: their order may differ from the file's
 * @retval CS336_EIO      the file cannot be read
 * @retval CS336_EFORMAT  the file is cut short, or has no parameter of a name
 * @retval CS336_ESHAPE   a parameter of the file has another number of elements
 */
CS336_MUST_CHECK Status run_load_checkpoint(size_t *iteration, const char *src, ParameterList parameters);

/* ---- Data ---- */

/**
 * @brief Problem data_loading: samples sequences and, as targets, the same sequences one token later.
 * @param[out] inputs   (batch_size, context_length) ids
 * @param[out] targets  (batch_size, context_length) ids
 * @param[in]  dataset  (count) ids
 * @param[in]  device   "cpu", or a name such as "cuda:0"; an error where there is no such device
 * @param[in]  seed     of the sampling; each call of a test has another
 */
CS336_MUST_CHECK Status run_get_batch(int32_t *inputs, int32_t *targets, const int32_t *dataset, size_t count,
                                      size_t batch_size, size_t context_length, const char *device, uint64_t seed);

/* ---- Tokenizer ---- */

/** @brief A pre-token or a special token: the bytes of a text from `begin` up to, not including, `end`. */
typedef struct {
    size_t begin, end;
    bool special; /**< true: a special token */
} TextRange;

/** @brief Ranges in the order of the text. A zeroed list is empty and ready. */
typedef struct {
    TextRange *ranges;
    size_t count, capacity;
} TextRangeList;

/** @brief Appends a range. @retval CS336_ENOMEM  the list is unchanged */
CS336_MUST_CHECK static inline Status text_range_list_append(TextRangeList *list, size_t begin, size_t end,
                                                             bool special)
{
    const Status s = array_reserve(&list->ranges, &list->capacity, list->count + 1, sizeof *list->ranges);
    if (!s)
        list->ranges[list->count++] = (TextRange){.begin = begin, .end = end, .special = special};
    return s;
}

static inline void text_range_list_deinit(TextRangeList *list)
{
    memory_release(list->ranges);
    *list = (TextRangeList){0};
}

/**
 * @brief Splits a text as GPT-2 does; every byte of the text belongs to one range. No problem of the handout: its
 * section 2.4 gives this pattern, and Python's `regex` splits by it.
 *
 *     '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * - Special tokens come first: the earliest one in the text, and of those that begin there the longest. The pattern
 *   splits the text before it, between two, and behind the last, each as a text of its own.
 * - utf8_decode() of tokenizer/unicode.h gives the next character, unicode_class() tells whether it is a letter, a
 *   number, white space or something else. Malformed UTF-8 is something else.
 * @param[in,out] ranges  to be appended to with text_range_list_append(); the caller calls text_range_list_deinit()
 * @param[in]     special_tokens  none of them is empty
 */
CS336_MUST_CHECK Status run_pretokenize(TextRangeList *ranges, ByteString text, const ByteString *special_tokens,
                                        size_t special_count);

/** @brief Two tokens that become one, by their bytes. */
typedef struct {
    ByteString left, right;
} MergePair;

/** @brief Your tokenizer, whatever it is. */
typedef struct Tokenizer Tokenizer;

/**
 * @brief Problem tokenizer: a tokenizer from the tokens by id and the merges in order of creation.
 * @param[out] tokenizer       given back by release_tokenizer(); keeps none of the arguments
 * @param[in]  special_tokens  never split; those that are not in the vocabulary are appended to it
 */
CS336_MUST_CHECK Status get_tokenizer(Tokenizer **tokenizer, const ByteString *vocab, size_t vocab_size,
                                      const MergePair *merges, size_t merge_count, const ByteString *special_tokens,
                                      size_t special_count);
void release_tokenizer(Tokenizer *tokenizer);

/** @brief The ids of a text, appended; token_list_deinit() frees the list. Memory is core/memory's. */
CS336_MUST_CHECK Status run_encode(TokenList *ids, const Tokenizer *tokenizer, ByteString text);

/** @brief Gives the next chunk of a text, cut anywhere, valid until the next call; of length 0 at the end. */
typedef ByteString NextChunk(void *chunks);

/** @brief Takes ids as they are found. */
typedef Status TakeIds(void *taker, const int32_t *ids, size_t count);

/** @brief The ids of a text that comes in chunks, without ever holding the text. */
CS336_MUST_CHECK Status run_encode_iterable(const Tokenizer *tokenizer, NextChunk *next, void *chunks, TakeIds *take,
                                            void *taker);

/** @brief The text of ids, appended, malformed UTF-8 as U+FFFD; byte_list_deinit() frees the list. */
CS336_MUST_CHECK Status run_decode(ByteList *text, const Tokenizer *tokenizer, const int32_t *ids, size_t count);

/** @brief A trained vocabulary by id, and the merges in order of creation. */
typedef struct {
    ByteString *vocab;
    size_t vocab_size;
    MergePair *merges;
    size_t merge_count;
    void *storage; /**< whatever the bytes lie in */
} TrainedBPE;

/**
 * @brief Problem train_bpe: learns a byte-level BPE from a file.
 * @param[out] trained  given back by release_trained_bpe()
 */
CS336_MUST_CHECK Status run_train_bpe(TrainedBPE *trained, const char *input_path, size_t vocab_size,
                                      const ByteString *special_tokens, size_t special_count);
void release_trained_bpe(TrainedBPE *trained);

CS336_API_END

#endif
