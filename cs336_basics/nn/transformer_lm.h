/**
 * @file
 * @brief The Transformer language model (handout section 3.5, problem transformer_lm).
 *
 *     token ids -> embeddings -> layers -> final norm -> lm_head -> logits
 *
 * - transformer_lm_forward() computes logits.
 * - transformer_lm_loss() computes the training loss and, if asked, all gradients. The logits of all tokens never exist
 *   at the same time: see linear_cross_entropy().
 * - transformer_lm_loss_and_gradients() does the same in less memory: gradients take the memory of activations that are
 *   no longer needed.
 * - transformer_lm_token_losses() computes the loss of each token, for evaluation.
 * - transformer_lm_decode() computes the logits that follow new tokens. The keys and values of earlier tokens are
 * cached.
 * - With tied embeddings (Press and Wolf 2017; a hint of problem leaderboard) lm_head is a view of the token
 * embeddings: one parameter, whose gradient is the sum of the gradients of both uses.
 * - Parameters are in one arena, in the order of transformer_lm_parameters(). The weights of q, k and v follow one
 *   another, so that one product can compute all three; and so do those of w1 and w3.
 */
#ifndef CS336_NN_TRANSFORMER_LM_H
#define CS336_NN_TRANSFORMER_LM_H

#include "core/api.h"
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

#include <stdbool.h>
#include <stdint.h>

CS336_API_BEGIN

/** @brief How the model learns where a token stands in the sequence. */
typedef enum {
    POSITION_ROPE, /**< each layer rotates queries and keys by angles that depend on the position */
    POSITION_NONE  /**< only from the causal mask: the course's ablation NoPE */
} PositionKind;

/** @brief The feed-forward network of each layer. */
typedef enum {
    FFN_SWIGLU, /**< W2 (SiLU(W1 x) * W3 x): three matrices, the course's network */
    FFN_SILU    /**< W2 SiLU(W1 x): two matrices, the course's ablation */
} FeedForwardKind;

/**
 * @name Limits of a model's sizes
 * transformer_lm_check() applies them to every configuration, from a file or from options; the program's options have
 * the same limits. So the product of two sizes is below 2^64, and no loop over layers or positions runs for ever:
 * RoPE's tables, which are computed whenever a model is loaded, take 4 s for the longest context and heads of 128
 * numbers.
 * @{
 */
#define TRANSFORMER_LM_MAX_SIZE ((size_t)INT32_MAX)           /**< of each size: token ids are int32 */
#define TRANSFORMER_LM_MAX_CONTEXT ((size_t)1 << 20)          /**< of context_length, the rows of RoPE's tables */
#define TRANSFORMER_LM_MAX_LAYERS ((size_t)1 << 16)           /**< more layers would only be a typing error */
#define TRANSFORMER_LM_MAX_D_FF (4 * TRANSFORMER_LM_MAX_SIZE) /**< 4 d_model is a usual d_ff */
#define TRANSFORMER_LM_MIN_ROPE_THETA 1e-3                    /**< of the base of RoPE's angles */
#define TRANSFORMER_LM_MAX_ROPE_THETA 1e30                    /**< likewise */
#define TRANSFORMER_LM_MIN_NORM_EPS 1e-30                     /**< of RMSNorm's epsilon */
#define TRANSFORMER_LM_MAX_NORM_EPS 1.0                       /**< likewise */
/** @} */

/** @brief Sizes and variants of a model. */
typedef struct {
    size_t vocab_size;     /**< logits of a position; token ids are below it */
    size_t context_length; /**< longest sequence, and extent of the RoPE tables */
    size_t d_model;        /**< numbers in the vector that represents a token between the layers */
    size_t num_layers;     /**< Transformer blocks */
    size_t num_heads;      /**< divides d_model */
    size_t d_ff;           /**< hidden size of the feed-forward network: about 8/3 d_model with SwiGLU */
    float rope_theta;      /**< theta, the base of RoPE's angles: 10 000 in the course */
    float norm_eps;        /**< 1e-5 in the course */
    NormPlacement norm;    /**< NORM_PRE in the course */
    PositionKind position; /**< POSITION_ROPE in the course */
    FeedForwardKind ffn;   /**< FFN_SWIGLU in the course */
    DType dtype;           /**< of the products of every Linear; norms, attention and loss are always float32 */
    bool tie_embeddings;   /**< lm_head multiplies by the embeddings: one matrix in place of two. false in the course */
} TransformerLMConfig;

