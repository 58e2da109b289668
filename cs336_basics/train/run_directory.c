#define _POSIX_C_SOURCE 200809L
#include "train/run_directory.h"

#include "core/file.h"
#include "core/memory.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char CHECKPOINT[] = "checkpoint.safetensors", LOG[] = "log.jsonl", CONFIG[] = "config.json";

/* ---- the kept checkpoints ---- */

enum { NAME_BYTES = 64 };

static void kept_name(char name[NAME_BYTES], size_t step)
{
    snprintf(name, NAME_BYTES, "checkpoint-step-%zu.safetensors", step);
}

/* The step of a kept checkpoint's name; 0 for every other name. */
static size_t kept_step(const char *file)
{
    char name[NAME_BYTES];
    unsigned long long step = 0;
    if (sscanf(file, "checkpoint-step-%llu", &step) != 1 || step > SIZE_MAX)
        return 0;
    kept_name(name, (size_t)step);
    return strcmp(name, file) == 0 ? (size_t)step : 0;
}

typedef struct {
    size_t count, lowest, highest; /* of the steps; all 0 when nothing is kept */
} KeptCheckpoints;

static KeptCheckpoints find_kept(const char *path)
{
    KeptCheckpoints kept = {0};
    DIR *stream = opendir(path);
    if (!stream)
        return kept;
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        const size_t step = kept_step(entry->d_name);
        if (!step)
            continue;
        kept.count++;
        kept.lowest = !kept.lowest || step < kept.lowest ? step : kept.lowest;
        kept.highest = step > kept.highest ? step : kept.highest;
    }
    closedir(stream);
    return kept;
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

static Status remove_kept(const char *path, size_t step)
{
    char name[NAME_BYTES], *file;
    kept_name(name, step);
    Status s = path_in(&file, path, name);
    if (!s)
        s = file_remove(file);
    memory_release(file);
    return s;
}

size_t run_directory_oldest(const char *path)
{
    return find_kept(path).lowest;
}

/* ---- opening and closing ---- */

static bool has_bytes(const char *directory, const char *name)
{
    char path[PATH_MAX];
    struct stat about;
    const int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    return length < (int)sizeof path && stat(path, &about) == 0 && about.st_size > 0;
}

/* RUN_NEW does not touch a run that is there. */
static Status refuse_old_run(const char *path, RunStart start)
{
    if (start != RUN_NEW)
        return CS336_OK;
    if (has_bytes(path, CHECKPOINT) || find_kept(path).count)
        return status_fail(CS336_EIO, "%s holds a training run: --resume goes on with it, --overwrite deletes it",
                           path);
    if (has_bytes(path, LOG))
        return status_fail(CS336_EIO, "%s holds the log of a run that saved no checkpoint: --overwrite deletes it",
                           path);
    return CS336_OK;
}

Status run_directory_check(const char *path, RunStart start)
{
    int lock = -1;
    struct stat about;
    if (stat(path, &about) != 0 || !S_ISDIR(about.st_mode))
        return CS336_OK;
    Status s = file_lock_directory(&lock, path);
    if (!s)
        s = refuse_old_run(path, start);
    file_unlock(lock);
    return s;
}

/* The newest checkpoint goes first: what remains after a kill in between cannot be resumed by mistake. */
static Status remove_checkpoints(const RunDirectory *run)
{
    Status s = file_remove(run->checkpoint);
    for (KeptCheckpoints kept; !s && (kept = find_kept(run->path)).count;)
        s = remove_kept(run->path, kept.highest);
    return s ? s : file_sync_directory(run->path);
}

Status run_directory_open(RunDirectory *run, const char *path, RunStart start, size_t keep)
{
    *run = (RunDirectory){.lock = -1, .keep = keep ? keep : 1};
    Status s = path_in(&run->checkpoint, path, CHECKPOINT);
    if (!s)
        s = path_in(&run->log, path, LOG);
    if (!s)
        s = path_in(&run->config, path, CONFIG);
    run->path = s ? NULL : memory_copy_text(path);
    if (!s && !run->path)
        s = status_fail(CS336_ENOMEM, "trainer_run: no memory for the path %s", path);
    if (!s)
        s = file_make_directory(path);
    if (!s)
        s = file_lock_directory(&run->lock, path);
    if (!s)
        s = refuse_old_run(path, start);
    if (!s)
        file_remove_leftovers(path, NULL);
    if (!s && start == RUN_OVERWRITE)
        s = remove_checkpoints(run);
    return s;
}

void run_directory_close(RunDirectory *run)
{
    if (run->path)
        file_unlock(run->lock);
    memory_release(run->path);
    memory_release(run->checkpoint);
    memory_release(run->log);
    memory_release(run->config);
    *run = (RunDirectory){0};
}

/* ---- saving ---- */

Status run_directory_keep_checkpoint(const RunDirectory *run)
{
    if (run->keep == 1 || run->saved == 0)
        return CS336_OK;
    char name[NAME_BYTES], *second_path;
    kept_name(name, run->saved);
    Status s = path_in(&second_path, run->path, name);
    if (!s)
        s = file_link(run->checkpoint, second_path);
    memory_release(second_path);
    return s;
}

Status run_directory_prune(RunDirectory *run, size_t step)
{
    Status s = CS336_OK;
    run->saved = step;
    for (KeptCheckpoints kept = find_kept(run->path); !s && kept.count; kept = find_kept(run->path)) {
        if (kept.highest >= step)
            s = remove_kept(run->path, kept.highest);
        else if (kept.count > run->keep - 1)
            s = remove_kept(run->path, kept.lowest);
        else
            break;
    }
    return s;
}
