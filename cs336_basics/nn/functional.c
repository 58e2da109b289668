#include "nn/functional.h"

#include "core/parallel.h"
#include "kernels/vecmath.h"
#include "nn/attention_plan.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { SILU_CHUNK = 256, LOSS_PARTS = 64 };

static Status check_same(const char *function, const char *name, Tensor t, const char *other_name, Tensor other)
{
    if (tensor_same_shape(t, other))
        return CS336_OK;
    return status_fail(CS336_ESHAPE, "%s: %s is %s, %s is %s", function, name, tensor_shape_text(t), other_name,
                       tensor_shape_text(other));
}

static Status check_rows(const char *function, const char *name, Tensor t)
{
    if (tensor_rows_contiguous(t))
        return CS336_OK;
    return status_fail(CS336_ESHAPE, "%s: rows of %s are not contiguous", function, name);
}

/* One number for each row of x: (..., 1). */
static Status check_row_numbers(const char *function, const char *name, Tensor t, Tensor x)
{
    Tensor expected = x;
    expected.shape[x.rank - 1] = 1;
    if (tensor_same_shape(t, expected))
        return CS336_OK;
    return status_fail(CS336_ESHAPE, "%s: %s is %s, expected %s", function, name, tensor_shape_text(t),
                       tensor_shape_text(expected));
}

/* ---- softmax ---- */

/* n numbers, y_step and x_step floats apart: the case that vectors do not serve. */
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

static void softmax_row(float *y, const float *x, size_t n)
{
    const float sum = vec_exp_shifted(y, x, vec_max(x, n), n);
    vec_scale(y, 1 / sum, y, n);
}

static Status check_softmax(const char *function, const char *name, Tensor t, const char *other_name, Tensor other,
                            int dimension)
{
    const Status s = check_same(function, name, t, other_name, other);
    if (s || (dimension >= -t.rank && dimension < t.rank))
        return s;
    return status_fail(CS336_ESHAPE, "%s: no dimension %d, %s is %s", function, dimension, other_name,
                       tensor_shape_text(other));
}

