/**
 * @file
 * @brief Atomic types for headers that C++ programs include too. Before C++23 these types are only in namespace std.
 */
#ifndef CS336_CORE_ATOMIC_H
#define CS336_CORE_ATOMIC_H

#if defined(__cplusplus)
#include <atomic>
using std::atomic_bool;
using std::atomic_int;
using std::atomic_size_t;
using std::atomic_ulong;
#else
#include <stdatomic.h>
#endif

#endif
