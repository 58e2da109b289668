/**
 * @file
 * @brief For commands that run for a while: a line of progress, output that never blocks, and signals such as
 * Ctrl-C, which set a flag so that the command can finish cleanly.
 */
#ifndef CS336_CLI_WORK_H
#define CS336_CLI_WORK_H

#include "core/api.h"
#include "core/atomic.h"
#include "core/file.h"
#include "core/status.h"

#include <stdbool.h>
#include <stdio.h>

CS336_INTERNAL_BEGIN

/**
 * @brief Installs signal handlers and returns a flag. Each signal that asks the process to end sets the flag to 1:
 * SIGINT (Ctrl-C), SIGTERM, SIGQUIT, SIGHUP, SIGXCPU and others. A signal that the process was started to ignore stays
 * ignored, as by nohup or `trap '' INT`. SIGPIPE and SIGXFSZ are ignored: the write that caused them fails with an
 * error instead.
 *
 * Another Ctrl-C ends the process at once, if it comes more than half a second after the previous one. Within half a
 * second it counts as the same press, because keys bounce and terminals repeat them.
 */
const atomic_int *work_stop_flag(void);

/**
 * @brief Like work_stop_flag(), for a command that saves its state before it ends. System calls that a signal
 * interrupts are restarted (SA_RESTART), so that saving is not cut short.
 * @param notice  message that the first signal prints on a terminal
 */
const atomic_int *work_stop_flag_saving(const char *notice);

/** @brief The two output streams of a program. */
typedef enum { WORK_STDOUT, WORK_STDERR } WorkStream;

/**
 * @brief Prints a line, or skips it if the reader of the stream does not read: training never waits for its reader.
 * log.jsonl has every line.
 *
 * If a pipe's reader is gone or a terminal was closed, nothing is printed to it any more. If a reader does not read for
 * a second, such as a terminal stopped by Ctrl-S, it misses lines until it reads again.
 * @param format  printf format; names of files among its arguments must be printable(), because lines may have control
 *                sequences, and these reach the terminal
 * @return true if the line was printed
 */
bool work_say(WorkStream stream, const char *format, ...) CS336_PRINTF_LIKE(2, 3);

/** @brief Flushes what printf() wrote before the training. If that fails, nothing more is printed to stdout. */
void work_flush_stdout(void);

/**
 * @name Control sequences around a line that is overwritten again and again
 * WORK_LINE_BEGIN turns the terminal's line wrapping off, because a wrapped line could not be overwritten.
 * @{
 */
#define WORK_LINE_BEGIN "\r\033[K\033[?7l" /**< go to column 1, clear the line, do not wrap */
#define WORK_LINE_END "\033[?7h"           /**< wrap again */
#define WORK_LINE_CLEAR "\r\033[K"         /**< go to column 1, clear the line */
/** @} */

/** @brief Returns CS336_EINTERRUPTED if the flag is set. */
CS336_MUST_CHECK Status work_check_stop(void);

/** @brief A line of progress on stderr. On a terminal it is overwritten; in a file each line follows the one before. */
typedef struct {
    const char *command; /**< name, for the beginning of the line */
    double start_time;   /**< times are in seconds, from clock_seconds() */
    double line_time;    /**< of the latest line */
    double phase_start;  /**< of the phase; work_left() measures the speed since then */
    bool terminal;       /**< true if stderr is a terminal */
    bool dirty;          /**< true if a line was printed that work_end() clears */
} WorkProgress;

/** @brief Starts the clock. No line is due in the first second. */
WorkProgress work_begin(const char *command);

/** @brief True if a line is due: every 0.1 s on a terminal, every 10 s in a file. Then call work_show(). */
bool work_is_due(const WorkProgress *progress);

/** @brief Prints the line of progress: "cs336 COMMAND: " and the text. work_is_due() counts the time from here. */
void work_show(WorkProgress *progress, const char *format, ...) CS336_PRINTF_LIKE(2, 3);

/** @brief A duration as text: "1:05" (minutes and seconds), "2:00:00" (with hours), or "4 days". */
typedef struct {
    char text[24]; /**< ends in a zero byte */
} WorkTime;

/** @brief Returns a duration as text, rounded to whole seconds; from 3 days on to whole days. */
WorkTime work_time(double seconds);

/** @brief Begins the next phase of the work, whose speed work_left() measures afresh. */
void work_begin_phase(WorkProgress *progress);

/** @brief Estimates the time that the rest of the phase takes at the speed so far; @p done > 0. */
WorkTime work_left(const WorkProgress *progress, size_t done, size_t total);

/** @brief Clears the line of progress on a terminal. @return seconds since work_begin() */
double work_end(WorkProgress *progress);

/** @brief Writes the contents of a file. @param context  what work_write_file() was given */
typedef Status WorkContents(FileWriter *writer, const void *context);

/**
 * @brief Writes an output that takes no longer than a moment, so that it has no progress: completely, or not at all if
 * writing fails or a signal asks the process to end (work_stop_flag()).
 * @param output   path; "-" is standard output
 * @param write    writes the contents
 * @param context  given to @p write
 * @retval CS336_EINTERRUPTED, CS336_EIO, CS336_ENOMEM, and what @p write returns
 */
CS336_MUST_CHECK Status work_write_file(const char *output, WorkContents *write, const void *context);

/** @brief Returns the stream for a command's summary: stderr if @p output is "-", so that results have stdout alone. */
FILE *work_summary_stream(const char *output);

/** @brief Returns a speed in 10^6 bytes per second; 0 if no time has passed. */
double work_megabytes_per_second(double bytes, double seconds);

CS336_INTERNAL_END

#endif
