#define _XOPEN_SOURCE 700 /* realpath() */
#include "train/run_directory.h"

#include "core/directory.h"
#include "core/file.h"
#include "core/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char CHECKPOINT[] = "checkpoint.safetensors", BEST[] = "best.safetensors", LOG[] = "log.jsonl",
                  CONFIG[] = "config.json";
static const char *const file_names[] = {CHECKPOINT, BEST, LOG, CONFIG};
enum { FILES = sizeof file_names / sizeof *file_names };

/* ---- the kept checkpoints ---- */

enum { NAME_BYTES = 64 }; /* "checkpoint-step-N.safetensors" with a 64-bit N of up to 20 digits needs 49 */

static void kept_name(char name[NAME_BYTES], size_t step)
{
    snprintf(name, NAME_BYTES, "checkpoint-step-%zu.safetensors", step);
}

/* Returns N if the file is named checkpoint-step-N.safetensors, and 0 for every other name. */
static size_t kept_step(const char *file)
{
    static const char prefix[] = "checkpoint-step-";
    if (strncmp(file, prefix, sizeof prefix - 1) != 0)
        return 0;
    char name[NAME_BYTES];
    errno = 0;
    const unsigned long long step = strtoull(file + sizeof prefix - 1, NULL, 10);
    if (errno || step > SIZE_MAX)
        return 0;
    /* strtoull() also accepts "08", "+8" and any suffix: only the name that we would write ourselves counts. */
    kept_name(name, (size_t)step);
    return strcmp(name, file) == 0 ? (size_t)step : 0;
}

/* The kept checkpoints of a range of steps. */
typedef struct {
    size_t count, lowest, highest; /* number of files, lowest and highest step; all 0 if there are none */
} KeptRange;

/* Reads which checkpoints of the steps first ... last the directory contains. */
static Status find_kept(KeptRange *kept, const char *path, size_t first, size_t last)
{
    *kept = (KeptRange){0};
    DIR *stream = opendir(path);
    if (!stream && (errno == ENOENT || errno == ENOTDIR))
        return CS336_OK;
    if (!stream)
        return status_fail(CS336_EIO, "%s: cannot read: %s", path, strerror(errno));
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        const size_t step = kept_step(entry->d_name);
        if (step == 0 || step < first || step > last)
            continue;
        kept->count++;
        kept->lowest = kept->lowest == 0 || step < kept->lowest ? step : kept->lowest;
        kept->highest = step > kept->highest ? step : kept->highest;
    }
    closedir(stream);
    return CS336_OK;
}

size_t run_directory_kept(size_t *steps, size_t capacity, const char *path)
{
    KeptRange kept;
    size_t count = 0, first = 1;
    while (count < capacity && !find_kept(&kept, path, first, SIZE_MAX) && kept.count) {
        steps[count++] = kept.lowest;
        first = kept.lowest + 1;
    }
    return count;
}

/* Allocates the path DIRECTORY/NAME. */
static Status path_in(char **path, const char *directory, const char *name)
{
    const size_t size = strlen(directory) + strlen(name) + 2;
    *path = memory_allocate(size);
    if (!*path)
        return status_fail(CS336_ENOMEM, "trainer_run: no memory for the path %s/%s", directory, name);
    snprintf(*path, size, "%s/%s", directory, name);
    return CS336_OK;
}

/* Allocates the path of a kept checkpoint. */
static Status kept_path(char **path, const char *directory, size_t step)
{
    char name[NAME_BYTES];
    kept_name(name, step);
    return path_in(path, directory, name);
}

/* Removes kept checkpoints of the steps first ... last, the lowest step first, until at most `keep` are left. */
static Status remove_kept(const char *path, size_t first, size_t last, size_t keep)
{
    KeptRange kept;
    Status s = find_kept(&kept, path, first, last);
    while (!s && kept.count > keep) {
        char *file;
        s = kept_path(&file, path, kept.lowest);
        if (!s)
            s = file_remove(file);
        memory_release(file);
        if (!s)
            s = find_kept(&kept, path, kept.lowest + 1, last);
    }
    return s;
}

/* ---- checks of an existing directory ---- */

/* Returns the size of a file in bytes, and 0 if it does not exist. */
static size_t bytes_of(const char *directory, const char *name)
{
    char path[DIRECTORY_PATH_BYTES];
    struct stat info;
    const int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    return length < (int)sizeof path && stat(path, &info) == 0 ? (size_t)info.st_size : 0;
}

