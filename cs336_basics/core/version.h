/**
 * @file
 * @brief The library's version.
 */
#ifndef CS336_CORE_VERSION_H
#define CS336_CORE_VERSION_H

#include "core/api.h"

CS336_API_BEGIN

/**
 * @brief Returns the version of the library that the program has loaded, "MAJOR.MINOR.PATCH". MAJOR is also the number
 * in the name that the loader looks for (SONAME).
 */
const char *cs336_version(void);

CS336_API_END

#endif
