/* SwiGLU: y = W2 (silu(W1 x) * W3 x), or y = W2 silu(W1 x) without w3. */
#include "nn/feed_forward.h"

#include "nn/functional.h"
#include "tests/exercises/learn.h"

Status feed_forward_forward(Tensor y, FeedForwardSaved *saved, Tensor x, const FeedForward *ffn, Arena *scratch)
{
    const bool gated = ffn->w3.weight.data != NULL;
    if (nn_check_same_shape(y, x))
        return CS336_ESHAPE;

    /* up and gate: the caller's, or our own if no backward pass follows. */
    const size_t mark = arena_mark(scratch);
    FeedForwardSaved own = {0};
    Status s = saved ? CS336_OK : feed_forward_bind_saved(&own, scratch, x, ffn);
    const FeedForwardSaved kept = saved ? *saved : own;
    const Tensor hidden = arena_tensor_like(scratch, tensor_with_last(x, rows(ffn->w1.weight)));
    if (!s)
        s = arena_status(scratch);

    /* up = W1 x, gate = W3 x */
    if (!s)
        s = linear_forward(kept.up, x, &ffn->w1);
    if (!s && gated)
        s = linear_forward(kept.gate, x, &ffn->w3);

    /* hidden = silu(up) * gate */
    if (!s)
        s = silu_forward(hidden, kept.up);
    if (!s && gated)
        for (size_t i = 0; i < rows(hidden); i++)
            for (size_t j = 0; j < columns(hidden); j++)
                *at(hidden, i, j) *= *at(kept.gate, i, j);

    /* y = W2 hidden */
    if (!s)
        s = linear_forward(y, hidden, &ffn->w2);
    arena_release(scratch, mark);
    return s;
}
