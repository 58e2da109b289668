#define _POSIX_C_SOURCE 200809L
#include "core/directory.h"
#include "core/file.h"
#include "core/memory.h"
#include "tests/suites.h"
#include "tests/support/allclose.h"
#include "tests/support/failures.h"
#include "tests/support/files.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- file ---- */

static Status replace(void *path)
{
    FileWriter writer = {0};
    Status s = file_create(&writer, path);
    for (int i = 0; !s && i < 3; i++)
        s = file_write(&writer, "new", 3);
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    return s;
}

START_TEST(test_commit_replaces_the_file_in_one_step)
{
    const char *directory = temp_directory("commit"), *path = temp_path("commit/file");
    write_file(path, "old", 3);
    FileWriter writer;
    assert_ok(file_create(&writer, path));
    assert_ok(file_write(&writer, "longer", 6));
    assert_file_holds(path, "old", 3);
    assert_ok(file_commit(&writer));
    assert_file_holds(path, "longer", 6);
    ck_assert_uint_eq(directory_entries(directory), 1);
}
END_TEST

START_TEST(test_a_committed_file_has_the_permissions_of_any_new_file)
{
    const char *path = temp_path("permissions");
    umask(027);
    assert_ok(replace((void *)(uintptr_t)path));
    struct stat about;
    ck_assert_int_eq(stat(path, &about), 0);
    ck_assert_uint_eq(about.st_mode & 0777, 0640);
}
END_TEST

START_TEST(test_a_replaced_file_keeps_its_permissions)
{
    const char *path = temp_path("permissions");
    write_file(path, "old", 3);
    ck_assert_int_eq(chmod(path, 0600), 0);
    umask(0);
    assert_ok(replace((void *)(uintptr_t)path));
    struct stat about;
    ck_assert_int_eq(stat(path, &about), 0);
    ck_assert_uint_eq(about.st_mode & 0777, 0600);
}
END_TEST

/* The links are relative, absolute, and a chain of both; the last one leads to no file. */
START_TEST(test_links_stay_and_the_file_behind_them_is_replaced)
{
    const char *directory = temp_directory("links"), *far = temp_directory("links/far");
    const char *link = temp_path("links/link"), *chain = temp_path("links/chain"), *file = temp_path("links/far/file");
    ck_assert_int_eq(symlink("far/file", link), 0);
    ck_assert_int_eq(symlink(link, chain), 0);
    for (int i = 0; i < 2; i++) { /* dangling at first, then not */
        test_label("round %d", i);
        assert_ok(replace((void *)(uintptr_t)(i ? link : chain)));
        assert_file_holds(file, "newnewnew", 9);
        struct stat about;
        ck_assert(lstat(link, &about) == 0 && S_ISLNK(about.st_mode));
        ck_assert(lstat(chain, &about) == 0 && S_ISLNK(about.st_mode));
        ck_assert_uint_eq(directory_entries(far), 1);
        ck_assert_uint_eq(directory_entries(directory), 3);
    }
}
END_TEST

START_TEST(test_links_that_lead_nowhere_are_refused)
{
    const char *directory = temp_directory("nowhere"), *circle = temp_path("nowhere/circle"),
               *back = temp_path("nowhere/back"), *missing = temp_path("nowhere/missing");
    ck_assert_int_eq(symlink("back", circle), 0);
    ck_assert_int_eq(symlink("circle", back), 0);
    ck_assert_int_eq(symlink("none/file", missing), 0);
    assert_path_fails(replace((void *)(uintptr_t)circle), CS336_EIO, circle,
                      ": cannot write: Too many levels of symbolic links");
    assert_path_fails(replace((void *)(uintptr_t)missing), CS336_EIO, missing,
                      ": cannot write: No such file or directory");
    ck_assert_uint_eq(directory_entries(directory), 3);
}
END_TEST

