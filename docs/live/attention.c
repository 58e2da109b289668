/* The figure of section 4.2: scaled dot-product attention, one step after the other. */
#include "live.h"

#include "nn/functional.h"
#include "nn/linear.h"

#include <math.h>

enum { MOST_NUMBERS = 64 /* of a matrix of the figure, which has at most 4 x 4 */ };

/* scores = Q K^T factor, and masked: the same with -inf where a query does not see a key */
static Status scores_of(Tensor scores, Tensor masked, Tensor query, Tensor key, const bool *seen, float factor)
{
    const Linear map = {.weight = key}; /* y = W x for each row x of Q: the products with all rows of W = K */
    const Status s = linear_forward(scores, query, &map);
    for (size_t i = 0; !s && i < tensor_count(scores); i++) {
        scores.data[i] *= factor;
        masked.data[i] = seen[i] ? scores.data[i] : -INFINITY;
    }
    return s;
}

/*
 * scores, masked (queries, keys)   see scores_of(); the factor is 1 / sqrt(d_k) if `scaled`, else 1
 * softmax (queries, keys)          softmax_forward() of the masked scores
 * weights (queries, keys)          the weights that attention itself uses: its output for the values 1 0 0, 0 1 0, 0 0
 * 1 output (queries, d_v), log_sum_exp (queries)
 */
LIVE live_attention(float *scores, float *masked, float *softmax, float *weights, float *output, float *log_sum_exp,
                    float *query, float *key, float *value, const bool *seen, int queries, int keys, int d_k, int d_v,
                    bool scaled)
{
    const size_t n = (size_t)queries, m = (size_t)keys, width = (size_t)d_k;
    if (n * width > MOST_NUMBERS || m * m > MOST_NUMBERS)
        return status_fail(CS336_ERANGE, "%s: a matrix has more than %d numbers", __func__, MOST_NUMBERS);
    const Tensor q = tensor(query, n, width), k = tensor(key, m, width), v = tensor(value, m, (size_t)d_v);
    const Tensor masked_scores = tensor(masked, n, m);
    Status s = scores_of(tensor(scores, n, m), masked_scores, q, k, seen, scaled ? 1 / sqrtf((float)d_k) : 1);
    if (!s)
        s = softmax_forward(tensor(softmax, n, m), masked_scores, -1);

    /* Attention always divides by sqrt(d_k). Queries that are longer by this factor undo it. */
    float longer[MOST_NUMBERS], identity[MOST_NUMBERS] = {0};
    for (size_t i = 0; i < n * width; i++)
        longer[i] = query[i] * (scaled ? 1 : sqrtf((float)d_k));
    for (size_t i = 0; i < m; i++)
        identity[i * m + i] = 1;
    const Tensor asked = tensor(longer, n, width), none = {0};
    const AttentionMask visible = {ATTEND_WHERE, mask(seen, n, m)};
    if (!s)
        s = scaled_dot_product_attention_forward(tensor(weights, n, m), none, asked, k, tensor(identity, m, m),
                                                 visible);
    if (!s)
        s = scaled_dot_product_attention_forward(tensor(output, n, (size_t)d_v), tensor(log_sum_exp, n, 1), asked, k, v,
                                                 visible);
    return s;
}
