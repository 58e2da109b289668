/**
 * @file
 * @brief The part of test_gradient_exchange.c that runs as several ranks: mpirun starts `run_tests exchange`.
 */
#ifndef CS336_TESTS_DISTRIBUTED_EXCHANGE_RANKS_H
#define CS336_TESTS_DISTRIBUTED_EXCHANGE_RANKS_H

/**
 * @brief Exchanges numbers between all ranks, and compares them with sums that this rank computes alone.
 * @return 0, or 1 after a line on the rank's standard error
 */
int exchange_ranks(void);

#endif
