#define _XOPEN_SOURCE 700
#include "tests/support/files.h"

#include "core/directory.h"
#include "core/file.h"
#include "tests/support/allclose.h"
#include "tests/support/check.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 1024 };

static char directory[PATH_BYTES];
static pid_t owner;

/* nftw() calls this for each file, and for a directory after its files. */
static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *level)
{
    (void)info, (void)kind, (void)level;
    return remove(path);
}

/* A child process inherits this exit handler with fork(), but must not remove the directory of its parent. */
static void remove_directory(void)
{
    if (owner == getpid())
        nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void make_directory(void)
{
    const char *parent = getenv("TMPDIR");
    ck_assert_int_lt(snprintf(directory, sizeof directory, "%s/cs336_test_XXXXXX", parent ? parent : "/tmp"),
                     (int)sizeof directory);
    ck_assert_msg(mkdtemp(directory) != NULL, "no temporary directory %s", directory);
    owner = getpid();
    atexit(remove_directory);
}

const char *temp_path(const char *name)
{
    static char paths[8][PATH_BYTES + 256];
    static unsigned next;
    if (owner != getpid())
        make_directory();
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

const char *temp_directory(const char *name)
{
    const char *path = temp_path(name);
    assert_ok(directory_make(path));
    return path;
}

void write_file(const char *path, const void *bytes, size_t count)
{
    FILE *stream = fopen(path, "wb");
    ck_assert_msg(stream != NULL, "cannot write %s", path);
    if (count) /* fwrite() may not be given NULL, which an empty text may be */
        ck_assert_uint_eq(fwrite(bytes, 1, count, stream), count);
    ck_assert_int_eq(fclose(stream), 0);
}

const char *file_text(const char *path)
{
    static char *text; /* static: LeakSanitizer reports what no variable points to when the test ends */
    LoadedFile file;
    assert_ok(file_load(&file, path));
    free(text);
    text = calloc(file.size + 1, 1);
    ck_assert_ptr_nonnull(text);
    memcpy(text, file.data, file.size);
    file_unload(&file);
    return text;
}

void assert_file_holds(const char *path, const void *bytes, size_t count)
{
    const unsigned char *expected = bytes;
    FILE *stream = fopen(path, "rb");
    ck_assert_msg(stream != NULL, "cannot read %s", path);
    size_t offset = 0;
    int byte;
    while ((byte = fgetc(stream)) != EOF && offset < count && byte == expected[offset])
        offset++;
    fclose(stream);
    ck_assert_msg(byte == EOF && offset == count, "%s: byte %zu is %d, expected %d (-1: the end)", path, offset, byte,
                  offset < count ? expected[offset] : -1);
}

size_t directory_entries(const char *path)
{
    DIR *stream = opendir(path);
    ck_assert_msg(stream != NULL, "cannot list %s", path);
    size_t count = 0;
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(stream);
    return count;
}
