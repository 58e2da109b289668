/**
 * @file
 * @brief Nouns in messages: `"%zu token%s", count, plural(count)` prints "1 token" and "2 tokens".
 */
#ifndef CS336_CORE_PLURAL_H
#define CS336_CORE_PLURAL_H

#include <stddef.h>

/** @brief Returns the ending of an English noun behind a number: "" for 1, else "s". */
static inline const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

#endif
