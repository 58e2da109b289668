#include "optim/sgd_tuning.h"

#include "core/rng.h"
#include "core/tensor.h"
#include "optim/sgd.h"

#include <math.h>

enum { SIDE = 10, COUNT = SIDE * SIDE }; /* rows and columns of the weights, and their number */
static const double DEVIATION = 5;       /* standard deviation of the initial weights */

Status sgd_tuning(double *losses, double *grad_norms, size_t steps, double lr, uint64_t seed)
{
    float weights[COUNT], gradient[COUNT];
    Rng rng = rng_seeded(seed);
    for (size_t i = 0; i < COUNT; i++)
        weights[i] = (float)(DEVIATION * rng_normal(&rng));
    Parameter parameter = {
        .name = "weights", .value = tensor(weights, SIDE, SIDE), .grad = tensor(gradient, SIDE, SIDE)};
    Status s = CS336_OK;
    for (size_t t = 0; !s && t < steps; t++) {
        /* Forward: the mean of the squares. Backward: its derivative 2 w / COUNT. */
        double squares = 0, gradient_squares = 0;
        for (size_t i = 0; i < COUNT; i++) {
            gradient[i] = 2 * weights[i] / COUNT;
            squares += (double)weights[i] * (double)weights[i];
            gradient_squares += (double)gradient[i] * (double)gradient[i];
        }
        losses[t] = squares / COUNT;
        grad_norms[t] = sqrt(gradient_squares);
        s = sgd_step((ParameterList){&parameter, 1}, t, lr);
    }
    return s;
}
