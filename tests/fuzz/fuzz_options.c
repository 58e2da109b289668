/*
 * A command line for a table with an option of each type: the input is the arguments, with a zero byte after each.
 * Every target then has a value in its range, and the exit code and the messages are those that the header promises.
 */
#define _POSIX_C_SOURCE 200809L
#include "cli/commands.h"
#include "cli/options.h"
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MOST_ARGUMENTS = 64,
    LONGEST_LINE = 4096, /* bytes of all arguments */
    MOST_PRINTED = 1 << 16
};

static const char *const choices[] = {"red", "green", NULL};

typedef struct {
    bool flag;
    const char *file, *text;
    TextList files, texts;
    size_t size, seed, threads, required;
    int64_t integer;
    double number;
    int choice;
} Values;

/* Sends stdout and stderr to an unlinked file, and back. */
typedef struct {
    int file, saved[2];
} Capture;

static void capture_begin(Capture *capture)
{
    static int file = -1;
    char name[] = "/tmp/cs336_fuzz_XXXXXX";
    if (file < 0) {
        file = mkstemp(name);
        unlink(name);
    }
    capture->file = file;
    FUZZ_CHECK(file >= 0 && ftruncate(file, 0) == 0 && lseek(file, 0, SEEK_SET) == 0, "no file for the messages");
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        capture->saved[i] = dup(i + 1);
        dup2(file, i + 1);
    }
}

/* Returns what was printed, up to MOST_PRINTED bytes. */
static ByteString capture_end(Capture *capture)
{
    static uint8_t printed[MOST_PRINTED];
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        dup2(capture->saved[i], i + 1);
        close(capture->saved[i]);
    }
    const ssize_t length = pread(capture->file, printed, sizeof printed, 0);
    return (ByteString){printed, length > 0 ? (size_t)length : 0};
}

static int parse(Values *v, int argc, char **argv)
{
    const Option options[] = {
        OPTION_HEADING("Options of each type"),
        OPTION_FLAG("flag", &v->flag, "a flag"),
        OPTION_TEXT("file", &v->file, "FILE", OPTION_SHOWN, "a file"),
        OPTION_TEXT("text", &v->text, "TEXT", OPTION_UNSHOWN, "a text, which may be empty"),
        OPTION_TEXTS("files", &v->files, "FILE", OPTION_SHOWN, "files"),
        OPTION_TEXTS("texts", &v->texts, "TOKEN", OPTION_SHOWN, "texts"),
        OPTION_SIZE("size", &v->size, "N", 2, "a size"),
        OPTION_SEED(&v->seed, "a seed"),
        OPTION_THREADS(&v->threads),
        OPTION_SIZE_REQUIRED("required", &v->required, "N", 1, "a size that must be given"),
        OPTION_INTEGER("integer", &v->integer, "N", "an integer"),
        OPTION_NUMBER("number", &v->number, "X", -1, 1e30, "a number"),
        OPTION_CHOICE("choice", &v->choice, choices, "red|green", "a choice"),
    };
    const OptionTable table = OPTION_TABLE("fuzz", "A table with an option of each type.", options);
    return options_parse(&table, argc, argv);
}

/* Cuts the input into arguments. Returns how many. */
static int split(char **argv, char *line, ByteString input)
{
    const size_t length = input.length < LONGEST_LINE - 1 ? input.length : LONGEST_LINE - 1;
    static char command[] = "fuzz";
    int argc = 0;
    argv[argc++] = command;
    if (length)
        memcpy(line, input.bytes, length);
    line[length] = '\0';
    for (size_t i = 0; i < length && argc < MOST_ARGUMENTS; i += strlen(line + i) + 1)
        argv[argc++] = line + i;
    argv[argc] = NULL;
    return argc;
}

static void check_values(const Values *v)
{
    FUZZ_CHECK(v->size >= 2 && v->size <= OPTION_MAX_SIZE && v->seed <= INT64_MAX, "size %zu, seed %zu", v->size,
               v->seed);
    FUZZ_CHECK(v->threads <= OPTION_MAX_THREADS && v->required >= 1 && v->required <= OPTION_MAX_SIZE,
               "threads %zu, required %zu", v->threads, v->required);
    FUZZ_CHECK(isfinite(v->number) && v->number >= -1 && v->number <= 1e30, "number %g", v->number);
    FUZZ_CHECK(v->choice >= 0 && v->choice < 2, "choice %d", v->choice);
    FUZZ_CHECK(v->files.count < MOST_ARGUMENTS && v->texts.count < MOST_ARGUMENTS, "more values than arguments");
    FUZZ_CHECK(!v->file || *v->file, "an empty file name");
}

void fuzz_options(const uint8_t *data, size_t size)
{
    static Values values;
    static char line[LONGEST_LINE], *argv[MOST_ARGUMENTS + 1];
    values = (Values){.text = "a text", .size = 2};
    const int argc = split(argv, line, (ByteString){data, size});
    Capture capture;
    capture_begin(&capture);
    const int code = parse(&values, argc, argv);
    const ByteString printed = capture_end(&capture);
    const uint8_t *line_end = printed.length ? memchr(printed.bytes, '\n', printed.length) : NULL;
    FUZZ_CHECK(code == OPTIONS_PARSED || code == EXIT_OK || code == EXIT_BAD_USAGE, "exit code %d", code);
    if (code == OPTIONS_PARSED) {
        FUZZ_CHECK(printed.length == 0, "%zu bytes are printed", printed.length);
        check_values(&values);
        return;
    }
    FUZZ_CHECK(line_end, "no line is printed");
    for (size_t i = 0; i < printed.length; i++)
        FUZZ_CHECK((printed.bytes[i] >= ' ' && printed.bytes[i] != 0x7F) || printed.bytes[i] == '\n',
                   "byte %02x is printed", printed.bytes[i]);
}
