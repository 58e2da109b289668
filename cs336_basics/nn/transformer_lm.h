/**
 * @file
 * @brief The Transformer language model (handout section 3.5, problem transformer_lm).
 *
 * token ids -> embeddings -> layers -> final norm -> lm_head -> logits.
 *
 * - transformer_lm_forward() gives logits. transformer_lm_loss() gives the training loss and, when asked, all
 * gradients, and never holds the (tokens, vocabulary) logits whole. transformer_lm_decode() goes on from cached keys
 * and values.
 * - Parameters lie in one arena in the order of transformer_lm_parameters(), q, k, v (and w1, w3) side by side.
 */
#ifndef CS336_NN_TRANSFORMER_LM_H
#define CS336_NN_TRANSFORMER_LM_H

#include "core/arena.h"
#include "core/parameter.h"
#include "core/rng.h"
#include "core/status.h"
#include "core/tensor.h"
#include "nn/embedding.h"
#include "nn/linear.h"
#include "nn/rmsnorm.h"
#include "nn/rope.h"
#include "nn/transformer_block.h"

typedef enum { POSITION_ROPE, POSITION_NONE } PositionKind;
typedef enum { FFN_SWIGLU, FFN_SILU } FeedForwardKind;

/** @brief Sizes and variants of a model. */
typedef struct {
    size_t vocab_size;
    size_t context_length; /**< longest sequence, and extent of the RoPE tables */
    size_t d_model;
    size_t num_layers;
    size_t num_heads; /**< divides d_model */
    size_t d_ff;
    float rope_theta;
    float norm_eps; /**< 1e-5 in the course */
    NormPlacement norm;
    PositionKind position;
    FeedForwardKind ffn;
    DType dtype; /**< of every Linear; norms, attention and loss are always float32 */
} TransformerLMConfig;

/** @brief Parameters; further ones of the same type hold gradients and moments (their RoPE tables are unused). */
typedef struct {
    TransformerLMConfig config;
    Embedding token_embeddings; /**< (vocab_size, d_model) */
    TransformerBlock *layers;   /**< num_layers of them */
    RMSNorm ln_final;           /**< (d_model); weight.data NULL when config.norm is NORM_NONE */
    Linear lm_head;             /**< (vocab_size, d_model) */
    RoPE rope;                  /**< shared by all layers; cosine.data NULL for POSITION_NONE */
} TransformerLM;

/**
 * @brief Says whether a model of these sizes can exist.
 * @retval CS336_ESHAPE  a size is 0, num_heads does not divide d_model, d_k is odd with RoPE
 * @retval CS336_ERANGE  rope_theta or norm_eps is not positive, an unknown variant
 * @see test_model_check_names_bad_sizes, test_model_check_names_bad_numbers_and_kinds
 */
CS336_MUST_CHECK Status transformer_lm_check(const TransformerLMConfig *config);

/** @brief Number of parameters. @see Problem transformer_accounting; test_model_counts_its_parameters */
size_t transformer_lm_parameter_count(const TransformerLMConfig *config);

/**
 * @brief Carves all parameters, zeroed by arena_init(), without RoPE tables: for gradients and moments.
 * @retval CS336_ESHAPE, CS336_ERANGE  as transformer_lm_check()
 * @retval CS336_ENOMEM  the arena is full
 * @see test_model_binds_in_exactly_the_measured_memory
 */
CS336_MUST_CHECK Status transformer_lm_bind(TransformerLM *lm, Arena *arena, const TransformerLMConfig *config);

/** @brief Carves and fills the RoPE tables of a model that computes. @retval CS336_ENOMEM  the arena is full */
CS336_MUST_CHECK Status transformer_lm_bind_rope(TransformerLM *lm, Arena *arena);

/** @brief The handout's initialisation: truncated normals for weights, 1 for gains. @see Handout section
 * 3.3.1; test_model_starts_as_the_handout_says */
void transformer_lm_initialise(TransformerLM *lm, Rng *rng);

/**
 * @brief The parameters by PyTorch's state-dict names, in memory order.
 * @param[out] list     items and names carved from @p arena
 * @param[in]  value    the model
 * @param[in]  grad     gradients, or NULL: none (nothing to train)
 * @param[in]  first, second  AdamW's moments, or NULL
 * @retval CS336_ENOMEM  the arena is full; the list is then empty
 * @see test_model_lists_parameters_in_memory_order
 */
