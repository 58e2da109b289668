/**
 * @file
 * @brief The work of our library that several groups time. A child (`--peer ours`) can do it, too, so that its memory
 * is measured.
 */
#ifndef CS336_TESTS_BENCH_WORK_H
#define CS336_TESTS_BENCH_WORK_H

#include "tests/bench/process.h"
#include "train/trainer.h"

/** @brief Causal attention, (batch, heads, length, d). */
typedef struct {
    size_t batch, heads, length, d;
} SdpaShape;

/** @brief Returns the operations of one run: the triangle below the diagonal, 2 products forward and 5 backward. */
double sdpa_operations(SdpaShape shape, bool backward);

typedef struct {
    Tensor query, key, value, output, log_sum_exp;
    Tensor grad_output, grad_query, grad_key, grad_value; /**< data NULL without backward */
    Arena memory;
    bool bf16; /**< false after sdpa_work_init() */
} SdpaWork;

void sdpa_work_init(SdpaWork *work, SdpaShape shape, bool backward);
void sdpa_work_deinit(SdpaWork *work);
/** @brief A BenchRun. Runs the forward pass, and the backward pass if the work was made with it. */
double sdpa_work_run(void *work);

/** @brief One whole training step of the reference model: batch, loss, gradients, clipping, AdamW. */
typedef struct {
    int32_t *text;
    TokenFile tokens;
    Trainer trainer;
} StepWork;

/** @brief Returns the reference model: vocabulary 10 000, context 256, d_model 512, 4 layers, 16 heads, d_ff 1344. */
TransformerLMConfig bench_reference_model(DType dtype);

/** @brief Returns a model of GPT-2-small's size: vocabulary 50 257, context 1024, d_model 768, 12 layers and heads. */
TransformerLMConfig bench_gpt2_model(void);

/** @brief Returns the operations of the products of one step; of causal attention only the triangle counts. */
double step_operations(size_t batch);

/** @brief Makes a trainer and takes the first step, which is not timed, because its memory still causes page faults. */
CS336_MUST_CHECK Status step_work_init(StepWork *work, size_t batch, DType dtype);
/** @brief The same for another model than the reference model. */
CS336_MUST_CHECK Status step_work_init_model(StepWork *work, size_t batch, const TransformerLMConfig *model);
void step_work_deinit(StepWork *work);
/** @brief A BenchRun: one step. */
double step_work_run(void *work);

/** @brief Names of the files of bench_bpe_growth.c in its temporary directory. */
#define BPE_TEXT "text.txt"
#define BPE_VOCAB "vocab.json"
#define BPE_MERGES "merges.txt"

/** @brief Encodes a file with GPT-2's vocabulary from the directory COURSE. Returns the seconds. */
double encode_first_pass(const char *path);

/**
 * @brief This program as a line peer.
 *
 * It answers "sdpa forward|both B H T D", "step DTYPE B", "gpt2 B", "train VOCABULARY TEXT", "encode DIRECTORY" (of the
 * text there) and "first TEXT" (encode_first_pass()) with seconds, and "peak" with bytes.
 */
extern BenchProcess bench_ours_in_a_child;
double ours_answer(const char *request);

#endif
