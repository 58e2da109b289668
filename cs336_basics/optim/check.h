/**
 * @file
 * @brief What every optimizer checks before it changes any parameter.
 */
#ifndef CS336_OPTIM_CHECK_H
#define CS336_OPTIM_CHECK_H

#include "core/api.h"
#include "core/parameter.h"
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

CS336_INTERNAL_BEGIN

/**
 * @brief Numbers in a chunk of a tensor, which one thread takes at a time: 16 KiB of each array. The size is fixed, so
 * that the chunks and the results are the same for any number of threads.
 */
enum { OPTIM_CHUNK = 4096 };

/**
 * @brief Checks the parameters that have a gradient; the others are frozen and not looked at.
 * @param function   for messages
 * @param parameters value and gradient, and with @p moments both moments, must be contiguous and of the same shape
 * @param moments    true if the optimizer keeps moments
 * @retval CS336_ESHAPE  the message names the parameter
 */
CS336_MUST_CHECK Status optim_check(const char *function, ParameterList parameters, bool moments);

/** @brief Checks that a rate is a finite number of at least 0. @retval CS336_ERANGE */
CS336_MUST_CHECK Status optim_check_rate(const char *function, const char *name, double rate);

CS336_INTERNAL_END

#endif
