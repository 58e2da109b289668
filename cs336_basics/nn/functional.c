#include "nn/functional.h"

#include "core/parallel.h"
#include "kernels/vecmath.h"
#include "nn/attention_block.h"
#include "nn/attention_plan.h"
#include "nn/check.h"

#include <math.h>

enum {
    LOSS_CHUNKS = 64,    /* chunks of rows of a loss: a fixed number, so that the order of additions is fixed, too */
    HEADS_PER_THREAD = 4 /* heads for each thread from which threads take whole heads: the last thread then works at
                            most one head, a quarter of its work, longer than the first */
};

/* ---- softmax ---- */

static void softmax_row(float *y, const float *x, size_t n)
{
    const VecmathKernels *vec = vecmath();
    const float sum = vec->exp_shifted(y, x, vec->max(x, n), n);
    vec->scale(y, 1 / sum, y, n);
}

/* The same for numbers that are not adjacent: y_stride and x_stride floats from one to the next. */
static void softmax_strided(float *y, ptrdiff_t y_stride, const float *x, ptrdiff_t x_stride, ptrdiff_t n)
{
    float max = -INFINITY, sum = 0;
    for (ptrdiff_t i = 0; i < n; i++)
        max = x[i * x_stride] > max ? x[i * x_stride] : max;
    for (ptrdiff_t i = 0; i < n; i++)
        sum += y[i * y_stride] = expf(x[i * x_stride] - max);
    for (ptrdiff_t i = 0; i < n; i++)
        y[i * y_stride] /= sum;
}

static Status check_dimension(const char *function, int dimension, const char *name, Tensor t)
{
    if (dimension >= -t.rank && dimension < t.rank)
        return CS336_OK;
    return status_fail(CS336_ESHAPE, "%s: no dimension %d, %s is %s", function, dimension, name, tensor_shape_text(t));
}

Status softmax_forward(Tensor y, Tensor x, int dimension)
{
    if (nn_check_same_shape(y, x) || check_dimension(__func__, dimension, "x", x))
        return CS336_ESHAPE;
    /* The dimension becomes the last one, so that each row is one softmax. */
    y = tensor_transpose(y, dimension, -1);
    x = tensor_transpose(x, dimension, -1);
    const size_t rows = tensor_rows(x), n = tensor_extent(x, -1);
    const ptrdiff_t y_stride = y.stride[y.rank - 1], x_stride = x.stride[x.rank - 1];
#pragma omp parallel for num_threads(parallel_threads_for(rows *n))
    for (size_t row = 0; row < rows; row++)
        if (y_stride == 1 && x_stride == 1)
            softmax_row(tensor_row(y, row), tensor_row(x, row), n);
        else
            softmax_strided(tensor_row(y, row), y_stride, tensor_row(x, row), x_stride, (ptrdiff_t)n);
    return CS336_OK;
}

/*
 * From y_i = e^{x_i} / sum_k e^{x_k} follows dy_i/dx_j = y_i (delta_ij - y_j), and so
 *
 *     dL/dx_j = sum_i dL/dy_i y_i (delta_ij - y_j) = y_j (dL/dy_j - sum_i dL/dy_i y_i)
 */
Status softmax_backward(Tensor grad_x, Tensor grad_y, Tensor y, int dimension)
{
    if (nn_check_same_shape(grad_y, y) || check_dimension(__func__, dimension, "y", y) ||
        nn_check_same_shape(grad_x, y))
        return CS336_ESHAPE;
    /* As in the forward pass, the dimension becomes the last one. */
    grad_x = tensor_transpose(grad_x, dimension, -1);
    grad_y = tensor_transpose(grad_y, dimension, -1);
    y = tensor_transpose(y, dimension, -1);
    const size_t rows = tensor_rows(y);
    const ptrdiff_t n = (ptrdiff_t)tensor_extent(y, -1), y_stride = y.stride[y.rank - 1];
    const ptrdiff_t grad_x_stride = grad_x.stride[y.rank - 1], grad_y_stride = grad_y.stride[y.rank - 1];
#pragma omp parallel for num_threads(parallel_threads_for(rows *(size_t)n))
    for (size_t row = 0; row < rows; row++) {
        float *grad_x_row = tensor_row(grad_x, row);
        const float *grad_y_row = tensor_row(grad_y, row), *y_row = tensor_row(y, row);
        float dot = 0; /* sum_i dL/dy_i y_i */
        for (ptrdiff_t i = 0; i < n; i++)
            dot += grad_y_row[i * grad_y_stride] * y_row[i * y_stride];
        for (ptrdiff_t i = 0; i < n; i++)
            grad_x_row[i * grad_x_stride] = y_row[i * y_stride] * (grad_y_row[i * grad_y_stride] - dot);
    }
    return CS336_OK;
}

