#include "nn/linear.h"

#include "kernels/matmul.h"
#include "nn/check.h"

/*
 * Returns how many rows from the first on are equally far apart in memory. These rows form one matrix, whatever the
 * dimensions that count them. A contiguous (batch, seq, d) is one matrix of batch x seq rows; of a slice along seq, the
 * rows of each sequence form a matrix.
 */
static size_t equally_spaced_rows(Tensor t)
{
    size_t rows = 1;
    ptrdiff_t spacing = 0;
    for (int i = t.rank - 2; i >= 0; i--) {
        if (t.shape[i] == 1)
            continue;
        if (rows == 1)
            spacing = t.stride[i];
        else if (t.stride[i] != spacing * (ptrdiff_t)rows)
            break;
        rows *= t.shape[i];
    }
    return rows;
}

/*
 * Returns how many rows form one matrix in both tensors. Both numbers are products of the innermost extents, so the
 * smaller one divides the larger.
 */
static size_t rows_per_matrix(Tensor a, Tensor b)
{
    const size_t rows_a = equally_spaced_rows(a), rows_b = equally_spaced_rows(b);
    return rows_a < rows_b ? rows_a : rows_b;
}

/* Returns `rows` equally spaced rows of t, from row `first` on, as a matrix (rows, d). */
static Tensor matrix_at(Tensor t, size_t first, size_t rows)
{
    Tensor matrix = tensor(tensor_row(t, first), rows, tensor_extent(t, -1));
    matrix.stride[0] = rows > 1 ? tensor_row(t, first + 1) - matrix.data : 0;
    matrix.stride[1] = t.stride[t.rank - 1];
    return matrix;
}

/* c = a b + beta c, for matrices c (m, n), a (m, k) and b (k, n), in the dtype of the map. */
static void multiply(const Linear *linear, Tensor c, Tensor a, Tensor b, float beta)
{
    const Matrix result = {c.data, c.stride[0], c.stride[1]};
    const ConstMatrix left = {a.data, a.stride[0], a.stride[1]}, right = {b.data, b.stride[0], b.stride[1]};
    const size_t m = c.shape[0], n = c.shape[1], k = a.shape[1];
    static void (*const products[])(Matrix, ConstMatrix, ConstMatrix, size_t, size_t, size_t, float, float) = {
        [DTYPE_FLOAT32] = matmul, [DTYPE_BF16] = matmul_bf16, [DTYPE_BF16X3] = matmul_bf16x3};
    products[linear->dtype](result, left, right, m, n, k, 1, beta);
}

/* Checks y = x W^T: x is (..., d_in), y is (..., d_out), and the weight is (d_out, d_in). */
static Status check(const char *function, const char *name_x, Tensor x, const char *name_y, Tensor y, Tensor weight)
{
    if (weight.rank != 2 || x.rank < 1 || tensor_extent(x, -1) != weight.shape[1])
        return status_fail(CS336_ESHAPE, "%s: %s is %s, weight is %s", function, name_x, tensor_shape_text(x),
                           tensor_shape_text(weight));
    if (!tensor_same_leading(y, x, 1) || tensor_extent(y, -1) != weight.shape[0])
        return status_fail(CS336_ESHAPE, "%s: %s is %s, %s is %s, weight is %s", function, name_y, tensor_shape_text(y),
                           name_x, tensor_shape_text(x), tensor_shape_text(weight));
    return CS336_OK;
}

Status linear_forward(Tensor y, Tensor x, const Linear *linear)
{
    if (check(__func__, "x", x, "y", y, linear->weight))
        return CS336_ESHAPE;
    const Status s = matmul_reserve();
    if (s)
        return s;
    const Tensor weight_transposed = tensor_transpose(linear->weight, 0, 1);
    const size_t rows = tensor_rows(x), n = rows_per_matrix(y, x);
    for (size_t row = 0; row < rows; row += n)
        multiply(linear, matrix_at(y, row, n), matrix_at(x, row, n), weight_transposed, 0);
    return CS336_OK;
}

/*
 * Forward, with one row of x and of y for each token: y = x W^T, that is y_no = sum_i x_ni W_oi. So x_ni moves every
 * y_no of its row by W_oi, and W_oi moves y_no of every row by x_ni:
 *
 *     grad_x = grad_y W           dL/dx_ni = sum_o dL/dy_no W_oi
 *     grad_weight = grad_y^T x    dL/dW_oi = sum_n dL/dy_no x_ni
 *
 * grad_weight is added to, and so is grad_x if `add` is true.
 */
