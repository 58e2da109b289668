#include "nn/linear.h"

#include "kernels/matmul.h"

/*
 * Rows whose starts are equally far apart are one matrix, whatever dimensions they are counted in. A block is the
 * largest such matrix in both views; usually there is one.
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

/* Both count products of the innermost extents, so the smaller divides the larger. */
static size_t rows_per_block(Tensor a, Tensor b)
{
    const size_t rows_a = equally_spaced_rows(a), rows_b = equally_spaced_rows(b);
    return rows_a < rows_b ? rows_a : rows_b;
}

static Matrix block_at(Tensor t, size_t first, size_t rows)
{
    float *data = tensor_row(t, first);
    return (Matrix){data, rows > 1 ? tensor_row(t, first + 1) - data : 0, t.stride[t.rank - 1]};
}

static ConstMatrix reading(Matrix m)
{
    return (ConstMatrix){m.data, m.row_stride, m.column_stride};
}

static ConstMatrix transposed(ConstMatrix m)
{
    return (ConstMatrix){m.data, m.column_stride, m.row_stride};
}

static Matrix whole(Tensor weight)
{
    return (Matrix){weight.data, weight.stride[0], weight.stride[1]};
}

/* matmul() in the precision of the map. */
static void multiply(const Linear *linear, Matrix c, ConstMatrix a, ConstMatrix b, size_t m, size_t n, size_t k,
                     float beta)
{
    (linear->dtype == DTYPE_BF16 ? matmul_bf16 : matmul)(c, a, b, m, n, k, 1, beta);
}

static Status check(const char *function, const char *name_x, Tensor x, const char *name_y, Tensor y, Tensor weight)
{
    if (weight.rank != 2 || x.rank < 1 || tensor_extent(x, -1) != weight.shape[1])
        return status_fail(CS336_ESHAPE, "%s: %s is %s, weight is %s", function, name_x, tensor_shape_text(x),
                           tensor_shape_text(weight));
    if (!tensor_same_leading(y, x, 1) || tensor_extent(y, -1) != weight.shape[0])
        return status_fail(CS336_ESHAPE, "%s: %s is %s, %s is %s, weight is %s", function, name_y, tensor_shape_text(y),
                           name_x, tensor_shape_text(x), tensor_shape_text(weight));
    return matmul_reserve();
}

Status linear_forward(Tensor y, Tensor x, const Linear *linear)
{
    const Status s = check("linear_forward", "x", x, "y", y, linear->weight);
    if (s)
        return s;
    const size_t d_out = tensor_extent(y, -1), d_in = tensor_extent(x, -1);
    const size_t rows = tensor_rows(x), block = rows_per_block(y, x);
    const ConstMatrix weight = reading(whole(linear->weight));
    for (size_t row = 0; row < rows; row += block)
        multiply(linear, block_at(y, row, block), reading(block_at(x, row, block)), transposed(weight), block, d_out,
                 d_in, 0);
    return CS336_OK;
}

/*
 * Forward: y = x W^T for every row. With G = dL/dy,
 *
 *     dL/dx = G W        dL/dW = G^T x, summed over all rows
 */
static Status backward(const char *function, float keep, Tensor grad_x, Linear *grad, Tensor grad_y, Tensor x,
                       const Linear *linear)
{
    Status s = check(function, "x", x, "grad_y", grad_y, linear->weight);
    if (!s && grad_x.data)
        s = check(function, "grad_x", grad_x, "grad_y", grad_y, linear->weight);
    if (!s && grad->weight.data && !tensor_same_shape(grad->weight, linear->weight))
        s = status_fail(CS336_ESHAPE, "%s: gradient of the weight is %s, weight is %s", function,
                        tensor_shape_text(grad->weight), tensor_shape_text(linear->weight));
    if (s)
        return s;
    const size_t d_out = tensor_extent(grad_y, -1), d_in = tensor_extent(x, -1), rows = tensor_rows(x);
    if (grad_x.data) {
        const size_t block = rows_per_block(grad_x, grad_y);
        const ConstMatrix weight = reading(whole(linear->weight));
        for (size_t row = 0; row < rows; row += block)
            multiply(linear, block_at(grad_x, row, block), reading(block_at(grad_y, row, block)), weight, block, d_in,
                     d_out, keep);
    }
    if (grad->weight.data) {
        const size_t block = rows_per_block(grad_y, x);
        for (size_t row = 0; row < rows; row += block)
            multiply(linear, whole(grad->weight), transposed(reading(block_at(grad_y, row, block))),
                     reading(block_at(x, row, block)), d_out, d_in, block, 1);
    }
    return CS336_OK;
}

Status linear_backward(Tensor grad_x, Linear *grad, Tensor grad_y, Tensor x, const Linear *linear)
{
    return backward("linear_backward", 0, grad_x, grad, grad_y, x, linear);
}

Status linear_backward_add(Tensor grad_x, Linear *grad, Tensor grad_y, Tensor x, const Linear *linear)
{
    return backward("linear_backward_add", 1, grad_x, grad, grad_y, x, linear);
}

bool linear_join(Linear *joined, const Linear *const *parts, size_t count)
{
    *joined = *parts[0];
    for (size_t i = 1; i < count; i++) {
        if (parts[i]->dtype != joined->dtype)
            return false;
        const Tensor whole = joined->weight, next = parts[i]->weight;
        if (!whole.data && !next.data)
            continue;
        if (!whole.data || !next.data || whole.shape[1] != next.shape[1] || !tensor_contiguous(whole) ||
            !tensor_contiguous(next) || next.data != whole.data + tensor_count(whole))
            return false;
        joined->weight.shape[0] += next.shape[0];
    }
    return true;
}
