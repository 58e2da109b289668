#define _POSIX_C_SOURCE 200809L
#include "cli/commands.h"

#include "core/file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int command_failed(const char *command)
{
    fflush(stdout);
    fprintf(stderr, "cs336 %s: %s\n", command, status_message());
    return EXIT_BAD_INPUT;
}

Status command_needs_file(const char *path, const char *maker)
{
    struct stat about;
    const char *wrong = NULL;
    if (stat(path, &about) != 0)
        wrong = strerror(errno);
    else if (S_ISDIR(about.st_mode))
        wrong = "is a directory";
    else if (S_ISREG(about.st_mode) && about.st_size == 0)
        wrong = "is empty";
    if (!wrong)
        return CS336_OK;
    if (!maker)
        return status_fail(CS336_EIO, "%s: %s", path, wrong);
    return status_fail(CS336_EIO, "%s: %s; %s makes such a file", path, wrong, maker);
}

Status command_needs_two_files(const char *output, const char *input, const char *other)
{
    struct stat a, b;
    const bool standard = strcmp(output, "-") == 0;
    const bool same_file = stat(output, &a) == 0 && stat(input, &b) == 0 && S_ISREG(a.st_mode) &&
                           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    if (standard || (!same_file && strcmp(output, input) != 0))
        return CS336_OK;
    return status_fail(CS336_EIO, "%s: cannot write: it is %s too", output, other);
}

Status command_needs_writable(const char *output)
{
    struct stat about;
    FileWriter writer;
    if (strcmp(output, "-") == 0 || (stat(output, &about) == 0 && !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode)))
        return CS336_OK;
    const Status s = file_create(&writer, output);
    if (!s)
        file_abandon(&writer);
    return s;
}
