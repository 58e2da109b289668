/*
 * SwiGLU, backward. Forward was up = W1 x, gate = W3 x, hidden = silu(up) * gate, y = W2 hidden. With
 * silu(u) = u p and p = sigmoid(u), whose slope is p (1 - p):
 *
 *     grad_up = grad_hidden * gate * silu'(up),  silu'(u) = p + u p (1 - p)
 *     grad_gate = grad_hidden * silu(up)
 *
 * Without w3, gate is 1.
 */
#include "nn/feed_forward.h"

#include "tests/exercises/learn.h"

#include <math.h>

/*
 * hidden = silu(up) * gate, backward. The forward pass did not keep hidden, and the gradient of w2 needs it. So
 * `hidden` comes in as grad_hidden and goes out as hidden itself, while grad_up and grad_gate overwrite up and gate.
 */
static void activate_backward(Tensor hidden, Tensor up, Tensor gate)
{
    for (size_t i = 0; i < rows(hidden); i++)
        for (size_t j = 0; j < columns(hidden); j++) {
            const float grad_hidden = *at(hidden, i, j), u = *at(up, i, j), g = gate.data ? *at(gate, i, j) : 1;
            const float p = 1 / (1 + expf(-u));
            *at(hidden, i, j) = u * p * g;
            *at(up, i, j) = grad_hidden * g * (p + u * p * (1 - p));
            if (gate.data)
                *at(gate, i, j) = grad_hidden * u * p;
        }
}

Status feed_forward_backward(Tensor grad_x, FeedForward *grad, Tensor grad_y, FeedForwardSaved *saved, Tensor x,
                             const FeedForward *ffn, Arena *scratch)
{
    const size_t mark = arena_mark(scratch);
    const Tensor hidden = arena_tensor_like(scratch, tensor_with_last(x, rows(ffn->w1.weight))), none = {0};
    Linear no_weight = {.weight = none};
    Status s = arena_status(scratch);

    /* y = W2 hidden: grad_hidden = grad_y W2. The gradient of w2 waits for hidden. */
    if (!s)
        s = linear_backward(hidden, &no_weight, grad_y, hidden, &ffn->w2);

    /* hidden = silu(up) * gate */
    if (!s)
        activate_backward(hidden, saved->up, saved->gate);
    if (!s)
        s = linear_backward(none, &grad->w2, grad_y, hidden, &ffn->w2);

    /* up = W1 x, gate = W3 x: both are computed from x, so grad_x is a sum. */
    if (!s)
        s = linear_backward(grad_x, &grad->w1, saved->up, x, &ffn->w1);
    if (!s && saved->gate.data)
        s = linear_backward_add(grad_x, &grad->w3, saved->gate, x, &ffn->w3);
    arena_release(scratch, mark);
    return s;
}
