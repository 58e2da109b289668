/**
 * @file
 * @brief The newest losses of a run as a curve of a few characters, such as "█▆▅▃▂▂▁".
 */
#ifndef CS336_CLI_LOSS_CURVE_H
#define CS336_CLI_LOSS_CURVE_H

#include "core/api.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

enum {
    LOSS_CURVE_POINTS = 20,                      /**< losses that a curve shows at most, one in a column */
    LOSS_CURVE_BYTES = 3 * LOSS_CURVE_POINTS + 1 /**< of its text: a block character has three bytes in UTF-8 */
};

/** @brief The newest losses. Zeroed: none yet. */
typedef struct {
    double losses[LOSS_CURVE_POINTS]; /**< loss number i of the run is at index i % LOSS_CURVE_POINTS */
    size_t count;                     /**< losses added so far, of which the newest are still there */
} LossCurve;

/** @brief Adds a loss, which must be finite. */
void loss_curve_add(LossCurve *curve, double loss);

/**
 * @brief Writes the newest losses, the newest last. The height of a character says where the loss lies between the
 * lowest and the highest of those that are shown.
 * @param[out] text     ends in a zero byte
 * @param[in]  curve
 * @param[in]  columns  characters to write at most
 * @param[in]  utf8     true: eight block characters of rising height; false: eight ASCII characters of rising density
 */
void loss_curve_text(char text[LOSS_CURVE_BYTES], const LossCurve *curve, size_t columns, bool utf8);

CS336_INTERNAL_END

#endif
