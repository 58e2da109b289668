#include "tests/support/ranks.h"

#include "distributed/ranks.h"
#include "tests/support/suite.h"

#include <stdlib.h>

const char *no_mpirun(void)
{
    static int found; /* 1: mpirun exists; -1: it does not; 0: not looked for yet */
    if (!ranks_are_available())
        return "built without MPI: make MPI=1";
    if (test_is_instrumented())
        return "MPI itself is not clean under sanitizers and valgrind";
    if (!found)
        found = system("command -v mpirun >/dev/null 2>&1") == 0 ? 1 : -1;
    return found > 0 ? NULL : "no mpirun";
}

const char *built_with_mpi(void)
{
    return ranks_are_available() ? "built with MPI" : NULL;
}
