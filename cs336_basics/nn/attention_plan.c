#include "nn/attention_plan.h"

#include "kernels/vecmath.h"

#include <assert.h>
#include <math.h>
#include <string.h>

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

size_t attention_queries_blind(const AttentionPlan *plan, size_t key)
{
    const ptrdiff_t first = (ptrdiff_t)key - diagonal(plan);
    return plan->kind == ATTEND_CAUSAL && first > 0 ? (size_t)first : 0;
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

size_t attention_bind_forward_tile(AttentionForwardTile *tile, void *memory, const AttentionPlan *plan)
{
    Arena workspace = {.base = memory, .capacity = SIZE_MAX};
    const size_t width_k = attention_width(plan->d_k), width_v = attention_width(plan->d_v);
    tile->query = carve(&workspace, ATTENTION_COLUMNS * plan->d_k);
    tile->key = carve(&workspace, ATTENTION_ROWS * width_k);
    tile->value = carve(&workspace, ATTENTION_ROWS * width_v);
    tile->score = carve(&workspace, ATTENTION_ROWS * ATTENTION_COLUMNS);
    tile->output = carve(&workspace, ATTENTION_COLUMNS * width_v);
    tile->maximum = carve(&workspace, ATTENTION_COLUMNS);
    tile->sum = carve(&workspace, ATTENTION_COLUMNS);
    tile->shrink = carve(&workspace, ATTENTION_COLUMNS);
    return workspace.used;
}

void attention_start_queries(AttentionForwardTile *tile, const AttentionPlan *plan, size_t row, size_t count)
{
    attention_pack_columns(tile->query, tensor_row(plan->query, row), row_step(plan->query), count, plan->d_k,
                           plan->scale);
    memset(tile->output, 0, ATTENTION_COLUMNS * attention_width(plan->d_v) * sizeof(float));
    for (size_t i = 0; i < ATTENTION_COLUMNS; i++) {
        tile->maximum[i] = -INFINITY;
        tile->sum[i] = 0;
    }
}

bool attention_load_keys(AttentionForwardTile *tile, const AttentionPlan *plan, size_t row, size_t count)
{
    attention_pack_rows(tile->key, tensor_row(plan->key, row), row_step(plan->key), count, plan->d_k);
    return attention_pack_rows(tile->value, tensor_row(plan->value, row), row_step(plan->value), count, plan->d_v);
}

size_t attention_bind_backward_tile(AttentionBackwardTile *tile, void *memory, const AttentionPlan *plan)
{
    Arena workspace = {.base = memory, .capacity = SIZE_MAX};
    const size_t width_k = attention_width(plan->d_k), width_v = attention_width(plan->d_v);
    tile->key_columns = carve(&workspace, ATTENTION_COLUMNS * plan->d_k);
    tile->value_columns = carve(&workspace, ATTENTION_COLUMNS * plan->d_v);
    tile->key = carve(&workspace, ATTENTION_COLUMNS * width_k);
    tile->grad_key = carve(&workspace, ATTENTION_COLUMNS * width_k);
    tile->grad_value = carve(&workspace, ATTENTION_COLUMNS * width_v);
    tile->query = carve(&workspace, ATTENTION_ROWS * width_k);
    tile->grad_output = carve(&workspace, ATTENTION_ROWS * width_v);
    tile->grad_query = carve(&workspace, ATTENTION_ROWS * width_k);
    tile->p = carve(&workspace, ATTENTION_ROWS * ATTENTION_COLUMNS);
    tile->grad_score = carve(&workspace, ATTENTION_ROWS * ATTENTION_COLUMNS);
    tile->log_sum_exp = carve(&workspace, ATTENTION_ROWS);
    tile->delta = carve(&workspace, ATTENTION_ROWS);
    return workspace.used;
}

static void load_sums(float *sums, Tensor grad, size_t row, size_t count)
{
    if (grad.data)
        attention_pack_rows(sums, tensor_row(grad, row), row_step(grad), count, tensor_extent(grad, -1));
}

void attention_start_keys(AttentionBackwardTile *tile, const AttentionPlan *plan, const AttentionGradients *grad,
                          size_t row, size_t count)
{
    const float *key = tensor_row(plan->key, row), *value = tensor_row(plan->value, row);
    attention_pack_columns(tile->key_columns, key, row_step(plan->key), count, plan->d_k, plan->scale);
    attention_pack_columns(tile->value_columns, value, row_step(plan->value), count, plan->d_v, 1);
    tile->key_finite = attention_pack_rows(tile->key, key, row_step(plan->key), count, plan->d_k);
    memset(tile->grad_key, 0, ATTENTION_COLUMNS * attention_width(plan->d_k) * sizeof(float));
    memset(tile->grad_value, 0, ATTENTION_COLUMNS * attention_width(plan->d_v) * sizeof(float));
    load_sums(tile->grad_key, grad->key, row, count);
    load_sums(tile->grad_value, grad->value, row, count);
}

void attention_load_queries(AttentionBackwardTile *tile, const AttentionPlan *plan, const AttentionGradients *grad,
                            size_t row, size_t count)
{
    const float *query = tensor_row(plan->query, row), *grad_output = tensor_row(grad->output, row);
    tile->query_finite = attention_pack_rows(tile->query, query, row_step(plan->query), count, plan->d_k);
    tile->grad_finite = attention_pack_rows(tile->grad_output, grad_output, row_step(grad->output), count, plan->d_v);
    const float *log_sum_exp = tensor_row(grad->log_sum_exp, row);
    for (size_t i = 0; i < ATTENTION_ROWS; i++) {
        tile->log_sum_exp[i] = i < count ? log_sum_exp[(ptrdiff_t)i * row_step(grad->log_sum_exp)] : 0;
        tile->delta[i] = i < count ? grad->delta[row + i] : 0;
    }
    memset(tile->grad_query, 0, ATTENTION_ROWS * attention_width(plan->d_k) * sizeof(float));
}

void attention_store_query_gradients(const AttentionGradients *grad, const AttentionBackwardTile *tile, size_t row,
                                     size_t count)
{
    const size_t d_k = tensor_extent(grad->query, -1), width = attention_width(d_k);
    float *to = tensor_row(grad->query, row);
    for (size_t i = 0; i < count; i++, to += row_step(grad->query))
        vec_axpy(to, 1, tile->grad_query + i * width, d_k);
}

static void store_sums(Tensor grad, const float *sums, size_t row, size_t count)
{
    if (!grad.data)
        return;
    const size_t n = tensor_extent(grad, -1), width = attention_width(n);
    float *to = tensor_row(grad, row);
    for (size_t i = 0; i < count; i++, to += row_step(grad))
        memcpy(to, sums + i * width, n * sizeof(float));
}

void attention_store_key_gradients(const AttentionGradients *grad, const AttentionBackwardTile *tile, size_t row,
                                   size_t count)
{
    store_sums(grad->key, tile->grad_key, row, count);
    store_sums(grad->value, tile->grad_value, row, count);
}

void attention_store_output(Tensor output, Tensor log_sum_exp, const AttentionForwardTile *tile, size_t row,
                            size_t count)
{
    const size_t d_v = tensor_extent(output, -1), width = attention_width(d_v);
    float *to = tensor_row(output, row), *to_log = log_sum_exp.data ? tensor_row(log_sum_exp, row) : NULL;
    for (size_t i = 0; i < count; i++, to += row_step(output)) {
        const float sum = tile->sum[i];
        vec_scale(to, sum == 0 ? 0 : 1 / sum, tile->output + i * width, d_v);
        if (to_log)
            to_log[(ptrdiff_t)i * row_step(log_sum_exp)] = tile->maximum[i] + logf(sum);
    }
}

void attention_delta(const AttentionPlan *plan, const AttentionGradients *grad, Tensor output)
{
#pragma omp parallel for
    for (size_t head = 0; head < plan->heads; head++) {
        const size_t row = head * plan->queries;
        const float *o = tensor_row(output, row), *grad_o = tensor_row(grad->output, row);
        for (size_t i = 0; i < plan->queries; i++, o += row_step(output), grad_o += row_step(grad->output))
            grad->delta[row + i] = vec_dot(o, grad_o, plan->d_v);
    }
}
