#include "nn/linear_cross_entropy.h"

#include "core/parallel.h"
#include "nn/functional.h"

/* Enough rows that packing the weight and adding to its gradient, once a chunk, cost little beside the products. */
enum { CHUNK_ROWS = 1024 };

static Status bind_logits(Tensor *logits, Arena *arena, Tensor x, const Linear *linear)
{
    const size_t rows = tensor_rows(x) < CHUNK_ROWS ? tensor_rows(x) : CHUNK_ROWS;
    return arena_tensor(arena, logits, rows, tensor_extent(linear->weight, 0));
}

size_t linear_cross_entropy_scratch(Tensor x, const Linear *linear)
{
    Arena measure = {0};
    Tensor logits;
    return bind_logits(&logits, &measure, x, linear) ? 0 : measure.peak;
}

static Status check(Tensor grad_x, Tensor x, TokenTensor targets, Tensor weight)
{
    static const char *const function = "linear_cross_entropy";
    if (weight.rank != 2 || tensor_extent(x, -1) != weight.shape[1] || tensor_rows(x) == 0)
        return status_fail(CS336_ESHAPE, "%s: x is %s, weight is %s", function, tensor_shape_text(x),
                           tensor_shape_text(weight));
    if (!tokens_fit_rows(targets, x))
        return status_fail(CS336_ESHAPE, "%s: targets are %s, x is %s", function,
                           shape_text(targets.rank, targets.shape), tensor_shape_text(x));
    if (grad_x.data && !tensor_same_shape(grad_x, x))
        return status_fail(CS336_ESHAPE, "%s: grad_x is %s, x is %s", function, tensor_shape_text(grad_x),
                           tensor_shape_text(x));
    if (!tensor_contiguous(x) || (grad_x.data && !tensor_contiguous(grad_x)))
        return status_fail(CS336_ESHAPE, "%s: x and grad_x must be contiguous", function);
    return tokens_check(function, "target", targets, weight.shape[0]);
}

/* The sum of the rows' losses; their logits become gradients if those are wanted. */
static double chunk_loss(Tensor logits, TokenTensor targets, size_t first, double weight_of_row, bool want_gradient)
{
    double losses[CHUNK_ROWS], sum = 0;
    const size_t rows = tensor_extent(logits, 0), vocab = tensor_extent(logits, 1);
#pragma omp parallel for if (rows * vocab >= PARALLEL_NUMBERS)
    for (size_t row = 0; row < rows; row++) {
        float *logits_row = tensor_row(logits, row);
        losses[row] = cross_entropy_row(want_gradient ? logits_row : NULL, NULL, logits_row, vocab,
                                        (size_t)tokens_at(targets, first + row), weight_of_row);
    }
    for (size_t row = 0; row < rows; row++)
        sum += losses[row];
    return sum;
}

static Tensor rows_of(Tensor t, size_t first, size_t rows)
{
    return t.data ? tensor_slice(tensor_reshape(t, tensor_rows(t), tensor_extent(t, -1)), 0, first, rows) : t;
}

Status linear_cross_entropy(float *loss, Tensor grad_x, Linear *grad, Tensor x, TokenTensor targets,
                            const Linear *linear, Arena *scratch)
{
    const size_t mark = arena_mark(scratch), rows = tensor_rows(x);
    Linear not_wanted = {0};
    Tensor logits;
    if (!grad)
        grad = &not_wanted;
    const bool want_gradient = grad_x.data || grad->weight.data;
    double sum = 0;
    Status s = check(grad_x, x, targets, linear->weight);
    if (!s)
        s = bind_logits(&logits, scratch, x, linear);
    for (size_t first = 0; !s && first < rows; first += CHUNK_ROWS) {
        const size_t n = rows - first < CHUNK_ROWS ? rows - first : CHUNK_ROWS;
        const Tensor chunk = rows_of(x, first, n), z = tensor_slice(logits, 0, 0, n);
        s = linear_forward(z, chunk, linear);
        if (s)
            break;
        sum += chunk_loss(z, targets, first, 1 / (double)rows, want_gradient);
        if (want_gradient)
            s = linear_backward(rows_of(grad_x, first, n), grad, z, chunk, linear);
    }
    if (!s)
        *loss = (float)(sum / (double)rows);
    arena_release(scratch, mark);
    return s;
}
