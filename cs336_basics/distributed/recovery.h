/**
 * @file
 * @brief What the last line of a failed run of several ranks says about how to go on: the newest checkpoint, and a
 * command.
 *
 * The command that runs says it with recovery_set(); distributed/watchdog.h prints it. All functions may be called from
 * several threads at once.
 */
#ifndef CS336_DISTRIBUTED_RECOVERY_H
#define CS336_DISTRIBUTED_RECOVERY_H

#include "core/api.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/** @brief The longest command that a line contains, in bytes with its final zero byte. */
enum { RECOVERY_COMMAND_BYTES = 1 << 14 };

/** @brief How to go on. Each pointer but `command` may be NULL. */
typedef struct {
    const char *command;    /**< the subcommand, such as "train", for the line's beginning */
    const char *again;      /**< a line of sh that does the whole work again */
    const char *checkpoint; /**< path of the file that saves the work so far; NULL: the command has none */
    const char *resume;     /**< a line of sh that goes on from the checkpoint */
} Recovery;

/** @brief Sets how to go on, and that no checkpoint was saved yet. The texts are copied and made safe to print. */
void recovery_set(const Recovery *recovery);

/** @brief Says that the checkpoint of @p step is complete on the disk; 0: there is none. */
void recovery_set_saved(uint64_t step);

/** @brief True if the command saves its work so far in a checkpoint. */
bool recovery_saves(void);

/** @brief Returns the step of the newest checkpoint, 0 if there is none. */
uint64_t recovery_saved(void);

/**
 * @brief Writes a line: "cs336 COMMAND: ", @p what, the newest checkpoint, the command to give, and a line feed.
 * @param[out] line      text that ends in a zero byte; what does not fit is cut
 * @param      what      what happened, printable
 * @param      saved     step of the newest checkpoint, 0: none
 * @return its length in bytes
 */
size_t recovery_line(char *line, size_t capacity, const char *what, uint64_t saved);

CS336_INTERNAL_END

#endif