/* Checks that no file of the run is a directory or a pipe. Writing it would fail only after the old run is removed. */
static Status check_regular(const char *directory)
{
    for (size_t i = 0; i < FILES; i++) {
        char path[DIRECTORY_PATH_BYTES];
        struct stat info;
        const int length = snprintf(path, sizeof path, "%s/%s", directory, file_names[i]);
        if (length >= (int)sizeof path)
            return status_fail(CS336_EIO, "%s: path too long: with %s it has %d bytes, expected less than %d",
                               directory, file_names[i], length, DIRECTORY_PATH_BYTES);
        if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
            return status_fail(CS336_EIO, "%s: expected a regular file, which the run can replace", path);
    }
    return CS336_OK;
}

static Status check_new(const char *path, const KeptRange *kept)
{
    if (bytes_of(path, CHECKPOINT) || bytes_of(path, BEST) || kept->count)
        return status_fail(CS336_EIO, "%s contains a training run: --resume continues it, --overwrite deletes it",
                           path);
    if (bytes_of(path, LOG) || bytes_of(path, CONFIG))
        return status_fail(CS336_EIO, "%s contains the %s of a run without a checkpoint: --overwrite deletes it", path,
                           bytes_of(path, LOG) ? LOG : CONFIG);
    return CS336_OK;
}

static Status check_resume(const char *path, const KeptRange *kept)
{
    struct stat info;
    char file[DIRECTORY_PATH_BYTES];
    if (bytes_of(path, CHECKPOINT))
        return CS336_OK;
    /* It is missing or empty. */
    snprintf(file, sizeof file, "%s/%s", path, CHECKPOINT);
    const char *what = stat(file, &info) == 0 ? "has an empty" : "has no";
    if (kept->count)
        return status_fail(CS336_EIO,
                           "%s %s %s: to resume from an older one, first rename checkpoint-step-%zu.safetensors to it",
                           path, what, CHECKPOINT, kept->highest);
    if (bytes_of(path, BEST))
        return status_fail(CS336_EIO, "%s %s %s: to resume from the best one, first copy %s to it", path, what,
                           CHECKPOINT, BEST);
    if (bytes_of(path, LOG) || bytes_of(path, CONFIG))
        return status_fail(CS336_EIO, "%s contains a run without a checkpoint: begin it again with --overwrite", path);
    return status_fail(CS336_EIO, "%s/%s: No such file or directory; to begin a run, leave out --resume", path,
                       CHECKPOINT);
}

static Status check_files(const char *path, RunStart start)
{
    KeptRange kept;
    Status s = check_regular(path);
    if (!s)
        s = find_kept(&kept, path, 1, SIZE_MAX);
    if (!s && start == RUN_NEW)
        s = check_new(path, &kept);
    if (!s && start == RUN_RESUME)
        s = check_resume(path, &kept);
    return s;
}

Status run_directory_check(const char *path, RunStart start)
{
    struct stat info;
    int lock = -1;
    /* First take the lock: if another process is writing a run here, that is the message to give. */
    Status s = stat(path, &info) == 0 && S_ISDIR(info.st_mode) ? directory_lock(&lock, path) : CS336_OK;
    if (!s)
        s = check_files(path, start);
    directory_unlock(lock);
    return s;
}

bool run_directory_owns(const char *path, const char *file)
{
    /* The path without symbolic links. A file that does not exist has none. */
    char real[DIRECTORY_PATH_BYTES], directory[DIRECTORY_PATH_BYTES];
    struct stat run, parent;
    if (!realpath(file, real))
        return false;
    const char *name = directory_split(directory, real);
    /* Is it in this directory? Device and inode number identify a directory, whatever its name. */
    if (stat(path, &run) != 0 || stat(directory, &parent) != 0 || run.st_dev != parent.st_dev ||
        run.st_ino != parent.st_ino)
        return false;
    /* Is it a file of a run? */
    for (size_t i = 0; i < FILES; i++)
        if (strcmp(name, file_names[i]) == 0)
            return true;
    return kept_step(name) || directory_is_temporary(name, NULL);
}

/* ---- opening and closing ---- */

/* Sets the paths of the directory and its files; called again if the directory was renamed. */
static Status name_files(RunDirectory *run, const char *path)
{
    char **const files[FILES] = {&run->checkpoint, &run->best, &run->log, &run->config};
    for (size_t i = 0; i < FILES; i++)
        memory_release(*files[i]), *files[i] = NULL;
    memory_release(run->path);
    run->path = memory_copy_text(path);
    Status s = run->path ? CS336_OK : status_fail(CS336_ENOMEM, "trainer_run: no memory for the path %s", path);
    for (size_t i = 0; !s && i < FILES; i++)
        s = path_in(files[i], path, file_names[i]);
    return s;
}

/* Replaces a file, if it exists, by an empty one with the same permissions. */
static Status empty_file(const char *path)
{
    struct stat info;
    FileWriter writer = {0};
    if (stat(path, &info) != 0)
        return CS336_OK;
    Status s = file_create(&writer, path);
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    return s;
}

