/**
 * @file
 * @brief llm.c's CPU program as a peer: CS336_LLMC, a train_gpt2 built with `int B = 8` and `int T = 256` in its
 * main().
 *
 * It reads a model and token files from fixed paths below its working directory. The bench writes random tokens there,
 * and a model with random weights: width, depth, heads, context and vocabulary of the reference model, but GPT-2's
 * architecture (learned positions, GELU, feed-forward layers four times as wide, shared embedding).
 */
#ifndef CS336_TESTS_BENCH_LLMC_H
#define CS336_TESTS_BENCH_LLMC_H

/** @brief A BenchRun. Returns the seconds of the second step; the first one includes the page faults of its memory. */
double llmc_step(void *unused);

#endif
