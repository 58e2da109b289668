/**
 * @file
 * @brief Choosing the next token: temperature, top-k, and top-p, also called nucleus sampling (handout section 6,
 * problem decoding, which asks for temperature and top-p).
 * @see Holtzman et al., The Curious Case of Neural Text Degeneration, 2020.
 */
#ifndef CS336_GENERATE_SAMPLE_H
#define CS336_GENERATE_SAMPLE_H

#include "core/api.h"
#include "core/arena.h"
#include "core/rng.h"
#include "core/status.h"
#include "core/tensor.h"

CS336_API_BEGIN

/** @brief How the next token is drawn from its logits. */
typedef struct {
    double temperature; /**< divides the logits; 0: always take the likeliest token */
    double top_p;       /**< in [0, 1]: the smallest set of likeliest tokens whose probability reaches it; 1: all */
    size_t top_k;       /**< draws only from this many likeliest tokens; 0: from all. top_p then selects from these */
} SampleConfig;

/** @brief A token that may be drawn. */
typedef struct {
    double probability; /**< in [0, 1]; the candidates' probabilities sum to 1 */
    int32_t token;      /**< its id */
} SampleCandidate;

/** @brief Checks that temperature and top_p are in range. @retval CS336_ERANGE */
CS336_MUST_CHECK Status sample_check(const SampleConfig *config);

/** @brief Returns the bytes of scratch that sample_token() takes. */
size_t sample_scratch(size_t vocab_size);

/**
 * @brief Computes the distribution that sample_token() draws from.
 * \f[ q_i = \frac{e^{l_i / \tau}}{\sum_j e^{l_j / \tau}}, \qquad
 *     p_i = \frac{q_i}{\sum_{j \in V(p)} q_j} \text{ for } i \in V(p), \text{ else } 0 \f]
 * Here V(p) is the smallest set of likeliest tokens whose q sum to at least top_p. It is never empty; of equally likely
 * tokens, those of lower id enter it first. With top_k, the sums over j and V(p) go over the top_k likeliest tokens
 * alone, chosen with the same rule for equally likely ones. Exponentials are float32.
 * Sums are double, because top_p is compared with a sum over the whole vocabulary. With top_p = 1 the q are
 * softmax_forward() of the logits divided by the temperature: test_sampling_probabilities_are_the_softmax.
 * @param[out] candidates  room for vocab_size; the first @p count are the result, in no particular order, and their
 *                         probabilities sum to 1
 * @param[out] count       tokens that can be drawn, at least 1
 * @param[in]  logits      (vocab_size); -inf: the token cannot be drawn
 * @param[in]  config      temperature 0 leaves one candidate: the largest logit, and of equal ones the lowest id
 * @retval CS336_ERANGE  temperature or top_p out of range, a logit is NaN or +inf, or all are -inf
 */
CS336_MUST_CHECK Status sample_candidates(SampleCandidate *candidates, size_t *count, Tensor logits,
                                          const SampleConfig *config);

/**
 * @brief Draws one token.
 * @param[out]    token    its id
 * @param[in,out] rng      draws one uniform number, also at temperature 0
 * @param[in]     logits, config  as sample_candidates() has them
 * @param[in]     scratch  sample_scratch() bytes
 * @retval CS336_ERANGE  as sample_candidates()
 * @retval CS336_ENOMEM  scratch is too small
 */
CS336_MUST_CHECK Status sample_token(int32_t *token, Tensor logits, const SampleConfig *config, Rng *rng,
                                     Arena *scratch);

/**
 * @brief Returns the natural logarithm of a token's probability: that of the model itself, at temperature 1 and before
 * top-k and top-p select. The sum over the tokens of a text is the logarithm of its probability.
 * \f[ \log p_i = l_i - \log \sum_j e^{l_j} \f]
 * @param[in] logits  (vocab_size)
 * @param[in] token   below vocab_size
 * @see test_log_probabilities_are_those_of_a_forward_pass
 */
double sample_log_probability(Tensor logits, int32_t token);

CS336_API_END

#endif
