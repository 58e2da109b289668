#define _POSIX_C_SOURCE 200809L
#include "cli/commands.h"

#include "core/memory.h"
#include "core/version.h"
#include "kernels/isa.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    {"story", command_story, "write the embedded corpus of tiny stories"},
    {"train-bpe", command_train_bpe, "learn a byte-pair encoding from text"},
    {"encode", command_encode, "turn text into token ids"},
    {"decode", command_decode, "turn token ids back into text"},
    {"tokenizer-json", command_tokenizer_json, "write a tokenizer as the tokenizer.json of Hugging Face"},
    {"tokenizer-report", command_tokenizer_report, "measure tokenizers on texts: compression, speed, tokens unused"},
    {"train", command_train, "train a Transformer language model on tokens"},
    {"generate", command_generate, "continue a prompt with a trained model"},
    {"account", command_account, "count a model's parameters, FLOPs and memory"},
    {NULL, NULL, NULL},
};

static void print_help(FILE *stream)
{
    fputs("Usage: cs336 COMMAND [options]\n\nA language model from text to text, in the order of the course:\n",
          stream);
    for (size_t i = 0; commands[i].name; i++)
        fprintf(stream, "  %-16s %s\n", commands[i].name, commands[i].summary);
    fputs("\ncs336 COMMAND --help lists a command's options; cs336 --version prints the version.\n", stream);
}

/* What was printed must have arrived: a full disk behind stdout is a failure like any other, said once. */
static int close_stdout(int code)
{
    const bool arrived = fflush(stdout) == 0 && !ferror(stdout);
    if (arrived || code)
        return code;
    fprintf(stderr, "cs336: cannot write to standard output: %s\n", strerror(errno));
    return EXIT_BAD_INPUT;
}

/* A standard stream that the caller closed would lend its number to the next file, which then receives messages.
 * The wrong direction makes every use of the stream an error. */
static void occupy_standard_streams(void)
{
    for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; descriptor++)
        if (fcntl(descriptor, F_GETFD) < 0 &&
            open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY) != descriptor)
            exit(EXIT_BAD_INPUT);
}

/*
 * A thread that is ready before the others of a parallel loop shall spin for some microseconds only, then sleep. On a
 * busy machine a thread that spins on takes the processor from the very one that it waits for: training ran ten times
 * slower. OpenMP (gcc's, clang's) reads this wish before main() begins, so the program starts itself once more with it.
 */
static void wait_briefly(char **argv)
{
#ifdef _OPENMP
    if (!getenv("OMP_WAIT_POLICY") && !getenv("GOMP_SPINCOUNT") && setenv("GOMP_SPINCOUNT", "3000", 1) == 0 &&
        setenv("KMP_BLOCKTIME", "1", 0) == 0)
        execvp(argv[0], argv);
#else
    (void)argv;
#endif
}

int main(int argc, char **argv)
{
    wait_briefly(argv);
    occupy_standard_streams();
    memory_return_large_blocks();
    if (argc < 2) {
        print_help(stderr);
        return EXIT_BAD_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0) {
        print_help(stdout);
        return close_stdout(EXIT_OK);
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("cs336 %s\n", cs336_version());
        return close_stdout(EXIT_OK);
    }
    if (isa_check_override())
        fprintf(stderr, "cs336: %s\n", status_message());
    for (size_t i = 0; commands[i].name; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return close_stdout(commands[i].run(argc - 1, argv + 1));
    fprintf(stderr, "cs336: unknown command \"%s\"; cs336 --help lists the commands\n", argv[1]);
    return EXIT_BAD_USAGE;
}
