#include "nn/attention_plan.h"

#include "core/parallel.h"
#include "kernels/vecmath.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum {
    TASKS = 4,   /* a thread, at least, for an even share */
    PRODUCTS = 8 /* in the time of one of PARALLEL_NUMBERS */
};

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

/* Floats from one row to the next. */
static ptrdiff_t row_step(Tensor t)
{
    return t.stride[t.rank - 2];
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
        .output = output,
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
    plan->span = ATTENTION_SPAN;
    while (plan->span > ATTENTION_ROWS &&
           plan->heads * attention_parts(plan->queries, plan->span) < TASKS * (size_t)parallel_threads())
        plan->span /= 2;
    return bind_mask(plan, function, mask);
}

static Status check_gradient(const char *function, const char *name, Tensor grad, Tensor like)
{
    if (!grad.data)
        return CS336_OK;
    const Status s = check_last(function, name, grad, like, tensor_extent(like, -1));
    return s ? s : check_written(function, name, grad);
}

Status attention_check_gradients(const AttentionPlan *plan, const char *function, const AttentionGradients *grad,
                                 Tensor output)
{
    Status s = check_last(function, "grad_output", grad->output, output, tensor_extent(output, -1));
    if (!s)
        s = check_rows(function, "grad_output", grad->output);
    if (!s && !grad->log_sum_exp.data)
        s = status_fail(CS336_ESHAPE, "%s: log_sum_exp is missing: the forward pass must have kept it", function);
    if (!s)
        s = check_gradient(function, "grad_query", grad->query, plan->query);
    if (!s)
        s = check_gradient(function, "grad_key", grad->key, plan->key);
    if (!s)
        s = check_gradient(function, "grad_value", grad->value, plan->value);
    return s;
}

void attention_clear(Tensor grad)
{
    if (!grad.data)
        return;
    const size_t rows = tensor_extent(grad, -2), heads = rows ? tensor_rows(grad) / rows : 0;
#pragma omp parallel for
    for (size_t head = 0; head < heads; head++) {
        float *at = tensor_row(grad, head * rows);
        for (size_t i = 0; i < rows; i++, at += row_step(grad))
            memset(at, 0, tensor_extent(grad, -1) * sizeof(float));
    }
}

bool attention_is_large(const AttentionPlan *plan)
{
    return plan->heads * plan->queries * plan->keys * (plan->d_k + plan->d_v) >= PRODUCTS * (size_t)PARALLEL_NUMBERS;
}

size_t attention_parts(size_t extent, size_t most)
{
    return (extent + most - 1) / most;
}

size_t attention_part(size_t from, size_t extent, size_t most)
{
    return extent - from < most ? extent - from : most;
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

static size_t queries_blind(const AttentionPlan *plan, size_t key)
{
    const ptrdiff_t first = (ptrdiff_t)key - diagonal(plan);
    return plan->kind == ATTEND_CAUSAL && first > 0 ? (size_t)first : 0;
}

size_t attention_first_block(const AttentionPlan *plan, size_t key)
{
    return key ? queries_blind(plan, key) / plan->span * plan->span : 0;
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
        .rows = attention_part(key, plan->keys, ATTENTION_ROWS),
        .columns = attention_part(query, plan->queries, ATTENTION_COLUMNS),
        .first = -ATTENTION_UNLIMITED,
        .last = plan->kind == ATTEND_CAUSAL ? (ptrdiff_t)query - (ptrdiff_t)key + diagonal(plan) : ATTENTION_UNLIMITED,
        .where = mask_at(where, head, query, key),
        .row_step = where.data ? where.stride[where.rank - 1] : 0,
        .column_step = where.data ? where.stride[where.rank - 2] : 0,
        .few = plan->queries <= ATTENTION_FEW,
    };
}

