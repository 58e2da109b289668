#include "nn/swiglu.h"

#include "core/parallel.h"
#include "kernels/vecmath.h"

static bool is_gated(const FeedForward *ffn)
{
    return ffn->w3.weight.data != NULL;
}

/* up and gate lie side by side in a row, so that one product can write both. */
static Status bind_pair(Tensor *up, Tensor *gate, Arena *arena, Tensor x, const FeedForward *ffn)
{
    const size_t d_ff = tensor_extent(ffn->w1.weight, 0);
    Tensor pair = tensor_widen(x, is_gated(ffn) ? 2 * d_ff : d_ff);
    const Status s = arena_tensor_of(arena, &pair, pair.rank, pair.shape);
    *up = tensor_slice(pair, -1, 0, d_ff);
    *gate = is_gated(ffn) ? tensor_slice(pair, -1, d_ff, d_ff) : (Tensor){0};
    return s;
}

Status feed_forward_bind_saved(FeedForwardSaved *saved, Arena *arena, Tensor x, const FeedForward *ffn)
{
    const size_t mark = arena_mark(arena);
    const Status s = bind_pair(&saved->up, &saved->gate, arena, x, ffn);
    if (s)
        arena_release(arena, mark);
    return s;
}

static Status bind_hidden(Tensor *hidden, Arena *arena, Tensor x, const FeedForward *ffn)
{
    const Tensor shape = tensor_widen(x, tensor_extent(ffn->w1.weight, 0));
    return arena_tensor_of(arena, hidden, shape.rank, shape.shape);
}

size_t feed_forward_scratch(Tensor x, const FeedForward *ffn, bool saving)
{
    Arena measure = {0};
    FeedForwardSaved unsaved;
    Tensor hidden;
    if ((!saving && feed_forward_bind_saved(&unsaved, &measure, x, ffn)) || bind_hidden(&hidden, &measure, x, ffn))
        return 0;
    return measure.peak;
}

static Status check(const char *function, const char *name, Tensor y, Tensor x, const FeedForward *ffn)
{
    const Tensor w1 = ffn->w1.weight, w2 = ffn->w2.weight, w3 = ffn->w3.weight;
    if (w1.rank != 2 || w2.rank != 2 || w1.shape[0] != w2.shape[1] || w1.shape[1] != w2.shape[0] ||
        (w3.data && !tensor_same_shape(w1, w3)))
        return status_fail(CS336_ESHAPE, "%s: w1 is %s, w2 is %s, w3 is %s", function, tensor_shape_text(w1),
                           tensor_shape_text(w2), w3.data ? tensor_shape_text(w3) : "absent");
    if (!tensor_same_shape(y, x) || tensor_extent(x, -1) != w1.shape[1])
        return status_fail(CS336_ESHAPE, "%s: %s is %s, x is %s, w1 is %s", function, name, tensor_shape_text(y),
                           tensor_shape_text(x), tensor_shape_text(w1));
    return CS336_OK;
}

static Status project(const FeedForwardSaved *saved, Tensor x, const FeedForward *ffn)
{
    Linear both;
    if (is_gated(ffn) && linear_join(&both, (const Linear *[]){&ffn->w1, &ffn->w3}, 2))
        return linear_forward(tensor_widen(saved->up, 2 * tensor_extent(saved->up, -1)), x, &both);
    Status s = linear_forward(saved->up, x, &ffn->w1);
    if (!s && is_gated(ffn))
        s = linear_forward(saved->gate, x, &ffn->w3);
    return s;
}

/* hidden = silu(up) gate */
static void activate(Tensor hidden, const FeedForwardSaved *saved)
{
    const VecmathKernels *vec = vecmath();
    const size_t rows = tensor_rows(hidden), d_ff = tensor_extent(hidden, -1);
#pragma omp parallel for if (rows * d_ff >= PARALLEL_NUMBERS)
    for (size_t row = 0; row < rows; row++)
        vec->swiglu(tensor_row(hidden, row), tensor_row(saved->up, row),
                    saved->gate.data ? tensor_row(saved->gate, row) : NULL, d_ff);
}

