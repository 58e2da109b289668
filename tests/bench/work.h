/**
 * @file
 * @brief Our own work that several tables time, also in a child (`--peer ours`), where its memory can be measured.
 */
#ifndef CS336_TESTS_BENCH_WORK_H
#define CS336_TESTS_BENCH_WORK_H

#include "tests/bench/process.h"
#include "train/trainer.h"

/** @brief Causal attention, (batch, heads, length, d), float32. */
typedef struct {
    size_t batch, heads, length, d;
} SdpaShape;

/** @brief Operations of the products in one run: the triangle below the diagonal, 2 of them forward and 5 backward. */
double sdpa_operations(SdpaShape shape, bool backward);

typedef struct {
    Tensor query, key, value, output, log_sum_exp;
    Tensor grad_output, grad_query, grad_key, grad_value; /**< data NULL without backward */
    Arena memory;
} SdpaWork;

void sdpa_work_init(SdpaWork *work, SdpaShape shape, bool backward);
void sdpa_work_deinit(SdpaWork *work);
/** @brief A BenchRun: forward, and backward if the work was made with it. */
double sdpa_work_run(void *work);

/** @brief One step of the course's reference model with everything: batch, loss, gradients, clipping, AdamW. */
typedef struct {
    int32_t *text;
    TokenFile tokens;
    Trainer trainer;
} StepWork;

/** @brief Vocabulary 10 000, context 256, d_model 512, 4 layers, 16 heads, d_ff 1344. */
TransformerLMConfig bench_reference_model(DType dtype);

/** @brief Operations of the products of one step, causal attention counted as its triangle. */
double step_operations(size_t batch);

/** @brief Makes a trainer and takes a first step, which is never timed: it meets memory for the first time. */
CS336_MUST_CHECK Status step_work_init(StepWork *work, size_t batch, DType dtype);
void step_work_deinit(StepWork *work);
/** @brief A BenchRun. */
double step_work_run(void *work);

/** @brief What each file of bench_bpe_growth.c is called in its directory. */
#define BPE_TEXT "text.txt"
#define BPE_VOCAB "vocab.json"
#define BPE_MERGES "merges.txt"

/** @brief Seconds that encoding a file with GPT-2's vocabulary takes, which lies in COURSE. */
double encode_first_pass(const char *path);

/**
 * @brief This program as a child that answers "sdpa forward|both B H T D", "step DTYPE B", "train VOCABULARY TEXT"
 * "encode DIRECTORY" (of the text there) and "first TEXT" (encode_first_pass()), each in seconds, and "peak" in bytes.
 */
extern BenchProcess bench_ours_in_a_child;
double ours_answer(const char *request);

#endif
