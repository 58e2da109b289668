/*
 * Scaled dot-product attention, backward. Forward was, for query i, with the scale 1 / sqrt(d_k):
 *
 *     s_ij = scale q_i . k_j        p_ij = e^(s_ij - l_i)        o_i = sum_j p_ij v_j
 *
 * where l_i = log sum_j e^(s_ij) was kept. From the last line to the first:
 *
 *     dv_j += p_ij do_i
 *     dp_ij = do_i . v_j
 *     ds_ij = p_ij (dp_ij - sum_j p_ij dp_ij)        the softmax; the sum is do_i . o_i, because o_i is sum_j p_ij v_j
 *     dq_i += scale ds_ij k_j
 *     dk_j += scale ds_ij q_i
 */
#include "nn/functional.h"
#include "tests/exercises/learn.h"

#include <math.h>

/* As in the forward pass: true if row i of the queries sees key j of its head. */
static bool sees(AttentionMask mask, size_t i, size_t j, size_t queries, size_t keys)
{
    if (mask.kind == ATTEND_WHERE)
        return mask_at(mask.where, i, j);
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

static float dot(const float *a, const float *b, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* t_i += factor x, for row i of a gradient that may not be wanted. */
static void add_to_row(Tensor t, size_t i, float factor, const float *x)
{
    float *sum = t.data ? row(t, i) : NULL;
    for (size_t c = 0; sum && c < columns(t); c++)
        sum[c] += factor * x[c];
}

Status scaled_dot_product_attention_backward(Tensor grad_query, Tensor grad_key, Tensor grad_value, Tensor grad_output,
                                             Tensor output, Tensor log_sum_exp, Tensor query, Tensor key, Tensor value,
                                             AttentionMask mask, Arena *scratch)
{
    (void)scratch; /* these loops need none */
    if (check(__func__, output, query, key, value) || nn_check_same_shape(grad_output, output) ||
        nn_check_last(log_sum_exp, query, 1) || (grad_query.data && nn_check_same_shape(grad_query, query)) ||
        (grad_key.data && nn_check_same_shape(grad_key, key)) ||
        (grad_value.data && nn_check_same_shape(grad_value, value)))
        return CS336_ESHAPE;
    const size_t queries = tensor_extent(query, -2), keys = tensor_extent(key, -2);
    const size_t d_k = columns(query), d_v = columns(value);
    const float scale = 1 / sqrtf((float)d_k);

    /* Repeat the mask along the leading dimensions that it does not have. The scores are (..., q, k). */
    const Tensor scores = tensor_with_last(query, keys);
    if (mask.kind == ATTEND_WHERE && !mask_broadcast(&mask.where, scores.rank, scores.shape))
        return status_fail(CS336_ESHAPE, "scaled_dot_product_attention_backward: mask is %s, scores are %s",
                           shape_text(mask.where.rank, mask.where.shape), tensor_shape_text(scores));

    /* The gradients are sums, which begin at 0. */
    if (grad_query.data)
        tensor_fill(grad_query, 0);
    if (grad_key.data)
        tensor_fill(grad_key, 0);
    if (grad_value.data)
        tensor_fill(grad_value, 0);

    for (size_t i = 0; i < rows(query); i++) {
        const float *q = row(query, i), *grad_o = row(grad_output, i);
        const float l = *at(log_sum_exp, i, 0), delta = dot(grad_o, row(output, i), d_v); /* sum_j p_ij dp_ij */
        for (size_t j = 0; j < keys; j++) {
            if (!sees(mask, i, j, queries, keys))
                continue;
            const size_t n = i / queries * keys + j; /* row of key j in this head */
            const float *k = row(key, n), *v = row(value, n);
            const float p = expf(scale * dot(q, k, d_k) - l);
            const float grad_score = p * (dot(grad_o, v, d_v) - delta);
            add_to_row(grad_value, n, p, grad_o);
            add_to_row(grad_query, i, scale * grad_score, k);
            add_to_row(grad_key, n, scale * grad_score, q);
        }
    }
    return CS336_OK;
}
