/* The figure of section 4.1: scores become probabilities. */
#include "live.h"

#include "nn/functional.h"

/* y (n) = softmax(x / temperature) */
LIVE live_softmax(float *y, const float *x, int n, double temperature)
{
    const Tensor out = tensor(y, (size_t)n);
    for (int i = 0; i < n; i++)
        y[i] = (float)(x[i] / temperature);
    return softmax_forward(out, out, -1);
}
