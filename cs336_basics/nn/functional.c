#include "nn/functional.h"

#include "core/parallel.h"
#include "kernels/vecmath.h"
#include "nn/attention_plan.h"
#include "nn/check.h"

#include <math.h>

enum {
    LOSS_CHUNKS = 64, /* chunks of rows of a loss: a fixed number, so that the order of additions is fixed, too */
    MANY_HEADS = 4    /* a thread */
};

/* ---- softmax ---- */

static void softmax_row(float *y, const float *x, size_t n)
{
    const VecmathKernels *vec = vecmath();
    const float sum = vec->exp_shifted(y, x, vec->max(x, n), n);
    vec->scale(y, 1 / sum, y, n);
}

/* The same for numbers that are not adjacent: y_step and x_step floats lie from one to the next. */
static void softmax_strided(float *y, ptrdiff_t y_step, const float *x, ptrdiff_t x_step, ptrdiff_t n)
{
    float max = -INFINITY, sum = 0;
    for (ptrdiff_t i = 0; i < n; i++)
        max = x[i * x_step] > max ? x[i * x_step] : max;
    for (ptrdiff_t i = 0; i < n; i++)
        sum += y[i * y_step] = expf(x[i * x_step] - max);
    for (ptrdiff_t i = 0; i < n; i++)
        y[i * y_step] /= sum;
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
    const ptrdiff_t y_step = y.stride[y.rank - 1], x_step = x.stride[x.rank - 1];
#pragma omp parallel for if (rows * n >= PARALLEL_NUMBERS)
    for (size_t row = 0; row < rows; row++)
        if (y_step == 1 && x_step == 1)
            softmax_row(tensor_row(y, row), tensor_row(x, row), n);
        else
            softmax_strided(tensor_row(y, row), y_step, tensor_row(x, row), x_step, (ptrdiff_t)n);
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
    grad_x = tensor_transpose(grad_x, dimension, -1);
    grad_y = tensor_transpose(grad_y, dimension, -1);
    y = tensor_transpose(y, dimension, -1);
    const size_t rows = tensor_rows(y), count = tensor_count(y);
    const ptrdiff_t n = (ptrdiff_t)tensor_extent(y, -1), y_step = y.stride[y.rank - 1];
    const ptrdiff_t grad_x_step = grad_x.stride[y.rank - 1], grad_y_step = grad_y.stride[y.rank - 1];
#pragma omp parallel for if (count >= PARALLEL_NUMBERS)
    for (size_t row = 0; row < rows; row++) {
        float *grad_x_row = tensor_row(grad_x, row);
        const float *grad_y_row = tensor_row(grad_y, row), *y_row = tensor_row(y, row);
        float dot = 0;
        for (ptrdiff_t i = 0; i < n; i++)
            dot += grad_y_row[i * grad_y_step] * y_row[i * y_step];
        for (ptrdiff_t i = 0; i < n; i++)
            grad_x_row[i * grad_x_step] = y_row[i * y_step] * (grad_y_row[i * grad_y_step] - dot);
    }
    return CS336_OK;
}

/* ---- log-sum-exp ---- */

/*
 * Computes e^(x_j - shift), stored only if y is not NULL, with the greatest x as shift, and returns their sum. An
 * infinite maximum is not subtracted: inf - inf would turn rows of -inf, and rows that hold inf, into NaN.
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
#pragma omp parallel for if (rows * n >= PARALLEL_NUMBERS)
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
#pragma omp parallel for if (rows * n >= PARALLEL_NUMBERS)
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
#pragma omp parallel for if (rows * n >= PARALLEL_NUMBERS)
    for (size_t row = 0; row < rows; row++)
        vec->swiglu(tensor_row(y, row), tensor_row(x, row), NULL, n);
    return CS336_OK;
}

/* y = x s(x) and s' = s (1 - s), so dy/dx = s + x s (1 - s) = s + y (1 - s). */
Status silu_backward(Tensor grad_x, Tensor grad_y, Tensor x)
{
    if (nn_check_same_shape(grad_x, x) || nn_check_same_shape(grad_y, x) || nn_check_rows_contiguous(x) ||
        nn_check_rows_contiguous(grad_y) || nn_check_rows_contiguous(grad_x))
        return CS336_ESHAPE;
    const VecmathKernels *vec = vecmath();
    const size_t rows = tensor_rows(x), n = tensor_extent(x, -1);
#pragma omp parallel for if (rows * n >= PARALLEL_NUMBERS)
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
    const float target_logit = logits[target]; /* grad_logits may overwrite it */
    float shift;
    const double sum = (double)exponentials(grad_logits, &shift, logits, vocab), l = log(sum) + (double)shift;
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
    /* One thread adds the rows of a chunk, and the chunks are added in order: the same sum for any number of threads.
     */
    double chunk_sum[LOSS_CHUNKS];
#pragma omp parallel for if (rows * vocab >= PARALLEL_NUMBERS)
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

/* With l_n = log sum_j e^{x_nj}: d(l_n - x_{n,t})/dx_nj = e^{x_nj - l_n} - [j = t], and L is the mean over N rows. */
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
    const float scale = 1 / (float)rows;
#pragma omp parallel for if (rows * vocab >= PARALLEL_NUMBERS)
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
 * The scores of a row come in tiles of keys, and its softmax is not known before the last. So O and l are kept relative
 * to the greatest score m so far: when a tile brings a greater one, m', both shrink by e^(m - m'). With s = q . k /
 * sqrt(d_k), over all tiles,
 *
 *     m = max_j s_j        l = sum_j e^(s_j - m)        O = sum_j e^(s_j - m) v_j        output = O / l
 */
