/**
 * @file
 * @brief What `cs336 train` prints before its first step: the model, its size, the data, the run and the machine.
 */
#ifndef CS336_CLI_TRAIN_HEADER_H
#define CS336_CLI_TRAIN_HEADER_H

#include "core/api.h"
#include "train/trainer.h"

#include <stdbool.h>

CS336_INTERNAL_BEGIN

/**
 * @brief Prints the lines.
 * @param[in] has_weights  the run begins with the weights of trainer->config.init_from
 * @param[in] loss_floor   nats per token that a perfect model would reach; NaN: not known
 */
void train_header_print(const Trainer *trainer, bool has_weights, double loss_floor);

CS336_INTERNAL_END

#endif
