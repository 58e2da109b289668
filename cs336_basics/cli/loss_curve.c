#include "cli/loss_curve.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LEVELS = 8 };
static const char *const blocks[LEVELS] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
static const char *const ascii[LEVELS] = {".", ":", "-", "=", "+", "*", "#", "@"};

void loss_curve_add(LossCurve *curve, double loss)
{
    curve->losses[curve->count++ % LOSS_CURVE_POINTS] = loss;
}

void loss_curve_text(char text[LOSS_CURVE_BYTES], const LossCurve *curve, size_t columns, bool utf8)
{
    size_t shown = curve->count < LOSS_CURVE_POINTS ? curve->count : LOSS_CURVE_POINTS;
    shown = shown < columns ? shown : columns;
    double low = (double)INFINITY, high = -(double)INFINITY;
    for (size_t i = curve->count - shown; i < curve->count; i++) {
        low = fmin(low, curve->losses[i % LOSS_CURVE_POINTS]);
        high = fmax(high, curve->losses[i % LOSS_CURVE_POINTS]);
    }
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = curve->count - shown; i < curve->count; i++) {
        /* Equal losses are all the lowest. */
        const double height = high > low ? (curve->losses[i % LOSS_CURVE_POINTS] - low) / (high - low) : 0;
        const char *character = (utf8 ? blocks : ascii)[lround(height * (LEVELS - 1))];
        used += (size_t)snprintf(text + used, LOSS_CURVE_BYTES - used, "%s", character);
    }
}