/*
 * Removes the old run, first its checkpoint, because the run could be resumed from it. Its log and configuration become
 * empty and keep their permissions; an empty file counts as none.
 */
static Status remove_old_run(RunDirectory *run)
{
    struct stat info;
    if (stat(run->checkpoint, &info) == 0)
        run->mode = (unsigned)info.st_mode & 0777;
    Status s = file_remove(run->checkpoint);
    if (!s)
        s = file_remove(run->best);
    if (!s)
        s = remove_kept(run->path, 1, SIZE_MAX, 0);
    if (!s)
        s = empty_file(run->log);
    if (!s)
        s = empty_file(run->config);
    return s ? s : directory_sync(run->path);
}

Status run_directory_open(RunDirectory *run, const char *path, RunStart start)
{
    char parent[DIRECTORY_PATH_BYTES];
    *run = (RunDirectory){.lock = -1, .keep = 1};
    /* Make the directory, and sync its parent so that the new name survives a power cut. */
    Status s = name_files(run, path);
    if (!s)
        s = directory_make(path);
    if (!s) {
        directory_split(parent, path);
        s = directory_sync(parent);
    }
    /* Lock it: from here on no other process writes to it. */
    if (!s)
        s = directory_lock(&run->lock, path);
    if (!s)
        s = check_files(path, start);
    if (!s)
        directory_remove_leftovers(path, NULL);
    if (!s && start == RUN_OVERWRITE)
        s = remove_old_run(run);
    return s;
}

void run_directory_close(RunDirectory *run)
{
    if (run->path)
        directory_unlock(run->lock);
    memory_release(run->path);
    memory_release(run->checkpoint);
    memory_release(run->best);
    memory_release(run->log);
    memory_release(run->config);
    *run = (RunDirectory){0};
}

/* ---- saving ---- */

/*
 * Makes an empty checkpoint.safetensors with the permissions of the one that RUN_OVERWRITE removed. The first
 * checkpoint then replaces it and takes its permissions over. If this fails, the checkpoint gets those of any new file.
 */
static void make_place(const RunDirectory *run)
{
    const int descriptor = open(run->checkpoint, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return;
    (void)fchmod(descriptor, (mode_t)run->mode);
    close(descriptor);
}

Status run_directory_follow(RunDirectory *run)
{
    /* Another run may even have begun under the old name. */
    char path[DIRECTORY_PATH_BYTES];
    if (directory_is_locked(run->lock, run->path))
        return CS336_OK;
    const Status s = directory_path(path, run->lock);
    return s ? s : name_files(run, path);
}

Status run_directory_keep_checkpoint(RunDirectory *run)
{
    Status s = run_directory_follow(run);
    if (!s && run->saved == 0 && run->mode)
        make_place(run);
    if (s || run->keep == 1 || run->saved == 0)
        return s;
    /* A hard link: the checkpoint has both names until the next one is renamed over the first. */
    char *second_path;
    s = kept_path(&second_path, run->path, run->saved);
    if (!s)
        s = file_link(run->checkpoint, second_path);
    memory_release(second_path);
    return s;
}

Status run_directory_prune(RunDirectory *run, size_t step)
{
    /*
     * Remove checkpoints of the steps after the previous checkpoint and up to this one. They are from an earlier
     * attempt, which went further before the user returned to an older checkpoint. The run has now computed these steps
     * again.
     */
    const size_t first = run->saved && run->saved < step ? run->saved + 1 : step;
    Status s = remove_kept(run->path, first, step, 0);
    /* Remove the oldest ones until `keep` are left, the newest one included. */
    if (!s && step > 1)
        s = remove_kept(run->path, 1, step - 1, run->keep - 1);
    run->saved = step;
    return s;
}

/* ---- the best checkpoint ---- */

bool run_directory_has_kept(const RunDirectory *run, size_t step)
{
    char name[NAME_BYTES];
    kept_name(name, step);
    return bytes_of(run->path, name) > 0;
}

Status run_directory_set_best(RunDirectory *run, size_t step)
{
    char *kept = NULL;
    Status s = step ? kept_path(&kept, run->path, step) : CS336_OK;
    if (!s)
        s = file_link(step ? kept : run->checkpoint, run->best);
    memory_release(kept);
    return s;
}

Status run_directory_retire_best(RunDirectory *run, size_t step)
{
    char *kept;
    Status s = kept_path(&kept, run->path, step);
    if (!s && !run_directory_has_kept(run, step))
        s = file_link(run->best, kept);
    if (!s)
        s = file_remove(run->best);
    memory_release(kept);
    return s;
}
