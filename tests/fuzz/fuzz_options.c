/*
 * A command line for a table with an option of each type: the input is the arguments, with a zero byte after each.
 * Every target then has a value in its range, and the exit code and the messages are those that the header promises.
 */
#include "tests/fuzz/fuzz_command.h"

#include <string.h>

enum { LONGEST_LINE = 4096 /* bytes of all arguments */ };

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
    for (size_t i = 0; i < length && argc < FUZZ_MOST_ARGUMENTS; i += strlen(line + i) + 1)
        argv[argc++] = line + i;
    argv[argc] = NULL;
    return argc;
}

void fuzz_options(const uint8_t *data, size_t size)
{
    static FuzzCommand command;
    static char line[LONGEST_LINE], *argv[FUZZ_MOST_ARGUMENTS + 1];
    const int argc = split(argv, line, (ByteString){data, size});
    fuzz_command_parse(&command, false, argc, argv);
}
