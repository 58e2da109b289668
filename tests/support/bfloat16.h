/**
 * @file
 * @brief bfloat16 by its definition: 8 significant bits and the exponents of float32. The reference for our conversion.
 */
#ifndef CS336_TESTS_SUPPORT_BFLOAT16_H
#define CS336_TESTS_SUPPORT_BFLOAT16_H

/** @brief Returns the nearest bfloat16; a tie rounds to the one whose last bit is 0. Too large numbers become infinity.
 */
double bfloat16_of(float x);

#endif
