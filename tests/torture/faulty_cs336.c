/*
 * The program cs336, in which one allocation or one write fails. tests/tools/torture_runs.sh runs it for each of them.
 *
 *     CS336_FAIL_ALLOCATION=n, CS336_FAIL_WRITE=n   which one fails, from 1
 *     CS336_COUNT=file                              none fails; the file gets the numbers of allocations and of writes
 *
 * Only this program reads the variables. It contains the program's own main() under another name.
 */
int cs336_main(int argc, char **argv);
#define main cs336_main
#include "cs336_basics/cli/main.c"
#undef main

#include "core/file.h"

#include <stdint.h>

enum { MANY = INT32_MAX /* a count that no command reaches */ };

static size_t number(const char *variable)
{
    const char *text = getenv(variable);
    return text ? (size_t)strtoul(text, NULL, 10) : 0;
}

/* Runs when the command calls exit(), or main() returns. */
static void write_counts(void)
{
    FILE *stream = fopen(getenv("CS336_COUNT"), "w");
    if (!stream)
        return;
    const size_t allocations = MANY - memory_fail_at(0), writes = MANY - file_fail_at(0);
    fprintf(stream, "%zu %zu\n", allocations, writes);
    fclose(stream);
}

int main(int argc, char **argv)
{
    /* With this variable main() does not execute the program again, which would begin to count again. */
    setenv("OMP_WAIT_POLICY", "passive", 0);
    if (getenv("CS336_COUNT"))
        atexit(write_counts);
    memory_fail_at(getenv("CS336_COUNT") ? MANY : number("CS336_FAIL_ALLOCATION"));
    file_fail_at(getenv("CS336_COUNT") ? MANY : number("CS336_FAIL_WRITE"));
    return cs336_main(argc, argv);
}
