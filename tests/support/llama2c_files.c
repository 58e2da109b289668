#define _XOPEN_SOURCE 700 /* realpath() */
#include "tests/support/llama2c_files.h"

#include "tests/support/check.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

const char *no_llama2c_files(void)
{
    const char *directory = getenv("LLAMA2C");
    return directory && *directory
               ? NULL
               : "no files of llama2.c; LLAMA2C=directory names that of its stories260K.bin and tok512.bin";
}

const char *llama2c_path(const char *name)
{
    static char paths[4][PATH_MAX];
    static size_t next;
    char relative[PATH_MAX];
    char *path = paths[next++ % 4];
    ck_assert_int_lt(snprintf(relative, sizeof relative, "%s/%s", getenv("LLAMA2C"), name), PATH_MAX);
    ck_assert_msg(realpath(relative, path) != NULL, "cannot read %s", relative);
    return path;
}
