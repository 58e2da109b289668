#include "nn/feed_forward.h"

#include "core/parallel.h"
#include "kernels/vecmath.h"

static bool is_gated(const FeedForward *ffn)
{
    return ffn->w3.weight.data != NULL;
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

/* ---- memory ---- */

/* Takes up and gate side by side in each row, so that one product can write both. */
static FeedForwardSaved take_saved(Arena *arena, Tensor x, const FeedForward *ffn)
{
    const size_t d_ff = tensor_extent(ffn->w1.weight, 0);
    const Tensor both = arena_tensor_like(arena, tensor_with_last(x, is_gated(ffn) ? 2 * d_ff : d_ff));
    return (FeedForwardSaved){.up = tensor_slice(both, -1, 0, d_ff),
                              .gate = is_gated(ffn) ? tensor_slice(both, -1, d_ff, d_ff) : (Tensor){0}};
}

Status feed_forward_bind_saved(FeedForwardSaved *saved, Arena *arena, Tensor x, const FeedForward *ffn)
{
    const size_t mark = arena_mark(arena);
    *saved = take_saved(arena, x, ffn);
    return arena_keep(arena, mark);
}

typedef struct {
    FeedForwardSaved unsaved; /* up and gate of a forward pass that does not save them */
    Tensor hidden;            /* (..., d_ff) */
} Scratch;

static Scratch take_scratch(Arena *arena, Tensor x, const FeedForward *ffn, bool saving)
{
    Scratch scratch = {0};
    if (!saving)
        scratch.unsaved = take_saved(arena, x, ffn);
    scratch.hidden = arena_tensor_like(arena, tensor_with_last(x, tensor_extent(ffn->w1.weight, 0)));
    return scratch;
}

size_t feed_forward_scratch(Tensor x, const FeedForward *ffn, bool saving)
{
    Arena measure = {0};
    take_scratch(&measure, x, ffn, saving);
    return measure.peak;
}

/* ---- passes ---- */

/* hidden = silu(up) * gate, or silu(up) without a gate. */
static void activate(Tensor hidden, const FeedForwardSaved *saved)
{
    const size_t rows = tensor_rows(hidden), d_ff = tensor_extent(hidden, -1);
    const VecmathKernels *vec = vecmath();
#pragma omp parallel for num_threads(parallel_threads_for(rows *d_ff))
    for (size_t row = 0; row < rows; row++)
        vec->swiglu(tensor_row(hidden, row), tensor_row(saved->up, row),
                    saved->gate.data ? tensor_row(saved->gate, row) : NULL, d_ff);
}

Status feed_forward_forward(Tensor y, FeedForwardSaved *saved, Tensor x, const FeedForward *ffn, Arena *scratch)
{
    Status s = check(__func__, "y", y, x, ffn);
    if (s)
        return s;
    const size_t mark = arena_mark(scratch);
    const Scratch memory = take_scratch(scratch, x, ffn, saved != NULL);
    const FeedForwardSaved *kept = saved ? saved : &memory.unsaved;
    s = arena_status(scratch);

    /* up = W1 x, gate = W3 x */
    if (!s)
        s = linear_forward_all((Tensor[]){kept->up, kept->gate}, x, (const Linear *[]){&ffn->w1, &ffn->w3},
                               is_gated(ffn) ? 2 : 1);
    /* hidden = silu(up) * gate, y = W2 hidden */
    if (!s) {
        activate(memory.hidden, kept);
        s = linear_forward(y, memory.hidden, &ffn->w2);
    }
    arena_release(scratch, mark);
    return s;
}

/*
 * Forward: hidden = silu(up) * gate, element by element, with silu(u) = u p and p = 1 / (1 + e^-u). The slope of the
 * sigmoid is p' = p (1 - p), so
 *
 *     silu'(u) = p + u p (1 - p) = p + silu(u) (1 - p)
 *
 *     grad_up = grad_hidden * gate * silu'(up)
 *     grad_gate = grad_hidden * silu(up)
 *
 * Without a gate, gate is 1. grad_up and grad_gate overwrite up and gate. The argument `hidden` holds grad_hidden, and
 * is overwritten by hidden itself: the gradient of w2 needs it, and here both its factors are at hand.
 */
static void activate_backward(FeedForwardSaved *saved, Tensor hidden)
{
    const size_t rows = tensor_rows(hidden), d_ff = tensor_extent(hidden, -1);
    const VecmathKernels *vec = vecmath();
#pragma omp parallel for num_threads(parallel_threads_for(rows *d_ff))
    for (size_t row = 0; row < rows; row++) {
        float *up = tensor_row(saved->up, row), *gate = saved->gate.data ? tensor_row(saved->gate, row) : NULL;
        float *hidden_row = tensor_row(hidden, row);
        vec->swiglu_backward(up, gate, hidden_row, hidden_row, up, gate, d_ff);
    }
}

/*
 * Forward, and backward from its last line to its first:
 *
 *     up, gate = W1 x, W3 x           linear_backward_all(): both are computed from x, so grad_x is a sum
 *     hidden = silu(up) * gate        activate_backward()
 *     y = W2 hidden                   linear_backward(), twice: hidden is known only after activate_backward()
 */
Status feed_forward_backward(Tensor grad_x, FeedForward *grad, Tensor grad_y, FeedForwardSaved *saved, Tensor x,
                             const FeedForward *ffn, Arena *scratch)
{
    Status s = check(__func__, "grad_y", grad_y, x, ffn);
    if (s)
        return s;
    const size_t mark = arena_mark(scratch);
    const Tensor hidden = take_scratch(scratch, x, ffn, true).hidden;
    s = arena_status(scratch);

    /* grad_hidden = grad_y W2, in the memory of hidden */
    if (!s)
        s = linear_backward(hidden, &(Linear){.weight = {0}}, grad_y, hidden, &ffn->w2);
    /* up and gate become grad_up and grad_gate, grad_hidden becomes hidden; then grad_w2 += grad_y^T hidden */
    if (!s) {
        activate_backward(saved, hidden);
        s = linear_backward((Tensor){0}, &grad->w2, grad_y, hidden, &ffn->w2);
    }
    /* grad_x = grad_up W1 + grad_gate W3, grad_w1 += grad_up^T x, grad_w3 += grad_gate^T x */
    if (!s)
        s = linear_backward_all(grad_x, (Linear *[]){&grad->w1, &grad->w3}, (Tensor[]){saved->up, saved->gate}, x,
                                (const Linear *[]){&ffn->w1, &ffn->w3}, is_gated(ffn) ? 2 : 1);
    arena_release(scratch, mark);
    return s;
}
