/*
 * The entry points that libFuzzer calls, for the target after which the program is named: build/fuzz/fuzz_encode is a
 * link to the program, as all others. Only `make fuzz` compiles this file. Check is not linked, and these functions
 * stand in for those of tests/support/check.c.
 */
#include "tests/fuzz/fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    FuzzRun *run;
} targets[] = {
#define LINE(name) {#name, fuzz_##name},
    FUZZ_TARGETS(LINE)
#undef LINE
};

static FuzzRun *run;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    const char *slash = strrchr((*argv)[0], '/'), *name = slash ? slash + 1 : (*argv)[0];
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
        if (strncmp(name, "fuzz_", 5) == 0 && strcmp(name + 5, targets[i].name) == 0)
            run = targets[i].run;
    if (!run) {
        fprintf(stderr, "%s: no fuzz target of this name\n", name);
        exit(1);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    run(data, size);
    return 0;
}

/* ---- in place of Check ---- */

void test_here(const char *file, int line)
{
    (void)file, (void)line;
}

void test_failed(const char *file, int line, const char *expression, const char *format, ...)
{
    fprintf(stderr, "%s:%d: %s: ", file, line, expression);
    if (format) {
        va_list arguments;
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
    }
    fputc('\n', stderr);
    abort();
}

/* Check's assertions call it before each line. */
void _mark_point(const char *file, int line);
void _mark_point(const char *file, int line)
{
    (void)file, (void)line;
}
