#include "nn/attention_plan.h"

#include "core/parallel.h"
#include "nn/check.h"

#include <math.h>

enum {
    BLOCKS_PER_THREAD = 4, /* query blocks for each thread, if blocks can be cut so small: causal blocks take different
                              times, and a thread that finishes early takes another */
    FMAS_PER_NUMBER = 8,   /* multiply-adds in the time of one element of an elementwise loop; see PARALLEL_NUMBERS */
    READS_PER_NUMBER = 2   /* numbers of keys and values that a query alone reads in that time: a multiply-add each */
};

/* ---- checks ---- */

/* Checks query (..., q, d_k), key (..., k, d_k) and value (..., k, d_v). */
static Status check_inputs(const char *function, Tensor query, Tensor key, Tensor value)
{
    if (query.rank < 2)
        return status_fail(CS336_ESHAPE, "%s: query is %s, expected (..., q, d_k)", function, tensor_shape_text(query));
    if (!tensor_same_leading(key, query, 2))
        return status_fail(CS336_ESHAPE, "%s: key is %s, query is %s", function, tensor_shape_text(key),
                           tensor_shape_text(query));
    if (tensor_extent(key, -1) != tensor_extent(query, -1))
        return status_fail(CS336_ESHAPE, "%s: key has d_k %zu, query has d_k %zu", function, tensor_extent(key, -1),
                           tensor_extent(query, -1));
    if (!tensor_same_leading(value, key, 1))
        return status_fail(CS336_ESHAPE, "%s: value is %s, key is %s", function, tensor_shape_text(value),
                           tensor_shape_text(key));
    if (nn_check_rows_contiguous_of(function, "query", query) || nn_check_rows_contiguous_of(function, "key", key) ||
        nn_check_rows_contiguous_of(function, "value", value))
        return CS336_ESHAPE;
    return CS336_OK;
}

/* Checks a tensor that is written row by row: no element twice, and each row contiguous. */
static Status check_written_rows(const char *function, const char *name, Tensor t)
{
    if (nn_check_written_of(function, name, t) || nn_check_rows_contiguous_of(function, name, t))
        return CS336_ESHAPE;
    return CS336_OK;
}

/* Broadcasts mask.where to the shape of the scores, (..., q, k). For the other kinds of mask, it is left out. */
static Status broadcast_mask(AttentionPlan *plan, const char *function)
{
    MaskTensor *where = &plan->mask.where;
    if (plan->mask.kind != ATTEND_WHERE) {
        *where = (MaskTensor){0};
        return CS336_OK;
    }
    if (!where->data)
        return status_fail(CS336_ESHAPE, "%s: ATTEND_WHERE needs a mask", function);
    Tensor scores = plan->query;
    scores.shape[scores.rank - 1] = plan->keys;
    if (mask_broadcast(where, scores.rank, scores.shape))
        return CS336_OK;
    return status_fail(CS336_ESHAPE, "%s: mask is %s, scores are %s", function, shape_text(where->rank, where->shape),
                       tensor_shape_text(scores));
}

Status attention_plan(AttentionPlan *plan, const char *function)
{
    const Tensor query = plan->query, value = plan->value;
    if (check_inputs(function, query, plan->key, value) ||
        nn_check_last_of(function, "output", plan->output, query, tensor_extent(value, -1)) ||
        check_written_rows(function, "output", plan->output) ||
        (plan->log_sum_exp.data && nn_check_last_of(function, "log_sum_exp", plan->log_sum_exp, query, 1)))
        return CS336_ESHAPE;
    /* The sizes. */
    plan->queries = tensor_extent(query, -2);
    plan->keys = tensor_extent(plan->key, -2);
    plan->d_k = tensor_extent(query, -1);
    plan->d_v = tensor_extent(value, -1);
    plan->scale = 1 / sqrtf((float)plan->d_k);
    plan->kernels = plan->bf16 ? attention_bf16_kernels() : attention_kernels();
    plan->heads = 1;
    for (int i = 0; i < query.rank - 2; i++)
        plan->heads *= query.shape[i];
    /* Halve the blocks until there are enough for all threads, but not below the rows of a score block. */
    plan->block_tokens = ATTENTION_BLOCK_TOKENS;
    while (plan->block_tokens > SCORE_BLOCK_ROWS && plan->heads * block_count(plan->queries, plan->block_tokens) <
                                                        BLOCKS_PER_THREAD * (size_t)parallel_threads())
        plan->block_tokens /= 2;
    return broadcast_mask(plan, function);
}

/* Checks a gradient that is wanted: the shape of `like`, written row by row. */
static Status check_gradient(const char *function, const char *name, Tensor grad, Tensor like)
{
    if (!grad.data)
        return CS336_OK;
    if (nn_check_last_of(function, name, grad, like, tensor_extent(like, -1)) ||
        check_written_rows(function, name, grad))
        return CS336_ESHAPE;
    return CS336_OK;
}

Status attention_plan_gradients(const AttentionPlan *plan, const char *function)
{
    const AttentionGradients *grad = &plan->grad;
    if (nn_check_last_of(function, "grad_output", grad->output, plan->output, plan->d_v) ||
        nn_check_rows_contiguous_of(function, "grad_output", grad->output))
        return CS336_ESHAPE;
    if (!plan->log_sum_exp.data)
        return status_fail(CS336_ESHAPE, "%s: log_sum_exp is missing: the forward pass must have kept it", function);
    if (check_gradient(function, "grad_query", grad->query, plan->query) ||
        check_gradient(function, "grad_key", grad->key, plan->key) ||
        check_gradient(function, "grad_value", grad->value, plan->value))
        return CS336_ESHAPE;
    return CS336_OK;
}