/* ---- log-sum-exp ---- */

/*
 * Computes y_j = e^(x_j - shift), where shift is the greatest x, and returns the sum of the y. They are stored only if
 * y is not NULL. An infinite maximum is not subtracted: inf - inf would turn rows of -inf, and rows that hold inf, into
 * NaN. The shift is then 0.
 */
static float exponentials(float *y, float *shift, const float *x, size_t n)
{
    const VecmathKernels *vec = vecmath();
    const float max = vec->max(x, n);
    *shift = isinf(max) ? 0 : max;
    return vec->exp_shifted(y, x, *shift, n);
}

Status log_sum_exp_forward(Tensor log_sum_exp, Tensor x)
{
    if (nn_check_last(log_sum_exp, x, 1) || nn_check_rows_contiguous(x))
        return CS336_ESHAPE;
    const size_t rows = tensor_rows(x), n = tensor_extent(x, -1);
#pragma omp parallel for num_threads(parallel_threads_for(rows *n))
    for (size_t row = 0; row < rows; row++) {
        float shift;
        const float sum = exponentials(NULL, &shift, tensor_row(x, row), n);
        *tensor_row(log_sum_exp, row) = shift + logf(sum);
    }
    return CS336_OK;
}

/* l = log sum_k e^{x_k}, so dl/dx_j = e^{x_j} / sum_k e^{x_k} = e^{x_j - l}: the softmax. */
Status log_sum_exp_backward(Tensor grad_x, Tensor grad_log_sum_exp, Tensor log_sum_exp, Tensor x)
{
    if (nn_check_same_shape(grad_x, x) || nn_check_last(grad_log_sum_exp, x, 1) || nn_check_last(log_sum_exp, x, 1) ||
        nn_check_rows_contiguous(x) || nn_check_rows_contiguous(grad_x))
        return CS336_ESHAPE;
    const VecmathKernels *vec = vecmath();
    const size_t rows = tensor_rows(x), n = tensor_extent(x, -1);
#pragma omp parallel for num_threads(parallel_threads_for(rows *n))
    for (size_t row = 0; row < rows; row++) {
        float *grad_row = tensor_row(grad_x, row);
        vec->exp_shifted(grad_row, tensor_row(x, row), *tensor_row(log_sum_exp, row), n);
        vec->scale(grad_row, *tensor_row(grad_log_sum_exp, row), grad_row, n);
    }
    return CS336_OK;
}

/* ---- SiLU ---- */

Status silu_forward(Tensor y, Tensor x)
{
    if (nn_check_same_shape(y, x) || nn_check_rows_contiguous(x) || nn_check_rows_contiguous(y))
        return CS336_ESHAPE;
    const VecmathKernels *vec = vecmath();
    const size_t rows = tensor_rows(x), n = tensor_extent(x, -1);
#pragma omp parallel for num_threads(parallel_threads_for(rows *n))
    for (size_t row = 0; row < rows; row++)
        vec->swiglu(tensor_row(y, row), tensor_row(x, row), NULL, n);
    return CS336_OK;
}

/* y = x p with the sigmoid p = 1 / (1 + e^-x), whose slope is p (1 - p). So dy/dx = p + x p (1 - p) = p + y (1 - p). */
Status silu_backward(Tensor grad_x, Tensor grad_y, Tensor x)
{
    if (nn_check_same_shape(grad_x, x) || nn_check_same_shape(grad_y, x) || nn_check_rows_contiguous(x) ||
        nn_check_rows_contiguous(grad_y) || nn_check_rows_contiguous(grad_x))
        return CS336_ESHAPE;
    const VecmathKernels *vec = vecmath();
    const size_t rows = tensor_rows(x), n = tensor_extent(x, -1);
#pragma omp parallel for num_threads(parallel_threads_for(rows *n))
    for (size_t row = 0; row < rows; row++)
        vec->swiglu_backward(tensor_row(grad_x, row), NULL, NULL, tensor_row(grad_y, row), tensor_row(x, row), NULL, n);
    return CS336_OK;
}