/** @brief Parameters; further ones of the same type hold gradients and moments (their RoPE tables are unused). */
typedef struct {
    TransformerLMConfig config; /**< as transformer_lm_bind() got it */
    Embedding token_embeddings; /**< (vocab_size, d_model) */
    TransformerBlock *layers;   /**< num_layers of them */
    RMSNorm ln_final;           /**< (d_model); weight.data NULL when config.norm is NORM_NONE */
    Linear lm_head;             /**< (vocab_size, d_model); with tied embeddings, a view of token_embeddings.weight */
    RoPE rope;                  /**< shared by all layers; cosine.data NULL for POSITION_NONE */
} TransformerLM;

/**
 * @brief Checks that a model of these sizes can exist.
 * @retval CS336_ESHAPE  a size is 0, num_heads does not divide d_model, d_k is odd with RoPE
 * @retval CS336_ERANGE  a size, rope_theta or norm_eps is beyond the limits above, an unknown variant
 * @see test_model_check_names_bad_sizes, test_model_check_names_bad_numbers_and_kinds
 */
CS336_MUST_CHECK Status transformer_lm_check(const TransformerLMConfig *config);

/** @brief Returns the number of parameters, or SIZE_MAX if it is greater. @see Problem transformer_accounting;
 * test_model_counts_its_parameters */
size_t transformer_lm_parameter_count(const TransformerLMConfig *config);

/**
 * @brief Takes all parameters from the arena, zeroed by arena_init(), without RoPE tables: also for gradients and
 * moments.
 * @retval CS336_ESHAPE, CS336_ERANGE  as transformer_lm_check()
 * @retval CS336_ENOMEM  the arena is full
 * @see test_model_binds_in_exactly_the_measured_memory
 */
CS336_MUST_CHECK Status transformer_lm_bind(TransformerLM *lm, Arena *arena, const TransformerLMConfig *config);

/**
 * @brief Binds a model whose parameters are missing (data NULL), for transformer_lm_loss_and_gradients(). Takes memory
 * only for the array of layers.
 * @retval CS336_ESHAPE, CS336_ERANGE, CS336_ENOMEM  as transformer_lm_bind()
 */
CS336_MUST_CHECK Status transformer_lm_bind_missing(TransformerLM *lm, Arena *arena, const TransformerLMConfig *config);

/**
 * @brief Takes the gradients of one part of the model from the end of the arena, set to 0, in reverse memory order.
 *
 * Part 0 is the embeddings, part i + 1 is layer i, and part num_layers + 1 is the final norm and lm_head, which with
 * tied embeddings has the embeddings' gradient, so that part 0 is then empty. If all parts are taken from the last to
 * the first, the gradients lie as parameters do (apart from tied embeddings, which then come last).
 * @param[in,out] grad   from transformer_lm_bind_missing(); if the arena only measures, only its configuration is used
 * @param[in]     part   at most num_layers + 1
 * @param[in]     arena  gives the memory
 * @retval CS336_ENOMEM  the arena is full
 * @see test_lm_gradients_in_shared_memory
 */
CS336_MUST_CHECK Status transformer_lm_take_gradients(TransformerLM *grad, size_t part, Arena *arena);

/** @brief Takes and fills the RoPE tables, for a model that computes. @retval CS336_ENOMEM  the arena is full */
CS336_MUST_CHECK Status transformer_lm_bind_rope(TransformerLM *lm, Arena *arena);

/**
 * @brief Sets all parameters to the handout's initial values: truncated normals for weights, 1 for gains.
 *
 * The numbers are those of rng_truncated_normal(), parameter by parameter in memory order. All threads draw them.
 *
 * Tied embeddings get the standard deviation \f$ 1 / \sqrt{d} \f$. A logit is the product of a normed row, whose
 * numbers have size 1, and a row of the matrix. So the first logits have size 1, and the first loss is near \f$ \ln V
 * \f$.
 * @see Handout section 3.3.1; test_model_starts_as_the_handout_says, test_tied_model_has_one_matrix
 */
void transformer_lm_initialise(TransformerLM *lm, Rng *rng);

/**
 * @brief Makes a whole model on the heap in one call: parameters with their initial values, and RoPE tables.
 * @param[out] lm    NULL on failure; free it with transformer_lm_destroy()
 * @param[in]  seed  of the initial values: those of a training run with this seed
 * @retval CS336_ESHAPE, CS336_ERANGE  as transformer_lm_check()
 * @retval CS336_ENOMEM
 * @see trained_model_load(), which makes a model from a checkpoint; test_model_is_made_in_one_call
 */