AttentionTile attention_tile_of_keys(const AttentionPlan *plan, size_t head, size_t query, size_t key)
{
    const MaskTensor where = plan->where;
    return (AttentionTile){
        .rows = attention_part(query, plan->queries, ATTENTION_ROWS),
        .columns = attention_part(key, plan->keys, ATTENTION_COLUMNS),
        .first =
            plan->kind == ATTEND_CAUSAL ? (ptrdiff_t)key - (ptrdiff_t)query - diagonal(plan) : -ATTENTION_UNLIMITED,
        .last = ATTENTION_UNLIMITED,
        .where = mask_at(where, head, query, key),
        .row_step = where.data ? where.stride[where.rank - 2] : 0,
        .column_step = where.data ? where.stride[where.rank - 1] : 0,
    };
}

/* The next `count` floats of the workspace, whose size was measured by the same calls. */
static float *carve(Arena *workspace, size_t count)
{
    float *piece = NULL;
    const Status s = arena_take(workspace, &piece, count * sizeof(float));
    assert(!s);
    (void)s;
    return piece;
}

size_t attention_bind_query_span(AttentionQuerySpan *span, void *memory, const AttentionPlan *plan)
{
    Arena workspace = {.base = memory, .capacity = SIZE_MAX};
    const size_t width_k = attention_width(plan->d_k), width_v = attention_width(plan->d_v);
    span->query = carve(&workspace, ATTENTION_SPAN * plan->d_k);
    span->output = carve(&workspace, ATTENTION_SPAN * width_v);
    span->maximum = carve(&workspace, ATTENTION_SPAN);
    span->sum = carve(&workspace, ATTENTION_SPAN);
    span->shrink = carve(&workspace, ATTENTION_COLUMNS);
    span->key = carve(&workspace, ATTENTION_ROWS * width_k);
    span->value = carve(&workspace, ATTENTION_ROWS * width_v);
    span->score = carve(&workspace, ATTENTION_ROWS * ATTENTION_COLUMNS);
    return workspace.used;
}

void attention_start_queries(AttentionQuerySpan *span, const AttentionPlan *plan, size_t row, size_t count)
{
    const size_t padded = attention_parts(count, ATTENTION_COLUMNS) * ATTENTION_COLUMNS;
    const float *query = tensor_row(plan->query, row);
    if (plan->queries <= ATTENTION_FEW) {
        attention_pack_rows(span->query, query, row_step(plan->query), count, plan->d_k);
        vecmath()->scale(span->query, plan->scale, span->query, count * attention_width(plan->d_k));
    } else {
        attention_pack_columns(span->query, query, row_step(plan->query), count, plan->d_k, plan->scale);
    }
    memset(span->output, 0, padded * attention_width(plan->d_v) * sizeof(float));
    for (size_t i = 0; i < padded; i++) {
        span->maximum[i] = -INFINITY;
        span->sum[i] = 0;
    }
}

void attention_load_keys(AttentionQuerySpan *span, const AttentionPlan *plan, size_t row, size_t count)
{
    const float *key = tensor_row(plan->key, row), *value = tensor_row(plan->value, row);
    attention_pack_rows(span->key, key, row_step(plan->key), count, plan->d_k);
    span->value_finite = attention_pack_rows(span->value, value, row_step(plan->value), count, plan->d_v);
}

void attention_store_output(Tensor output, Tensor log_sum_exp, AttentionQuerySpan *span, size_t row, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const float sum = span->sum[i];
        if (log_sum_exp.data)
            *tensor_row(log_sum_exp, row + i) = span->maximum[i] + logf(sum);
        span->sum[i] = sum == 0 ? 0 : 1 / sum;
    }
    attention_unpack_rows(tensor_row(output, row), row_step(output), span->output, span->sum, count,
                          tensor_extent(output, -1));
}

