/**
 * @file
 * @brief What a header puts around its declarations.
 *
 * - CS336_API_BEGIN ... CS336_API_END: functions of the library's interface. The shared library exports these and no
 *   others, so that a function called `matmul` here never meets one of another library.
 * - CS336_INTERNAL_BEGIN ... CS336_INTERNAL_END: functions that only the library itself calls.
 * - Both can be included from C++.
 */
#ifndef CS336_CORE_API_H
#define CS336_CORE_API_H

#if defined(__cplusplus)
#define CS336_INTERNAL_BEGIN extern "C" {
#define CS336_INTERNAL_END }
#else
#define CS336_INTERNAL_BEGIN
#define CS336_INTERNAL_END
#endif

/* The library is compiled with -fvisibility=hidden: a function is exported only if its declaration says so. */
#if defined(__GNUC__)
#define CS336_API_BEGIN _Pragma("GCC visibility push(default)") CS336_INTERNAL_BEGIN
#define CS336_API_END CS336_INTERNAL_END _Pragma("GCC visibility pop")
#else
#define CS336_API_BEGIN CS336_INTERNAL_BEGIN
#define CS336_API_END CS336_INTERNAL_END
#endif

#endif
