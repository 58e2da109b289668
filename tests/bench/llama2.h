/**
 * @file
 * @brief llama2.c as a peer: CS336_LLAMA2, its program `run`.
 *
 * A model and a vocabulary are written for it into a temporary directory: random weights of the configuration's sizes,
 * embedding and classifier shared. No token's text is printable, so that it prints none and runs undisturbed.
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

/** @brief A BenchRun: seconds of the tokens of a text of context_length, without the first, that it generates greedily.
 */
double llama2_generate(void *llama2);

#endif