CS336_MUST_CHECK Status transformer_lm_create(TransformerLM **lm, const TransformerLMConfig *config, uint64_t seed);

/** @brief Frees a model of transformer_lm_create(); NULL is fine. */
void transformer_lm_destroy(TransformerLM *lm);

/**
 * @brief Lists the parameters by PyTorch's state-dict names, in memory order.
 * @param[out] list     items and names, taken from @p arena
 * @param[in]  value    the model
 * @param[in]  grad     gradients, or NULL
 * @param[in]  first, second  AdamW's moments, or NULL
 * @retval CS336_ENOMEM  the arena is full; the list is then empty
 * @see test_model_lists_parameters_in_memory_order
 */
CS336_MUST_CHECK Status transformer_lm_parameters(ParameterList *list, Arena *arena, const TransformerLM *value,
                                                  const TransformerLM *grad, const TransformerLM *first,
                                                  const TransformerLM *second);

/** @brief Sets the gradients of a list from transformer_lm_parameters() to those of @p grad. */
void transformer_lm_list_gradients(ParameterList list, const TransformerLM *grad);

/** @brief Returns the bytes of scratch for transformer_lm_forward() and transformer_lm_decode(). */
size_t transformer_lm_forward_scratch(const TransformerLM *lm, size_t batch, size_t seq);

/** @brief Returns the bytes of scratch for transformer_lm_loss(), with gradients or for the loss alone. */
size_t transformer_lm_loss_scratch(const TransformerLM *lm, size_t batch, size_t seq, bool with_gradients);

/**
 * @brief Computes the logits of the next token at every position.
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

/** @brief Functions that are called during a pass with gradients. Each may be NULL. */
typedef struct {
    /** Called for each parameter when its gradient is final: a trainer on several machines can send it meanwhile. */
    void (*ready)(void *context, Tensor grad);
    /** Called after each layer's forward pass with its output, (..., seq, d_model). */
    void (*output)(void *context, size_t layer, Tensor output);
    void *context; /**< passed to both functions */
} GradientObserver;

/**
 * @brief Computes the mean cross-entropy of the next token, and its gradients.
 * @param[out]    loss      mean over all tokens, nats
 * @param[in,out] grad      gradients, added to; NULL: only the loss is computed
 * @param[in]     lm        the model
 * @param[in]     ids       (batch, seq)
 * @param[in]     targets   (batch, seq)
 * @param[in]     observer  sees the layers' outputs, and each final gradient, from the last parameter to the first;
 * NULL: nobody
 * @param[in]     scratch   transformer_lm_loss_scratch() bytes
 * @retval CS336_ESHAPE  seq exceeds context_length, or targets are shaped otherwise than ids
 * @retval CS336_ERANGE  an id or target is not below vocab_size
 * @retval CS336_ENOMEM  scratch is too small, or the workspace could not grow
 * @see Problem training_together; test_lm_gradients_match_pytorch, test_lm_follows_fifty_adamw_steps_of_pytorch
 */
CS336_MUST_CHECK Status transformer_lm_loss(float *loss, TransformerLM *grad, const TransformerLM *lm, TokenTensor ids,
                                            TokenTensor targets, const GradientObserver *observer, Arena *scratch);

/**
 * @brief Returns the bytes that transformer_lm_loss_and_gradients() takes: less than transformer_lm_loss_scratch() and
 * the gradients together. SIZE_MAX if a size_t cannot count them.
 */
size_t transformer_lm_loss_and_gradients_memory(const TransformerLM *lm, size_t batch, size_t seq);

/**
 * @brief Does what transformer_lm_loss() does, and takes the memory of the gradients from the same arena, one part of
 * the model after the other, when the backward pass comes to it.
 *
 * By then the activations of all later parts are given back, so the gradients take their memory. As in PyTorch after
 * `zero_grad(set_to_none=True)`, there are no gradients before the backward pass. With three layers, from the forward
 * pass to the end of the backward pass:
 *
 *                 activations, from the front                    gradients, from the end
 *     forward     | layer 0 | layer 1 | layer 2 | logits |                             |
 *     lm_head     | layer 0 | layer 1 | layer 2 | logits |                   | lm_head |
 *     layer 2     | layer 0 | layer 1 | layer 2 | scratch |        | layer 2 | lm_head |
 *     layer 1     | layer 0 | layer 1 | scratch |        | layer 1 | layer 2 | lm_head |
 *     layer 0     | layer 0 | scratch |        | layer 0 | layer 1 | layer 2 | lm_head |
 *     embeddings  |               | embeddings | layer 0 | layer 1 | layer 2 | lm_head |
 *
 * The first rows need the most memory if there are many tokens, and the last if there are few.
 * @param[out]    grad      from transformer_lm_bind_missing(). Its parameters are set to the gradients. These stay at
 *                          the end of the arena until the caller calls arena_release_end(); on failure they are given
 *                          back
 * @param[in,out] arena     transformer_lm_loss_and_gradients_memory() bytes, with nothing taken from its end
 * @param         loss, lm, ids, targets, observer  as for transformer_lm_loss()
 * @retval CS336_ESHAPE, CS336_ERANGE, CS336_ENOMEM  as transformer_lm_loss()
 * @see test_lm_gradients_in_shared_memory
 */
