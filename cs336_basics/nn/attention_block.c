#include "nn/attention_block.h"

#include "core/parallel.h"

#include <math.h>
#include <string.h>

/*
 * Takes `count` floats from the workspace. The same sequence of calls, made earlier without memory, has measured how
 * many bytes it needs.
 */
static float *take(Arena *workspace, size_t count)
{
    return arena_take(workspace, count * sizeof(float));
}

static PackedRows take_rows(Arena *workspace, size_t count, size_t depth, RowProducts products)
{
    return (PackedRows){.data = take(workspace, count * attention_width(depth)), .depth = depth, .products = products};
}

static PackedRows take_sums(Arena *workspace, size_t count, size_t depth)
{
    return (PackedRows){.data = take(workspace, count * attention_width(depth)), .depth = depth};
}

static PackedColumns take_columns(Arena *workspace, size_t count, size_t depth, float scale)
{
    return (PackedColumns){.data = take(workspace, count * attention_width(depth)), .depth = depth, .scale = scale};
}

/* Returns the floats from one token's row to the next. */
static ptrdiff_t row_stride(Tensor t)
{
    return t.stride[t.rank - 2];
}

/* ---- forward ---- */

size_t query_block_bind(QueryBlock *block, const AttentionPlan *plan, void *memory)
{
    Arena workspace = {.base = memory, .capacity = SIZE_MAX};
    block->query = take_columns(&workspace, ATTENTION_BLOCK_TOKENS, plan->d_k, plan->scale);
    block->output = take_sums(&workspace, ATTENTION_BLOCK_TOKENS, plan->d_v);
    block->maximum = take(&workspace, ATTENTION_BLOCK_TOKENS);
    block->sum = take(&workspace, ATTENTION_BLOCK_TOKENS);
    block->rescale = take(&workspace, SCORE_BLOCK_COLUMNS);
    block->key = take_rows(&workspace, SCORE_BLOCK_ROWS, plan->d_k, ROWS_IN_SCORES);
    block->value = take_rows(&workspace, SCORE_BLOCK_ROWS, plan->d_v, ROWS_IN_SUMS);
    block->score = take(&workspace, SCORE_BLOCK_ROWS * SCORE_BLOCK_COLUMNS);
    return workspace.used;
}

void query_block_start(QueryBlock *block, const AttentionPlan *plan, size_t head, size_t first)
{
    block->head = head;
    block->first = first;
    block->count = block_extent(first, plan->queries, plan->block_tokens);
    plan->kernels->begin();

    /* Pack the queries times 1 / sqrt(d_k), so that their products with keys are scaled scores. */
    const float *query = tensor_row(plan->query, head * plan->queries + first);
    const size_t count = block->count, padded = block_count(count, SCORE_BLOCK_COLUMNS) * SCORE_BLOCK_COLUMNS;
    plan->kernels->pack_columns(block->query, query, row_stride(plan->query), count);

    /* No key has been seen: m = -inf, Z = 0, O = 0. */
    memset(block->output.data, 0, padded * attention_width(plan->d_v) * sizeof(float));
    for (size_t i = 0; i < padded; i++) {
        block->maximum[i] = -INFINITY;
        block->sum[i] = 0;
    }
}

void query_block_load_keys(QueryBlock *block, const AttentionPlan *plan, size_t key)
{
    const size_t row = block->head * plan->keys + key, count = block_extent(key, plan->keys, SCORE_BLOCK_ROWS);
    plan->kernels->pack_rows(&block->key, tensor_row(plan->key, row), row_stride(plan->key), count);
    plan->kernels->pack_rows(&block->value, tensor_row(plan->value, row), row_stride(plan->value), count);
}

void query_block_store(QueryBlock *block, const AttentionPlan *plan)
{
    const size_t row = block->head * plan->queries + block->first;
    /* log_sum_exp = m + log Z, and 1 / Z, by which unpack_sums() multiplies O. If Z = 0, these are -inf and 0. */
    for (size_t i = 0; i < block->count; i++) {
        const float sum = block->sum[i];
        if (plan->log_sum_exp.data)
            *tensor_row(plan->log_sum_exp, row + i) = block->maximum[i] + logf(sum);
        block->sum[i] = sum == 0 ? 0 : 1 / sum;
    }
    plan->kernels->unpack_sums(tensor_row(plan->output, row), row_stride(plan->output), block->output, block->sum,
                               block->count);
    plan->kernels->end();
}

/* ---- backward ---- */

