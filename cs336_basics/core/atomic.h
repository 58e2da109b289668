/**
 * @file
 * @brief C11's atomic types for headers that C++ includes too, where they have other names before C++23.
 */
#ifndef CS336_CORE_ATOMIC_H
#define CS336_CORE_ATOMIC_H

#if defined(__cplusplus)
#include <atomic>
using std::atomic_bool;
using std::atomic_int;
#else
#include <stdatomic.h>
#endif

#endif
