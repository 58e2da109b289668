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

/* True if the process is one of OpenMPI's or MPICH's launchers, and not a daemon of a batch system, or a shell. */
static bool is_mpirun(const char *path)
{
    static const char *const names[] = {"mpirun\n", "orterun\n", "mpiexec\n", "prterun\n"};
    char name[32] = "";
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t length = descriptor >= 0 ? read(descriptor, name, sizeof name - 1) : 0;
    if (descriptor >= 0)
        close(descriptor);
    for (size_t i = 0; length > 0 && i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

void launcher_kill_later(unsigned seconds)
{
    enum { MOST = 1 << 16 /* descriptors; a limit of a thousand is usual, one of 2^30 would take minutes to close */ };
    char path[64];
    const pid_t parent = getppid();
    const long limit = sysconf(_SC_OPEN_MAX), open_descriptors = limit > 0 && limit < MOST ? limit : MOST;
    snprintf(path, sizeof path, "/proc/%ld/comm", (long)parent);
    if (!is_mpirun(path) || fork() != 0)
        return;
    /*
     * The child. mpirun signals the group of processes that it started, so the child leaves it. It also closes what it
     * has inherited: the lock of a run's directory, and the streams whose end mpirun's reader waits for.
     */
    setsid();
    for (int descriptor = 0; descriptor < (int)open_descriptors; descriptor++)
        close(descriptor);
    const struct timespec pause = {.tv_sec = (time_t)seconds};
    nanosleep(&pause, NULL);
    if (is_mpirun(path))
        kill(parent, SIGKILL);
    _exit(0);
}