START_TEST(test_a_long_path_leaves_its_reason_in_the_message)
{
    enum { LONG = 5000 };
    static char path[LONG + 1];
    memset(path, 'x', LONG);
    for (size_t i = 0; i < LONG; i += 100)
        path[i] = '/';
    FileWriter writer;
    FileReader reader;
    ck_assert_int_eq(file_create(&writer, path), CS336_EIO);
    const char *message = status_message(), *end = message + strlen(message);
    static const char cannot_write[] = "x: cannot write: File name too long";
    ck_assert_uint_eq(strlen(message), 511);
    ck_assert_str_eq(end - strlen(cannot_write), cannot_write);
    ck_assert(strncmp(message, path, 160) == 0 && strncmp(message + 160, " ... xx", 7) == 0);
    ck_assert_int_eq(file_open(&reader, path), CS336_EIO);
    ck_assert_ptr_nonnull(strstr(status_message(), "x: cannot read: File name too long"));
    /* A character of several bytes is not cut in two. */
    for (size_t i = 0; i < LONG; i++)
        path[i] = "\xE4\xB8\x9C"[i % 3];
    ck_assert_int_eq(status_fail(CS336_EIO, "%s: reason", path), CS336_EIO);
    ck_assert(strncmp(status_message() + 159, " ... \xE4\xB8\x9C", 8) == 0);
}
END_TEST

START_TEST(test_the_old_one_of_several_files_can_be_removed_first)
{
    const char *path = temp_path("several");
    FileWriter writer;
    assert_ok(file_create(&writer, path));
    assert_ok(file_remove_old(&writer));
    file_abandon(&writer);
    write_file(path, "old", 3);
    assert_ok(file_create(&writer, path));
    assert_ok(file_write(&writer, "new", 3));
    assert_ok(file_remove_old(&writer));
    struct stat about;
    ck_assert_int_ne(stat(path, &about), 0);
    assert_ok(file_commit(&writer));
    assert_file_holds(path, "new", 3);
}
END_TEST

START_TEST(test_the_start_of_a_file_can_be_written_again)
{
    const char *path = temp_path("header");
    FileWriter writer;
    assert_ok(file_create(&writer, path));
    assert_ok(file_write(&writer, "0000", 4));
    assert_ok(file_write(&writer, "abc", 3));
    assert_ok(file_rewrite_start(&writer, "7", 1));
    assert_ok(file_write(&writer, "def", 3));
    assert_ok(file_commit(&writer));
    assert_file_holds(path, "7000abcdef", 10);
}
END_TEST

START_TEST(test_abandon_leaves_the_old_file)
{
    const char *directory = temp_directory("abandon"), *path = temp_path("abandon/file");
    const size_t before = memory_in_use();
    write_file(path, "old", 3);
    FileWriter writer;
    assert_ok(file_create(&writer, path));
    assert_ok(file_write(&writer, "new", 3));
    file_abandon(&writer);
    file_abandon(&writer);
    assert_file_holds(path, "old", 3);
    ck_assert_uint_eq(directory_entries(directory), 1);
    ck_assert_uint_eq(memory_in_use(), before);
}
END_TEST

START_TEST(test_a_full_disk_leaves_the_old_file_and_no_other)
{
    const char *directory = temp_directory("full"), *path = temp_path("full/file");
    write_file(path, "old", 3);
    file_fail_at(2);
    assert_path_fails(replace((void *)(uintptr_t)path), CS336_EIO, path, ": cannot write: No space left on device");
    assert_file_holds(path, "old", 3);
    assert_write_failures_are_clean(replace, (void *)(uintptr_t)path, directory);
    assert_file_holds(path, "newnewnew", 9);
}
END_TEST

