#define _XOPEN_SOURCE 700 /* realpath() */
#include "train/run_directory.h"

#include "core/directory.h"
#include "core/file.h"
#include "core/memory.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char CHECKPOINT[] = "checkpoint.safetensors", LOG[] = "log.jsonl", CONFIG[] = "config.json";
static const char *const names[] = {CHECKPOINT, LOG, CONFIG};
enum { NAMES = sizeof names / sizeof *names };

/* ---- the kept checkpoints ---- */

enum { NAME_BYTES = 64 };

static void kept_name(char name[NAME_BYTES], size_t step)
{
    snprintf(name, NAME_BYTES, "checkpoint-step-%zu.safetensors", step);
}

/* The step of a kept checkpoint's name; 0 for every other name. */
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
    kept_name(name, (size_t)step);
    return strcmp(name, file) == 0 ? (size_t)step : 0;
}

/* Kept checkpoints of the steps from `first` to `last`. */
typedef struct {
    size_t count, lowest, highest; /* all 0: there are none */
} KeptRange;

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

size_t run_directory_kept(size_t *steps, size_t most, const char *path)
{
    KeptRange kept;
    size_t count = 0, first = 1;
    while (count < most && !find_kept(&kept, path, first, SIZE_MAX) && kept.count) {
        steps[count++] = kept.lowest;
        first = kept.lowest + 1;
    }
    return count;
}

static Status path_in(char **path, const char *directory, const char *name)
{
    const size_t size = strlen(directory) + strlen(name) + 2;
    *path = memory_allocate(size);
    if (!*path)
        return status_fail(CS336_ENOMEM, "trainer_run: no memory for the path %s/%s", directory, name);
    snprintf(*path, size, "%s/%s", directory, name);
    return CS336_OK;
}

/* Removes kept checkpoints of these steps, the earliest first, until at most `most` are left. */
static Status remove_kept(const char *path, size_t first, size_t last, size_t most)
{
    KeptRange kept;
    Status s = find_kept(&kept, path, first, last);
    while (!s && kept.count > most) {
        char name[NAME_BYTES], *file;
        kept_name(name, kept.lowest);
        s = path_in(&file, path, name);
        if (!s)
            s = file_remove(file);
        memory_release(file);
        if (!s)
            s = find_kept(&kept, path, kept.lowest + 1, last);
    }
    return s;
}

/* ---- what a directory holds ---- */

/* Bytes of a file of the directory; 0: it is empty or not there. */
static size_t bytes_of(const char *directory, const char *name)
{
    char path[DIRECTORY_PATH_BYTES];
    struct stat about;
    const int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    return length < (int)sizeof path && stat(path, &about) == 0 ? (size_t)about.st_size : 0;
}

/* A directory or a pipe where the run shall write a file would be found out about after the old run is gone. */
static Status check_regular(const char *directory)
{
    for (size_t i = 0; i < NAMES; i++) {
        char path[DIRECTORY_PATH_BYTES];
        struct stat about;
        const int length = snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        if (length >= (int)sizeof path)
            return status_fail(CS336_EIO, "%s: a path of more than %d bytes", directory, DIRECTORY_PATH_BYTES);
        if (stat(path, &about) == 0 && !S_ISREG(about.st_mode))
            return status_fail(CS336_EIO, "%s: not a regular file, and the run would write it", path);
    }
    return CS336_OK;
}

static Status check_new(const char *path, const KeptRange *kept)
{
    if (bytes_of(path, CHECKPOINT) || kept->count)
        return status_fail(CS336_EIO, "%s holds a training run: --resume goes on with it, --overwrite deletes it",
                           path);
    if (bytes_of(path, LOG) || bytes_of(path, CONFIG))
        return status_fail(CS336_EIO, "%s holds the %s of a run that saved no checkpoint: --overwrite deletes it", path,
                           bytes_of(path, LOG) ? LOG : CONFIG);
    return CS336_OK;
}

