/**
 * @file
 * @brief llama2.c as a peer: CS336_LLAMA2, its program `run`.
 *
 * The bench writes a model and a vocabulary into a temporary directory: random weights of the configuration's sizes,
 * with embedding and classifier shared. No token has a printable text, so llama2.c loses no time with printing.
 */
#ifndef CS336_TESTS_BENCH_LLAMA2_H
#define CS336_TESTS_BENCH_LLAMA2_H

#include "nn/transformer_lm.h"
#include "tests/bench/process.h"

typedef struct {
    TransformerLMConfig config;
    char *program;            /**< NULL: not installed */
    BenchDirectory directory; /**< with the files, if there is a program */
} Llama2;

void llama2_init(Llama2 *llama2, const TransformerLMConfig *config);
void llama2_deinit(Llama2 *llama2);

/** @brief A BenchRun. Generates context_length tokens greedily. Returns the seconds after the first one. */
double llama2_generate(void *llama2);

#endif