static void attend_tile(AttentionQuerySpan *span, const AttentionPlan *plan, const AttentionTile *tile, size_t at)
{
    float *query = span->query + at * plan->d_k, *output = span->output + at * attention_width(plan->d_v);

    /* S = Q K^T / sqrt(d_k), the query being scaled already */
    attention_scores(span->score, span->key, query, plan->d_k, tile);
    /* -inf where the mask hides a key */
    attention_hide(span->score, -INFINITY, tile);
    /* m, l, and S becomes P = e^(S - m) */
    attention_softmax(span->score, span->maximum + at, span->sum + at, span->shrink, tile);
    /* O = shrink O + P V */
    attention_add_to_columns(output, span->shrink, span->score, span->value, plan->d_v, span->value_finite, tile);
}

/* The queries of one span. */
static void attend(Tensor output, Tensor log_sum_exp, const AttentionPlan *plan, size_t head, size_t first)
{
    AttentionQuerySpan span;
    attention_bind_query_span(&span, parallel_private(), plan);
    const size_t row = head * plan->queries + first, count = attention_part(first, plan->queries, plan->span);
    const size_t seen = attention_keys_seen(plan, first + count);
    attention_start_queries(&span, plan, row, count);
    for (size_t key = 0; key < seen; key += ATTENTION_ROWS) {
        attention_load_keys(&span, plan, head * plan->keys + key, attention_part(key, plan->keys, ATTENTION_ROWS));
        for (size_t at = 0; at < count; at += ATTENTION_COLUMNS) {
            const AttentionTile tile = attention_tile_of_queries(plan, head, first + at, key);
            if (!attention_sees_nothing(&tile))
                attend_tile(&span, plan, &tile, at);
        }
    }
    /* O / l and m + log l */
    attention_store_output(output, log_sum_exp, &span, row, count);
}

Status scaled_dot_product_attention_forward(Tensor output, Tensor log_sum_exp, Tensor query, Tensor key, Tensor value,
                                            AttentionMask mask)
{
    AttentionPlan plan;
    AttentionQuerySpan span;
    Status s =
        attention_plan(&plan, "scaled_dot_product_attention_forward", output, log_sum_exp, query, key, value, mask);
    if (!s)
        s = parallel_reserve(0, attention_bind_query_span(&span, NULL, &plan));
    if (s)
        return s;
    const size_t spans = attention_parts(plan.queries, plan.span);
    /* The last queries of a causal head see most keys: they come first, and the short spans fill the gaps. */
#pragma omp parallel for schedule(dynamic) if (attention_is_large(&plan))
    for (size_t task = 0; task < plan.heads * spans; task++)
        attend(output, log_sum_exp, &plan, task / spans, (spans - 1 - task % spans) * plan.span);
    return CS336_OK;
}

/* What the scores between a tile of queries and one of keys add to the gradients of both; the keys begin at `at`. */
static void add_tile_gradients(AttentionKeySpan *span, const AttentionPlan *plan, const AttentionTile *tile, size_t at)
{
    const size_t d_k = plan->d_k, d_v = plan->d_v, key = at * attention_width(d_k), value = at * attention_width(d_v);

    /* P = e^(S - l) with S = Q K^T / sqrt(d_k), the keys being scaled already */
    attention_probabilities(span->p, span->query, span->key_columns + at * d_k, d_k, span->log_sum_exp, tile);
    attention_hide(span->p, 0, tile);
    /* dV += P^T dO */
    attention_add_to_columns(span->grad_value + value, NULL, span->p, span->grad_output, d_v, span->grad_finite, tile);
    /* dS = P (dP - delta) / sqrt(d_k) with dP = dO V^T */
    attention_score_gradients(span->grad_score, span->grad_output, span->value_columns + at * d_v, d_v, span->p,
                              span->delta, plan->scale, tile);
    /* dK += dS^T Q and dQ += dS K */
    attention_add_to_columns(span->grad_key + key, NULL, span->grad_score, span->query, d_k, span->query_finite, tile);
    attention_add_to_rows(span->grad_query, span->grad_score, span->key + key, d_k, span->key_finite, tile);
}