/* ---- cross-entropy ---- */

static Status check_targets(const char *function, Tensor logits, TokenTensor targets)
{
    if (!tokens_fit_rows(targets, logits))
        return status_fail(CS336_ESHAPE, "%s: targets are %s, logits are %s", function,
                           shape_text(targets.rank, targets.shape), tensor_shape_text(logits));
    const Status s = tokens_check(function, "target", targets, tensor_extent(logits, -1));
    return s ? s : nn_check_rows_contiguous_of(function, "logits", logits);
}

/*
 * The loss of a row is l - x_t with l = log sum_j e^(x_j). Its gradient is e^(x_j) / sum_k e^(x_k) - [j = t]: the
 * exponentials that the loss sums are the numerators of the gradient, so one pass computes both.
 */
double cross_entropy_row(float *grad_logits, float *log_sum_exp, const float *logits, size_t vocab, size_t target,
                         double weight)
{
    const float target_logit = logits[target]; /* read first: grad_logits may overwrite the logits */
    float shift;
    /* sum = sum_j e^(x_j - shift), so l = shift + log sum */
    const double sum = (double)exponentials(grad_logits, &shift, logits, vocab), l = log(sum) + (double)shift;
    /* grad_logits holds e^(x_j - shift): divide by the sum, and subtract 1 at the target, both times the weight. */
    if (grad_logits) {
        vecmath()->scale(grad_logits, (float)(weight / sum), grad_logits, vocab);
        grad_logits[target] -= (float)weight;
    }
    if (log_sum_exp)
        *log_sum_exp = (float)l;
    return l - (double)target_logit;
}

Status cross_entropy_forward(float *loss, Tensor log_sum_exp, Tensor logits, TokenTensor targets)
{
    Status s = check_targets(__func__, logits, targets);
    if (!s && log_sum_exp.data)
        s = nn_check_last(log_sum_exp, logits, 1);
    if (s)
        return s;
    const size_t rows = tensor_rows(logits), vocab = tensor_extent(logits, -1);
    /* One thread adds the losses of a chunk. The chunks are added in order, so the sum does not depend on threads. */
    double chunk_sum[LOSS_CHUNKS];
#pragma omp parallel for num_threads(parallel_threads_for(rows *vocab))
    for (size_t chunk = 0; chunk < LOSS_CHUNKS; chunk++) {
        chunk_sum[chunk] = 0;
        for (size_t row = chunk * rows / LOSS_CHUNKS; row < (chunk + 1) * rows / LOSS_CHUNKS; row++)
            chunk_sum[chunk] += cross_entropy_row(NULL, log_sum_exp.data ? tensor_row(log_sum_exp, row) : NULL,
                                                  tensor_row(logits, row), vocab, (size_t)tokens_at(targets, row), 1);
    }
    double sum = 0;
    for (size_t chunk = 0; chunk < LOSS_CHUNKS; chunk++)
        sum += chunk_sum[chunk];
    *loss = (float)(sum / (double)rows);
    return CS336_OK;
}

/*
 * With l_n = log sum_j e^(x_nj), kept in log_sum_exp: d(l_n - x_nt)/dx_nj = e^(x_nj - l_n) - [j = t], where t is the
 * target of row n. L is the mean over N rows, so each gradient is divided by N.
 */
Status cross_entropy_backward(Tensor grad_logits, Tensor log_sum_exp, Tensor logits, TokenTensor targets)
{
    const Status s = check_targets(__func__, logits, targets);
    if (s)
        return s;
    if (nn_check_same_shape(grad_logits, logits) || nn_check_last(log_sum_exp, logits, 1) ||
        nn_check_rows_contiguous(grad_logits))
        return CS336_ESHAPE;
    const VecmathKernels *vec = vecmath();
    const size_t rows = tensor_rows(logits), vocab = tensor_extent(logits, -1);
    const float scale = 1 / (float)rows; /* 1 / N */
#pragma omp parallel for num_threads(parallel_threads_for(rows *vocab))
    for (size_t row = 0; row < rows; row++) {
        float *grad_row = tensor_row(grad_logits, row);
        vec->exp_shifted(grad_row, tensor_row(logits, row), *tensor_row(log_sum_exp, row), vocab);
        grad_row[tokens_at(targets, row)] -= 1;
        vec->scale(grad_row, scale, grad_row, vocab);
    }
    return CS336_OK;
}