size_t attention_bind_key_span(AttentionKeySpan *span, void *memory, const AttentionPlan *plan)
{
    Arena workspace = {.base = memory, .capacity = SIZE_MAX};
    const size_t width_k = attention_width(plan->d_k), width_v = attention_width(plan->d_v);
    span->key_columns = carve(&workspace, ATTENTION_SPAN * plan->d_k);
    span->value_columns = carve(&workspace, ATTENTION_SPAN * plan->d_v);
    span->key = carve(&workspace, ATTENTION_SPAN * width_k);
    span->grad_key = carve(&workspace, ATTENTION_SPAN * width_k);
    span->grad_value = carve(&workspace, ATTENTION_SPAN * width_v);
    span->query = carve(&workspace, ATTENTION_ROWS * width_k);
    span->grad_output = carve(&workspace, ATTENTION_ROWS * width_v);
    span->grad_query = carve(&workspace, ATTENTION_ROWS * width_k);
    span->p = carve(&workspace, ATTENTION_ROWS * ATTENTION_COLUMNS);
    span->grad_score = carve(&workspace, ATTENTION_ROWS * ATTENTION_COLUMNS);
    span->log_sum_exp = carve(&workspace, ATTENTION_ROWS);
    span->delta = carve(&workspace, ATTENTION_ROWS);
    return workspace.used;
}

/* The sums of a gradient so far, or zeros for the first part of them. */
static void load_sums(float *sums, Tensor grad, size_t row, size_t count, size_t depth, bool first)
{
    if (first || !grad.data)
        memset(sums, 0,
               attention_parts(count, ATTENTION_BLOCK) * ATTENTION_BLOCK * attention_width(depth) * sizeof *sums);
    else
        attention_pack_rows(sums, tensor_row(grad, row), row_step(grad), count, depth);
}

static void store_sums(Tensor grad, const float *sums, size_t row, size_t count)
{
    if (grad.data)
        attention_unpack_rows(tensor_row(grad, row), row_step(grad), sums, NULL, count, tensor_extent(grad, -1));
}

void attention_start_keys(AttentionKeySpan *span, const AttentionPlan *plan, const AttentionGradients *grad, size_t row,
                          size_t count, bool first)
{
    const float *key = tensor_row(plan->key, row), *value = tensor_row(plan->value, row);
    attention_pack_columns(span->key_columns, key, row_step(plan->key), count, plan->d_k, plan->scale);
    attention_pack_columns(span->value_columns, value, row_step(plan->value), count, plan->d_v, 1);
    span->key_finite = attention_pack_rows(span->key, key, row_step(plan->key), count, plan->d_k);
    load_sums(span->grad_key, grad->key, row, count, plan->d_k, first);
    load_sums(span->grad_value, grad->value, row, count, plan->d_v, first);
}

void attention_load_queries(AttentionKeySpan *span, const AttentionPlan *plan, const AttentionGradients *grad,
                            size_t row, size_t count, bool first)
{
    const float *query = tensor_row(plan->query, row), *grad_output = tensor_row(grad->output, row);
    span->query_finite = attention_pack_rows(span->query, query, row_step(plan->query), count, plan->d_k);
    span->grad_finite = attention_pack_rows(span->grad_output, grad_output, row_step(grad->output), count, plan->d_v);
    load_sums(span->grad_query, grad->query, row, count, plan->d_k, first);
    const float *output = tensor_row(plan->output, row), *log_sum_exp = tensor_row(grad->log_sum_exp, row);
    for (size_t i = 0; i < ATTENTION_ROWS; i++) {
        if (first && i < count)
            grad->delta[row + i] = vecmath()->dot(output + (ptrdiff_t)i * row_step(plan->output),
                                                  span->grad_output + i * attention_width(plan->d_v), plan->d_v);
        span->log_sum_exp[i] = i < count ? log_sum_exp[(ptrdiff_t)i * row_step(grad->log_sum_exp)] : 0;
        span->delta[i] = i < count ? grad->delta[row + i] : 0;
    }
}

void attention_store_query_gradients(const AttentionGradients *grad, const AttentionKeySpan *span, size_t row,
                                     size_t count)
{
    store_sums(grad->query, span->grad_query, row, count);
}

void attention_store_key_gradients(const AttentionGradients *grad, const AttentionKeySpan *span, size_t row,
                                   size_t count)
{
    store_sums(grad->key, span->grad_key, row, count);
    store_sums(grad->value, span->grad_value, row, count);
}
