#define _XOPEN_SOURCE 700 /* mkstemp() */
#include "cli/commands.h"

#include "core/directory.h"
#include "core/file.h"
#include "core/text_form.h"

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

static Status needs_file(const char *path, const char *maker, bool may_be_empty)
{
    struct stat info;
    const char *wrong = NULL;
    if (stat(path, &info) != 0)
        wrong = strerror(errno);
    else if (S_ISDIR(info.st_mode))
        wrong = "is a directory";
    else if (S_ISREG(info.st_mode) && info.st_size == 0 && may_be_empty)
        return text_form_check_empty(path);
    else if (S_ISREG(info.st_mode) && info.st_size == 0)
        wrong = "is empty";
    if (!wrong)
        return CS336_OK;
    if (!maker)
        return status_fail(CS336_EIO, "%s: %s", path, wrong);
    return status_fail(CS336_EIO, "%s: %s; expected a file, for example from %s", path, wrong, maker);
}

Status command_needs_file(const char *path, const char *maker)
{
    return needs_file(path, maker, false);
}

Status command_needs_readable(const char *path, const char *maker)
{
    return needs_file(path, maker, true);
}

Status command_needs_text(const TextList *paths, const char *maker)
{
    bool has_text = false;
    for (size_t i = 0; i < paths->count; i++) {
        const char *path = paths->items[i];
        struct stat info;
        const bool standard_input = strcmp(path, "-") == 0;
        const Status s = standard_input ? CS336_OK : command_needs_readable(path, maker);
        if (s)
            return s;
        has_text = has_text || standard_input || stat(path, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size > 0;
    }
    return has_text ? CS336_OK : command_needs_file(paths->items[0], maker);
}

/* Finds the device and inode number of a file; "-" is the file that the shell opened. False if it does not exist. */
static bool identify(struct stat *info, const CommandFile *file)
{
    const int stream = file->written ? STDOUT_FILENO : STDIN_FILENO;
    return (file_is_standard_output(file->path) ? fstat(stream, info) : stat(file->path, info)) == 0;
}

/*
 * True if two names, of files that do not exist yet, name the same file. Only the file system knows: it may ignore
 * letter case, and a directory may have several names. So make a temporary file with the first name and a suffix, and
 * see whether the second name with this suffix finds it.
 */
static bool name_same_new_file(const char *path, const char *other)
{
    char probe[DIRECTORY_PATH_BYTES], other_probe[DIRECTORY_PATH_BYTES];
    struct stat info, other_info;
    if (strcmp(path, other) == 0)
        return true;
    const int length = snprintf(probe, sizeof probe, "%s" DIRECTORY_TEMPORARY "XXXXXX", path);
    const int descriptor = length < (int)sizeof probe ? mkstemp(probe) : -1;
    if (descriptor < 0)
        return false; /* not writable, which command_needs_writable() reports */
    snprintf(other_probe, sizeof other_probe, "%s%s", other, probe + strlen(path));
    const bool same = fstat(descriptor, &info) == 0 && stat(other_probe, &other_info) == 0 &&
                      info.st_dev == other_info.st_dev && info.st_ino == other_info.st_ino;
    close(descriptor);
    unlink(probe);
    return same;
}

static bool are_same_file(const CommandFile *a, const CommandFile *b)
{
    /* Files that do not exist yet can only be compared by name. */
    struct stat first, second;
    const bool first_exists = identify(&first, a), second_exists = identify(&second, b);
    if (!first_exists && !second_exists)
        return a->written && b->written && name_same_new_file(a->path, b->path);
    /* Two outputs to standard output would be mixed, also in a pipe. */
    if (a->written && b->written && file_is_standard_output(a->path) && file_is_standard_output(b->path))
        return true;
    /* Files that exist have a device and an inode number. Pipes and devices may be shared. */
    return first_exists && second_exists && S_ISREG(first.st_mode) && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

static Status check_pair(const CommandFile *output, const CommandFile *other)
{
    if (!output->path || !other->path || !are_same_file(output, other))
        return CS336_OK;
    return status_fail(CS336_EIO, "%s: cannot write: it is also %s", output->path, other->what);
}

Status command_files_differ(const CommandFile *files, size_t count, const TextList *inputs)
{
    Status s = CS336_OK;
    for (size_t i = 0; i < count; i++) {
        if (!files[i].written)
            continue;
        /* Compare output i with all inputs, and with the outputs before it. */
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
    struct stat info;
    FileWriter writer;
    if (strcmp(output, "-") == 0 || (stat(output, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)))
        return CS336_OK;
    const Status s = file_create(&writer, output);
    if (!s)
        file_abandon(&writer);
    return s;
}
