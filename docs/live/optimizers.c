/* The figure of section 6.6: SGD and AdamW on a surface, the loss of two weights x and y. */
#include "live.h"

#include "optim/adamw.h"
#include "optim/sgd.h"

enum { VALLEY, TURNED_VALLEY, CURVED_VALLEY, SADDLE, SURFACES };

/* A loss, and its derivatives by x and by y. */
typedef struct {
    double loss, dx, dy;
} Slope;

static Slope slope_at(int surface, double x, double y)
{
    switch (surface) {
    case VALLEY:
        return (Slope){0.1 * x * x + 5 * y * y, 0.2 * x, 10 * y};
    case TURNED_VALLEY: /* the valley in coordinates that are turned by 45 degrees: (x + y) / sqrt 2, (y - x) / sqrt 2
                         */
        return (Slope){2.55 * (x * x + y * y) - 4.9 * x * y, 5.1 * x - 4.9 * y, 5.1 * y - 4.9 * x};
    case CURVED_VALLEY: { /* Rosenbrock's function, less steep */
        const double off = y - x * x;
        return (Slope){(1 - x) * (1 - x) + 10 * off * off, 2 * (x - 1) - 40 * x * off, 20 * off};
    }
    default: /* a saddle at (0, 0) between the minima (0, 1) and (0, -1) */
        return (Slope){0.5 * x * x + 0.25 * (y * y - 1) * (y * y - 1), x, y * (y * y - 1)};
    }
}

static Status check_surface(const char *function, int surface)
{
    if (surface >= 0 && surface < SURFACES)
        return CS336_OK;
    return status_fail(CS336_ERANGE, "%s: surface is %d, expected 0 to %d", function, surface, SURFACES - 1);
}

/* loss (n, n) on a grid for contours: x grows from `left` to `right` along a row, y from `bottom` to `top` */
LIVE live_surface(double *loss, int n, double left, double right, double bottom, double top, int surface)
{
    const Status s = check_surface(__func__, surface);
    for (int i = 0; !s && i < n * n; i++) {
        const double across = (double)(i % n) / (n - 1), up = (double)(i / n) / (n - 1);
        loss[i] = slope_at(surface, left + across * (right - left), bottom + up * (top - bottom)).loss;
    }
    return s;
}

/* loss (n) at weights (n, 2) */
LIVE live_losses(double *loss, const float *weights, int n, int surface)
{
    const Status s = check_surface(__func__, surface);
    for (int i = 0; !s && i < n; i++)
        loss[i] = slope_at(surface, (double)weights[2 * i], (double)weights[2 * i + 1]).loss;
    return s;
}

static void gradient_at(float gradient[2], int surface, const float *weights)
{
    const Slope slope = slope_at(surface, (double)weights[0], (double)weights[1]);
    gradient[0] = (float)slope.dx;
    gradient[1] = (float)slope.dy;
}

/* One step of SGD from weights (2); `step` is 0 for the first. */
LIVE live_sgd_step(float *weights, int surface, int step, double lr)
{
    float gradient[2];
    Parameter parameter = {.name = "weights", .value = tensor(weights, 2), .grad = tensor(gradient, 2)};
    const Status s = check_surface(__func__, surface);
    if (s)
        return s;
    gradient_at(gradient, surface, weights);
    return sgd_step((ParameterList){&parameter, 1}, (size_t)step, lr);
}

/* One step of AdamW from weights (2) with both moments (2); `step` is 1 for the first. */
LIVE live_adamw_step(float *weights, float *first_moment, float *second_moment, int surface, int step, double lr,
                     double beta1, double beta2, double weight_decay)
{
    float gradient[2];
    Parameter parameter = {.name = "weights",
                           .value = tensor(weights, 2),
                           .grad = tensor(gradient, 2),
                           .first_moment = tensor(first_moment, 2),
                           .second_moment = tensor(second_moment, 2)};
    const AdamWConfig config = {.lr = lr, .beta1 = beta1, .beta2 = beta2, .eps = 1e-8, .weight_decay = weight_decay};
    const Status s = check_surface(__func__, surface);
    if (s)
        return s;
    gradient_at(gradient, surface, weights);
    return adamw_step((ParameterList){&parameter, 1}, (size_t)step, &config);
}