Status softmax_forward(Tensor y, Tensor x, int dimension)
{
    const Status s = check_softmax("softmax_forward", "y", y, "x", x, dimension);
    if (s)
        return s;
    y = tensor_transpose(y, dimension, -1);
    x = tensor_transpose(x, dimension, -1);
    const size_t rows = tensor_rows(x), n = tensor_extent(x, -1);
    const ptrdiff_t y_step = y.stride[y.rank - 1], x_step = x.stride[x.rank - 1];
#pragma omp parallel for
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
    Status s = check_softmax("softmax_backward", "grad_y", grad_y, "y", y, dimension);
    if (!s)
        s = check_same("softmax_backward", "grad_x", grad_x, "y", y);
    if (s)
        return s;
    grad_x = tensor_transpose(grad_x, dimension, -1);
    grad_y = tensor_transpose(grad_y, dimension, -1);
    y = tensor_transpose(y, dimension, -1);
    const size_t rows = tensor_rows(y);
    const ptrdiff_t n = (ptrdiff_t)tensor_extent(y, -1), y_step = y.stride[y.rank - 1];
    const ptrdiff_t grad_x_step = grad_x.stride[y.rank - 1], grad_y_step = grad_y.stride[y.rank - 1];
#pragma omp parallel for
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

/* An infinite maximum is not subtracted: inf - inf would turn rows of -inf, and those that hold inf, into NaN. */
static float log_sum_exp_row(const float *x, size_t n)
{
    const float max = vec_max(x, n), shift = isinf(max) ? 0 : max;
    return shift + logf(vec_exp_shifted(NULL, x, shift, n));
}

Status log_sum_exp_forward(Tensor log_sum_exp, Tensor x)
{
    Status s = check_row_numbers("log_sum_exp_forward", "log_sum_exp", log_sum_exp, x);
    if (!s)
        s = check_rows("log_sum_exp_forward", "x", x);
    if (s)
        return s;
    const size_t rows = tensor_rows(x), n = tensor_extent(x, -1);
#pragma omp parallel for
    for (size_t row = 0; row < rows; row++)
        *tensor_row(log_sum_exp, row) = log_sum_exp_row(tensor_row(x, row), n);
    return CS336_OK;
}

/* l = log sum_k e^{x_k}, so dl/dx_j = e^{x_j} / sum_k e^{x_k} = e^{x_j - l}: the softmax. */
Status log_sum_exp_backward(Tensor grad_x, Tensor grad_log_sum_exp, Tensor log_sum_exp, Tensor x)
{
    static const char *function = "log_sum_exp_backward";
    Status s = check_same(function, "grad_x", grad_x, "x", x);
    if (!s)
        s = check_row_numbers(function, "grad_log_sum_exp", grad_log_sum_exp, x);
    if (!s)
        s = check_row_numbers(function, "log_sum_exp", log_sum_exp, x);
    if (!s)
        s = check_rows(function, "x", x);
    if (!s)
        s = check_rows(function, "grad_x", grad_x);
    if (s)
        return s;
    const size_t rows = tensor_rows(x), n = tensor_extent(x, -1);
#pragma omp parallel for
    for (size_t row = 0; row < rows; row++) {
        float *grad_row = tensor_row(grad_x, row);
        vec_exp_shifted(grad_row, tensor_row(x, row), *tensor_row(log_sum_exp, row), n);
        vec_scale(grad_row, *tensor_row(grad_log_sum_exp, row), grad_row, n);
    }
    return CS336_OK;
}

/* ---- SiLU ---- */

Status silu_forward(Tensor y, Tensor x)
{
    Status s = check_same("silu_forward", "y", y, "x", x);
    if (!s)
        s = check_rows("silu_forward", "x", x);
    if (!s)
        s = check_rows("silu_forward", "y", y);
    if (s)
        return s;
    const size_t rows = tensor_rows(x), n = tensor_extent(x, -1);
#pragma omp parallel for
    for (size_t row = 0; row < rows; row++) {
        const float *x_row = tensor_row(x, row);
        float *y_row = tensor_row(y, row), sigmoid[SILU_CHUNK];
        for (size_t first = 0; first < n; first += SILU_CHUNK) {
            const size_t end = first + SILU_CHUNK < n ? first + SILU_CHUNK : n;
            vec_sigmoid(sigmoid, x_row + first, end - first);
            for (size_t i = first; i < end; i++)
                y_row[i] = x_row[i] * sigmoid[i - first];
        }
    }
    return CS336_OK;
}

/* y = x s(x) and s' = s (1 - s), so dy/dx = s + x s (1 - s) = s (1 + x (1 - s)). */
Status silu_backward(Tensor grad_x, Tensor grad_y, Tensor x)
{
    Status s = check_same("silu_backward", "grad_x", grad_x, "x", x);
    if (!s)
        s = check_same("silu_backward", "grad_y", grad_y, "x", x);
    if (!s)
        s = check_rows("silu_backward", "x", x);
    if (!s)
        s = check_rows("silu_backward", "grad_y", grad_y);
    if (!s)
        s = check_rows("silu_backward", "grad_x", grad_x);
    if (s)
        return s;
    const size_t rows = tensor_rows(x), n = tensor_extent(x, -1);
#pragma omp parallel for
    for (size_t row = 0; row < rows; row++) {
        const float *x_row = tensor_row(x, row), *grad_y_row = tensor_row(grad_y, row);
        float *grad_x_row = tensor_row(grad_x, row), sigmoid[SILU_CHUNK];
        for (size_t first = 0; first < n; first += SILU_CHUNK) {
            const size_t end = first + SILU_CHUNK < n ? first + SILU_CHUNK : n;
            vec_sigmoid(sigmoid, x_row + first, end - first);
            for (size_t i = first; i < end; i++) {
                const float slope = sigmoid[i - first] * (1 + x_row[i] * (1 - sigmoid[i - first]));
                grad_x_row[i] = grad_y_row[i] * slope;
            }
        }
    }
    return CS336_OK;
}

/* ---- cross-entropy ---- */

/* "(1, 3)": where a row stands among the leading dimensions. */
static const char *place_text(TokenTensor t, size_t index)
{
    size_t place[TENSOR_MAX_RANK] = {0};
    for (int i = t.rank - 1; i >= 0; i--) {
        place[i] = index % t.shape[i];
        index /= t.shape[i];
    }
    return shape_text(t.rank, place);
}

static Status check_targets(const char *function, Tensor logits, TokenTensor targets)
{
    bool fits = targets.rank == logits.rank - 1;
    for (int i = 0; i < targets.rank && fits; i++)
        fits = targets.shape[i] == logits.shape[i];
    if (!fits)
        return status_fail(CS336_ESHAPE, "%s: targets are %s, logits are %s", function,
                           shape_text(targets.rank, targets.shape), tensor_shape_text(logits));
    const size_t rows = tensor_rows(logits), vocab = tensor_extent(logits, -1);
    for (size_t row = 0; row < rows; row++) {
        const int32_t target = tokens_at(targets, row);
        if (target < 0 || (size_t)target >= vocab)
            return status_fail(CS336_ERANGE, "%s: target %d at %s is not in [0, %zu)", function, (int)target,
                               place_text(targets, row), vocab);
    }
    return check_rows(function, "logits", logits);
}

Status cross_entropy_forward(float *loss, Tensor log_sum_exp, Tensor logits, TokenTensor targets)
{
    Status s = check_targets("cross_entropy_forward", logits, targets);
    if (!s && log_sum_exp.data)
        s = check_row_numbers("cross_entropy_forward", "log_sum_exp", log_sum_exp, logits);
    if (s)
        return s;
    const size_t rows = tensor_rows(logits), vocab = tensor_extent(logits, -1);
    /* The rows of a part are added by one thread and the parts in order: the same sum for any number of threads. */
    double part_sum[LOSS_PARTS];
#pragma omp parallel for
    for (size_t part = 0; part < LOSS_PARTS; part++) {
        part_sum[part] = 0;
        for (size_t row = part * rows / LOSS_PARTS; row < (part + 1) * rows / LOSS_PARTS; row++) {
            const float *x = tensor_row(logits, row), l = log_sum_exp_row(x, vocab);
            part_sum[part] += (double)l - (double)x[tokens_at(targets, row)];
            if (log_sum_exp.data)
                *tensor_row(log_sum_exp, row) = l;
        }
    }
    double sum = 0;
    for (size_t part = 0; part < LOSS_PARTS; part++)
        sum += part_sum[part];
    *loss = (float)(sum / (double)rows);
    return CS336_OK;
}

/* With l_n = log sum_j e^{x_nj}: d(l_n - x_{n,t})/dx_nj = e^{x_nj - l_n} - [j = t], and L is the mean over N rows. */
Status cross_entropy_backward(Tensor grad_logits, Tensor log_sum_exp, Tensor logits, TokenTensor targets)
{
    static const char *function = "cross_entropy_backward";
    Status s = check_targets(function, logits, targets);
    if (!s)
        s = check_same(function, "grad_logits", grad_logits, "logits", logits);
    if (!s)
        s = check_row_numbers(function, "log_sum_exp", log_sum_exp, logits);
    if (!s)
        s = check_rows(function, "grad_logits", grad_logits);
    if (s)
        return s;
    const size_t rows = tensor_rows(logits), vocab = tensor_extent(logits, -1);
    const float scale = 1 / (float)rows;
#pragma omp parallel for
    for (size_t row = 0; row < rows; row++) {
        float *grad_row = tensor_row(grad_logits, row);
        vec_exp_shifted(grad_row, tensor_row(logits, row), *tensor_row(log_sum_exp, row), vocab);
        grad_row[tokens_at(targets, row)] -= 1;
        vec_scale(grad_row, scale, grad_row, vocab);
    }
    return CS336_OK;
}

/* ---- scaled dot-product attention ---- */

/* What a thread holds while it computes a tile of queries: about 130 KB at d_k = d_v = 64. */
typedef struct {
    float *query;                  /* (d_k, ATTENTION_COLUMNS) scaled, in panels */
    float *key, *value;            /* (ATTENTION_ROWS, ...) */
    float *score;                  /* (ATTENTION_ROWS, ATTENTION_COLUMNS) in panels; then probabilities */
    float *output;                 /* (ATTENTION_COLUMNS, d_v), not yet divided by the sum */
    float *maximum, *sum, *shrink; /* (ATTENTION_COLUMNS) */
} ForwardTile;

/* Floats from one row to the next. */
static ptrdiff_t row_step(Tensor t)
{
    return t.stride[t.rank - 2];
}

/* Carves `count` floats from the thread's workspace, or only counts them while base is NULL. */
static float *carve(Arena *workspace, size_t count)
{
    float *piece = NULL;
    const Status s = arena_take(workspace, &piece, count * sizeof(float));
    assert(!s);
    (void)s;
    return piece;
}

static size_t bind_forward(ForwardTile *tile, void *memory, size_t d_k, size_t d_v)
{
    Arena workspace = {.base = memory, .capacity = SIZE_MAX};
    const size_t width_k = attention_width(d_k), width_v = attention_width(d_v);
    tile->query = carve(&workspace, ATTENTION_COLUMNS * d_k);
    tile->key = carve(&workspace, ATTENTION_ROWS * width_k);
    tile->value = carve(&workspace, ATTENTION_ROWS * width_v);
    tile->score = carve(&workspace, ATTENTION_ROWS * ATTENTION_COLUMNS);
    tile->output = carve(&workspace, ATTENTION_COLUMNS * width_v);
    tile->maximum = carve(&workspace, ATTENTION_COLUMNS);
    tile->sum = carve(&workspace, ATTENTION_COLUMNS);
    tile->shrink = carve(&workspace, ATTENTION_COLUMNS);
    return workspace.used;
}

/* output = O / l, and log_sum_exp = m + log l. Where nothing was seen m is -inf and l and O are 0. */
static void normalise(Tensor output, Tensor log_sum_exp, size_t row, const ForwardTile *tile, size_t queries,
                      size_t d_v)
{
    const size_t width = attention_width(d_v);
    for (size_t i = 0; i < queries; i++) {
        const float sum = tile->sum[i];
        vec_scale(tensor_row(output, row + i), sum == 0 ? 0 : 1 / sum, tile->output + i * width, d_v);
        if (log_sum_exp.data)
            *tensor_row(log_sum_exp, row + i) = tile->maximum[i] + logf(sum);
    }
}

/*
 * The scores of a row come in tiles of keys, and its softmax is not known before the last. So O and l are kept relative
 * to the greatest score m so far: when a tile brings a greater one, m', both shrink by e^(m - m'). With s = q . k /
 * sqrt(d_k), over all tiles,
 *
 *     m = max_j s_j        l = sum_j e^(s_j - m)        O = sum_j e^(s_j - m) v_j        output = O / l
 */
static void attend(Tensor output, Tensor log_sum_exp, const AttentionPlan *plan, size_t head, size_t query)
{
    ForwardTile tile;
    bind_forward(&tile, parallel_private(), plan->d_k, plan->d_v);
    const size_t row = head * plan->queries + query, width_v = attention_width(plan->d_v);
    const size_t queries = plan->queries - query < ATTENTION_COLUMNS ? plan->queries - query : ATTENTION_COLUMNS;
    const size_t seen = attention_keys_seen(plan, query + queries);

    attention_pack_columns(tile.query, tensor_row(plan->query, row), row_step(plan->query), queries, plan->d_k,
                           plan->scale);
    for (size_t i = 0; i < ATTENTION_COLUMNS; i++)
        tile.maximum[i] = -INFINITY, tile.sum[i] = 0;
    memset(tile.output, 0, ATTENTION_COLUMNS * width_v * sizeof(float));

    for (size_t key = 0; key < seen; key += ATTENTION_ROWS) {
        const AttentionTile extent = attention_tile_of_queries(plan, head, query, key);
        const size_t key_row = head * plan->keys + key;
        attention_pack_rows(tile.key, tensor_row(plan->key, key_row), row_step(plan->key), extent.rows, plan->d_k);
        const bool finite = attention_pack_rows(tile.value, tensor_row(plan->value, key_row), row_step(plan->value),
                                                extent.rows, plan->d_v);

        attention_scores(tile.score, tile.key, tile.query, plan->d_k, &extent);      /* S = Q K^T / sqrt(d_k) */
        attention_hide(tile.score, -INFINITY, &extent);                              /* what the mask hides */
        attention_softmax(tile.score, tile.maximum, tile.sum, tile.shrink, &extent); /* m, l; S becomes P */
        attention_add_to_columns(tile.output, tile.shrink, tile.score, tile.value, plan->d_v, finite, &extent);
    }
    normalise(output, log_sum_exp, row, &tile, queries, plan->d_v); /* O / l, m + log l */
}

Status scaled_dot_product_attention_forward(Tensor output, Tensor log_sum_exp, Tensor query, Tensor key, Tensor value,
                                            AttentionMask mask)
{
    AttentionPlan plan;
    ForwardTile tile;
    Status s =
        attention_plan(&plan, "scaled_dot_product_attention_forward", output, log_sum_exp, query, key, value, mask);
    if (!s)
        s = parallel_reserve(0, bind_forward(&tile, NULL, plan.d_k, plan.d_v));
    if (s)
        return s;
    const size_t tiles = (plan.queries + ATTENTION_COLUMNS - 1) / ATTENTION_COLUMNS;
    /* The last queries of a causal head see most keys: they come first, and the short tiles fill the gaps. */
#pragma omp parallel for schedule(dynamic)
    for (size_t task = 0; task < plan.heads * tiles; task++)
        attend(output, log_sum_exp, &plan, task / tiles, (tiles - 1 - task % tiles) * ATTENTION_COLUMNS);
    return CS336_OK;
}

/* What a thread holds while it computes the gradients of a tile of keys. */
typedef struct {
    float *key_columns, *value_columns;      /* (d, ATTENTION_COLUMNS) in panels; the keys scaled */
    float *key;                              /* (ATTENTION_COLUMNS, d_k) */
    float *grad_key, *grad_value;            /* (ATTENTION_COLUMNS, ...) */
    float *query, *grad_output, *grad_query; /* (ATTENTION_ROWS, ...) */
    float *probability, *grad_score;         /* (ATTENTION_ROWS, ATTENTION_COLUMNS) in panels */
    float *log_sum_exp, *delta;              /* (ATTENTION_ROWS) */
} BackwardTile;

static size_t bind_backward(BackwardTile *tile, void *memory, size_t d_k, size_t d_v)
{
    Arena workspace = {.base = memory, .capacity = SIZE_MAX};
    const size_t width_k = attention_width(d_k), width_v = attention_width(d_v);
    tile->key_columns = carve(&workspace, ATTENTION_COLUMNS * d_k);
    tile->value_columns = carve(&workspace, ATTENTION_COLUMNS * d_v);
    tile->key = carve(&workspace, ATTENTION_COLUMNS * width_k);
    tile->grad_key = carve(&workspace, ATTENTION_COLUMNS * width_k);
    tile->grad_value = carve(&workspace, ATTENTION_COLUMNS * width_v);
    tile->query = carve(&workspace, ATTENTION_ROWS * width_k);
    tile->grad_output = carve(&workspace, ATTENTION_ROWS * width_v);
    tile->grad_query = carve(&workspace, ATTENTION_ROWS * width_k);
    tile->probability = carve(&workspace, ATTENTION_ROWS * ATTENTION_COLUMNS);
    tile->grad_score = carve(&workspace, ATTENTION_ROWS * ATTENTION_COLUMNS);
    tile->log_sum_exp = carve(&workspace, ATTENTION_ROWS);
    tile->delta = carve(&workspace, ATTENTION_ROWS);
    return workspace.used;
}

/* The views of one backward call; those of gradients may have no data. */
typedef struct {
    Tensor grad_query, grad_key, grad_value, grad_output, log_sum_exp;
    const float *delta; /* (heads * queries) */
} AttentionGradients;

/* to(row) += from(row), or to(row) = from(row) */
static void add_rows(Tensor to, size_t row, const float *from, size_t count)
{
    const size_t n = tensor_extent(to, -1), width = attention_width(n);
    for (size_t i = 0; i < count; i++)
        vec_axpy(tensor_row(to, row + i), 1, from + i * width, n);
}

static void copy_rows(Tensor to, size_t row, const float *from, size_t count)
{
    const size_t n = tensor_extent(to, -1), width = attention_width(n);
    for (size_t i = 0; i < count; i++)
        memcpy(tensor_row(to, row + i), from + i * width, n * sizeof(float));
}

/* One tile of scores: what it adds to the gradients of its keys, values and queries. */
static void backward_tile(const AttentionGradients *grad, const AttentionPlan *plan, BackwardTile *tile, size_t head,
                          size_t query, size_t key, bool keys_finite)
{
    const AttentionTile extent = attention_tile_of_keys(plan, head, query, key);
    const size_t row = head * plan->queries + query;
    const bool queries_finite =
        attention_pack_rows(tile->query, tensor_row(plan->query, row), row_step(plan->query), extent.rows, plan->d_k);
    const bool grad_finite = attention_pack_rows(tile->grad_output, tensor_row(grad->grad_output, row),
                                                 row_step(grad->grad_output), extent.rows, plan->d_v);
    for (size_t i = 0; i < ATTENTION_ROWS; i++) {
        tile->log_sum_exp[i] = i < extent.rows ? *tensor_row(grad->log_sum_exp, row + i) : 0;
        tile->delta[i] = i < extent.rows ? grad->delta[row + i] : 0;
    }

    attention_scores(tile->probability, tile->query, tile->key_columns, plan->d_k, &extent); /* S = Q K^T / sqrt(d_k) */
    attention_probabilities(tile->probability, tile->log_sum_exp, &extent);                  /* P = e^(S - l) */
    attention_hide(tile->probability, 0, &extent);
    attention_add_to_columns(tile->grad_value, NULL, tile->probability, tile->grad_output, plan->d_v, grad_finite,
                             &extent);                                                              /* dV += P^T dO */
    attention_scores(tile->grad_score, tile->grad_output, tile->value_columns, plan->d_v, &extent); /* dP = dO V^T */
    attention_softmax_gradient(tile->grad_score, tile->probability, tile->delta, plan->scale, &extent);
    attention_add_to_columns(tile->grad_key, NULL, tile->grad_score, tile->query, plan->d_k, queries_finite,
                             &extent); /* dK += dS^T Q */
    if (!grad->grad_query.data)
        return;
    memset(tile->grad_query, 0, ATTENTION_ROWS * attention_width(plan->d_k) * sizeof(float));
    attention_add_to_rows(tile->grad_query, tile->grad_score, tile->key, plan->d_k, keys_finite, &extent);
    add_rows(grad->grad_query, row, tile->grad_query, extent.rows); /* dQ += dS K */
}

/* All tiles of one head, in order: key tile by key tile, so that the gradients of the keys stay at hand. */
static void backward_head(const AttentionGradients *grad, const AttentionPlan *plan, size_t head)
{
    BackwardTile tile;
    bind_backward(&tile, parallel_private(), plan->d_k, plan->d_v);
    for (size_t i = 0; i < plan->queries && grad->grad_query.data; i++)
        memset(tensor_row(grad->grad_query, head * plan->queries + i), 0, plan->d_k * sizeof(float));
    for (size_t key = 0; key < plan->keys; key += ATTENTION_COLUMNS) {
        const size_t count = plan->keys - key < ATTENTION_COLUMNS ? plan->keys - key : ATTENTION_COLUMNS;
        const size_t row = head * plan->keys + key;
        const float *keys = tensor_row(plan->key, row), *values = tensor_row(plan->value, row);
        attention_pack_columns(tile.key_columns, keys, row_step(plan->key), count, plan->d_k, plan->scale);
        attention_pack_columns(tile.value_columns, values, row_step(plan->value), count, plan->d_v, 1);
        const bool finite = attention_pack_rows(tile.key, keys, row_step(plan->key), count, plan->d_k);
        memset(tile.grad_key, 0, ATTENTION_COLUMNS * attention_width(plan->d_k) * sizeof(float));
        memset(tile.grad_value, 0, ATTENTION_COLUMNS * attention_width(plan->d_v) * sizeof(float));
        size_t query = attention_queries_blind(plan, key) / ATTENTION_ROWS * ATTENTION_ROWS;
        for (; query < plan->queries; query += ATTENTION_ROWS)
            backward_tile(grad, plan, &tile, head, query, key, finite);
        if (grad->grad_key.data)
            copy_rows(grad->grad_key, row, tile.grad_key, count);
        if (grad->grad_value.data)
            copy_rows(grad->grad_value, row, tile.grad_value, count);
    }
}

size_t scaled_dot_product_attention_scratch(Tensor query)
{
    Arena measure = {0};
    (void)carve(&measure, tensor_rows(query));
    return measure.used;
}

static Status check_gradients(const char *function, const AttentionGradients *grad, Tensor output,
                              const AttentionPlan *plan)
{
    Status s = check_same(function, "grad_output", grad->grad_output, "output", output);
    if (!s)
        s = check_rows(function, "grad_output", grad->grad_output);
    if (!s && !grad->log_sum_exp.data)
        s = status_fail(CS336_ESHAPE, "%s: log_sum_exp is missing: the forward pass must have kept it", function);
    if (!s && grad->grad_query.data)
        s = attention_check_gradient(function, "grad_query", grad->grad_query, plan->query);
    if (!s && grad->grad_key.data)
        s = attention_check_gradient(function, "grad_key", grad->grad_key, plan->key);
    if (!s && grad->grad_value.data)
        s = attention_check_gradient(function, "grad_value", grad->grad_value, plan->value);
    return s;
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
    const AttentionGradients grad = {grad_query, grad_key, grad_value, grad_output, log_sum_exp, NULL};
    AttentionPlan plan;
    BackwardTile tile;
    Status s = attention_plan(&plan, function, output, log_sum_exp, query, key, value, mask);
    if (!s)
        s = check_gradients(function, &grad, output, &plan);
    if (!s)
        s = parallel_reserve(0, bind_backward(&tile, NULL, plan.d_k, plan.d_v));
    const size_t mark = arena_mark(scratch), rows = plan.heads * plan.queries;
    float *delta = NULL;
    if (!s)
        s = arena_take(scratch, &delta, rows * sizeof(float));
    if (s)
        return s;
#pragma omp parallel for
    for (size_t row = 0; row < rows; row++)
        delta[row] = vec_dot(tensor_row(output, row), tensor_row(grad_output, row), plan.d_v);
    const AttentionGradients kept = {grad_query, grad_key, grad_value, grad_output, log_sum_exp, delta};
#pragma omp parallel for schedule(dynamic)
    for (size_t head = 0; head < plan.heads; head++)
        backward_head(&kept, &plan, head);
    arena_release(scratch, mark);
    return CS336_OK;
}
