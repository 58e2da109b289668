/**
 * @file
 * @brief Walks a function's failing exits one after the other.
 */
#ifndef CS336_TESTS_SUPPORT_FAILURES_H
#define CS336_TESTS_SUPPORT_FAILURES_H

#include "core/status.h"

/** @brief Does the work once; where it succeeds, it also gives back what it made. */
typedef Status (*Attempt)(void *context);

/**
 * @brief Lets the first allocation of an attempt fail, then only the second, and so on until it succeeds.
 * Each failure must be CS336_ENOMEM with a message and leave memory_in_use() as it was; there must be at least one.
 */
void assert_allocation_failures_are_clean(Attempt attempt, void *context);

/**
 * @brief The same with file_write(), as on a full disk: CS336_EIO, no memory lost, and no file more or less in
 * @p directory.
 */
void assert_write_failures_are_clean(Attempt attempt, void *context, const char *directory);

#endif
