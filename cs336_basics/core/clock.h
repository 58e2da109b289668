/**
 * @file
 * @brief A clock to measure durations.
 */
#ifndef CS336_CORE_CLOCK_H
#define CS336_CORE_CLOCK_H

#include "core/api.h"

CS336_INTERNAL_BEGIN

/** @brief Returns the seconds of a monotonic clock, which a change of the system's time does not affect. */
double clock_seconds(void);

/** @brief The same in whole milliseconds. A signal handler may call both. */
long long clock_milliseconds(void);

CS336_INTERNAL_END

#endif
