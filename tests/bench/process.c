#define _XOPEN_SOURCE 700
#include "tests/bench/process.h"

#include "core/parallel.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ANSWER_BYTES = 400, LONGEST_SILENCE = 300, COMMAND_MISSING = 127 };

const char *bench_program;

BenchProcess bench_torch = {.name = "PyTorch",
                            .line = "exec \"${CS336_PYTHON:-python3}\" tests/bench/peers/torch_peer.py"};

/* ---- reading lines ---- */

/*
 * Reads one line, without its newline. Returns false if the stream ended, failed or was silent for too long. It reads
 * byte by byte: lines are short and rare, and no buffer then holds bytes of the next line.
 */
static bool read_line(int stream, char *line, size_t capacity)
{
    size_t length = 0;
    for (;;) {
        char byte;
        struct pollfd wait = {.fd = stream, .events = POLLIN};
        if (poll(&wait, 1, LONGEST_SILENCE * 1000) <= 0 || read(stream, &byte, 1) != 1)
            return false;
        if (byte == '\n')
            break;
        if (byte != '\r' && length + 1 < capacity)
            line[length++] = byte;
    }
    line[length] = '\0';
    return true;
}

/* ---- line peers ---- */

static void become(const BenchProcess *process, int input, int output)
{
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    signal(SIGPIPE, SIG_DFL);
    if (process->variable && process->value)
        setenv(process->variable, process->value, 1);
    else if (process->variable)
        unsetenv(process->variable);
    if (process->role)
        execlp(bench_program, bench_program, "--peer", process->role, (char *)NULL);
    else
        execlp("sh", "sh", "-c", process->line, (char *)NULL);
    _exit(COMMAND_MISSING);
}

/* Opens both pipes. Other children close all four ends, so a peer sees the end of its input when this program ends. */
static bool open_pipes(int request[2], int answer[2])
{
    if (pipe(request) != 0)
        return false;
    if (pipe(answer) != 0) {
        close(request[0]);
        close(request[1]);
        return false;
    }
    for (int i = 0; i < 2; i++) {
        fcntl(request[i], F_SETFD, FD_CLOEXEC);
        fcntl(answer[i], F_SETFD, FD_CLOEXEC);
    }
    return true;
}

static double start(BenchProcess *process)
{
    int request[2], answer[2];
    if (!open_pipes(request, answer))
        return bench_failed("%s: no pipe: %s", process->name, strerror(errno));
    signal(SIGPIPE, SIG_IGN);
    process->pid = fork();
    if (process->pid == 0)
        become(process, request[0], answer[1]);
    close(request[0]);
    close(answer[1]);
    process->requests = request[1];
    process->answers = answer[0];
    process->threads = 0;
    process->state = PROCESS_RUNS;
    if (process->pid < 0) {
        bench_process_end(process);
        return bench_failed("%s: no process: %s", process->name, strerror(errno));
    }
    char greeting[ANSWER_BYTES];
    if (read_line(process->answers, greeting, sizeof greeting) && strcmp(greeting, "ready") == 0)
        return 0;
    bench_process_end(process);
    process->state = PROCESS_ABSENT;
    return bench_failed(BENCH_NOT_INSTALLED);
}

void bench_process_end(BenchProcess *process)
{
    if (process->state != PROCESS_RUNS)
        return;
    close(process->requests);
    close(process->answers);
    if (process->pid > 0) {
        kill(process->pid, SIGTERM);
        waitpid(process->pid, NULL, 0);
    }
    process->state = PROCESS_NEW;
}

static double broken(BenchProcess *process, const char *why)
{
    bench_process_end(process);
    return bench_failed("%s", why);
}

static double exchange(BenchProcess *process, const char *request)
{
    char line[ANSWER_BYTES];
    const int length = snprintf(line, sizeof line, "%s\n", request);
    if (write(process->requests, line, (size_t)length) != length)
        return broken(process, "it ended");
    if (!read_line(process->answers, line, sizeof line))
        return broken(process, "it ended without an answer");
    char *end;
    const double number = strtod(line, &end);
    if (end != line && !*end && isfinite(number) && number >= 0)
        return number;
    if (strncmp(line, "error ", 6) == 0)
        return bench_failed("%s", line + 6);
    return broken(process, "its answer is no number");
}

