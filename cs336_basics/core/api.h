/**
 * @file
 * @brief Macros that each header puts around its declarations.
 *
 * - CS336_API_BEGIN ... CS336_API_END encloses the library's interface. The shared library exports only these
 * functions, so that a function named `matmul` here cannot clash with one of another library.
 * - CS336_INTERNAL_BEGIN ... CS336_INTERNAL_END encloses functions that only the library itself and its program call.
 * - Both let C++ include the header: `extern "C"` makes C++ use the plain names of C functions.
 */
#ifndef CS336_CORE_API_H
#define CS336_CORE_API_H

/**
 * @def CS336_INTERNAL_BEGIN
 * @brief Begins the declarations of a header that the shared library does not export.
 */
/**
 * @def CS336_INTERNAL_END
 * @brief Ends the declarations that CS336_INTERNAL_BEGIN began.
 */
#if defined(__cplusplus)
#define CS336_INTERNAL_BEGIN extern "C" {
#define CS336_INTERNAL_END }
#else
#define CS336_INTERNAL_BEGIN
#define CS336_INTERNAL_END
#endif

/* The library is compiled with -fvisibility=hidden: a function is exported only if its declaration says so. */
/**
 * @def CS336_API_BEGIN
 * @brief Begins the declarations of a header that the shared library exports.
 */
/**
 * @def CS336_API_END
 * @brief Ends the declarations that CS336_API_BEGIN began.
 */
#if defined(__GNUC__)
#define CS336_API_BEGIN _Pragma("GCC visibility push(default)") CS336_INTERNAL_BEGIN
#define CS336_API_END CS336_INTERNAL_END _Pragma("GCC visibility pop")
#else
#define CS336_API_BEGIN CS336_INTERNAL_BEGIN
#define CS336_API_END CS336_INTERNAL_END
#endif

#endif
