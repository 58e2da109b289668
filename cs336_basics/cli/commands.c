#define _POSIX_C_SOURCE 200809L
#include "cli/commands.h"

#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
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

/* Tells of an open file or a path which file it is. "-" is the stream that the shell opened. */
static bool identify(struct stat *about, const CommandFile *file)
{
    const bool standard = strcmp(file->path, "-") == 0;
    const int stream = file->written ? STDOUT_FILENO : STDIN_FILENO;
    return (standard ? fstat(stream, about) : stat(file->path, about)) == 0;
}

/*
 * True if two names of files that do not exist yet are names of one file. Only the file system knows: it may ignore
 * letter case, and directories have several names. So the first is made for a moment, to see whether the second is
 * there then.
 */
static bool name_one_new_file(const char *path, const char *other)
{
    if (strcmp(path, other) == 0)
        return true;
    struct stat about;
    const int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return false; /* it cannot be written at all, which is said elsewhere */
    const bool same = stat(other, &about) == 0;
    close(descriptor);
    unlink(path);
    return same;
}

static bool are_one_file(const CommandFile *a, const CommandFile *b)
{
    struct stat first, second;
    const bool first_exists = identify(&first, a), second_exists = identify(&second, b);
    if (!first_exists && !second_exists)
        return a->written && b->written && name_one_new_file(a->path, b->path);
    if (a->written && b->written && strcmp(a->path, "-") == 0 && strcmp(b->path, "-") == 0)
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