/* ---- scaled dot-product attention ---- */

/*
 * The keys come in blocks, and the maximum that a softmax subtracts is not known before the last block. The online
 * softmax subtracts m, the greatest score so far, and corrects the sums when a block brings a greater one, m'. For a
 * query q, with s_j = q . k_j / sqrt(d_k) for the keys j of the block,
 *
 *     m' = max(m, max_j s_j)                              block->maximum
 *     f  = e^(m - m')                                     block->rescale
 *     Z' = f Z + sum_j e^(s_j - m')                       block->sum
 *     O' = f O + sum_j e^(s_j - m') v_j                   block->output
 *
 * After all blocks, output = O / Z and log_sum_exp = m + log Z: query_block_store(). A score block has a column for
 * each query and a row for each key: block->score is the transpose of S and P below.
 */
static void forward_score_block(QueryBlock *block, const AttentionPlan *plan, const ScoreBlock *shape, size_t column)
{
    const AttentionKernels *kernels = plan->kernels;
    const PackedColumns query = packed_columns_from(block->query, column);
    float *output = packed_rows_from(block->output, column).data;

    /* S = Q K^T / sqrt(d_k); the packed queries include the factor */
    kernels->scores(block->score, block->key, query, shape);
    /* S = -inf where the mask hides a key */
    kernels->hide(block->score, -INFINITY, shape);
    /* m, f and Z; S becomes P = e^(S - m) */
    kernels->softmax(block->score, block->maximum + column, block->sum + column, block->rescale, shape);
    /* O = f O + P V */
    kernels->add_to_columns(output, block->rescale, block->score, block->value, shape);
}

/* Computes the outputs of few queries, each by itself: no key serves enough queries to be worth packing. */
static void forward_few_queries(const AttentionPlan *plan)
{
    const size_t rows = plan->heads * plan->queries;
#pragma omp parallel for num_threads(attention_few_threads(rows * plan->keys, plan->d_k, plan->d_v))
    for (size_t row = 0; row < rows; row++) {
        const AttentionQuery query = attention_query(plan, row / plan->queries, row % plan->queries);
        float *log_sum_exp = plan->log_sum_exp.data ? tensor_row(plan->log_sum_exp, row) : NULL;
        plan->kernels->attend(tensor_row(plan->output, row), log_sum_exp, &query);
    }
}

/* Computes the outputs of one query block: up to plan->block_tokens queries of a head, from `first` on. */
static void forward_query_block(const AttentionPlan *plan, size_t head, size_t first)
{
    QueryBlock block;
    query_block_bind(&block, plan, parallel_private(plan->workspace));
    query_block_start(&block, plan, head, first);
    /* Stream past the block all keys that any of its queries sees, SCORE_BLOCK_ROWS at a time. */
    const size_t keys_seen = attention_keys_seen(plan, first + block.count);
    for (size_t key = 0; key < keys_seen; key += SCORE_BLOCK_ROWS) {
        query_block_load_keys(&block, plan, key);
        for (size_t column = 0; column < block.count; column += SCORE_BLOCK_COLUMNS) {
            const ScoreBlock shape = attention_forward_scores(plan, head, first + column, key);
            if (!score_block_is_hidden(&shape))
                forward_score_block(&block, plan, &shape, column);
        }
    }
    query_block_store(&block, plan);
}

static Status forward(AttentionPlan *plan, const char *function)
{
    QueryBlock measured;
    if (attention_plan(plan, function))
        return CS336_ESHAPE;
    if (plan->queries <= ATTENTION_FEW_QUERIES) {
        forward_few_queries(plan);
        return CS336_OK;
    }
    /* Reserve a query block in the workspace of every thread. */
    const Status s = parallel_reserve(0, query_block_bind(&measured, plan, NULL));
    if (s)
        return s;
    plan->workspace = parallel_workspace();
    const size_t blocks = block_count(plan->queries, plan->block_tokens);
    /* The last queries of a causal head see the most keys. They come first, so that short tasks end the loop. */
#pragma omp parallel for schedule(dynamic) num_threads(attention_threads(plan))
    for (size_t task = 0; task < plan->heads * blocks; task++)
        forward_query_block(plan, task / blocks, (blocks - 1 - task % blocks) * plan->block_tokens);
    return CS336_OK;
}

