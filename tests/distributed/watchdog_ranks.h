/**
 * @file
 * @brief The part of test_watchdog.c that runs as several ranks: mpirun starts `run_tests watchdog FAULT RANK`.
 */
#ifndef CS336_TESTS_DISTRIBUTED_WATCHDOG_RANKS_H
#define CS336_TESTS_DISTRIBUTED_WATCHDOG_RANKS_H

/**
 * @brief Meets with the other ranks every 10 ms, for half a second. After 100 ms rank 0 says that it has saved a
 * checkpoint, and makes the file "saved". After 200 ms one rank does what @p fault says.
 * @param fault  "kill", "exit", "stop", "fail", "error": the rank ends or stops in this way; "busy": it keeps the
 * others waiting; "network": all ranks wait for a transfer; "deaf": no rank ends before the signal SIGKILL; "long": the
 * work lasts 4 s; "strangers": 200 silent connections hold rank 0's port before the others connect; "none"
 * @return the exit code
 */
int watchdog_ranks(const char *fault, int rank);

#endif
