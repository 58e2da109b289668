/**
 * @file
 * @brief bfloat16 by its definition: 8 significant bits, the exponents of float32.
 */
#ifndef CS336_TESTS_SUPPORT_BFLOAT16_H
#define CS336_TESTS_SUPPORT_BFLOAT16_H

/** @brief The nearest bfloat16, of two the one with an even last bit; beyond the largest, infinity. */
double bfloat16_of(float x);

#endif