Status scaled_dot_product_attention_forward(Tensor output, Tensor log_sum_exp, Tensor query, Tensor key, Tensor value,
                                            AttentionMask mask)
{
    AttentionPlan plan = {
        .output = output, .log_sum_exp = log_sum_exp, .query = query, .key = key, .value = value, .mask = mask};
    return forward(&plan, __func__);
}

Status scaled_dot_product_attention_bf16_forward(Tensor output, Tensor log_sum_exp, Tensor query, Tensor key,
                                                 Tensor value, AttentionMask mask)
{
    AttentionPlan plan = {
        .output = output, .log_sum_exp = log_sum_exp, .query = query, .key = key, .value = value, .mask = mask};
    plan.bf16 = true;
    return forward(&plan, __func__);
}

/*
 * Backward: O = P V with the softmax P of S = Q K^T / sqrt(d_k), row by row. The forward pass kept
 * l_i = log sum_j e^(s_ij), which gives back P_ij = e^(s_ij - l_i). From O = P V follow dV = P^T dO and dP = dO V^T.
 * Then, as in softmax_backward(),
 *
 *     dS_ij = P_ij (dP_ij - delta_i),    delta_i = sum_j P_ij dP_ij = sum_j P_ij dO_i . v_j = dO_i . O_i
 *
 * so one number for each query, delta_i, stands for the sum over all keys: block->delta. Last, dQ = dS K / sqrt(d_k)
 * and dK = dS^T Q / sqrt(d_k); grad_score holds dS / sqrt(d_k), which both need. Here a score block has a column for
 * each key and a row for each query.
 */
static void backward_score_block(KeyBlock *block, const AttentionPlan *plan, const ScoreBlock *shape, size_t column)
{
    const AttentionKernels *kernels = plan->kernels;
    const PackedColumns key = packed_columns_from(block->key_columns, column);
    const PackedColumns value = packed_columns_from(block->value_columns, column);
    float *grad_key = packed_rows_from(block->grad_key, column).data;
    float *grad_value = packed_rows_from(block->grad_value, column).data;
    float *p = block->probability, *grad_score = block->grad_score;

    /* P = e^(S - l) with S = Q K^T / sqrt(d_k); the packed key columns include the factor */
    kernels->probabilities(p, block->query, key, block->log_sum_exp, shape);
    kernels->hide(p, 0, shape);
    /* dV += P^T dO */
    kernels->add_to_columns(grad_value, NULL, p, block->grad_output, shape);
    /* grad_score = dS / sqrt(d_k) with dS = P (dP - delta) and dP = dO V^T */
    kernels->score_gradients(grad_score, block->grad_output, value, p, block->delta, plan->scale, shape);
    /* dK += grad_score^T Q and dQ += grad_score K */
    kernels->add_to_columns(grad_key, NULL, grad_score, block->query, shape);
    kernels->add_to_rows(block->grad_query.data, grad_score, packed_rows_from(block->key, column), shape);
}

/*
 * Adds to dQ, dK and dV what comes from one rectangle of the score matrix: the queries begin ... end - 1 and one key
 * block, the keys from `key` on. The first queries that see these keys find dK and dV at 0.
 */
static void backward_key_block(const AttentionPlan *plan, size_t head, size_t key, size_t begin, size_t end)
{
    KeyBlock block;
    key_block_bind(&block, plan, parallel_private(plan->workspace));
    key_block_start(&block, plan, head, key, begin == attention_first_query(plan, key));
    for (size_t query = begin; query < end; query += SCORE_BLOCK_ROWS) {
        key_block_load_queries(&block, plan, query, block_extent(query, end, SCORE_BLOCK_ROWS));
        for (size_t column = 0; column < block.count; column += SCORE_BLOCK_COLUMNS) {
            const ScoreBlock shape = attention_backward_scores(plan, head, query, key + column);
            if (!score_block_is_hidden(&shape))
                backward_score_block(&block, plan, &shape, column);
        }
        key_block_store_queries(&block, plan);
    }
    key_block_store(&block, plan);
}

/* One thread computes all of a head, key block after key block. */
static void backward_by_heads(const AttentionPlan *plan)
{
#pragma omp parallel for schedule(dynamic) num_threads(attention_threads(plan))
    for (size_t head = 0; head < plan->heads; head++)
        for (size_t key = 0; key < plan->keys; key += plan->block_tokens)
            backward_key_block(plan, head, key, attention_first_query(plan, key), plan->queries);
}

