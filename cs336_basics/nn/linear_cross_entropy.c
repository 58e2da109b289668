#include "nn/linear_cross_entropy.h"

#include "core/parallel.h"
#include "nn/check.h"
#include "nn/functional.h"

/*
 * Rows whose logits exist at a time. Each chunk packs the weight once and adds to its gradient once. With 1024 rows
 * that costs little beside the products, whose work grows with the rows.
 */
enum { CHUNK_ROWS = 1024 };

static Tensor take_logits(Arena *arena, Tensor x, const Linear *linear)
{
    const size_t rows = tensor_rows(x) < CHUNK_ROWS ? tensor_rows(x) : CHUNK_ROWS;
    return arena_tensor(arena, rows, tensor_extent(linear->weight, 0));
}

size_t linear_cross_entropy_scratch(Tensor x, const Linear *linear)
{
    Arena measure = {0};
    take_logits(&measure, x, linear);
    return measure.peak;
}

static Status check(Tensor grad_x, Tensor x, TokenTensor targets, Tensor weight)
{
    static const char *const function = "linear_cross_entropy";
    if (weight.rank != 2 || tensor_extent(x, -1) != weight.shape[1] || tensor_rows(x) == 0)
        return status_fail(CS336_ESHAPE, "%s: x is %s, weight is %s", function, tensor_shape_text(x),
                           tensor_shape_text(weight));
    if (nn_check_ids_of(function, "targets", targets, "x", x) ||
        (grad_x.data && nn_check_same_shape_of(function, "grad_x", grad_x, "x", x)))
        return CS336_ESHAPE;
    if (!tensor_contiguous(x) || (grad_x.data && !tensor_contiguous(grad_x)))
        return status_fail(CS336_ESHAPE, "%s: x and grad_x must be contiguous", function);
    return tokens_check(function, "target", targets, weight.shape[0]);
}

/* Returns rows [first, first + rows) of t, all leading dimensions counted as one. */
static Tensor chunk_of(Tensor t, size_t first, size_t rows)
{
    return t.data ? tensor_slice(tensor_reshape(t, tensor_rows(t), tensor_extent(t, -1)), 0, first, rows) : t;
}

Status linear_cross_entropy(float *loss, Tensor grad_x, Linear *grad, Tensor x, TokenTensor targets,
                            const Linear *linear, Arena *scratch)
{
    Status s = check(grad_x, x, targets, linear->weight);
    if (s)
        return s;
    const size_t mark = arena_mark(scratch), rows = tensor_rows(x), vocab = tensor_extent(linear->weight, 0);
    const Tensor logits = take_logits(scratch, x, linear);
    Linear not_wanted = {0};
    if (!grad)
        grad = &not_wanted;
    const bool want_gradient = grad_x.data || grad->weight.data;
    double sum = 0;
    s = arena_status(scratch);
    for (size_t first = 0; !s && first < rows; first += CHUNK_ROWS) {
        const size_t n = rows - first < CHUNK_ROWS ? rows - first : CHUNK_ROWS;
        const Tensor x_chunk = chunk_of(x, first, n), z = tensor_slice(logits, 0, 0, n);

        /* z = W x */
        s = linear_forward(z, x_chunk, linear);
        if (s)
            break;

        /* The loss of each row; z becomes dL/dz if a gradient is wanted. Losses are added in the order of the rows. */
        double losses[CHUNK_ROWS], chunk_sum = 0;
#pragma omp parallel for num_threads(parallel_threads_for(n *vocab))
        for (size_t row = 0; row < n; row++)
            losses[row] = cross_entropy_row(want_gradient ? tensor_row(z, row) : NULL, NULL, tensor_row(z, row), vocab,
                                            (size_t)tokens_at(targets, first + row), 1 / (double)rows);
        for (size_t row = 0; row < n; row++)
            chunk_sum += losses[row];
        sum += chunk_sum;

        /* grad_x = dL/dz W, and the weight's gradient grows by dL/dz^T x */
        if (want_gradient)
            s = linear_backward(chunk_of(grad_x, first, n), grad, z, x_chunk, linear);
    }
    if (!s)
        *loss = (float)(sum / (double)rows);
    arena_release(scratch, mark);
    return s;
}
