/**
 * @file
 * @brief Builds the arguments with which a command calls another one.
 */
#ifndef CS336_CLI_ARGUMENTS_H
#define CS336_CLI_ARGUMENTS_H

#include "core/api.h"
#include "core/status.h"

CS336_INTERNAL_BEGIN

enum { ARGUMENTS_MAX = 128 /**< arguments of a call: more than a command has options */ };

/** @brief A list of arguments, zeroed at first. It remembers its first failure, so that only the end is checked. */
typedef struct {
    char *items[ARGUMENTS_MAX]; /**< owned strings; the first one is the name of the command */
    int count;                  /**< arguments so far */
    Status status;              /**< CS336_ENOMEM, or CS336_ERANGE for too many arguments: nothing is added any more */
} Arguments;

/** @brief Adds an argument, in the way of printf(). */
void arguments_add(Arguments *arguments, const char *format, ...) CS336_PRINTF_LIKE(2, 3);

/** @brief Frees the strings; a zeroed list is fine. */
void arguments_deinit(Arguments *arguments);

CS336_INTERNAL_END

#endif
