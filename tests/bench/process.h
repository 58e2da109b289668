/**
 * @file
 * @brief Peers that are processes of their own.
 *
 * - A line peer reads one request a line from its standard input and answers each by one line: a number, "error WHY",
 * or (as its first line, before any request) "ready", or "absent" when what it wraps is not installed. It answers
 *   "threads N" by 0 and uses N threads from then on. It starts with the first question and ends with the program.
 * - A command is run for the numbers in what it prints.
 */
#ifndef CS336_TESTS_BENCH_PROCESS_H
#define CS336_TESTS_BENCH_PROCESS_H

#include "tests/bench/bench.h"

#include <sys/types.h>

typedef struct {
    const char *name;             /**< for messages */
    const char *role;             /**< this very program, run with `--peer ROLE`; or NULL: the line */
    const char *line;             /**< for the shell */
    const char *variable, *value; /**< set in its environment; value NULL: unset; variable NULL: none */
    enum { PROCESS_NEW, PROCESS_RUNS, PROCESS_ABSENT } state;
    pid_t pid;
    int to, from, threads;
} BenchProcess;

/** @brief PyTorch: peers/torch_peer.py, run by CS336_PYTHON or else python3. */
extern BenchProcess bench_torch;

/** @brief What a row asks of a line peer. */
typedef struct {
    BenchProcess *process;
    char request[320];
} BenchQuestion;

BenchQuestion bench_question(BenchProcess *process, const char *format, ...) CS336_PRINTF_LIKE(2, 3);

/** @brief The answer to a BenchQuestion, as a row's run. A peer that breaks is started again by the next question. */
double bench_ask(void *question);

/** @brief The peak memory, in bytes, of a fresh process that has answered the BenchQuestion: a row's run. */
double bench_ask_peak(void *question);

/** @brief Ends the process, if it runs. A next question starts another one. */
void bench_process_end(BenchProcess *process);

/** @brief A line peer's own side: answers until its input ends. Returns the exit code. */
int bench_serve(double (*answer)(const char *request), void (*set_threads)(int threads));

/**
 * @brief Runs a line of the shell and collects the numbers that follow @p text in its output, both streams.
 * @param[out] numbers  as many as were found, in order
 * @param[in]  wanted   after so many numbers the command is ended
 * @return how many were found
 */
int bench_command(double *numbers, int wanted, const char *text, const char *directory, const char *line);

/**
 * @brief A new temporary directory, one at a time. bench_remove_directory() removes it with everything in it; so does
 * the end of the program, also by SIGINT and SIGTERM: these end a command or a question, and then the program at the
 * next bench_leave_when_interrupted().
 */
typedef struct {
    char path[200];
} BenchDirectory;

BenchDirectory bench_make_directory(void);
void bench_remove_directory(BenchDirectory *directory);
void bench_leave_when_interrupted(void);

/** @brief The path of this program, for children of its own. */
extern const char *bench_program;

#endif
