#include "tests/support/bfloat16.h"

#include <math.h>

enum { SIGNIFICANT_BITS = 8, SMALLEST_EXPONENT = -133 /* of the smallest subnormal bfloat16, 2^-133 */ };

double bfloat16_of(float x)
{
    if (!isfinite(x))
        return (double)x;
    int exponent;
    (void)frexp((double)x, &exponent);
    exponent -= SIGNIFICANT_BITS;
    /* Neighbouring bfloat16 numbers of this size are one unit apart. */
    const double unit = ldexp(1, exponent < SMALLEST_EXPONENT ? SMALLEST_EXPONENT : exponent);
    const double rounded = nearbyint((double)x / unit) * unit; /* only nearbyint() rounds, half to even */
    return fabs(rounded) < 0x1p128 ? rounded : copysign(INFINITY, rounded);
}