/* ---- sizes ---- */

int attention_threads(const AttentionPlan *plan)
{
    return parallel_threads_for(plan->heads * plan->queries * plan->keys * (plan->d_k + plan->d_v) / FMAS_PER_NUMBER);
}

int attention_few_threads(size_t keys, size_t d_k, size_t d_v)
{
    return parallel_threads_for(keys * (d_k + d_v) / READS_PER_NUMBER);
}

size_t block_count(size_t extent, size_t block)
{
    return (extent + block - 1) / block;
}

size_t block_extent(size_t first, size_t extent, size_t block)
{
    return extent - first < block ? extent - first : block;
}

/* ---- which keys a query sees ---- */

/*
 * A causal query sees the keys up to its own token's. The last query and the last key belong to the same token, so
 * query i sees keys 0 ... i + diagonal.
 */
static ptrdiff_t diagonal(const AttentionPlan *plan)
{
    return (ptrdiff_t)plan->keys - (ptrdiff_t)plan->queries;
}

size_t attention_keys_seen(const AttentionPlan *plan, size_t queries)
{
    if (plan->mask.kind != ATTEND_CAUSAL)
        return plan->keys;
    const ptrdiff_t seen = (ptrdiff_t)queries + diagonal(plan);
    return seen > 0 ? (size_t)seen : 0;
}

size_t attention_first_query(const AttentionPlan *plan, size_t key)
{
    const ptrdiff_t first = (ptrdiff_t)key - diagonal(plan);
    if (key == 0 || plan->mask.kind != ATTEND_CAUSAL || first <= 0)
        return 0;
    return (size_t)first / plan->block_tokens * plan->block_tokens;
}

/* Returns the address of the mask's element for a query and a key, or NULL without a mask. */
static const bool *mask_element(MaskTensor where, size_t head, size_t query, size_t key)
{
    if (!where.data)
        return NULL;
    const bool *element = where.data + (ptrdiff_t)query * where.stride[where.rank - 2];
    element += (ptrdiff_t)key * where.stride[where.rank - 1];
    /* The head's index in each leading dimension, from the last on. */
    for (int i = where.rank - 3; i >= 0; i--) {
        element += (ptrdiff_t)(head % where.shape[i]) * where.stride[i];
        head /= where.shape[i];
    }
    return element;
}

/* Returns the first row of a head; without rows, any address. */
static const float *first_row(Tensor t, size_t head, size_t rows)
{
    return rows ? tensor_row(t, head * rows) : t.data;
}

AttentionQuery attention_query(const AttentionPlan *plan, size_t head, size_t query)
{
    const MaskTensor where = plan->mask.where;
    return (AttentionQuery){
        .query = tensor_row(plan->query, head * plan->queries + query),
        .key = first_row(plan->key, head, plan->keys),
        .value = first_row(plan->value, head, plan->keys),
        .key_stride = plan->key.stride[plan->key.rank - 2],
        .value_stride = plan->value.stride[plan->value.rank - 2],
        .keys = attention_keys_seen(plan, query + 1),
        .d_k = plan->d_k,
        .d_v = plan->d_v,
        .scale = plan->scale,
        .mask = mask_element(where, head, query, 0),
        .mask_stride = where.data ? where.stride[where.rank - 1] : 0,
    };
}

ScoreBlock attention_forward_scores(const AttentionPlan *plan, size_t head, size_t query, size_t key)
{
    const MaskTensor where = plan->mask.where;
    const ptrdiff_t offset = (ptrdiff_t)query - (ptrdiff_t)key + diagonal(plan);
    return (ScoreBlock){
        .rows = block_extent(key, plan->keys, SCORE_BLOCK_ROWS),
        .columns = block_extent(query, plan->queries, SCORE_BLOCK_COLUMNS),
        .band_first = -SCORE_BLOCK_UNLIMITED,
        .band_last = plan->mask.kind == ATTEND_CAUSAL ? offset : SCORE_BLOCK_UNLIMITED,
        .mask = mask_element(where, head, query, key),
        .row_stride = where.data ? where.stride[where.rank - 1] : 0,
        .column_stride = where.data ? where.stride[where.rank - 2] : 0,
    };
}

ScoreBlock attention_backward_scores(const AttentionPlan *plan, size_t head, size_t query, size_t key)
{
    const MaskTensor where = plan->mask.where;
    const ptrdiff_t offset = (ptrdiff_t)key - (ptrdiff_t)query - diagonal(plan);
    return (ScoreBlock){
        .rows = block_extent(query, plan->queries, SCORE_BLOCK_ROWS),
        .columns = block_extent(key, plan->keys, SCORE_BLOCK_COLUMNS),
        .band_first = plan->mask.kind == ATTEND_CAUSAL ? offset : -SCORE_BLOCK_UNLIMITED,
        .band_last = SCORE_BLOCK_UNLIMITED,
        .mask = mask_element(where, head, query, key),
        .row_stride = where.data ? where.stride[where.rank - 2] : 0,
        .column_stride = where.data ? where.stride[where.rank - 1] : 0,
    };
}
