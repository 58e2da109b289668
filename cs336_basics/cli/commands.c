#define _XOPEN_SOURCE 700 /* mkstemp() */
#include "cli/commands.h"

#include "core/directory.h"
#include "core/file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static bool is_standard(const char *path)
{
    return strcmp(path, "-") == 0 || strcmp(path, "/dev/stdout") == 0;
}

/* Says which file a path leads to. "-" is the stream that the shell opened. */
static bool identify(struct stat *about, const CommandFile *file)
{
    const int stream = file->written ? STDOUT_FILENO : STDIN_FILENO;
    return (is_standard(file->path) ? fstat(stream, about) : stat(file->path, about)) == 0;
}

/*
 * True if two names of files that do not exist yet are names of one file. Only the file system knows: it may ignore
 * letter case, and directories have several names. So a temporary file is made beside the first name, and looked for
 * beside the second.
 */
static bool name_one_new_file(const char *path, const char *other)
{
    char probe[DIRECTORY_PATH_BYTES], other_probe[DIRECTORY_PATH_BYTES];
    struct stat about, other_about;
    if (strcmp(path, other) == 0)
        return true;
    const int length = snprintf(probe, sizeof probe, "%s" DIRECTORY_TEMPORARY "XXXXXX", path);
    const int descriptor = length < (int)sizeof probe ? mkstemp(probe) : -1;
    if (descriptor < 0)
        return false; /* it cannot be written at all, which is said elsewhere */
    snprintf(other_probe, sizeof other_probe, "%s%s", other, probe + strlen(path));
    const bool same = fstat(descriptor, &about) == 0 && stat(other_probe, &other_about) == 0 &&
                      about.st_dev == other_about.st_dev && about.st_ino == other_about.st_ino;
    close(descriptor);
    unlink(probe);
    return same;
}

static bool are_one_file(const CommandFile *a, const CommandFile *b)
{
    struct stat first, second;
    const bool first_exists = identify(&first, a), second_exists = identify(&second, b);
    if (!first_exists && !second_exists)
        return a->written && b->written && name_one_new_file(a->path, b->path);
    if (a->written && b->written && is_standard(a->path) && is_standard(b->path))
        return true;
    return first_exists && second_exists && S_ISREG(first.st_mode) && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

static Status check_pair(const CommandFile *output, const CommandFile *other)
{
    if (!output->path || !other->path || !are_one_file(output, other))
        return CS336_OK;
    return status_fail(CS336_EIO, "%s: cannot write: it is %s too", output->path, other->what);
}

Status command_files_differ(const CommandFile *files, size_t count, const TextList *inputs)
{
    Status s = CS336_OK;
    for (size_t i = 0; i < count; i++) {
        if (!files[i].written)
            continue;
        for (size_t j = 0; !s && j < count; j++)
            if (j < i || !files[j].written)
                s = check_pair(&files[i], &files[j]);
        for (size_t j = 0; !s && inputs && j < inputs->count; j++)
            s = check_pair(&files[i], &(CommandFile){.path = inputs->items[j], .what = "the input"});
    }
    return s;
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
