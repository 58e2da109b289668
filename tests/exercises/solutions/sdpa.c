/*
 * Scaled dot-product attention: O = softmax(Q K^T / sqrt(d_k)) V, one query after the other. For query i,
 *
 *     s_j = q_i . k_j / sqrt(d_k)        p = softmax(s)        o_i = sum_j p_j v_j
 *
 * All leading dimensions together are called heads. Each head has its own queries, keys and values.
 */
#include "core/memory.h"
#include "nn/functional.h"
#include "tests/exercises/learn.h"

#include <math.h>

/* True if row i of the queries, counted through all heads, sees key j of its head. */
static bool sees(AttentionMask mask, size_t i, size_t j, size_t queries, size_t keys)
{
    if (mask.kind == ATTEND_WHERE)
        return mask_at(mask.where, i, j);
    /* Causal: query n sees the keys up to n + keys - queries. The last query and the last key are the same token. */
    return mask.kind == ATTEND_ALL || j + queries <= i % queries + keys;
}

static Status check(const char *function, Tensor output, Tensor query, Tensor key, Tensor value)
{
    if (query.rank < 2 || !tensor_same_leading(key, query, 2) || columns(key) != columns(query) ||
        !tensor_same_leading(value, key, 1) || !tensor_same_leading(output, query, 1) ||
        columns(output) != columns(value))
        return status_fail(CS336_ESHAPE, "%s: query is %s, key is %s, value is %s, output is %s", function,
                           tensor_shape_text(query), tensor_shape_text(key), tensor_shape_text(value),
                           tensor_shape_text(output));
    if (nn_check_rows_contiguous_of(function, "query", query) || nn_check_rows_contiguous_of(function, "key", key) ||
        nn_check_rows_contiguous_of(function, "value", value) ||
        nn_check_rows_contiguous_of(function, "output", output))
        return CS336_ESHAPE;
    return CS336_OK;
}

Status scaled_dot_product_attention_forward(Tensor output, Tensor log_sum_exp, Tensor query, Tensor key, Tensor value,
                                            AttentionMask mask)
{
    Status s = check(__func__, output, query, key, value);
    if (s || (log_sum_exp.data && nn_check_last(log_sum_exp, query, 1)))
        return CS336_ESHAPE;
    const size_t queries = tensor_extent(query, -2), keys = tensor_extent(key, -2);
    const size_t d_k = columns(query), d_v = columns(value);

    /* Repeat the mask along the leading dimensions that it does not have. The scores are (..., q, k). */
    const Tensor scores = tensor_with_last(query, keys);
    if (mask.kind == ATTEND_WHERE && !mask_broadcast(&mask.where, scores.rank, scores.shape))
        return status_fail(CS336_ESHAPE, "scaled_dot_product_attention_forward: mask is %s, scores are %s",
                           shape_text(mask.where.rank, mask.where.shape), tensor_shape_text(scores));

    /* The scores of one query, which become its probabilities. */
    float *p = memory_allocate(keys * sizeof *p);
    if (!p)
        return status_fail(CS336_ENOMEM, "scaled_dot_product_attention_forward: no memory for %zu scores", keys);
    for (size_t i = 0; !s && i < rows(query); i++) {
        const size_t first = i / queries * keys; /* the row of the head's first key, and of its first value */
        const float *q = row(query, i);
        float *o = row(output, i);

        /* s_j = q_i . k_j / sqrt(d_k), or -inf if the query does not see the key */
        for (size_t j = 0; j < keys; j++) {
            const float *k = row(key, first + j);
            float dot = 0;
            for (size_t c = 0; c < d_k; c++)
                dot += q[c] * k[c];
            p[j] = sees(mask, i, j, queries, keys) ? dot / sqrtf((float)d_k) : -INFINITY;
        }

        /* l = log sum_j e^(s_j), for the backward pass */
        if (log_sum_exp.data)
            s = log_sum_exp_forward(tensor(at(log_sum_exp, i, 0), 1, 1), tensor(p, 1, keys));

        /* p = softmax(s). As e^-inf is 0, a key that is not seen has the probability 0. */
        if (!s)
            s = softmax_forward(tensor(p, 1, keys), tensor(p, 1, keys), -1);

        /* o_i = sum_j p_j v_j. Values that are not seen are left out: 0 times infinity would be NaN. */
        for (size_t c = 0; c < d_v; c++)
            o[c] = 0;
        for (size_t j = 0; j < keys; j++) {
            if (!sees(mask, i, j, queries, keys))
                continue;
            const float *v = row(value, first + j);
            for (size_t c = 0; c < d_v; c++)
                o[c] += p[j] * v[c];
        }
    }
    memory_release(p);
    return s;
}
