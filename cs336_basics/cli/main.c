#define _POSIX_C_SOURCE 200809L
#include "cli/commands.h"

#include "cli/ranks_command.h"
#include "cli/work.h"
#include "core/memory.h"
#include "core/parallel.h"
#include "core/printable.h"
#include "core/version.h"
#include "distributed/agreement.h"
#include "distributed/meeting.h"
#include "distributed/ranks.h"
#include "distributed/recovery.h"
#include "distributed/watchdog.h"
#include "kernels/isa.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
    bool shares_work; /* several processes under mpirun share the work; the other commands run in one */
} commands[] = {
    {"story", command_story, "write the embedded corpus of tiny stories", false},
    {"train-bpe", command_train_bpe, "learn a byte-pair encoding from text", true},
    {"encode", command_encode, "turn text into token ids", true},
    {"decode", command_decode, "turn token ids back into text", false},
    {"export-tokenizer", command_export_tokenizer, "write a tokenizer for Hugging Face's libraries or tiktoken", false},
    {"tokenizer-report", command_tokenizer_report, "measure tokenizers on texts: compression, speed, unused tokens",
     false},
    {"train", command_train, "train a Transformer language model on tokens", true},
    {"experiment", command_experiment, "train the runs that a file describes, and compare them", false},
    {"generate", command_generate, "continue a prompt with a trained model", false},
    {"evaluate", command_evaluate, "measure how well a model predicts a text", false},
    {"report", command_report, "show training runs: curves, losses, settings, samples", false},
    {"inspect", command_inspect, "show where a model's heads look, or a batch's way through it", false},
    {"import", command_import, "make a checkpoint of the weights of another program", false},
    {"export", command_export, "write a model's weights for PyTorch or transformers", false},
    {"account", command_account, "count a model's parameters, FLOPs and memory", false},
    {NULL, NULL, NULL, false},
};

static void print_help(FILE *stream)
{
    fputs("Usage: cs336 COMMAND [options]\n\nThe steps of a language model, in the order of the course:\n", stream);
    for (size_t i = 0; commands[i].name; i++)
        fprintf(stream, "  %-16s %s\n", commands[i].name, commands[i].summary);
    fputs("\ncs336 COMMAND --help lists a command's options; cs336 --version prints the version.\n", stream);
}

/*
 * Flushes stdout and returns the exit code. stdout is buffered, so a write error such as a full disk may appear only
 * here. A command that has failed already has printed its message.
 */
static int close_stdout(int code)
{
    const bool written = fflush(stdout) == 0 && !ferror(stdout);
    if (written || code)
        return code;
    fprintf(stderr, "cs336: cannot write to standard output: %s\n", strerror(errno));
    return EXIT_BAD_INPUT;
}

/*
 * Opens /dev/null for each standard stream that the caller has closed. Otherwise the next file that is opened would get
 * the stream's descriptor (0, 1 or 2), and messages would be written into that file. /dev/null is opened in the wrong
 * direction, so that using the stream is still an error.
 */
static void reserve_standard_descriptors(void)
{
    for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; descriptor++)
        if (fcntl(descriptor, F_GETFD) < 0 &&
            open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY) != descriptor)
            exit(EXIT_BAD_INPUT);
}

/*
 * Limits the time that OpenMP threads busy-wait. A thread that finishes its share of a parallel loop first spins, then
 * sleeps. On a busy machine a spinning thread takes the processor from the thread that it waits for, and training ran
 * ten times slower. So threads spin only briefly: 3000 iterations (some microseconds) with gcc's OpenMP, 1 millisecond
 * with clang's. Both read these variables before main() begins, so the program sets them and executes itself again.
 */
static void limit_busy_waiting(char **argv)
{
#ifdef _OPENMP
    if (!getenv("OMP_WAIT_POLICY") && !getenv("GOMP_SPINCOUNT") && setenv("GOMP_SPINCOUNT", "3000", 1) == 0 &&
        setenv("KMP_BLOCKTIME", "1", 0) == 0) {
        execv("/proc/self/exe", argv); /* Linux: the path of this program, whatever its name */
        execvp(argv[0], argv);
    }
#else
    (void)argv;
#endif
}

