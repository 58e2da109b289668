#define _POSIX_C_SOURCE 200809L
#include "tests/fuzz/fuzz_command.h"

#include "cli/commands.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_PRINTED = 1 << 16 };

static const char *const choices[] = {"red", "green", NULL}, *const excluded[] = {"threads", NULL};

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

static int parse(FuzzCommand *v, bool with_config, int argc, char **argv)
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
        OPTION_CONFIG(&v->config, excluded),
    };
    OptionTable table = OPTION_TABLE("fuzz", "A table with an option of each type.", options);
    if (!with_config)
        table.count--;
    return options_parse(&table, argc, argv);
}

static void check_values(const FuzzCommand *v)
{
    FUZZ_CHECK(v->size >= 2 && v->size <= OPTION_MAX_SIZE && v->seed <= INT64_MAX, "size %zu, seed %zu", v->size,
               v->seed);
    FUZZ_CHECK(v->threads <= OPTION_MAX_THREADS && v->required >= 1 && v->required <= OPTION_MAX_SIZE,
               "threads %zu, required %zu", v->threads, v->required);
    FUZZ_CHECK(isfinite(v->number) && v->number >= -1 && v->number <= 1e30, "number %g", v->number);
    FUZZ_CHECK(v->choice >= 0 && v->choice < 2, "choice %d", v->choice);
    FUZZ_CHECK(v->files.count <= OPTION_MAX_TEXTS && v->texts.count <= OPTION_MAX_TEXTS, "too many texts");
    FUZZ_CHECK(!v->file || *v->file, "an empty file name");
}

FuzzPrinted fuzz_command_parse(FuzzCommand *command, bool with_config, int argc, char **argv)
{
    Capture capture;
    *command = (FuzzCommand){.text = "a text", .size = 2};
    capture_begin(&capture);
    const int code = parse(command, with_config, argc, argv);
    const ByteString printed = capture_end(&capture);
    FUZZ_CHECK(code == OPTIONS_PARSED || code == EXIT_OK || code == EXIT_BAD_USAGE ||
                   (with_config && code == EXIT_BAD_INPUT),
               "exit code %d", code);
    if (code == OPTIONS_PARSED) {
        FUZZ_CHECK(printed.length == 0, "%zu bytes are printed", printed.length);
        check_values(command);
    } else {
        FUZZ_CHECK(printed.length && memchr(printed.bytes, '\n', printed.length), "no line is printed");
        for (size_t i = 0; i < printed.length; i++)
            FUZZ_CHECK((printed.bytes[i] >= ' ' && printed.bytes[i] != 0x7F) || printed.bytes[i] == '\n',
                       "byte %02x is printed", printed.bytes[i]);
    }
    return (FuzzPrinted){.code = code, .bytes = printed};
}