/* One span of keys, from `key` on, and the queries begin ... end - 1; none before them sees these keys if `first`. */
static void add_span_gradients(const AttentionPlan *plan, const AttentionGradients *grad, size_t head, size_t key,
                               size_t begin, size_t end, bool first)
{
    AttentionKeySpan span;
    attention_bind_key_span(&span, parallel_private(), plan);
    const size_t key_row = head * plan->keys + key, keys = attention_part(key, plan->keys, plan->span);
    attention_start_keys(&span, plan, grad, key_row, keys, first);
    for (size_t query = begin; query < end; query += ATTENTION_ROWS) {
        const size_t row = head * plan->queries + query, count = attention_part(query, end, ATTENTION_ROWS);
        attention_load_queries(&span, plan, grad, row, count, key == 0);
        for (size_t at = 0; at < keys; at += ATTENTION_COLUMNS) {
            const AttentionTile tile = attention_tile_of_keys(plan, head, query, key + at);
            if (!attention_sees_nothing(&tile))
                add_tile_gradients(&span, plan, &tile, at);
        }
        attention_store_query_gradients(grad, &span, row, count);
    }
    attention_store_key_gradients(grad, &span, key_row, keys);
}

/*
 * Block (i, j) of a head, its queries i and keys j, adds to the gradients of the former after (i, j - 1), and to those
 * of the latter after (i - 1, j). A thread takes one head whole where that shares them out well. With few heads, blocks
 * with the same i + j are computed together: they share neither queries nor keys. Every sum is taken in the same order
 * in both cases. The keys j = 0 meet all queries, the others those that may see them.
 */
static void add_all_gradients(const AttentionPlan *plan, const AttentionGradients *grad)
{
    const size_t threads = (size_t)parallel_threads();
    if (plan->heads >= MANY_HEADS * threads || plan->heads % threads == 0) {
#pragma omp parallel for schedule(dynamic) if (attention_is_large(plan))
        for (size_t head = 0; head < plan->heads; head++)
            for (size_t key = 0; key < plan->keys; key += plan->span)
                add_span_gradients(plan, grad, head, key, attention_first_block(plan, key), plan->queries, true);
        return;
    }
    const size_t query_blocks = attention_parts(plan->queries, plan->span);
    const size_t key_blocks = attention_parts(plan->keys, plan->span);
    for (size_t sum = 0; sum + 1 < query_blocks + key_blocks; sum++) {
#pragma omp parallel for schedule(dynamic) if (attention_is_large(plan))
        for (size_t task = 0; task < plan->heads * key_blocks; task++) {
            const size_t j = task % key_blocks, key = j * plan->span, first = attention_first_block(plan, key);
            if (j > sum || sum - j >= query_blocks || (sum - j) * plan->span < first)
                continue;
            const size_t begin = (sum - j) * plan->span, end = begin + attention_part(begin, plan->queries, plan->span);
            add_span_gradients(plan, grad, task / key_blocks, key, begin, end, begin == first);
        }
    }
}

size_t scaled_dot_product_attention_scratch(Tensor query)
{
    Arena measure = {0};
    float *delta;
    const Status s = arena_take(&measure, &delta, tensor_rows(query) * sizeof *delta);
    (void)s;
    return measure.used;
}

/*
 * O = P V with the softmax P of S = Q K^T / sqrt(d_k), row by row. Its forward pass kept l_i = log sum_j e^(s_ij),
 * which gives back P_ij = e^(s_ij - l_i). From O = P V: dV = P^T dO and dP = dO V^T. Then as in softmax_backward()
 *
 *     dS_ij = P_ij (dP_ij - delta_i),    delta_i = sum_j P_ij dP_ij = sum_j P_ij dO_i . v_j = dO_i . O_i
 *
 * so that one number a row stands for the sum over all keys, and dQ = dS K / sqrt(d_k), dK = dS^T Q / sqrt(d_k).
 */
Status scaled_dot_product_attention_backward(Tensor grad_query, Tensor grad_key, Tensor grad_value, Tensor grad_output,
                                             Tensor output, Tensor log_sum_exp, Tensor query, Tensor key, Tensor value,
                                             AttentionMask mask, Arena *scratch)
{
    static const char *function = "scaled_dot_product_attention_backward";
    AttentionGradients grad = {grad_query, grad_key, grad_value, grad_output, log_sum_exp, NULL};
    AttentionPlan plan;
    AttentionKeySpan span;
    Status s = attention_plan(&plan, function, output, log_sum_exp, query, key, value, mask);
    if (!s)
        s = attention_check_gradients(&plan, function, &grad, output);
    if (!s)
        s = parallel_reserve(0, attention_bind_key_span(&span, NULL, &plan));
    const size_t mark = arena_mark(scratch), rows = plan.heads * plan.queries;
    if (!s)
        s = arena_take(scratch, &grad.delta, rows * sizeof *grad.delta);
    if (s)
        return s;
    if (plan.queries == 0 || plan.keys == 0) {
        attention_clear(grad_query);
        attention_clear(grad_key);
        attention_clear(grad_value);
    } else {
        add_all_gradients(&plan, &grad);
    }
    arena_release(scratch, mark);
    return CS336_OK;
}
