/**
 * @file
 * @brief Starts the program, or a part of the tests, as several ranks under mpirun (distributed/ranks.h).
 */
#ifndef CS336_TESTS_SUPPORT_RANKS_H
#define CS336_TESTS_SUPPORT_RANKS_H

/** @brief For TEST_UNLESS(): returns NULL, or why the program cannot be started as several ranks here. */
const char *no_mpirun(void);

/** @brief For TEST_UNLESS(): returns NULL if the program was built without MPI. */
const char *built_with_mpi(void);

/**
 * @brief The start of a line of sh: what follows is started as so many ranks. This machine may have fewer processors
 * than ranks, and the user may be root. -q leaves out what mpirun itself says when a rank fails.
 */
#define RANKS(count)                                                                                               \
    "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun -q -n " #count " --oversubscribe --bind-to " \
    "none "

#endif
