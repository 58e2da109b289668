/**
 * @file
 * @brief llm.c's CPU program as a peer: CS336_LLMC, a train_gpt2 built with `int B = 8` and `int T = 256` in its
 * main().
 *
 * It reads a model and token files from fixed paths below its working directory. A model of the reference model's
 * width, depth, heads, context and vocabulary is written there, in GPT-2's form (learned positions, GELU, 4 x wide
 * layers, shared embedding), with random weights, and random tokens.
 */
#ifndef CS336_TESTS_BENCH_LLMC_H
#define CS336_TESTS_BENCH_LLMC_H

/** @brief A BenchRun: the seconds of its second step (the first meets its memory for the first time). */
double llmc_step(void *unused);

#endif
