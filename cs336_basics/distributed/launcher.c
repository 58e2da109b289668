#define _POSIX_C_SOURCE 200809L
#include "distributed/launcher.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { PATH_BYTES = 64 };

/* Writes the path of a file about a process, such as "/proc/1234/comm". */
static void path_of(char path[PATH_BYTES], pid_t process, const char *file)
{
    snprintf(path, PATH_BYTES, "/proc/%ld/%s", (long)process, file);
}

/* Reads a file from its beginning. Returns the number of bytes, at most `capacity`; 0 if it cannot be read. */
static size_t read_file(const char *path, char *bytes, size_t capacity)
{
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t count = descriptor >= 0 ? 1 : 0;
    while (count > 0 && length < capacity) {
        count = read(descriptor, bytes + length, capacity - length);
        length += count > 0 ? (size_t)count : 0;
    }
    if (descriptor >= 0)
        close(descriptor);
    return length;
}

/* True if the process is one of OpenMPI's or MPICH's launchers, and not a daemon of a batch system, or a shell. */
static bool is_mpirun(pid_t process)
{
    static const char *const names[] = {"mpirun\n", "orterun\n", "mpiexec\n", "prterun\n"};
    char path[PATH_BYTES], name[32] = "";
    path_of(path, process, "comm");
    read_file(path, name, sizeof name - 1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

size_t launcher_command_line(char *words, size_t capacity)
{
    char path[PATH_BYTES];
    const pid_t parent = getppid();
    path_of(path, parent, "cmdline");
    const size_t length = is_mpirun(parent) ? read_file(path, words, capacity) : 0;
    return length < capacity ? length : 0;
}

void launcher_kill_later(unsigned seconds)
{
    enum { MOST = 1 << 16 /* descriptors; a limit of a thousand is usual, one of 2^30 would take minutes to close */ };
    const pid_t parent = getppid();
    const long limit = sysconf(_SC_OPEN_MAX), open_descriptors = limit > 0 && limit < MOST ? limit : MOST;
    if (!is_mpirun(parent) || fork() != 0)
        return;
    /*
     * The child. mpirun signals the group of processes that it started, so the child leaves it. It also closes what it
     * has inherited: the lock of a run's directory, and the streams whose end mpirun's reader waits for.
     */
    setsid();
    for (int descriptor = 0; descriptor < (int)open_descriptors; descriptor++)
        close(descriptor);
    enum { LOOKS = 10 /* in a second */ };
    const struct timespec pause = {.tv_nsec = 1000000000 / LOOKS};
    for (unsigned i = 0; i < seconds * LOOKS && is_mpirun(parent); i++)
        nanosleep(&pause, NULL);
    if (is_mpirun(parent))
        kill(parent, SIGKILL);
    _exit(0);
}
