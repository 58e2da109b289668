#include "nn/attention_plan.h"

#include <math.h>

static Status check_rows(const char *function, const char *name, Tensor t)
{
    if (tensor_rows_contiguous(t))
        return CS336_OK;
    return status_fail(CS336_ESHAPE, "%s: rows of %s are not contiguous", function, name);
}

/* Writing the same element for several indices would leave the last one's number, or a race. */
static Status check_written(const char *function, const char *name, Tensor t)
{
    for (int i = 0; i < t.rank; i++)
        if (t.shape[i] > 1 && t.stride[i] == 0)
            return status_fail(CS336_ESHAPE, "%s: %s repeats dimension %d, and is written", function, name, i);
    return check_rows(function, name, t);
}

/* Whether t is x but for the last extent. */
static Status check_last(const char *function, const char *name, Tensor t, Tensor x, size_t last)
{
    x.shape[x.rank - 1] = last;
    if (tensor_same_shape(t, x))
        return CS336_OK;
    return status_fail(CS336_ESHAPE, "%s: %s is %s, expected %s", function, name, tensor_shape_text(t),
                       tensor_shape_text(x));
}

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
    Status s = check_rows(function, "query", query);
    if (!s)
        s = check_rows(function, "key", key);
    if (!s)
        s = check_rows(function, "value", value);
    return s;
}

static Status bind_mask(AttentionPlan *plan, const char *function, AttentionMask mask)
{
    plan->kind = mask.kind;
    plan->where = (MaskTensor){0};
    if (mask.kind != ATTEND_WHERE)
        return CS336_OK;
    if (!mask.where.data)
        return status_fail(CS336_ESHAPE, "%s: ATTEND_WHERE needs a mask", function);
    Tensor scores = plan->query;
    scores.shape[scores.rank - 1] = plan->keys;
    plan->where = mask.where;
    if (mask_broadcast(&plan->where, scores.rank, scores.shape))
        return CS336_OK;
    return status_fail(CS336_ESHAPE, "%s: mask is %s, scores are %s", function,
                       shape_text(mask.where.rank, mask.where.shape), tensor_shape_text(scores));
}

Status attention_plan(AttentionPlan *plan, const char *function, Tensor output, Tensor log_sum_exp, Tensor query,
                      Tensor key, Tensor value, AttentionMask mask)
{
    Status s = check_inputs(function, query, key, value);
    if (!s)
        s = check_last(function, "output", output, query, tensor_extent(value, -1));
    if (!s)
        s = check_written(function, "output", output);
    if (!s && log_sum_exp.data)
        s = check_last(function, "log_sum_exp", log_sum_exp, query, 1);
    if (s)
        return s;
    *plan = (AttentionPlan){
        .query = query,
        .key = key,
        .value = value,
        .heads = 1,
        .queries = tensor_extent(query, -2),
        .keys = tensor_extent(key, -2),
        .d_k = tensor_extent(query, -1),
        .d_v = tensor_extent(value, -1),
        .scale = 1 / sqrtf((float)tensor_extent(query, -1)),
    };
    for (int i = 0; i < query.rank - 2; i++)
        plan->heads *= query.shape[i];
    return bind_mask(plan, function, mask);
}

Status attention_check_gradient(const char *function, const char *name, Tensor grad, Tensor like)
{
    const Status s = check_last(function, name, grad, like, tensor_extent(like, -1));
    return s ? s : check_written(function, name, grad);
}

/* A causal query sees the key of the same token and those before it; the last query is the last key's token. */
static ptrdiff_t diagonal(const AttentionPlan *plan)
{
    return (ptrdiff_t)plan->keys - (ptrdiff_t)plan->queries;
}

size_t attention_keys_seen(const AttentionPlan *plan, size_t queries)
{
    if (plan->kind != ATTEND_CAUSAL)
        return plan->keys;
    const ptrdiff_t seen = (ptrdiff_t)queries + diagonal(plan);
    return seen > 0 ? (size_t)seen : 0;
}

size_t attention_queries_blind(const AttentionPlan *plan, size_t key)
{
    const ptrdiff_t first = (ptrdiff_t)key - diagonal(plan);
    return plan->kind == ATTEND_CAUSAL && first > 0 ? (size_t)first : 0;
}

static size_t part(size_t from, size_t extent, size_t most)
{
    return extent - from < most ? extent - from : most;
}

/* The mask's element for the first query and key of a tile. */
static const bool *mask_at(MaskTensor where, size_t head, size_t query, size_t key)
{
    if (!where.data)
        return NULL;
    const bool *at = where.data + (ptrdiff_t)query * where.stride[where.rank - 2];
    at += (ptrdiff_t)key * where.stride[where.rank - 1];
    for (int i = where.rank - 3; i >= 0; i--) {
        at += (ptrdiff_t)(head % where.shape[i]) * where.stride[i];
        head /= where.shape[i];
    }
    return at;
}

AttentionTile attention_tile_of_queries(const AttentionPlan *plan, size_t head, size_t query, size_t key)
{
    const MaskTensor where = plan->where;
    return (AttentionTile){
        .rows = part(key, plan->keys, ATTENTION_ROWS),
        .columns = part(query, plan->queries, ATTENTION_COLUMNS),
        .first = -ATTENTION_UNLIMITED,
        .last = plan->kind == ATTEND_CAUSAL ? (ptrdiff_t)query - (ptrdiff_t)key + diagonal(plan) : ATTENTION_UNLIMITED,
        .where = mask_at(where, head, query, key),
        .row_step = where.data ? where.stride[where.rank - 1] : 0,
        .column_step = where.data ? where.stride[where.rank - 2] : 0,
    };
}

AttentionTile attention_tile_of_keys(const AttentionPlan *plan, size_t head, size_t query, size_t key)
{
    const MaskTensor where = plan->where;
    return (AttentionTile){
        .rows = part(query, plan->queries, ATTENTION_ROWS),
        .columns = part(key, plan->keys, ATTENTION_COLUMNS),
        .first =
            plan->kind == ATTEND_CAUSAL ? (ptrdiff_t)key - (ptrdiff_t)query - diagonal(plan) : -ATTENTION_UNLIMITED,
        .last = ATTENTION_UNLIMITED,
        .where = mask_at(where, head, query, key),
        .row_step = where.data ? where.stride[where.rank - 2] : 0,
        .column_step = where.data ? where.stride[where.rank - 1] : 0,
    };
}
