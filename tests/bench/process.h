/**
 * @file
 * @brief Peers that are processes of their own.
 *
 * - A line peer first writes "ready", or "absent" if its library is not installed. Then it reads requests, one a line,
 *   and answers each with one line: a number, or "error WHY". It answers "threads N" with 0, and uses N threads from
 *   then on. It is started by the first question and ends with the program.
 * - A command is run once, and the numbers are read from its output.
 */
#ifndef CS336_TESTS_BENCH_PROCESS_H
#define CS336_TESTS_BENCH_PROCESS_H

#include "tests/bench/bench.h"

#include <sys/types.h>

typedef struct {
    const char *name;             /**< for messages */
    const char *role;             /**< run this program with `--peer ROLE`; NULL: run the line instead */
    const char *line;             /**< for the shell */
    const char *variable, *value; /**< set in its environment; value NULL: unset; variable NULL: none */
    enum { PROCESS_NEW, PROCESS_RUNS, PROCESS_ABSENT } state;
    pid_t pid;
    int requests, answers; /**< our ends of the pipes */
    int threads;
} BenchProcess;

/** @brief PyTorch: peers/torch_peer.py, run by CS336_PYTHON or else python3. */
extern BenchProcess bench_torch;

/** @brief One request of a row to a line peer. */
typedef struct {
    BenchProcess *process;
    char request[320];
} BenchQuestion;

BenchQuestion bench_question(BenchProcess *process, const char *format, ...) CS336_PRINTF_LIKE(2, 3);

/** @brief A BenchRun. Returns the answer to a BenchQuestion. A peer that fails is started again by the next question.
 */
double bench_ask(void *question);

/** @brief A BenchRun. Returns the peak memory, in bytes, of a fresh process that has answered the BenchQuestion. */
double bench_ask_peak(void *question);

/** @brief Ends the process, if it runs. The next question starts another one. */
void bench_process_end(BenchProcess *process);

/** @brief The loop of a line peer: answers requests until its input ends. Returns the exit code. */
int bench_serve(double (*answer)(const char *request), void (*set_threads)(int threads));

/**
 * @brief Runs a line of the shell and collects the numbers that follow @p text in its output, both streams.
 * @param[out] numbers  as many as were found, in order
 * @param[in]  wanted   after so many numbers the command is ended
 * @return how many were found
 */
int bench_command(double *numbers, int wanted, const char *text, const char *directory, const char *line);

/**
 * @brief A temporary directory, one at a time. bench_remove_directory() removes it with everything in it.
 *
 * The end of the program removes it, too. SIGINT and SIGTERM first end a command or a question; the program then ends
 * at the next bench_leave_when_interrupted().
 */
typedef struct {
    char path[200];
} BenchDirectory;

BenchDirectory bench_make_directory(void);
void bench_remove_directory(BenchDirectory *directory);
void bench_leave_when_interrupted(void);

/** @brief The path of this program, which also runs as its own children. */
extern const char *bench_program;

#endif