size_t key_block_bind(KeyBlock *block, const AttentionPlan *plan, void *memory)
{
    Arena workspace = {.base = memory, .capacity = SIZE_MAX};
    block->key_columns = take_columns(&workspace, ATTENTION_BLOCK_TOKENS, plan->d_k, plan->scale);
    block->value_columns = take_columns(&workspace, ATTENTION_BLOCK_TOKENS, plan->d_v, 1);
    block->key = take_rows(&workspace, ATTENTION_BLOCK_TOKENS, plan->d_k, ROWS_IN_SUMS);
    block->grad_key = take_sums(&workspace, ATTENTION_BLOCK_TOKENS, plan->d_k);
    block->grad_value = take_sums(&workspace, ATTENTION_BLOCK_TOKENS, plan->d_v);
    block->query = take_rows(&workspace, SCORE_BLOCK_ROWS, plan->d_k, ROWS_IN_BOTH);
    block->grad_output = take_rows(&workspace, SCORE_BLOCK_ROWS, plan->d_v, ROWS_IN_BOTH);
    block->grad_query = take_sums(&workspace, SCORE_BLOCK_ROWS, plan->d_k);
    block->probability = take(&workspace, SCORE_BLOCK_ROWS * SCORE_BLOCK_COLUMNS);
    block->grad_score = take(&workspace, SCORE_BLOCK_ROWS * SCORE_BLOCK_COLUMNS);
    block->log_sum_exp = take(&workspace, SCORE_BLOCK_ROWS);
    block->delta = take(&workspace, SCORE_BLOCK_ROWS);
    return workspace.used;
}

/* Packs the sums of a gradient that an earlier block stored, or zeros for a fresh or unwanted gradient. */
static void load_sums(PackedRows *sums, const AttentionPlan *plan, Tensor grad, size_t row, size_t count, bool fresh)
{
    if (fresh || !grad.data) {
        const size_t padded = block_count(count, ATTENTION_WIDEST_PANEL) * ATTENTION_WIDEST_PANEL;
        memset(sums->data, 0, padded * attention_width(sums->depth) * sizeof(float));
    } else {
        plan->kernels->pack_sums(*sums, tensor_row(grad, row), row_stride(grad), count);
    }
}

static void store_sums(Tensor grad, const AttentionPlan *plan, PackedRows sums, size_t row, size_t count)
{
    if (grad.data)
        plan->kernels->unpack_sums(tensor_row(grad, row), row_stride(grad), sums, NULL, count);
}

void key_block_start(KeyBlock *block, const AttentionPlan *plan, size_t head, size_t first, bool fresh)
{
    const AttentionKernels *kernels = plan->kernels;
    const size_t row = head * plan->keys + first, count = block_extent(first, plan->keys, plan->block_tokens);
    const float *key = tensor_row(plan->key, row), *value = tensor_row(plan->value, row);
    block->head = head;
    block->first = first;
    block->count = count;
    kernels->begin();
    /* K and V for the scores and their gradients, K for dQ, and the sums of dK and dV */
    kernels->pack_columns(block->key_columns, key, row_stride(plan->key), count);
    kernels->pack_columns(block->value_columns, value, row_stride(plan->value), count);
    kernels->pack_rows(&block->key, key, row_stride(plan->key), count);
    load_sums(&block->grad_key, plan, plan->grad.key, row, count, fresh);
    load_sums(&block->grad_value, plan, plan->grad.value, row, count, fresh);
}

void key_block_load_queries(KeyBlock *block, const AttentionPlan *plan, size_t query, size_t count)
{
    const AttentionGradients *grad = &plan->grad;
    const bool fresh = block->first == 0;
    const size_t row = block->head * plan->queries + query;
    block->query_row = row;
    block->query_count = count;
    /* Q, dO and the sums of dQ */
    plan->kernels->pack_rows(&block->query, tensor_row(plan->query, row), row_stride(plan->query), count);
    plan->kernels->pack_rows(&block->grad_output, tensor_row(grad->output, row), row_stride(grad->output), count);
    load_sums(&block->grad_query, plan, grad->query, row, count, fresh);

    /* With the first keys, compute delta_i = dO_i . O_i and keep it for the others. */
    for (size_t i = 0; i < count && fresh; i++)
        grad->delta[row + i] =
            plan->kernels->delta(tensor_row(plan->output, row + i), tensor_row(grad->output, row + i), plan->d_v);

    /* log_sum_exp and delta of the queries, and 0 up to the end of the last register tile. */
    const float *log_sum_exp = tensor_row(plan->log_sum_exp, row);
    for (size_t i = 0; i < SCORE_BLOCK_ROWS; i++) {
        block->log_sum_exp[i] = i < count ? log_sum_exp[(ptrdiff_t)i * row_stride(plan->log_sum_exp)] : 0;
        block->delta[i] = i < count ? grad->delta[row + i] : 0;
    }
}

void key_block_store_queries(const KeyBlock *block, const AttentionPlan *plan)
{
    store_sums(plan->grad.query, plan, block->grad_query, block->query_row, block->query_count);
}

void key_block_store(const KeyBlock *block, const AttentionPlan *plan)
{
    const size_t row = block->head * plan->keys + block->first;
    store_sums(plan->grad.key, plan, block->grad_key, row, block->count);
    store_sums(plan->grad.value, plan, block->grad_value, row, block->count);
    plan->kernels->end();
}

void attention_clear_gradient(Tensor grad)
{
    if (!grad.data)
        return;
    const size_t rows = tensor_extent(grad, -2), heads = rows ? tensor_rows(grad) / rows : 0;
#pragma omp parallel for num_threads(parallel_threads_for(tensor_count(grad)))
    for (size_t head = 0; head < heads; head++) {
        float *row = tensor_row(grad, head * rows);
        for (size_t i = 0; i < rows; i++, row += row_stride(grad))
            memset(row, 0, tensor_extent(grad, -1) * sizeof(float));
    }
}