START_TEST(test_a_device_that_is_full_is_noticed_at_commit)
{
    assert_fails(replace((void *)(uintptr_t) "/dev/full"), CS336_EIO,
                 "/dev/full: cannot write: No space left on device");
    FileWriter writer;
    assert_ok(file_create(&writer, "/dev/full"));
    fprintf(writer.stream, "lost");
    assert_fails(file_flush(&writer), CS336_EIO, "/dev/full: cannot write: No space left on device");
    assert_fails(file_commit(&writer), CS336_EIO,
                 "/dev/full: cannot write: an earlier write failed; the disk may be full");
    assert_ok(file_create(&writer, "/dev/full"));
    fprintf(writer.stream, "lost");
    assert_fails(file_commit(&writer), CS336_EIO, "/dev/full: cannot write: No space left on device");
    struct stat about;
    ck_assert(stat("/dev/full", &about) == 0 && S_ISCHR(about.st_mode));
}
END_TEST

START_TEST(test_an_earlier_failure_of_the_stream_is_noticed_at_commit)
{
    FileWriter writer;
    assert_ok(file_create(&writer, "/dev/full"));
    setvbuf(writer.stream, NULL, _IONBF, 0);
    fprintf(writer.stream, "lost");
    assert_fails(file_commit(&writer), CS336_EIO,
                 "/dev/full: cannot write: an earlier write failed; the disk may be full");
}
END_TEST

START_TEST(test_create_refuses_what_cannot_be_written)
{
    const char *directory = temp_directory("refused"), *file = temp_path("refused/file");
    const char *missing = temp_path("refused/missing/file"), *below_file = temp_path("refused/file/below");
    write_file(file, "", 0);
    const size_t before = memory_in_use();
    FileWriter writer;
    assert_path_fails(file_create(&writer, directory), CS336_EIO, directory, ": cannot write: Is a directory");
    assert_path_fails(file_create(&writer, missing), CS336_EIO, missing, ": cannot write: No such file or directory");
    assert_path_fails(file_create(&writer, below_file), CS336_EIO, below_file, ": cannot write: Not a directory");
    ck_assert_uint_eq(directory_entries(directory), 1);
    ck_assert_uint_eq(memory_in_use(), before);
}
END_TEST

enum { NOBODY = 65534 /* the user without rights of every Unix */ };

/* Root may write anywhere. In some containers root cannot become another user either. */
static const char *no_other_user(void)
{
    if (geteuid() != 0)
        return NULL;
    const bool becomes = seteuid(NOBODY) == 0 && seteuid(0) == 0;
    return becomes ? NULL : "root cannot become another user here, and may write anywhere";
}

START_TEST(test_create_in_an_unwritable_directory_fails)
{
    const char *directory = temp_directory("unwritable"), *path = temp_path("unwritable/file");
    ck_assert_int_eq(chmod(directory, 0555), 0);
    /* Root may write anywhere, so the test becomes a user without write permission for the call. */
    const bool superuser = geteuid() == 0;
    ck_assert_int_eq(superuser ? chmod(temp_path("."), 0755) : 0, 0);
    ck_assert_int_eq(superuser ? seteuid(NOBODY) : 0, 0);
    struct stat about;
    ck_assert_int_eq(stat(directory, &about), 0);
    FileWriter writer;
    const Status s = file_create(&writer, path);
    ck_assert_int_eq(superuser ? seteuid(0) : 0, 0);
    chmod(directory, 0755);
    assert_path_fails(s, CS336_EIO, path, ": cannot write: Permission denied");
}
END_TEST

START_TEST(test_a_failed_rename_leaves_no_temporary_file)
{
    const char *directory = temp_directory("rename"), *path = temp_path("rename/target");
    FileWriter writer;
    assert_ok(file_create(&writer, path));
    assert_ok(directory_make(path));
    assert_path_fails(file_commit(&writer), CS336_EIO, path, ": cannot write: Is a directory");
    ck_assert_uint_eq(directory_entries(directory), 1);
}
END_TEST

START_TEST(test_create_without_memory_leaves_nothing)
{
    const char *directory = temp_directory("memory"), *path = temp_path("memory/file");
    FileWriter writer;
    char message[512];
    snprintf(message, sizeof message, "file_create: no memory for the path %s", path);
    memory_fail_at(1);
    assert_fails(file_create(&writer, path), CS336_ENOMEM, message);
    assert_allocation_failures_say(replace, (void *)(uintptr_t)path,
                                   "file_create: no memory for the path */memory/file");
    ck_assert_uint_eq(directory_entries(directory), 1);
}
END_TEST