CS336_MUST_CHECK Status transformer_lm_loss_and_gradients(float *loss, TransformerLM *grad, const TransformerLM *lm,
                                                          TokenTensor ids, TokenTensor targets,
                                                          const GradientObserver *observer, Arena *arena);

/**
 * @brief Computes the loss of each of the last tokens of every sequence, to evaluate a model token by token.
 * @param[out] losses   (..., counted, 1), overwritten: the cross-entropy of each target, nats
 * @param[in]  lm       the model
 * @param[in]  ids      (..., seq), seq at most context_length
 * @param[in]  targets  (..., counted): the tokens that follow the last `counted` ids of each sequence; counted at most
 *                      seq
 * @param[in]  scratch  transformer_lm_loss_scratch() bytes for the loss alone
 * @retval CS336_ESHAPE  seq exceeds context_length, or the extents of targets or losses do not fit
 * @retval CS336_ERANGE  an id or target is not below vocab_size
 * @retval CS336_ENOMEM  scratch is too small, or the workspace could not grow
 * @see evaluate(); test_lm_token_losses_are_those_of_the_reference
 */
CS336_MUST_CHECK Status transformer_lm_token_losses(Tensor losses, const TransformerLM *lm, TokenTensor ids,
                                                    TokenTensor targets, Arena *scratch);

/**
 * @brief Takes one cache for each layer, for @p batch sequences of up to @p seq tokens.
 * @param seq  1 to context_length
 * @retval CS336_ENOMEM  the arena is full
 */
CS336_MUST_CHECK Status transformer_lm_bind_caches(KeyValueCache **caches, Arena *arena, const TransformerLM *lm,
                                                   size_t batch, size_t seq);

/**
 * @brief Computes the logits of the token after the last of @p ids. These follow the tokens whose keys and values are
 * cached, and are appended to the caches.
 * @param[out]    logits  (batch, vocab_size), overwritten
 * @param[in,out] caches  one for each layer, all of the same length, which grows by seq; unchanged on failure
 * @param[in]     ids     (batch, seq)
 * @param[in]     scratch transformer_lm_forward_scratch() bytes for (batch, seq)
 * @retval CS336_ESHAPE  the caches are too short or of different lengths, or logits do not fit
 * @retval CS336_ERANGE  an id is not below vocab_size
 * @retval CS336_ENOMEM  scratch is too small, or the workspace could not grow
 * @see Problem decoding; test_lm_decode_equals_forward
 */
CS336_MUST_CHECK Status transformer_lm_decode(Tensor logits, KeyValueCache *caches, const TransformerLM *lm,
                                              TokenTensor ids, Arena *scratch);

/**
 * @brief Does what transformer_lm_decode() does for one token of each of several sequences, with one product for each
 * weight. The logits of a sequence have the same bits as transformer_lm_decode() gives for it alone, as long as there
 * are at most 16.
 * @param[out]    logits  (sequences, vocab_size), overwritten
 * @param[in,out] caches  caches[i] are those of sequence i, one for each layer, from transformer_lm_bind_caches() for a
 *                        batch of 1; their length grows by 1; unchanged on failure
 * @param[in]     ids     (sequences, 1)
 * @param[in]     lm, scratch  as transformer_lm_decode(), scratch for (sequences, 1)
 * @retval CS336_ESHAPE, CS336_ERANGE, CS336_ENOMEM  as transformer_lm_decode()
 * @see test_decode_each_equals_one_by_one
 */
CS336_MUST_CHECK Status transformer_lm_decode_each(Tensor logits, KeyValueCache *const *caches, const TransformerLM *lm,
                                                   TokenTensor ids, Arena *scratch);

CS336_API_END

#endif