/*
 * Joins the other processes if mpirun started this one: checks that all run the same command and that it is one for
 * several, and begins to watch them.
 */
static Status join_ranks(const char *command, bool shares_work, int argc, char **argv)
{
    static char again[RECOVERY_COMMAND_BYTES];
    int own;
    const int launched = ranks_launched(&own);
    if (launched == 0)
        return ranks_begin(); /* one process, with nobody to join */
    ranks_command(again, sizeof again, argc, argv, (const char *const[]){NULL}, NULL);
    recovery_set(&(Recovery){.command = command, .again = again});
    /* Once the ranks have met, a signal such as SIGTERM only sets a flag, so that a rank can tell the others before it
     * ends. Until meeting_end() the signal ends this process. */
    if (launched > 1)
        work_stop_flag();
    meeting_begin();
    Status s = ranks_begin();
    if (!s && ranks_count() > 1)
        s = agreement_check_program(command);
    if (!s && ranks_count() > 1 && !shares_work)
        s = status_fail(CS336_ERANGE, "this command runs in one process, and mpirun started %d", ranks_count());
    if (!s)
        s = watchdog_begin();
    meeting_end();
    return s;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0)
            return true;
    return false;
}

/* Runs the command, with the other ranks if there are some, and returns the exit code. */
static int run_command(size_t command, int argc, char **argv)
{
    int own;
    /* Help needs no other ranks, not even a command that shares its work. */
    if (ranks_launched(&own) > 1 && asks_for_help(argc, argv))
        return own > 0 ? EXIT_OK : close_stdout(commands[command].run(argc, argv));
    const Status s = join_ranks(commands[command].name, commands[command].shares_work, argc, argv);
    int code = s && ranks_own() == 0 ? command_failed(commands[command].name) : EXIT_BAD_INPUT;
    if (!s)
        code = close_stdout(commands[command].run(argc, argv));
    watchdog_end(code);
    ranks_end();
    return code;
}

/* True if a launcher has started several processes and this one is not rank 0, which alone prints. */
static bool is_silent(void)
{
    int own;
    return ranks_launched(&own) > 1 && own > 0;
}

/* Says what is wrong with variables of the environment. Each is only a warning. */
static void check_environment(void)
{
    if (isa_check_override())
        fprintf(stderr, "cs336: %s\n", status_message());
    if (parallel_threads_asked() > PARALLEL_MAX_THREADS)
        fprintf(stderr,
                "cs336: OMP_NUM_THREADS is %d, expected at most %d: %d threads are used unless --threads says "
                "otherwise\n",
                parallel_threads_asked(), PARALLEL_MAX_THREADS, PARALLEL_MAX_THREADS);
}

/* Does what the program does without a command, and returns the exit code. */
static int run_without_command(const char *word)
{
    const bool help = word && strcmp(word, "--help") == 0, version = word && strcmp(word, "--version") == 0;
    if (is_silent())
        return help || version ? EXIT_OK : EXIT_BAD_USAGE;
    if (help)
        print_help(stdout);
    else if (version)
        printf("cs336 %s\n", cs336_version());
    else if (word)
        fprintf(stderr, "cs336: unknown command \"%s\"; cs336 --help lists the commands\n", printable(word).text);
    else
        print_help(stderr);
    return close_stdout(help || version ? EXIT_OK : EXIT_BAD_USAGE);
}

int main(int argc, char **argv)
{
    limit_busy_waiting(argv);
    reserve_standard_descriptors();
    /* Beyond `ulimit -f` a write then fails with EFBIG and a message; by default the signal ends the process. */
    signal(SIGXFSZ, SIG_IGN);
    memory_return_large_allocations();
    ranks_command_begin(argc, argv);
    const char *word = argc > 1 ? argv[1] : NULL;
    size_t command = 0;
    while (commands[command].name && (!word || strcmp(word, commands[command].name) != 0))
        command++;
    if (!commands[command].name)
        return run_without_command(word);
    if (!is_silent())
        check_environment();
    return run_command(command, argc - 1, argv + 1);
}
