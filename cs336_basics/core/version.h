/**
 * @file
 * @brief The library's version.
 */
#ifndef CS336_CORE_VERSION_H
#define CS336_CORE_VERSION_H

#include "core/api.h"

CS336_API_BEGIN

/** @brief "MAJOR.MINOR.PATCH" of the library that the program runs with; MAJOR is also the number in its SONAME. */
const char *cs336_version(void);

CS336_API_END

#endif