static Status backward(const char *function, bool add, Tensor grad_x, Linear *grad, Tensor grad_y, Tensor x,
                       const Linear *linear)
{
    const Tensor weight = linear->weight, grad_weight = grad->weight;
    if (check(function, "x", x, "grad_y", grad_y, weight) ||
        (grad_x.data && check(function, "grad_x", grad_x, "grad_y", grad_y, weight)) ||
        (grad_weight.data && nn_check_same_shape_of(function, "gradient of the weight", grad_weight, "weight", weight)))
        return CS336_ESHAPE;
    const Status s = matmul_reserve();
    if (s)
        return s;

    /* grad_x = grad_y W, or += */
    const size_t rows = tensor_rows(x);
    if (grad_x.data) {
        const size_t n = rows_per_matrix(grad_x, grad_y);
        for (size_t row = 0; row < rows; row += n)
            multiply(linear, matrix_at(grad_x, row, n), matrix_at(grad_y, row, n), weight, add ? 1 : 0);
    }

    /* grad_weight += grad_y^T x */
    if (grad_weight.data) {
        const size_t n = rows_per_matrix(grad_y, x);
        for (size_t row = 0; row < rows; row += n) {
            const Tensor grad_y_transposed = tensor_transpose(matrix_at(grad_y, row, n), 0, 1);
            multiply(linear, grad_weight, grad_y_transposed, matrix_at(x, row, n), 1);
        }
    }
    return CS336_OK;
}

Status linear_backward(Tensor grad_x, Linear *grad, Tensor grad_y, Tensor x, const Linear *linear)
{
    return backward(__func__, false, grad_x, grad, grad_y, x, linear);
}

Status linear_backward_add(Tensor grad_x, Linear *grad, Tensor grad_y, Tensor x, const Linear *linear)
{
    return backward(__func__, true, grad_x, grad, grad_y, x, linear);
}

/* ---- several maps of the same input ---- */

bool linear_join(Linear *joined, const Linear *const *maps, size_t count)
{
    *joined = *maps[0];
    for (size_t i = 1; i < count; i++) {
        const Tensor rows = joined->weight, next = maps[i]->weight;
        if (maps[i]->dtype != joined->dtype)
            return false;
        if (!rows.data && !next.data)
            continue;
        if (!rows.data || !next.data || rows.shape[1] != next.shape[1] || !tensor_contiguous(rows) ||
            !tensor_contiguous(next) || next.data != rows.data + tensor_count(rows))
            return false;
        joined->weight.shape[0] += next.shape[0];
    }
    return true;
}

/* Joins outputs that are side by side, each row of ys[i + 1] where that of ys[i] ends, into one view of wider rows. */
static bool join_outputs(Tensor *joined, const Tensor *ys, size_t count)
{
    *joined = ys[0];
    for (size_t i = 1; i < count; i++) {
        const size_t width = tensor_extent(*joined, -1);
        if (!tensor_same_leading(ys[i], *joined, 1) || !tensor_rows_contiguous(ys[i]) ||
            !tensor_rows_contiguous(*joined) || ys[i].data != joined->data + width)
            return false;
        for (int k = 0; k < joined->rank - 1; k++)
            if (ys[i].stride[k] != joined->stride[k])
                return false;
        *joined = tensor_with_last(*joined, width + tensor_extent(ys[i], -1));
    }
    return true;
}

Status linear_forward_all(const Tensor *ys, Tensor x, const Linear *const *maps, size_t count)
{
    /* One product, if the weights and the outputs can be joined. */
    Linear joined;
    Tensor joined_y;
    if (linear_join(&joined, maps, count) && join_outputs(&joined_y, ys, count))
        return linear_forward(joined_y, x, &joined);
    Status s = CS336_OK;
    for (size_t i = 0; !s && i < count; i++)
        s = linear_forward(ys[i], x, maps[i]);
    return s;
}

/* Every y_i = W_i x reads the same x, so dL/dx is a sum over the maps: grad_x = sum_i W_i^T grad_y_i. */
Status linear_backward_all(Tensor grad_x, Linear *const *grads, const Tensor *grad_ys, Tensor x,
                           const Linear *const *maps, size_t count)
{
    Linear joined, joined_grad;
    Tensor joined_grad_y;
    if (linear_join(&joined, maps, count) && linear_join(&joined_grad, (const Linear *const *)grads, count) &&
        join_outputs(&joined_grad_y, grad_ys, count))
        return linear_backward(grad_x, &joined_grad, joined_grad_y, x, &joined);
    /* The first map overwrites grad_x, the others add to it. */
    Status s = linear_backward(grad_x, grads[0], grad_ys[0], x, maps[0]);
    for (size_t i = 1; !s && i < count; i++)
        s = linear_backward_add(grad_x, grads[i], grad_ys[i], x, maps[i]);
    return s;
}