double bench_ask(void *question)
{
    const BenchQuestion *ask = question;
    BenchProcess *process = ask->process;
    if (process->state == PROCESS_ABSENT)
        return bench_failed(BENCH_NOT_INSTALLED);
    if (process->state == PROCESS_NEW && isnan(start(process)))
        return NAN;
    const int threads = parallel_threads();
    if (process->threads != threads) {
        char request[40];
        snprintf(request, sizeof request, "threads %d", threads);
        if (isnan(exchange(process, request)))
            return NAN;
        process->threads = threads;
    }
    return exchange(process, ask->request);
}

BenchQuestion bench_question(BenchProcess *process, const char *format, ...)
{
    BenchQuestion question = {.process = process};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(question.request, sizeof question.request, format, arguments);
    va_end(arguments);
    return question;
}

double bench_ask_peak(void *question)
{
    BenchProcess *process = ((BenchQuestion *)question)->process;
    BenchQuestion peak = bench_question(process, "peak");
    bench_process_end(process);
    const double seconds = bench_ask(question), bytes = isnan(seconds) ? seconds : bench_ask(&peak);
    bench_process_end(process);
    return bytes;
}

int bench_serve(double (*answer)(const char *request), void (*set_threads)(int threads))
{
    puts("ready");
    fflush(stdout);
    char request[ANSWER_BYTES];
    while (fgets(request, sizeof request, stdin)) {
        int threads;
        double number = 0;
        request[strcspn(request, "\n")] = '\0';
        if (sscanf(request, "threads %d", &threads) == 1)
            set_threads(threads);
        else
            number = answer(request);
        if (isnan(number))
            printf("error %s\n", bench_failure());
        else
            printf("%.9g\n", number);
        fflush(stdout);
    }
    return 0;
}

/* ---- commands ---- */

/* Starts a command on a pseudo-terminal. On a pipe, the C library would buffer its lines until they are 4 KiB or so. */
static pid_t start_on_terminal(int *output, const char *directory, const char *line)
{
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
        return -1;
    fcntl(master, F_SETFD, FD_CLOEXEC);
    const int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
    const pid_t pid = terminal < 0 ? -1 : fork();
    if (pid == 0) {
        dup2(terminal, STDOUT_FILENO);
        dup2(terminal, STDERR_FILENO);
        if (chdir(directory) == 0)
            execlp("sh", "sh", "-c", line, (char *)NULL);
        _exit(COMMAND_MISSING);
    }
    if (terminal >= 0)
        close(terminal);
    *output = master;
    return pid;
}

int bench_command(double *numbers, int wanted, const char *text, const char *directory, const char *shell_line)
{
    int output = -1, found = 0;
    const pid_t pid = start_on_terminal(&output, directory, shell_line);
    char line[ANSWER_BYTES];
    while (pid > 0 && found < wanted && read_line(output, line, sizeof line)) {
        const char *match = strstr(line, text);
        char *end;
        if (!match)
            continue;
        numbers[found] = strtod(match + strlen(text), &end);
        found += end != match + strlen(text);
    }
    if (pid > 0) {
        kill(pid, SIGTERM);
        waitpid(pid, NULL, 0);
    }
    if (output >= 0)
        close(output);
    return found;
}

/* ---- temporary directories ---- */

static BenchDirectory living; /* an empty path: none */
static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
    interrupted = signal_number;
}

static void on_signals(void (*handler)(int))
{
    const struct sigaction action = {.sa_handler = handler};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* Ctrl-C ends the children, too, because they share the terminal. Whoever waits for one continues, and calls this. */
void bench_leave_when_interrupted(void)
{
    if (interrupted)
        exit(128 + interrupted);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status, (void)kind, (void)where;
    return remove(path);
}

static void remove_living(void)
{
    if (*living.path)
        nftw(living.path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    *living.path = '\0';
}

BenchDirectory bench_make_directory(void)
{
    static bool removed_at_exit;
    BenchDirectory directory;
    const char *parent = getenv("TMPDIR");
    snprintf(directory.path, sizeof directory.path, "%s/cs336-bench-XXXXXX", parent && *parent ? parent : "/tmp");
    on_signals(interrupt);
    if (!mkdtemp(directory.path)) {
        fprintf(stderr, "bench: cannot make a temporary directory %s: %s\n", directory.path, strerror(errno));
        exit(1);
    }
    living = directory;
    if (!removed_at_exit)
        atexit(remove_living);
    removed_at_exit = true;
    return directory;
}

void bench_remove_directory(BenchDirectory *directory)
{
    remove_living();
    *directory->path = '\0';
    bench_leave_when_interrupted();
    on_signals(SIG_DFL);
}