static Status check_resume(const char *path, const KeptRange *kept)
{
    if (bytes_of(path, CHECKPOINT))
        return CS336_OK;
    if (kept->count)
        return status_fail(
            CS336_EIO, "%s has no %s, but an older state: rename checkpoint-step-%zu.safetensors to it, then --resume",
            path, CHECKPOINT, kept->highest);
    if (bytes_of(path, LOG) || bytes_of(path, CONFIG))
        return status_fail(CS336_EIO, "%s holds a run that saved no checkpoint: --overwrite begins anew", path);
    return status_fail(CS336_EIO, "%s/%s: No such file or directory; cs336 train without --resume makes such a file",
                       path, CHECKPOINT);
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
    struct stat about;
    int lock = -1;
    /* What a run that is at work has written so far says nothing about the way on. */
    Status s = stat(path, &about) == 0 && S_ISDIR(about.st_mode) ? directory_lock(&lock, path) : CS336_OK;
    if (!s)
        s = check_files(path, start);
    directory_unlock(lock);
    return s;
}

bool run_directory_owns(const char *path, const char *file)
{
    char real[DIRECTORY_PATH_BYTES], directory[DIRECTORY_PATH_BYTES];
    struct stat run, parent;
    if (!realpath(file, real))
        return false;
    const char *name = directory_split(directory, real);
    if (stat(path, &run) != 0 || stat(directory, &parent) != 0 || run.st_dev != parent.st_dev ||
        run.st_ino != parent.st_ino)
        return false;
    for (size_t i = 0; i < NAMES; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return kept_step(name) || directory_is_temporary(name, NULL);
}

/* ---- opening and closing ---- */

static Status name_files(RunDirectory *run, const char *path)
{
    char **const files[NAMES] = {&run->checkpoint, &run->log, &run->config};
    for (size_t i = 0; i < NAMES; i++)
        memory_release(*files[i]), *files[i] = NULL;
    memory_release(run->path);
    run->path = memory_copy_text(path);
    Status s = run->path ? CS336_OK : status_fail(CS336_ENOMEM, "trainer_run: no memory for the path %s", path);
    for (size_t i = 0; !s && i < NAMES; i++)
        s = path_in(files[i], path, names[i]);
    return s;
}

static Status remove_old_run(const RunDirectory *run)
{
    Status s = file_remove(run->checkpoint);
    if (!s)
        s = remove_kept(run->path, 1, SIZE_MAX, 0);
    if (!s)
        s = file_remove(run->log);
    if (!s)
        s = file_remove(run->config);
    return s ? s : directory_sync(run->path);
}

Status run_directory_open(RunDirectory *run, const char *path, RunStart start)
{
    char parent[DIRECTORY_PATH_BYTES];
    *run = (RunDirectory){.lock = -1, .keep = 1};
    Status s = name_files(run, path);
    if (!s)
        s = directory_make(path);
    if (!s) {
        directory_split(parent, path);
        s = directory_sync(parent);
    }
    /* From here on the directory is ours alone. */
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
    memory_release(run->log);
    memory_release(run->config);
    *run = (RunDirectory){0};
}

/* ---- saving ---- */

Status run_directory_keep_checkpoint(RunDirectory *run)
{
    /* Somebody may have renamed the directory, and even have begun another run under its old name. */
    Status s = CS336_OK;
    if (!directory_is_locked(run->lock, run->path)) {
        char path[DIRECTORY_PATH_BYTES];
        s = directory_path(path, run->lock);
        if (!s)
            s = name_files(run, path);
    }
    if (s || run->keep == 1 || run->saved == 0)
        return s;
    char name[NAME_BYTES], *second_path;
    kept_name(name, run->saved);
    s = path_in(&second_path, run->path, name);
    if (!s)
        s = file_link(run->checkpoint, second_path);
    memory_release(second_path);
    return s;
}

Status run_directory_prune(RunDirectory *run, size_t step)
{
    /* Steps between the checkpoint before and this one were computed by an earlier run that went further. */
    const size_t first = run->saved && run->saved < step ? run->saved + 1 : step;
    Status s = remove_kept(run->path, first, step, 0);
    if (!s && step > 1)
        s = remove_kept(run->path, 1, step - 1, run->keep - 1);
    run->saved = step;
    return s;
}