START_TEST(test_dash_is_standard_output)
{
    const char *path = temp_path("output");
    fflush(stdout);
    const int saved = dup(STDOUT_FILENO);
    ck_assert_ptr_nonnull(freopen(path, "wb", stdout));
    FileWriter writer;
    Status s = file_create(&writer, "-");
    if (!s)
        s = file_write(&writer, "to the pipe", 11);
    if (!s)
        s = file_commit(&writer);
    file_abandon(&writer);
    const int restored = dup2(saved, STDOUT_FILENO);
    close(saved);
    ck_assert_int_ge(restored, 0);
    assert_ok(s);
    assert_file_holds(path, "to the pipe", 11);
    assert_ok(file_create(&writer, "-"));
    file_fail_at(1);
    assert_fails(file_write(&writer, "x", 1), CS336_EIO, "standard output: cannot write: No space left on device");
    file_abandon(&writer);
}
END_TEST

START_TEST(test_load_reads_the_bytes_of_a_file)
{
    const char *path = temp_path("loaded"), *empty = temp_path("empty");
    write_file(path, "some\0bytes", 10);
    write_file(empty, "", 0);
    LoadedFile file;
    assert_ok(file_load(&file, path));
    ck_assert_uint_eq(file.size, 10);
    ck_assert_mem_eq(file.data, "some\0bytes", 10);
    file_unload(&file);
    file_unload(&file);
    assert_ok(file_load(&file, empty));
    ck_assert_uint_eq(file.size, 0);
    ck_assert_ptr_null(file.data);
    file_unload(&file);
}
END_TEST

START_TEST(test_load_refuses_what_is_no_file)
{
    const char *missing = temp_path("missing"), *directory = temp_directory("directory"),
               *pipe_path = temp_path("pipe");
    LoadedFile file;
    assert_path_fails(file_load(&file, missing), CS336_EIO, missing, ": cannot read: No such file or directory");
    assert_path_fails(file_load(&file, directory), CS336_EIO, directory, ": cannot read: Is a directory");
    ck_assert_int_eq(mkfifo(pipe_path, 0600), 0);
    assert_path_fails(file_load(&file, pipe_path), CS336_EIO, pipe_path, ": cannot read: expected a regular file");
}
END_TEST

static Status load_and_unload(void *path)
{
    LoadedFile file;
    const Status s = file_load(&file, path);
    file_unload(&file);
    return s;
}

START_TEST(test_load_without_memory_says_how_much_it_needs)
{
    const char *path = temp_path("loaded");
    write_file(path, "some bytes", 10);
    assert_allocation_failures_say(load_and_unload, (void *)(uintptr_t)path, "*/loaded: no memory for its 10 bytes");
}
END_TEST

/* A mapped file would end the process with SIGBUS here. */
START_TEST(test_a_file_that_is_cut_while_it_is_open_is_an_error)
{
    const char *path = temp_path("cut");
    char bytes[10];
    write_file(path, "0123456789", 10);
    FileReader reader;
    assert_ok(file_open(&reader, path));
    assert_ok(file_read_at(&reader, bytes, 10, 0));
    assert_path_fails(file_read_at(&reader, bytes, 8, 5), CS336_EIO, path,
                      ": cannot read: expected 13 bytes, there are 10");
    ck_assert_int_eq(truncate(path, 4), 0);
    assert_ok(file_read_at(&reader, bytes, 4, 0));
    assert_path_fails(file_read_at(&reader, bytes, 2, 3), CS336_EIO, path,
                      ": cannot read: expected 10 bytes, there are 4; another process has cut the file");
    file_close(&reader);
    file_close(&reader);
}
END_TEST

static Status make_nested_directory(void *path)
{
    return directory_make(path);
}

