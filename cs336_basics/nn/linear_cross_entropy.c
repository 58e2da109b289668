#include "nn/linear_cross_entropy.h"

#include "core/parallel.h"
#include "nn/check.h"
#include "nn/functional.h"

/*
 * Rows in a chunk, whose logits exist at the same time. For each chunk the weight is packed and its gradient read and
 * written once, whatever the number of rows. With 512 rows that is little beside the products, which grow with the
 * rows.
 */
enum { CHUNK_ROWS = 512 };

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

static Status check(const char *function, Tensor grad_x, Tensor x, TokenTensor targets, Tensor weight)
{
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

/* Returns rows [first, first + rows) of t as (rows, d), all leading dimensions counted as one. */
static Tensor chunk_of(Tensor t, size_t first, size_t rows)
{
    return t.data ? tensor_slice(tensor_reshape(t, tensor_rows(t), tensor_extent(t, -1)), 0, first, rows) : t;
}

/*
 * Computes the logits z = W x of a chunk whose first row is row `first` of all, and the loss of each of its rows. If
 * rows is not 0, z becomes dL/dz, the gradient of the mean loss of that many rows.
 */
static Status losses_of_chunk(double *losses, Tensor z, Tensor x, TokenTensor targets, size_t first,
                              const Linear *linear, size_t rows)
{
    const size_t n = tensor_rows(z), vocab = tensor_extent(z, -1);
    const Status s = linear_forward(z, x, linear);
    if (s)
        return s;
    const double weight = rows ? 1 / (double)rows : 0;
#pragma omp parallel for num_threads(parallel_threads_for(n *vocab))
    for (size_t row = 0; row < n; row++)
        losses[row] = cross_entropy_row(rows ? tensor_row(z, row) : NULL, NULL, tensor_row(z, row), vocab,
                                        (size_t)tokens_at(targets, first + row), weight);
    return CS336_OK;
}

Status linear_cross_entropy(float *loss, Tensor grad_x, Linear *grad, Tensor x, TokenTensor targets,
                            const Linear *linear, Arena *scratch)
{
    Status s = check(__func__, grad_x, x, targets, linear->weight);
    if (s)
        return s;
    const size_t mark = arena_mark(scratch), rows = tensor_rows(x);
    const Tensor logits = take_logits(scratch, x, linear);
    Linear not_wanted = {0}; /* linear_backward() skips a gradient without data */
    if (!grad)
        grad = &not_wanted;
    const bool want_gradient = grad_x.data || grad->weight.data;
    double sum = 0;
    s = arena_status(scratch);

    for (size_t first = 0; !s && first < rows; first += CHUNK_ROWS) {
        const size_t n = rows - first < CHUNK_ROWS ? rows - first : CHUNK_ROWS;
        const Tensor x_chunk = chunk_of(x, first, n), z = tensor_slice(logits, 0, 0, n);

        /* The loss of each row; z becomes dL/dz if a gradient is wanted. Losses are added in the order of the rows. */
        double losses[CHUNK_ROWS], chunk_sum = 0;
        s = losses_of_chunk(losses, z, x_chunk, targets, first, linear, want_gradient ? rows : 0);
        if (s)
            break;
        for (size_t row = 0; row < n; row++)
            chunk_sum += losses[row];
        sum += chunk_sum;

        /* grad_x = dL/dz W, and the weight's gradient grows by dL/dz^T x */
        if (want_gradient)
            s = linear_backward(chunk_of(grad_x, first, n), grad, z, x_chunk, linear);
    }
    /* L is the mean of all losses. */
    if (!s)
        *loss = (float)(sum / (double)rows);
    arena_release(scratch, mark);
    return s;
}

Status linear_cross_entropy_rows(Tensor losses, Tensor x, TokenTensor targets, const Linear *linear, Arena *scratch)
{
    Status s = check(__func__, (Tensor){0}, x, targets, linear->weight);
    if (!s)
        s = nn_check_last(losses, x, 1);
    if (s)
        return s;
    const size_t mark = arena_mark(scratch), rows = tensor_rows(x);
    const Tensor logits = take_logits(scratch, x, linear);
    s = arena_status(scratch);
    for (size_t first = 0; !s && first < rows; first += CHUNK_ROWS) {
        const size_t n = rows - first < CHUNK_ROWS ? rows - first : CHUNK_ROWS;
        double chunk[CHUNK_ROWS];
        s = losses_of_chunk(chunk, tensor_slice(logits, 0, 0, n), chunk_of(x, first, n), targets, first, linear, 0);
        for (size_t row = 0; !s && row < n; row++)
            *tensor_row(losses, first + row) = (float)chunk[row];
    }
    arena_release(scratch, mark);
    return s;
}