CS336_MUST_CHECK Status transformer_lm_parameters(ParameterList *list, Arena *arena, const TransformerLM *value,
                                                  const TransformerLM *grad, const TransformerLM *first,
                                                  const TransformerLM *second);

/** @brief Bytes of scratch for transformer_lm_forward(), and for transformer_lm_loss() without and with gradients. */
size_t transformer_lm_forward_scratch(const TransformerLM *lm, size_t batch, size_t seq);
size_t transformer_lm_loss_scratch(const TransformerLM *lm, size_t batch, size_t seq, bool with_gradients);

/**
 * @brief Logits of the next token at every position.
 * @param[out] logits   (..., seq, vocab_size), overwritten
 * @param[in]  lm       the model
 * @param[in]  ids      (..., seq), seq at most context_length
 * @param[in]  scratch  transformer_lm_forward_scratch() bytes
 * @retval CS336_ESHAPE  seq exceeds context_length, or logits do not fit
 * @retval CS336_ERANGE  an id is not below vocab_size
 * @retval CS336_ENOMEM  scratch is too small, or the workspace could not grow
 * @see Problem transformer_lm; test_transformer_lm, test_transformer_lm_truncated_input
 */
CS336_MUST_CHECK Status transformer_lm_forward(Tensor logits, const TransformerLM *lm, TokenTensor ids, Arena *scratch);

/** @brief Told once a parameter's gradient is final: what a data-parallel trainer starts sending. */
typedef struct {
    void (*ready)(void *context, Tensor grad); /**< NULL: nobody asks */
    void *context;
} GradientObserver;

/**
 * @brief Mean cross-entropy of the next token, and its gradients.
 *
 * lm_head and cross-entropy go over chunks of rows, and a chunk's logits turn into its gradients on the spot.
 * @param[out]    loss      mean over all tokens, nats
 * @param[in,out] grad      gradients, added to; NULL: only the loss is wanted
 * @param[in]     lm        the model
 * @param[in]     ids       (batch, seq)
 * @param[in]     targets   (batch, seq)
 * @param[in]     observer  told of each final gradient, from the last parameter to the first; NULL: nobody
 * @param[in]     scratch   transformer_lm_loss_scratch() bytes
 * @retval CS336_ESHAPE  seq exceeds context_length, or targets are shaped otherwise than ids
 * @retval CS336_ERANGE  an id or target is not below vocab_size
 * @retval CS336_ENOMEM  scratch is too small, or the workspace could not grow
 * @see Problem training_together; test_lm_gradients_match_pytorch, test_lm_follows_fifty_adamw_steps_of_pytorch
 */
CS336_MUST_CHECK Status transformer_lm_loss(float *loss, TransformerLM *grad, const TransformerLM *lm, TokenTensor ids,
                                            TokenTensor targets, const GradientObserver *observer, Arena *scratch);

/**
 * @brief Carves one cache a layer for @p batch sequences of up to context_length tokens.
 * @retval CS336_ENOMEM  the arena is full
 */
CS336_MUST_CHECK Status transformer_lm_bind_caches(KeyValueCache **caches, Arena *arena, const TransformerLM *lm,
                                                   size_t batch);

/**
 * @brief Logits of the token after the last of @p ids, which follow those whose keys and values are cached.
 * @param[out]    logits  (batch, vocab_size), overwritten
 * @param[in,out] caches  one a layer, all of the same length, which grows by seq
 * @param[in]     ids     (batch, seq)
 * @param[in]     scratch transformer_lm_forward_scratch() bytes for (batch, seq)
 * @retval CS336_ESHAPE  the caches are too short or of different lengths, or logits do not fit
 * @retval CS336_ERANGE  an id is not below vocab_size
 * @retval CS336_ENOMEM  scratch is too small, or the workspace could not grow
 * @see Problem decoding; test_lm_decodes_as_it_goes_forward
 */
CS336_MUST_CHECK Status transformer_lm_decode(Tensor logits, KeyValueCache *caches, const TransformerLM *lm,
                                              TokenTensor ids, Arena *scratch);

#endif