START_TEST(test_make_directory_makes_parents_too)
{
    const char *path = temp_path("nested//b/c/"), *inner = temp_path("nested/b/c"), *file = temp_path("nested/file");
    assert_ok(directory_make(path));
    assert_ok(directory_make(path));
    assert_ok(directory_make("/"));
    ck_assert_uint_eq(directory_entries(inner), 0);
    write_file(file, "", 0);
    const char *below = temp_path("nested/file/d");
    assert_path_fails(directory_make(below), CS336_EIO, file, ": cannot make directory: Not a directory");
    assert_fails(directory_make(""), CS336_EIO, "directory_make: the path is empty");
    char message[512];
    snprintf(message, sizeof message, "directory_make: no memory for the path %s", path);
    memory_fail_at(1);
    assert_fails(directory_make(path), CS336_ENOMEM, message);
    assert_allocation_failures_say(make_nested_directory, (void *)(uintptr_t)path,
                                   "directory_make: no memory for the path */nested//b/c/");
}
END_TEST

/* The second name is replaced in one step, and no temporary name is left: also if both were the same file before. */
START_TEST(test_a_link_replaces_a_file)
{
    const char *directory = temp_directory("links");
    char file[512], link[512];
    snprintf(file, sizeof file, "%s/file", directory);
    snprintf(link, sizeof link, "%s/link", directory);
    write_file(file, "new", 3);
    write_file(link, "old", 3);
    assert_ok(file_link(file, link));
    assert_file_holds(link, "new", 3);
    assert_ok(file_link(file, link));
    assert_ok(file_link(link, link));
    assert_file_holds(link, "new", 3);
    ck_assert_uint_eq(directory_entries(directory), 2);
    /* A failure leaves the old file. */
    char missing[512];
    snprintf(missing, sizeof missing, "%s/missing", directory);
    ck_assert_int_eq(file_link(missing, link), CS336_EIO);
    assert_file_holds(link, "new", 3);
    ck_assert_uint_eq(directory_entries(directory), 2);
}
END_TEST

const TestCase files_tests[] = {
    TEST(test_commit_replaces_the_file_in_one_step, "file"),
    TEST(test_a_committed_file_has_the_permissions_of_any_new_file, "file"),
    TEST(test_a_replaced_file_keeps_its_permissions, "file"),
    TEST(test_links_stay_and_the_file_behind_them_is_replaced, "file"),
    TEST(test_links_that_lead_nowhere_are_refused, "file"),
    TEST(test_a_long_path_leaves_its_reason_in_the_message, "file"),
    TEST(test_the_old_one_of_several_files_can_be_removed_first, "file"),
    TEST(test_the_start_of_a_file_can_be_written_again, "file"),
    TEST(test_abandon_leaves_the_old_file, "file"),
    TEST(test_a_full_disk_leaves_the_old_file_and_no_other, "file"),
    TEST_UNLESS(test_a_device_that_is_full_is_noticed_at_commit, "file", no_full_device),
    TEST_UNLESS(test_an_earlier_failure_of_the_stream_is_noticed_at_commit, "file", no_full_device),
    TEST(test_create_refuses_what_cannot_be_written, "file"),
    TEST_UNLESS(test_create_in_an_unwritable_directory_fails, "file", no_other_user),
    TEST(test_a_failed_rename_leaves_no_temporary_file, "file"),
    TEST(test_create_without_memory_leaves_nothing, "file"),
    TEST(test_dash_is_standard_output, "file"),
    TEST(test_load_reads_the_bytes_of_a_file, "file"),
    TEST(test_load_refuses_what_is_no_file, "file"),
    TEST(test_load_without_memory_says_how_much_it_needs, "file"),
    TEST(test_a_file_that_is_cut_while_it_is_open_is_an_error, "file"),
    TEST(test_make_directory_makes_parents_too, "file"),
    TEST(test_a_link_replaces_a_file, "file"),
    {0},
};