/*
 * Several threads share a head. Query block i and key block j meet in block (i, j) of the score matrix. Blocks on one
 * antidiagonal, those with the same i + j, share neither queries nor keys, so threads compute them at the same time
 * without locks. Each sum gets its terms in the same order as in backward_by_heads(): dQ of block i over rising j, dK
 * and dV of block j over rising i.
 */
static void backward_by_antidiagonals(const AttentionPlan *plan)
{
    const size_t block = plan->block_tokens;
    const size_t query_blocks = block_count(plan->queries, block), key_blocks = block_count(plan->keys, block);
    for (size_t antidiagonal = 0; antidiagonal + 1 < query_blocks + key_blocks; antidiagonal++) {
#pragma omp parallel for schedule(dynamic) num_threads(attention_threads(plan))
        for (size_t task = 0; task < plan->heads * key_blocks; task++) {
            const size_t head = task / key_blocks, j = task % key_blocks, i = antidiagonal - j, key = j * block;
            /* Skip what lies outside the matrix, and key blocks that no query of block i sees. */
            if (j > antidiagonal || i >= query_blocks || i * block < attention_first_query(plan, key))
                continue;
            backward_key_block(plan, head, key, i * block, i * block + block_extent(i * block, plan->queries, block));
        }
    }
}

/* Takes delta: one number for each query of each head. */
static float *take_delta(Arena *arena, Tensor query)
{
    return arena_take(arena, tensor_rows(query) * sizeof(float));
}

size_t scaled_dot_product_attention_scratch(Tensor query)
{
    Arena measure = {0};
    take_delta(&measure, query);
    return measure.peak;
}

static Status backward(AttentionPlan *plan, const char *function, Arena *scratch)
{
    AttentionGradients *grad = &plan->grad;
    KeyBlock measured;
    if (attention_plan(plan, function) || attention_plan_gradients(plan, function))
        return CS336_ESHAPE;
    /* Reserve a key block in the workspace of every thread, and take delta. */
    Status s = parallel_reserve(0, key_block_bind(&measured, plan, NULL));
    if (s)
        return s;
    plan->workspace = parallel_workspace();
    const size_t mark = arena_mark(scratch), threads = (size_t)parallel_threads();
    grad->delta = take_delta(scratch, plan->query);
    s = arena_keep(scratch, mark);
    if (s)
        return s;
    /* Without queries or keys all gradients are 0. Else threads take whole heads, if there are enough for all. */
    if (plan->queries == 0 || plan->keys == 0) {
        attention_clear_gradient(grad->query);
        attention_clear_gradient(grad->key);
        attention_clear_gradient(grad->value);
    } else if (plan->heads >= HEADS_PER_THREAD * threads || plan->heads % threads == 0) {
        backward_by_heads(plan);
    } else {
        backward_by_antidiagonals(plan);
    }
    arena_release(scratch, mark);
    return CS336_OK;
}

Status scaled_dot_product_attention_backward(Tensor grad_query, Tensor grad_key, Tensor grad_value, Tensor grad_output,
                                             Tensor output, Tensor log_sum_exp, Tensor query, Tensor key, Tensor value,
                                             AttentionMask mask, Arena *scratch)
{
    AttentionPlan plan = {
        .output = output, .log_sum_exp = log_sum_exp, .query = query, .key = key, .value = value, .mask = mask};
    plan.grad = (AttentionGradients){.output = grad_output, .query = grad_query, .key = grad_key, .value = grad_value};
    return backward(&plan, __func__, scratch);
}

Status scaled_dot_product_attention_bf16_backward(Tensor grad_query, Tensor grad_key, Tensor grad_value,
                                                  Tensor grad_output, Tensor output, Tensor log_sum_exp, Tensor query,
                                                  Tensor key, Tensor value, AttentionMask mask, Arena *scratch)
{
    AttentionPlan plan = {
        .output = output, .log_sum_exp = log_sum_exp, .query = query, .key = key, .value = value, .mask = mask};
    plan.grad = (AttentionGradients){.output = grad_output, .query = grad_query, .key = grad_key, .value = grad_value};
    plan.bf16 = true;
    return backward(&plan, __func__, scratch);
}
