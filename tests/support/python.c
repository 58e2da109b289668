#define _POSIX_C_SOURCE 200809L
#include "tests/support/python.h"

#include <stdio.h>
#include <stdlib.h>

const char *python_command(void)
{
    const char *python = getenv("CS336_PYTHON");
    return python && *python ? python : "python3";
}

const char *no_tokenizers_package(void)
{
    static int known = -1; /* 1: the package is installed, 0: it is not, -1: not tried yet */
    if (known < 0) {
        char line[1024];
        snprintf(line, sizeof line, "'%s' -c 'import tokenizers' >/dev/null 2>&1", python_command());
        known = system(line) == 0;
    }
    return known ? NULL : "python3 has no package tokenizers; CS336_PYTHON names one that has";
}

const char *no_tiktoken_package(void)
{
    static int known = -1; /* as above */
    if (no_tokenizers_package())
        return no_tokenizers_package();
    if (known < 0) {
        char line[1024];
        snprintf(line, sizeof line, "'%s' -c 'import tiktoken' >/dev/null 2>&1", python_command());
        known = system(line) == 0;
    }
    return known ? NULL : "python3 has no package tiktoken; CS336_PYTHON names one that has";
}