Status feed_forward_forward(Tensor y, FeedForwardSaved *saved, Tensor x, const FeedForward *ffn, Arena *scratch)
{
    Status s = check("feed_forward_forward", "y", y, x, ffn);
    if (s)
        return s;
    const size_t mark = arena_mark(scratch);
    FeedForwardSaved unsaved;
    Tensor hidden;
    if (!saved) {
        saved = &unsaved;
        s = feed_forward_bind_saved(saved, scratch, x, ffn);
    }
    if (!s)
        s = bind_hidden(&hidden, scratch, x, ffn);
    if (!s)
        s = project(saved, x, ffn);
    if (!s) {
        activate(hidden, saved);
        s = linear_forward(y, hidden, &ffn->w2);
    }
    arena_release(scratch, mark);
    return s;
}

/*
 * Forward: hidden = silu(up) * gate, with silu(u) = u p, p = 1 / (1 + e^-u). As p' = p (1 - p),
 *
 *     silu'(u) = p + u p (1 - p) = p + silu(u) (1 - p)
 *     dL/dup = dL/dhidden gate silu'(up)        dL/dgate = dL/dhidden silu(up)
 *
 * Both factors of hidden are at hand here, so hidden itself, which w2's gradient needs, is made again and not saved:
 * up and gate turn into their gradients, and the gradient of hidden into hidden.
 */
static void activate_backward(FeedForwardSaved *saved, Tensor hidden)
{
    const VecmathKernels *vec = vecmath();
    const size_t rows = tensor_rows(hidden), d_ff = tensor_extent(hidden, -1);
#pragma omp parallel for if (rows * d_ff >= PARALLEL_NUMBERS)
    for (size_t row = 0; row < rows; row++) {
        float *up = tensor_row(saved->up, row), *gate = saved->gate.data ? tensor_row(saved->gate, row) : NULL;
        float *hidden_row = tensor_row(hidden, row);
        vec->swiglu_backward(up, gate, hidden_row, hidden_row, up, gate, d_ff);
    }
}

/* Forward: up = W1 x, gate = W3 x. Both lead back to x, so their gradients add. */
static Status project_backward(Tensor grad_x, FeedForward *grad, Tensor grad_up, Tensor grad_gate, Tensor x,
                               const FeedForward *ffn)
{
    Linear both, grad_both;
    if (is_gated(ffn) && linear_join(&both, (const Linear *[]){&ffn->w1, &ffn->w3}, 2) &&
        linear_join(&grad_both, (const Linear *[]){&grad->w1, &grad->w3}, 2))
        return linear_backward(grad_x, &grad_both, tensor_widen(grad_up, 2 * tensor_extent(grad_up, -1)), x, &both);
    Status s = linear_backward(grad_x, &grad->w1, grad_up, x, &ffn->w1);
    if (!s && is_gated(ffn))
        s = linear_backward_add(grad_x, &grad->w3, grad_gate, x, &ffn->w3);
    return s;
}

Status feed_forward_backward(Tensor grad_x, FeedForward *grad, Tensor grad_y, FeedForwardSaved *saved, Tensor x,
                             const FeedForward *ffn, Arena *scratch)
{
    Status s = check("feed_forward_backward", "grad_y", grad_y, x, ffn);
    if (s)
        return s;
    const size_t mark = arena_mark(scratch);
    Tensor hidden;
    s = bind_hidden(&hidden, scratch, x, ffn);
    if (!s)
        s = linear_backward(hidden, &(Linear){.weight = {0}}, grad_y, hidden, &ffn->w2);
    if (!s) {
        activate_backward(saved, hidden);
        s = linear_backward((Tensor){0}, &grad->w2, grad_y, hidden, &ffn->w2);
    }
    if (!s)
        s = project_backward(grad_x, grad, saved->up, saved->gate, x, ffn);
    arena_release(scratch, mark);
    return s;
}
