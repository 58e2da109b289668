/**
 * @file
 * @brief What commands that work for a while share: a line of progress on stderr, and an end by Ctrl-C that leaves no
 * half-written file.
 */
#ifndef CS336_CLI_WORK_H
#define CS336_CLI_WORK_H

#include "core/api.h"
#include "core/atomic.h"
#include "core/status.h"

#include <stdbool.h>
#include <stdio.h>

CS336_INTERNAL_BEGIN

/** @brief Seconds on a clock that only goes forward. */
double work_seconds(void);

/**
 * @brief A flag that every signal which asks the process to end sets from now on: SIGINT, SIGTERM, SIGQUIT, SIGHUP
 * (unless nohup ignores it), SIGXCPU, ... SIGPIPE and SIGXFSZ become errors of the write that raised them.
 *
 * Half a second after the last Ctrl-C another one ends the process at once. Sooner it counts as the same press: keys
 * bounce, and terminals repeat them.
 */
const atomic_int *work_stop_flag(void);

/**
 * @brief The same for a command that saves its state before it ends. Its system calls are restarted after a signal, so
 * that a save is not cut short.
 * @param notice  what the first signal says on a terminal, as "saving; Ctrl-C again ends at once, without saving"
 */
const atomic_int *work_stop_flag_saving(const char *notice);

/** @brief The two streams that a run talks to. */
typedef enum { WORK_STDOUT, WORK_STDERR } WorkStream;

/**
 * @brief Prints a line, or skips it where nobody takes it: a run does not wait for its reader. log.jsonl has every
 * line.
 *
 * A pipe whose reader has gone, and a terminal that hung up, are dead from then on. A reader that takes nothing for a
 * second, as a terminal stopped by Ctrl-S, misses lines until it reads again.
 * @return whether the line was taken
 */
bool work_say(WorkStream stream, const char *format, ...) CS336_PRINTF_LIKE(2, 3);

/** @brief Flushes what printf() wrote before a run begins. If that fails, stdout is dead and the run goes on without.
 */
void work_flush_stdout(void);

/**
 * @name Around a line that is drawn over and over
 * The terminal cuts it at its edge: a line that wraps could not be drawn over.
 * @{
 */
#define WORK_LINE_BEGIN "\r\033[K\033[?7l"
#define WORK_LINE_END "\033[?7h"
#define WORK_LINE_CLEAR "\r\033[K"
/** @} */

/** @brief CS336_EINTERRUPTED once the flag is set. */
CS336_MUST_CHECK Status work_check_stop(void);

typedef struct {
    const char *command;
    double began, drawn; /**< seconds */
    double phase_began;  /**< seconds: what work_left() measures the speed from */
    bool terminal;       /**< stderr is one: the line is overwritten, else lines follow each other, but seldom */
    bool dirty;          /**< a line stands there */
} WorkProgress;

/** @brief Begins to measure; nothing is shown in the first second. */
WorkProgress work_begin(const char *command);

/** @brief Whether it is time to show something again: then call work_show(). */
bool work_is_due(const WorkProgress *progress);
void work_show(WorkProgress *progress, const char *format, ...) CS336_PRINTF_LIKE(2, 3);

/** @brief A time as people read it: "1:05" minutes and seconds, "2:00:00" with hours, "4 days". */
typedef struct {
    char text[24]; /**< ends in a zero byte */
} WorkTime;
WorkTime work_time(double seconds);

/** @brief The next phase begins, whose speed is its own. */
void work_begin_phase(WorkProgress *progress);

/** @brief How long the rest of the phase takes if it goes on as it went; @p done is more than 0. */
WorkTime work_left(const WorkProgress *progress, size_t done, size_t total);

/** @brief Takes the line away. @return seconds since work_begin() */
double work_end(WorkProgress *progress);

/** @brief Where a command's summary goes: stdout, unless its results go there. @param output  of the results */
FILE *work_summary_stream(const char *output);

/** @brief A rate of bytes in 10^6 bytes a second; 0 when no time has passed. */
double work_megabytes_per_second(double bytes, double seconds);

CS336_INTERNAL_END

#endif
