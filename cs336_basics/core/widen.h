/**
 * @file
 * @brief Converts floating-point numbers of other sizes, as files have them, to float32.
 *
 * All three functions read @p count little-endian numbers, which may begin at any address. NaN stays NaN, though not
 * with the same bits.
 * @see test_safetensors_widens_as_pytorch
 */
#ifndef CS336_CORE_WIDEN_H
#define CS336_CORE_WIDEN_H

#include "core/api.h"

#include <stddef.h>

CS336_INTERNAL_BEGIN

/** @brief Converts IEEE half precision (5 bits of exponent, 10 of fraction). Every half is a float32 number. */
void widen_half(float *numbers, const void *halves, size_t count);

/** @brief Converts bfloat16, the upper half of a float32. */
void widen_bfloat16(float *numbers, const void *bfloats, size_t count);

/** @brief Rounds double precision to the nearest float32, ties to even; beyond the range of float32 to infinity. */
void narrow_double(float *numbers, const void *doubles, size_t count);

CS336_INTERNAL_END

#endif
