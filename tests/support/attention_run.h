/**
 * @file
 * @brief One attention problem: inputs from a hash, the product's passes over it, and the comparison with the
 * double-precision reference.
 *
 * Between attention_run_init() and attention_run() a test may change inputs and mask as it likes.
 */
#ifndef CS336_TESTS_SUPPORT_ATTENTION_RUN_H
#define CS336_TESTS_SUPPORT_ATTENTION_RUN_H

#include "core/arena.h"
#include "nn/functional.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    size_t leading[TENSOR_MAX_RANK - 2]; /**< extents before (q, d_k); the first 0 ends them */
    size_t queries, keys, d_k, d_v;
    AttentionMask mask;
    double sigma;     /**< of queries and keys; 0: 1 */
    bool bf16;        /**< the passes whose products round their operands to bfloat16 */
    bool interleaved; /**< in memory the last leading dimension comes after the sequence, as that of heads does */
} AttentionCase;

typedef struct {
    Arena arena, scratch;
    Tensor query, key, value, grad_output;                        /**< inputs */
    Tensor output, log_sum_exp, grad_query, grad_key, grad_value; /**< results, NaN before attention_run() */
    AttentionMask mask;
    bool bf16;
} AttentionRun;

void attention_run_init(AttentionRun *run, const AttentionCase *problem);
void attention_run_deinit(AttentionRun *run);

/** @brief Runs the forward and the backward pass. */
void attention_run(AttentionRun *run);

/**
 * @brief Compares all results with the double-precision reference: within @p rtol and @p atol, or for bf16 within the
 * bounds of reference_attention_bf16(), which is given the output of the run for its backward pass.
 */
void attention_run_check(const AttentionRun *run, double rtol, double atol);

/** @brief Initialises, runs, checks and releases one problem, with a test_label() that describes it. */
void attention_check(const AttentionCase *problem, double rtol, double atol);

/**
 * @brief Checks problems of random lengths, head dimensions and layouts, with each instruction set, also
 * with the twin of the matrix unit.
 * @param bf16     as AttentionCase.bf16; the tolerances then have no meaning
 * @param trials   number of problems for each instruction set
 * @param longest  largest number of queries and keys
 */
void attention_check_random(bool bf16, size_t trials, size_t longest, double rtol, double atol);

/**
 * @brief Checks several documents in one sequence, in both directions, with the instruction set in use. A token sees
 * only tokens of its own document, so most score blocks are hidden.
 */
void attention_check_documents(bool bf16, double rtol, double atol);

/** @brief Returns a random length up to @p most, which blocks and tiles rarely divide; one time in five it is 1. */
size_t attention_random_extent(size_t most);

/** @brief Returns @p count pseudo-random booleans, about @p percent of them true. The caller frees them. */
bool *attention_random_mask(size_t count, const char *name, int percent);

#endif
